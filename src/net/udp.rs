//! One UDP port.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_core::types::{Flow, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::error::TrySendError;

use super::Inbound;
use super::connections::Shared;
use super::datagram::{self, Bound};
use crate::metrics::{Direction, Metrics};

/// Room for the bursts of a few hundred calls while the engine is busy; the system may grant less.
const SOCKET_BUFFER: usize = 8 << 20;
/// The largest datagram there is: a large INVITE must not be cut.
const DATAGRAM_MAX: usize = 65_536;
/// Datagrams taken before other tasks get their turn.
const BATCH: usize = 256;
/// ICMP errors taken between two batches.
const ERRORS: usize = 32;
/// How long an address that was not this machine's is taken for a NAT's that stands before it. It may be a virtual one
/// that moves here.
const FOREIGN_FOR: Duration = Duration::from_secs(2);

/// A bound port.
pub(super) struct UdpPort {
    /// The address it got; of a port at every address the unspecified one.
    local: SocketAddr,
    /// The address that peers are told.
    advertised: IpAddr,
    /// When it was found not to be this machine's.
    foreign: Mutex<Option<Instant>>,
    socket: Arc<UdpSocket>,
}

impl UdpPort {
    pub(super) fn bind(address: SocketAddr, advertised: Option<IpAddr>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // IPv4 peers would otherwise appear as mapped addresses, which no IP rule names.
            socket.set_only_v6(true)?;
        }
        // SO_REUSEADDR is left off: with it a second process could take our packets without any error.
        socket.set_nonblocking(true)?;
        // The system caps what it cannot grant; smaller buffers only drop earlier.
        let _capped =
            (socket.set_recv_buffer_size(SOCKET_BUFFER), socket.set_send_buffer_size(SOCKET_BUFFER));
        let bound = if address.ip().is_unspecified() { Bound::Every } else { Bound::One };
        datagram::prepare(&socket, address.is_ipv4(), bound)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        let advertised = advertised.unwrap_or_else(|| local.ip());
        Ok(Self { local, advertised, foreign: Mutex::default(), socket: Arc::new(socket) })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether what goes from this address goes out here.
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        self.local == address || self.is_everywhere() && is_same_port(self.local, address)
    }

    fn is_everywhere(&self) -> bool {
        self.local.ip().is_unspecified()
    }

    /// The task that reads it.
    pub(super) fn receiver(&self, shared: Shared) -> impl Future<Output = ()> + use<> {
        let (socket, local) = (Arc::clone(&self.socket), self.local);
        async move {
            let mut buffers = (vec![0; DATAGRAM_MAX], datagram::control());
            loop {
                let ready = tokio::select! {
                    () = shared.stop.cancelled() => return,
                    ready = socket.ready(Interest::READABLE | Interest::ERROR) => ready,
                };
                match ready {
                    Ok(ready) if ready.is_error() => take_errors(&socket, local, &shared),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(%local, %error, "a UDP socket cannot be read any more");
                        return;
                    }
                }
                take_batch(&socket, local, &mut buffers, &shared);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Sends at once or not at all, from our end of the flow.
    pub(super) fn send(&self, bytes: &[u8], flow: Flow, metrics: &Metrics) -> io::Result<()> {
        let peer = flow.peer;
        let source = self.source(flow.local);
        // The system call is made directly: the runtime's own view of readiness may lag behind on a fresh socket.
        let sent = match datagram::send(&*self.socket, bytes, peer, source) {
            Err(error) if source.is_some() && is_not_ours(&error) => {
                if flow.local.ip().is_unspecified() {
                    *self.foreign() = Some(Instant::now());
                }
                datagram::send(&*self.socket, bytes, peer, None)
            }
            sent => sent,
        };
        match sent {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Lost as on the wire; the transaction sends it again.
                metrics.queue_dropped.with_label_values(&["udp_out"]).inc();
                Ok(())
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "a datagram could not be sent");
                Err(error)
            }
        }
    }

    fn foreign(&self) -> MutexGuard<'_, Option<Instant>> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address to send from: the one that was spoken to, or else the one that peers are told.
    fn source(&self, local: SocketAddr) -> Option<IpAddr> {
        if !self.is_everywhere() {
            return None;
        }
        let wanted = if local.ip().is_unspecified() {
            let is_foreign = self.foreign().is_some_and(|since| since.elapsed() < FOREIGN_FOR);
            Some(self.advertised).filter(|_| !is_foreign)
        } else {
            Some(local.ip())
        };
        wanted.filter(|wanted| wanted.is_ipv4() == self.local.is_ipv4() && !wanted.is_unspecified())
    }
}

fn is_same_port(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.is_ipv4() == other.is_ipv4()
}

/// Whether the address to send from may be to blame: Linux says so in different words for either family.
fn is_not_ours(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, InvalidInput, NetworkUnreachable};
    matches!(error.kind(), AddrNotAvailable | InvalidInput | NetworkUnreachable)
}

fn take_batch(
    socket: &UdpSocket,
    local: SocketAddr,
    (buffer, control): &mut (Vec<u8>, Vec<u8>),
    shared: &Shared,
) {
    for _ in 0..BATCH {
        let received = match socket.try_io(Interest::READABLE, || datagram::receive(socket, buffer, control))
        {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // An ICMP answer to something sent earlier, which comes with its details by another way; the next datagram
            // is not concerned.
            Err(error) => {
                tracing::debug!(%local, %error, "a UDP socket reported an error");
                continue;
            }
        };
        let bytes = Bytes::copy_from_slice(&buffer[..received.length]);
        shared.metrics.count_message(Transport::Udp, Direction::Inbound, &bytes);
        let local = SocketAddr::new(received.to.unwrap_or_else(|| local.ip()), local.port());
        let flow = Flow { transport: Transport::Udp, local, peer: received.peer, connection: None };
        tell(shared, Inbound::Datagram { flow, bytes, at: Instant::now() });
    }
}

fn take_errors(socket: &UdpSocket, local: SocketAddr, shared: &Shared) {
    for _ in 0..ERRORS {
        match socket.try_io(Interest::ERROR, || datagram::next_error(socket)) {
            Ok(Some(datagram::Unreachable { peer, quoted })) => {
                tracing::debug!(%local, %peer, "nobody can be reached");
                let flow = Flow { transport: Transport::Udp, local, peer, connection: None };
                tell(shared, Inbound::Unreachable { flow, quoted });
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => {
                tracing::debug!(%local, %error, "an ICMP error could not be read");
                return;
            }
        }
    }
}

fn tell(shared: &Shared, news: Inbound) {
    if let Err(TrySendError::Full(_)) = shared.inbound.try_send(news) {
        shared.metrics.queue_dropped.with_label_values(&["udp_in"]).inc();
    }
}
