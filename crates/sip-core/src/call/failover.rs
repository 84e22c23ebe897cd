//! Which carrier a call is tried at next, and what is kept of each attempt.
//!
//! Carriers that are down are passed over without a packet (see [`breaker`](crate::breaker)). Only when no other is left
//! is the call taken to them, the least bad first, so that a breaker which is wrong costs no call that could have been
//! carried.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::leg::Phase;
use super::plan::Target;
use super::{Call, CallTimer, Context, LegId, Reasons, Stage};
use crate::breaker::{Attempted, Badness, Change, Leave, Sign, TRIAL_PATIENCE};
use crate::dialog::flow_to;
use crate::directory::{Carrier, Peer};
use crate::limits::{ADDRESSES_PER_CARRIER, ATTEMPTS_RECORDED};
use crate::message::{Message, cause_of_status, q850_cause};
use crate::refusal::Refusal;
use crate::types::{AttemptResult, CarrierAttempt, CarrierId, Ending, Event, Question, Trouble};

/// A carrier that was passed over.
#[derive(Debug)]
pub(super) struct Spared {
    target: Target,
    /// Its addresses that were; none if it was not even looked up.
    addresses: Vec<SocketAddr>,
}

/// The attempts of a call so far.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// For the record.
    concluded: Vec<CarrierAttempt>,
    /// Carriers passed over.
    spared: Vec<Spared>,
    /// Whether an INVITE was sent to any carrier.
    has_sent: bool,
    /// The failure that a carrier named last.
    last_word: Option<Word>,
}

/// A carrier's failure in its own words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    status: u16,
    cause: Option<u8>,
}

impl Word {
    pub(super) fn of(response: &Message) -> Self {
        Self { status: response.status(), cause: q850_cause(response) }
    }
}

/// The try of one address that is under way.
#[derive(Debug)]
pub(super) struct Try {
    attempted: Attempted,
    began: Instant,
    is_sent: bool,
}

impl Spared {
    fn badness(&self, ctx: &Context<'_>) -> Badness {
        carrier_of(&self.target).map(|carrier| ctx.breakers.badness(carrier)).unwrap_or_default()
    }
}

impl Attempts {
    /// What is kept of them. The newest one counts, and those before as far as there is room.
    pub(super) fn concluded(&self) -> &[CarrierAttempt] {
        &self.concluded
    }

    /// The carrier that has taken the call ends it.
    pub(super) fn note_goodbye(&mut self, reasons: &Reasons) {
        let taken = |attempt: &&mut CarrierAttempt| attempt.result == AttemptResult::Answered;
        if let Some(attempt) = self.concluded.last_mut().filter(taken) {
            attempt.said = reasons.said();
        }
    }

    fn add(&mut self, attempt: CarrierAttempt) {
        self.concluded.truncate(ATTEMPTS_RECORDED - 1);
        self.concluded.push(attempt);
    }
}

impl Call {
    /// Goes on to the next target; with none left the call ends for the reason given.
    pub(super) fn try_next_target(&mut self, ctx: &mut Context<'_>, why_not: Refusal) {
        let is_exhausted = usize::from(self.attempts) >= ctx.settings.limits.attempts_per_call;
        if is_exhausted {
            return self.give_up(ctx, why_not);
        }
        if let Some(target) = self.next_available(ctx) {
            return self.try_target(ctx, Attempt::new(target));
        }
        match self.least_bad(ctx) {
            Some(Spared { target, addresses }) => {
                self.try_target(ctx, Attempt::last_resort(target, addresses));
            }
            None => self.give_up(ctx, why_not),
        }
    }

    /// The next target that is not down. Carriers that are cost nothing but this look.
    fn next_available(&mut self, ctx: &mut Context<'_>) -> Option<Target> {
        while let Some(target) = self.plan.targets.pop_front() {
            match &target {
                Target::Carrier { carrier, .. } if ctx.breakers.is_down(ctx.now.monotonic, carrier.id) => {
                    ctx.out.tell(Event::CarrierPassedOver { call: self.uid, carrier: carrier.label() });
                    self.tries.spared.push(Spared { target, addresses: Vec::new() });
                }
                _ => return Some(target),
            }
        }
        None
    }

    /// The least bad of the carriers that were passed over. One that asked to be left alone is (RFC 3261 section
    /// 21.5.4), unless the call would otherwise have been taken to nobody.
    fn least_bad(&mut self, ctx: &Context<'_>) -> Option<Spared> {
        let spared = &mut self.tries.spared;
        let badness = |spared: &Spared| spared.badness(ctx);
        let (best, badness) = spared.iter().map(badness).enumerate().min_by_key(|(_, badness)| *badness)?;
        (!badness.asks_to_wait || !self.tries.has_sent).then(|| spared.remove(best))
    }

    fn try_target(&mut self, ctx: &mut Context<'_>, attempt: Attempt) {
        self.attempts += 1;
        let target = attempt.target.clone();
        self.attempt = Some(attempt);
        match target {
            Target::Echo => self.prepare_echo(ctx),
            Target::Pbx { profile, user } => self.call_pbx(ctx, &profile, &user),
            Target::Carrier { carrier, .. } => self.locate_carrier(ctx, &carrier),
        }
    }

    /// Nobody is left to try. The caller learns of it once the leases are decided: whoever may not call at all is told
    /// that, not of an address that never mattered.
    pub(super) fn give_up(&mut self, ctx: &mut Context<'_>, why: Refusal) {
        if self.shares.iter().any(super::Share::is_asked) {
            self.attempt = None;
            self.obstacle = Some(why);
        } else {
            self.end_untaken(ctx, why);
        }
    }

    /// The call ends without anybody who takes it. A carrier's own word says more than that none could.
    pub(super) fn end_untaken(&mut self, ctx: &mut Context<'_>, why: Refusal) {
        match self.tries.last_word {
            Some(word) if why == Refusal::CarriersFailed => {
                self.pass_carriers_failure(ctx, why.status(), word);
            }
            _ => self.end_refused(ctx, why),
        }
    }

    fn locate_carrier(&mut self, ctx: &mut Context<'_>, carrier: &Carrier) {
        if let Some(known) = self.attempt.as_mut().and_then(Attempt::take_known_addresses) {
            return self.on_located(ctx, known);
        }
        if let Ok(ip) = carrier.host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let port = carrier.port.unwrap_or_else(|| carrier.transport.default_port());
            let addresses = vec![SocketAddr::new(ip, port)];
            ctx.breakers.found(carrier.id, &addresses);
            return self.on_located(ctx, addresses);
        }
        let is_last_resort = self.attempt.as_ref().is_some_and(|attempt| attempt.is_last_resort);
        let leave = ctx.breakers.ask(ctx.now.monotonic, carrier.id, None);
        let Some(leave) = leave.or_else(|| is_last_resort.then_some(Leave::Ordinary)) else {
            return self.try_next_address(ctx);
        };
        self.begin_try(ctx, None, leave);
        if let Some(attempt) = &mut self.attempt {
            attempt.is_resolving = true;
        }
        self.start_timer(ctx, CallTimer::Question, ctx.settings.calls.question_patience);
        ctx.out.ask(Question::Resolve {
            call: self.uid,
            host: carrier.host.clone(),
            port: carrier.port,
            transport: carrier.transport,
        });
    }

    /// A carrier's name was looked up.
    pub(super) fn on_look_up(&mut self, ctx: &mut Context<'_>, addresses: Vec<SocketAddr>) {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.is_resolving) else { return };
        attempt.is_resolving = false;
        let look_up = attempt.current.take();
        self.question_answered(ctx);
        let Some(attempted) = look_up.map(|look_up| look_up.attempted) else { return };
        if addresses.is_empty() {
            self.begin_try(ctx, None, attempted.leave);
            self.conclude(ctx, AttemptResult::Failed(Trouble::Unresolved), None);
        } else {
            self.note(ctx, attempted, Sign::Works);
            ctx.breakers.found(attempted.carrier, &addresses);
        }
        self.on_located(ctx, addresses);
    }

    /// The carrier's addresses are known.
    fn on_located(&mut self, ctx: &mut Context<'_>, addresses: Vec<SocketAddr>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.addresses = addresses.into_iter().take(ADDRESSES_PER_CARRIER).collect();
            self.try_next_address(ctx);
        }
    }

    /// Goes on to the carrier's next address, or to the next target.
    pub(super) fn try_next_address(&mut self, ctx: &mut Context<'_>) {
        let Some(attempt) = &mut self.attempt else { return };
        let Target::Carrier { carrier, digits } = attempt.target.clone() else { return };
        let Some((address, leave)) = attempt.next_address(ctx, carrier.id) else {
            let addresses = std::mem::take(&mut attempt.passed_over);
            if !addresses.is_empty() {
                self.tries.spared.push(Spared { target: attempt.target.clone(), addresses });
            }
            return self.try_next_target(ctx, Refusal::CarriersFailed);
        };
        self.begin_try(ctx, Some(address), leave);
        match flow_to(ctx.settings, carrier.transport, address) {
            Some(flow) => self.invite_carrier(ctx, &carrier, &digits, flow),
            None => {
                self.conclude(ctx, AttemptResult::NoListener, None);
                self.try_next_address(ctx);
            }
        }
    }

    /// An attempt begins at an address of the carrier, or with the look-up of its name.
    fn begin_try(&mut self, ctx: &Context<'_>, address: Option<SocketAddr>, leave: Leave) {
        let Some(attempt) = &mut self.attempt else { return };
        let Target::Carrier { carrier, .. } = &attempt.target else { return };
        self.carrier = Some(carrier.label());
        let began = ctx.now.monotonic;
        let attempted = Attempted { carrier: carrier.id, address, leave, since: began };
        attempt.current = Some(Try { attempted, began, is_sent: false });
    }

    /// The INVITE goes out.
    pub(super) fn note_sent(&mut self, ctx: &Context<'_>) {
        let current = self.attempt.as_mut().and_then(|attempt| attempt.current.as_mut());
        if let Some(current) = current {
            (current.attempted.since, current.is_sent) = (ctx.now.monotonic, true);
            self.tries.has_sent = true;
        }
    }

    /// How long the carrier that is being tried may show no sign of life. One that is only tried to see whether it is up
    /// again gets little, as long as the call can go elsewhere.
    pub(super) fn patience(&self, ctx: &Context<'_>) -> Duration {
        let patience = ctx.settings.calls.carrier_patience;
        let is_doubtful = self.attempt.as_ref().is_some_and(Attempt::is_doubtful);
        let may_go_on = !self.plan.targets.is_empty()
            || self.attempt.as_ref().is_some_and(|attempt| !attempt.addresses.is_empty())
            || self.tries.spared.iter().any(|spared| !spared.badness(ctx).asks_to_wait);
        if is_doubtful && may_go_on { patience.min(TRIAL_PATIENCE) } else { patience }
    }

    /// The carrier has shown that it handles the call.
    pub(super) fn note_works(&mut self, ctx: &mut Context<'_>) {
        if let Some(current) = self.attempt.as_ref().and_then(|attempt| attempt.current.as_ref()) {
            let attempted = current.attempted;
            self.note(ctx, attempted, Sign::Works);
        }
    }

    fn note(&mut self, ctx: &mut Context<'_>, attempted: Attempted, sign: Sign) {
        let settings = &ctx.settings.calls.breaker;
        let change = ctx.breakers.note(ctx.now.monotonic, settings, attempted, sign);
        tell(ctx, attempted, change);
    }

    /// The try under way is over: it goes into the record, and the breaker learns of it.
    pub(super) fn conclude(
        &mut self,
        ctx: &mut Context<'_>,
        result: AttemptResult,
        response: Option<&Message>,
    ) {
        let Some(attempt) = &mut self.attempt else { return };
        let (Some(current), Target::Carrier { carrier, .. }) = (attempt.current.take(), &attempt.target)
        else {
            return;
        };
        if result == AttemptResult::Withdrawn && !current.is_sent {
            return self.note(ctx, current.attempted, Sign::Nothing);
        }
        let retry_after = response.and_then(Message::retry_after).filter(|seconds| *seconds > 0);
        let result = match result {
            AttemptResult::Failed(Trouble::Failing) if retry_after.is_some() && asks_to_wait(response) => {
                AttemptResult::Failed(Trouble::AsksToWait)
            }
            result => result,
        };
        let concluded = CarrierAttempt {
            carrier: carrier.label(),
            address: current.attempted.address,
            status: response.map(Message::status),
            cause: response.and_then(q850_cause),
            said: response.and_then(|response| Reasons::of(response).said()),
            result,
            took: ctx.now.monotonic.saturating_duration_since(current.began),
        };
        ctx.out.tell(Event::CarrierTried { call: self.uid, attempt: concluded.clone() });
        self.tries.add(concluded);
        if let (AttemptResult::Failed(_), Some(response)) = (result, response) {
            self.tries.last_word = Some(Word::of(response));
        }
        let wait = retry_after.map(|seconds| Duration::from_secs(seconds.into()));
        let sign = match result {
            AttemptResult::Answered | AttemptResult::Refused => Sign::Works,
            AttemptResult::Failed(why) => Sign::Fails(why, wait.filter(|_| why == Trouble::AsksToWait)),
            AttemptResult::NoListener | AttemptResult::Withdrawn => Sign::Nothing,
        };
        self.note(ctx, current.attempted, sign);
    }

    /// A carrier's address has answered an INVITE of this call, perhaps one that was given up.
    pub(super) fn hear_carrier(&mut self, ctx: &mut Context<'_>, id: LegId) {
        let Some(leg) = self.leg(id) else { return };
        let (Peer::Carrier(carrier), address) = (leg.peer, leg.dialog.flow_out(ctx.settings).peer) else {
            return;
        };
        let change = ctx.breakers.hear(ctx.now.monotonic, carrier, address);
        let attempted =
            Attempted { carrier, address: Some(address), leave: Leave::Ordinary, since: ctx.now.monotonic };
        tell(ctx, attempted, change);
    }

    /// The target has shown no sign of life: leave it and try the next, but keep an ear open for a late 200.
    pub(super) fn on_patience_lost(&mut self, ctx: &mut Context<'_>) {
        self.conclude(ctx, AttemptResult::Failed(Trouble::Silent), None);
        self.abandon_callee(ctx);
        self.forget_media_jobs();
        self.try_next_address(ctx);
    }

    /// The target has the INVITE and does nothing with it: another carrier may do better.
    pub(super) fn on_progress_missing(&mut self, ctx: &mut Context<'_>) {
        self.conclude(ctx, AttemptResult::Failed(Trouble::Stalled), None);
        self.abandon_callee(ctx);
        self.forget_media_jobs();
        self.try_next_target(ctx, Refusal::CarriersFailed);
    }

    /// The caller's INVITE named a time, which has run out.
    pub(super) fn on_invite_expired(&mut self, ctx: &mut Context<'_>) {
        if self.caller.phase == Phase::Early {
            self.end_refused(ctx, Refusal::InvitationExpired);
        }
    }

    /// The callee rang too long.
    pub(super) fn on_no_answer(&mut self, ctx: &mut Context<'_>) {
        if self.stage == Stage::Setup {
            self.end_refused(ctx, Refusal::NoAnswer);
        }
    }

    /// Gives the callee up without waiting for its answer.
    fn abandon_callee(&mut self, ctx: &mut Context<'_>) {
        let Some(mut leg) = self.callee.take() else { return };
        self.close_early(ctx, &mut leg, Reasons::none());
        self.abandoned.push(leg);
    }

    /// No carrier takes the call. The caller is told the cause that the last of them named that spoke; where it named none,
    /// its status has one.
    pub(super) fn pass_carriers_failure(&mut self, ctx: &mut Context<'_>, status: u16, word: Word) {
        let why = Refusal::CarriersFailed;
        let cause = word.cause.unwrap_or_else(|| cause_of_status(word.status));
        self.end(ctx, Ending::Refused(why), status, Reasons::ours_for(why, cause, status));
    }
}

impl Attempt {
    /// The next address that takes calls; of those that are tried although none does, the least bad one alone.
    fn next_address(&mut self, ctx: &mut Context<'_>, carrier: CarrierId) -> Option<(SocketAddr, Leave)> {
        if self.is_last_resort {
            let addresses: Vec<_> = std::mem::take(&mut self.addresses).into();
            return Some((ctx.breakers.least_bad(carrier, &addresses)?, Leave::Ordinary));
        }
        while let Some(address) = self.addresses.pop_front() {
            match ctx.breakers.ask(ctx.now.monotonic, carrier, Some(address)) {
                Some(leave) => return Some((address, leave)),
                None => self.passed_over.push(address),
            }
        }
        None
    }

    fn take_known_addresses(&mut self) -> Option<Vec<SocketAddr>> {
        let known: Vec<_> = std::mem::take(&mut self.addresses).into();
        (!known.is_empty()).then_some(known)
    }

    /// Whether its address was down, and is tried to see whether it still is.
    fn is_doubtful(&self) -> bool {
        let is_trial = |current: &Try| current.attempted.leave == Leave::Trial;
        self.is_last_resort || self.current.as_ref().is_some_and(is_trial)
    }
}

/// Whether a Retry-After speaks of the carrier; that of 404, 413, 480, 486, 600 or 603 speaks of the called party (RFC 3261
/// section 20.33).
fn asks_to_wait(response: Option<&Message>) -> bool {
    response.is_some_and(|response| matches!(response.status(), 500 | 503))
}

fn carrier_of(target: &Target) -> Option<CarrierId> {
    match target {
        Target::Carrier { carrier, .. } => Some(carrier.id),
        Target::Echo | Target::Pbx { .. } => None,
    }
}

/// Tells that an address is down, or up again.
fn tell(ctx: &mut Context<'_>, attempted: Attempted, change: Option<Change>) {
    let Some((change, carrier)) = change.zip(ctx.directory.carrier(attempted.carrier)) else { return };
    let (carrier, address) = (carrier.label(), attempted.address);
    ctx.out.tell(match change {
        Change::Opened { why, pause } => Event::CarrierDown { carrier, address, why, pause },
        Change::Closed { after } => Event::CarrierUp { carrier, address, after },
    });
}
