//! Which addresses of carriers take calls: a circuit breaker for each, fed by real calls.
//!
//! - **Closed**: calls are sent. Silence, a stalled call, a failed transport and a name without addresses open it at once,
//!   unless the address has shown since the INVITE was sent that it is well: then the call was to blame. `Retry-After`
//!   of a 500 or 503 (RFC 3261 sections 20.33, 21.5.4) opens it for as long as it says, within a bound. Other failures
//!   open it when several come in a row.
//! - **Open**: calls pass the address over, which costs them nothing. After a pause the next call tries it.
//! - **Trial**: one call tries it, the others still pass it over. A failure opens it for twice the pause of before; a
//!   sign that the carrier handles calls closes it.
//!
//! A breaker never leaves a call without a carrier: `call/failover.rs` goes to those that are open when no other is left.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::directory::{Carrier, Directory};
use crate::limits::ADDRESSES_PER_CARRIER;
use crate::settings::BreakerSettings;
use crate::types::{AddressStanding, Availability, CarrierId, CarrierStanding, Trouble};

/// How long a call that tries an address waits for its first sign, if it can go elsewhere. INVITE is sent three times
/// meanwhile (RFC 3261 section 17.1.1.2).
pub(crate) const TRIAL_PATIENCE: Duration = Duration::from_secs(2);

/// A trial that has lasted so long keeps no other call from trying: no set-up takes longer.
const TRIAL_LASTS: Duration = Duration::from_secs(180);

/// Leave to send a call to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It takes calls.
    Ordinary,
    /// This call finds out whether it does.
    Trial,
}

/// An attempt as its breaker remembers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempted {
    pub(crate) carrier: CarrierId,
    /// `None` stands for the carrier's name.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) leave: Leave,
    pub(crate) since: Instant,
}

/// What an attempt has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The carrier handles calls: it rings, answers, or passes on the called party's refusal.
    Works,
    /// Something is wrong with it; Retry-After says for how long.
    Fails(Trouble, Option<Duration>),
    /// The call was given up before there was a sign.
    Nothing,
}

/// A change that operators want to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Calls are no longer sent to the address.
    Opened { why: Trouble, pause: Duration },
    /// They are again, after so long.
    Closed { after: Duration },
}

/// How much an address is to be avoided, the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Badness {
    /// Whether it asked to be left alone.
    pub(crate) asks_to_wait: bool,
    /// When it may be tried; `None` if it takes calls.
    until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    Trial { since: Instant },
}

/// The breaker of one address.
#[derive(Clone, Copy, Debug)]
struct Breaker {
    address: Option<SocketAddr>,
    state: State,
    why: Trouble,
    /// When it was closed last.
    down_since: Option<Instant>,
    /// The pause of the last time it was opened.
    pause: Duration,
    failures_in_a_row: u32,
    heard: Option<Instant>,
    worked: Option<Instant>,
}

/// The breakers of one carrier.
#[derive(Debug)]
struct Known {
    /// Of the look-up of its name.
    name: Breaker,
    /// Of the addresses that it was last found at.
    addresses: Vec<Breaker>,
}

/// The breakers of all carriers that calls have met.
#[derive(Debug, Default)]
pub(crate) struct Breakers(HashMap<CarrierId, Known>);

impl Breaker {
    fn new(address: Option<SocketAddr>) -> Self {
        Self {
            address,
            state: State::Closed,
            why: Trouble::Silent,
            down_since: None,
            pause: Duration::ZERO,
            failures_in_a_row: 0,
            heard: None,
            worked: None,
        }
    }

    /// Leave for a call that begins now.
    fn leave(&self, now: Instant) -> Option<Leave> {
        match self.state {
            State::Closed => Some(Leave::Ordinary),
            State::Open { until } if until <= now => Some(Leave::Trial),
            State::Trial { since } if now.saturating_duration_since(since) >= TRIAL_LASTS => {
                Some(Leave::Trial)
            }
            State::Open { .. } | State::Trial { .. } => None,
        }
    }

    fn badness(&self) -> Badness {
        let until = match self.state {
            State::Closed => None,
            State::Open { until } => Some(until),
            State::Trial { since } => Some(since + TRIAL_LASTS),
        };
        Badness { asks_to_wait: until.is_some() && self.why == Trouble::AsksToWait, until }
    }

    fn close(&mut self, now: Instant) -> Option<Change> {
        let since = self.down_since.take()?;
        (self.state, self.pause) = (State::Closed, Duration::ZERO);
        Some(Change::Closed { after: now.saturating_duration_since(since) })
    }

    fn open(&mut self, now: Instant, why: Trouble, pause: Duration) -> Option<Change> {
        let was_closed = self.down_since.is_none();
        self.down_since.get_or_insert(now);
        self.state = State::Open { until: now + pause };
        (self.why, self.pause, self.failures_in_a_row) = (why, pause, 0);
        was_closed.then_some(Change::Opened { why, pause })
    }

    /// The address has said something, which is all that an address has to prove that was silent: in a trial it closes the
    /// breaker, and a late answer to an earlier call makes the next call the trial.
    fn hear(&mut self, now: Instant) -> Option<Change> {
        self.heard = Some(now);
        match (self.state, self.why) {
            (State::Trial { .. }, Trouble::Silent | Trouble::Unreachable) => self.close(now),
            (State::Open { until }, Trouble::Silent | Trouble::Unreachable) => {
                self.state = State::Open { until: until.min(now) };
                None
            }
            _ => None,
        }
    }

    fn work(&mut self, now: Instant) -> Option<Change> {
        (self.heard, self.worked, self.failures_in_a_row) = (Some(now), Some(now), 0);
        self.close(now)
    }

    fn fail(
        &mut self,
        now: Instant,
        settings: &BreakerSettings,
        attempted: Attempted,
        why: Trouble,
    ) -> Option<Change> {
        let is_well_since = |seen: Option<Instant>| seen.is_some_and(|at| at > attempted.since);
        let is_grave = match why {
            Trouble::Silent | Trouble::Unreachable => !is_well_since(self.heard),
            Trouble::Stalled => !is_well_since(self.worked),
            Trouble::Unresolved => true,
            Trouble::AsksToWait | Trouble::Credentials | Trouble::Failing => false,
        };
        self.failures_in_a_row += 1;
        let is_trial = attempted.leave == Leave::Trial;
        let is_too_often = self.failures_in_a_row >= settings.failures_in_a_row;
        match self.state {
            State::Closed if is_grave || is_too_often => self.open(now, why, settings.pause),
            State::Trial { .. } if is_trial => {
                let pause = (self.pause * 2).clamp(settings.pause, settings.longest_pause);
                self.open(now, why, pause)
            }
            // Calls that were under way when it opened add nothing to what is known.
            State::Closed | State::Open { .. } | State::Trial { .. } => None,
        }
    }

    /// Asked for by the carrier itself, so it needs no second failure, and holds no longer than it was asked for.
    fn wait(&mut self, now: Instant, settings: &BreakerSettings, wait: Duration) -> Option<Change> {
        self.open(now, Trouble::AsksToWait, wait.min(settings.longest_retry_after))
    }

    fn standing(&self, now: Instant) -> AddressStanding {
        let since = |since: Instant| now.saturating_duration_since(since);
        let availability = match self.state {
            State::Closed => Availability::Up,
            State::Open { until } => {
                Availability::Down { why: self.why, retry_in: until.saturating_duration_since(now) }
            }
            State::Trial { .. } => Availability::Trial { why: self.why },
        };
        let down_for = self.down_since.map(since).unwrap_or_default();
        AddressStanding { address: self.address, availability, down_for }
    }
}

impl Known {
    fn new() -> Self {
        Self { name: Breaker::new(None), addresses: Vec::new() }
    }

    fn is_down(&self, now: Instant) -> bool {
        let takes_none = |breaker: &Breaker| breaker.leave(now).is_none();
        takes_none(&self.name) || (!self.addresses.is_empty() && self.addresses.iter().all(takes_none))
    }

    fn badness(&self) -> Badness {
        let of_addresses = self.addresses.iter().map(Breaker::badness).min();
        self.name.badness().max(of_addresses.unwrap_or_default())
    }
}

impl Breakers {
    /// Whether a call that begins now has to pass a carrier over: none of the addresses that it was last found at takes
    /// calls.
    pub(crate) fn is_down(&self, now: Instant, carrier: CarrierId) -> bool {
        self.0.get(&carrier).is_some_and(|known| known.is_down(now))
    }

    /// How much a carrier is to be avoided: as much as the best of its addresses.
    pub(crate) fn badness(&self, carrier: CarrierId) -> Badness {
        self.0.get(&carrier).map(Known::badness).unwrap_or_default()
    }

    /// A carrier is at these addresses now, and the breakers of others are of no use any more.
    pub(crate) fn found(&mut self, carrier: CarrierId, addresses: &[SocketAddr]) {
        let known = self.0.entry(carrier).or_insert_with(Known::new);
        let before = std::mem::take(&mut known.addresses);
        let breaker = |address: &SocketAddr| {
            let kept = before.iter().find(|breaker| breaker.address == Some(*address));
            kept.copied().unwrap_or_else(|| Breaker::new(Some(*address)))
        };
        known.addresses = addresses.iter().take(ADDRESSES_PER_CARRIER).map(breaker).collect();
    }

    /// Leave to send a call to an address; a trial is this call's from now on.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        carrier: CarrierId,
        address: Option<SocketAddr>,
    ) -> Option<Leave> {
        self.0.entry(carrier).or_insert_with(Known::new);
        let Some(breaker) = self.breaker(carrier, address) else { return Some(Leave::Ordinary) };
        let leave = breaker.leave(now);
        if leave == Some(Leave::Trial) {
            breaker.state = State::Trial { since: now };
        }
        leave
    }

    /// The address to try when none takes calls.
    pub(crate) fn least_bad(&self, carrier: CarrierId, addresses: &[SocketAddr]) -> Option<SocketAddr> {
        let known = self.0.get(&carrier);
        let badness = |address: &SocketAddr| {
            let breaker = known?.addresses.iter().find(|breaker| breaker.address == Some(*address))?;
            Some(breaker.badness())
        };
        addresses.iter().copied().min_by_key(badness)
    }

    /// What an attempt has shown.
    pub(crate) fn note(
        &mut self,
        now: Instant,
        settings: &BreakerSettings,
        attempted: Attempted,
        sign: Sign,
    ) -> Option<Change> {
        let breaker = self.breaker(attempted.carrier, attempted.address)?;
        match sign {
            Sign::Works => breaker.work(now),
            Sign::Fails(_, Some(wait)) => breaker.wait(now, settings, wait),
            Sign::Fails(why, None) => breaker.fail(now, settings, attempted, why),
            Sign::Nothing => {
                if let (State::Trial { .. }, Leave::Trial) = (breaker.state, attempted.leave) {
                    breaker.state = State::Open { until: now };
                }
                None
            }
        }
    }

    /// A carrier's address has answered an INVITE, whatever it said.
    pub(crate) fn hear(&mut self, now: Instant, carrier: CarrierId, address: SocketAddr) -> Option<Change> {
        self.breaker(carrier, Some(address))?.hear(now)
    }

    fn breaker(&mut self, carrier: CarrierId, address: Option<SocketAddr>) -> Option<&mut Breaker> {
        let known = self.0.get_mut(&carrier)?;
        match address {
            Some(_) => known.addresses.iter_mut().find(|breaker| breaker.address == address),
            None => Some(&mut known.name),
        }
    }

    /// Forgets carriers that are there no more, or somewhere else.
    pub(crate) fn keep(&mut self, old: &Directory, new: &Directory) {
        let is_where_it_was = |id: &CarrierId| match (old.carrier(*id), new.carrier(*id)) {
            (Some(old), Some(new)) => place(old) == place(new),
            _ => false,
        };
        self.0.retain(|id, _| is_where_it_was(id));
    }

    /// How the carriers stand, in their order.
    pub(crate) fn standings(&self, now: Instant, directory: &Directory) -> Vec<CarrierStanding> {
        let standing = |carrier: &Carrier| {
            let known = self.0.get(&carrier.id);
            let name = known.map(|known| &known.name).filter(|name| name.down_since.is_some());
            let addresses = known.map_or(&[][..], |known| &known.addresses);
            CarrierStanding {
                carrier: carrier.label(),
                addresses: name.into_iter().chain(addresses).map(|it| it.standing(now)).collect(),
            }
        };
        directory.carriers().iter().map(|carrier| standing(carrier)).collect()
    }
}

fn place(carrier: &Carrier) -> (&str, Option<u16>, crate::types::Transport) {
    (&carrier.host, carrier.port, carrier.transport)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARRIER: CarrierId = CarrierId(1);
    const PAUSE: Duration = Duration::from_secs(5);

    /// A starting point in time without asking a clock.
    fn start() -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "an Instant has no other constructor; only differences matter"
        )]
        *START.get_or_init(Instant::now)
    }

    fn at(ms: u64) -> Instant {
        start() + Duration::from_millis(ms)
    }

    fn place(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 5060))
    }

    fn breakers(addresses: &[u8]) -> Breakers {
        let mut breakers = Breakers::default();
        breakers.found(CARRIER, &addresses.iter().copied().map(place).collect::<Vec<_>>());
        breakers
    }

    /// Begins an attempt at the only address, and says with which leave.
    fn begin(breakers: &mut Breakers, ms: u64) -> Attempted {
        let leave = breakers.ask(at(ms), CARRIER, Some(place(1))).expect("the address takes calls");
        Attempted { carrier: CARRIER, address: Some(place(1)), leave, since: at(ms) }
    }

    fn end(breakers: &mut Breakers, ms: u64, attempted: Attempted, sign: Sign) -> Option<Change> {
        breakers.note(at(ms), &BreakerSettings::default(), attempted, sign)
    }

    fn fails(why: Trouble) -> Sign {
        Sign::Fails(why, None)
    }

    #[test]
    fn silence_opens_and_each_trial_that_fails_doubles_the_pause_up_to_the_longest() {
        let mut breakers = breakers(&[1]);
        let attempted = begin(&mut breakers, 0);
        let opened = end(&mut breakers, 8_000, attempted, fails(Trouble::Silent));
        assert_eq!(opened, Some(Change::Opened { why: Trouble::Silent, pause: PAUSE }));
        let (mut now, mut pauses) = (8_000, Vec::new());
        for _ in 0..7 {
            let next = (now..).step_by(1_000).find(|ms| !breakers.is_down(at(*ms), CARRIER)).unwrap();
            pauses.push((next - now) / 1_000);
            let trial = begin(&mut breakers, next);
            assert_eq!(trial.leave, Leave::Trial);
            assert!(breakers.is_down(at(next), CARRIER), "one call at a time");
            now = next + 2_000;
            assert_eq!(end(&mut breakers, now, trial, fails(Trouble::Silent)), None, "told once");
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 120, 120]);
    }

    #[test]
    fn a_trial_that_works_closes_and_one_that_is_given_up_makes_room_for_the_next() {
        let mut breakers = breakers(&[1]);
        let attempted = begin(&mut breakers, 0);
        end(&mut breakers, 8_000, attempted, fails(Trouble::Unreachable));
        let trial = begin(&mut breakers, 13_000);
        assert_eq!(end(&mut breakers, 13_500, trial, Sign::Nothing), None);
        let trial = begin(&mut breakers, 13_600);
        assert_eq!(trial.leave, Leave::Trial);
        let closed = end(&mut breakers, 14_000, trial, Sign::Works);
        assert_eq!(closed, Some(Change::Closed { after: Duration::from_secs(6) }));
        assert_eq!(begin(&mut breakers, 14_000).leave, Leave::Ordinary);
    }

    #[test]
    fn silence_about_one_call_opens_nothing_while_others_are_answered() {
        let mut breakers = breakers(&[1]);
        let ignored = begin(&mut breakers, 0);
        breakers.hear(at(4_000), CARRIER, place(1));
        assert_eq!(end(&mut breakers, 8_000, ignored, fails(Trouble::Silent)), None);
        // A call that is taken and not connected needs another that was.
        let stalled = begin(&mut breakers, 9_000);
        breakers.hear(at(9_100), CARRIER, place(1));
        let other = begin(&mut breakers, 10_000);
        end(&mut breakers, 11_000, other, Sign::Works);
        assert_eq!(end(&mut breakers, 29_000, stalled, fails(Trouble::Stalled)), None);
        let stalled = begin(&mut breakers, 30_000);
        breakers.hear(at(30_100), CARRIER, place(1));
        assert!(end(&mut breakers, 50_000, stalled, fails(Trouble::Stalled)).is_some());
    }

    #[test]
    fn single_failures_open_nothing_and_several_in_a_row_do() {
        let mut breakers = breakers(&[1]);
        for ms in 0..4 {
            let attempted = begin(&mut breakers, ms);
            assert_eq!(end(&mut breakers, ms, attempted, fails(Trouble::Failing)), None);
        }
        let attempted = begin(&mut breakers, 10);
        end(&mut breakers, 11, attempted, Sign::Works);
        for ms in 20..24 {
            let attempted = begin(&mut breakers, ms);
            assert_eq!(end(&mut breakers, ms, attempted, fails(Trouble::Failing)), None);
        }
        let fifth = begin(&mut breakers, 30);
        assert!(end(&mut breakers, 30, fifth, fails(Trouble::Failing)).is_some());
    }

    #[test]
    fn retry_after_is_obeyed_within_a_bound() {
        for (asked_s, left_s) in [(60, 60), (100_000, 300)] {
            let mut breakers = breakers(&[1]);
            let attempted = begin(&mut breakers, 0);
            let sign = Sign::Fails(Trouble::AsksToWait, Some(Duration::from_secs(asked_s)));
            assert!(end(&mut breakers, 100, attempted, sign).is_some());
            assert!(breakers.badness(CARRIER).asks_to_wait);
            assert!(breakers.is_down(at(left_s * 1_000), CARRIER));
            assert!(!breakers.is_down(at(left_s * 1_000 + 100), CARRIER));
        }
    }

    #[test]
    fn a_late_word_of_a_silent_address_makes_the_next_call_the_trial() {
        let mut breakers = breakers(&[1]);
        let attempted = begin(&mut breakers, 0);
        end(&mut breakers, 8_000, attempted, fails(Trouble::Silent));
        assert!(breakers.is_down(at(9_000), CARRIER));
        breakers.hear(at(9_000), CARRIER, place(1));
        assert_eq!(begin(&mut breakers, 9_000).leave, Leave::Trial);
        // Its 100 says that it is up; what it does with the call is another matter.
        assert!(breakers.hear(at(9_100), CARRIER, place(1)).is_some());
        assert_eq!(begin(&mut breakers, 9_200).leave, Leave::Ordinary);
    }

    #[test]
    fn a_carrier_is_down_when_all_its_addresses_are_and_moves_with_them() {
        let mut breakers = breakers(&[1, 2]);
        let attempted = begin(&mut breakers, 0);
        end(&mut breakers, 8_000, attempted, fails(Trouble::Silent));
        assert!(!breakers.is_down(at(8_000), CARRIER));
        assert_eq!(breakers.ask(at(8_000), CARRIER, Some(place(1))), None);
        assert_eq!(breakers.least_bad(CARRIER, &[place(1), place(2)]), Some(place(2)));
        breakers.found(CARRIER, &[place(1)]);
        assert!(breakers.is_down(at(8_000), CARRIER), "the first one is still down");
        breakers.found(CARRIER, &[place(3)]);
        assert!(!breakers.is_down(at(8_000), CARRIER), "nothing is known of the third");
    }
}
