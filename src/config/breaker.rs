//! The section `calls.carrier_breaker`.

use std::time::Duration;

use serde::Deserialize;
use sip_core::settings::BreakerSettings;

/// When a carrier that fails is left alone, and for how long.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// The first pause, seconds; each trial that fails doubles it.
    pub pause_s: u64,
    /// The longest pause, seconds.
    pub longest_pause_s: u64,
    /// The longest that a Retry-After is believed, seconds.
    pub retry_after_s: u64,
    /// So many 408 and 5xx in a row.
    pub failures: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { pause_s: 5, longest_pause_s: 120, retry_after_s: 300, failures: 5 }
    }
}

impl BreakerConfig {
    /// In the core's terms.
    pub(super) fn settings(&self) -> BreakerSettings {
        BreakerSettings {
            pause: Duration::from_secs(self.pause_s),
            longest_pause: Duration::from_secs(self.longest_pause_s),
            longest_retry_after: Duration::from_secs(self.retry_after_s),
            failures_in_a_row: self.failures,
        }
    }
}
