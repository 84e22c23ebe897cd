//! Reports as pure functions of call records.

use serde::{Deserialize, Serialize};

use crate::cdr::{CallKind, Cdr, Direction};
use crate::model::Timestamp;
use crate::money::Micros;

/// Seconds in a minute.
const MINUTE_S: u64 = 60;

/// One answered call in a usage report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// When it began.
    #[serde(rename = "started_at_micros")]
    pub started_at: Timestamp,
    /// The other party's number.
    pub item: String,
    /// Which way it went.
    pub direction: Direction,
    /// What it was made over.
    pub kind: CallKind,
    /// The rate row's name, or empty.
    pub destination: String,
    /// Price of a minute on credit.
    #[serde(rename = "rate_per_minute_micros")]
    pub rate_per_minute: Micros,
    /// Seconds from answer to end.
    pub duration_s: u32,
    /// Seconds billed.
    pub billed_s: u32,
    /// Of these, seconds that the bundle paid.
    pub bundle_s: u32,
    /// The charge; zero for calls that the bundle paid.
    #[serde(rename = "amount_micros")]
    pub amount: Micros,
}

/// A profile's usage in one month (UTC).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// Year.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: u32,
    /// Answered calls that began in the month, in the order they were given.
    pub rows: Vec<UsageRow>,
    /// Sum of the charges.
    #[serde(rename = "total_micros")]
    pub total: Micros,
    /// Bundle seconds used.
    pub bundle_s: u64,
}

impl UsageReport {
    /// The report of a month from call records; those of other months and unanswered ones are left out.
    pub fn of_month<'a>(year: i64, month: u32, cdrs: impl IntoIterator<Item = &'a Cdr>) -> Self {
        let (start, end) = month_bounds(year, month);
        let rows: Vec<_> = cdrs
            .into_iter()
            .filter(|cdr| (start..end).contains(&cdr.record.attempt.started_at))
            .filter(|cdr| cdr.record.ending.answered_at.is_some())
            .map(row)
            .collect();
        let total = rows.iter().map(|row| row.amount).sum();
        let bundle_s = rows.iter().map(|row| u64::from(row.bundle_s)).sum();
        Self { year, month, rows, total, bundle_s }
    }

    /// Whole minutes of the bundle used.
    pub fn bundle_minutes_used(&self) -> u64 {
        self.bundle_s / MINUTE_S
    }
}

/// The first moment of a month (1 to 12, UTC) and of the next: the bounds to ask records for.
pub fn month_bounds(year: i64, month: u32) -> (Timestamp, Timestamp) {
    let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    (Timestamp::month_start(year, month), Timestamp::month_start(next.0, next.1))
}

fn row(cdr: &Cdr) -> UsageRow {
    let attempt = &cdr.record.attempt;
    UsageRow {
        started_at: attempt.started_at,
        item: match attempt.direction {
            Direction::Outgoing => attempt.to.clone(),
            Direction::Incoming => attempt.from.clone(),
        },
        direction: attempt.direction,
        kind: attempt.kind,
        destination: attempt.destination.clone(),
        rate_per_minute: cdr.rate_per_minute(),
        duration_s: cdr.settlement.duration_s,
        billed_s: cdr.settlement.billed_s,
        bundle_s: cdr.settlement.bundle_s,
        amount: cdr.settlement.amount,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn december_ends_where_january_begins() {
        assert_eq!(month_bounds(2011, 12).1, Timestamp::month_start(2012, 1));
        assert_eq!(month_bounds(2011, 7).1, month_bounds(2011, 8).0);
    }
}
