//! A callee that hangs up before its answer was passed to the caller, or before the caller has shown that it is there. The
//! carrier has seen an answered call, so the caller is told of one, 200 and then BYE, and pays for it if it is there.

use std::time::Instant;

use super::leg::Phase;
use super::{Call, CallTimer, Context, Reasons, Stage};
use crate::refusal::Refusal;
use crate::types::{Ending, Leg};

/// The callee has said goodbye, and the call waits for the caller's answer or for a sign of the caller.
#[derive(Debug)]
pub(crate) struct Parting {
    reasons: Reasons,
    /// When the callee said goodbye: nothing is charged for what comes after.
    at: Instant,
}

impl Call {
    /// The callee's BYE has come while the caller's INVITE is unanswered, or its answer unconfirmed.
    pub(super) fn on_parting(&mut self, ctx: &mut Context<'_>, reasons: Reasons) {
        if self.parting.is_some() {
            return;
        }
        self.parting = Some(Parting { reasons, at: ctx.now.monotonic });
        if self.stage == Stage::Setup {
            // Only a dialog that was confirmed is ended from that side (RFC 3261 section 15), so there is a 2xx: overtaken by
            // the BYE, or lost, and then it comes again after T1 and 3 * T1. No other target may ring for it.
            if let Some(attempt) = &mut self.attempt {
                attempt.progressed();
            }
            self.stop_attempt_timers(ctx);
            self.start_timer(ctx, CallTimer::Parting, ctx.settings.timers.t1 * 4);
        } else {
            self.close_parted(ctx);
        }
    }

    /// The caller was told of the answer, or has shown that it is there; with both it is told of the goodbye.
    pub(super) fn conclude_parting(&mut self, ctx: &mut Context<'_>) {
        let Some(reasons) = self.parting.as_ref().map(|parting| parting.reasons.clone()) else { return };
        self.close_parted(ctx);
        if !self.is_unconfirmed() {
            self.end(ctx, Ending::HungUp(Leg::Callee), 200, reasons);
        }
    }

    /// The callee is gone: what it is owed is sent, and it is sent nothing more.
    fn close_parted(&mut self, ctx: &mut Context<'_>) {
        if let Some(leg) = &mut self.callee {
            leg.phase = Phase::Closed;
            leg.let_go(ctx);
            leg.our_2xx = None;
        }
        self.stop_timer(ctx, CallTimer::Resend(Leg::Callee));
        self.stop_timer(ctx, CallTimer::AckWait(Leg::Callee));
    }

    /// When the call was over for those who talk: when the callee has hung up, or now. Never before the answer.
    pub(super) fn ended(&self, now: Instant) -> Instant {
        let parted = self.parting.as_ref().map_or(now, |parting| parting.at);
        self.answered.map_or(parted, |answered| answered.max(parted))
    }

    /// The answer does not come any more.
    pub(super) fn on_answer_lost(&mut self, ctx: &mut Context<'_>) {
        let Some(Parting { reasons, .. }) = self.parting.take() else { return };
        let why = Refusal::HungUpUnanswered;
        self.end(ctx, Ending::Refused(why), why.status(), reasons);
    }
}
