//! The section `prices`.

use std::fmt;
use std::path::PathBuf;

use provisioning_store::ledger::{Payer, ReservePolicy};
use provisioning_store::lifecycle::{self, PriceList, Terms};
use provisioning_store::money::Micros;
use provisioning_store::rating::{BundleCover, Tariff, UsBundle};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::Config;

/// What things cost, and for how long they are kept.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct PriceConfig {
    /// The currency of all prices and so of all companies, three letters (ISO 4217).
    pub currency: String,
    /// One channel for 30 days.
    pub channel: Price,
    /// Discounts on the channels of a profile, by quantity.
    pub channel_discounts: Vec<Discount>,
    /// One minute bundle for 30 days.
    pub bundle: Price,
    /// Discounts on the bundles of a profile, by quantity.
    pub bundle_discounts: Vec<Discount>,
    /// The minutes of one bundle.
    pub bundle_minutes: u32,
    /// Whose credit pays the rest of a call, and later calls, when a profile's bundle minutes are used up before they are
    /// renewed.
    pub bundle_overflow: Payer,
    /// A minute of a call to an Online Number hosted here; 0 is free.
    pub on_net_minute: Price,
    /// A file of US prefixes that bundles do not cover, one a line without the 1 in front; the standard list where
    /// absent.
    pub bundle_excluded_file: Option<PathBuf>,
    /// Days that are bought at once.
    pub period_days: u32,
    /// Days from the end of its subscription after which a profile is deleted.
    pub disabled_days: u32,
    /// Days for which an Online Number whose fee could not be paid is kept for its company.
    pub number_grace_days: u32,
    /// Days that the gateway may have been away without anybody having to confirm that its clock is right.
    pub longest_absence_days: u32,
}

impl Default for PriceConfig {
    fn default() -> Self {
        let discount = |above, percent| Discount { above, percent };
        Self {
            currency: "USD".to_owned(),
            channel: Price(Micros::from_cents(695)),
            channel_discounts: Vec::new(),
            bundle: Price(Micros::from_units(30)),
            bundle_discounts: vec![discount(5, 5), discount(10, 10), discount(20, 15)],
            bundle_minutes: 5_000,
            bundle_overflow: Payer::Profile,
            on_net_minute: Price(Micros::ZERO),
            bundle_excluded_file: None,
            period_days: 30,
            disabled_days: 90,
            number_grace_days: 14,
            longest_absence_days: 40,
        }
    }
}

/// A discount that holds above a quantity.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Discount {
    /// Holds for more than this many.
    pub above: u32,
    /// Off the price of all of them, percent.
    pub percent: u32,
}

/// An amount that is not negative, written as `6.95` with or without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price(pub Micros);

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PriceVisitor)
    }
}

struct PriceVisitor;

impl Visitor<'_> for PriceVisitor {
    type Value = Price;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount like 6.95")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Price, E> {
        let amount: Micros = text.parse().map_err(E::custom)?;
        if amount.is_negative() {
            return Err(E::custom(format!("the amount {text} is negative; write 0 or more")));
        }
        Ok(Price(amount))
    }

    fn visit_u64<E: Error>(self, units: u64) -> Result<Price, E> {
        self.visit_str(&units.to_string())
    }

    fn visit_i64<E: Error>(self, units: i64) -> Result<Price, E> {
        self.visit_str(&units.to_string())
    }

    // The shortest text that reads back as the same float is what stood in the file.
    fn visit_f64<E: Error>(self, amount: f64) -> Result<Price, E> {
        self.visit_str(&amount.to_string())
    }
}

impl Config {
    /// What subscriptions cost.
    pub fn price_list(&self) -> PriceList {
        let prices = &self.prices;
        let step =
            |discount: &Discount| lifecycle::Discount { above: discount.above, percent: discount.percent };
        PriceList {
            channel: prices.channel.0,
            channel_discounts: prices.channel_discounts.iter().map(step).collect(),
            bundle: prices.bundle.0,
            bundle_discounts: prices.bundle_discounts.iter().map(step).collect(),
            bundle_minutes: prices.bundle_minutes,
            period_days: prices.period_days,
        }
    }

    /// How calls reserve what they may cost.
    pub fn reserve_policy(&self) -> ReservePolicy {
        ReservePolicy {
            bundle_overflow: self.prices.bundle_overflow,
            guard: self.calls.spend_guard.guard(),
            ..ReservePolicy::default()
        }
    }

    /// How long things are kept that nobody pays.
    pub fn terms(&self) -> Terms {
        let PriceConfig { disabled_days, number_grace_days, .. } = self.prices;
        Terms { disabled_days, number_grace_days }
    }

    /// What a call to an Online Number hosted here is charged by, in the usual steps; nothing where it is free.
    pub fn on_net_tariff(&self) -> Option<Tariff> {
        let a_minute = self.prices.on_net_minute.0;
        (a_minute > Micros::ZERO).then(|| Tariff::standard(a_minute, BundleCover::NotCovered))
    }

    /// Which calls bundle minutes pay; an error says what is wrong with the file of excluded prefixes.
    pub fn us_bundle(&self) -> Result<UsBundle, String> {
        let Some(named) = &self.prices.bundle_excluded_file else { return Ok(UsBundle::standard()) };
        let file = self.resolve_path(named);
        let shown = file.display();
        let list =
            std::fs::read_to_string(&file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        UsBundle::with_excluded(&list).map_err(|refused| format!("{shown}, {refused}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Price, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn the_defaults_are_the_standard_price_list() {
        assert_eq!(Config::default().price_list(), PriceList::default());
        assert_eq!(Config::default().terms(), Terms::default());
    }

    #[test]
    fn a_price_is_exact_however_it_is_written() {
        for text in ["6.95", "\"6.95\"", "\"6.950000\""] {
            assert_eq!(read(text).unwrap(), Price(Micros(6_950_000)), "{text}");
        }
        assert_eq!(read("30").unwrap(), Price(Micros(30_000_000)));
        assert_eq!(read("0.008").unwrap(), Price(Micros(8_000)));
    }

    #[test]
    fn a_price_is_not_negative_and_not_a_word() {
        assert!(read("-1").unwrap_err().to_string().contains("write 0 or more"));
        assert!(read("\"cheap\"").unwrap_err().to_string().contains("cheap"));
        assert!(read("true").unwrap_err().to_string().contains("an amount like 6.95"));
    }
}
