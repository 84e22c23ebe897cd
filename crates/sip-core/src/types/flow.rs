//! Ways between us and a peer.

use std::net::SocketAddr;

use bytes::Bytes;

/// A SIP transport (RFC 3261 section 18). `sips` is taken over TLS alone, for the hop to us: what carries the call
/// on is the next peer's transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// RFC 768 datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// Whether the transport itself delivers: no retransmissions are sent over it (RFC 3261 section 17.1).
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// Whether what is said over this transport could be overheard over the other.
    pub(crate) fn is_more_secret_than(self, other: Self) -> bool {
        self == Self::Tls && other != Self::Tls
    }

    /// The spelling in a Via header field.
    pub fn via_token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The spelling in a `transport=` parameter.
    pub fn param(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// The port used where none is named (RFC 3261 section 19.1.2).
    pub fn default_port(self) -> u16 {
        if self == Self::Tls { 5061 } else { 5060 }
    }
}

/// One accepted or opened connection, numbered by the shell and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Where a message came from, and where an answer to it goes.
///
/// With a `connection` the answer goes over that connection only; without one, a datagram goes from `local`
/// to `peer`, and for a stream the shell reuses or opens a connection to `peer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The transport of the message.
    pub transport: Transport,
    /// Our address: the one that was spoken to. Of what we begin ourselves the listener's, which may stand for every
    /// address of the machine: then it is sent from the one that peers are told.
    pub local: SocketAddr,
    /// The other end, as the packet shows it.
    pub peer: SocketAddr,
    /// The connection, for TCP and TLS.
    pub connection: Option<ConnectionId>,
}

impl Flow {
    /// Whether both are one way to and from a peer, at whichever address of ours it speaks to us. A connection is one with
    /// what was said to be sent over any that leads to its peer.
    pub fn is_same_way(&self, other: &Self) -> bool {
        let is_same_connection = match (self.connection, other.connection) {
            (Some(one), Some(another)) => one == another,
            _ => true,
        };
        is_same_connection && (self.transport, self.peer) == (other.transport, other.peer)
    }
}

/// A message to put on the wire.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Where to.
    pub flow: Flow,
    /// The octets.
    pub bytes: Bytes,
}
