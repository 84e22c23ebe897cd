//! The spend guard's settings: the installation's defaults, and what a profile sets in their place.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::choices::choices;
use super::{Countries, Country};
use crate::money::Micros;

/// Limits of what a profile's calls may cost. The rules themselves are in [`crate::ledger`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendGuard {
    /// Most that calls may cost in an hour (UTC, from minute 0); `None` is no cap.
    #[serde(rename = "hour_cap_micros")]
    pub hour_cap: Option<Micros>,
    /// Most that calls may cost in a day (UTC).
    #[serde(rename = "day_cap_micros")]
    pub day_cap: Option<Micros>,
    /// Highest price of a minute that is dialled.
    #[serde(rename = "highest_rate_micros")]
    pub highest_rate: Option<Micros>,
    /// The only countries that may be called; `None` is all.
    pub allowed: Option<Countries>,
    /// Countries that may not be called, whatever is allowed.
    pub denied: Countries,
    /// Most calls at once to one country, the company's own included.
    pub calls_to_one_country: Option<u32>,
    /// Longest call in seconds from its answer, in either direction.
    pub longest_call_s: Option<u32>,
    /// Most calls a second that may begin.
    pub calls_per_second: Option<NonZeroU32>,
    /// Whether premium numbers may be called.
    pub premium: Premium,
    /// Share of a cap at which the operator is warned, percent; `None` never warns.
    pub warn_percent: Option<u8>,
}

impl Default for SpendGuard {
    /// No limit at all.
    fn default() -> Self {
        Self {
            hour_cap: None,
            day_cap: None,
            highest_rate: None,
            allowed: None,
            denied: Countries::default(),
            calls_to_one_country: None,
            longest_call_s: None,
            calls_per_second: None,
            premium: Premium::Allow,
            warn_percent: Some(Self::WARN_PERCENT),
        }
    }
}

/// What is wrong with a spend guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardFault {
    /// A negative amount.
    #[error("an amount of {1} cannot be a limit")]
    Negative(&'static str, Micros),
    /// The hour's cap could never be reached.
    #[error("the hour's cap of {hour} is above the day's of {day}")]
    HourAboveDay {
        /// The hour's.
        hour: Micros,
        /// The day's.
        day: Micros,
    },
    /// Nothing could be called.
    #[error("no country at all is allowed")]
    NothingAllowed,
    /// A country on both lists.
    #[error("{0} is both allowed and denied")]
    AllowedAndDenied(Country),
    /// No call to any country.
    #[error("no call to any country would be let out")]
    NoCall,
    /// Nobody could talk.
    #[error("a call of {0} s is over before anything is said")]
    TooShort(u32),
    /// More than the whole, or nothing.
    #[error("{0} % is no share of a cap")]
    WarnOutOfRange(u8),
}

impl GuardFault {
    /// The setting to blame, by its name in the configuration.
    pub fn key(self) -> &'static str {
        match self {
            Self::Negative(key, _) => key,
            Self::HourAboveDay { .. } => "hour_cap",
            Self::NothingAllowed => "allowed_countries",
            Self::AllowedAndDenied(_) => "denied_countries",
            Self::NoCall => "calls_to_one_country",
            Self::TooShort(_) => "longest_call_s",
            Self::WarnOutOfRange(_) => "warn_percent",
        }
    }

    /// What to do about it.
    pub fn cure(self) -> &'static str {
        match self {
            Self::Negative(..) => "Write 0 or more.",
            Self::HourAboveDay { .. } => "Lower the one or raise the other.",
            Self::NothingAllowed => "Name some, or leave the list out to allow all.",
            Self::AllowedAndDenied(_) => "Take it off one of the lists.",
            Self::NoCall => "Write at least 1.",
            Self::TooShort(_) => "Write at least 10.",
            Self::WarnOutOfRange(_) => "Write 1 to 100.",
        }
    }
}

impl SpendGuard {
    /// Warned at, unless it is set.
    pub const WARN_PERCENT: u8 = 80;
    /// The shortest that the longest call may be, in seconds.
    pub const LEAST_LONGEST_CALL_S: u32 = 10;

    /// The first thing that is wrong, or contradicts another.
    pub fn fault(&self) -> Option<GuardFault> {
        let amounts =
            [("hour_cap", self.hour_cap), ("day_cap", self.day_cap), ("highest_rate", self.highest_rate)];
        for (key, amount) in amounts {
            if let Some(amount) = amount.filter(|amount| amount.is_negative()) {
                return Some(GuardFault::Negative(key, amount));
            }
        }
        if let Some((hour, day)) = self.hour_cap.zip(self.day_cap).filter(|(hour, day)| hour > day) {
            return Some(GuardFault::HourAboveDay { hour, day });
        }
        if let Some(allowed) = self.allowed {
            if allowed.is_empty() {
                return Some(GuardFault::NothingAllowed);
            }
            if let Some(both) = allowed.iter().find(|country| self.denied.contains(*country)) {
                return Some(GuardFault::AllowedAndDenied(both));
            }
        }
        if self.calls_to_one_country == Some(0) {
            return Some(GuardFault::NoCall);
        }
        if let Some(longest_s) = self.longest_call_s.filter(|s| *s < Self::LEAST_LONGEST_CALL_S) {
            return Some(GuardFault::TooShort(longest_s));
        }
        let out_of_range = self.warn_percent.filter(|percent| !(1..=100).contains(percent));
        out_of_range.map(GuardFault::WarnOutOfRange)
    }

    /// The first limit that would hold less than it does in `before`; tighter ones are no matter.
    pub fn loosened_from(&self, before: &Self) -> Option<&'static str> {
        fn is_looser<T: Ord>(new: Option<T>, old: Option<T>) -> bool {
            old.is_some_and(|old| new.is_none_or(|new| new > old))
        }
        let allows_more = before.allowed.is_some_and(|old| match self.allowed {
            None => true,
            Some(new) => new.iter().any(|country| !old.contains(country)),
        });
        let limits = [
            ("hour_cap", is_looser(self.hour_cap, before.hour_cap)),
            ("day_cap", is_looser(self.day_cap, before.day_cap)),
            ("highest_rate", is_looser(self.highest_rate, before.highest_rate)),
            ("allowed_countries", allows_more),
            ("denied_countries", before.denied.iter().any(|country| !self.denied.contains(country))),
            ("calls_to_one_country", is_looser(self.calls_to_one_country, before.calls_to_one_country)),
            ("longest_call_s", is_looser(self.longest_call_s, before.longest_call_s)),
            ("calls_per_second", is_looser(self.calls_per_second, before.calls_per_second)),
            ("premium", self.premium == Premium::Allow && before.premium == Premium::Deny),
        ];
        limits.into_iter().find(|(_, is_looser)| *is_looser).map(|(name, _)| name)
    }

    /// Whether a country may be called. One that the rate table does not name is allowed unless a list of allowed ones
    /// says otherwise.
    pub fn allows(&self, country: Option<Country>) -> bool {
        match country {
            Some(country) => {
                !self.denied.contains(country) && self.allowed.is_none_or(|it| it.contains(country))
            }
            None => self.allowed.is_none(),
        }
    }
}

choices! {
    /// Whether numbers in premium ranges may be called.
    Premium, "rule for premium numbers" {
        /// They may.
        Allow = "allow",
        /// They may not.
        Deny = "deny",
    }
}

impl Premium {
    fn tighter(self, other: Self) -> Self {
        if self == Self::Deny { self } else { other }
    }
}

/// What a profile has in the place of a default. Its text forms are `default`, `none`, and the limit's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Override<T> {
    /// The installation's default holds.
    #[default]
    #[serde(rename = "default")]
    Inherited,
    /// There is no such limit, whatever the default.
    #[serde(rename = "none")]
    Lifted,
    /// The profile's own limit.
    #[serde(rename = "set")]
    Set(T),
    /// What the profile was created with, if that was a limit. It was not chosen for this profile, so a tighter default
    /// that comes later holds.
    #[serde(rename = "begun")]
    Begun(Option<T>),
}

impl<T> Override<T> {
    /// Whether the limit was set or lifted for this profile.
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Lifted | Self::Set(_))
    }

    /// Whether nothing was said about this limit, neither for this profile nor when it was created.
    pub fn is_unsaid(&self) -> bool {
        matches!(self, Self::Inherited)
    }

    fn is_begun(&self) -> bool {
        matches!(self, Self::Begun(_))
    }

    /// The limit in force; `tighter` says which of two limits allows less.
    fn over(self, default: Option<T>, tighter: impl FnOnce(T, T) -> T) -> Option<T> {
        match (self, default) {
            (Self::Inherited | Self::Begun(None), default) => default,
            (Self::Lifted, _) => None,
            (Self::Set(limit), _) | (Self::Begun(Some(limit)), None) => Some(limit),
            (Self::Begun(Some(limit)), Some(default)) => Some(tighter(limit, default)),
        }
    }
}

impl<T: FromStr> FromStr for Override<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        match text {
            "default" => Ok(Self::Inherited),
            "none" => Ok(Self::Lifted),
            limit => limit.parse().map(Self::Set),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Override<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherited | Self::Begun(None) => f.write_str("default"),
            Self::Lifted => f.write_str("none"),
            Self::Set(limit) | Self::Begun(Some(limit)) => limit.fmt(f),
        }
    }
}

/// A profile's own spend guard, laid over the installation's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardOverrides {
    /// In the place of [`SpendGuard::hour_cap`].
    #[serde(rename = "hour_cap_micros")]
    pub hour_cap: Override<Micros>,
    /// In the place of [`SpendGuard::day_cap`].
    #[serde(rename = "day_cap_micros")]
    pub day_cap: Override<Micros>,
    /// In the place of [`SpendGuard::highest_rate`].
    #[serde(rename = "highest_rate_micros")]
    pub highest_rate: Override<Micros>,
    /// In the place of [`SpendGuard::allowed`].
    pub allowed: Override<Countries>,
    /// In the place of [`SpendGuard::denied`].
    pub denied: Override<Countries>,
    /// In the place of [`SpendGuard::calls_to_one_country`].
    pub calls_to_one_country: Override<u32>,
    /// In the place of [`SpendGuard::longest_call_s`].
    pub longest_call_s: Override<u32>,
    /// In the place of [`SpendGuard::calls_per_second`].
    pub calls_per_second: Override<NonZeroU32>,
    /// In the place of [`SpendGuard::premium`].
    pub premium: Override<Premium>,
    /// In the place of [`SpendGuard::warn_percent`].
    pub warn_percent: Override<u8>,
}

impl GuardOverrides {
    /// The guard in force.
    pub fn over(&self, defaults: &SpendGuard) -> SpendGuard {
        let (hour_cap, day_cap) = self.caps(defaults);
        let warn_percent = self.warn_percent.over(defaults.warn_percent, Ord::min);
        SpendGuard {
            hour_cap,
            day_cap,
            highest_rate: self.highest_rate.over(defaults.highest_rate, Ord::min),
            allowed: self.allowed.over(defaults.allowed, |one, other| one.and(other)),
            denied: self.denied.over(Some(defaults.denied), |one, other| one.or(other)).unwrap_or_default(),
            calls_to_one_country: self.calls_to_one_country.over(defaults.calls_to_one_country, Ord::min),
            longest_call_s: self.longest_call_s.over(defaults.longest_call_s, Ord::min),
            calls_per_second: self.call_rate(defaults.calls_per_second),
            premium: self.premium_rule(defaults.premium),
            warn_percent,
        }
    }

    /// Most calls a second that may begin.
    pub fn call_rate(&self, default: Option<NonZeroU32>) -> Option<NonZeroU32> {
        self.calls_per_second.over(default, Ord::min)
    }

    /// Whether premium numbers may be called.
    pub fn premium_rule(&self, default: Premium) -> Premium {
        self.premium.over(Some(default), Premium::tighter).unwrap_or(Premium::Allow)
    }

    /// The caps of the hour and the day. Where one of them was given at creation and the other was chosen, the hour's may be
    /// above the day's: then the day's cap holds for the hour as well.
    fn caps(&self, defaults: &SpendGuard) -> (Option<Micros>, Option<Micros>) {
        let hour = self.hour_cap.over(defaults.hour_cap, Ord::min);
        let day = self.day_cap.over(defaults.day_cap, Ord::min);
        let are_apart = self.hour_cap.is_begun() || self.day_cap.is_begun() && !self.hour_cap.is_own();
        let least = hour.zip(day).map(|(hour, day)| hour.min(day));
        (least.filter(|_| are_apart).or(hour), day)
    }

    /// What the profile was created with and what holds because no default is tighter, each by its name.
    pub fn begun_with(&self, defaults: &SpendGuard) -> Vec<&'static str> {
        fn holds<T: Copy + PartialEq>(own: Override<T>, in_force: Option<T>, default: Option<T>) -> bool {
            matches!(own, Override::Begun(Some(limit)) if in_force == Some(limit)) && in_force != default
        }
        let guard = self.over(defaults);
        let limits = [
            ("hour_cap", holds(self.hour_cap, guard.hour_cap, defaults.hour_cap)),
            ("day_cap", holds(self.day_cap, guard.day_cap, defaults.day_cap)),
            (
                "calls_per_second",
                holds(self.calls_per_second, guard.calls_per_second, defaults.calls_per_second),
            ),
            ("premium", holds(self.premium, Some(guard.premium), Some(defaults.premium))),
        ];
        limits.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_inherits_lifts_or_sets_each_limit() {
        let defaults =
            SpendGuard { hour_cap: Some(Micros(5)), longest_call_s: Some(60), ..SpendGuard::default() };
        let own: GuardOverrides =
            serde_json::from_str(r#"{"hour_cap_micros":"none","day_cap_micros":{"set":9}}"#).unwrap();
        let guard = own.over(&defaults);
        assert_eq!((guard.hour_cap, guard.day_cap), (None, Some(Micros(9))));
        assert_eq!((guard.longest_call_s, guard.warn_percent), (Some(60), Some(80)));
        let json = serde_json::to_string(&own).unwrap();
        assert_eq!(serde_json::from_str::<GuardOverrides>(&json).unwrap(), own);
        for text in ["default", "none", "2.50"] {
            assert_eq!(text.parse::<Override<Micros>>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn of_what_a_profile_was_created_with_and_the_default_the_tighter_holds() {
        let guard = SpendGuard::default();
        let amount = |units| Some(Micros::from_units(units));
        let created = GuardOverrides {
            hour_cap: Override::Begun(amount(20)),
            day_cap: Override::Begun(amount(100)),
            calls_per_second: Override::Begun(NonZeroU32::new(5)),
            premium: Override::Begun(Some(Premium::Deny)),
            ..GuardOverrides::default()
        };
        let caps = |guard: SpendGuard| (guard.hour_cap, guard.day_cap);
        let alone = created.over(&guard);
        assert_eq!((caps(alone), alone.premium), ((amount(20), amount(100)), Premium::Deny));
        assert_eq!(created.begun_with(&guard), ["hour_cap", "day_cap", "calls_per_second", "premium"]);
        let tight = SpendGuard { day_cap: amount(10), calls_per_second: NonZeroU32::new(2), ..guard };
        let both = created.over(&tight);
        assert_eq!((caps(both), both.calls_per_second), ((amount(10), amount(10)), NonZeroU32::new(2)));
        assert_eq!((both.fault(), created.begun_with(&tight)), (None, vec!["premium"]));
        let loose = SpendGuard {
            hour_cap: amount(500),
            calls_per_second: NonZeroU32::new(50),
            ..SpendGuard::default()
        };
        assert_eq!(created.over(&loose), SpendGuard { warn_percent: loose.warn_percent, ..alone });
        let chosen = GuardOverrides { day_cap: Override::Set(Micros::from_units(70)), ..created };
        assert_eq!(caps(chosen.over(&tight)), (amount(20), amount(70)), "what was chosen holds");
    }

    #[test]
    fn a_profile_that_was_created_without_a_limit_gets_the_default() {
        let open = GuardOverrides {
            hour_cap: Override::Begun(None),
            premium: Override::Begun(Some(Premium::Allow)),
            ..GuardOverrides::default()
        };
        assert_eq!(open.over(&SpendGuard::default()), SpendGuard::default());
        let all = SpendGuard { hour_cap: Some(Micros(5)), premium: Premium::Deny, ..SpendGuard::default() };
        assert_eq!(open.over(&all), all);
        assert!(open.begun_with(&SpendGuard::default()).is_empty());
        let json = serde_json::to_string(&open).unwrap();
        assert_eq!(serde_json::from_str::<GuardOverrides>(&json).unwrap(), open);
    }

    #[test]
    fn contradictions_are_found_and_blamed() {
        let guard = SpendGuard::default();
        let countries = |text: &str| text.parse::<Countries>().unwrap();
        let amount = |micros| Some(Micros(micros));
        let faulty = [
            (SpendGuard { day_cap: amount(-1), ..guard }, "day_cap"),
            (SpendGuard { hour_cap: amount(2), day_cap: amount(1), ..guard }, "hour_cap"),
            (SpendGuard { allowed: Some(Countries::default()), ..guard }, "allowed_countries"),
            (
                SpendGuard { allowed: Some(countries("EE,US")), denied: countries("CU,EE"), ..guard },
                "denied_countries",
            ),
            (SpendGuard { calls_to_one_country: Some(0), ..guard }, "calls_to_one_country"),
            (SpendGuard { longest_call_s: Some(9), ..guard }, "longest_call_s"),
            (SpendGuard { warn_percent: Some(101), ..guard }, "warn_percent"),
            (SpendGuard { warn_percent: Some(0), ..guard }, "warn_percent"),
        ];
        for (guard, key) in faulty {
            assert_eq!(guard.fault().map(GuardFault::key), Some(key), "{guard:?}");
        }
        assert_eq!(guard.fault(), None);
        let denying = SpendGuard { premium: Premium::Deny, ..guard };
        assert_eq!((guard.loosened_from(&denying), denying.loosened_from(&guard)), (Some("premium"), None));
        assert_eq!(SpendGuard { hour_cap: amount(1), day_cap: amount(1), ..guard }.fault(), None);
    }

    #[test]
    fn a_country_without_a_name_is_allowed_until_there_is_a_list() {
        let estonia = "EE".parse().ok();
        let open = SpendGuard { denied: "CU".parse().unwrap(), ..SpendGuard::default() };
        assert!(open.allows(None) && open.allows(estonia) && !open.allows("CU".parse().ok()));
        let listed = SpendGuard { allowed: "EE".parse().ok(), ..open };
        assert!(!listed.allows(None) && listed.allows(estonia) && !listed.allows("US".parse().ok()));
    }
}
