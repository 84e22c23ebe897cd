//! The [`script`](super::script) as SQLite gets it in one hand-over: the conditions stand among the statements, and
//! statements that a batch of this [`Shape`] has no rows for are left out.
//!
//! Each statement that the database's thread has done wakes whoever waits for the script, so a statement that does nothing
//! costs far more than its work. There are few shapes, because the statements of each text stay prepared, which takes about
//! a hundred kilobytes.

use std::sync::{LazyLock, OnceLock};

use super::changes::Written;
use super::script::{COUNTED, Shape, statements};
use crate::sql::sqlite::{self, BEGIN};

/// By place, each with the least shape that has it.
static STATEMENTS: LazyLock<[(Shape, String); 15]> = LazyLock::new(|| statements(sqlite::ROWS));

/// What is handed over.
pub(super) struct Lean {
    pub(super) text: &'static str,
    pub(super) parameters: Vec<String>,
}

impl Lean {
    /// Writes a batch if the database still has the version; begins the transaction unless one is open, and commits it.
    pub(super) fn new(is_open: bool, version: i64, written: Written) -> Self {
        let kind = Kind { is_open, shape: shape(&written) };
        Self { text: kind.text(), parameters: kind.parameters(version, written) }
    }
}

/// The least shape that has all statements with rows.
fn shape(written: &Written) -> Shape {
    let here = STATEMENTS.iter().enumerate().filter(|(place, _)| written.has_rows(*place));
    here.map(|(_, (shape, _))| *shape).max().unwrap_or(Shape::NewCalls)
}

/// Which of the texts.
#[derive(Clone, Copy)]
struct Kind {
    /// The transaction has begun.
    is_open: bool,
    shape: Shape,
}

impl Kind {
    /// The places of its statements.
    fn places(self) -> impl Iterator<Item = usize> {
        // The first one reads the version, which is a condition here.
        let is_here = move |place: &usize| STATEMENTS[*place].0 <= self.shape;
        (1..STATEMENTS.len()).filter(is_here)
    }

    /// Put together once.
    fn text(self) -> &'static str {
        static TEXTS: [[OnceLock<String>; 3]; 2] = [const { [const { OnceLock::new() }; 3] }; 2];
        TEXTS[usize::from(self.is_open)][self.shape as usize].get_or_init(|| self.put_together())
    }

    fn put_together(self) -> String {
        // Nothing but an error ends a script early, and outside of triggers SQLite has no statement that only raises one. What
        // it is raised by hangs on the row: an expression without columns would be computed before any row, and so always.
        let unless = |found: &str, which: &str| format!("SELECT json('unmet' || {found}) {which}");
        let mut all = Vec::new();
        if !self.is_open {
            all.push(BEGIN.to_owned());
        }
        let is_another = "FROM pragma_data_version WHERE data_version <> CAST($1 AS INTEGER)";
        all.push(unless("data_version", is_another));
        for place in self.places() {
            let statement = &STATEMENTS[place].1;
            match statement.strip_prefix("SELECT COUNT(*) ") {
                Some(those) => all.push(unless("call_id", those)),
                None => all.push(statement.clone()),
            }
            if COUNTED.contains(&place) {
                all.push(unless("changes()", "WHERE changes() <> CAST($1 AS INTEGER)"));
            }
        }
        all.push("COMMIT".to_owned());
        sqlite::together(&all)
    }

    fn parameters(self, version: i64, written: Written) -> Vec<String> {
        let Written { mut rows, wanted } = written;
        let mut all = vec![version.to_string()];
        for place in self.places() {
            all.push(std::mem::take(&mut rows[place - 1]));
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
            let kind = Kind { is_open: true, shape: shape(&written(|it| it == place)) };
            assert!(kind.places().any(|it| it == place), "statement {place} has rows");
        }
    }

    #[tokio::test]
    async fn every_script_can_be_run_and_has_its_parameters() {
        let folder = tempfile::tempdir().unwrap();
        let file = Location::File(folder.path().join("sipgw.db"));
        let database = Database::open(&file, Durability::default(), None).await.unwrap();
        let version = database.begin().await.unwrap().version().await.unwrap();
        for is_open in [false, true] {
            for shape in [Shape::NewCalls, Shape::Calls, Shape::Whole] {
                let (kind, mut express) =
                    (Kind { is_open, shape }, database.express().await.unwrap().unwrap());
                let (text, parameters) = (kind.text(), kind.parameters(version, nothing()));
                assert_eq!(text.matches('?').count(), parameters.len(), "{text}");
                if is_open {
                    express.begin(BEGIN, vec![]).await.unwrap();
                }
                express.commit(text, parameters).await.unwrap_or_else(|error| panic!("{text}: {error}"));
            }
        }
    }

    #[test]
    fn a_new_call_takes_few_statements() {
        let lean = Lean::new(true, 7, written(|place| place == 8));
        assert_eq!(lean.parameters, ["7", NO_ROWS, "1", "[[1]]", "2"]);
        let kinds: Vec<&str> = lean.text.split(";\n").filter_map(|text| text.split(' ').next()).collect();
        assert_eq!(kinds, ["SELECT", "INSERT", "SELECT", "INSERT", "SELECT", "COMMIT"]);
    }
}
