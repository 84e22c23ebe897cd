//! The sections `calls.new_profiles` and `calls.new_companies`: limits that new ones begin with.

use std::num::NonZeroU32;

use provisioning_store::model::{GuardOverrides, Override, SpendGuard};
use serde::Deserialize;

/// Limits that a new profile begins with.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct NewProfilesConfig {
    /// Most calls a second that it may begin; null or 0 is no limit.
    pub calls_per_second: Option<u32>,
}

impl Default for NewProfilesConfig {
    fn default() -> Self {
        Self { calls_per_second: Some(5) }
    }
}

impl NewProfilesConfig {
    /// What a new profile begins with. Where `calls.spend_guard` has such a limit for all profiles, that one holds.
    pub fn guard(&self, all: &SpendGuard) -> GuardOverrides {
        GuardOverrides {
            calls_per_second: match (all.calls_per_second, self.calls_per_second.and_then(NonZeroU32::new)) {
                (Some(_), _) => Override::Inherited,
                (None, Some(most)) => Override::Set(most),
                (None, None) => Override::Lifted,
            },
            ..GuardOverrides::default()
        }
    }
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
        NewProfilesConfig { calls_per_second }.guard(&all).calls_per_second
    }

    #[test]
    fn a_new_profile_has_a_limit_unless_the_installation_has_one_or_wants_none() {
        let five = NonZeroU32::new(5).unwrap();
        assert_eq!(of(Some(5), None), Override::Set(five));
        assert_eq!(of(Some(5), Some(9)), Override::Inherited);
        assert_eq!(of(None, None), Override::Lifted);
        assert_eq!(of(Some(0), None), Override::Lifted);
    }
}
