//! The sections `calls.new_profiles` and `calls.new_companies`: limits that new ones begin with.

use std::num::NonZeroU32;

use provisioning_store::model::{GuardOverrides, Override, Premium, SpendGuard};
use provisioning_store::money::Micros;
use serde::Deserialize;

use super::Price;

/// Limits that a new profile begins with.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct NewProfilesConfig {
    /// Most calls a second that it may begin; null or 0 is no limit.
    pub calls_per_second: Option<u32>,
    /// Whether it may call premium numbers.
    pub premium: Premium,
    /// Most that its calls may cost in an hour (UTC); null is no cap.
    pub hour_cap: Option<Price>,
    /// Most that its calls may cost in a day (UTC); null is no cap.
    pub day_cap: Option<Price>,
}

impl Default for NewProfilesConfig {
    fn default() -> Self {
        Self {
            calls_per_second: Some(5),
            premium: Premium::Deny,
            hour_cap: Some(Price(Micros::from_units(20))),
            day_cap: Some(Price(Micros::from_units(100))),
        }
    }
}

impl NewProfilesConfig {
    /// What a new profile begins with. Where `calls.spend_guard` limits all profiles in the same way, that limit holds; its
    /// two caps are one limit, since they have to fit each other.
    pub fn guard(&self, all: &SpendGuard) -> GuardOverrides {
        let are_capped = all.hour_cap.is_some() || all.day_cap.is_some();
        let amount = |cap: Option<Price>| cap.map(|price| price.0);
        GuardOverrides {
            calls_per_second: begun_with(
                all.calls_per_second.is_some(),
                self.calls_per_second.and_then(NonZeroU32::new),
            ),
            premium: begun_with(all.premium == Premium::Deny, Some(self.premium)),
            hour_cap: begun_with(are_capped, amount(self.hour_cap)),
            day_cap: begun_with(are_capped, amount(self.day_cap)),
            ..GuardOverrides::default()
        }
    }
}

/// Currencies in which the caps that are shipped are worth about as much as in dollars.
const LIKE_DOLLARS: [&str; 8] = ["USD", "EUR", "GBP", "CHF", "CAD", "AUD", "NZD", "SGD"];

impl NewProfilesConfig {
    /// The caps that are shipped are amounts of dollars: in another currency they may be too low for a single call, or no cap.
    pub fn warning(&self, currency: &str) -> Option<String> {
        let shipped = Self::default();
        let is_shipped = |own: Option<Price>, shipped: Option<Price>| own == shipped && shipped.is_some();
        let are_shipped =
            is_shipped(self.hour_cap, shipped.hour_cap) || is_shipped(self.day_cap, shipped.day_cap);
        (are_shipped && !LIKE_DOLLARS.contains(&currency)).then(|| {
            format!(
                "New profiles begin with the caps of calls.new_profiles as they are shipped, 20.00 an hour and 100.00 a day, in \
                 {currency}: write hour_cap and day_cap as they should be in that currency."
            )
        })
    }
}

/// That there is no limit is kept too: only of profiles from before is nothing said.
fn begun_with<T>(are_all_limited: bool, limit: Option<T>) -> Override<T> {
    if are_all_limited { Override::Inherited } else { Override::Begun(limit) }
}

/// Limits that a new company begins with.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct NewCompaniesConfig {
    /// Most calls a second that its profiles may begin together; null or 0 is no limit.
    pub calls_per_second: Option<u32>,
}

impl Default for NewCompaniesConfig {
    fn default() -> Self {
        Self { calls_per_second: Some(20) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(calls_per_second: Option<u32>, all: Option<u32>) -> Override<NonZeroU32> {
        let all = SpendGuard { calls_per_second: all.and_then(NonZeroU32::new), ..SpendGuard::default() };
        NewProfilesConfig { calls_per_second, ..NewProfilesConfig::default() }.guard(&all).calls_per_second
    }

    #[test]
    fn a_new_profile_has_a_limit_unless_the_installation_has_one_or_wants_none() {
        let five = NonZeroU32::new(5).unwrap();
        assert_eq!(of(Some(5), None), Override::Begun(Some(five)));
        assert_eq!(of(Some(5), Some(9)), Override::Inherited);
        assert_eq!(of(None, None), Override::Begun(None));
        assert_eq!(of(Some(0), None), Override::Begun(None));
    }

    #[test]
    fn caps_in_a_currency_that_they_were_not_meant_for_are_told() {
        let new = NewProfilesConfig::default();
        assert_eq!((new.warning("USD"), new.warning("EUR")), (None, None));
        assert!(new.warning("JPY").unwrap().contains("in JPY: write hour_cap"));
        let amount = |units| Some(Price(Micros::from_units(units)));
        let own = NewProfilesConfig { hour_cap: amount(3_000), day_cap: amount(15_000), ..new };
        assert_eq!(own.warning("JPY"), None);
    }

    #[test]
    fn a_new_profile_is_capped_and_calls_no_premium_numbers() {
        let new = NewProfilesConfig::default();
        let own = new.guard(&SpendGuard::default());
        assert_eq!(own.premium, Override::Begun(Some(Premium::Deny)));
        assert_eq!(own.over(&SpendGuard::default()).fault(), None);
        assert!(matches!((own.hour_cap, own.day_cap), (Override::Begun(Some(_)), Override::Begun(Some(_)))));
        let all = SpendGuard { day_cap: Some(Micros::from_units(5)), ..SpendGuard::default() };
        let own = new.guard(&all);
        assert_eq!((own.hour_cap, own.day_cap), (Override::Inherited, Override::Inherited));
        let open = NewProfilesConfig { hour_cap: None, premium: Premium::Allow, ..new };
        let own = open.guard(&SpendGuard::default());
        assert_eq!(
            (own.hour_cap, own.premium),
            (Override::Begun(None), Override::Begun(Some(Premium::Allow)))
        );
    }
}
