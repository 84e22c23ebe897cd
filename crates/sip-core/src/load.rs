//! Whether more comes in than can be handled, told by how long inputs wait for their turn, and by a ledger that says so.
//!
//! A queue that is long for a moment is a burst and goes by itself; a queue whose wait stays long grows (the idea of
//! CoDel, RFC 8289 section 3.2). Then new calls are refused while a refusal is still cheap and prompt, and calls
//! already let in are carried through: work that was begun is worth more than work that was not.
//!
//! Only as many are refused as are too many: a call whose own wait was short comes in even then. A door that stays shut
//! until the queue is empty leaves the machine idle between two crowds.

use std::time::{Duration, Instant};

/// A wait that callers do not notice; longer than the pauses of a busy machine.
const TARGET: Duration = Duration::from_millis(40);
/// How long the wait may stay above [`TARGET`] before it counts as overload, and below it before that is over. For so long
/// calls are refused at the door, too, after the ledger was asked for more than it can do.
const INTERVAL: Duration = Duration::from_millis(100);

/// Whether new calls may come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// Everything is handled as it comes.
    #[default]
    Normal,
    /// New calls are refused at the door, as many as are too many.
    Overloaded,
}

/// Follows how long inputs wait, and whether the ledger keeps up.
#[derive(Debug, Default)]
pub(crate) struct LoadGauge {
    load: Load,
    /// Since when the wait has been on the other side of the target.
    turning_since: Option<Instant>,
    /// How long the last input waited.
    waited: Duration,
    /// When the ledger last had no time for a reservation.
    behind: Option<Instant>,
}

impl LoadGauge {
    /// Notes how long an input has waited that is handled now. Tells when the load has changed.
    pub(crate) fn note(&mut self, now: Instant, waited: Duration) -> Option<Load> {
        self.waited = waited;
        let tends_to = if waited > TARGET { Load::Overloaded } else { Load::Normal };
        if tends_to == self.load {
            self.turning_since = None;
            return None;
        }
        let since = *self.turning_since.get_or_insert(now);
        if now.saturating_duration_since(since) < INTERVAL {
            return None;
        }
        self.turning_since = None;
        self.load = tends_to;
        Some(tends_to)
    }

    /// A reservation was refused because the ledger is asked for more than it can do.
    pub(crate) fn note_behind(&mut self, now: Instant) {
        self.behind = Some(now);
    }

    /// Whether inputs wait too long, the one that is handled now included.
    pub(crate) fn inputs_wait(&self) -> bool {
        self.load == Load::Overloaded && self.waited > TARGET
    }

    /// Whether a reservation asked for now would be refused, after all the work that comes before it.
    pub(crate) fn ledger_is_behind(&self, now: Instant) -> bool {
        self.behind.is_some_and(|since| now.saturating_duration_since(since) < INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A starting point in time without asking a clock.
    fn start() -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "an Instant has no other constructor; only differences matter"
        )]
        *START.get_or_init(Instant::now)
    }

    /// What the gauge tells when these waits come, one each 20 ms.
    fn told(gauge: &mut LoadGauge, waits_ms: &[u64]) -> Vec<Option<Load>> {
        let moments = (0..).map(|step| start() + step * Duration::from_millis(20));
        moments.zip(waits_ms).map(|(now, ms)| gauge.note(now, Duration::from_millis(*ms))).collect()
    }

    #[test]
    fn a_burst_is_no_overload() {
        let mut gauge = LoadGauge::default();
        assert!(told(&mut gauge, &[200, 150, 90, 30, 200, 150, 90, 30]).iter().all(Option::is_none));
        assert_eq!(gauge.load, Load::Normal);
    }

    #[test]
    fn in_overload_only_what_waited_too_long_itself_is_too_much() {
        let mut gauge = LoadGauge::default();
        told(&mut gauge, &[60, 60, 60, 60, 60, 60, 60]);
        assert!(gauge.inputs_wait());
        assert_eq!(gauge.note(start() + Duration::from_millis(200), Duration::from_millis(10)), None);
        assert_eq!((gauge.load, gauge.inputs_wait()), (Load::Overloaded, false));
    }

    #[test]
    fn a_ledger_without_time_is_left_alone_for_a_moment() {
        let mut gauge = LoadGauge::default();
        assert!(!gauge.ledger_is_behind(start()));
        gauge.note_behind(start());
        assert!(gauge.ledger_is_behind(start() + INTERVAL / 2));
        assert!(!gauge.ledger_is_behind(start() + INTERVAL), "one is asked again");
    }

    #[test]
    fn a_wait_that_stays_long_is_and_ends_when_it_stays_short() {
        let mut gauge = LoadGauge::default();
        let news = told(&mut gauge, &[60, 60, 60, 60, 60, 60, 60]);
        assert_eq!(news[5..], [Some(Load::Overloaded), None]);
        let news = told(&mut gauge, &[10, 10, 90, 10, 10, 10, 10, 10, 10]);
        assert_eq!(news[8], Some(Load::Normal));
        assert!(news[..8].iter().all(Option::is_none));
    }
}
