//! Whether more comes in than can be handled, told by how long inputs wait for their turn and calls for their
//! reservation.
//!
//! A queue that is long for a moment is a burst and goes by itself; a queue whose wait stays long grows (the idea of
//! CoDel, RFC 8289 section 3.2). Then new calls are refused while a refusal is still cheap and prompt, and calls
//! already let in are carried through: work that was begun is worth more than work that was not.
//!
//! Only as many are refused as are too many: a call whose own wait was short comes in even then. A door that stays shut
//! until the queue is empty leaves the machine idle between two crowds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A wait that callers do not notice; longer than the pauses of a busy machine.
const TARGET: Duration = Duration::from_millis(40);
/// How long the wait may stay above [`TARGET`] before it counts as overload, and below it before that is over.
const INTERVAL: Duration = Duration::from_millis(100);
/// A reservation that comes later is late. A disk may take that long once in a while; then nothing comes meanwhile, which
/// is another matter than answers that come all the time to what was asked long ago.
const LATE: Duration = Duration::from_millis(400);

/// Whether new calls may come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// Everything is handled as it comes.
    #[default]
    Normal,
    /// New calls are refused at the door, as many as are too many.
    Overloaded,
}

/// Follows how long inputs and reservations wait.
#[derive(Debug, Default)]
pub(crate) struct LoadGauge {
    load: Load,
    /// Since when the wait has been on the other side of the target.
    turning_since: Option<Instant>,
    /// How long the last input waited.
    waited: Duration,
    /// When reservations were asked for that are not answered yet; they are answered in this order.
    asked: VecDeque<Instant>,
    /// When a reservation was answered last, and after what wait.
    answered: Option<(Instant, Duration)>,
}

impl LoadGauge {
    /// Notes how long an input has waited that is handled now. Tells when the load has changed.
    pub(crate) fn note(&mut self, now: Instant, waited: Duration) -> Option<Load> {
        self.waited = waited;
        let tends_to =
            if waited > TARGET || self.answers_are_late(now) { Load::Overloaded } else { Load::Normal };
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

    /// A reservation was asked for.
    pub(crate) fn note_asked(&mut self, now: Instant) {
        self.asked.push_back(now);
    }

    /// A reservation was granted or refused.
    pub(crate) fn note_answered(&mut self, now: Instant) {
        if let Some(asked) = self.asked.pop_front() {
            self.answered = Some((now, now.saturating_duration_since(asked)));
        }
    }

    /// Lets go of questions that nobody waits for any more: they were asked before `patience` began.
    pub(crate) fn forget_unanswered(&mut self, now: Instant, patience: Duration) {
        while self.asked.front().is_some_and(|asked| now.saturating_duration_since(*asked) > patience) {
            self.asked.pop_front();
        }
    }

    /// Whether a new call that comes now is one too many.
    pub(crate) fn is_too_much(&self, now: Instant) -> bool {
        self.load == Load::Overloaded && (self.waited > TARGET || self.answers_are_late(now))
    }

    /// Whether reservations are answered all the time, but each long after it was asked for.
    fn answers_are_late(&self, now: Instant) -> bool {
        let is_late =
            |(at, waited): (Instant, Duration)| waited > LATE && now.saturating_duration_since(at) <= LATE;
        !self.asked.is_empty() && self.answered.is_some_and(is_late)
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
        assert!(gauge.is_too_much(start()));
        assert_eq!(gauge.note(start() + Duration::from_millis(200), Duration::from_millis(10)), None);
        assert_eq!((gauge.load, gauge.is_too_much(start())), (Load::Overloaded, false));
    }

    #[test]
    fn reservations_that_come_late_all_the_time_are_overload_and_a_pause_of_the_disk_is_none() {
        let ms = |ms| start() + Duration::from_millis(ms);
        let mut gauge = LoadGauge::default();
        (0..100).for_each(|n| gauge.note_asked(ms(n)));
        assert_eq!(
            gauge.note(ms(2_000), Duration::ZERO),
            None,
            "nothing is answered: the disk makes a pause"
        );
        gauge.note_answered(ms(2_000));
        assert_eq!(gauge.note(ms(2_001), Duration::ZERO), None);
        assert_eq!(gauge.note(ms(2_101), Duration::ZERO), Some(Load::Overloaded));
        assert!(gauge.is_too_much(ms(2_101)));
        (1..100).for_each(|_| gauge.note_answered(ms(2_110)));
        assert!(!gauge.is_too_much(ms(2_110)), "all are answered");
    }

    #[test]
    fn questions_that_are_never_answered_are_forgotten() {
        let ms = |ms| start() + Duration::from_millis(ms);
        let mut gauge = LoadGauge::default();
        (0..10).for_each(|n| gauge.note_asked(ms(n * 100)));
        gauge.forget_unanswered(ms(1_000), Duration::from_millis(500));
        assert_eq!(gauge.asked.len(), 5);
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
