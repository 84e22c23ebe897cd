//! From the INVITE to the dial: the call's record is opened, its leases and its media are asked for.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::attempt::Body;
use super::charge::Share;
use super::exchange::{Description, Exchange};
use super::failover::Attempts;
use super::leg::Phase;
use super::media::{Then, read_first_offer};
use super::reliable::{Reliable, Said};
use super::{Assurance, Attempt, Call, CallLeg, CallTimer, Context, LegId, Listing, Parties, Plan, Stage};
use crate::circle;
use crate::dialog::{Dialog, NextHop, contact_of};
use crate::directory::Peer;
use crate::makes;
use crate::message::{Message, Name};
use crate::refusal::Refusal;
use crate::transaction::ServerKey;
use crate::types::{CallUid, Ending, Event, Flow, Leg, Reply, SdpRole};

/// An INVITE that starts a call, from a peer that has been recognised.
pub(crate) struct Arrival {
    pub(crate) invite: Message,
    pub(crate) server: ServerKey,
    pub(crate) flow: Flow,
    pub(crate) peer: Peer,
    pub(crate) assurance: Assurance,
    /// Max-Forwards left for the callee.
    pub(crate) max_forwards: u8,
    pub(crate) uid: CallUid,
    pub(crate) plan: Plan,
}

impl Parties {
    fn of(arrival: &Arrival) -> Self {
        Self {
            from: arrival.plan.calling.clone(),
            to: arrival.plan.called.clone(),
            is_withheld: arrival.plan.caller.is_withheld,
            user_agent: arrival.invite.header(Name::UserAgent).map(str::to_owned),
        }
    }
}

impl Call {
    /// Opens a call: 100 at once, then either the refusal or the questions.
    pub(crate) fn open(ctx: &mut Context<'_>, arrival: Arrival) -> Self {
        let (uid, trail) = (arrival.uid, circle::trail_on(&arrival.invite, arrival.uid));
        let listings = Listing::all(&arrival.plan, arrival.peer, ctx.directory);
        let parties = Parties::of(&arrival);
        let mut caller = caller_leg(ctx, &arrival);
        let plan = arrival.plan;
        let session = caller.session.on_request(&ctx.settings.calls, &arrival.invite);
        ctx.index.insert_caller(&caller.dialog, uid);
        ctx.out.tell(Event::CallStarted {
            call: uid,
            source: arrival.flow.peer,
            from: parties.from.clone(),
            to: parties.to.clone(),
        });
        let offer = read_first_offer(ctx, arrival.peer, &arrival.invite);
        if let (Peer::Profile(_), Ok(Some(offer))) = (arrival.peer, &offer) {
            ctx.registrar.note_media(arrival.peer, makes::shown_by(&offer.remote), ctx.out);
        }
        let exchange = Exchange::new(
            Leg::Caller,
            arrival.server,
            arrival.invite,
            arrival.flow.peer,
            offer.as_ref().ok().cloned().flatten(),
        );
        let mut call = Self {
            uid,
            stage: Stage::Setup,
            started: ctx.now.monotonic,
            answered: None,
            has_rung: false,
            confirmation: arrival.assurance.into(),
            has_media: false,
            max_forwards: arrival.max_forwards,
            trail,
            parties,
            carrier: plan.carrier.clone(),
            callee_call_id: None,
            codecs: Vec::new(),
            detail: None,
            caller,
            callee: None,
            abandoned: Vec::new(),
            plan,
            attempt: None,
            obstacle: None,
            attempts: 0,
            tries: Attempts::default(),
            callees: 0,
            exchange: Some(exchange),
            parting: None,
            forwards: Vec::new(),
            forward_serial: 0,
            early_forwards: 0,
            held: None,
            media: VecDeque::new(),
            shares: SmallVec::new(),
            timers: SmallVec::new(),
            ways: Vec::new(),
            listings,
            is_listed: false,
        };
        call.say_trying(ctx);
        match call.plan.refusal.or_else(|| session.err()).or_else(|| offer.err()) {
            Some(why) => call.end_refused(ctx, why),
            None => call.admit(ctx),
        }
        call
    }

    /// Says that the call is being worked on, for as long as the INVITE is valid (RFC 3261 section 13.3.1).
    fn say_trying(&mut self, ctx: &mut Context<'_>) {
        self.send_provisional(ctx, 100, Said::Nothing);
        let expires_s = self.exchange.as_ref().and_then(|exchange| exchange.request.expires());
        if let Some(expires_s) = expires_s {
            self.start_timer(ctx, CallTimer::Expires, Duration::from_secs(expires_s.into()));
        }
    }

    /// Asks for the leases and, at the same time, gets the first target ready.
    fn admit(&mut self, ctx: &mut Context<'_>) {
        for (leg, profile, usage) in std::mem::take(&mut self.plan.shares) {
            self.shares.push(Share::ask(ctx, self.uid, leg, profile, usage, &self.parties));
        }
        self.start_timer(ctx, CallTimer::Question, ctx.settings.calls.question_patience);
        self.try_next_target(ctx, Refusal::NoCarrier);
    }

    /// A reply has come.
    pub(crate) fn on_reply(&mut self, ctx: &mut Context<'_>, reply: Reply) {
        match reply {
            Reply::Reserved { lease, result } => self.on_reserved(ctx, lease, result),
            Reply::Extended { lease, result } => self.on_extended(ctx, lease, result),
            Reply::Media { result, .. } => self.on_media(ctx, result),
            Reply::Resolved { addresses, .. } => self.on_look_up(ctx, addresses),
        }
    }

    /// Stops the wait for replies once none is outstanding.
    pub(super) fn question_answered(&mut self, ctx: &mut Context<'_>) {
        let is_resolving = self.attempt.as_ref().is_some_and(Attempt::is_resolving);
        let is_waiting = self.shares.iter().any(Share::is_asked) || is_resolving || !self.media.is_empty();
        if !is_waiting {
            self.stop_timer(ctx, CallTimer::Question);
        }
    }

    /// A question was never answered: something of ours is broken or too slow, and the caller must not wait for it.
    pub(super) fn on_question_unanswered(&mut self, ctx: &mut Context<'_>) {
        let why = if self.shares.iter().any(Share::is_asked) {
            Refusal::StoreUnavailable
        } else {
            Refusal::InternalFault
        };
        if self.caller.phase == Phase::Early {
            self.end_refused(ctx, why);
        } else {
            self.forget_media_jobs();
            self.abandon_exchange(ctx, why);
        }
    }

    /// The offer has been rewritten for the callee, or for the other half in a re-INVITE.
    pub(super) fn on_offer_ready(&mut self, ctx: &mut Context<'_>, sdp: Bytes) {
        if self.stage == Stage::Setup {
            if let Some(attempt) = &mut self.attempt {
                attempt.body_is_ready(Body::Ready(sdp));
            }
            self.launch(ctx);
        } else {
            self.send_reinvite(ctx, Some(&sdp));
        }
    }

    /// Asks the relay for the echo endpoint.
    pub(super) fn prepare_echo(&mut self, ctx: &mut Context<'_>) {
        match self.exchange.as_ref().and_then(|exchange| exchange.offer.clone()) {
            Some(offer) => self.describe(ctx, Leg::Caller, SdpRole::Offer, offer, Then::Echo),
            None => self.offer_echo(ctx),
        }
    }

    /// A call to the echo without an offer, or a re-INVITE: the 2xx makes one, the ACK answers it.
    pub(super) fn offer_echo(&mut self, ctx: &mut Context<'_>) {
        match Description::of_echo() {
            Some(ours) => self.describe(ctx, Leg::Caller, SdpRole::Offer, ours, Then::EchoOffer),
            None => self.end_refused(ctx, Refusal::InternalFault),
        }
    }

    /// Whether we are the callee.
    pub(super) fn is_echo(&self) -> bool {
        self.callee.is_none() && self.stage == Stage::Running
    }

    /// The echo endpoint is open: answer, once the channel is granted as well.
    pub(super) fn answer_echo(&mut self, ctx: &mut Context<'_>, sdp: &Bytes) {
        if self.stage == Stage::Running {
            return self.send_2xx(ctx, Some(sdp));
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.body_is_ready(Body::Ready(sdp.clone()));
        }
        self.launch(ctx);
    }

    /// The caller gave up before the answer (RFC 3261 section 9.2).
    pub(crate) fn on_cancel(&mut self, ctx: &mut Context<'_>, invite: ServerKey, cancel: &Message) {
        if self.caller.phase == Phase::Early {
            // The callee may have answered already; as long as the caller was not told, nothing has come of it.
            let reasons = self.reasons_of(ctx, Leg::Caller, cancel);
            self.end(ctx, Ending::Cancelled, 487, reasons);
        } else {
            self.cancel_reinvite(ctx, invite, cancel);
        }
    }
}

fn caller_leg(ctx: &mut Context<'_>, arrival: &Arrival) -> CallLeg {
    let next_hop = if matches!(arrival.peer, Peer::Carrier(_)) { NextHop::Target } else { NextHop::Flow };
    let called = crate::message::Uri::parse(arrival.invite.request_uri()).ok();
    let user = called.and_then(|uri| uri.user().map(str::to_owned)).unwrap_or_default();
    let contact = contact_of(ctx.settings, &arrival.flow, &user);
    let tag = ctx.rng.token();
    let dialog = Dialog::of_caller(
        &arrival.invite,
        arrival.flow,
        next_hop,
        tag,
        contact,
        ctx.settings.calls.max_forwards,
    );
    let reliable = Reliable::of(&arrival.invite);
    CallLeg { reliable, ..CallLeg::new(ctx, LegId::Caller, arrival.peer, dialog) }
}
