//! Wall-clock time for records; behaviour never depends on it within a call.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// Microseconds in a day.
const DAY: i64 = 86_400 * SECOND;

/// Microseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// A time given in whole seconds.
    pub const fn from_unix_s(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND))
    }

    /// `days` later (or earlier, below zero); saturates at the ends of time.
    pub const fn plus_days(self, days: i64) -> Self {
        Self(self.0.saturating_add(days.saturating_mul(DAY)))
    }

    /// `seconds` later (or earlier, below zero); saturates at the ends of time.
    pub const fn plus_s(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(SECOND)))
    }

    /// Microseconds from `earlier` to here; below zero when it is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn unix_s(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// The UTC date as year, month (1-12), day (1-31).
    pub const fn date(self) -> (i64, u32, u32) {
        civil_from_days(self.0.div_euclid(DAY))
    }

    /// The beginning of a month (1-12) in UTC.
    pub const fn month_start(year: i64, month: u32) -> Self {
        Self(days_from_civil(year, month).saturating_mul(DAY))
    }
}

impl From<SystemTime> for Timestamp {
    /// A clock before 1970 counts as 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Days of the Gregorian calendar since 1970-01-01 to (year, month, day), counted in eras of 400 years from March.
const fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + (month <= 2) as i64, month as u32, day as u32)
}

/// The inverse of [`civil_from_days`] for the first day of a month.
const fn days_from_civil(year: i64, month: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month as i64 + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_where_the_calendar_says() {
        assert_eq!(Timestamp::month_start(1970, 1), Timestamp(0));
        assert_eq!(Timestamp::month_start(2011, 7), Timestamp::from_unix_s(1_309_478_400));
        assert_eq!(Timestamp::month_start(2024, 3).plus_days(-1).date(), (2024, 2, 29));
        assert_eq!(Timestamp(-1).date(), (1969, 12, 31));
        for month in 0..4_800 {
            let (year, month) = (1_900 + month / 12, 1 + (month % 12) as u32);
            assert_eq!(Timestamp::month_start(year, month).date(), (year, month, 1));
        }
    }
}
