//! What is wrong with a deck, line by line.

use std::fmt;

/// Problems that are shown of one deck; the others are counted.
pub const PROBLEMS_SHOWN: usize = 100;

/// One thing wrong with a deck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateProblem {
    /// Line in the file, counted from 1.
    pub line: u64,
    /// The column as the file calls it, where one is to blame.
    pub column: Option<String>,
    /// What is wrong and how to cure it, one sentence.
    pub sentence: String,
}

impl fmt::Display for RateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "line {}, {column}: {}", self.line, self.sentence),
            None => write!(f, "line {}: {}", self.line, self.sentence),
        }
    }
}

/// A refused deck: nothing of it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatesRefused {
    /// What is wrong, in the order of the lines, as far as it is shown; at least one.
    pub problems: Vec<RateProblem>,
    /// How many problems there are in all.
    pub total: u64,
}

impl RatesRefused {
    pub(super) fn of(line: u64, sentence: &str) -> Self {
        let problem = RateProblem { line, column: None, sentence: sentence.to_owned() };
        Self { problems: vec![problem], total: 1 }
    }
}

impl fmt::Display for RatesRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.problems.iter().map(RateProblem::to_string).collect();
        f.write_str(&lines.join("\n"))?;
        match self.total - self.problems.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\n{more} more, {} in all; nothing was imported", self.total),
        }
    }
}

impl std::error::Error for RatesRefused {}

/// Problems while a deck is read.
#[derive(Debug, Default)]
pub(super) struct Problems {
    shown: Vec<RateProblem>,
    total: u64,
}

impl Problems {
    pub(super) fn add(&mut self, line: u64, column: Option<&str>, sentence: impl Into<String>) {
        self.push(RateProblem { line, column: column.map(str::to_owned), sentence: sentence.into() });
    }

    pub(super) fn push(&mut self, problem: RateProblem) {
        self.total += 1;
        if self.shown.len() < PROBLEMS_SHOWN {
            self.shown.push(problem);
        }
    }

    /// Counts problems that are not shown.
    pub(super) fn count(&mut self, more: u64) {
        self.total += more;
    }

    pub(super) fn has_any(&self) -> bool {
        self.total > 0
    }

    pub(super) fn into_result(mut self) -> Result<(), RatesRefused> {
        self.shown.sort_by_key(|problem| problem.line);
        match self.total {
            0 => Ok(()),
            total => Err(RatesRefused { problems: self.shown, total }),
        }
    }
}
