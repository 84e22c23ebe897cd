//! Reads a rate deck of any length, line by line, and says of every bad line what is wrong and how to cure it.
//!
//! Nothing of a deck is kept but the prefixes that were seen, so a deck of a million lines needs some tens of megabytes.

mod amount;
mod fields;
mod layout;
mod problems;
mod source;

pub use problems::{PROBLEMS_SHOWN, RateProblem, RatesRefused};

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};

use csv::StringRecord;

use self::amount::Decimals;
use self::fields::{Line, Lot};
use self::layout::Layout;
use self::problems::Problems;
use self::source::Source;
use super::table::{Rate, RateTable};
use crate::model::Timestamp;

/// Most rates of one deck.
pub const MOST_RATES: u64 = 2_000_000;

/// What was read of a deck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeckRead {
    /// How many rates it has.
    pub rates: u64,
    /// Whose layout it has, in words.
    pub layout: &'static str,
    /// Columns that mean nothing here.
    pub columns_left_out: Vec<String>,
    /// Lines that hold for some callers only, or are barred or withdrawn.
    pub lines_left_out: u64,
}

/// Why a deck cannot be used.
#[derive(Debug)]
pub enum DeckFault {
    /// By what stands in it.
    Refused(RatesRefused),
    /// It could not be read to its end.
    Cut(io::Error),
}

/// A deck that is being read.
pub struct DeckReader<R> {
    csv: csv::Reader<Source<R>>,
    layout: Layout,
    record: StringRecord,
    decimals: Decimals,
    /// Lines of the prefixes seen.
    seen: HashMap<u64, u64>,
    /// Rates of a line that names several prefixes.
    waiting: VecDeque<Rate>,
    problems: Problems,
    left_out: u64,
    /// From when the deck is to hold.
    holds_from: Timestamp,
    cut: Option<io::Error>,
}

impl<R: Read> DeckReader<R> {
    /// Reads the heading of a deck that is to hold from a moment on.
    pub fn open(source: R, holds_from: Timestamp) -> Result<Self, DeckFault> {
        let (layout, csv) = layout::recognise(source)?;
        Ok(Self {
            csv,
            layout,
            record: StringRecord::new(),
            decimals: Decimals::default(),
            seen: HashMap::new(),
            waiting: VecDeque::new(),
            problems: Problems::default(),
            left_out: 0,
            holds_from,
            cut: None,
        })
    }

    /// The next rate that can be used; `None` at the end.
    pub fn next_rate(&mut self) -> Option<Rate> {
        loop {
            if let Some(rate) = self.waiting.pop_front() {
                return Some(rate);
            }
            if !self.read_line() {
                return None;
            }
        }
    }

    /// Whether something wrong was found already: nothing of the deck will be used.
    pub fn has_problems(&self) -> bool {
        self.problems.has_any()
    }

    /// The line that was read last.
    pub fn line(&self) -> u64 {
        self.csv.position().line()
    }

    /// What was read; all that is wrong, if anything is.
    pub fn finish(mut self) -> Result<DeckRead, DeckFault> {
        if let Some(cut) = self.cut {
            return Err(DeckFault::Cut(cut));
        }
        self.decimals.settle(&mut self.problems);
        if self.seen.is_empty() && !self.problems.has_any() {
            self.problems.add(1, None, "no rates follow; add at least one line");
        }
        self.problems.into_result().map_err(DeckFault::Refused)?;
        Ok(DeckRead {
            rates: self.seen.len() as u64,
            layout: self.layout.name(),
            columns_left_out: self.layout.left_out().to_vec(),
            lines_left_out: self.left_out,
        })
    }

    /// Reads a line; false at the end.
    fn read_line(&mut self) -> bool {
        let begins_at = self.csv.position().clone();
        self.csv.get_ref().allow_line_from(begins_at.byte());
        match self.csv.read_record(&mut self.record) {
            Ok(false) => false,
            Ok(true) => {
                self.take_line();
                true
            }
            Err(error) => self.note_unreadable(begins_at.line(), error),
        }
    }

    fn take_line(&mut self) {
        let line = self.record.position().map_or(0, csv::Position::line);
        if self.record.iter().all(str::is_empty) {
            return;
        }
        if let Some(sentence) = self.layout.misfit(&self.record) {
            self.problems.add(line, None, sentence);
            return;
        }
        let read = Line {
            number: line,
            record: &self.record,
            layout: &self.layout,
            decimals: &mut self.decimals,
            holds_from: self.holds_from,
        };
        match read.lot() {
            Ok(Some(lot)) => self.add(line, lot),
            Ok(None) => self.left_out += 1,
            Err(problems) => problems.into_iter().for_each(|problem| self.problems.push(problem)),
        }
    }

    fn add(&mut self, line: u64, lot: Lot) {
        for prefix in lot.prefixes {
            let key = key(&prefix);
            if let Some(first) = self.seen.get(&key) {
                let place = if *first == line {
                    "twice in this line".to_owned()
                } else {
                    format!("in line {first} already")
                };
                let sentence = format!("{prefix} stands {place}; keep one of the two");
                self.problems.add(line, self.layout.heading_of_prefix(), sentence);
            } else if self.seen.len() as u64 == MOST_RATES {
                let sentence = format!(
                    "a deck has at most {MOST_RATES} rates; cut it in parts, one for each price list"
                );
                self.problems.add(line, None, sentence);
            } else {
                self.seen.insert(key, line);
                self.waiting.push_back(Rate { prefix, ..lot.rate.clone() });
            }
        }
    }

    /// Whether reading goes on.
    fn note_unreadable(&mut self, begins_at: u64, error: csv::Error) -> bool {
        let line = error.position().map_or(begins_at, csv::Position::line);
        match error.into_kind() {
            csv::ErrorKind::Utf8 { .. } => {
                self.problems.add(line, None, "holds characters that are not UTF-8; save the file as UTF-8");
                true
            }
            csv::ErrorKind::Io(error) if source::is_too_long(&error) => {
                self.problems.add(
                    line,
                    None,
                    "a quotation mark opens here and is not closed; close it or leave it out",
                );
                false
            }
            csv::ErrorKind::Io(error) => {
                self.cut = Some(error);
                false
            }
            _ => {
                self.problems.add(line, None, "cannot be read as CSV; save the file as CSV in UTF-8");
                true
            }
        }
    }
}

/// A prefix as a number that no other prefix has: its digits after a leading 1.
fn key(prefix: &str) -> u64 {
    prefix.bytes().fold(1, |key, digit| key * 10 + u64::from(digit - b'0'))
}

impl RateTable {
    /// Reads a whole deck that holds at once.
    pub fn from_csv(text: &str) -> Result<Self, RatesRefused> {
        let read = || {
            let mut deck = DeckReader::open(text.as_bytes(), Timestamp(i64::MAX))?;
            let mut rates = Vec::new();
            while let Some(rate) = deck.next_rate() {
                rates.push(rate);
            }
            deck.finish().map(|_| Self::new(rates))
        };
        read().map_err(|fault| match fault {
            DeckFault::Refused(refused) => refused,
            DeckFault::Cut(error) => RatesRefused::of(1, &error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests;
