//! What is told of carriers: the one in a call, each attempt to reach one, and how their addresses stand.

use std::net::SocketAddr;
use std::time::Duration;

use super::CarrierId;

/// A carrier as it was when a call met it: a record keeps the name when the carrier is renamed or removed meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierLabel {
    /// The number in the store.
    pub id: CarrierId,
    /// The name at that time.
    pub name: String,
}

/// What can be wrong with a carrier's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trouble {
    /// It asked to be left alone for a while: 500 or 503 with Retry-After (RFC 3261 section 20.33).
    AsksToWait,
    /// It did not accept our credentials.
    Credentials,
    /// It answered 408 or 5xx.
    Failing,
    /// It answered nothing at all.
    Silent,
    /// It said 100 and nothing more.
    Stalled,
    /// The transport failed: no connection, or the network said that nobody is there.
    Unreachable,
    /// The carrier's name leads to no address.
    Unresolved,
}

impl Trouble {
    /// Every kind, for documentation and metrics.
    pub const ALL: [Self; 7] = [
        Self::AsksToWait,
        Self::Credentials,
        Self::Failing,
        Self::Silent,
        Self::Stalled,
        Self::Unreachable,
        Self::Unresolved,
    ];

    /// The code for machines.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AsksToWait => "asks_to_wait",
            Self::Credentials => "credentials",
            Self::Failing => "failing",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Unreachable => "unreachable",
            Self::Unresolved => "unresolved",
        }
    }

    /// One plain sentence, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AsksToWait => "The carrier asked to be left alone for a while.",
            Self::Credentials => "The carrier did not accept the gateway's credentials.",
            Self::Failing => "The carrier could not handle the call.",
            Self::Silent => "The carrier did not answer.",
            Self::Stalled => "The carrier took the call and did nothing with it.",
            Self::Unreachable => {
                "The carrier could not be reached: its host or port refused, or the connection failed."
            }
            Self::Unresolved => "The carrier's name leads to no address.",
        }
    }
}

/// What became of an attempt to reach a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// The called side answered.
    Answered,
    /// The called side refused.
    Refused,
    /// The carrier failed.
    Failed(Trouble),
    /// The gateway has no listener of the transport and address family that the carrier needs.
    NoListener,
    /// The call was given up before there was a final answer.
    Withdrawn,
}

impl AttemptResult {
    /// The code for machines.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed(trouble) => trouble.code(),
            Self::NoListener => "no_listener",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// One plain sentence, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Answered => "The called side answered.",
            Self::Refused => "The called side refused the call.",
            Self::Failed(trouble) => trouble.sentence(),
            Self::NoListener => "The gateway has no listener of the carrier's transport and address family.",
            Self::Withdrawn => "The call was given up before the carrier gave a final answer.",
        }
    }
}

/// One attempt to reach a carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierAttempt {
    /// Which carrier.
    pub carrier: CarrierLabel,
    /// Which of its addresses; `None` if its name led to none.
    pub address: Option<SocketAddr>,
    /// The status of its final answer, if it gave one.
    pub status: Option<u16>,
    /// The Q.850 cause that it named.
    pub cause: Option<u8>,
    /// Why it refused or ended the call, in its own words, which may name it.
    pub said: Option<String>,
    /// What became of it.
    pub result: AttemptResult,
    /// How long it took.
    pub took: Duration,
}

/// Whether calls are sent to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// They are.
    Up,
    /// They are not, until that much time has passed.
    Down {
        /// Why.
        why: Trouble,
        /// When the next call may try it.
        retry_in: Duration,
    },
    /// One call tries it.
    Trial {
        /// Why it was down.
        why: Trouble,
    },
}

/// How one address of a carrier stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressStanding {
    /// The address; `None` stands for the carrier's name, which led to none.
    pub address: Option<SocketAddr>,
    /// Whether calls are sent to it.
    pub availability: Availability,
    /// How long it has not been up; zero if it is.
    pub down_for: Duration,
}

/// How a carrier stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierStanding {
    /// Which carrier.
    pub carrier: CarrierLabel,
    /// Its addresses that calls have met, in the order in which they were found.
    pub addresses: Vec<AddressStanding>,
}
