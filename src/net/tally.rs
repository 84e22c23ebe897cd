//! How many of something there are: in all, of one source, and of one IPv6 site.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use sip_core::guard::network;

/// How many times the bound of a source a site of IPv6 may have. A site is given a /56 as a rule (RFC 6177), which holds
/// 256 networks, each of them a source.
const SOURCES_OF_SITE: usize = 4;

/// What there is no room in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The whole.
    All,
    /// The source's share.
    Source,
    /// The share of the site that the source is in.
    Site,
}

/// Counts against three bounds. IPv6 sources count by their /64, since whoever has one address of it has them all, and by
/// their /56 as well.
#[derive(Debug)]
pub(crate) struct Tally {
    most: usize,
    most_of_source: usize,
    all: usize,
    by_source: HashMap<IpAddr, usize>,
    by_site: HashMap<IpAddr, usize>,
}

/// The /56 that an IPv6 address is in.
pub(super) fn site(source: IpAddr) -> Option<IpAddr> {
    match source.to_canonical() {
        IpAddr::V6(address) => Some(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 72)).into()),
        IpAddr::V4(_) => None,
    }
}

impl Tally {
    /// Room for `most` in all, `most_of_source` of one source.
    pub(crate) fn new(most: usize, most_of_source: usize) -> Self {
        Self { most, most_of_source, all: 0, by_source: HashMap::new(), by_site: HashMap::new() }
    }

    /// Where there is no room for one more of this source, if anywhere.
    pub(super) fn full(&self, source: IpAddr) -> Option<Full> {
        let most_of_site = self.most_of_source.saturating_mul(SOURCES_OF_SITE);
        let is_reached = |counts: &HashMap<IpAddr, usize>, key, most| counts.get(&key) >= Some(&most);
        if is_reached(&self.by_source, network(source), self.most_of_source) {
            Some(Full::Source)
        } else if site(source).is_some_and(|site| is_reached(&self.by_site, site, most_of_site)) {
            Some(Full::Site)
        } else {
            (self.all >= self.most).then_some(Full::All)
        }
    }

    /// Counts one more; `false` if there is no room for it.
    pub(crate) fn enter(&mut self, source: IpAddr) -> bool {
        let has_room = self.full(source).is_none();
        if has_room {
            self.all += 1;
            *self.by_source.entry(network(source)).or_default() += 1;
            if let Some(site) = site(source) {
                *self.by_site.entry(site).or_default() += 1;
            }
        }
        has_room
    }

    /// One that entered is gone.
    pub(crate) fn leave(&mut self, source: IpAddr) {
        if one_less(&mut self.by_source, network(source)) {
            self.all -= 1;
            if let Some(site) = site(source) {
                one_less(&mut self.by_site, site);
            }
        }
    }
}

fn one_less(counts: &mut HashMap<IpAddr, usize>, key: IpAddr) -> bool {
    let Some(count) = counts.get_mut(&key) else { return false };
    *count -= 1;
    if *count == 0 {
        counts.remove(&key);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bounds_hold_and_what_leaves_makes_room() {
        let [one, neighbour, other, third] = ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"]
            .map(|text| text.parse::<IpAddr>().unwrap());
        let mut tally = Tally::new(3, 2);
        assert!(tally.enter(one) && tally.enter(neighbour));
        assert_eq!(tally.full(one), Some(Full::Source), "neighbours in a /64 are one source");
        assert!(!tally.enter(one) && tally.enter(other));
        assert_eq!(tally.full(third), Some(Full::All));
        tally.leave(neighbour);
        assert!(tally.enter(third));
        [one, other, third].into_iter().for_each(|source| tally.leave(source));
        assert!(tally.all == 0 && tally.by_source.is_empty() && tally.by_site.is_empty());
    }

    #[test]
    fn networks_of_one_site_share_a_bound_of_their_own() {
        let mut tally = Tally::new(1_000, 3);
        let of_site = |network: u16| IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, 1]);
        let entered = (0..256).filter(|network| tally.enter(of_site(*network))).count();
        assert_eq!(entered, 12, "four times as many as of one network");
        assert_eq!(tally.full(of_site(77)), Some(Full::Site));
        assert!(tally.enter(of_site(256)), "the next /56 is another site's");
        tally.leave(of_site(5));
        assert!(tally.enter(of_site(200)));
    }
}
