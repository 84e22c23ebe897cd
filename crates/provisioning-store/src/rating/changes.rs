//! What a new edition of a price list changes, destination by destination.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use super::table::{Rate, RateTable};
use super::tariff::BundleCover;
use crate::money::Micros;

/// Destinations that are shown of one comparison, those with the most changed prefixes first.
pub const DESTINATIONS_SHOWN: usize = 1_000;
/// Destinations that are told apart; what further ones change is in the totals alone.
const DESTINATIONS_TOLD_APART: usize = 50_000;
/// The call by whose price rates are compared, seconds.
const COMPARED_S: u32 = 60;

/// How many prefixes change in which way, counted for one destination or for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Prefixes that were not there before.
    pub new: u64,
    /// Prefixes that are there no more.
    pub gone: u64,
    /// Prefixes that cost more.
    pub dearer: u64,
    /// Prefixes that cost less.
    pub cheaper: u64,
    /// Prefixes that cost the same.
    pub unchanged: u64,
}

impl Counts {
    fn changed(&self) -> u64 {
        self.new + self.gone + self.dearer + self.cheaper
    }
}

/// What changes for one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationChange {
    /// Its name.
    pub destination: String,
    /// Its prefixes.
    pub counts: Counts,
    /// The highest rate a minute before; `None` if it is new.
    pub highest_before: Option<Micros>,
    /// The highest rate a minute now; `None` if it is gone.
    pub highest_after: Option<Micros>,
}

/// What changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// All prefixes.
    pub counts: Counts,
    /// Destinations of which something changes, those with the most changed prefixes first, as far as they are shown.
    pub destinations: Vec<DestinationChange>,
    /// How many destinations there are of which something changes.
    pub destinations_total: u64,
}

/// A comparison of a table with what comes in its place, row by row.
pub struct Comparison {
    before: Arc<RateTable>,
    /// A bit for each row of the table before that is there still.
    kept: Vec<u64>,
    counts: Counts,
    by_destination: HashMap<Box<str>, Tally>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    counts: Counts,
    before: Option<Micros>,
    after: Option<Micros>,
}

impl Comparison {
    /// With this table.
    pub fn with(before: Arc<RateTable>) -> Self {
        let kept = vec![0; before.len().div_ceil(64)];
        Self { before, kept, counts: Counts::default(), by_destination: HashMap::new() }
    }

    /// A row of what comes; each prefix once.
    pub fn add(&mut self, rate: &Rate) {
        let place = self.before.place(&rate.prefix);
        let before = place.map(|place| {
            self.kept[place.index() / 64] |= 1 << (place.index() % 64);
            self.before.rate(place)
        });
        self.count(&rate.destination, |counts| match &before {
            None => counts.new += 1,
            Some(before) => match compare(rate, before) {
                Ordering::Greater => counts.dearer += 1,
                Ordering::Less => counts.cheaper += 1,
                Ordering::Equal => counts.unchanged += 1,
            },
        });
        if let Some(tally) = self.by_destination.get_mut(rate.destination.as_str()) {
            tally.after = tally.after.max(Some(rate.rate_per_minute));
            tally.before = tally.before.max(before.map(|before| before.rate_per_minute));
        }
    }

    /// What has changed, once all rows were added.
    pub fn finish(mut self) -> Changes {
        let before = Arc::clone(&self.before);
        for place in before.places() {
            if self.kept[place.index() / 64] & (1 << (place.index() % 64)) != 0 {
                continue;
            }
            let gone = before.rate(place);
            self.count(&gone.destination, |counts| counts.gone += 1);
            if let Some(tally) = self.by_destination.get_mut(gone.destination.as_str()) {
                tally.before = tally.before.max(Some(gone.rate_per_minute));
            }
        }
        let changed = self.by_destination.into_iter().filter(|(_, tally)| tally.counts.changed() > 0);
        let mut destinations: Vec<_> = changed
            .map(|(name, tally)| DestinationChange {
                destination: name.into(),
                counts: tally.counts,
                highest_before: tally.before,
                highest_after: tally.after,
            })
            .collect();
        let destinations_total = destinations.len() as u64;
        destinations.sort_by(|a, b| {
            b.counts.changed().cmp(&a.counts.changed()).then_with(|| a.destination.cmp(&b.destination))
        });
        destinations.truncate(DESTINATIONS_SHOWN);
        Changes { counts: self.counts, destinations, destinations_total }
    }

    fn count(&mut self, destination: &str, note: impl Fn(&mut Counts)) {
        note(&mut self.counts);
        if let Some(tally) = self.by_destination.get_mut(destination) {
            note(&mut tally.counts);
        } else if self.by_destination.len() < DESTINATIONS_TOLD_APART {
            let mut tally = Tally::default();
            note(&mut tally.counts);
            self.by_destination.insert(destination.into(), tally);
        }
    }
}

/// Which of two rates is dearer: by a call of a minute, and where that costs the same, by what it is made of.
fn compare(after: &Rate, before: &Rate) -> Ordering {
    let key = |rate: &Rate| {
        let tariff = rate.tariff(BundleCover::NotCovered);
        let minute = tariff.charge(tariff.billed_s(COMPARED_S), 0);
        (minute, rate.rate_per_minute, rate.connection_fee, rate.minimum_s, rate.increment_s)
    };
    key(after).cmp(&key(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &str) -> RateTable {
        RateTable::from_csv(&format!("prefix,destination,rate_per_minute\n{rows}")).unwrap()
    }

    #[test]
    fn new_gone_dearer_and_cheaper_prefixes_are_counted_by_destination() {
        let before = table("372,Estonia,0.02\n3725,Estonia mobile,0.20\n44,UK,0.01\n49,Germany,0.01\n");
        let after =
            table("372,Estonia,0.02\n3725,Estonia mobile,0.30\n3726,Estonia mobile,0.25\n49,Germany,0.005\n");
        let mut comparison = Comparison::with(Arc::new(before));
        after.places().for_each(|place| comparison.add(&after.rate(place)));
        let changes = comparison.finish();
        assert_eq!(changes.counts, Counts { new: 1, gone: 1, dearer: 1, cheaper: 1, unchanged: 1 });
        let lines: Vec<_> = changes
            .destinations
            .iter()
            .map(|it| (it.destination.as_str(), it.counts.changed(), it.highest_before, it.highest_after))
            .collect();
        assert_eq!(
            lines,
            [
                ("Estonia mobile", 2, Some(Micros(200_000)), Some(Micros(300_000))),
                ("Germany", 1, Some(Micros(10_000)), Some(Micros(5_000))),
                ("UK", 1, Some(Micros(10_000)), None),
            ]
        );
        assert_eq!(changes.destinations_total, 3);
    }
}
