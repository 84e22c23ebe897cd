//! The [`script`](super::script) as SQLite gets it in one hand-over: the conditions stand among the statements, and
//! statements without rows are left out.
//!
//! Each statement that the database's thread has done wakes whoever waits for the script, so a statement that does nothing
//! costs far more than its work. A text once used stays prepared, so statements are left out in groups: some dozens of the
//! texts that there could be are ever used.

use std::sync::{LazyLock, OnceLock};

use super::changes::Written;
use super::script::{COUNTED, Group, statements};
use crate::sql::sqlite::{self, BEGIN};

/// By group and place.
static STATEMENTS: LazyLock<[(Group, String); 15]> = LazyLock::new(|| statements(sqlite::ROWS));

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
    /// The bit that no group needs: the version is asked for in any case.
    const BEGINS: usize = 1 << Group::Version as usize;
    const COUNT: usize = 2 * Self::BEGINS;

    fn of(is_open: bool, written: &Written) -> Self {
        let begins = if is_open { 0 } else { Self::BEGINS };
        let here = STATEMENTS.iter().enumerate().filter(|(place, _)| written.has_rows(*place));
        Self(here.fold(begins, |set, (_, (group, _))| set | 1 << *group as usize))
    }

    fn has(self, place: usize) -> bool {
        self.0 & 1 << STATEMENTS[place].0 as usize != 0
    }

    /// Put together once.
    fn text(self) -> &'static str {
        static TEXTS: [OnceLock<String>; Set::COUNT] = [const { OnceLock::new() }; Set::COUNT];
        TEXTS[self.0].get_or_init(|| sqlite::together(&self.statements()))
    }

    fn statements(self) -> Vec<String> {
        // Nothing but an error ends a script early, and outside of triggers SQLite has no statement that only raises one. What
        // it is raised by hangs on the row: an expression without columns would be computed before any row, and so always.
        let unless = |found: &str, which: &str| format!("SELECT json('unmet' || {found}) {which}");
        let mut all = Vec::new();
        if self.0 & Self::BEGINS != 0 {
            all.push(BEGIN.to_owned());
        }
        let is_another = "FROM pragma_data_version WHERE data_version <> CAST($1 AS INTEGER)";
        all.push(unless("data_version", is_another));
        for (place, (_, statement)) in
            STATEMENTS.iter().enumerate().skip(1).filter(|(place, _)| self.has(*place))
        {
            match statement.strip_prefix("SELECT COUNT(*) ") {
                Some(those) => all.push(unless("call_id", those)),
                None => all.push(statement.clone()),
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
    use crate::sql::Database;
    use crate::sql::listed::NO_ROWS;
    use crate::store::{Durability, Location};

    fn nothing() -> Written {
        Written { rows: std::array::from_fn(|_| NO_ROWS.to_owned()), wanted: [0; 3] }
    }

    fn written(has_rows: impl Fn(usize) -> bool) -> Written {
        let rows =
            std::array::from_fn(|index| if has_rows(index + 1) { "[[1]]" } else { NO_ROWS }.to_owned());
        Written { rows, wanted: [1, 2, 3] }
    }

    #[test]
    fn every_statement_with_rows_is_there() {
        for place in 1..STATEMENTS.len() {
            assert!(Set::of(false, &written(|it| it == place)).has(place), "statement {place} has rows");
        }
    }

    #[tokio::test]
    async fn every_script_can_be_run_and_has_its_parameters() {
        let folder = tempfile::tempdir().unwrap();
        let file = Location::File(folder.path().join("sipgw.db"));
        let database = Database::open(&file, Durability::default(), None).await.unwrap();
        let version = database.begin().await.unwrap().version().await.unwrap();
        for set in 0..Set::COUNT {
            let (set, mut express) = (Set(set), database.express().await.unwrap().unwrap());
            let (text, parameters) = (set.text(), set.parameters(version, nothing()));
            assert_eq!(text.matches('?').count(), parameters.len(), "{text}");
            if set.0 & Set::BEGINS == 0 {
                express.begin(BEGIN, vec![]).await.unwrap();
            }
            express.commit(text, parameters).await.unwrap_or_else(|error| panic!("{text}: {error}"));
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
