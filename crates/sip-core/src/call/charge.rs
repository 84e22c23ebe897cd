//! A call within what is paid: leases asked for, extended ahead of need, and the end at the last paid second.

use std::time::Duration;

use super::{Call, CallTimer, Context, Parties, Stage};
use crate::refusal::Refusal;
use crate::types::{CallUid, Grant, Lease, Leg, ProfileId, Question, Usage};

/// How often a call proves that it lives, if it has no need to ask for more before.
const PROOF_INTERVAL: Duration = Duration::from_secs(60);

/// The pause before more is asked for again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// One profile's share of the call.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) lease: Lease,
    pub(crate) profile: ProfileId,
    pub(crate) usage: Usage,
    state: ShareState,
    /// Why nothing more was granted when last asked.
    obstacle: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShareState {
    Asked,
    Granted(Grant),
    Refused,
}

impl Share {
    /// Asks for a share; the reply will tell.
    pub(super) fn ask(
        ctx: &mut Context<'_>,
        call: CallUid,
        leg: Leg,
        profile: ProfileId,
        usage: Usage,
        parties: &Parties,
    ) -> Self {
        let lease = Lease { call, leg };
        ctx.out.ask(Question::Reserve {
            lease,
            profile,
            usage: usage.clone(),
            from: parties.from.clone(),
            is_withheld: parties.is_withheld,
            to: parties.to.clone(),
        });
        Self { lease, profile, usage, state: ShareState::Asked, obstacle: None }
    }

    pub(super) fn is_asked(&self) -> bool {
        self.state == ShareState::Asked
    }

    pub(super) fn is_granted(&self) -> bool {
        matches!(self.state, ShareState::Granted(_))
    }

    fn paid(&self) -> Option<Duration> {
        match self.state {
            ShareState::Granted(grant) => grant.paid,
            ShareState::Asked | ShareState::Refused => None,
        }
    }
}

impl Call {
    fn share(&mut self, half: Leg) -> Option<&mut Share> {
        self.shares.iter_mut().find(|share| share.lease.leg == half)
    }

    /// The store has decided about a share.
    pub(super) fn on_reserved(
        &mut self,
        ctx: &mut Context<'_>,
        lease: Lease,
        result: Result<Grant, Refusal>,
    ) {
        if self.stage != Stage::Setup {
            return;
        }
        let Some(share) = self.share(lease.leg).filter(|share| share.is_asked()) else { return };
        match result {
            Ok(grant) => {
                share.state = ShareState::Granted(grant);
                self.question_answered(ctx);
                match self.obstacle {
                    Some(why) if !self.shares.iter().any(Share::is_asked) => self.end_untaken(ctx, why),
                    Some(_) => {}
                    None => self.launch(ctx),
                }
            }
            Err(why) => {
                share.state = ShareState::Refused;
                self.end_refused(ctx, as_told(lease.leg, why));
            }
        }
    }

    /// The callee has answered: the paid time begins to run.
    pub(super) fn start_charging(&mut self, ctx: &mut Context<'_>) {
        for half in [Leg::Caller, Leg::Callee] {
            self.schedule(ctx, half);
        }
    }

    /// Sets the timers that extend what is paid, and end the call where it ends.
    fn schedule(&mut self, ctx: &mut Context<'_>, half: Leg) {
        let Some(share) = self.share(half).filter(|share| share.is_granted()) else { return };
        let Some(paid) = share.paid() else {
            return self.start_timer(ctx, CallTimer::Extend(half), PROOF_INTERVAL);
        };
        let Some(answered) = self.answered else { return };
        let ahead = paid.saturating_sub(ctx.settings.calls.extend_ahead);
        self.start_timer_at(ctx, CallTimer::CutOff(half), answered + paid);
        // Money for less than the lead leaves half of it for asking: an answer may take a moment.
        let extend_at = if ahead.is_zero() { paid / 2 } else { ahead };
        let proof_at = ctx.now.monotonic + PROOF_INTERVAL;
        self.start_timer_at(ctx, CallTimer::Extend(half), proof_at.min(answered + extend_at));
    }

    /// Asks for more, ahead of need.
    pub(super) fn extend(&mut self, ctx: &mut Context<'_>, half: Leg) {
        let (Some(answered), Stage::Running) = (self.answered, self.stage) else { return };
        let elapsed = ctx.now.monotonic.saturating_duration_since(answered);
        if let Some(share) = self.share(half) {
            ctx.out.ask(Question::Extend { lease: share.lease, elapsed });
            // Asked again if no answer comes; the end of what is paid bounds it.
            self.start_timer(ctx, CallTimer::Extend(half), ctx.settings.calls.question_patience);
        }
    }

    /// More is paid; or nothing is left, then the timer that ends the call stands. A store that cannot tell is asked
    /// again: its trouble must not end a call that could be paid.
    pub(super) fn on_extended(
        &mut self,
        ctx: &mut Context<'_>,
        lease: Lease,
        result: Result<Grant, Refusal>,
    ) {
        let Some(share) = self.share(lease.leg).filter(|share| share.is_granted()) else { return };
        let grant = match result {
            Ok(grant) if grant.paid.is_none() || grant.paid > share.paid() => grant,
            Ok(_) => return self.on_nothing_left(ctx, lease.leg, Refusal::CreditExhausted),
            Err(why) => return self.on_nothing_left(ctx, lease.leg, why),
        };
        share.state = ShareState::Granted(grant);
        share.obstacle = None;
        self.stop_timer(ctx, CallTimer::CutOff(lease.leg));
        if self.stage == Stage::Running {
            self.schedule(ctx, lease.leg);
        }
    }

    fn on_nothing_left(&mut self, ctx: &mut Context<'_>, half: Leg, why: Refusal) {
        let Some(share) = self.share(half) else { return };
        share.obstacle = Some(why);
        let paid = share.paid();
        // Asked again even when the credit was short: it may be topped up before the last second. There is no hurry
        // while that is far.
        if self.stage == Stage::Running {
            let ahead = self.answered.zip(paid).map_or(Duration::ZERO, |(answered, paid)| {
                let end = (answered + paid).saturating_duration_since(ctx.now.monotonic);
                end.saturating_sub(ctx.settings.calls.extend_ahead)
            });
            self.start_timer(ctx, CallTimer::Extend(half), ahead.clamp(RETRY_INTERVAL, PROOF_INTERVAL));
        }
    }

    /// The last paid second is over.
    pub(super) fn on_paid_time_over(&mut self, ctx: &mut Context<'_>, half: Leg) {
        let obstacle = self.share(half).and_then(|share| share.obstacle);
        self.end_refused(ctx, obstacle.unwrap_or(Refusal::StoreUnavailable));
    }
}

/// The store's refusal as the caller is told it. A full incoming trunk is busy to the caller, while a full outgoing
/// one lets a PBX try its next trunk; and a called profile's state is not the caller's own.
fn as_told(half: Leg, why: Refusal) -> Refusal {
    match (half, why) {
        (Leg::Callee, Refusal::NoChannel) => Refusal::NoChannelIncoming,
        (Leg::Callee, Refusal::ProfileInactive) => Refusal::CalledProfileInactive,
        _ => why,
    }
}
