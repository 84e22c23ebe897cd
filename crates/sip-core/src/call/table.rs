//! All calls: found by their identity, and listed in order by whose they are, so that a look at some of them costs
//! nothing for the others.

use std::collections::{BTreeSet, HashMap};

use smallvec::SmallVec;

use super::{Call, LegId, LiveCall, Plan, Stage};
use crate::directory::{Directory, Peer};
use crate::types::{CallUid, CompanyId, ProfileId};

/// Which calls are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallsOf {
    /// All.
    Everybody,
    /// Those in which a profile of this company has a share.
    Company(CompanyId),
    /// Those in which this profile has a share.
    Profile(ProfileId),
}

/// What a call is listed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Listing {
    /// For whoever may see it.
    Shown(CallsOf),
    /// The profile's PBX, or the business account's phone, calls or is called.
    Party(ProfileId),
}

/// A call's listings; they do not change while it lasts.
pub(crate) type Listings = SmallVec<[Listing; 7]>;

impl Listing {
    /// What the call of `peer` is listed under that is planned like this.
    pub(super) fn all(plan: &Plan, peer: Peer, directory: &Directory) -> Listings {
        let mut listings: Listings = SmallVec::new();
        listings.push(Self::Shown(CallsOf::Everybody));
        for (_, profile, _) in &plan.shares {
            listings.push(Self::Shown(CallsOf::Profile(*profile)));
            let company = directory.profile(*profile).map(|profile| profile.company);
            listings.extend(company.map(|company| Self::Shown(CallsOf::Company(company))));
        }
        listings.extend(peer.profile().into_iter().chain(plan.called_profiles()).map(Self::Party));
        listings.sort_unstable();
        listings.dedup();
        listings
    }
}

/// All calls. One that is at work is taken out meanwhile.
#[derive(Debug, Default)]
pub(crate) struct CallTable {
    /// Boxed: each message takes a call out and puts it back, and a call is large.
    calls: HashMap<CallUid, Box<Call>>,
    listed: BTreeSet<(Listing, CallUid)>,
    /// Calls that are over and only say goodbye.
    closing: usize,
    /// Calls looked at so far.
    #[cfg(test)]
    pub(crate) examined: std::cell::Cell<usize>,
}

impl CallTable {
    /// Takes a call out, for as long as something is done with it.
    pub(crate) fn take(&mut self, uid: CallUid) -> Option<Box<Call>> {
        let call = self.calls.remove(&uid)?;
        self.closing -= usize::from(call.stage == Stage::Over);
        Some(call)
    }

    /// Puts a call in, or back.
    pub(crate) fn put(&mut self, mut call: Box<Call>) {
        if !std::mem::replace(&mut call.is_listed, true) {
            self.listed.extend(call.listings.iter().map(|listing| (*listing, call.uid)));
        }
        self.closing += usize::from(call.stage == Stage::Over);
        self.calls.insert(call.uid, call);
    }

    /// A call that was taken out is finished.
    pub(crate) fn forget(&mut self, call: &Call) {
        for listing in &call.listings {
            self.listed.remove(&(*listing, call.uid));
        }
    }

    pub(crate) fn contains(&self, uid: CallUid) -> bool {
        self.calls.contains_key(&uid)
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// How many are over and only say goodbye.
    pub(crate) fn closing(&self) -> usize {
        self.closing
    }

    /// Calls with this listing, in order, from behind `after` on.
    pub(crate) fn listed(
        &self,
        listing: Listing,
        after: Option<CallUid>,
    ) -> impl Iterator<Item = CallUid> + '_ {
        use std::ops::Bound::{Excluded, Included};
        let first = after.map_or(Included((listing, CallUid(0))), |after| Excluded((listing, after)));
        let last = Included((listing, CallUid(u128::MAX)));
        self.listed.range((first, last)).map(|(_, uid)| {
            #[cfg(test)]
            self.examined.set(self.examined.get() + 1);
            *uid
        })
    }

    /// Whether a profile makes so many calls to this number that are not answered yet.
    pub(crate) fn ringing(&self, caller: ProfileId, called: &str, many: usize) -> bool {
        let own = self.listed(Listing::Party(caller), None).filter_map(|uid| self.calls.get(&uid));
        own.filter(|call| call.is_ringing_from(caller, called)).take(many).count() == many
    }

    /// The peer of a call's leg.
    pub(crate) fn peer_of(&mut self, uid: CallUid, leg: LegId) -> Option<Peer> {
        Some(self.calls.get_mut(&uid)?.leg(leg)?.peer)
    }

    /// A look at a call from outside.
    pub(crate) fn live(&self, uid: CallUid) -> Option<LiveCall> {
        self.calls.get(&uid).map(|call| call.live())
    }
}
