//! Whose layout a deck has, found out by its heading.

use std::io::Read;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::DeckFault;
use super::problems::Problems;
use super::source::{Source, is_heading};

/// What may stand between fields.
const SEPARATORS: [u8; 4] = [b'\t', b';', b',', b'|'];

/// What a column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Prefix,
    Destination,
    /// Two letters.
    CountryCode,
    /// Stands in for a destination that is empty.
    CountryName,
    RatePerMinute,
    /// The rate after the first interval, which must be the same.
    FurtherRate,
    ConnectionFee,
    Minimum,
    Increment,
    /// Shortest duration and step in one field, like `60/6`.
    Steps,
    /// Something that costs or gives what cannot be charged or given here: nothing, or 0.
    Nothing,
    /// Of which callers the line speaks; with any it is left out.
    Callers,
    /// Anything but 0 bars the line.
    Barred,
    /// `Inactive` bars the line.
    Status,
    EffectiveFrom,
}

/// How a zero in a column of seconds is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zero {
    Refused,
    /// A shortest duration of 0 is one step, and a step of 0 a second.
    OneStep,
}

/// A heading that is known: columns by their names in small letters, without brackets and signs.
struct Form {
    name: &'static str,
    /// Columns that no other layout has all of.
    marks: &'static [&'static str],
    columns: &'static [(&'static str, Meaning)],
    zero: Zero,
}

const OWN: &str = "sipgw";
/// The columns of our own layout, as they are written.
const OWN_COLUMNS: [(&str, Meaning); 7] = [
    ("prefix", Meaning::Prefix),
    ("destination", Meaning::Destination),
    ("country", Meaning::CountryCode),
    ("rate_per_minute", Meaning::RatePerMinute),
    ("connection_fee", Meaning::ConnectionFee),
    ("minimum_s", Meaning::Minimum),
    ("increment_s", Meaning::Increment),
];
const OWN_REQUIRED: [&str; 3] = ["prefix", "destination", "rate_per_minute"];

const FORMS: [Form; 7] = [
    // rates.php of ASTPP, origination_rate_export_cdr_xls and termination_rate_export_cdr_xls.
    Form { name: "ASTPP", marks: &["code", "destination", "cost min"], columns: &ASTPP, zero: Zero::OneStep },
    // originationrates_sample.csv and terminationrates_sample.csv of ASTPP.
    Form {
        name: "ASTPP",
        marks: &["code", "destination", "per minute cost"],
        columns: &ASTPP,
        zero: Zero::OneStep,
    },
    // view/rate/List.js of MagnusBilling, which names the columns of its export.
    Form {
        name: "MagnusBilling",
        marks: &["prefix", "destination", "sell price"],
        columns: &MAGNUS,
        zero: Zero::OneStep,
    },
    Form {
        name: "Twilio",
        marks: &["destination prefixes", "price min"],
        columns: &TWILIO,
        zero: Zero::Refused,
    },
    Form {
        name: "Telnyx",
        marks: &["destination prefixes", "interval 1", "interval n", "rate"],
        columns: &TELNYX,
        zero: Zero::Refused,
    },
    Form {
        name: "TelecomsXChange",
        marks: &["prefix", "price 1", "price n", "interval 1", "interval n"],
        columns: &TELECOMSXCHANGE,
        zero: Zero::Refused,
    },
    Form { name: "A-Z", marks: &[], columns: &A_TO_Z, zero: Zero::Refused },
];

const ASTPP: [(&str, Meaning); 14] = [
    ("code", Meaning::Prefix),
    ("destination", Meaning::Destination),
    ("country", Meaning::CountryName),
    ("cost min", Meaning::RatePerMinute),
    ("per minute cost", Meaning::RatePerMinute),
    ("connection cost", Meaning::ConnectionFee),
    ("connect cost", Meaning::ConnectionFee),
    ("connect charge", Meaning::ConnectionFee),
    ("grace time", Meaning::Nothing),
    ("included seconds", Meaning::Nothing),
    ("initial increment", Meaning::Minimum),
    ("increment", Meaning::Increment),
    ("status", Meaning::Status),
    ("prepend code", Meaning::Nothing),
];

const MAGNUS: [(&str, Meaning); 10] = [
    ("prefix", Meaning::Prefix),
    ("destination", Meaning::Destination),
    ("sell price", Meaning::RatePerMinute),
    ("initial block", Meaning::Minimum),
    ("billing block", Meaning::Increment),
    ("connection charge", Meaning::ConnectionFee),
    ("disconnection charge", Meaning::Nothing),
    ("disconnect charge", Meaning::Nothing),
    ("minimum time to charge", Meaning::Nothing),
    ("status", Meaning::Status),
];

const TWILIO: [(&str, Meaning); 6] = [
    ("iso", Meaning::CountryCode),
    ("country", Meaning::CountryName),
    ("description", Meaning::Destination),
    ("price min", Meaning::RatePerMinute),
    ("origination prefixes", Meaning::Callers),
    ("destination prefixes", Meaning::Prefix),
];

const TELNYX: [(&str, Meaning); 9] = [
    ("iso", Meaning::CountryCode),
    ("country", Meaning::CountryName),
    ("description", Meaning::Destination),
    ("rate", Meaning::RatePerMinute),
    ("price per call", Meaning::ConnectionFee),
    ("interval 1", Meaning::Minimum),
    ("interval n", Meaning::Increment),
    ("origination prefixes", Meaning::Callers),
    ("destination prefixes", Meaning::Prefix),
];

const TELECOMSXCHANGE: [(&str, Meaning); 10] = [
    ("prefix", Meaning::Prefix),
    ("country", Meaning::CountryName),
    ("description", Meaning::Destination),
    ("price 1", Meaning::RatePerMinute),
    ("price n", Meaning::FurtherRate),
    ("interval 1", Meaning::Minimum),
    ("interval n", Meaning::Increment),
    ("forbidden", Meaning::Barred),
    ("discontinued", Meaning::Barred),
    ("effective from", Meaning::EffectiveFrom),
];

/// What carriers call the columns of their lists from A to Z.
const A_TO_Z: [(&str, Meaning); 44] = [
    ("prefix", Meaning::Prefix),
    ("prefixes", Meaning::Prefix),
    ("code", Meaning::Prefix),
    ("codes", Meaning::Prefix),
    ("dial code", Meaning::Prefix),
    ("dialcode", Meaning::Prefix),
    ("dialed prefix", Meaning::Prefix),
    ("dial prefix", Meaning::Prefix),
    ("destination", Meaning::Destination),
    ("destination name", Meaning::Destination),
    ("description", Meaning::Destination),
    ("country", Meaning::CountryName),
    ("country name", Meaning::CountryName),
    ("iso", Meaning::CountryCode),
    ("country iso", Meaning::CountryCode),
    ("rate", Meaning::RatePerMinute),
    ("rates", Meaning::RatePerMinute),
    ("price", Meaning::RatePerMinute),
    ("cost", Meaning::RatePerMinute),
    ("rate per minute", Meaning::RatePerMinute),
    ("rate per min", Meaning::RatePerMinute),
    ("rate min", Meaning::RatePerMinute),
    ("price per minute", Meaning::RatePerMinute),
    ("price per min", Meaning::RatePerMinute),
    ("price min", Meaning::RatePerMinute),
    ("connect fee", Meaning::ConnectionFee),
    ("connection fee", Meaning::ConnectionFee),
    ("connection charge", Meaning::ConnectionFee),
    ("setup fee", Meaning::ConnectionFee),
    ("surcharge", Meaning::ConnectionFee),
    ("minimum", Meaning::Minimum),
    ("min duration", Meaning::Minimum),
    ("minimum duration", Meaning::Minimum),
    ("first increment", Meaning::Minimum),
    ("initial increment", Meaning::Minimum),
    ("increment", Meaning::Steps),
    ("increments", Meaning::Steps),
    ("billing increment", Meaning::Steps),
    ("billing increments", Meaning::Steps),
    ("interval", Meaning::Steps),
    ("next increment", Meaning::Increment),
    ("subsequent increment", Meaning::Increment),
    ("effective date", Meaning::EffectiveFrom),
    ("effective from", Meaning::EffectiveFrom),
];

/// A layout, and where its columns stand in this file.
#[derive(Debug)]
pub(super) struct Layout {
    name: &'static str,
    headings: Vec<String>,
    meanings: Vec<Option<Meaning>>,
    left_out: Vec<String>,
    zero: Zero,
    separator: u8,
}

impl Layout {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it is another program's or carrier's.
    pub(super) fn is_foreign(&self) -> bool {
        self.name != OWN
    }

    pub(super) fn zero(&self) -> Zero {
        self.zero
    }

    /// Whether a comma in a field can only have been meant.
    pub(super) fn separator(&self) -> char {
        char::from(self.separator)
    }

    /// Columns that mean nothing here.
    pub(super) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    pub(super) fn has(&self, meaning: Meaning) -> bool {
        self.meanings.contains(&Some(meaning))
    }

    /// The fields with a meaning, each with its heading.
    pub(super) fn fields<'a>(
        &'a self,
        meaning: Meaning,
        record: &'a StringRecord,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let columns = self.meanings.iter().zip(&self.headings).enumerate();
        columns
            .filter(move |(_, (it, _))| **it == Some(meaning))
            .map(|(index, (_, heading))| (heading.as_str(), record.get(index).unwrap_or_default()))
    }

    pub(super) fn heading_of_prefix(&self) -> Option<&str> {
        let place = self.meanings.iter().position(|meaning| *meaning == Some(Meaning::Prefix));
        place.and_then(|place| self.headings.get(place)).map(String::as_str)
    }

    /// Says why a line has not as many fields as the heading; empty ones at its end are no matter.
    pub(super) fn misfit(&self, record: &StringRecord) -> Option<String> {
        let (fields, expected) = (record.len(), self.headings.len());
        let has_more = record.iter().skip(expected).any(|field| !field.is_empty());
        (fields < expected || has_more).then(|| {
            let separator = match self.separator() {
                ',' => "comma",
                ';' => "semicolon",
                '\t' => "tab",
                _ => "bar",
            };
            format!(
                "{fields} fields where the header line has {expected}; quote fields that contain a {separator}"
            )
        })
    }
}

/// Finds out the layout and the separator of a deck; its lines follow.
pub(super) fn recognise<R: Read>(deck: R) -> Result<(Layout, csv::Reader<Source<R>>), DeckFault> {
    let (source, head) = Source::open(deck).map_err(DeckFault::Cut)?;
    let known = SEPARATORS.iter().find_map(|separator| layout(&heading(&head, *separator), *separator));
    let Some(layout) = known else { return Err(unknown(&head)) };
    let mut csv = reader(layout.separator).from_reader(source);
    let mut record = StringRecord::new();
    // It was read as a heading before.
    csv.read_record(&mut record).map_err(|_| unknown(&head))?;
    Ok((layout, csv))
}

fn reader(separator: u8) -> ReaderBuilder {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(separator).has_headers(false).flexible(true).trim(Trim::All).comment(Some(b'#'));
    builder
}

fn heading(head: &[u8], separator: u8) -> StringRecord {
    let mut record = StringRecord::new();
    match reader(separator).from_reader(head).read_record(&mut record) {
        Ok(_) => record,
        Err(_) => StringRecord::new(),
    }
}

fn layout(heading: &StringRecord, separator: u8) -> Option<Layout> {
    let make = |name, zero, meanings: Vec<Option<Meaning>>| {
        let headings: Vec<String> = heading.iter().map(str::to_owned).collect();
        let nameless = headings.iter().zip(&meanings);
        let left_out =
            nameless.filter(|(name, it)| it.is_none() && !name.is_empty()).map(|(name, _)| name.clone());
        Layout { name, left_out: left_out.collect(), headings, meanings, zero, separator }
    };
    let own = |name: &str| OWN_COLUMNS.iter().find(|(own, _)| *own == name).map(|(_, meaning)| *meaning);
    let meanings: Vec<_> = heading.iter().map(own).collect();
    let has_all = OWN_REQUIRED.iter().all(|required| heading.iter().any(|name| name == *required));
    if has_all {
        let is_whole = meanings.iter().all(Option::is_some) && !has_two(&meanings);
        return is_whole.then(|| make(OWN, Zero::Refused, meanings));
    }
    let names: Vec<String> = heading.iter().map(plain).collect();
    FORMS.iter().find_map(|form| {
        let is_it = form.marks.iter().all(|mark| names.iter().any(|name| name == mark));
        let meaning = |name: &String| form.columns.iter().find(|(known, _)| known == name).map(|(_, it)| *it);
        let meanings: Vec<_> = names.iter().map(meaning).collect();
        let has = |meaning| meanings.contains(&Some(meaning));
        let is_enough = has(Meaning::Prefix)
            && has(Meaning::RatePerMinute)
            && (has(Meaning::Destination) || has(Meaning::CountryName));
        (is_it && is_enough && !has_two(&meanings)).then(|| make(form.name, form.zero, meanings))
    })
}

/// Whether two columns claim to be what only one can be.
fn has_two(meanings: &[Option<Meaning>]) -> bool {
    let may_repeat = |meaning| matches!(meaning, Meaning::Nothing | Meaning::Barred);
    let single = |(index, meaning): (usize, &Option<Meaning>)| {
        meaning.is_some_and(|it| !may_repeat(it) && meanings[..index].contains(&Some(it)))
    };
    meanings.iter().enumerate().any(single)
}

/// A heading in small letters, without what stands in brackets, with one blank for all signs: `Cost / Min(USD)` is
/// `cost min`.
fn plain(name: &str) -> String {
    let (mut plain, mut depth) = (String::new(), 0_usize);
    for character in name.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            it if it.is_alphanumeric() => plain.extend(it.to_lowercase()),
            _ => plain.push(' '),
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Says what a heading lacks that belongs to no known layout.
fn unknown(head: &[u8]) -> DeckFault {
    let fields = |separator: &&u8| heading(head, **separator).len();
    let separator = SEPARATORS.iter().max_by_key(fields).copied().unwrap_or(b',');
    let heading = heading(head, separator);
    let mut problems = Problems::default();
    let line = 1 + head.split(|octet| *octet == b'\n').take_while(|line| !is_heading(line)).count() as u64;
    let line = if heading.is_empty() { 1 } else { line };
    let known = |name: &str| OWN_COLUMNS.iter().any(|(own, _)| *own == name);
    for (index, name) in heading.iter().enumerate() {
        if !known(name) {
            let sentence = format!(
                "\"{name}\" is not a column; the columns are prefix, destination, country, rate_per_minute, \
                 connection_fee, minimum_s, increment_s"
            );
            problems.add(line, None, sentence);
        } else if heading.iter().take(index).any(|before| before == name) {
            problems.add(line, None, format!("\"{name}\" stands twice; remove one"));
        }
    }
    for required in OWN_REQUIRED.iter().filter(|required| !heading.iter().any(|name| name == **required)) {
        let sentence = format!("the column {required} is missing; name it in the header line");
        problems.add(line, Some(required), sentence);
    }
    if !problems.has_any() {
        problems.add(line, None, "the header line cannot be read; save the file as CSV in UTF-8");
    }
    match problems.into_result() {
        Err(refused) => DeckFault::Refused(refused),
        Ok(()) => DeckFault::Refused(super::RatesRefused::of(line, "the header line cannot be read")),
    }
}
