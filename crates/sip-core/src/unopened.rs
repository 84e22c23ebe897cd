//! INVITEs refused before a call was opened for them: they leave their record like every other attempt.
//!
//! Only those of somebody we know. A stranger's attempt leaves nothing but a line of the log, or anybody could fill
//! the database.

use std::sync::Arc;
use std::time::Duration;

use crate::caller::{Caller, claimed_caller};
use crate::directory::{Carrier, Peer};
use crate::gateway::Gateway;
use crate::guard::Pace;
use crate::message::{Message, Name, Uri};
use crate::owner::Owner;
use crate::refusal::Refusal;
use crate::types::{CallRecord, Ending, Event, Flow, Lease, Leg, Now, ProfileId, Question};
use crate::{number, route};

/// Attempts that prove nothing leave a record with the profile that they name this often at most; whoever guesses
/// passwords must not fill the database.
pub(crate) const UNPROVED_RECORD_EVERY: Duration = Duration::from_secs(60);
/// So many may come at once: a PBX with a wrong password that tries a call now and then is shown whole.
pub(crate) const UNPROVED_RECORD_BURST: u32 = 20;

impl Gateway {
    /// Records the attempt of a peer that was recognised.
    pub(crate) fn record_unopened(
        &mut self,
        now: Now,
        flow: Flow,
        invite: &Message,
        peer: Peer,
        why: Refusal,
    ) {
        let caller = self.told_caller(peer, invite);
        self.record((now, flow), invite, (peer, caller), (why, None));
    }

    /// Records an attempt that named a profile and did not prove to be its.
    pub(crate) fn record_unproved(
        &mut self,
        now: Now,
        flow: Flow,
        invite: &Message,
        peer: Peer,
        why: Refusal,
    ) {
        if self.may_record(now, peer) {
            self.record((now, flow), invite, (peer, Caller::UNKNOWN), (why, None));
        }
    }

    /// Records a call beyond a limit of calls a second, for itself and for those before it that have left no record.
    pub(crate) fn record_too_fast(
        &mut self,
        now: Now,
        flow: Flow,
        invite: &Message,
        profile: ProfileId,
        (why, unrecorded): (Refusal, u64),
    ) {
        let peer = Peer::Profile(profile);
        let caller = self.told_caller(peer, invite);
        let detail = match unrecorded {
            0 => None,
            1 => Some("One more since the last record was refused as well.".to_owned()),
            more => Some(format!("{more} more since the last record were refused as well.")),
        };
        self.record((now, flow), invite, (peer, caller), (why, detail));
    }

    /// Records a malformed INVITE, if it comes from where a peer is known to be.
    pub(crate) fn record_faulty(&mut self, now: Now, flow: Flow, invite: &Message, why: Refusal) {
        let bound = || self.registrar.profiles_at(flow).next().map(Peer::Profile);
        let known = match self.owner(now, flow, invite) {
            Owner::Known(peer) => Some(peer),
            Owner::Doubted(..) | Owner::Unknown => None,
        };
        let Some(peer) = known.or_else(bound) else { return };
        // Refused without state, so a repetition is another attempt.
        if self.may_record(now, peer) {
            let caller = self.told_caller(peer, invite);
            self.record((now, flow), invite, (peer, caller), (why, None));
        }
    }

    /// Who calls, as a peer that we know tells us.
    fn told_caller(&self, peer: Peer, invite: &Message) -> Caller {
        match peer {
            Peer::Carrier(id) => Caller::of_carrier(self.directory.carrier(id).map(Arc::as_ref), invite),
            Peer::Profile(id) => {
                let profile = self.directory.profile(id);
                profile.map_or(Caller::UNKNOWN, |profile| Caller::claimed_by_pbx(profile, invite))
            }
        }
    }

    fn may_record(&mut self, now: Now, peer: Peer) -> bool {
        match peer {
            Peer::Profile(profile) => self.unproved_records.take(now.monotonic, profile) == Pace::Within,
            Peer::Carrier(_) => true,
        }
    }

    fn record(
        &mut self,
        (now, flow): (Now, Flow),
        invite: &Message,
        (peer, caller): (Peer, Caller),
        (why, detail): (Refusal, Option<String>),
    ) {
        let (leg, profile, carrier) = match peer {
            Peer::Profile(id) => (Leg::Caller, Some(id), None),
            Peer::Carrier(id) => {
                let carrier = self.directory.carrier(id).map(Arc::as_ref);
                let called = route::incoming(&self.directory, carrier, invite).ok();
                (Leg::Callee, called.map(|called| called.profile), carrier.map(Carrier::label))
            }
        };
        let from = caller.recorded().unwrap_or_else(|| claimed_caller(invite));
        let called = Uri::parse(invite.request_uri()).ok().and_then(|uri| number::dialled(&uri));
        let of_phone = |phone| self.directory.profile(phone).map(|phone| phone.company);
        let phone_of = profile.filter(|profile| profile.is_phone()).and_then(of_phone);
        let profile = profile.filter(|profile| !profile.is_phone());
        let (call, to) = (self.rng.call_uid(), called.unwrap_or_default());
        let ending = Ending::Refused(why);
        self.out.tell(Event::CallStarted { call, source: flow.peer, from: from.clone(), to: to.clone() });
        self.out.ask(Question::Settle(Box::new(CallRecord {
            lease: Lease { call, leg },
            profile,
            phone_of,
            usage: None,
            reserved: false,
            carrier,
            from,
            is_withheld: caller.is_withheld,
            to,
            started: now.monotonic,
            answered: None,
            is_unconfirmed: false,
            ended: now.monotonic,
            ending,
            status: why.status(),
            cause: Some(why.row().cause),
            attempts: Vec::new(),
            detail: detail.clone(),
            caller_call_id: invite.call_id().unwrap_or_default().to_owned(),
            callee_call_id: None,
            user_agent: invite.header(Name::UserAgent).map(str::to_owned),
            codecs: Vec::new(),
        })));
        self.out.tell(Event::Ended { call, ending, status: why.status(), detail });
    }
}
