//! A brake on guesses: a source that has shown too many wrong tokens or signatures is not heard for a while.
//!
//! Whether a guess is looked at depends on its source alone and not on whether it is right, so a refusal teaches nothing.
//! What a source has shown before and was right is looked at always: somebody who guesses behind the same NAT or proxy
//! shuts nobody else out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sip_core::guard::network;

use crate::metrics::Metrics;
use crate::throttle::Throttle;

/// Wrong guesses of a source in a [`WINDOW`].
const MOST: u32 = 10;
/// From the first wrong guess until they are forgotten.
const WINDOW: Duration = Duration::from_secs(60);
/// Sources whose guesses are counted one by one; beyond that all others count as one.
const SOURCES: usize = 10_000;
/// How long what was right is remembered, and of how many.
const HOME: Duration = Duration::from_secs(86_400);
const HOMES: usize = 4_096;
/// Lines of the log about guesses in a second.
const LINES: u32 = 5;

/// What is guessed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guarded {
    Token,
    MetricsToken,
    Signature,
}

impl Guarded {
    const ALL: [Self; 3] = [Self::Token, Self::MetricsToken, Self::Signature];

    fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::MetricsToken => "metrics_token",
            Self::Signature => "signature",
        }
    }
}

/// The brake of one gateway.
#[derive(Clone)]
pub struct Brake(Arc<Inner>);

struct Inner {
    guesses: Mutex<Guesses>,
    metrics: Metrics,
}

struct Guesses {
    by_source: HashMap<IpAddr, Count>,
    /// Of those who are too many to be counted one by one.
    of_others: Count,
    /// What sources have shown that was right, and when they did last.
    homes: HashMap<Home, Instant>,
    swept: Instant,
    log: Throttle,
}

#[derive(Clone, Copy)]
struct Count {
    since: Instant,
    wrong: u32,
}

/// A source with what it has shown.
type Home = [u8; 32];

/// One guess that may be looked at. It counts as wrong until it is said to be right.
pub(super) struct Guess {
    brake: Brake,
    source: IpAddr,
    what: Guarded,
    home: Home,
    is_at_home: bool,
}

impl Brake {
    /// A brake that counts into these metrics.
    pub fn new(metrics: Metrics) -> Self {
        for what in Guarded::ALL {
            let _at_zero = metrics.http_auth_failures.with_label_values(&[what.word()]);
        }
        let now = Instant::now();
        let guesses = Guesses {
            by_source: HashMap::new(),
            of_others: Count { since: now, wrong: 0 },
            homes: HashMap::new(),
            swept: now,
            log: Throttle::new(now, LINES),
        };
        Self(Arc::new(Inner { guesses: Mutex::new(guesses), metrics }))
    }

    /// Whether what a source shows is looked at now; if not, in how many seconds.
    pub(super) fn guess(&self, source: IpAddr, what: Guarded, shown: &str) -> Result<Guess, u64> {
        self.guess_at(Instant::now(), source, what, shown)
    }

    fn guess_at(&self, now: Instant, source: IpAddr, what: Guarded, shown: &str) -> Result<Guess, u64> {
        let source = network(source);
        let home = home(source, what, shown);
        let mut guesses = self.lock();
        let is_at_home =
            guesses.homes.get(&home).is_some_and(|last| now.saturating_duration_since(*last) < HOME);
        if !is_at_home {
            let count = guesses.count(now, source);
            if count.wrong >= MOST {
                let left = WINDOW.saturating_sub(now.saturating_duration_since(count.since));
                self.0.metrics.http_braked.inc();
                return Err(left.as_secs() + 1);
            }
            // Counted before it is looked at: many at once are not one.
            count.wrong += 1;
        }
        Ok(Guess { brake: self.clone(), source, what, home, is_at_home })
    }

    fn lock(&self) -> MutexGuard<'_, Guesses> {
        self.0.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guesses {
    fn count(&mut self, now: Instant, source: IpAddr) -> &mut Count {
        let is_over = |count: &Count| now.saturating_duration_since(count.since) >= WINDOW;
        if self.by_source.len() >= SOURCES
            && now.saturating_duration_since(self.swept) >= Duration::from_secs(1)
        {
            self.swept = now;
            self.by_source.retain(|_, count| !is_over(count));
        }
        let is_known = self.by_source.contains_key(&source) || self.by_source.len() < SOURCES;
        let new = Count { since: now, wrong: 0 };
        let count = if is_known { self.by_source.entry(source).or_insert(new) } else { &mut self.of_others };
        if is_over(count) {
            *count = new;
        }
        count
    }

    fn remember(&mut self, now: Instant, home: Home) {
        if self.homes.len() >= HOMES && !self.homes.contains_key(&home) {
            let oldest = self.homes.iter().min_by_key(|(_, last)| **last).map(|(home, _)| *home);
            oldest.and_then(|oldest| self.homes.remove(&oldest));
        }
        self.homes.insert(home, now);
    }
}

impl Guess {
    /// It was right.
    pub(super) fn was_right(self) {
        self.was_right_at(Instant::now());
    }

    fn was_right_at(self, now: Instant) {
        let mut guesses = self.brake.lock();
        if !self.is_at_home {
            let count = guesses.count(now, self.source);
            count.wrong = count.wrong.saturating_sub(1);
        }
        // Each message has a signature of its own.
        if self.what != Guarded::Signature {
            guesses.remember(now, self.home);
        }
    }

    /// It was wrong: told, and counted for good.
    pub(super) fn was_wrong(self) {
        let metrics = &self.brake.0.metrics;
        metrics.http_auth_failures.with_label_values(&[self.what.word()]).inc();
        let now = Instant::now();
        let mut guesses = self.brake.lock();
        guesses.homes.remove(&self.home);
        let wrong = guesses.count(now, self.source).wrong;
        let Some(left_out) = guesses.log.may_write(now) else { return metrics.log_suppressed.inc() };
        let (source, what) = (self.source, self.what.word());
        if wrong < MOST {
            tracing::warn!(%source, what, left_out, "A wrong token or signature was shown.");
        } else {
            let wait_s = WINDOW.as_secs();
            tracing::warn!(%source, what, left_out, wait_s, "Too many wrong tokens or signatures were shown: this source is not heard for a while.");
        }
    }

    /// Nothing is known of it: the database did not answer.
    pub(super) fn was_undecided(self) {
        if !self.is_at_home {
            let mut guesses = self.brake.lock();
            let count = guesses.count(Instant::now(), self.source);
            count.wrong = count.wrong.saturating_sub(1);
        }
    }
}

fn home(source: IpAddr, what: Guarded, shown: &str) -> Home {
    let mut hash = Sha256::new();
    hash.update(source.to_string());
    hash.update([0, what as u8]);
    hash.update(shown);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_that_guesses_is_not_heard_for_a_while() {
        let (brake, begun) = (Brake::new(Metrics::new()), Instant::now());
        let guess = |after_s, source: &str| {
            brake.guess_at(begun + Duration::from_secs(after_s), at(source), Guarded::Token, "wrong")
        };
        for _ in 0..MOST {
            guess(0, "192.0.2.1").expect("it is looked at").was_wrong();
        }
        assert_eq!(guess(1, "192.0.2.1").err(), Some(60));
        assert!(guess(1, "192.0.2.2").is_ok(), "another source");
        assert!(guess(60, "192.0.2.1").is_ok());
        let metrics = &brake.0.metrics;
        assert_eq!(metrics.http_auth_failures.with_label_values(&["token"]).get(), u64::from(MOST));
        assert_eq!(metrics.http_braked.get(), 1);
        // Neighbours in a /64 are one source.
        (1..=MOST).for_each(|host| guess(0, &format!("2001:db8::{host}")).unwrap().was_wrong());
        assert!(guess(0, "2001:db8::ffff").is_err());
    }

    #[test]
    fn many_at_once_are_not_one() {
        let brake = Brake::new(Metrics::new());
        let under_way: Vec<_> =
            (0..50).filter_map(|_| brake.guess(at("192.0.2.1"), Guarded::Signature, "s").ok()).collect();
        assert_eq!(under_way.len(), MOST as usize);
    }

    #[test]
    fn who_was_right_before_is_heard_in_spite_of_guesses_beside() {
        let brake = Brake::new(Metrics::new());
        let guess = |what, shown: &str| brake.guess(at("127.0.0.1"), what, shown);
        guess(Guarded::Token, "the right one").unwrap().was_right();
        (0..MOST).for_each(|_| guess(Guarded::Token, "a wrong one").unwrap().was_wrong());
        assert!(guess(Guarded::Token, "another right one").is_err());
        assert!(guess(Guarded::MetricsToken, "the right one").is_err(), "right elsewhere");
        for _ in 0..100 {
            guess(Guarded::Token, "the right one").unwrap().was_right();
        }
        // Until it is wrong, because it was revoked.
        guess(Guarded::Token, "the right one").unwrap().was_wrong();
        assert!(guess(Guarded::Token, "the right one").is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (brake, now) = (Brake::new(Metrics::new()), Instant::now());
        for number in 0..SOURCES as u32 + 500 {
            let source = IpAddr::from(std::net::Ipv4Addr::from(number));
            if let Ok(guess) = brake.guess_at(now, source, Guarded::Token, "wrong") {
                guess.was_wrong();
            }
        }
        assert_eq!(brake.lock().by_source.len(), SOURCES);
        let others = IpAddr::from(std::net::Ipv4Addr::from(u32::MAX));
        assert!(brake.guess_at(now, others, Guarded::Token, "wrong").is_err(), "all others count as one");
        for number in 0..HOMES + 10 {
            let at_home = home(at("192.0.2.1"), Guarded::Token, &number.to_string());
            brake.lock().remember(now + Duration::from_millis(number as u64), at_home);
        }
        assert_eq!(brake.lock().homes.len(), HOMES);
    }
}
