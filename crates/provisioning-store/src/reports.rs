//! Reports over a calendar month in UTC: what a profile's calls came to, what was allocated to it, what a company paid.
//!
//! Plain data with a JSON form; [`csv`](AllocationRow) forms carry exact amounts. They are made of transfers and call
//! records, which are never changed, so a report made again is the same.

use std::fmt;
use std::str::FromStr;

use csv::Writer;
use serde::Serialize;

use crate::cdr::Cdr;
use crate::ledger::TransferKind;
use crate::model::{CompanyId, NumberId, ProfileId, Timestamp};
use crate::money::Micros;

/// A calendar month in UTC, written `2011-07`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i64,
    month: u32,
}

/// A text that is no month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a month; write one like 2011-07")]
pub struct NotAMonth(pub String);

impl Month {
    /// The month of a moment.
    pub fn of(at: Timestamp) -> Self {
        let (year, month, _) = at.date();
        Self { year, month }
    }

    /// Its first moment.
    pub fn start(self) -> Timestamp {
        Timestamp::month_start(self.year, self.month)
    }

    /// The first moment after it.
    pub fn end(self) -> Timestamp {
        self.next().start()
    }

    /// The one after it.
    pub fn next(self) -> Self {
        match self.month {
            12 => Self { year: self.year + 1, month: 1 },
            month => Self { month: month + 1, ..self },
        }
    }

    /// The one before it.
    pub fn previous(self) -> Self {
        match self.month {
            1 => Self { year: self.year - 1, month: 12 },
            month => Self { month: month - 1, ..self },
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = NotAMonth;

    fn from_str(text: &str) -> Result<Self, NotAMonth> {
        let read = |(year, month): (&str, &str)| {
            let is_plain = year.len() == 4 && month.len() == 2 && !text.contains('+');
            let (year, month) = (year.parse::<u16>().ok()?, month.parse().ok()?);
            let month = Self { year: i64::from(year), month };
            (is_plain && (1..=12).contains(&month.month)).then_some(month)
        };
        text.split_once('-').and_then(read).ok_or_else(|| NotAMonth(text.to_owned()))
    }
}

impl Serialize for Month {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What calls came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    /// Destination as the rate table names it; empty for calls that have none.
    pub destination: String,
    /// Calls that were answered.
    pub calls: u64,
    /// Seconds from answer to end.
    pub duration_s: i64,
    /// Seconds billed.
    pub billed_s: i64,
    /// Of these, the seconds that bundle minutes paid.
    pub bundle_s: i64,
    /// The charges.
    #[serde(rename = "amount_micros")]
    pub amount: Micros,
}

/// A profile's calls in a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Whose.
    pub profile: ProfileId,
    /// When they began.
    pub month: Month,
    /// By destination.
    pub rows: Vec<UsageRow>,
    /// All together.
    pub total: UsageRow,
}

impl Usage {
    /// Sums rows up.
    pub fn new(profile: ProfileId, month: Month, rows: Vec<UsageRow>) -> Self {
        let mut total = UsageRow::default();
        for row in &rows {
            total.calls += row.calls;
            total.duration_s += row.duration_s;
            total.billed_s += row.billed_s;
            total.bundle_s += row.bundle_s;
            total.amount = [total.amount, row.amount].into_iter().sum();
        }
        Self { profile, month, rows, total }
    }
}

/// What the ledger says that a profile's calls of a month came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LedgerUsage {
    /// Charges.
    #[serde(rename = "amount_micros")]
    pub amount: Micros,
    /// Bundle seconds.
    pub bundle_s: i64,
}

/// Something that was bought for a profile, or credit that went to or from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AllocationRow {
    /// When.
    #[serde(rename = "at_micros")]
    pub at: Timestamp,
    /// What.
    pub kind: TransferKind,
    /// How much.
    #[serde(rename = "amount_micros")]
    pub amount: Micros,
    /// In words.
    pub note: String,
}

/// A movement of a company's credit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatementRow {
    /// When.
    #[serde(rename = "at_micros")]
    pub at: Timestamp,
    /// Why.
    pub kind: TransferKind,
    /// How much came, or went below zero.
    #[serde(rename = "amount_micros")]
    pub amount: Micros,
    /// Credit after it.
    #[serde(rename = "balance_micros")]
    pub balance: Micros,
    /// For which profile.
    pub profile: Option<ProfileId>,
    /// In words.
    pub note: String,
}

/// What is to be paid next, if nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UpcomingPayment {
    /// When.
    #[serde(rename = "at_micros")]
    pub at: Timestamp,
    /// For what.
    #[serde(flatten)]
    pub payee: Payee,
    /// How much.
    #[serde(rename = "amount_micros")]
    pub amount: Micros,
}

/// What a payment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "for", content = "id", rename_all = "snake_case")]
pub enum Payee {
    /// A profile's channels and bundles.
    Profile(ProfileId),
    /// An Online Number.
    Number(NumberId),
}

/// A company's credit in a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// Whose.
    pub company: CompanyId,
    /// Which month.
    pub month: Month,
    /// Credit at its beginning.
    #[serde(rename = "opening_micros")]
    pub opening: Micros,
    /// What came and went.
    pub rows: Vec<StatementRow>,
    /// Credit at its end, or so far.
    #[serde(rename = "closing_micros")]
    pub closing: Micros,
    /// What is to be paid next.
    pub upcoming: Vec<UpcomingPayment>,
}

/// A report that is a table.
pub trait Table {
    /// The names of its columns.
    const COLUMNS: &'static [&'static str];

    /// A line of it.
    fn cells(&self) -> Vec<String>;
}

/// A table as CSV, with a header line.
pub fn csv<T: Table>(rows: &[T]) -> String {
    csv_header::<T>() + &csv_lines(rows)
}

/// The header line of a table as CSV.
pub fn csv_header<T: Table>() -> String {
    written([T::COLUMNS.iter().map(|&column| column.to_owned()).collect()])
}

/// The lines below the header.
pub fn csv_lines<T: Table>(rows: &[T]) -> String {
    written(rows.iter().map(T::cells))
}

fn written(lines: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut writer = Writer::from_writer(Vec::new());
    for cells in lines {
        writer.write_record(cells.into_iter().map(guarded)).expect("writing into memory does not fail");
    }
    let octets = writer.into_inner().expect("writing into memory does not fail");
    String::from_utf8(octets).expect("text was written")
}

/// A spreadsheet takes a cell that begins like a formula for one; a quote in front makes it text again. Numbers, which
/// begin with a sign too, stay as they are.
fn guarded(cell: String) -> String {
    let is_number = cell.chars().skip(1).all(|c| c.is_ascii_digit() || c == '.');
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number { format!("'{cell}") } else { cell }
}

/// `2011-07-06T12:00:00Z`.
fn moment(at: Timestamp) -> String {
    let (year, month, day) = at.date();
    let second = at.unix_s().rem_euclid(86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

impl Table for Cdr {
    const COLUMNS: &'static [&'static str] = &[
        "began",
        "direction",
        "from",
        "to",
        "destination",
        "rate_per_minute",
        "duration_s",
        "billed_s",
        "bundle_s",
        "amount",
        "reason",
    ];

    fn cells(&self) -> Vec<String> {
        let (attempt, settlement) = (&self.record.attempt, &self.settlement);
        vec![
            moment(attempt.started_at),
            attempt.direction.to_string(),
            attempt.from.clone(),
            attempt.to.clone(),
            attempt.destination.clone(),
            self.rate_per_minute().to_string(),
            settlement.duration_s.to_string(),
            settlement.billed_s.to_string(),
            settlement.bundle_s.to_string(),
            settlement.amount.to_string(),
            self.record.ending.reason_code.clone(),
        ]
    }
}

impl Table for AllocationRow {
    const COLUMNS: &'static [&'static str] = &["at", "kind", "amount", "note"];

    fn cells(&self) -> Vec<String> {
        vec![moment(self.at), self.kind.to_string(), self.amount.to_string(), self.note.clone()]
    }
}

impl Table for StatementRow {
    const COLUMNS: &'static [&'static str] = &["at", "kind", "amount", "balance", "profile", "note"];

    fn cells(&self) -> Vec<String> {
        vec![
            moment(self.at),
            self.kind.to_string(),
            self.amount.to_string(),
            self.balance.to_string(),
            self.profile.map_or_else(String::new, |profile| profile.to_string()),
            self.note.clone(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_read_back_and_follow_one_another() {
        let december: Month = "2011-12".parse().unwrap();
        assert_eq!((december.next().to_string(), december.to_string()), ("2012-01".into(), "2011-12".into()));
        assert_eq!(december.next().previous(), december);
        assert_eq!(Month::of(december.end().plus_s(-1)), december);
        for text in ["", "2011", "2011-13", "2011-00", "11-07", "2011-7", "+011-07", "2011-07-01"] {
            assert_eq!(text.parse::<Month>(), Err(NotAMonth(text.into())));
        }
    }

    #[test]
    fn files_carry_exact_amounts_and_no_formulas() {
        let row = |note: &str| AllocationRow {
            at: Timestamp::from_unix_s(1_309_478_400 + 3_661),
            kind: TransferKind::Allocation,
            amount: Micros(1_234_567),
            note: note.into(),
        };
        let text = csv(&[row("a, b"), row("=HYPERLINK(1)"), row("-5.5")]);
        let wanted = "at,kind,amount,note\n2011-07-01T01:01:01Z,allocation,1.234567,\"a, b\"\n\
            2011-07-01T01:01:01Z,allocation,1.234567,'=HYPERLINK(1)\n2011-07-01T01:01:01Z,allocation,1.234567,-5.5\n";
        assert_eq!(text, wanted);
    }
}
