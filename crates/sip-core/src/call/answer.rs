//! Responses on their way back: from the callee to the caller, or from the other half to whoever re-INVITEs.

use bytes::Bytes;

use super::detail;
use super::exchange::{Description, Earlier, Exchange};
use super::failover::Word;
use super::leg::Phase;
use super::media::{Alone, Then};
use super::{Call, CallTimer, ClientUser, Context, LegId, Purpose, Reasons, Stage};
use crate::message::{Message, Method};
use crate::refusal::Refusal;
use crate::types::{AttemptResult, Ending, Event, Flow, Leg, Question, SdpRole, Trouble};

impl Call {
    /// A response to this request of the call has come.
    pub(crate) fn on_response(
        &mut self,
        ctx: &mut Context<'_>,
        user: ClientUser,
        request: &Bytes,
        response: &Message,
    ) {
        let status = response.status();
        if user.purpose == Purpose::Invite {
            self.hear_carrier(ctx, user.leg);
        }
        if self.is_met(ctx, user, request, response) {
            return;
        }
        let is_first = user.purpose == Purpose::Invite;
        if !is_first && (101..=199).contains(&status) && *response.method() == Method::Invite {
            self.confirm_within(ctx, user.leg, response);
        }
        match user.purpose {
            Purpose::Invite => self.on_invite_response(ctx, user.leg, response),
            Purpose::Reinvite => self.on_reinvite_response(ctx, user.leg, response),
            Purpose::Refresh => self.on_refreshed(ctx, user.leg, status, Some(response)),
            Purpose::Forward(serial) if status >= 200 => {
                self.on_forward_answered(ctx, user.leg, serial, response);
            }
            Purpose::Bye if status >= 200 => self.on_bye_answered(user.leg),
            Purpose::Forward(_) | Purpose::Bye | Purpose::Cancel | Purpose::Prack | Purpose::Stray => {}
        }
    }

    /// A request of this call was never answered, or could not be sent: `trouble` says which.
    pub(crate) fn on_unanswered(&mut self, ctx: &mut Context<'_>, user: ClientUser, trouble: Trouble) {
        match user.purpose {
            Purpose::Invite if self.is_current_callee(user.leg) => self.on_invite_unanswered(ctx, trouble),
            Purpose::Invite | Purpose::Bye => self.on_bye_answered(user.leg),
            Purpose::Reinvite => self.on_reinvite_unanswered(ctx, user.leg),
            Purpose::Refresh => self.on_refreshed(ctx, user.leg, 408, None),
            Purpose::Forward(serial) => self.on_forward_unanswered(ctx, user.leg, serial),
            // Whoever waits for it repeats its response, or gives the INVITE up.
            Purpose::Cancel | Purpose::Prack | Purpose::Stray => {}
        }
    }

    pub(super) fn is_current_callee(&self, id: LegId) -> bool {
        self.stage == Stage::Setup && self.callee.as_ref().is_some_and(|leg| leg.id == id)
    }

    fn on_invite_response(&mut self, ctx: &mut Context<'_>, id: LegId, response: &Message) {
        if !self.is_current_callee(id) {
            return self.on_late_response(ctx, id, response);
        }
        match response.status() {
            100 => self.on_trying(ctx),
            101..=199 => self.on_provisional(ctx, response),
            200..=299 => self.on_answer(ctx, response),
            _ if !response.has_status() => self.on_unreadable_answer(ctx, response),
            _ => self.on_invite_failed(ctx, response),
        }
    }

    /// The callee has answered; the call is charged from the moment at which the caller is told.
    fn on_answer(&mut self, ctx: &mut Context<'_>, response: &Message) {
        self.stop_attempt_timers(ctx);
        self.stop_timer(ctx, CallTimer::NoAnswer);
        self.stop_timer(ctx, CallTimer::Parting);
        self.conclude(ctx, AttemptResult::Answered, Some(response));
        let mut earlier = Earlier::Nothing;
        if let Some(leg) = &mut self.callee {
            earlier = leg.confirm(response);
            leg.session.on_answer(response);
            leg.phase = Phase::Confirmed;
        }
        self.learn_media(ctx);
        self.stage = Stage::Running;
        self.early_forwards = self.forward_serial;
        self.watch_session(ctx, Leg::Callee);
        self.pass_2xx(ctx, Leg::Callee, response, earlier);
    }

    /// What the callee answers is no status, so nobody can say whether it accepts: taken for a refusal by the
    /// transaction, for an acceptance by a BYE, which ends an early dialog as well (RFC 3261 section 15). Nobody else is
    /// called.
    fn on_unreadable_answer(&mut self, ctx: &mut Context<'_>, response: &Message) {
        if let Some(leg) = &mut self.callee {
            leg.confirm(response);
            leg.phase = Phase::Confirmed;
        }
        self.end_refused(ctx, Refusal::AnswerUnreadable);
    }

    /// Passes a 2xx to whoever sent the exchange's INVITE. `from` is who answered, and may have described its media
    /// in a provisional response.
    pub(super) fn pass_2xx(
        &mut self,
        ctx: &mut Context<'_>,
        from: Leg,
        response: &Message,
        earlier: Earlier,
    ) {
        let Some(exchange) = &self.exchange else { return };
        let is_first = exchange.is_first();
        let said = Description::of(response);
        let Some(offer) = &exchange.offer else {
            return self.pass_late_2xx(ctx, from, response, said, earlier);
        };
        let answer = match (earlier, said) {
            // What was said in a 2xx behind an agreement is only a copy of it.
            (Earlier::Agreed(answer), _) => Ok(answer),
            (_, Err(_)) => Err(Refusal::AnswerUnusable),
            // An answer that takes nothing of the offer makes a mute call: the callee should have refused it.
            (_, Ok(Some(answer))) if is_first && answer.is_off() => Err(Refusal::MediaRefused),
            (_, Ok(Some(answer))) => answer.into_answer_to(offer).ok_or(Refusal::AnswerUnusable),
            // Some user agents answer in the 183 and leave the 200 empty.
            (Earlier::Heard(answer), Ok(None)) => Ok(answer),
            (Earlier::Nothing, Ok(None)) => Err(Refusal::AnswerMissing),
        };
        if let Some(leg) = self.half(from) {
            leg.ack(ctx, response, None);
        }
        match answer {
            Ok(answer) => self.describe(ctx, from, SdpRole::Answer, answer, Then::Final),
            Err(why) => self.on_answer_missing(ctx, why),
        }
    }

    /// The same for an INVITE without an offer, which the 2xx makes, unless that was done in a provisional response.
    fn pass_late_2xx(
        &mut self,
        ctx: &mut Context<'_>,
        from: Leg,
        response: &Message,
        said: Result<Option<Description>, Refusal>,
        earlier: Earlier,
    ) {
        let is_first = self.exchange.as_ref().is_some_and(Exchange::is_first);
        let answered = self.exchange.as_ref().and_then(|exchange| exchange.agreed.clone());
        let Some(leg) = self.half(from) else { return };
        match (earlier, said, answered) {
            (Earlier::Agreed(offer), _, Some(answered)) => {
                leg.ack(ctx, response, None);
                // Another device may have been heard since.
                let then = Then::Alone { asker: Alone::Final, answered: Box::new(answered) };
                self.describe(ctx, from, SdpRole::Offer, offer, then);
            }
            // It was answered for a caller that could not be asked, and is offered that answer now.
            (Earlier::Agreed(offer), _, None) => {
                leg.ack(ctx, response, None);
                if let Some(exchange) = &mut self.exchange {
                    exchange.passed_offer = Some(offer.clone());
                }
                self.describe(ctx, from, SdpRole::Offer, offer, Then::Final);
            }
            (_, Ok(Some(offer)), _) if !(is_first && offer.is_off()) => {
                leg.owe_ack(ctx, response);
                if let Some(exchange) = &mut self.exchange {
                    (exchange.passed_offer, exchange.agreed) = (Some(offer.clone()), None);
                }
                self.describe(ctx, from, SdpRole::Offer, offer, Then::Final);
            }
            (_, said, _) => {
                leg.ack_and_decline(ctx, response);
                let why =
                    if matches!(said, Ok(None)) { Refusal::AnswerMissing } else { Refusal::AnswerUnusable };
                self.on_answer_missing(ctx, why);
            }
        }
    }

    /// A 2xx says nothing of its sender's media, or nothing that can be used. A call that has begun goes on as it was.
    fn on_answer_missing(&mut self, ctx: &mut Context<'_>, why: Refusal) {
        if self.answered.is_some() {
            self.abandon_exchange(ctx, why);
        } else {
            self.end_refused(ctx, why);
        }
    }

    /// The caller is told of the answer: the billing clock starts. A call that fails between the callee's 2xx and ours,
    /// because its description is of no use, is not billed.
    pub(super) fn start_clock(&mut self, ctx: &mut Context<'_>) {
        self.answered = Some(ctx.now.monotonic);
        let after = ctx.now.monotonic.saturating_duration_since(self.started);
        ctx.out.tell(Event::Answered { call: self.uid, after });
        self.begin_to_charge(ctx);
        ctx.out.ask(Question::WatchMedia { call: self.uid });
        self.start_timer(ctx, CallTimer::Longest, ctx.settings.calls.longest);
        self.start_charging(ctx);
    }

    /// A response to an INVITE that is no longer wanted, or one that was answered before.
    fn on_late_response(&mut self, ctx: &mut Context<'_>, id: LegId, response: &Message) {
        let (uid, status) = (self.uid, response.status());
        if (200..300).contains(&status) && self.is_of_another_device(id, response) {
            return self.reject_fork(ctx, id, response);
        }
        let Some(leg) = self.leg(id) else { return };
        match status {
            100..=199 => self.send_cancel(ctx, id),
            // The callee that we talk to answers again: its ACK was lost (RFC 3261 section 13.2.2.4).
            200..=299 if leg.phase == Phase::Confirmed => leg.acknowledge_only(ctx, response),
            200..=299 if !leg.is_new_2xx(ctx, response) => {}
            // The CANCEL crossed the 200 (RFC 3261 section 9.1): accept, and hang up.
            200..=299 => {
                leg.confirm(response);
                leg.ack_alone(ctx, response);
                leg.hang_up(ctx, uid, Reasons::none());
            }
            _ => {
                leg.phase = Phase::Closed;
                leg.invite = None;
            }
        }
    }

    /// A 2xx to an INVITE whose transaction has ended: its ACK was lost time and again, or the callee was given up
    /// before it said anything.
    pub(crate) fn on_stray_answer(
        &mut self,
        ctx: &mut Context<'_>,
        id: LegId,
        flow: Flow,
        response: &Message,
    ) {
        let is_abandoned = self.abandoned.iter().any(|leg| leg.id == id);
        let is_fork = self.is_of_another_device(id, response);
        let Some(leg) = self.leg(id).filter(|leg| leg.is_from_peer(ctx, flow)) else { return };
        if is_abandoned || is_fork {
            self.on_late_response(ctx, id, response);
        } else if leg.phase == Phase::Confirmed {
            // Also a re-INVITE's, given up when its connection was lost: without an ACK the peer would hang up.
            leg.acknowledge_only(ctx, response);
        } else {
            leg.is_new_2xx(ctx, response);
        }
    }

    /// The caller learns that the callee would not or could not.
    pub(super) fn pass_failure(&mut self, ctx: &mut Context<'_>, status: u16, response: Option<&Message>) {
        let why = why_failed(status, self.carrier_is_tried());
        // 3xx is not followed (toll fraud); a status the caller could misread as its own fault becomes the row's.
        let passed = match status {
            404 | 410 | 480 | 484 | 486 | 488 | 500..=699 => status,
            _ => why.status(),
        };
        let reasons =
            response.map(|response| self.reasons_of(ctx, Leg::Callee, response)).unwrap_or_default();
        self.detail = response.and_then(|response| detail::of(why, response, self.carrier_is_tried()));
        if let (Refusal::CarriersFailed, Some(response)) = (why, response) {
            return self.pass_carriers_failure(ctx, passed, Word::of(response));
        }
        self.end(ctx, Ending::Refused(why), passed, reasons);
    }
}

/// What a callee's refusal means (RFC 3261 section 21).
fn why_failed(status: u16, is_carrier: bool) -> Refusal {
    match status {
        300..=399 => Refusal::CalleeRedirected,
        403 => Refusal::CalleeForbids,
        404 | 604 => Refusal::CalleeUnknown,
        // A carrier that says so has let it ring: told that the trunk failed, a PBX would let it ring again elsewhere.
        408 => Refusal::NoAnswer,
        410 => Refusal::CalleeMoved,
        480 => Refusal::CalleeUnavailable,
        484 => Refusal::CalleeIncomplete,
        486 | 600 => Refusal::CalleeBusy,
        415 | 488 | 606 => Refusal::MediaRefused,
        420 => Refusal::CalleeLacksExtension,
        421 => Refusal::CalleeNeedsExtension,
        // RFC 5079.
        433 => Refusal::CalleeWantsCaller,
        482 | 483 => Refusal::CalleeLoop,
        485 => Refusal::CalleeAmbiguous,
        500..=599 if is_carrier => Refusal::CarriersFailed,
        500..=599 => Refusal::PbxFailed,
        // Unwanted (RFC 8197) and rejected (RFC 8688) are declined by whom or what was asked first.
        603 | 607 | 608 => Refusal::CalleeDeclined,
        _ => Refusal::CalleeFailed,
    }
}

/// Whether a response accepts an INVITE.
pub(crate) fn is_answer(response: &Message) -> bool {
    (200..300).contains(&response.status()) && *response.method() == Method::Invite
}
