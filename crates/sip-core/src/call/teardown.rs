//! The one place where a call ends: whoever hangs up, whatever fails, everything is settled exactly once.

use super::forward::Asked;
use super::leg::Phase;
use super::{Call, CallLeg, CallTimer, Context, LegId, Purpose, Reasons, Share, Stage};
use crate::call::ClientUser;
use crate::directory::Peer;
use crate::message::{Message, Method};
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
    /// Ends the call. `status` is the caller's final answer if it has none yet; `reasons` are passed on, and where there are
    /// none, a refusal's own are given.
    pub(crate) fn end(&mut self, ctx: &mut Context<'_>, ending: Ending, status: u16, reasons: Reasons) {
        if self.stage == Stage::Over {
            return;
        }
        self.stage = Stage::Over;
        self.stop_call_timers(ctx);
        self.conclude(ctx, AttemptResult::Withdrawn, None);
        let ending = if self.is_unconfirmed() {
            self.close_unconfirmed(ctx);
            Ending::Refused(Refusal::AnswerUnconfirmed)
        } else {
            ending
        };
        // First, so that what the relay has counted can go into the records.
        if std::mem::take(&mut self.has_media) {
            ctx.out.ask(Question::CloseMedia { call: self.uid });
        }
        self.settle(ctx, Outcome { ending, status, cause: cause_told(ending, &reasons) });
        self.forget_media_jobs();
        self.close_caller(ctx, ending, status, &reasons);
        self.refuse_pending(ctx);
        self.close_callee_leg(ctx, goodbye(ending, reasons));
        let (status, detail) = (self.final_status(status), self.detail.take());
        ctx.out.tell(Event::Ended { call: self.uid, ending, status, detail });
    }

    /// Ends the call for a reason of ours: it cannot begin, or must not go on.
    pub(crate) fn end_refused(&mut self, ctx: &mut Context<'_>, why: Refusal) {
        self.end(ctx, Ending::Refused(why), why.status(), Reasons::none());
    }

    /// Stops everything that concerns the call, but not what concerns a leg's goodbye.
    fn stop_call_timers(&mut self, ctx: &mut Context<'_>) {
        self.stop_attempt_timers(ctx);
        for timer in [
            CallTimer::NoAnswer,
            CallTimer::Expires,
            CallTimer::Parting,
            CallTimer::Question,
            CallTimer::Reprovision,
            CallTimer::Reinvite,
            CallTimer::Held,
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

    /// The record of a call that goes on. How it ends is not known yet, and stands there as if it ended now.
    pub(super) fn record_so_far(&self, ctx: &Context<'_>, lease: Lease) -> CallRecord {
        let outcome = Outcome { ending: Ending::HungUp(lease.leg), status: 200, cause: None };
        self.record(ctx, lease, outcome)
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
            ended: self.ended(ctx.now.monotonic),
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

    fn close_caller(&mut self, ctx: &mut Context<'_>, ending: Ending, status: u16, reasons: &Reasons) {
        match self.caller.phase {
            Phase::Early => {
                self.caller.phase = Phase::Closed;
                let settings = ctx.settings;
                self.refuse_exchange(ctx, status, |writer| match ending {
                    Ending::Refused(why) => respond::explain_with(writer, settings, (why, status), reasons),
                    // The caller knows its own reasons.
                    Ending::HungUp(_) | Ending::Cancelled => {
                        respond::explain(writer, settings, Refusal::Cancelled);
                    }
                });
            }
            Phase::Confirmed => self.caller.hang_up(ctx, self.uid, goodbye(ending, reasons.clone())),
            Phase::Closing | Phase::Closed => {}
        }
    }

    fn close_callee_leg(&mut self, ctx: &mut Context<'_>, reasons: Reasons) {
        let Some(mut leg) = self.callee.take() else { return };
        match leg.phase {
            Phase::Early => self.close_early(ctx, &mut leg, reasons),
            Phase::Confirmed => leg.hang_up(ctx, self.uid, reasons),
            Phase::Closing | Phase::Closed => {}
        }
        self.callee = Some(leg);
    }

    /// Gives up a leg that has not answered: CANCEL now, or once a provisional response allows it.
    pub(super) fn close_early(&mut self, ctx: &mut Context<'_>, leg: &mut CallLeg, reasons: Reasons) {
        let Some(invite) = leg.invite else {
            leg.phase = Phase::Closed;
            return;
        };
        leg.phase = Phase::Closing;
        cancel(ctx, self.uid, leg, invite, reasons);
    }

    /// A provisional response has come to an INVITE that is to be cancelled.
    pub(super) fn send_cancel(&mut self, ctx: &mut Context<'_>, id: LegId) {
        let uid = self.uid;
        let Some(leg) = self.leg(id) else { return };
        let Some(invite) = leg.invite.or(leg.reinvite) else { return };
        if let Some(reasons) = leg.cancel_owed.take() {
            cancel(ctx, uid, leg, invite, reasons);
        }
    }

    /// One half hangs up.
    pub(super) fn on_bye(&mut self, ctx: &mut Context<'_>, id: LegId, bye: Asked<'_>) {
        self.answer_plain(ctx, bye, 200);
        let half = id.role();
        let reasons = self.reasons_of(ctx, half, bye.request);
        let is_talking = self.half(half).is_some_and(|leg| leg.id == id);
        if is_talking && half == Leg::Callee {
            self.tries.note_goodbye(&Reasons::of(bye.request));
        }
        let is_early = self.caller.phase == Phase::Early;
        match half {
            // RFC 3261 section 15.1.1 lets the caller take back an INVITE so; it is answered 487 (section 15.1.2).
            Leg::Caller if is_talking && is_early => return self.end(ctx, Ending::Cancelled, 487, reasons),
            Leg::Callee if is_talking && (is_early || self.is_unconfirmed()) => {
                return self.on_parting(ctx, reasons);
            }
            Leg::Caller | Leg::Callee => {}
        }
        let Some(leg) = self.leg(id) else { return };
        leg.phase = Phase::Closed;
        leg.let_go(ctx);
        leg.our_2xx = None;
        if !is_talking {
            // A callee given up says goodbye for itself; the call goes on with another.
            return;
        }
        self.stop_timer(ctx, CallTimer::Resend(half));
        self.stop_timer(ctx, CallTimer::AckWait(half));
        self.end(ctx, Ending::HungUp(half), 200, reasons);
    }

    /// The Reasons in a message of one half, as the other may read them: no words of a carrier, which could name it, nor of a
    /// caller who is withheld. A carrier's own words are told to the operator.
    pub(super) fn reasons_of(&self, ctx: &mut Context<'_>, half: Leg, message: &Message) -> Reasons {
        let reasons = Reasons::of(message);
        let peer = match half {
            Leg::Caller => Some(self.caller.peer),
            Leg::Callee => self.callee_peer(),
        };
        if let Some(Peer::Carrier(carrier)) = peer {
            for said in reasons.iter() {
                ctx.out.tell(Event::CarrierReason { call: self.uid, carrier, said: said.to_owned() });
            }
            return reasons.without_words();
        }
        let is_hidden = half == Leg::Caller && self.plan.caller.is_withheld;
        if is_hidden { reasons.without_words() } else { reasons }
    }

    /// Our BYE was answered, or never will be; either way that leg is gone.
    pub(super) fn on_bye_answered(&mut self, id: LegId) {
        if let Some(leg) = self.leg(id) {
            leg.phase = Phase::Closed;
        }
    }
}

/// Cancels an INVITE of ours: now, or as soon as a provisional response allows it (RFC 3261 section 9.1).
pub(super) fn cancel(
    ctx: &mut Context<'_>,
    call: CallUid,
    leg: &mut CallLeg,
    invite: ClientKey,
    reasons: Reasons,
) {
    let Some((sent, flow)) = ctx.transactions.cancellable_invite(invite) else {
        leg.cancel_owed = Some(reasons).filter(|_| ctx.transactions.awaits_final(invite));
        return;
    };
    let Some((cancel, branch)) = cancel_of(&sent, |writer| reasons.write(writer)) else { return };
    let user = ClientUser { call, leg: leg.id, purpose: Purpose::Cancel };
    let request = Outgoing { flow, method: &Method::Cancel, branch: &branch, bytes: cancel, user };
    ctx.transactions.request(ctx.now.monotonic, request, ctx.out);
    ctx.transactions.abandon(ctx.now.monotonic, invite, ctx.out);
}

/// The Q.850 cause that the parties are told.
fn cause_told(ending: Ending, reasons: &Reasons) -> Option<u8> {
    match ending {
        _ if !reasons.is_empty() => reasons.q850_cause(),
        Ending::Refused(why) => Some(why.row().cause),
        Ending::HungUp(_) | Ending::Cancelled => None,
    }
}

/// The Reasons of a BYE or CANCEL: the other side's, passed on, or ours.
fn goodbye(ending: Ending, reasons: Reasons) -> Reasons {
    match ending {
        Ending::Refused(why) => reasons.or_else(|| Reasons::ours(why)),
        Ending::HungUp(_) | Ending::Cancelled => reasons,
    }
}
