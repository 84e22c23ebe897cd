//! What can go wrong at start and with a call.

use crate::session::NegotiationError;
use std::io;
use std::net::IpAddr;

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The same local address twice.
    #[error("the media address {0} is listed twice")]
    DuplicateAddress(IpAddr),
    /// Bound and advertised address are not of one family.
    #[error("the media address {bind} cannot be advertised as {advertise}: one is IPv4, the other IPv6")]
    MixedFamily {
        /// Where sockets are bound.
        bind: IpAddr,
        /// What peers are told.
        advertise: IpAddr,
    },
    /// No address to bind.
    #[error("there is no media address")]
    NoAddresses,
    /// The range holds no even port with its odd one.
    #[error("the media port range holds no pair of an even port and the odd one above it")]
    NoPorts,
    /// A count or a queue length is zero, or over its bound.
    #[error("{what} must be between 1 and {most}")]
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// Its upper bound.
        most: usize,
    },
    /// The kernel refused a thread or a descriptor.
    #[error("the media workers could not be started: {0}")]
    System(#[from] io::Error),
}

/// Why a command about a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// The worker's queue is full: more commands than it can do.
    #[error("the media worker is overloaded")]
    Busy,
    /// There is a live call of this id.
    #[error("a call with this media id is open already")]
    DuplicateCall,
    /// The description was refused; the reason says whose fault it is.
    #[error(transparent)]
    Negotiation(#[from] NegotiationError),
    /// No local address of the family that is needed.
    #[error("there is no local media address of the family the peer uses")]
    NoAddress,
    /// Every port pair is in use or rests.
    #[error("all media ports are in use")]
    NoPorts,
    /// The kernel gave no socket: too many open files, or no memory.
    #[error("no media socket could be opened: {0}")]
    NoSockets(io::ErrorKind),
    /// The engine has ended.
    #[error("the media engine has stopped")]
    Stopped,
    /// There is no live call of this id.
    #[error("there is no open call with this media id")]
    UnknownCall,
    /// An address of the other family than the leg was opened with.
    #[error("the peer moved between IPv4 and IPv6 within a call")]
    WrongFamily,
}
