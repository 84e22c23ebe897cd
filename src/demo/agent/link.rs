//! The agent's way to its gateway: one UDP socket or one TLS connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use sip_core::message::{Frame, Message, StreamFramer, Transport, lex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The longest datagram there is.
const LONGEST: usize = 65_535;

/// One way to one gateway. Everything goes there: an agent behind a trunk knows nobody else.
pub(crate) struct Link {
    /// Our address.
    pub(super) local: SocketAddr,
    /// The gateway's.
    pub(super) peer: SocketAddr,
    way: Way,
}

enum Way {
    Udp { socket: UdpSocket, area: Vec<u8> },
    Stream { read: ReadHalf<Box<dyn Stream>>, write: WriteHalf<Box<dyn Stream>>, framer: StreamFramer },
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Link {
    /// A socket at `bind` that speaks to `peer` alone.
    pub(crate) async fn udp(bind: SocketAddr, peer: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(bind).await?;
        let local = socket.local_addr()?;
        Ok(Self { local, peer, way: Way::Udp { socket, area: vec![0; LONGEST] } })
    }

    /// A TLS connection to `peer`, whose certificate must be for `name` and come from `roots`.
    pub(crate) async fn tls(peer: SocketAddr, name: &str, roots: RootCertStore) -> io::Result<Self> {
        let config = ClientConfig::builder_with_provider(Arc::new(
            tokio_rustls::rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let tcp = TcpStream::connect(peer).await?;
        tcp.set_nodelay(true)?;
        let local = tcp.local_addr()?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        Ok(Self::over(stream, local, peer))
    }

    /// A connection that is open already.
    pub(super) fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Self {
        let (read, write) = split(Box::new(stream) as Box<dyn Stream>);
        Self { local, peer, way: Way::Stream { read, write, framer: StreamFramer::default() } }
    }

    /// The name of the transport in a Via.
    pub(super) fn via_name(&self) -> &'static str {
        match self.way {
            Way::Udp { .. } => "UDP",
            Way::Stream { .. } => "TLS",
        }
    }

    /// What a Contact says of the transport.
    pub(super) fn contact_params(&self) -> &'static str {
        match self.way {
            Way::Udp { .. } => "",
            Way::Stream { .. } => ";transport=tls",
        }
    }

    /// Whether messages may get lost, so that they have to be sent again (RFC 3261 17.1).
    pub(super) fn may_lose(&self) -> bool {
        matches!(self.way, Way::Udp { .. })
    }

    /// Sends one message.
    pub(super) async fn send(&mut self, message: &Bytes) -> io::Result<()> {
        tracing::trace!(to = %self.peer, "{}", String::from_utf8_lossy(message));
        match &mut self.way {
            Way::Udp { socket, .. } => socket.send_to(message, self.peer).await.map(drop),
            Way::Stream { write, .. } => {
                write.write_all(message).await?;
                write.flush().await
            }
        }
    }

    /// The next message. May be dropped while it waits: nothing is lost. An error means that the link is gone.
    pub(super) async fn receive(&mut self) -> io::Result<Message> {
        loop {
            let message = match &mut self.way {
                Way::Udp { socket, area } => {
                    let len = socket.recv(area).await?;
                    lex(Bytes::copy_from_slice(&area[..len]), Transport::Datagram).ok()
                }
                Way::Stream { read, framer, .. } => match framer.next() {
                    Some(Ok(Frame::Message(octets))) => lex(octets, Transport::Stream).ok(),
                    Some(Ok(Frame::Ping)) => None,
                    Some(Err(fault)) => return Err(io::Error::other(fault)),
                    None => {
                        let mut octets = [0; 4096];
                        let len = read.read(&mut octets).await?;
                        if len == 0 {
                            return Err(io::ErrorKind::UnexpectedEof.into());
                        }
                        framer.push(&octets[..len]);
                        None
                    }
                },
            };
            if let Some(message) = message {
                tracing::trace!(from = %self.peer, "{}", String::from_utf8_lossy(message.bytes()));
                return Ok(message);
            }
        }
    }
}
