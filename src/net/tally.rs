//! How many of something there are, in all and of one source.

use std::collections::HashMap;
use std::net::IpAddr;

use sip_core::guard::network;

/// Counts against two bounds. IPv6 sources count by their /64, since whoever has one address of it has them all.
#[derive(Debug)]
pub(crate) struct Tally {
    most: usize,
    most_of_source: usize,
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

impl Tally {
    /// Room for `most` in all, `most_of_source` of one source.
    pub(crate) fn new(most: usize, most_of_source: usize) -> Self {
        Self { most, most_of_source, all: 0, by_source: HashMap::new() }
    }

    /// Counts one more; `false` if there is no room for it.
    pub(crate) fn enter(&mut self, source: IpAddr) -> bool {
        let source = network(source);
        let of_source = self.by_source.get(&source).copied().unwrap_or_default();
        let has_room = self.all < self.most && of_source < self.most_of_source;
        if has_room {
            self.all += 1;
            self.by_source.insert(source, of_source + 1);
        }
        has_room
    }

    /// One that entered is gone.
    pub(crate) fn leave(&mut self, source: IpAddr) {
        let source = network(source);
        if let Some(count) = self.by_source.get_mut(&source) {
            self.all -= 1;
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_what_leaves_makes_room() {
        let [one, neighbour, other, third] = ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"]
            .map(|text| text.parse::<IpAddr>().unwrap());
        let mut tally = Tally::new(3, 2);
        assert!(tally.enter(one) && tally.enter(neighbour));
        assert!(!tally.enter(one), "neighbours in a /64 are one source");
        assert!(tally.enter(other));
        assert!(!tally.enter(third), "there are three in all");
        tally.leave(neighbour);
        assert!(tally.enter(third));
        [one, other, third].into_iter().for_each(|source| tally.leave(source));
        assert!(tally.all == 0 && tally.by_source.is_empty());
    }
}
