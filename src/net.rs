//! The sockets of signalling: octets in, [`Transmit`]s out.
//!
//! Nothing here knows SIP beyond where one message of a stream ends. Every queue is bounded: a full one drops
//! datagrams and counts them, and lets streams wait, so that TCP slows the peer down.

mod closed;
mod connections;
mod datagram;
mod stream;
mod table;
mod tally;
mod tcp;
mod tls;
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_core::auth::CertificateNames;
use sip_core::settings::Listener;
use sip_core::types::{ConnectionId, Flow, Transmit, Transport};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connections::Connections;
pub(crate) use self::tally::Tally;
pub use self::tls::{ServerNames, Tls, TlsError, TlsFiles};
use self::udp::UdpPort;
use crate::config::{Config, ListenConfig};
use crate::metrics::{Direction, Metrics};

/// What the sockets bring.
#[derive(Clone, Debug)]
pub enum Inbound {
    /// One datagram.
    Datagram {
        /// Where from and where to.
        flow: Flow,
        /// All of it.
        bytes: Bytes,
        /// When it was read.
        at: Instant,
    },
    /// One message of a stream.
    Message {
        /// Over which connection.
        flow: Flow,
        /// All of it.
        bytes: Bytes,
        /// When it was read.
        at: Instant,
    },
    /// A TLS connection was accepted on which the peer has shown a certificate. Comes before its first message; nothing
    /// comes of those without one.
    Certified {
        /// Over which connection.
        flow: Flow,
        /// The names on the certificate.
        shown: CertificateNames,
    },
    /// The connection of this flow ended.
    Lost(Flow),
    /// A message that was taken could not be sent.
    SendFailed(Flow),
    /// The network says that nobody can be reached at the other end of a flow of datagrams (ICMP).
    Unreachable {
        /// Our port and the peer. Which of our addresses the datagram came from is not told.
        flow: Flow,
        /// The first octets of the datagram, as many as the network has given back.
        quoted: Bytes,
    },
}

/// Why the sockets could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// An address is taken, or not this machine's, or needs a privilege.
    #[error("cannot listen at {address} ({}): {error}", transport.param())]
    Bind {
        /// Over which transport.
        transport: Transport,
        /// Where.
        address: SocketAddr,
        /// The system's word.
        error: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// All sockets of signalling. Tasks serve them until the token given to [`Net::bind`] is cancelled.
pub struct Net {
    udp: Vec<UdpPort>,
    connections: Arc<Connections>,
    metrics: Metrics,
    tasks: TaskTracker,
}

impl Net {
    /// Binds every listener of the configuration and begins to serve it. The listeners come back with the
    /// addresses they got, in the order of the configuration.
    pub async fn bind(
        config: &Config,
        tls: Arc<Tls>,
        inbound: mpsc::Sender<Inbound>,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Result<(Self, Vec<Listener>), NetError> {
        let tasks = TaskTracker::new();
        let shared = connections::Shared { inbound, metrics: metrics.clone(), stop, tasks: tasks.clone() };
        let connections = Arc::new(Connections::new(&config.sip.connections, tls, shared.clone()));
        let mut net = Self { udp: Vec::new(), connections, metrics, tasks };
        let mut listeners = Vec::new();
        for listen in &config.sip.listen {
            let transport = Transport::from(listen.transport);
            let bound = match transport {
                Transport::Udp => net.listen_udp(listen, &shared),
                Transport::Tcp | Transport::Tls => tcp::listen(transport, listen.address, &net.connections),
            };
            let local =
                bound.map_err(|error| NetError::Bind { transport, address: listen.address, error })?;
            let listener = listen.bound(local);
            if transport != Transport::Udp && local.ip().is_unspecified() {
                net.connections.advertise(local, listener.advertised_host);
            }
            listeners.push(listener);
        }
        Ok((net, listeners))
    }

    fn listen_udp(&mut self, listen: &ListenConfig, shared: &connections::Shared) -> io::Result<SocketAddr> {
        let port = UdpPort::bind(listen.address, listen.advertise.map(|advertise| advertise.host))?;
        let local = port.local();
        self.tasks.spawn(port.receiver(shared.clone()));
        self.udp.push(port);
        Ok(local)
    }

    /// Puts a message on the wire, or into the queue of a connection. Never waits. An error means that it will
    /// not be sent; what fails later comes back as [`Inbound::SendFailed`].
    pub fn send(&self, transmit: Transmit) -> Result<(), Flow> {
        let Transmit { flow, bytes } = &transmit;
        self.metrics.count_message(flow.transport, Direction::Outbound, bytes);
        if flow.transport.is_reliable() {
            return self.connections.send(transmit);
        }
        let of_family = |port: &&UdpPort| port.local().is_ipv4() == flow.peer.is_ipv4();
        let exact = self.udp.iter().find(|port| port.local() == flow.local);
        let port = exact.or_else(|| self.udp.iter().find(|port| port.is_at(flow.local)));
        match port.or_else(|| self.udp.iter().find(of_family)) {
            Some(port) => port.send(bytes, *flow, &self.metrics).map_err(|_| *flow),
            None => Err(*flow),
        }
    }

    /// A request on a connection was believed: it may stay.
    pub fn prove(&self, connection: ConnectionId) {
        self.connections.prove(connection);
    }

    /// Waits until every task has ended and what was queued is written, but no longer than `patience`. The token
    /// given to [`Net::bind`] is to be cancelled before.
    pub async fn finish(&self, patience: Duration) {
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not take their last messages in time");
        }
    }
}

/// Whether an address is this machine's.
pub fn is_ours(address: IpAddr) -> bool {
    std::net::UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

#[cfg(test)]
mod tests;
