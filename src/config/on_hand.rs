//! The section `calls.on_hand`.

use provisioning_store::money::Micros;
use serde::Deserialize;

use super::Price;

/// What is reserved ahead for each profile that calls, for calls that begin while the database does not answer.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct OnHandConfig {
    /// Credit.
    pub credit: Price,
    /// Bundle minutes.
    pub bundle_minutes: u32,
}

impl Default for OnHandConfig {
    fn default() -> Self {
        Self { credit: Price(Micros::from_units(1)), bundle_minutes: 10 }
    }
}

impl OnHandConfig {
    /// False if nothing is kept on hand.
    pub fn is_on(&self) -> bool {
        self.amounts() != (Micros::ZERO, 0)
    }

    /// Credit, and bundle seconds.
    pub fn amounts(&self) -> (Micros, u32) {
        (self.credit.0, self.bundle_minutes.saturating_mul(60))
    }
}
