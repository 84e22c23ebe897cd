//! Premium ranges: prefixes of numbers whose calls cost more than a call to their country.

use std::collections::HashSet;

use csv::{ReaderBuilder, StringRecord, Trim};

/// Digits of the longest number in E.164.
const MOST_DIGITS: usize = 15;
/// What stands for any digit in a prefix.
const ANY: char = 'x';

/// The ranges that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PremiumRanges {
    exact: HashSet<String>,
    /// Those in which any digit may stand in some places.
    patterns: Vec<String>,
}

/// Why a table of premium ranges is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct RangesRefused {
    /// Line in the table, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: String,
}

impl PremiumRanges {
    /// Reads a table whose column `prefix` has the ranges, in digits of E.164; the other columns are for people. `#` begins a
    /// comment.
    pub fn read(table: &str) -> Result<Self, RangesRefused> {
        let mut reader = ReaderBuilder::new()
            .comment(Some(b'#'))
            .trim(Trim::All)
            .flexible(true)
            .from_reader(table.as_bytes());
        let header = reader.headers().map_err(|error| unreadable(&error))?;
        let Some(column) = header.iter().position(|name| name == "prefix") else {
            let problem = "there is no column `prefix`".to_owned();
            return Err(RangesRefused { line: 1, problem });
        };
        let mut ranges = Self::default();
        for record in reader.records() {
            let record = record.map_err(|error| unreadable(&error))?;
            ranges.add(&record, column)?;
        }
        Ok(ranges)
    }

    fn add(&mut self, record: &StringRecord, column: usize) -> Result<(), RangesRefused> {
        let prefix = record.get(column).unwrap_or_default();
        let is_country_code = prefix.starts_with(|first: char| matches!(first, '1'..='9'));
        let is_prefix = prefix.chars().all(|it| it.is_ascii_digit() || it == ANY);
        if !is_country_code || !is_prefix || prefix.len() > MOST_DIGITS {
            let line = record.position().map_or(1, csv::Position::line);
            let problem =
                format!("\"{prefix}\" is no prefix of E.164; write its digits, and x for any digit");
            return Err(RangesRefused { line, problem });
        }
        if prefix.contains(ANY) {
            self.patterns.push(prefix.to_owned());
        } else {
            self.exact.insert(prefix.to_owned());
        }
        Ok(())
    }

    /// Whether a number lies in one of them: E.164, with or without its `+`.
    pub fn cover(&self, number: &str) -> bool {
        let digits = number.strip_prefix('+').unwrap_or(number);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        let longest = digits.len().min(MOST_DIGITS);
        (1..=longest).any(|length| self.exact.contains(&digits[..length]))
            || self.patterns.iter().any(|pattern| fits(pattern, digits))
    }
}

fn fits(pattern: &str, digits: &str) -> bool {
    let same = |(wanted, digit): (char, char)| wanted == ANY || wanted == digit;
    digits.len() >= pattern.len() && pattern.chars().zip(digits.chars()).all(same)
}

fn unreadable(error: &csv::Error) -> RangesRefused {
    let line = error.position().map_or(1, csv::Position::line);
    RangesRefused { line, problem: format!("this is no line of CSV: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_is_its_prefix_and_all_that_begins_with_it() {
        let ranges = PremiumRanges::read("# dated\nprefix,plan\n979,ITU\n1xxx976,NANP\n").unwrap();
        for covered in ["+979123456789", "979123456789", "+12129760123", "+979"] {
            assert!(ranges.cover(covered), "{covered}");
        }
        for other in ["+12125550123", "+97", "+44979", "+121297", "979a", "", "+"] {
            assert!(!ranges.cover(other), "{other}");
        }
    }

    #[test]
    fn a_table_that_cannot_be_read_names_its_line() {
        let refused = |table: &str| PremiumRanges::read(table).unwrap_err();
        assert_eq!(refused("country\nUS\n").problem, "there is no column `prefix`");
        for wrong in ["0900", "+979", "x900", "", "12345678901234567", "19 00"] {
            let refused = refused(&format!("# a comment\nprefix,plan\n979,ITU\n{wrong},none\n"));
            assert_eq!(refused.line, 4, "{wrong}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(number in ".{0,20}") {
            PremiumRanges::read("prefix\n1xxx976\n").unwrap().cover(&number);
        }
    }
}
