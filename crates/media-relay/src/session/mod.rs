//! One call's media as functions of (state, packet, now): no sockets, no clock, no threads.
//!
//! [`Relay`] takes packets, [`Negotiation`] takes descriptions; the engine joins them to the network, and a
//! simulation can join them to a virtual one.

mod description;
mod echo;
mod exposure;
mod hosts;
mod latch;
mod leg;
mod offer;
mod pace;
mod relay;
mod renumber;
mod rtcp;
mod silence;
mod splice;
mod stats;

pub use description::{
    Endpoint, Flow, LocalDescription, NegotiationError, Policy, Profile, Remote, RemoteDescription, Role,
    Security, Terms,
};
pub use hosts::{Hosts, Network};
pub use latch::{Latch, RELATCH_SILENCE, TRIAL_PACKETS};
pub use offer::{Negotiation, Random, Suites};
pub use relay::{Relay, SessionEvent, Verdict};
pub use renumber::Payload;
pub use stats::{CallStats, DropReason, SideStats};

/// One of the two legs of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The leg that called.
    Near,
    /// The leg that was called.
    Far,
}

impl Side {
    /// Both, in the order of [`index`](Self::index).
    pub const BOTH: [Self; 2] = [Self::Near, Self::Far];

    /// The leg opposite.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }

    /// 0 or 1.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Which socket of a leg: the even port or the odd one above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Media, and with rtcp-mux everything.
    Rtp,
    /// Control packets.
    Rtcp,
}

impl Channel {
    /// 0 or 1.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}
