//! Why PBXs cannot register: the last refusal of each profile's REGISTER, until one succeeds. Whoever sets a PBX up reads
//! here what its log does not say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;

use crate::refusal::Refusal;
use crate::types::ProfileId;

/// A REGISTER that was refused, or challenged again for what is wrong with its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRegistration {
    /// Whose user name it gave. Whether it was the profile's PBX is another matter.
    pub profile: ProfileId,
    /// Why.
    pub why: Refusal,
    /// What exactly is wrong, if the reason does not say it.
    pub detail: Option<&'static str>,
    /// Where it came from.
    pub source: SocketAddr,
    /// When, in seconds since 1970.
    pub at_unix_s: u64,
}

/// The last one of each profile, as many as there may be bindings.
#[derive(Debug)]
pub(super) struct RefusedRegistrations {
    last: BTreeMap<ProfileId, RefusedRegistration>,
    limit: usize,
}

impl RefusedRegistrations {
    pub(super) fn new(limit: usize) -> Self {
        Self { last: BTreeMap::new(), limit }
    }

    pub(super) fn note(&mut self, refused: RefusedRegistration) {
        if self.last.len() < self.limit || self.last.contains_key(&refused.profile) {
            self.last.insert(refused.profile, refused);
        }
    }

    pub(super) fn forget(&mut self, profile: ProfileId) {
        self.last.remove(&profile);
    }

    pub(super) fn of(&self, profile: ProfileId) -> Option<&RefusedRegistration> {
        self.last.get(&profile)
    }

    /// Those behind `after`, in the order of their profiles.
    pub(super) fn behind(&self, after: Option<ProfileId>) -> impl Iterator<Item = &RefusedRegistration> {
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.last.range((first, Bound::Unbounded)).map(|(_, refused)| refused)
    }
}
