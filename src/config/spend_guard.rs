//! The section `calls.spend_guard`.

use std::num::NonZeroU32;

use provisioning_store::model::{Country, Premium, SpendGuard};
use serde::Deserialize;

use super::Price;

/// Limits of what a profile's calls may cost. What is absent is not limited.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct SpendGuardConfig {
    /// Most that calls may cost in an hour (UTC).
    pub hour_cap: Option<Price>,
    /// Most that calls may cost in a day (UTC).
    pub day_cap: Option<Price>,
    /// Highest price of a minute that is dialled.
    pub highest_rate: Option<Price>,
    /// The only countries that may be called.
    pub allowed_countries: Option<Vec<Country>>,
    /// Countries that may not be called.
    pub denied_countries: Vec<Country>,
    /// Most calls at once to one country.
    pub calls_to_one_country: Option<u32>,
    /// Longest call from its answer, seconds.
    pub longest_call_s: Option<u32>,
    /// Most calls a second that a profile may begin; 0 is no limit.
    pub calls_per_second: Option<u32>,
    /// Whether premium numbers may be called.
    pub premium: Premium,
    /// Share of a cap at which the operator is warned, percent.
    pub warn_percent: u8,
}

impl Default for SpendGuardConfig {
    fn default() -> Self {
        Self {
            hour_cap: None,
            day_cap: None,
            highest_rate: None,
            allowed_countries: None,
            denied_countries: Vec::new(),
            calls_to_one_country: None,
            longest_call_s: None,
            calls_per_second: None,
            premium: Premium::Allow,
            warn_percent: SpendGuard::WARN_PERCENT,
        }
    }
}

impl SpendGuardConfig {
    /// The ledger's view of it.
    pub fn guard(&self) -> SpendGuard {
        let amount = |price: &Option<Price>| price.map(|price| price.0);
        SpendGuard {
            hour_cap: amount(&self.hour_cap),
            day_cap: amount(&self.day_cap),
            highest_rate: amount(&self.highest_rate),
            allowed: self.allowed_countries.as_ref().map(|allowed| allowed.iter().copied().collect()),
            denied: self.denied_countries.iter().copied().collect(),
            calls_to_one_country: self.calls_to_one_country,
            longest_call_s: self.longest_call_s,
            calls_per_second: self.calls_per_second.and_then(NonZeroU32::new),
            premium: self.premium,
            warn_percent: Some(self.warn_percent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_section_limits_nothing() {
        assert_eq!(SpendGuardConfig::default().guard(), SpendGuard::default());
    }
}
