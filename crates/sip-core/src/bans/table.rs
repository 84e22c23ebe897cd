//! Guesses by whom they count for, and until when that suspect is not heard. A bounded number of rows; the one untouched
//! for longest makes room.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::ops::Bound;
use std::time::{Duration, Instant};

use super::{Ban, Banned, Claim, name_of};

/// Whether a guess was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Given,
    None,
}

/// The guesses of one suspect, or for one user.
#[derive(Debug)]
pub(super) struct Row {
    /// When they were made, oldest first; only those within the window.
    pub(super) guesses: VecDeque<Instant>,
    /// When the last one was answered.
    pub(super) answered: Instant,
    touched: Instant,
    closed_until: Option<Instant>,
    pub(super) user: Box<str>,
    pub(super) print: u64,
}

/// A bounded number of rows; the one untouched for longest makes room.
#[derive(Debug)]
pub(super) struct Table<K> {
    pub(super) rows: HashMap<K, Row>,
    pub(super) by_age: BTreeSet<(Instant, K)>,
    /// Those that are not heard, in order. A few may be heard again that were not looked for since.
    closed: BTreeSet<K>,
    /// The same by when that ends.
    closed_by_end: BTreeSet<(Instant, K)>,
    max: usize,
}

impl Row {
    pub(super) fn guesses_within(&mut self, now: Instant, window: Duration) -> usize {
        while self.guesses.front().is_some_and(|at| now.saturating_duration_since(*at) >= window) {
            self.guesses.pop_front();
        }
        self.guesses.len()
    }

    pub(super) fn note(&mut self, now: Instant, window: Duration, claim: &Claim, answer: Answer) {
        self.guesses_within(now, window);
        self.guesses.push_back(now);
        self.user = name_of(claim);
        self.print = claim.print;
        if answer == Answer::Given {
            self.answered = now;
        }
    }

    /// More guesses than lead to anything need not be remembered.
    pub(super) fn keep_latest(&mut self, most: usize) {
        let beyond = self.guesses.len().saturating_sub(most);
        self.guesses.drain(..beyond);
    }

    pub(super) fn ban(&self, now: Instant, whom: Banned) -> Option<Ban> {
        let left = self.closed_until?.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(Ban { whom, user: self.user.to_string(), left })
    }

    pub(super) fn is_closed(&self, now: Instant) -> bool {
        self.closed_until.is_some_and(|until| now < until)
    }
}

impl<K: Clone + Ord + Hash> Table<K> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            rows: HashMap::new(),
            by_age: BTreeSet::new(),
            closed: BTreeSet::new(),
            closed_by_end: BTreeSet::new(),
            max: max.max(1),
        }
    }

    /// What is known of a key is not heard until then, and what comes after counts anew.
    pub(super) fn close(&mut self, key: K, until: Instant) {
        let Some(row) = self.rows.get_mut(&key) else { return };
        row.guesses = VecDeque::new();
        if let Some(before) = row.closed_until.replace(until) {
            self.closed_by_end.remove(&(before, key.clone()));
        }
        self.closed_by_end.insert((until, key.clone()));
        self.closed.insert(key);
    }

    /// Lets go of bans that have ended; each is looked at once.
    fn forget_ended(&mut self, now: Instant) {
        while let Some((until, _)) = self.closed_by_end.first()
            && *until <= now
            && let Some((_, key)) = self.closed_by_end.pop_first()
        {
            self.closed.remove(&key);
        }
    }

    /// The next rows behind `after` that are not heard, `most` of them.
    pub(super) fn closed(&mut self, now: Instant, after: Option<&K>, most: usize) -> Vec<(&K, &Row)> {
        self.forget_ended(now);
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.closed.range((first, Bound::Unbounded)).take(most);
        behind.filter_map(|key| Some((key, self.rows.get(key)?))).collect()
    }

    pub(super) fn count_closed(&mut self, now: Instant) -> usize {
        self.forget_ended(now);
        self.closed.len()
    }

    pub(super) fn is_closed<Q: Hash + Eq + ?Sized>(&self, now: Instant, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.rows.get(key).is_some_and(|row| row.is_closed(now))
    }

    /// The row of a key, new if need be.
    pub(super) fn touch(&mut self, now: Instant, key: K) -> &mut Row {
        match self.rows.get(&key) {
            Some(row) => {
                self.by_age.remove(&(row.touched, key.clone()));
            }
            None if self.rows.len() >= self.max => {
                if let Some((_, oldest)) = self.by_age.first().cloned() {
                    self.remove(&oldest);
                }
            }
            None => {}
        }
        self.by_age.insert((now, key.clone()));
        let row = self.rows.entry(key).or_insert_with(|| Row {
            guesses: VecDeque::new(),
            answered: now,
            touched: now,
            closed_until: None,
            user: Box::default(),
            print: 0,
        });
        row.touched = now;
        row
    }

    /// Forgets what has no consequences any more.
    pub(super) fn forget_idle(&mut self, now: Instant, window: Duration) {
        while let Some((touched, key)) = self.by_age.first() {
            let is_recent = now.saturating_duration_since(*touched) < window;
            if is_recent || self.rows.get(key).is_some_and(|row| row.is_closed(now)) {
                return;
            }
            let key = key.clone();
            self.remove(&key);
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> bool {
        let Some(row) = self.rows.remove(key) else { return false };
        self.by_age.remove(&(row.touched, key.clone()));
        if let Some(until) = row.closed_until {
            self.closed_by_end.remove(&(until, key.clone()));
            self.closed.remove(key);
        }
        true
    }
}
