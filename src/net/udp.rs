//! One UDP port.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip_core::types::{Flow, Transport};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::error::TrySendError;

use super::Inbound;
use super::connections::Shared;
use crate::metrics::{Direction, Metrics};

/// Room for the bursts of a few hundred calls while the engine is busy; the system may grant less.
const SOCKET_BUFFER: usize = 8 << 20;
/// The largest datagram there is: a large INVITE must not be cut.
const DATAGRAM_MAX: usize = 65_536;
/// Datagrams taken before other tasks get their turn.
const BATCH: usize = 256;

/// A bound port.
pub(super) struct UdpPort {
    /// The address it got.
    pub(super) local: SocketAddr,
    socket: Arc<UdpSocket>,
}

impl UdpPort {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
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
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { local: socket.local_addr()?, socket: Arc::new(socket) })
    }

    /// The task that reads it.
    pub(super) fn receiver(&self, shared: Shared) -> impl Future<Output = ()> + use<> {
        let (socket, local) = (Arc::clone(&self.socket), self.local);
        async move {
            let mut buffer = vec![0; DATAGRAM_MAX];
            loop {
                tokio::select! {
                    () = shared.stop.cancelled() => return,
                    ready = socket.readable() => if let Err(error) = ready {
                        tracing::error!(%local, %error, "a UDP socket cannot be read any more");
                        return;
                    },
                }
                take_batch(&socket, local, &mut buffer, &shared);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Sends at once or not at all.
    pub(super) fn send(&self, bytes: &[u8], peer: SocketAddr, metrics: &Metrics) -> io::Result<()> {
        // The system call is made directly: the runtime's own view of readiness may lag behind on a fresh socket.
        match SockRef::from(&*self.socket).send_to(bytes, &peer.into()) {
            Ok(_) => Ok(()),
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
}

fn take_batch(socket: &UdpSocket, local: SocketAddr, buffer: &mut [u8], shared: &Shared) {
    for _ in 0..BATCH {
        let (length, peer) = match socket.try_recv_from(buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // An ICMP answer to something sent earlier; the next datagram is not concerned.
            Err(error) => {
                tracing::debug!(%local, %error, "a UDP socket reported an error");
                continue;
            }
        };
        let bytes = Bytes::copy_from_slice(&buffer[..length]);
        shared.metrics.count_message(Transport::Udp, Direction::Inbound, &bytes);
        let flow = Flow { transport: Transport::Udp, local, peer, connection: None };
        let datagram = Inbound::Datagram { flow, bytes, at: Instant::now() };
        if let Err(TrySendError::Full(_)) = shared.inbound.try_send(datagram) {
            shared.metrics.queue_dropped.with_label_values(&["udp_in"]).inc();
        }
    }
}
