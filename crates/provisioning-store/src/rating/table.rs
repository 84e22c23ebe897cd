//! The rate table: the longest prefix of the called number decides.

use std::collections::HashMap;

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

/// Rates by prefix.
#[derive(Clone, Debug, Default)]
pub struct RateTable {
    by_prefix: HashMap<String, Rate>,
    longest: usize,
}

impl RateTable {
    /// A table of these rows; of rows with one prefix the last stays.
    pub fn new(rates: impl IntoIterator<Item = Rate>) -> Self {
        let by_prefix: HashMap<_, _> = rates.into_iter().map(|rate| (rate.prefix.clone(), rate)).collect();
        let longest = by_prefix.keys().map(String::len).max().unwrap_or(0);
        Self { by_prefix, longest }
    }

    /// The row with the longest prefix of `number`, an E.164 number with or without its `+`.
    pub fn find(&self, number: &str) -> Option<&Rate> {
        let digits = number.strip_prefix('+').unwrap_or(number);
        let longest = self.longest.min(digits.len());
        (1..=longest).rev().find_map(|length| self.by_prefix.get(digits.get(..length)?))
    }

    /// The price of a call to `number`; `None` when no row covers it, so the call cannot be carried.
    pub fn quote(&self, number: &str, us_bundle: &UsBundle) -> Option<Quote> {
        let rate = self.find(number)?;
        Some(Quote {
            destination: rate.destination.clone(),
            country: rate.country.clone(),
            tariff: rate.tariff(us_bundle.cover(number)),
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.by_prefix.len()
    }

    /// True when no call can be rated.
    pub fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    /// The rows in the order of their prefixes.
    pub fn rates(&self) -> Vec<&Rate> {
        let mut rates: Vec<_> = self.by_prefix.values().collect();
        rates.sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix));
        rates
    }
}

impl Rate {
    fn tariff(&self, bundle: BundleCover) -> Tariff {
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
        let found = |number: &str| table.find(number).map(|rate| rate.prefix.as_str());
        assert_eq!(found("+3725812345"), Some("37258"));
        assert_eq!(found("3725912345"), Some("3725"));
        assert_eq!(found("+372880"), Some("372"));
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
            prop_assert_eq!(table.find(&number).map(|rate| &rate.prefix), expected);
        }
    }
}
