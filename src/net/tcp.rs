//! Accepting and opening TCP connections, plain or for TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sip_core::types::{Flow, Transport};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::connections::Connections;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// A peer that vanished without a word is noticed after about this long without traffic.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// After an error of `accept` such as "too many open files" the next attempt would fail at once as well: each pause is
/// twice as long as the one before, up to the longest.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPT_PAUSE_LONGEST: Duration = Duration::from_secs(1);

/// Binds a listener and begins to accept.
pub(super) fn listen(
    transport: Transport,
    address: SocketAddr,
    connections: &Arc<Connections>,
) -> io::Result<SocketAddr> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let local = listener.local_addr()?;
    connections.spawn(accept(transport, local, listener, Arc::clone(connections)));
    Ok(local)
}

async fn accept(
    transport: Transport,
    local: SocketAddr,
    listener: TcpListener,
    connections: Arc<Connections>,
) {
    let mut pause = ACCEPT_PAUSE;
    loop {
        let accepted = tokio::select! {
            () = connections.stopped() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if pause > ACCEPT_PAUSE {
                    tracing::info!(%local, "Connections are accepted again.");
                    pause = ACCEPT_PAUSE;
                }
                tune(&stream);
                // A listener at every address: the peer has chosen one. A connection that is gone again has none.
                let local = stream.local_addr().unwrap_or(local);
                connections.accept(Flow { transport, local, peer, connection: None }, stream);
            }
            Err(error) => {
                connections.count_unaccepted(transport);
                if pause == ACCEPT_PAUSE {
                    tracing::error!(%local, %error, "Connections cannot be accepted; those that run and UDP go on.");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSE_LONGEST);
            }
        }
    }
}

/// Where a connection is opened from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// This address and no other.
    At(IpAddr),
    /// This address, if it is the machine's: a NAT's may stand before it.
    Rather(IpAddr),
    /// As the system chooses.
    Any,
}

/// Opens a connection.
pub(super) async fn connect(peer: SocketAddr, source: Source) -> io::Result<TcpStream> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    match source {
        Source::At(address) => socket.bind(SocketAddr::new(address, 0))?,
        Source::Rather(address) => {
            let _not_ours = socket.bind(SocketAddr::new(address, 0));
        }
        Source::Any => {}
    }
    socket.connect(peer).await
}

/// Small messages go out at once, and dead peers are noticed. A socket that refuses either still works.
pub(super) fn tune(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 6);
    let _untuned = (stream.set_nodelay(true), SockRef::from(stream).set_tcp_keepalive(&keepalive));
}
