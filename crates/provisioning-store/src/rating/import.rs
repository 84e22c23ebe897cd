//! Reads a rate table from CSV and says of every bad line what is wrong and how to cure it.

use std::collections::HashMap;
use std::fmt;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::table::{LONGEST_PREFIX, Rate, RateTable};
use super::tariff::Tariff;
use crate::money::Micros;
use crate::text::unseen;

/// Problems listed before the import gives up: enough to mend a file in few rounds.
const PROBLEMS_LISTED: usize = 20;
/// Longest minimum or step, an hour: more is a slip of the pen.
const LONGEST_STEP_S: u32 = 3_600;

/// A column of the file; the header line names them in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateColumn {
    /// Leading digits of the number.
    Prefix,
    /// Name for reports.
    Destination,
    /// Two letters; optional.
    Country,
    /// Price of a minute.
    RatePerMinute,
    /// Price of the answer; optional, 0.
    ConnectionFee,
    /// Shortest billed seconds; optional, 30.
    MinimumS,
    /// Billed steps in seconds; optional, 6.
    IncrementS,
}

impl RateColumn {
    const ALL: [Self; 7] = [
        Self::Prefix,
        Self::Destination,
        Self::Country,
        Self::RatePerMinute,
        Self::ConnectionFee,
        Self::MinimumS,
        Self::IncrementS,
    ];

    /// The column's name in the header line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Destination => "destination",
            Self::Country => "country",
            Self::RatePerMinute => "rate_per_minute",
            Self::ConnectionFee => "connection_fee",
            Self::MinimumS => "minimum_s",
            Self::IncrementS => "increment_s",
        }
    }

    fn is_required(self) -> bool {
        matches!(self, Self::Prefix | Self::Destination | Self::RatePerMinute)
    }
}

/// One thing wrong with a rate file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateProblem {
    /// Line in the file, counted from 1.
    pub line: u64,
    /// The column, where one is to blame.
    pub column: Option<RateColumn>,
    /// What is wrong and how to cure it, one sentence.
    pub sentence: String,
}

impl fmt::Display for RateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            Some(column) => write!(f, "line {}, {}: {}", self.line, column.name(), self.sentence),
            None => write!(f, "line {}: {}", self.line, self.sentence),
        }
    }
}

/// A refused rate file: nothing of it was taken. Lists the first 20 problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatesRefused {
    /// What is wrong, in the order of the lines; at least one.
    pub problems: Vec<RateProblem>,
}

impl fmt::Display for RatesRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.problems.iter().map(RateProblem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for RatesRefused {}

impl RateTable {
    /// Reads `prefix,destination,country,rate_per_minute,connection_fee,minimum_s,increment_s`, a header line first.
    /// Only prefix, destination and rate_per_minute must be there; `#` begins a comment line.
    pub fn from_csv(text: &str) -> Result<Self, RatesRefused> {
        let mut reader = ReaderBuilder::new()
            .trim(Trim::All)
            .comment(Some(b'#'))
            .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let columns = reader.headers().map_err(|error| vec![unreadable(&error)]).and_then(columns);
        let columns = columns.map_err(|problems| RatesRefused { problems })?;
        let (mut rates, mut problems, mut lines) = (Vec::new(), Vec::new(), HashMap::new());
        for record in reader.records() {
            match record
                .map_err(|error| unreadable(&error))
                .and_then(|record| Row { record: &record, columns: &columns }.rate())
            {
                Ok((line, rate)) => match lines.insert(rate.prefix.clone(), line) {
                    Some(first) => problems.push(repeated(line, first, &rate.prefix)),
                    None => rates.push(rate),
                },
                Err(problem) => problems.push(problem),
            }
            if problems.len() >= PROBLEMS_LISTED {
                break;
            }
        }
        if rates.is_empty() && problems.is_empty() {
            problems.push(RateProblem {
                line: 1,
                column: None,
                sentence: "no rates follow; add at least one line".into(),
            });
        }
        if problems.is_empty() { Ok(Self::new(rates)) } else { Err(RatesRefused { problems }) }
    }
}

fn unreadable(error: &csv::Error) -> RateProblem {
    let line = error.position().map_or(1, csv::Position::line);
    let sentence = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!(
                "{len} fields where the header line has {expected_len}; quote fields that contain a comma"
            )
        }
        _ => format!("cannot be read as CSV ({error}); save the file as UTF-8 text with commas"),
    };
    RateProblem { line, column: None, sentence }
}

fn repeated(line: u64, first: u64, prefix: &str) -> RateProblem {
    let sentence = format!("{prefix} stands in line {first} already; keep one of the two");
    RateProblem { line, column: Some(RateColumn::Prefix), sentence }
}

fn columns(header: &StringRecord) -> Result<HashMap<RateColumn, usize>, Vec<RateProblem>> {
    let mut columns = HashMap::new();
    let mut problems = Vec::new();
    for (index, name) in header.iter().enumerate() {
        let problem = match RateColumn::ALL.into_iter().find(|column| column.name() == name) {
            Some(column) => columns.insert(column, index).map(|_| "stands twice; remove one"),
            None => Some(
                "is not a column; the columns are prefix, destination, country, rate_per_minute, connection_fee, minimum_s, increment_s",
            ),
        };
        problems.extend(problem.map(|problem| RateProblem {
            line: 1,
            column: None,
            sentence: format!("\"{name}\" {problem}"),
        }));
    }
    for column in
        RateColumn::ALL.into_iter().filter(|column| column.is_required() && !columns.contains_key(column))
    {
        let sentence = format!("the column {} is missing; name it in the header line", column.name());
        problems.push(RateProblem { line: 1, column: Some(column), sentence });
    }
    problems.truncate(PROBLEMS_LISTED);
    if problems.is_empty() { Ok(columns) } else { Err(problems) }
}

/// One line of the file while it is read.
struct Row<'a> {
    record: &'a StringRecord,
    columns: &'a HashMap<RateColumn, usize>,
}

impl Row<'_> {
    fn rate(&self) -> Result<(u64, Rate), RateProblem> {
        let rate = Rate {
            prefix: self.prefix()?,
            destination: self.destination()?,
            country: self.country()?,
            rate_per_minute: self.amount(RateColumn::RatePerMinute)?,
            connection_fee: self.amount(RateColumn::ConnectionFee)?,
            minimum_s: self.seconds(RateColumn::MinimumS, Tariff::STANDARD_MINIMUM_S)?,
            increment_s: self.seconds(RateColumn::IncrementS, Tariff::STANDARD_INCREMENT_S)?,
        };
        Ok((self.line(), rate))
    }

    fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    fn field(&self, column: RateColumn) -> &str {
        self.columns.get(&column).and_then(|&index| self.record.get(index)).unwrap_or_default()
    }

    fn problem(&self, column: RateColumn, sentence: String) -> RateProblem {
        RateProblem { line: self.line(), column: Some(column), sentence }
    }

    fn prefix(&self) -> Result<String, RateProblem> {
        let text = self.field(RateColumn::Prefix);
        let digits = text.strip_prefix('+').unwrap_or(text);
        if digits.is_empty()
            || digits.len() > LONGEST_PREFIX
            || !digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            let sentence =
                format!("\"{text}\" is not a prefix; write 1 to 15 digits beginning with the country code");
            return Err(self.problem(RateColumn::Prefix, sentence));
        }
        Ok(digits.to_owned())
    }

    fn destination(&self) -> Result<String, RateProblem> {
        match self.field(RateColumn::Destination) {
            "" => {
                Err(self
                    .problem(RateColumn::Destination, "is empty; reports need a name for the calls".into()))
            }
            name => match unseen(name) {
                None => Ok(name.to_owned()),
                Some(character) => {
                    let problem =
                        format!("holds the character U+{:04X}, which cannot be seen", u32::from(character));
                    Err(self.problem(RateColumn::Destination, problem))
                }
            },
        }
    }

    fn country(&self) -> Result<String, RateProblem> {
        let text = self.field(RateColumn::Country);
        if text.is_empty() || (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic())) {
            return Ok(text.to_ascii_uppercase());
        }
        Err(self.problem(
            RateColumn::Country,
            format!("\"{text}\" is not a country; write its two letters, like EE, or nothing"),
        ))
    }

    fn amount(&self, column: RateColumn) -> Result<Micros, RateProblem> {
        match self.field(column) {
            "" if !column.is_required() => Ok(Micros::ZERO),
            text => match text.parse::<Micros>() {
                Ok(amount) if amount.is_negative() => {
                    Err(self.problem(column, format!("\"{text}\" is below zero; calls cannot earn money")))
                }
                Ok(amount) => Ok(amount),
                Err(error) => Err(self.problem(column, error.to_string())),
            },
        }
    }

    fn seconds(&self, column: RateColumn, default_s: u32) -> Result<u32, RateProblem> {
        match self.field(column) {
            "" => Ok(default_s),
            text => {
                text.parse().ok().filter(|seconds| (1..=LONGEST_STEP_S).contains(seconds)).ok_or_else(|| {
                    self.problem(
                        column,
                        format!("\"{text}\" is not a number of seconds from 1 to {LONGEST_STEP_S}"),
                    )
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_full_and_the_shortest_form() {
        let table = RateTable::from_csv(
            "prefix,destination,country,rate_per_minute,connection_fee,minimum_s,increment_s\n\
             # the Baltic\n372,Estonia,EE,0.04,,,\n+3725,\"Estonia, mobile\",ee,0.26,0.049,60,60\n",
        )
        .unwrap();
        let estonia = table.find("+3728800814").unwrap();
        assert_eq!(
            (estonia.rate_per_minute, estonia.minimum_s, estonia.increment_s),
            (Micros(40_000), 30, 6)
        );
        let mobile = table.find("+3725800814").unwrap();
        assert_eq!((mobile.destination.as_str(), mobile.country.as_str()), ("Estonia, mobile", "EE"));
        assert_eq!((mobile.connection_fee, mobile.minimum_s, mobile.increment_s), (Micros(49_000), 60, 60));
        let short = RateTable::from_csv("rate_per_minute,prefix,destination\n0.008,1,USA\n").unwrap();
        assert_eq!(short.len(), 1);
    }

    #[test]
    fn names_the_line_and_the_cure_of_every_problem() {
        let refused = RateTable::from_csv(
            "prefix,destination,country,rate_per_minute,connection_fee,minimum_s,increment_s\n\
             372,Estonia,EE,0.04,,,\n\
             +37x,,EST,-1,0.0000001,0,9999\n\
             372,Estonia,EE,0.05,,,\n\
             1,USA\n\
             44,UK,GB,1.5.0,,,\n\
             49,Ger\u{202e}many,DE,0.01,,,\n",
        )
        .unwrap_err();
        let lines: Vec<_> = refused.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "line 3, prefix: \"+37x\" is not a prefix; write 1 to 15 digits beginning with the country code",
                "line 4, prefix: 372 stands in line 2 already; keep one of the two",
                "line 5: 2 fields where the header line has 7; quote fields that contain a comma",
                "line 6, rate_per_minute: \"1.5.0\" is not an amount; write digits with an optional point, like 6.95",
                "line 7, destination: holds the character U+202E, which cannot be seen",
            ]
        );
    }

    #[test]
    fn names_missing_and_unknown_columns() {
        let refused = RateTable::from_csv("prefix,price\n1,2\n").unwrap_err().to_string();
        assert!(refused.contains("\"price\" is not a column"), "{refused}");
        assert!(refused.contains("the column destination is missing"), "{refused}");
        assert!(RateTable::from_csv("").is_err());
        assert!(RateTable::from_csv("prefix,destination,rate_per_minute\n").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_a_line(text in "(prefix,destination,rate_per_minute\n)?[0-9a-z,.\"\r\n#+-]{0,200}") {
            if let Err(refused) = RateTable::from_csv(&text) {
                prop_assert!(!refused.problems.is_empty());
                prop_assert!(refused.problems.iter().all(|problem| problem.line >= 1));
            }
        }
    }
}
