//! Checks that a caller who is known by a UDP address alone receives our answers.
//!
//! The source of a datagram can be forged, so an INVITE may come from a sender that never receives our answers: it would
//! neither acknowledge nor talk, and the profile would pay. So such a call is charged from the first sign that its address
//! is the sender's own: a request within the dialog, whose tag was in our answers, or media from the host of its
//! signalling. Media from another host that the INVITE describes is no sign, because a forger describes its own. Without
//! a sign the call soon ends, and costs nothing.

use std::time::Duration;

use super::acks::Repetition;
use super::{Call, CallTimer, Context, LegId, Stage};
use crate::refusal::Refusal;
use crate::types::{Event, Question};

/// How long after the first 2xx the call ends without a sign of the caller. The 2xx was sent four times by then.
const PATIENCE: Duration = Duration::from_secs(4);

/// Answers without a sign of the caller that a profile may have at once, and how often one more. Beyond that, a call from
/// its address has to prove the profile's password: the carriers charge for each of these calls.
pub(crate) const UNCONFIRMED_BURST: u32 = 20;
/// See [`UNCONFIRMED_BURST`].
pub(crate) const UNCONFIRMED_EVERY: Duration = Duration::from_secs(30);

/// How sure it is that the caller is who its address says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assurance {
    /// It has proved a password, shown a certificate, or its connection stands.
    Proved,
    /// By the source of a datagram alone.
    Presumed,
}

/// The sign that the caller is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirmation {
    /// None is needed, or it has come.
    Given,
    /// Not yet.
    Awaited,
}

impl From<Assurance> for Confirmation {
    fn from(assurance: Assurance) -> Self {
        match assurance {
            Assurance::Proved => Self::Given,
            Assurance::Presumed => Self::Awaited,
        }
    }
}

impl Call {
    /// The first 2xx goes out: from now on the call is charged, or waits for a sign of the caller.
    pub(super) fn begin_to_charge(&mut self, ctx: &mut Context<'_>) {
        match self.confirmation {
            Confirmation::Given => self.tell_answered(ctx),
            Confirmation::Awaited => {
                self.start_timer(ctx, CallTimer::Confirmation, PATIENCE);
                if let Some(profile) = self.caller.peer.profile() {
                    ctx.unconfirmed.take(ctx.now.monotonic, profile);
                }
            }
        }
    }

    /// A request within the dialog has come from a leg's peer.
    pub(crate) fn note_sign_of(&mut self, ctx: &mut Context<'_>, leg: LegId) {
        if leg == LegId::Caller {
            self.confirm(ctx);
        }
    }

    /// Something has come that only the caller itself could send.
    pub(crate) fn confirm(&mut self, ctx: &mut Context<'_>) {
        if self.confirmation == Confirmation::Given {
            return;
        }
        self.confirmation = Confirmation::Given;
        self.stop_timer(ctx, CallTimer::Confirmation);
        if self.answered.is_some() && self.stage == Stage::Running {
            if let Some(profile) = self.caller.peer.profile() {
                ctx.unconfirmed.give_back(profile);
            }
            self.tell_answered(ctx);
            self.conclude_parting(ctx);
        }
    }

    fn tell_answered(&mut self, ctx: &mut Context<'_>) {
        let Some(at) = self.answered else { return };
        for share in &self.shares {
            let known = Box::new(self.record_so_far(ctx, share.lease));
            ctx.out.ask(Question::Answer { lease: share.lease, at, known });
        }
    }

    /// Whether the call was answered and its caller has not confirmed it: then nothing is owed.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.answered.is_some() && self.confirmation == Confirmation::Awaited
    }

    /// Nothing has come in time.
    pub(super) fn on_confirmation_missing(&mut self, ctx: &mut Context<'_>) {
        self.end_refused(ctx, Refusal::AnswerUnconfirmed);
    }

    /// A call that its caller has not confirmed is over: for the callee, the media and the ledger. A caller that is there after
    /// all may have lost every copy of the answer, and is owed it until its ACK or for 64*T1 (RFC 3261 section
    /// 13.3.1.4); a BYE before either is forbidden (section 15). One that is not there must not be flooded, so the
    /// copies that are left become rare, and the BYE behind them is sent once.
    pub(super) fn close_unconfirmed(&mut self, ctx: &mut Context<'_>) {
        if let Some(answer) = &mut self.caller.our_2xx {
            answer.repetition = Repetition::Sparing;
        }
        self.stop_timer(ctx, CallTimer::Confirmation);
        let (profile, source) = (self.caller.peer.profile(), self.caller.dialog.flow.peer);
        ctx.out.tell(Event::AnswerUnconfirmed { call: self.uid, profile, source });
    }
}
