//! Lines on the terminal, one a fact, as they become known.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Whether a fact is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Held,
    Failed,
}

/// What has been said, and how much of it held.
pub(super) struct Report {
    held: u32,
    failed: u32,
    is_coloured: bool,
}

impl Report {
    /// Colours are for people at a terminal who have not set NO_COLOR.
    pub(super) fn new() -> Self {
        let is_coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { held: 0, failed: 0, is_coloured }
    }

    /// Begins a chapter.
    pub(super) fn chapter(&self, title: &str) {
        self.line(&format!("\n{}", self.in_style("1", title)));
    }

    /// Says something that nobody checks.
    pub(super) fn say(&self, text: impl Display) {
        self.line(&format!("    {text}"));
    }

    /// Says a fact that is as it should be, or not. Returns whether it is.
    pub(super) fn check(&mut self, holds: bool, fact: impl Display) -> bool {
        let mark = if holds { Mark::Held } else { Mark::Failed };
        match mark {
            Mark::Held => self.held += 1,
            Mark::Failed => self.failed += 1,
        }
        self.line(&format!("  {} {fact}", self.sign(mark)));
        holds
    }

    /// The verdict.
    pub(super) fn close(&self) {
        let Self { held, failed, .. } = self;
        let sentence = match failed {
            0 => format!("{} All {held} checks held.", self.sign(Mark::Held)),
            _ => format!("{} {failed} of {} checks failed.", self.sign(Mark::Failed), held + failed),
        };
        self.line(&format!("\n{sentence}"));
    }

    /// Whether there were checks, and every one held.
    pub(super) fn all_held(&self) -> bool {
        self.failed == 0 && self.held > 0
    }

    fn sign(&self, mark: Mark) -> String {
        match mark {
            Mark::Held => self.in_style("32", "✓"),
            Mark::Failed => self.in_style("1;31", "✗"),
        }
    }

    fn in_style(&self, style: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&self, text: &str) {
        // A closed pipe does not end the checks: the exit status still tells how they went.
        let _ = writeln!(io::stdout(), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_spoils_the_verdict() {
        let mut report = Report::new();
        assert!(!report.all_held(), "nothing checked is nothing proved");
        assert!(report.check(true, "one"));
        assert!(report.all_held());
        assert!(!report.check(false, "another"));
        assert!(report.check(true, "a third"));
        assert!(!report.all_held());
    }
}
