//! A callee that hangs up before the caller has heard of its answer. The carrier has seen an answered call, so the
//! caller is told of one: 200, and then BYE.

use super::leg::Phase;
use super::{Call, CallTimer, Context, Reasons, Stage};
use crate::refusal::Refusal;
use crate::types::{Ending, Leg};

/// The callee has said goodbye, and the caller waits for its answer.
#[derive(Debug)]
pub(crate) struct Parting {
    reasons: Reasons,
}

impl Call {
    /// The callee's BYE has come while the caller's INVITE is unanswered.
    pub(super) fn on_parting(&mut self, ctx: &mut Context<'_>, reasons: Reasons) {
        self.parting = Some(Parting { reasons });
        if self.stage == Stage::Setup {
            // Only a dialog that was confirmed is ended from that side (RFC 3261 section 15), so there is a 2xx: overtaken by
            // the BYE, or lost, and then it comes again after T1 and 3 * T1. No other target may ring for it.
            if let Some(attempt) = &mut self.attempt {
                attempt.progressed();
            }
            self.stop_attempt_timers(ctx);
            self.start_timer(ctx, CallTimer::Parting, ctx.settings.timers.t1 * 4);
        } else if let Some(leg) = &mut self.callee {
            leg.phase = Phase::Closed;
            leg.let_go(ctx);
        }
    }

    /// The caller was told of the answer; now it is told of the goodbye.
    pub(super) fn conclude_parting(&mut self, ctx: &mut Context<'_>) {
        let Some(Parting { reasons }) = self.parting.take() else { return };
        if let Some(leg) = &mut self.callee {
            leg.phase = Phase::Closed;
        }
        self.end(ctx, Ending::HungUp(Leg::Callee), 200, reasons);
    }

    /// The answer does not come any more.
    pub(super) fn on_answer_lost(&mut self, ctx: &mut Context<'_>) {
        let Some(Parting { reasons }) = self.parting.take() else { return };
        let why = Refusal::HungUpUnanswered;
        self.end(ctx, Ending::Refused(why), why.status(), reasons);
    }
}
