//! Legs whose connection was lost. Media goes on without it, so a running call does too, for as long as its peer may
//! take to be found again: a PBX registers over a new connection or speaks over one, whoever listens is connected to.
//! Found again, the peer is asked whether it still knows the call; one that was started anew does not.

use std::time::Duration;

use smallvec::SmallVec;

use super::leg::Phase;
use super::{Call, CallTimer, Context, LegId, Stage};
use crate::refusal::Refusal;
use crate::types::{Flow, Leg, ProfileId};

/// Over how long the questions are spread that all calls of one connection ask over the next: messages that wait for a
/// connection are bounded.
const SPREAD: Duration = Duration::from_secs(4);
/// How long to wait before a peer that could not be connected to is tried again, or one that is busy.
const RETRY: Duration = Duration::from_secs(4);

impl Call {
    /// The connection of this flow is gone. Nobody can be told any more of a call that is not yet answered; a running
    /// one seeks its peer.
    pub(crate) fn on_connection_lost(&mut self, ctx: &mut Context<'_>, lost: Flow) {
        let callees = self.callee.iter_mut().chain(&mut self.abandoned);
        let mut hit: SmallVec<[LegId; 2]> = SmallVec::new();
        for leg in std::iter::once(&mut self.caller).chain(callees).filter(|leg| leg.goes_over(lost)) {
            leg.lose_connection(ctx);
            hit.push(leg.id);
        }
        if hit.contains(&LegId::Caller) && self.caller.phase == Phase::Early {
            return self.end_refused(ctx, Refusal::CallerGone);
        }
        hit.into_iter().for_each(|id| self.seek(ctx, id));
    }

    fn seek(&mut self, ctx: &mut Context<'_>, id: LegId) {
        if self.stage != Stage::Running {
            return;
        }
        let patience = ctx.settings.calls.reconnect;
        let is_new = |leg: &&mut super::CallLeg| {
            leg.id == id && leg.phase == Phase::Confirmed && leg.sought_until.is_none()
        };
        let Some(leg) = self.half(id.role()).filter(is_new) else { return };
        leg.sought_until = Some(ctx.now.monotonic + patience);
        let after = if leg.finds_way(ctx) { some_time(ctx).min(patience) } else { patience };
        self.start_timer(ctx, CallTimer::Reconnect(id.role()), after);
    }

    /// A PBX has registered, or connected with its certificate: legs of its that lost their connection go on over the new
    /// one.
    pub(crate) fn on_return(&mut self, ctx: &mut Context<'_>, profile: ProfileId) {
        for half in [Leg::Caller, Leg::Callee] {
            let is_sought =
                |leg: &&mut super::CallLeg| leg.peer.profile() == Some(profile) && leg.sought_until.is_some();
            if self.half(half).filter(is_sought).is_some_and(|leg| leg.finds_way(ctx)) {
                let after = some_time(ctx);
                self.start_timer(ctx, CallTimer::Reconnect(half), after);
            }
        }
    }

    /// It is time to ask a leg that was found again whether it knows the call, or to give up one that was not.
    pub(super) fn on_reconnect_due(&mut self, ctx: &mut Context<'_>, half: Leg) {
        let is_exchanging = self.exchange.is_some();
        let Some(leg) = self.half(half) else { return };
        // A leg that has spoken meanwhile is sought no more.
        let Some(until) = leg.sought_until else { return };
        let is_busy = is_exchanging || leg.our_2xx.is_some() || leg.is_refreshing(ctx);
        match leg.finds_way(ctx) {
            true if is_busy => self.start_timer(ctx, CallTimer::Reconnect(half), RETRY),
            true => self.refresh(ctx, half),
            false if ctx.now.monotonic >= until => self.end_refused(ctx, Refusal::ConnectionLost),
            false => self.start_timer_at(ctx, CallTimer::Reconnect(half), until),
        }
    }

    /// A leg that is sought did not answer, or could not be sent to.
    pub(super) fn seek_again(&mut self, ctx: &mut Context<'_>, half: Leg) {
        let now = ctx.now.monotonic;
        match self.half(half).and_then(|leg| leg.sought_until) {
            Some(until) if now < until => {
                self.start_timer_at(ctx, CallTimer::Reconnect(half), until.min(now + RETRY));
            }
            _ => self.end_refused(ctx, Refusal::ConnectionLost),
        }
    }

    pub(super) fn is_sought(&mut self, half: Leg) -> bool {
        self.half(half).is_some_and(|leg| leg.sought_until.is_some())
    }
}

fn some_time(ctx: &mut Context<'_>) -> Duration {
    Duration::from_millis(ctx.rng.below(SPREAD.as_millis() as u64))
}
