//! Even and odd port pairs for each local address, handed out as late after their last use as possible.
//!
//! A port used again at once still receives the packets of the call before (cross-talk), so the pair that has rested
//! longest goes next. Under load it may not have rested long enough; that is counted, and better than a call refused,
//! as long as it has rested at all.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// A pair taken from a [`PortPool`]; give it back with [`PortPool::release`].
#[derive(Debug, PartialEq, Eq)]
pub struct PortPair {
    address: usize,
    rtp: u16,
}

impl PortPair {
    /// The even port.
    #[must_use]
    pub fn rtp(&self) -> u16 {
        self.rtp
    }

    /// The odd port above it.
    #[must_use]
    pub fn rtcp(&self) -> u16 {
        self.rtp + 1
    }
}

/// The pairs of one address, the longest rested first, each with the time since which it rests.
struct Shelf {
    free: VecDeque<(Option<Instant>, u16)>,
    total: usize,
}

/// Pairs for a number of local addresses, named by their index.
pub struct PortPool {
    shelves: Vec<Shelf>,
    rest: Rest,
    hurried: u64,
}

/// How long a pair rests between two calls.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// Long enough.
    pub enough: Duration,
    /// Not shorter than this, however short of pairs the pool is.
    pub least: Duration,
}

impl PortPool {
    /// All whole pairs within the range for each of `addresses`. `random` shuffles them, so that nobody can
    /// tell the next call's ports from the last one's.
    #[must_use]
    pub fn new(
        addresses: usize,
        ports: &RangeInclusive<u16>,
        rest: Rest,
        random: &mut dyn FnMut() -> u32,
    ) -> Self {
        let even: Vec<u16> =
            ports.clone().filter(|port| *port != 0 && port.is_multiple_of(2) && port < ports.end()).collect();
        let shelves = (0..addresses)
            .map(|_| {
                let mut ports = even.clone();
                for last in (1..ports.len()).rev() {
                    ports.swap(last, random() as usize % (last + 1));
                }
                let total = ports.len();
                Shelf { free: ports.into_iter().map(|port| (None, port)).collect(), total }
            })
            .collect();
        Self { shelves, rest, hurried: 0 }
    }

    /// The pair that has rested longest, if one has rested at all.
    pub fn take(&mut self, now: Instant, address: usize) -> Option<PortPair> {
        let free = &mut self.shelves.get_mut(address)?.free;
        let rested = free.front()?.0.map(|since| now.saturating_duration_since(since));
        if rested.is_some_and(|rested| rested < self.rest.least) {
            return None;
        }
        self.hurried += u64::from(rested.is_some_and(|rested| rested < self.rest.enough));
        free.pop_front().map(|(_, rtp)| PortPair { address, rtp })
    }

    /// Puts a pair to rest.
    pub fn release(&mut self, now: Instant, pair: PortPair) {
        if let Some(shelf) = self.shelves.get_mut(pair.address) {
            shelf.free.push_back((Some(now), pair.rtp));
        }
    }

    /// Pairs in use, over all addresses.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.total - shelf.free.len()).sum()
    }

    /// Pairs handed out so far that had not rested enough.
    #[must_use]
    pub fn hurried(&self) -> u64 {
        self.hurried
    }

    /// Pairs there are, over all addresses.
    #[must_use]
    pub fn total(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.total).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(ports: RangeInclusive<u16>) -> PortPool {
        let mut seed = 1u32;
        let rest = Rest { enough: Duration::from_secs(10), least: Duration::from_secs(1) };
        PortPool::new(2, &ports, rest, &mut || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        })
    }

    #[test]
    fn only_whole_even_pairs_are_given() {
        let mut pool = pool(10_001..=10_006);
        let now = Instant::now();
        let mut ports: Vec<u16> = std::iter::from_fn(|| pool.take(now, 0)).map(|pair| pair.rtp()).collect();
        ports.sort_unstable();
        assert_eq!(ports, [10_002, 10_004], "10006 has no odd port beside it");
        assert_eq!((pool.in_use(), pool.total()), (2, 4));
        assert!(pool.take(now, 1).is_some(), "each address has its own");
        assert!(pool.take(now, 2).is_none());
    }

    #[test]
    fn the_end_of_the_port_space_is_no_trap() {
        let mut pool = pool(65_532..=65_535);
        let now = Instant::now();
        assert_eq!(std::iter::from_fn(|| pool.take(now, 0)).map(|pair| pair.rtcp()).max(), Some(65_535));
    }

    #[test]
    fn a_pair_rests_before_it_is_used_again() {
        let mut pool = pool(10_000..=10_003);
        let start = Instant::now();
        let (first, second) = (pool.take(start, 0).unwrap(), pool.take(start, 0).unwrap());
        let ports = [first.rtp(), second.rtp()];
        pool.release(start, first);
        pool.release(start + Duration::from_secs(1), second);
        assert_eq!(pool.in_use(), 0);
        let later = start + Duration::from_secs(20);
        assert_eq!(pool.take(later, 0).unwrap().rtp(), ports[0], "the longest rested first");
        assert_eq!(pool.take(later, 0).unwrap().rtp(), ports[1]);
        assert_eq!(pool.hurried(), 0);
    }

    #[test]
    fn in_a_hurry_a_pair_rests_less_but_rests() {
        let mut pool = pool(10_000..=10_001);
        let start = Instant::now();
        let pair = pool.take(start, 0).unwrap();
        pool.release(start, pair);
        assert!(pool.take(start + Duration::from_millis(999), 0).is_none());
        assert!(pool.take(start + Duration::from_secs(1), 0).is_some());
        assert_eq!(pool.hurried(), 1);
    }
}
