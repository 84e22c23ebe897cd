//! The rate table: the longest prefix of the called number decides.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::tariff::{BundleCover, Tariff};
use super::us_bundle::UsBundle;
use crate::money::Micros;

/// Longest E.164 number, in digits.
pub(super) const LONGEST_PREFIX: usize = 15;

/// One row of a rate table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Leading digits of the E.164 number, without `+`: 1 to 15.
    pub prefix: String,
    /// What reports call it: `Estonia`, `UK mobile`.
    pub destination: String,
    /// Country by its two letters in capitals (ISO 3166-1), or empty.
    pub country: String,
    /// Price of a minute.
    #[serde(rename = "rate_per_minute_micros")]
    pub rate_per_minute: Micros,
    /// Price of the answer itself.
    #[serde(rename = "connection_fee_micros")]
    pub connection_fee: Micros,
    /// Shortest billed duration in seconds.
    pub minimum_s: u32,
    /// Billed steps after it, in seconds.
    pub increment_s: u32,
}

/// What a call to one number will be charged, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The row's name for the number.
    pub destination: String,
    /// The row's country, two letters, or empty.
    pub country: String,
    /// The terms, to be put into the call's reservation.
    pub tariff: Tariff,
}

/// Rates by prefix, packed: a deck of a million prefixes takes some tens of megabytes.
#[derive(Clone, Default)]
pub struct RateTable {
    /// Prefixes of one digit, of two, and so on.
    levels: Vec<Level>,
    terms: Vec<Terms>,
    destinations: Vec<Box<str>>,
}

/// All prefixes of one length in ascending order, each with the place of its terms.
#[derive(Clone, Default)]
struct Level {
    prefixes: Vec<u64>,
    terms: Vec<u32>,
}

/// What a row says beside its prefix; rows that say the same share it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Terms {
    destination: u32,
    /// Two zeros stand for no country.
    country: [u8; 2],
    rate_per_minute: Micros,
    connection_fee: Micros,
    minimum_s: u32,
    increment_s: u32,
}

/// A row of a table, by its place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

impl Place {
    /// As a number below the table's length.
    pub fn index(self) -> usize {
        self.0
    }
}

impl RateTable {
    /// A table of these rows; of rows with one prefix the last stays.
    pub fn new(rates: impl IntoIterator<Item = Rate>) -> Self {
        let mut builder = RateTableBuilder::default();
        rates.into_iter().for_each(|rate| builder.add(&rate));
        builder.build()
    }

    /// The row with the longest prefix of `number`, an E.164 number with or without its `+`.
    pub fn find(&self, number: &str) -> Option<Rate> {
        let digits = number.strip_prefix('+').unwrap_or(number);
        let longest = self.levels.len().min(digits.len());
        (1..=longest).rev().find_map(|length| {
            let prefix = digits.get(..length)?;
            Some(self.rate(self.place(prefix)?))
        })
    }

    /// The row of exactly this prefix.
    pub fn place(&self, prefix: &str) -> Option<Place> {
        let level = self.levels.get(prefix.len().checked_sub(1)?)?;
        let index = level.prefixes.binary_search(&digits(prefix)?).ok()?;
        let before: usize = self.levels[..prefix.len() - 1].iter().map(|level| level.prefixes.len()).sum();
        Some(Place(before + index))
    }

    /// All rows, short prefixes before long ones.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        (0..self.len()).map(Place)
    }

    /// What a row says.
    pub fn rate(&self, place: Place) -> Rate {
        let mut index = place.0;
        for (length, level) in (1..).zip(&self.levels) {
            if let (Some(prefix), Some(terms)) = (level.prefixes.get(index), level.terms.get(index)) {
                let terms = &self.terms[*terms as usize];
                return Rate {
                    prefix: format!("{prefix:0length$}"),
                    destination: self.destinations[terms.destination as usize].to_string(),
                    country: terms.country.iter().filter(|it| **it != 0).map(|it| char::from(*it)).collect(),
                    rate_per_minute: terms.rate_per_minute,
                    connection_fee: terms.connection_fee,
                    minimum_s: terms.minimum_s,
                    increment_s: terms.increment_s,
                };
            }
            index -= level.prefixes.len();
        }
        unreachable!("a place belongs to the table that has given it")
    }

    /// The price of a call to `number`; `None` when no row covers it, so the call cannot be carried.
    pub fn quote(&self, number: &str, us_bundle: &UsBundle) -> Option<Quote> {
        let rate = self.find(number)?;
        let tariff = rate.tariff(us_bundle.cover(number));
        Some(Quote { destination: rate.destination, country: rate.country, tariff })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.levels.iter().map(|level| level.prefixes.len()).sum()
    }

    /// True when no call can be rated.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for RateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.places().map(|place| self.rate(place))).finish()
    }
}

/// The digits of a prefix as a number; leading zeros are told apart by its length.
fn digits(prefix: &str) -> Option<u64> {
    prefix.bytes().all(|byte| byte.is_ascii_digit()).then(|| prefix.parse().ok())?
}

/// Puts a table together row by row.
#[derive(Default)]
pub struct RateTableBuilder {
    levels: Vec<Vec<(u64, u32)>>,
    terms: Vec<Terms>,
    places: HashMap<Terms, u32>,
    destinations: HashMap<Box<str>, u32>,
}

impl RateTableBuilder {
    /// Adds a row. What is no prefix finds no number, and is left out.
    pub fn add(&mut self, rate: &Rate) {
        let Some(prefix) = digits(&rate.prefix).filter(|_| !rate.prefix.is_empty()) else { return };
        let destination = match self.destinations.get(rate.destination.as_str()) {
            Some(place) => *place,
            None => {
                let place = self.destinations.len() as u32;
                self.destinations.insert(rate.destination.as_str().into(), place);
                place
            }
        };
        let terms = Terms {
            destination,
            country: rate.country.as_bytes().try_into().unwrap_or_default(),
            rate_per_minute: rate.rate_per_minute,
            connection_fee: rate.connection_fee,
            minimum_s: rate.minimum_s,
            increment_s: rate.increment_s,
        };
        let place = *self.places.entry(terms).or_insert_with(|| {
            self.terms.push(terms);
            self.terms.len() as u32 - 1
        });
        let length = rate.prefix.len();
        if self.levels.len() < length {
            self.levels.resize_with(length, Vec::new);
        }
        self.levels[length - 1].push((prefix, place));
    }

    /// The table of all rows; of rows with one prefix the last stays.
    pub fn build(mut self) -> RateTable {
        let mut destinations = vec![Box::from(""); self.destinations.len()];
        for (name, place) in self.destinations {
            destinations[place as usize] = name;
        }
        self.terms.shrink_to_fit();
        let level = |mut rows: Vec<(u64, u32)>| {
            rows.reverse();
            rows.sort_by_key(|(prefix, _)| *prefix);
            rows.dedup_by_key(|(prefix, _)| *prefix);
            let (prefixes, terms) = rows.into_iter().unzip();
            Level { prefixes, terms }
        };
        RateTable { levels: self.levels.into_iter().map(level).collect(), terms: self.terms, destinations }
    }
}

impl Rate {
    pub(super) fn tariff(&self, bundle: BundleCover) -> Tariff {
        Tariff {
            rate_per_minute: self.rate_per_minute,
            connection_fee: self.connection_fee,
            minimum_s: self.minimum_s,
            increment_s: self.increment_s,
            bundle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(prefix: &str) -> Rate {
        Rate {
            prefix: prefix.into(),
            destination: format!("destination {prefix}"),
            country: String::new(),
            rate_per_minute: Micros(1_000),
            connection_fee: Micros::ZERO,
            minimum_s: 30,
            increment_s: 6,
        }
    }

    #[test]
    fn the_longest_prefix_decides() {
        let table = RateTable::new(["1", "372", "37258", "3725"].map(rate));
        let found = |number: &str| table.find(number).map(|rate| rate.prefix);
        assert_eq!(found("+3725812345"), Some("37258".into()));
        assert_eq!(found("3725912345"), Some("3725".into()));
        assert_eq!(found("+372880"), Some("372".into()));
        assert_eq!(found("+44"), None);
        assert_eq!(found(""), None);
        assert_eq!(found("+"), None);
        assert_eq!(found("éé"), None);
    }

    #[test]
    fn a_quote_knows_the_bundles_reach() {
        let table = RateTable::new([rate("1")]);
        let cover = |number| table.quote(number, &UsBundle::standard()).map(|quote| quote.tariff.bundle);
        assert_eq!(cover("+12152751701"), Some(BundleCover::Covered));
        assert_eq!(cover("+14165550100"), Some(BundleCover::NotCovered));
        assert_eq!(cover("+44"), None);
    }

    proptest! {
        #[test]
        fn agrees_with_trying_every_row(
            prefixes in proptest::collection::hash_set("[0-9]{1,5}", 0..40), number in "[0-9]{0,15}",
        ) {
            let table = RateTable::new(prefixes.iter().map(|prefix| rate(prefix)));
            let expected = prefixes.iter().filter(|prefix| number.starts_with(*prefix)).max_by_key(|prefix| prefix.len());
            prop_assert_eq!(table.find(&number).map(|rate| rate.prefix), expected.cloned());
            prop_assert_eq!(table.len(), prefixes.len());
            for place in table.places() {
                prop_assert_eq!(table.place(&table.rate(place).prefix), Some(place));
            }
        }
    }
}
