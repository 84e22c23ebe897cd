//! What commands print: text for people, or JSON for programs.

use std::fmt::Write;
use std::io::{self, IsTerminal, Write as _};

use serde::Serialize;
use serde_json::{Value, json};
use sipgw::text::{plain, plain_json, plain_lines};

use super::failure::Failure;

/// Where and how to print.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { form: if is_json { Form::Json } else { Form::Text } }
    }

    /// Prints a value, or the text that stands for it.
    pub(crate) fn show(self, value: &impl Serialize, text: impl FnOnce() -> String) {
        match self.form {
            Form::Text => print(&plain_lines(&text())),
            Form::Json => {
                let text =
                    serde_json::to_string_pretty(value).expect("what commands print has text for keys");
                print(&(plain_json(&text) + "\n"));
            }
        }
    }

    /// Prints a whole list, as a page of the API that is the last one, or the text that stands for it.
    pub(crate) fn list(self, items: &[Value], text: impl FnOnce() -> String) {
        self.show(&json!({ "items": items, "next": null }), text);
    }

    /// Prints text that has its own form, such as CSV: as it is, unless somebody looks at it.
    pub(crate) fn write(self, text: &str) {
        if io::stdout().is_terminal() { print(&plain_lines(text)) } else { print(text) }
    }
    /// Says that something was done.
    pub(crate) fn done(self, sentence: &str) {
        self.show(&json!({ "done": sentence }), || format!("{}\n", plain(sentence)));
    }

    /// Warns of something that was done all the same, on standard error.
    pub(crate) fn warn(self, sentence: &str) {
        let text = match self.form {
            Form::Text => plain(sentence).into_owned(),
            Form::Json => plain_json(&json!({ "warning": sentence }).to_string()).into_owned(),
        };
        let _closed = writeln!(io::stderr(), "{text}");
    }

    /// Says why something was not done, on standard error.
    pub(crate) fn failure(self, failure: &Failure) {
        let text = match self.form {
            Form::Text => plain_lines(&failure.to_string()).into_owned(),
            Form::Json => plain_json(&json!({ "error": failure.to_string() }).to_string()).into_owned(),
        };
        // Nobody may be listening; the exit status still tells.
        let _closed = writeln!(io::stderr(), "{text}");
    }
}

fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    // Whoever closes the pipe, as `head` does, has read enough: what the command did is done all the same.
    let _closed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A table for people: columns as wide as their widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_uppercase).to_vec()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| plain(&cell).into_owned()).to_vec());
    }

    /// The text; a sentence in place of a table without rows.
    pub(crate) fn text(&self, if_empty: &str) -> String {
        if self.rows.len() == 1 {
            return format!("{if_empty}\n");
        }
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                write!(line, "{cell:<width$}  ").expect("writing to a string does not fail");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// One thing for people: what is said about it, a name on the left, one fact a line on the right.
#[derive(Default)]
pub(crate) struct Sheet {
    parts: Vec<(&'static str, Vec<String>)>,
}

impl Sheet {
    /// Adds a part; `if_empty` stands in the place of no fact.
    pub(crate) fn part(&mut self, name: &'static str, facts: Vec<String>, if_empty: &str) {
        let facts = if facts.is_empty() { vec![if_empty.to_owned()] } else { facts };
        let facts = facts.iter().map(|fact| plain(fact).into_owned()).collect();
        self.parts.push((name, facts));
    }

    pub(crate) fn text(&self, title: &str) -> String {
        let width = self.parts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let mut text = format!("{}\n", plain(title));
        for (name, facts) in &self.parts {
            for (index, fact) in facts.iter().enumerate() {
                let name = if index == 0 { name } else { "" };
                writeln!(text, "  {name:<width$}  {fact}").expect("writing to a string does not fail");
            }
        }
        text
    }
}

/// `-` for what is not there.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A time as people write it, UTC.
pub(crate) fn time(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| "-".to_owned(), |at| at.strftime("%F %T").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_one_another() {
        let mut table = Table::new(["id", "name"]);
        assert_eq!(table.text("Nothing."), "Nothing.\n");
        table.row(["1".to_owned(), "Architects".to_owned()]);
        table.row(["1000".to_owned(), "B".to_owned()]);
        assert_eq!(table.text(""), "ID    NAME\n1     Architects\n1000  B\n");
    }

    #[test]
    fn facts_stand_beside_the_name_of_their_part() {
        let mut sheet = Sheet::default();
        sheet.part("Credit", vec!["10.00 USD".to_owned()], "");
        sheet.part("Online Numbers", vec!["+1".to_owned(), "+2".to_owned()], "none");
        sheet.part("Caller ID", Vec::new(), "none");
        let wanted = "Sales\n  Credit          10.00 USD\n  Online Numbers  +1\n                  +2\n  Caller ID       none\n";
        assert_eq!(sheet.text("Sales"), wanted);
    }

    #[test]
    fn nothing_from_outside_acts_on_the_terminal() {
        let mut table = Table::new(["id", "user agent"]);
        table.row(["1".to_owned(), "\u{1b}[2J\u{7}\u{202e}x\n2  forged".to_owned()]);
        let wanted = "ID  USER AGENT\n1   \\u{1b}[2J\\u{7}\\u{202e}x\\n2  forged\n";
        assert_eq!(table.text(""), wanted);
        let mut sheet = Sheet::default();
        sheet.part("Name", vec!["a\nCredit  9999".to_owned()], "");
        assert_eq!(sheet.text("a\u{9b}b"), "a\\u{9b}b\n  Name  a\\nCredit  9999\n");
    }

    #[test]
    fn a_time_is_written_in_utc() {
        assert_eq!(time(1_700_000_000_000_000), "2023-11-14 22:13:20");
    }
}
