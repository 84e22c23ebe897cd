//! Deadlines as data: an ordered table of (when, what), asked by the shell for its earliest entry.

use std::collections::BTreeMap;
use std::time::Instant;

/// One running timer; needed to stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerHandle {
    at: Instant,
    serial: u64,
}

/// Running timers. Equal deadlines fire in the order they were set, so a run is repeatable.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    running: BTreeMap<(Instant, u64), T>,
    serial: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { running: BTreeMap::new(), serial: 0 }
    }
}

impl<T> Timers<T> {
    /// Starts a timer.
    pub(crate) fn start(&mut self, at: Instant, what: T) -> TimerHandle {
        self.serial += 1;
        self.running.insert((at, self.serial), what);
        TimerHandle { at, serial: self.serial }
    }

    /// Stops a timer; one that has fired or was stopped before is left alone.
    pub(crate) fn stop(&mut self, handle: TimerHandle) {
        self.running.remove(&(handle.at, handle.serial));
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.running.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        let entry = self.running.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// How many run.
    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::time::Instant;

    /// Some moment to count from; there is no other way to make an `Instant`.
    #[expect(clippy::disallowed_methods, reason = "where a test's time begins decides nothing")]
    pub(crate) fn start() -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_fire_in_order_and_stopped_ones_never() {
        let start = testing::start();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        let late = timers.start(at(20), "late");
        timers.start(at(10), "first");
        timers.start(at(10), "second");
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(15)), Some("first"));
        assert_eq!(timers.pop_due(at(15)), Some("second"));
        timers.stop(late);
        timers.stop(late);
        assert_eq!(timers.len(), 0);
        assert_eq!(timers.pop_due(at(99)), None);
    }
}
