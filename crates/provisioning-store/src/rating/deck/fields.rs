//! One line of a deck: what its fields say.

use csv::StringRecord;

use super::super::table::{LONGEST_PREFIX, Rate};
use super::super::tariff::Tariff;
use super::amount::{Decimals, Place};
use super::layout::{Layout, Meaning, Zero};
use super::problems::RateProblem;
use crate::model::Timestamp;
use crate::money::Micros;
use crate::text::unseen;

/// Longest minimum or step, an hour: more is a slip of the pen.
const LONGEST_STEP_S: u32 = 3_600;
/// Longest name of a destination, characters.
const LONGEST_DESTINATION: usize = 200;
/// What stands between the prefixes of one line.
const BETWEEN_PREFIXES: [char; 4] = [',', ';', ' ', '|'];

/// What is wrong with a field, and what it is called.
type Fault = RateProblem;

/// The rates of one line: the same for all its prefixes.
pub(super) struct Lot {
    pub(super) prefixes: Vec<String>,
    /// With no prefix of its own.
    pub(super) rate: Rate,
}

/// A line while it is read.
pub(super) struct Line<'a> {
    pub(super) number: u64,
    pub(super) record: &'a StringRecord,
    pub(super) layout: &'a Layout,
    pub(super) decimals: &'a mut Decimals,
    pub(super) holds_from: Timestamp,
}

impl Line<'_> {
    /// What it says; nothing where it does not hold for everybody. All that is wrong with it, otherwise.
    pub(super) fn lot(mut self) -> Result<Option<Lot>, Vec<Fault>> {
        if self.is_left_out() {
            return Ok(None);
        }
        let mut faults = Vec::new();
        let mut note = |fault: Fault| faults.push(fault);
        let prefixes = self.prefixes().map_err(&mut note).unwrap_or_default();
        let country = self.country().map_err(&mut note).unwrap_or_default();
        let destination = self.destination(&prefixes).map_err(&mut note).unwrap_or_default();
        let rate_per_minute = self.amount(Meaning::RatePerMinute).map_err(&mut note).unwrap_or_default();
        let connection_fee = self.amount(Meaning::ConnectionFee).map_err(&mut note).unwrap_or_default();
        let (minimum_s, increment_s) = self.steps().map_err(&mut note).unwrap_or((1, 1));
        self.further_rate(rate_per_minute).unwrap_or_else(&mut note);
        self.nothing_else().unwrap_or_else(&mut note);
        self.effective().unwrap_or_else(&mut note);
        if !faults.is_empty() {
            return Err(faults);
        }
        let prefix = String::new();
        let rate =
            Rate { prefix, destination, country, rate_per_minute, connection_fee, minimum_s, increment_s };
        Ok(Some(Lot { prefixes, rate }))
    }

    fn is_left_out(&self) -> bool {
        let mut callers = self.layout.fields(Meaning::Callers, self.record);
        let mut barred = self.layout.fields(Meaning::Barred, self.record);
        let mut status = self.layout.fields(Meaning::Status, self.record);
        callers.any(|(_, text)| !text.is_empty())
            || barred.any(|(_, text)| {
                !matches!(text.to_ascii_lowercase().as_str(), "" | "0" | "no" | "n" | "false")
            })
            || status.any(|(_, text)| ["inactive", "0"].contains(&text.to_ascii_lowercase().as_str()))
    }

    /// The heading and the text of a field; empty where there is no such column.
    fn field(&self, meaning: Meaning) -> (&str, &str) {
        self.layout.fields(meaning, self.record).next().unwrap_or_default()
    }

    fn fault(&self, column: &str, sentence: impl Into<String>) -> Fault {
        RateProblem { line: self.number, column: Some(column.to_owned()), sentence: sentence.into() }
    }

    fn prefixes(&self) -> Result<Vec<String>, Fault> {
        let (column, text) = self.field(Meaning::Prefix);
        let parts: Vec<&str> = match self.layout.is_foreign() {
            true => text.split(BETWEEN_PREFIXES).filter(|part| !part.is_empty()).collect(),
            false => vec![text],
        };
        let refused = |part: &str| self.fault(column, not_a_prefix(part));
        if parts.is_empty() {
            return Err(refused(text));
        }
        parts.into_iter().map(|part| prefix(part).ok_or_else(|| refused(part))).collect()
    }

    fn country(&self) -> Result<String, Fault> {
        let (column, text) = self.field(Meaning::CountryCode);
        if text.is_empty() || (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic())) {
            return Ok(text.to_ascii_uppercase());
        }
        let sentence = format!("\"{text}\" is not a country; write its two letters, like EE, or nothing");
        Err(self.fault(column, sentence))
    }

    /// The line's own name for it; in the layouts of others, the country's or the prefix itself where that is empty.
    fn destination(&self, prefixes: &[String]) -> Result<String, Fault> {
        let (own, country) = (self.field(Meaning::Destination), self.field(Meaning::CountryName));
        let is_name = |text: &str| !matches!(text, "" | "--");
        let (column, name) = if is_name(own.1) || !is_name(country.1) { own } else { country };
        if !is_name(name) {
            return match prefixes.first() {
                Some(prefix) if self.layout.is_foreign() => Ok(format!("+{prefix}")),
                _ => Err(self.fault(column, "is empty; reports need a name for the calls")),
            };
        }
        if let Some(character) = unseen(name) {
            let code = u32::from(character);
            return Err(self.fault(column, format!("holds the character U+{code:04X}, which cannot be seen")));
        }
        if name.chars().count() > LONGEST_DESTINATION {
            return Err(
                self.fault(column, format!("is longer than {LONGEST_DESTINATION} characters; shorten it"))
            );
        }
        Ok(name.to_owned())
    }

    /// An amount; none is nothing, except for the rate.
    fn amount(&mut self, meaning: Meaning) -> Result<Micros, Fault> {
        let (layout, record) = (self.layout, self.record);
        let (column, text) = layout.fields(meaning, record).next().unwrap_or_default();
        if text.is_empty() && meaning != Meaning::RatePerMinute {
            return Ok(Micros::ZERO);
        }
        let place = Place { line: self.number, column };
        let read = self.decimals.read(text, &place);
        read.map_err(|sentence| self.fault(column, sentence))
    }

    /// Where the first interval has a rate of its own, the others must have the same.
    fn further_rate(&mut self, rate: Micros) -> Result<(), Fault> {
        let (column, text) = self.field(Meaning::FurtherRate);
        let column = column.to_owned();
        if text.is_empty() || self.amount(Meaning::FurtherRate)? == rate {
            return Ok(());
        }
        let sentence =
            "differs from the rate of the first interval; calls have one rate here, write it in both";
        Err(self.fault(&column, sentence))
    }

    /// Shortest duration and step.
    fn steps(&self) -> Result<(u32, u32), Fault> {
        let (column, steps) = self.field(Meaning::Steps);
        if let Some((first, next)) = steps.split_once(['/', '-', '+']) {
            let first = self.seconds(column, first.trim())?;
            return Ok((first, self.seconds(column, next.trim())?));
        }
        let mut increment = self.optional_seconds(Meaning::Increment)?;
        if !steps.is_empty() {
            increment = Some(self.seconds(column, steps)?);
        }
        let increment_s = match (increment, self.layout.zero()) {
            (Some(0), Zero::OneStep) => 1,
            (increment, _) => increment.unwrap_or(Tariff::STANDARD_INCREMENT_S),
        };
        let minimum = self.optional_seconds(Meaning::Minimum)?;
        let minimum_s = match minimum {
            Some(0) => increment_s,
            Some(minimum) => minimum,
            // A list that names steps alone bills from the first step on.
            None if self.layout.is_foreign() && increment.is_some() && !self.layout.has(Meaning::Minimum) => {
                increment_s
            }
            None => Tariff::STANDARD_MINIMUM_S,
        };
        Ok((minimum_s, increment_s))
    }

    fn optional_seconds(&self, meaning: Meaning) -> Result<Option<u32>, Fault> {
        match self.field(meaning) {
            (_, "") => Ok(None),
            (column, text) => self.seconds(column, text).map(Some),
        }
    }

    fn seconds(&self, column: &str, text: &str) -> Result<u32, Fault> {
        let least = if self.layout.zero() == Zero::OneStep { 0 } else { 1 };
        let seconds = text.parse().ok().filter(|seconds| (least..=LONGEST_STEP_S).contains(seconds));
        seconds.ok_or_else(|| {
            let sentence = format!("\"{text}\" is not a number of seconds from 1 to {LONGEST_STEP_S}");
            self.fault(column, sentence)
        })
    }

    /// Columns that would change the price in a way that is not known here.
    fn nothing_else(&self) -> Result<(), Fault> {
        let mut fields = self.layout.fields(Meaning::Nothing, self.record);
        let is_nothing = |text: &str| text.chars().all(|it| matches!(it, '0' | '.' | ',' | '-'));
        match fields.find(|(_, text)| !is_nothing(text)) {
            None => Ok(()),
            Some((column, text)) => {
                let sentence = format!(
                    "\"{text}\" cannot be charged or granted here; write 0 if the line holds without it"
                );
                Err(self.fault(column, sentence))
            }
        }
    }

    /// A line that holds later belongs into a deck that holds later.
    fn effective(&self) -> Result<(), Fault> {
        let (column, text) = self.field(Meaning::EffectiveFrom);
        if matches!(text.to_ascii_lowercase().as_str(), "" | "asap" | "now" | "immediate" | "immediately") {
            return Ok(());
        }
        let Some(from) = day(text) else {
            return Err(
                self.fault(column, format!("\"{text}\" is not a day; write it like 2026-12-31, or ASAP"))
            );
        };
        if from > self.holds_from {
            let sentence =
                format!("holds from {text} on; import the lines of that day by themselves, with --from");
            return Err(self.fault(column, sentence));
        }
        Ok(())
    }
}

/// The beginning of a day like `2026-12-31`; a time of day after it is left out.
fn day(text: &str) -> Option<Timestamp> {
    let date = text.split(['T', ' ']).next()?;
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let month: u32 = month.parse().ok().filter(|month| (1..=12).contains(month))?;
    let day: i64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    Some(Timestamp::month_start(year.parse().ok()?, month).plus_days(day - 1))
}

/// The digits of a prefix of E.164, which may be written with `+` or `00`.
fn prefix(text: &str) -> Option<String> {
    let digits = text.strip_prefix('+').or_else(|| text.strip_prefix("00")).unwrap_or(text);
    let is_prefix = (1..=LONGEST_PREFIX).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_prefix.then(|| digits.to_owned())
}

fn not_a_prefix(text: &str) -> String {
    let is_number = text.contains(['E', 'e']) && text.bytes().any(|byte| byte.is_ascii_digit());
    let cure = if is_number && text.parse::<f64>().is_ok() {
        "a spreadsheet has made a number of it; give the column the format text and export again"
    } else {
        "write 1 to 15 digits beginning with the country code"
    };
    format!("\"{text}\" is not a prefix; {cure}")
}
