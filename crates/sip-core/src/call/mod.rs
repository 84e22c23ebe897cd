//! One call: a back-to-back user agent between a caller's leg and a callee's (one file for each verb).
//!
//! `setup` admits, `failover` chooses the carrier, `attempt` dials, `answer` passes responses back, `media` keeps
//! descriptions in order, `forward` serves a running call, `glare` lets one offer pass at a time, `reconnect` finds a
//! lost peer again, `charge` keeps it within what is paid, `confirmation` waits for a sign of a caller whose address
//! may be forged, `teardown` ends it in one place.

mod acks;
mod answer;
mod attempt;
mod challenge;
mod charge;
mod confirmation;
mod credentials;
mod detail;
mod early;
mod early_offer;
mod exchange;
mod failover;
mod forks;
mod forward;
mod glare;
mod identity;
mod info;
mod leg;
mod media;
mod parting;
mod plan;
mod progress;
mod reasons;
mod reconnect;
mod reliable;
mod session;
mod setup;
mod table;
mod teardown;
mod ways;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::breaker::Breakers;
use crate::certified::Certified;
use crate::dialog::Dialog;
use crate::directory::{Directory, Peer};
use crate::guard::Rates;
use crate::outbox::Outbox;
use crate::refusal::Refusal;
use crate::registrar::Registrar;
use crate::rng::Rng;
use crate::settings::Settings;
use crate::timers::{TimerHandle, Timers};
use crate::transaction::Transactions;
use crate::types::{CallUid, CarrierLabel, Flow, Leg, Now, ProfileId, Usage};

pub(crate) use answer::is_answer;
pub(crate) use attempt::Attempt;
use charge::Share;
use confirmation::Confirmation;
pub(crate) use confirmation::{Assurance, UNCONFIRMED_BURST, UNCONFIRMED_EVERY};
use exchange::Exchange;
use failover::Attempts;
pub(crate) use forks::{hang_up_stray, prove_stray};
pub(crate) use forward::Sender;
use glare::Held;
use info::Forward;
pub(crate) use leg::CallLeg;
use media::MediaJob;
use parting::Parting;
pub(crate) use plan::Plan;
pub(crate) use reasons::Reasons;
pub(crate) use setup::Arrival;
pub use table::CallsOf;
pub(crate) use table::{CallTable, Listing, Listings};
pub(crate) use ways::{Way, WayIndex};

/// One of a call's legs: every try to reach the callee has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LegId {
    Caller,
    /// The callee as tried for the n-th time.
    Callee(u16),
}

impl LegId {
    pub(crate) fn role(self) -> Leg {
        match self {
            Self::Caller => Leg::Caller,
            Self::Callee(_) => Leg::Callee,
        }
    }
}

/// Which request of a call an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientUser {
    pub(crate) call: CallUid,
    pub(crate) leg: LegId,
    pub(crate) purpose: Purpose,
}

/// Why we sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The first INVITE of a leg.
    Invite,
    /// A later one.
    Reinvite,
    /// Keeps the session alive.
    Refresh,
    /// The other leg's request, passed on.
    Forward(u32),
    /// Confirms a provisional response.
    Prack,
    Cancel,
    Bye,
    /// Hangs an answer up that no leg is kept for.
    Stray,
}

/// A call's timers; each runs at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallTimer {
    /// The callee rings too long; runs from the first INVITE on, whichever target is tried.
    NoAnswer,
    /// The caller's INVITE is valid no longer (RFC 3261 section 13.3.1).
    Expires,
    /// The target has not reacted at all.
    Patience,
    /// The target has said 100 and nothing more.
    Progress,
    /// A question stayed unanswered.
    Question,
    /// Send our 2xx again.
    Resend(Leg),
    /// The ACK to our 2xx does not come.
    AckWait(Leg),
    /// Ask for more paid time.
    Extend(Leg),
    /// What is paid ends.
    CutOff(Leg),
    /// Send an unconfirmed provisional response again.
    Reprovision,
    /// Refresh the session, or give it up.
    Session(Leg),
    /// Ask a leg whose connection was lost and made anew whether it knows the call, or give it up.
    Reconnect(Leg),
    /// A re-INVITE or UPDATE that was passed on has no final answer.
    Reinvite,
    /// Another request that was passed on has none.
    Forward(u32),
    /// An offer waits for the ACK that it has overtaken.
    Held,
    /// No sign of the caller has come since its call was answered.
    Confirmation,
    /// The callee has hung up, and the answer that it must have given does not come.
    Parting,
    /// No call lasts longer.
    Longest,
}

/// Which leg a request within a dialog belongs to, by Call-ID and our tag; and which call a caller has dialled, by
/// Call-ID and its own tag.
#[derive(Debug, Default)]
pub(crate) struct DialogIndex {
    legs: HashMap<Box<str>, (CallUid, LegId)>,
    dialled: HashMap<Box<str>, CallUid>,
}

impl DialogIndex {
    fn key(call_id: &str, local_tag: &str) -> Box<str> {
        // A tag is a token and holds no slash, so the joint is unambiguous.
        format!("{local_tag}/{call_id}").into_boxed_str()
    }

    pub(crate) fn insert(&mut self, call_id: &str, local_tag: &str, leg: (CallUid, LegId)) {
        self.legs.insert(Self::key(call_id, local_tag), leg);
    }

    pub(crate) fn remove(&mut self, call_id: &str, local_tag: &str) {
        self.legs.remove(&Self::key(call_id, local_tag));
    }

    pub(crate) fn find(&self, call_id: &str, local_tag: &str) -> Option<(CallUid, LegId)> {
        self.legs.get(&Self::key(call_id, local_tag)).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.legs.len()
    }

    /// What carries no tag of ours yet, a CANCEL, finds its call by the caller's.
    pub(crate) fn insert_caller(&mut self, dialog: &Dialog, call: CallUid) {
        self.insert(&dialog.call_id, &dialog.local_tag, (call, LegId::Caller));
        if let Some(tag) = dialog.remote_tag() {
            self.dialled.insert(Self::key(&dialog.call_id, tag), call);
        }
    }

    fn remove_dialled(&mut self, call_id: &str, remote_tag: &str, call: CallUid) {
        let key = Self::key(call_id, remote_tag);
        if self.dialled.get(&key) == Some(&call) {
            self.dialled.remove(&key);
        }
    }

    pub(crate) fn dialled(&self, call_id: &str, remote_tag: &str) -> Option<CallUid> {
        self.dialled.get(&Self::key(call_id, remote_tag)).copied()
    }
}

/// What a call works with besides itself: the rest of the gateway, borrowed for one input.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) settings: &'a Settings,
    pub(crate) directory: &'a Directory,
    pub(crate) registrar: &'a mut Registrar,
    pub(crate) certified: &'a Certified,
    /// How many answers of late may be without a sign of the caller, for each profile.
    pub(crate) unconfirmed: &'a mut Rates<ProfileId>,
    pub(crate) breakers: &'a mut Breakers,
    pub(crate) rng: &'a mut Rng,
    pub(crate) transactions: &'a mut Transactions<ClientUser>,
    pub(crate) timers: &'a mut Timers<(CallUid, CallTimer)>,
    pub(crate) index: &'a mut DialogIndex,
    pub(crate) out: &'a mut Outbox,
}

impl Context<'_> {
    /// Who speaks from there, by certificate or address. Of several that share it the first.
    pub(crate) fn known_peer(&self, flow: Flow) -> Option<Peer> {
        self.certified.peer_at(self.directory, flow)
    }

    /// Whether this peer is known there, by certificate or address.
    pub(crate) fn is_known_at(&self, peer: Peer, flow: Flow) -> bool {
        self.certified.may_be_at(self.directory, peer, flow)
    }

    /// Whether a peer is in our trust domain (RFC 3325): some carriers are, and no PBX is.
    pub(crate) fn is_trusted(&self, peer: Peer) -> bool {
        match peer {
            Peer::Profile(_) => false,
            Peer::Carrier(id) => self.directory.carrier(id).is_some_and(|carrier| carrier.is_trusted),
        }
    }

    /// Where a PBX has registered, or else the connection on which it has shown its certificate.
    fn way_to(&self, profile: ProfileId) -> Option<Flow> {
        self.registrar.way_to(profile).or_else(|| self.certified.way_to(profile))
    }
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The callee has not answered.
    Setup,
    /// Answered.
    Running,
    /// Ended; only goodbyes are outstanding.
    Over,
}

/// A call from its INVITE to the last goodbye.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) uid: CallUid,
    pub(crate) stage: Stage,
    started: Instant,
    answered: Option<Instant>,
    has_rung: bool,
    confirmation: Confirmation,
    /// Whether ports may be open.
    has_media: bool,
    /// Max-Forwards of the INVITE to the callee.
    max_forwards: u8,
    /// What marks the INVITE to a PBX, so that the call is known again if it is forwarded.
    trail: String,
    parties: Parties,
    carrier: Option<CarrierLabel>,
    callee_call_id: Option<String>,
    codecs: Vec<String>,
    /// What the callee's refusal was about, in a sentence for the record.
    detail: Option<String>,
    caller: CallLeg,
    callee: Option<CallLeg>,
    /// Callees given up whose last word is outstanding: a late 200 must be met with ACK and BYE.
    abandoned: Vec<CallLeg>,
    plan: Plan,
    attempt: Option<Attempt>,
    /// Why there is nobody left to try, while the leases are not decided yet.
    obstacle: Option<Refusal>,
    /// Targets tried so far.
    attempts: u16,
    /// What became of those that were carriers.
    tries: Attempts,
    /// Callees' legs begun, so that each has a name of its own.
    callees: u16,
    /// The INVITE that is being passed from one leg to the other: the first one, or a re-INVITE.
    exchange: Option<Exchange>,
    /// A callee that has hung up while the caller waits for its answer.
    parting: Option<Parting>,
    forwards: Vec<Forward>,
    forward_serial: u32,
    /// Requests passed before the call was answered: the serials below this one.
    early_forwards: u32,
    /// An offer that has overtaken the ACK before it.
    held: Option<Held>,
    media: VecDeque<MediaJob>,
    shares: SmallVec<[Share; 2]>,
    timers: SmallVec<[(CallTimer, TimerHandle); 4]>,
    /// The ways that it is found by.
    ways: Vec<Way>,
    /// What it is listed under.
    listings: Listings,
    is_listed: bool,
}

/// Who talks to whom, for the record.
#[derive(Clone, Debug)]
struct Parties {
    from: String,
    to: String,
    is_withheld: bool,
    user_agent: Option<String>,
}

/// A call as the outside may see it.
#[derive(Clone, Debug)]
pub struct LiveCall {
    /// Its identity.
    pub call: CallUid,
    /// How far it has come.
    pub stage: Stage,
    /// Who calls.
    pub from: String,
    /// Whether the called side must not learn who calls.
    pub is_withheld: bool,
    /// Who is called.
    pub to: String,
    /// When the INVITE came.
    pub started: Instant,
    /// When it was answered.
    pub answered: Option<Instant>,
    /// The carrier in it.
    pub carrier: Option<CarrierLabel>,
    /// The profiles in it and what each uses it for.
    pub shares: Vec<(ProfileId, Usage)>,
}

impl Call {
    /// A look from outside.
    pub(crate) fn live(&self) -> LiveCall {
        LiveCall {
            call: self.uid,
            stage: self.stage,
            from: self.parties.from.clone(),
            is_withheld: self.parties.is_withheld,
            to: self.parties.to.clone(),
            started: self.started,
            answered: self.answered,
            carrier: self.carrier.clone(),
            shares: self.shares.iter().map(|share| (share.profile, share.usage.clone())).collect(),
        }
    }

    /// Whether nothing is outstanding any more.
    pub(crate) fn is_finished(&self, ctx: &Context<'_>) -> bool {
        let callees = self.callee.iter().chain(&self.abandoned);
        self.stage == Stage::Over
            && std::iter::once(&self.caller).chain(callees).all(|leg| leg.is_closed(ctx))
    }

    fn leg(&mut self, id: LegId) -> Option<&mut CallLeg> {
        match id {
            LegId::Caller => Some(&mut self.caller),
            LegId::Callee(_) => self.callee.iter_mut().chain(&mut self.abandoned).find(|leg| leg.id == id),
        }
    }

    /// The leg that talks, as opposed to one that was given up.
    fn half(&mut self, half: Leg) -> Option<&mut CallLeg> {
        match half {
            Leg::Caller => Some(&mut self.caller),
            Leg::Callee => self.callee.as_mut(),
        }
    }

    fn is_ringing_from(&self, caller: ProfileId, called: &str) -> bool {
        self.stage == Stage::Setup && self.caller.peer == Peer::Profile(caller) && self.parties.to == called
    }

    fn start_timer(&mut self, ctx: &mut Context<'_>, timer: CallTimer, after: Duration) {
        self.start_timer_at(ctx, timer, ctx.now.monotonic + after);
    }

    fn start_timer_at(&mut self, ctx: &mut Context<'_>, timer: CallTimer, at: Instant) {
        self.stop_timer(ctx, timer);
        let handle = ctx.timers.start(at, (self.uid, timer));
        self.timers.push((timer, handle));
    }

    fn stop_timer(&mut self, ctx: &mut Context<'_>, timer: CallTimer) {
        self.timers.retain(|(running, handle)| {
            if *running == timer {
                ctx.timers.stop(*handle);
            }
            *running != timer
        });
    }

    fn is_timed(&self, timer: CallTimer) -> bool {
        self.timers.iter().any(|(running, _)| *running == timer)
    }

    /// A timer of this call has fired.
    pub(crate) fn on_timer(&mut self, ctx: &mut Context<'_>, timer: CallTimer) {
        self.timers.retain(|(running, _)| *running != timer);
        match timer {
            CallTimer::NoAnswer => self.on_no_answer(ctx),
            CallTimer::Expires => self.on_invite_expired(ctx),
            CallTimer::Patience => self.on_patience_lost(ctx),
            CallTimer::Progress => self.on_progress_missing(ctx),
            CallTimer::Question => self.on_question_unanswered(ctx),
            CallTimer::Resend(half) => self.resend_2xx(ctx, half),
            CallTimer::AckWait(half) => self.on_ack_missing(ctx, half),
            CallTimer::Extend(half) => self.extend(ctx, half),
            CallTimer::CutOff(half) => self.on_paid_time_over(ctx, half),
            CallTimer::Reprovision => self.reprovision(ctx),
            CallTimer::Session(half) => self.on_session_due(ctx, half),
            CallTimer::Reconnect(half) => self.on_reconnect_due(ctx, half),
            CallTimer::Reinvite => self.on_reinvite_overdue(ctx),
            CallTimer::Held => self.on_held_too_long(ctx),
            CallTimer::Confirmation => self.on_confirmation_missing(ctx),
            CallTimer::Forward(serial) => self.on_forward_overdue(ctx, serial),
            CallTimer::Parting => self.on_answer_lost(ctx),
            CallTimer::Longest => self.end_refused(ctx, Refusal::TooLong),
        }
    }

    /// Forgets timers and dialogs; the call is finished.
    pub(crate) fn dismantle(&mut self, ctx: &mut Context<'_>) {
        for (_, handle) in self.timers.drain(..) {
            ctx.timers.stop(handle);
        }
        let callees = self.callee.iter().chain(&self.abandoned);
        for leg in std::iter::once(&self.caller).chain(callees) {
            ctx.index.remove(&leg.dialog.call_id, &leg.dialog.local_tag);
        }
        if let Some(tag) = self.caller.dialog.remote_tag() {
            ctx.index.remove_dialled(&self.caller.dialog.call_id, tag, self.uid);
        }
    }
}
