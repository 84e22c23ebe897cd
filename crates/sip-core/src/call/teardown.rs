//! The one place where a call ends: whoever hangs up, whatever fails, everything is settled exactly once.

use super::forward::Asked;
use super::leg::Phase;
use super::{Call, CallLeg, CallTimer, Context, LegId, Purpose, Share, Stage};
use crate::call::ClientUser;
use crate::message::{Method, q850_cause_in};
use crate::refusal::Refusal;
use crate::respond;
use crate::transaction::{ClientKey, Outgoing, cancel_of};
use crate::types::{AttemptResult, CallRecord, CallUid, Ending, Event, Lease, Leg, Question};

/// How a call ends, for its records.
#[derive(Clone, Copy)]
struct Outcome {
    ending: Ending,
    status: u16,
    cause: Option<u8>,
}

impl Call {
    /// Ends the call. `status` is the caller's final answer if it has none yet; `reason` a Reason to pass on.
    pub(crate) fn end(&mut self, ctx: &mut Context<'_>, ending: Ending, status: u16, reason: Option<String>) {
        if self.stage == Stage::Over {
            return;
        }
        self.stage = Stage::Over;
        self.stop_call_timers(ctx);
        self.conclude(ctx, AttemptResult::Withdrawn, None);
        let ending = if self.is_unconfirmed() {
            self.forget_unconfirmed(ctx);
            Ending::Refused(Refusal::AnswerUnconfirmed)
        } else {
            ending
        };
        // First, so that what the relay has counted can go into the records.
        if std::mem::take(&mut self.has_media) {
            ctx.out.ask(Question::CloseMedia { call: self.uid });
        }
        self.settle(ctx, Outcome { ending, status, cause: cause_told(ending, reason.as_deref()) });
        self.forget_media_jobs();
        self.close_caller(ctx, ending, status, reason.as_deref());
        self.refuse_pending(ctx);
        self.close_callee_leg(ctx, goodbye(ending, reason.as_deref()));
        let (status, detail) = (self.final_status(status), self.detail.take());
        ctx.out.tell(Event::Ended { call: self.uid, ending, status, detail });
    }

    /// Ends the call for a reason of ours: it cannot begin, or must not go on.
    pub(crate) fn end_refused(&mut self, ctx: &mut Context<'_>, why: Refusal) {
        self.end(ctx, Ending::Refused(why), why.status(), None);
    }

    /// Stops everything that concerns the call, but not what concerns a leg's goodbye.
    fn stop_call_timers(&mut self, ctx: &mut Context<'_>) {
        self.stop_attempt_timers(ctx);
        for timer in [
            CallTimer::NoAnswer,
            CallTimer::Expires,
            CallTimer::Question,
            CallTimer::Reprovision,
            CallTimer::Reinvite,
            CallTimer::Longest,
        ] {
            self.stop_timer(ctx, timer);
        }
        for half in [Leg::Caller, Leg::Callee] {
            self.stop_timer(ctx, CallTimer::Extend(half));
            self.stop_timer(ctx, CallTimer::CutOff(half));
            self.stop_timer(ctx, CallTimer::Session(half));
            self.stop_timer(ctx, CallTimer::Reconnect(half));
        }
    }

    /// Hands every share's record over, or the one record of an attempt that never had a share.
    fn settle(&mut self, ctx: &mut Context<'_>, outcome: Outcome) {
        for share in &self.shares {
            let record = CallRecord {
                profile: Some(share.profile),
                usage: Some(share.usage.clone()),
                reserved: true,
                ..self.record(ctx, share.lease, outcome)
            };
            ctx.out.ask(Question::Settle(Box::new(record)));
        }
        if let Some(record) = self.phones_record(ctx, outcome) {
            ctx.out.ask(Question::Settle(Box::new(record)));
        } else if self.shares.is_empty() {
            let leg = self.plan.owner.map_or(Leg::Caller, |(leg, _)| leg);
            let lease = Lease { call: self.uid, leg };
            ctx.out.ask(Question::Settle(Box::new(self.record(ctx, lease, outcome))));
        }
    }

    /// A phone has no share, but its company reads of its calls. Of another's that the ledger did
    /// not let in there is nothing to read: why is the caller's affair.
    fn phones_record(&self, ctx: &Context<'_>, outcome: Outcome) -> Option<CallRecord> {
        let phone = self.plan.phone.as_ref()?;
        let was_let_in = !self.shares.is_empty() && self.shares.iter().all(Share::is_granted);
        if self.plan.owner.is_some() && !was_let_in {
            return None;
        }
        let lease = Lease { call: self.uid, leg: phone.leg };
        let (usage, phone_of) = (phone.usage.clone(), Some(phone.company));
        Some(CallRecord { profile: None, phone_of, usage, ..self.record(ctx, lease, outcome) })
    }

    fn record(&self, ctx: &Context<'_>, lease: Lease, outcome: Outcome) -> CallRecord {
        let Outcome { ending, status, cause } = outcome;
        CallRecord {
            lease,
            profile: self.plan.owner.map(|(_, profile)| profile),
            phone_of: None,
            usage: None,
            reserved: false,
            carrier: self.carrier.clone(),
            attempts: self.tries.concluded().to_vec(),
            from: self.parties.from.clone(),
            is_withheld: self.parties.is_withheld,
            to: self.parties.to.clone(),
            started: self.started,
            answered: self.answered,
            is_unconfirmed: self.is_unconfirmed(),
            ended: ctx.now.monotonic,
            ending,
            status: self.final_status(status),
            cause,
            detail: self.detail.clone(),
            caller_call_id: self.caller.dialog.call_id.clone(),
            callee_call_id: self.callee_call_id.clone(),
            user_agent: self.parties.user_agent.clone(),
            codecs: self.codecs.clone(),
        }
    }

    /// The caller's final answer: 200 once the call was answered, whatever ended it.
    fn final_status(&self, status: u16) -> u16 {
        if self.answered.is_some() { 200 } else { status }
    }

    fn close_caller(&mut self, ctx: &mut Context<'_>, ending: Ending, status: u16, reason: Option<&str>) {
        match self.caller.phase {
            Phase::Early => {
                self.caller.phase = Phase::Closed;
                let why = match ending {
                    Ending::Refused(why) => why,
                    Ending::HungUp(_) | Ending::Cancelled => Refusal::Cancelled,
                };
                self.refuse_exchange(ctx, status, |writer| {
                    respond::explain_with(writer, ctx.settings, why, reason);
                });
            }
            Phase::Confirmed => self.caller.hang_up(ctx, self.uid, goodbye(ending, reason)),
            Phase::Closing | Phase::Closed => {}
        }
    }

    fn close_callee_leg(&mut self, ctx: &mut Context<'_>, reason: Option<String>) {
        let Some(mut leg) = self.callee.take() else { return };
        match leg.phase {
            Phase::Early => self.close_early(ctx, &mut leg),
            Phase::Confirmed => leg.hang_up(ctx, self.uid, reason),
            Phase::Closing | Phase::Closed => {}
        }
        self.callee = Some(leg);
    }

    /// Gives up a leg that has not answered: CANCEL now, or once a provisional response allows it.
    pub(super) fn close_early(&mut self, ctx: &mut Context<'_>, leg: &mut CallLeg) {
        let Some(invite) = leg.invite else {
            leg.phase = Phase::Closed;
            return;
        };
        leg.phase = Phase::Closing;
        cancel(ctx, self.uid, leg, invite);
    }

    /// A provisional response has come to an INVITE that is to be cancelled.
    pub(super) fn send_cancel(&mut self, ctx: &mut Context<'_>, id: LegId) {
        let uid = self.uid;
        let Some(leg) = self.leg(id) else { return };
        let is_owed = std::mem::take(&mut leg.cancel_owed);
        if let Some(invite) = leg.invite.or(leg.reinvite).filter(|_| is_owed) {
            cancel(ctx, uid, leg, invite);
        }
    }

    /// One half hangs up.
    pub(super) fn on_bye(&mut self, ctx: &mut Context<'_>, id: LegId, bye: Asked<'_>) {
        self.answer_plain(ctx, bye, 200);
        let half = id.role();
        let is_talking = self.half(half).is_some_and(|leg| leg.id == id);
        let Some(leg) = self.leg(id) else { return };
        let peer = leg.peer;
        leg.phase = Phase::Closed;
        leg.let_go(ctx);
        leg.our_2xx = None;
        if !is_talking {
            // A callee given up says goodbye for itself; the call goes on with another.
            return;
        }
        self.stop_timer(ctx, CallTimer::Resend(half));
        self.stop_timer(ctx, CallTimer::AckWait(half));
        let reason = self.reason_in(ctx, peer, bye.request);
        self.end(ctx, Ending::HungUp(half), 487, reason);
    }

    /// Our BYE was answered, or never will be; either way that leg is gone.
    pub(super) fn on_bye_answered(&mut self, id: LegId) {
        if let Some(leg) = self.leg(id) {
            leg.phase = Phase::Closed;
        }
    }
}

/// Cancels an INVITE of ours: now, or as soon as a provisional response allows it (RFC 3261 section 9.1).
pub(super) fn cancel(ctx: &mut Context<'_>, call: CallUid, leg: &mut CallLeg, invite: ClientKey) {
    let Some((sent, flow)) = ctx.transactions.cancellable_invite(invite) else {
        leg.cancel_owed = ctx.transactions.awaits_final(invite);
        return;
    };
    let Some((cancel, branch)) = cancel_of(&sent) else { return };
    let user = ClientUser { call, leg: leg.id, purpose: Purpose::Cancel };
    let request = Outgoing { flow, method: &Method::Cancel, branch: &branch, bytes: cancel, user };
    ctx.transactions.request(ctx.now.monotonic, request, ctx.out);
    ctx.transactions.abandon(ctx.now.monotonic, invite, ctx.out);
}

/// The Q.850 cause that the parties are told.
fn cause_told(ending: Ending, reason: Option<&str>) -> Option<u8> {
    match (reason, ending) {
        (Some(reason), _) => q850_cause_in(reason),
        (None, Ending::Refused(why)) => Some(why.row().cause),
        (None, Ending::HungUp(_) | Ending::Cancelled) => None,
    }
}

/// The Reason of a BYE: the other side's, passed on, or ours.
fn goodbye(ending: Ending, reason: Option<&str>) -> Option<String> {
    match (reason, ending) {
        (Some(reason), _) => Some(reason.to_owned()),
        (None, Ending::Refused(why)) => Some(respond::bye_reason(why)),
        (None, Ending::HungUp(_) | Ending::Cancelled) => None,
    }
}
