//! Looks from outside: registrations, bans and calls, in parts, so that a look costs what it shows.

use super::Gateway;
use crate::bans::{Ban, BanCounts, Banned};
use crate::call::{CallsOf, Listing, LiveCall};
use crate::types::{Binding, CallUid, CarrierStanding, Now, ProfileId};

/// How much of everything there is, for metrics and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls, those that only say goodbye included.
    pub calls: usize,
    /// Calls that are over and only say goodbye.
    pub closing: usize,
    /// Server and client transactions.
    pub transactions: usize,
    /// Registered PBXs.
    pub bindings: usize,
    /// Dialogs.
    pub dialogs: usize,
    /// Calls' timers.
    pub timers: usize,
    /// Sources whose rate is remembered.
    pub sources: usize,
    /// Connections that calls go over.
    pub ways: usize,
    /// Connections on which a certificate was shown.
    pub certified: usize,
}

impl Counts {
    /// Calls in set-up or running.
    pub fn live_calls(&self) -> usize {
        self.calls - self.closing
    }
}

impl Gateway {
    /// The next registered PBXs behind `after`, in the order of their profiles, `most` of them.
    pub fn bindings(&self, after: Option<ProfileId>, most: usize) -> Vec<Binding> {
        self.registrar.bindings(after).take(most).cloned().collect()
    }

    /// The profiles of the next registered PBXs behind `after`, in order, `most` of them.
    pub fn registered(&self, after: Option<ProfileId>, most: usize) -> Vec<ProfileId> {
        self.registrar.bindings(after).take(most).map(|binding| binding.profile).collect()
    }

    /// The registered PBXs of these profiles.
    pub fn bindings_of(&self, profiles: &[ProfileId]) -> Vec<Binding> {
        profiles.iter().filter_map(|profile| self.registrar.binding(*profile)).cloned().collect()
    }

    /// Who is not heard for having guessed too many passwords: the next behind `after`, in order, `most` of them.
    pub fn bans(&mut self, now: Now, after: Option<&Banned>, most: usize) -> Vec<Ban> {
        self.bans.in_force(now.monotonic, after, most)
    }

    /// How many are not heard.
    pub fn count_bans(&mut self, now: Now) -> BanCounts {
        self.bans.count(now.monotonic)
    }

    /// Every call, oldest first. Takes long where there are many: a gateway at work is asked for
    /// [a part](Self::live_calls_of).
    pub fn live_calls(&self) -> Vec<LiveCall> {
        let mut calls = self.live_calls_of(CallsOf::Everybody, None, usize::MAX);
        calls.sort_by_key(|call| (call.started, call.call));
        calls
    }

    /// The next calls behind `after`, in the order of their identities, `most` of them.
    pub fn live_calls_of(&self, whose: CallsOf, after: Option<CallUid>, most: usize) -> Vec<LiveCall> {
        self.calls
            .listed(Listing::Shown(whose), after)
            .take(most)
            .filter_map(|uid| self.live_call(uid))
            .collect()
    }

    /// The identities of the next calls behind `after`, in order, `most` of them.
    pub fn call_uids(&self, after: Option<CallUid>, most: usize) -> Vec<CallUid> {
        self.calls.listed(Listing::Shown(CallsOf::Everybody), after).take(most).collect()
    }

    /// How the carriers stand, in the order in which they are tried.
    pub fn carriers(&self, now: Now) -> Vec<CarrierStanding> {
        self.breakers.standings(now.monotonic, &self.directory)
    }

    /// One call.
    pub fn live_call(&self, uid: CallUid) -> Option<LiveCall> {
        self.calls.live(uid)
    }

    /// How much of everything there is.
    pub fn counts(&self) -> Counts {
        Counts {
            calls: self.calls.len(),
            closing: self.calls.closing(),
            transactions: self.transactions.len(),
            bindings: self.registrar.len(),
            dialogs: self.index.len(),
            timers: self.timers.len(),
            sources: self.rates.tracked(),
            ways: self.ways.len(),
            certified: self.certified.len(),
        }
    }
}
