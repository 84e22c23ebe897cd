//! Sending again what UDP may have lost, until it is answered: as much of RFC 3261, section 17, as one user agent needs.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// The first wait, and the unit of the last (RFC 3261, table 4).
const T1: Duration = Duration::from_millis(500);
/// The longest wait between two sendings.
const T2: Duration = Duration::from_secs(4);
/// When nobody answers any more: 64*T1.
pub(super) const GIVE_UP: Duration = Duration::from_secs(32);

/// How often a message is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Doubling without end: INVITE (timer A).
    Doubling,
    /// Doubling up to 4 s: other requests (timer E) and the final answer to an INVITE (timer G).
    Capped,
    /// Not at all: the way loses nothing, or a provisional answer has come.
    Once,
}

/// One message that waits for its answer.
pub(super) struct Unanswered<T> {
    pub(super) octets: Bytes,
    /// What it is for.
    pub(super) purpose: T,
    pace: Pace,
    wait: Duration,
    next: Instant,
    gives_up: Instant,
}

impl<T> Unanswered<T> {
    fn due(&self) -> Instant {
        if self.pace == Pace::Once { self.gives_up } else { self.next.min(self.gives_up) }
    }
}

/// What is to be done now.
pub(super) enum Due<T> {
    /// Send these octets again.
    Send(Bytes),
    /// Nobody has answered this.
    Failed(T),
}

/// All that waits, by key.
pub(super) struct Resender<T>(HashMap<String, Unanswered<T>>);

impl<T> Default for Resender<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Resender<T> {
    /// Waits for the answer to what has just been sent for the first time.
    pub(super) fn insert(&mut self, key: String, octets: Bytes, pace: Pace, purpose: T) {
        let now = Instant::now();
        let one = Unanswered { octets, purpose, pace, wait: T1, next: now + T1, gives_up: now + GIVE_UP };
        self.0.insert(key, one);
    }

    /// What waits under a key.
    pub(super) fn find(&self, key: &str) -> Option<&Unanswered<T>> {
        self.0.get(key)
    }

    /// A provisional answer: no more sending, and patience begins afresh for as long as somebody may ring.
    pub(super) fn calm(&mut self, key: &str, patience: Duration) {
        if let Some(one) = self.0.get_mut(key) {
            (one.pace, one.gives_up) = (Pace::Once, Instant::now() + patience);
        }
    }

    /// It has been answered.
    pub(super) fn remove(&mut self, key: &str) -> Option<Unanswered<T>> {
        self.0.remove(key)
    }

    /// When something is to be done next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(Unanswered::due).min()
    }

    /// One thing that is to be done by now; ask until `None`.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Due<T>> {
        let key = self.0.iter().find(|(_, one)| one.due() <= now).map(|(key, _)| key.clone())?;
        let one = self.0.get_mut(&key)?;
        if one.gives_up <= now {
            return self.0.remove(&key).map(|one| Due::Failed(one.purpose));
        }
        one.wait = match one.pace {
            Pace::Capped => (one.wait * 2).min(T2),
            Pace::Doubling | Pace::Once => one.wait * 2,
        };
        one.next = now + one.wait;
        Some(Due::Send(one.octets.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times, in T1, at which a message is sent again until it is given up.
    fn times(pace: Pace) -> (Vec<u128>, bool) {
        let mut resender = Resender::default();
        let start = Instant::now();
        resender.insert("k".to_owned(), Bytes::from_static(b"m"), pace, ());
        let (mut times, mut has_failed) = (Vec::new(), false);
        while let Some(due) = resender.next_due() {
            match resender.poll(due) {
                Some(Due::Send(_)) => times.push((due - start).as_millis() / 500),
                Some(Due::Failed(())) => has_failed = true,
                None => unreachable!("what is due is polled"),
            }
        }
        (times, has_failed)
    }

    #[test]
    fn the_waits_are_those_of_rfc_3261() {
        assert_eq!(times(Pace::Doubling), (vec![1, 3, 7, 15, 31, 63], true));
        assert_eq!(times(Pace::Capped), (vec![1, 3, 7, 15, 23, 31, 39, 47, 55, 63], true));
        assert_eq!(times(Pace::Once), (vec![], true));
    }
}
