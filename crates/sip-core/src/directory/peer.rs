//! PBXs and carriers, as one kind of thing.

use crate::auth::ip::Precedence;
use crate::types::{CarrierId, ProfileId};

/// Somebody we exchange calls with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// A customer's PBX.
    Profile(ProfileId),
    /// A trunk to the telephone network.
    Carrier(CarrierId),
}

impl Peer {
    /// Before all others in order.
    pub(crate) const LEAST: Self = Self::Profile(ProfileId(i64::MIN));

    /// The profile, if it is one.
    pub(crate) fn profile(self) -> Option<ProfileId> {
        match self {
            Self::Profile(id) => Some(id),
            Self::Carrier(_) => None,
        }
    }
}

impl Precedence for Peer {
    /// Profiles go before carriers, and those before phones; carriers in the order in which they were added, which is
    /// their order of priority.
    fn precedence(self) -> (u8, i64) {
        match self {
            Self::Profile(id) if id.is_phone() => (2, id.0.saturating_neg()),
            Self::Profile(id) => (0, id.0),
            Self::Carrier(_) => (1, 0),
        }
    }
}
