//! The [`script`](super::script) as SQLite gets it in one hand-over: the conditions stand among the statements, and
//! statements without rows are left out.
//!
//! Each statement that the database's thread has done wakes whoever waits for the script, so a statement that does nothing
//! costs far more than its work. A text once used stays prepared, so statements are left out in groups: few texts are ever
//! used.

use std::sync::OnceLock;

use super::changes::Written;
use super::script::{COUNTED, statements};
use crate::sql::sqlite::{self, BEGIN};

/// Places of statements that are left out together.
const GROUPS: [&[usize]; 7] = [
    // Balances.
    &[3],
    // What is spent of a cap.
    &[7],
    // Calls that begin, that go on, that are over.
    &[8],
    &[9],
    &[10, 13, 14],
    // On hand.
    &[11, 12],
    // What few batches change.
    &[1, 2, 4, 5, 6],
];

/// What is handed over.
pub(super) struct Lean {
    pub(super) text: &'static str,
    pub(super) parameters: Vec<String>,
}

impl Lean {
    /// Writes a batch if the database still has the version; begins the transaction unless one is open, and commits it.
    pub(super) fn new(is_open: bool, version: i64, written: Written) -> Self {
        let set = Set::of(is_open, &written);
        Self { text: set.text(), parameters: set.parameters(version, written) }
    }
}

/// Which groups of statements are there, a bit for each; and whether the script begins its transaction.
#[derive(Clone, Copy)]
struct Set(usize);

impl Set {
    const BEGINS: usize = 1 << GROUPS.len();
    const ALL: usize = 2 * Self::BEGINS;

    fn of(is_open: bool, written: &Written) -> Self {
        let has_rows = |place: &usize| written.has_rows(*place);
        let groups = GROUPS.iter().enumerate().filter(|(_, places)| places.iter().any(has_rows));
        Self(groups.fold(if is_open { 0 } else { Self::BEGINS }, |set, (group, _)| set | 1 << group))
    }

    fn has(self, place: usize) -> bool {
        GROUPS.iter().enumerate().any(|(group, places)| self.0 & 1 << group != 0 && places.contains(&place))
    }

    /// Put together once.
    fn text(self) -> &'static str {
        static TEXTS: [OnceLock<String>; Set::ALL] = [const { OnceLock::new() }; Set::ALL];
        TEXTS[self.0].get_or_init(|| sqlite::together(&self.statements()))
    }

    fn statements(self) -> Vec<String> {
        // Nothing but an error ends a script early, and outside of triggers SQLite has no statement that only raises one. Its
        // text is made of what the row has, or it would be raised without one.
        let unless = |found: &str, which: &str| format!("SELECT json('unmet' || {found}) {which}");
        let mut all = Vec::new();
        if self.0 & Self::BEGINS != 0 {
            all.push(BEGIN.to_owned());
        }
        let is_another = "FROM pragma_data_version WHERE data_version <> CAST($1 AS INTEGER)";
        all.push(unless("data_version", is_another));
        for (place, statement) in statements(sqlite::ROWS).into_iter().enumerate() {
            if !self.has(place) {
                continue;
            }
            match statement.strip_prefix("SELECT COUNT(*) ") {
                Some(those) => all.push(unless("call_id", those)),
                None => all.push(statement),
            }
            if COUNTED.contains(&place) {
                all.push(unless("changes()", "WHERE changes() <> CAST($1 AS INTEGER)"));
            }
        }
        all.push("COMMIT".to_owned());
        all
    }

    /// In the order of the statements.
    fn parameters(self, version: i64, written: Written) -> Vec<String> {
        let Written { rows, wanted } = written;
        let mut all = vec![version.to_string()];
        for (place, rows) in (1..).zip(rows).filter(|(place, _)| self.has(*place)) {
            all.push(rows);
            let counted = COUNTED.iter().position(|counted| *counted == place);
            all.extend(counted.map(|index| wanted[index].to_string()));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::listed::NO_ROWS;

    fn written(has_rows: impl Fn(usize) -> bool) -> Written {
        let rows =
            std::array::from_fn(|index| if has_rows(index + 1) { "[[1]]" } else { NO_ROWS }.to_owned());
        Written { rows, wanted: [1, 2, 3] }
    }

    #[test]
    fn every_statement_with_rows_is_there_and_has_its_parameters() {
        let every = 1..statements(sqlite::ROWS).len();
        assert!(
            every.clone().all(|place| GROUPS.iter().filter(|places| places.contains(&place)).count() == 1)
        );
        for set in 0..Set::ALL {
            let set = Set(set);
            let lean =
                Lean { text: set.text(), parameters: set.parameters(7, written(|place| set.has(place))) };
            assert_eq!(lean.text.matches('?').count(), lean.parameters.len(), "{}", lean.text);
            assert_eq!(lean.text.starts_with(BEGIN), set.0 & Set::BEGINS != 0);
        }
        for place in every {
            assert!(Set::of(false, &written(|it| it == place)).has(place), "statement {place} has rows");
        }
    }

    #[test]
    fn a_new_call_that_costs_nothing_takes_four_statements() {
        let lean = Lean::new(true, 7, written(|place| place == 8));
        assert_eq!(lean.parameters, ["7", "[[1]]", "2"]);
        let kinds: Vec<&str> = lean.text.split(";\n").filter_map(|text| text.split(' ').next()).collect();
        assert_eq!(kinds, ["SELECT", "INSERT", "SELECT", "COMMIT"]);
    }
}
