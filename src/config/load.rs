//! From text and variables to a typed, checked [`Config`].
//!
//! The `config` crate lays the layers over one another. Typing is done afterwards and strictly: that crate's own
//! deserializer would take `true` for a number and a number for a name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use ::config::{Environment, FileFormat, ValueKind};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::makes::BUILT_IN;
use super::refused::{ConfigError, Fault};
use super::yaml::Lines;
use super::{Config, EmergencyNumbers, UserAgents, addresses, check, exposure, secret_files};
use crate::objects;

/// Variables that override the configuration begin like this; `__` also stands between the steps of a path.
const PREFIX: &str = "SIPGW";
const SEPARATOR: &str = "__";
/// Paths whose value is not repeated in a message.
const SECRETS: [&str; 4] = ["http.token", "http.metrics_token", "http.payment_secret", "store.url"];

pub(super) fn from_file(file: &Path, variables: HashMap<String, String>) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let cure = "Name another with --config, or copy the example to this place.";
        one(file, format!("the file cannot be read: {error}"), cure)
    })?;
    let config = from_text(file, &text, variables)?;
    if let Some((problem, cure)) = exposure::writable_by_all(file) {
        return Err(one(file, problem, &cure));
    }
    Ok(Config { file: Some(file.to_path_buf()), ..config })
}

pub(super) fn from_text(
    file: &Path,
    text: &str,
    variables: HashMap<String, String>,
) -> Result<Config, ConfigError> {
    let lines = Lines::read(text).map_err(|wrong| {
        let mut error =
            one(file, format!("this is not YAML: {}", wrong.problem), "Mend the line or the one before it.");
        error.faults[0].line = Some(wrong.line);
        error
    })?;
    let overrides: Vec<Override> = Override::all(&variables);
    let site = Site { file, lines: &lines, overrides: &overrides };
    let mut tree = layered(file, text, variables)?;
    let mut config = typed(&mut tree, &site)?;
    config.directory = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let mut found = secret_files::read(&mut config);
    found.extend(check::faults(&config));
    let mut faults: Vec<Fault> =
        found.into_iter().map(|found| site.fault(&found.path, found.problem, found.cure)).collect();
    if let Err(error) = config.emergency_numbers() {
        faults.extend(error.faults);
    }
    if let Err(error) = config.user_agents() {
        faults.extend(error.faults);
    }
    if let Err(error) = config.premium_ranges() {
        faults.extend(error.faults);
    }
    if faults.is_empty() { Ok(config) } else { Err(ConfigError { faults: in_order(faults) }) }
}

impl Config {
    /// Refuses addresses that this machine does not have, where it must, and those of examples.
    pub fn check_addresses(&self) -> Result<(), ConfigError> {
        let found = addresses::faults(self, addresses::can_bind);
        if found.is_empty() {
            return Ok(());
        }
        let file = self.file.clone().unwrap_or_else(|| PathBuf::from("configuration"));
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let lines = Lines::read(&text).map_err(|wrong| one(&file, wrong.problem, ""))?;
        let overrides = Override::all(&std::env::vars().collect());
        let site = Site { file: &file, lines: &lines, overrides: &overrides };
        let fault = |found: check::Found| site.fault(&found.path, found.problem, found.cure);
        Err(ConfigError { faults: in_order(found.into_iter().map(fault).collect()) })
    }
}

/// In the order in which somebody mends them: file by file, line by line, then what has no line.
fn in_order(mut faults: Vec<Fault>) -> Vec<Fault> {
    let first = faults.first().map(|fault| fault.file.clone());
    faults.sort_by_key(|fault| {
        (Some(&fault.file) != first.as_ref(), fault.file.clone(), fault.line.unwrap_or(usize::MAX))
    });
    faults
}

pub(super) fn one(file: &Path, problem: String, cure: &str) -> ConfigError {
    let fault = Fault {
        file: file.into(),
        variable: None,
        line: None,
        path: String::new(),
        problem,
        cure: cure.to_owned(),
    };
    ConfigError { faults: vec![fault] }
}

/// One variable that overrides a key.
struct Override {
    path: String,
    variable: String,
    text: String,
}

impl Override {
    fn all(variables: &HashMap<String, String>) -> Vec<Self> {
        let start = format!("{PREFIX}{SEPARATOR}");
        let read = |(name, text): (&String, &String)| {
            let path = name.strip_prefix(&start)?.to_lowercase().replace(SEPARATOR, ".");
            Some(Self { path, variable: name.clone(), text: text.clone() })
        };
        variables.iter().filter_map(read).collect()
    }
}

/// Where the parts of a configuration come from: finds the place of a path.
struct Site<'a> {
    file: &'a Path,
    lines: &'a Lines<'a>,
    overrides: &'a [Override],
}

impl Site<'_> {
    fn override_of(&self, path: &str) -> Option<&Override> {
        let covers = |over: &&Override| {
            path.strip_prefix(&over.path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.overrides.iter().find(covers)
    }

    fn fault(&self, path: &str, problem: String, cure: String) -> Fault {
        let variable = self.override_of(path).map(|over| over.variable.clone());
        let line = if variable.is_some() { None } else { self.lines.of(path) };
        Fault { file: self.file.into(), variable, line, path: path.to_owned(), problem, cure }
    }
}

/// The file's tree with the variables laid over it, those as text.
fn layered(file: &Path, text: &str, variables: HashMap<String, String>) -> Result<Value, ConfigError> {
    let environment = Environment::with_prefix(PREFIX)
        .prefix_separator(SEPARATOR)
        .separator(SEPARATOR)
        .source(Some(variables));
    let whole = ::config::Config::builder()
        .add_source(::config::File::from_str(text, FileFormat::Yaml))
        .add_source(environment)
        .build()
        .map_err(|error| one(file, error.to_string(), ""))?;
    Ok(json(whole.cache.kind))
}

fn json(kind: ValueKind) -> Value {
    match kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Boolean(value) => Value::Bool(value),
        ValueKind::I64(value) => Value::from(value),
        ValueKind::I128(value) => {
            i64::try_from(value).map_or_else(|_| Value::from(value.to_string()), Value::from)
        }
        ValueKind::U64(value) => Value::from(value),
        ValueKind::U128(value) => {
            u64::try_from(value).map_or_else(|_| Value::from(value.to_string()), Value::from)
        }
        ValueKind::Float(value) => Value::from(value),
        ValueKind::String(text) => Value::String(text),
        ValueKind::Array(items) => items.into_iter().map(|item| json(item.kind)).collect(),
        ValueKind::Table(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, json(value.kind)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// Types the tree. A variable's text is taken as it is where the key wants text, and is read as YAML otherwise, so
/// that `7`, `true` and `[a, b]` mean what they mean in the file and a password of digits stays a password.
///
/// What is wrong is taken out of the tree and the rest is read again, until everything that is wrong has been found.
fn typed(tree: &mut Value, site: &Site<'_>) -> Result<Config, ConfigError> {
    drop_empty_sections(tree);
    let (mut as_yaml, mut faults, mut taken) = (Vec::new(), Vec::new(), Taken::default());
    loop {
        let error = match objects::deserialize::<Config, _>(&*tree) {
            Ok(config) if faults.is_empty() => return Ok(config),
            Ok(_) => return Err(ConfigError { faults: in_order(faults) }),
            Err(error) => error,
        };
        let path = taken.original(&error.path().to_string());
        let message = error.inner().to_string();
        let over = site.override_of(&path).filter(|over| !as_yaml.contains(&over.path));
        let value = over.and_then(|over| Some((over, Lines::read(&over.text).ok()?.value()?)));
        match value.and_then(|(over, value)| Some((over, value, place(tree, &over.path)?))) {
            Some((over, value, place)) => {
                *place = value;
                as_yaml.push(over.path.clone());
            }
            None => {
                let fault = untyped(site, &path, &message);
                let is_out = taken.take_out(tree, &fault.path);
                faults.push(fault);
                if !is_out {
                    return Err(ConfigError { faults: in_order(faults) });
                }
            }
        }
    }
}

/// `tls:` with every key of it commented out is a null; it means the same as no section at all.
fn drop_empty_sections(tree: &mut Value) {
    if let Value::Object(sections) = tree {
        sections.retain(|_, section| !section.is_null());
    }
}

/// What was taken out of the tree: of each list by its path, which of the items that it had.
#[derive(Default)]
struct Taken(BTreeMap<String, BTreeSet<usize>>);

impl Taken {
    /// A path in the tree as it is, in that of the file: of `a[0]` it is `a[1]` if the first item was taken out.
    fn original(&self, path: &str) -> String {
        let Some((list, rest)) = path.split_once('[') else { return path.to_owned() };
        let Some((index, rest)) = rest.split_once(']') else { return path.to_owned() };
        let (Some(gone), Ok(index)) = (self.0.get(list), index.parse()) else { return path.to_owned() };
        let index = gone.iter().fold(index, |index: usize, gone| index + usize::from(*gone <= index));
        format!("{list}[{index}]{rest}")
    }

    /// Takes out what stands at a path of the file: a key, or the item of a list that it is in. `false` if there is
    /// nothing, as there is not where a section is missing.
    fn take_out(&mut self, tree: &mut Value, path: &str) -> bool {
        if let Some((list, rest)) = path.split_once('[') {
            let index = rest.split(']').next().and_then(|index| index.parse::<usize>().ok());
            let items = place(tree, list).and_then(Value::as_array_mut);
            let (Some(index), Some(items)) = (index, items) else { return false };
            let gone = self.0.entry(list.to_owned()).or_default();
            let now_at = index - gone.iter().filter(|gone| **gone < index).count();
            return now_at < items.len() && gone.insert(index) && {
                items.remove(now_at);
                true
            };
        }
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        let section = if section.is_empty() { Some(tree) } else { place(tree, section) };
        section.and_then(Value::as_object_mut).is_some_and(|keys| keys.remove(key).is_some())
    }
}

fn place<'v>(tree: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    path.split('.').try_fold(tree, |node, step| node.get_mut(step))
}

/// Turns serde's message into one that says what to do.
fn untyped(site: &Site<'_>, path: &str, message: &str) -> Fault {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let path = if path == "." { "" } else { path };
    if message.starts_with("unknown field") || message.starts_with("unknown variant") {
        let is_key = message.starts_with("unknown field");
        let (wrong, known) = quoted.split_first().map_or(("", &[][..]), |(wrong, known)| (*wrong, known));
        let problem = format!("`{wrong}` is not a {} here", if is_key { "key" } else { "value" });
        let path = if is_key && !path.ends_with(wrong) { join(path, wrong) } else { path.to_owned() };
        return site.fault(&path, problem, nearest(wrong, known));
    }
    if message.starts_with("missing field") {
        let missing = quoted.first().copied().unwrap_or_default();
        return site.fault(
            &join(path, missing),
            format!("the key `{missing}` is missing"),
            "Add it.".to_owned(),
        );
    }
    if SECRETS.contains(&path) {
        return site.fault(path, "this is not text".to_owned(), "Put it in quotes.".to_owned());
    }
    let (problem, cure) = match message.split_once(", expected ") {
        Some((found, wanted)) => (found.to_owned(), format!("Write {}.", plain(wanted))),
        None => (message.to_owned(), String::new()),
    };
    site.fault(path, problem, cure)
}

/// serde's names of types in an operator's words.
fn plain(wanted: &str) -> &str {
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "a string" => "text, in quotes if it looks like a number",
        "a sequence" => "a list",
        "a map" | "a mapping" => "keys with values, one a line",
        other => other,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Suggests the known word that is most like the wrong one, or else all of them.
pub(crate) fn nearest(wrong: &str, known: &[&str]) -> String {
    // A third of the letters may be wrong, and two neighbours may have changed places even in a short word.
    let is_near = |(slips, word): &(usize, &&str)| *slips <= 1.max(word.len() / 3);
    let slips = known.iter().map(|word| (strsim::damerau_levenshtein(wrong, word), word));
    match slips.filter(is_near).min_by_key(|(slips, _)| *slips) {
        Some((_, word)) => format!("Did you mean `{word}`?"),
        None => format!("Write one of: {}.", known.join(", ")),
    }
}

impl Config {
    /// Reads the file of emergency numbers; `None` if none is named.
    pub fn emergency_numbers(&self) -> Result<Option<EmergencyNumbers>, ConfigError> {
        let Some(named) = &self.calls.emergency_file else { return Ok(None) };
        let file = self.resolve_path(named);
        let cure = "Correct calls.emergency_file, or leave it out.";
        list(&file, &contents(&file, cure)?, cure, EmergencyNumbers::faults).map(Some)
    }

    /// Reads the file of PBX makes, or what is known without one.
    pub fn user_agents(&self) -> Result<UserAgents, ConfigError> {
        let cure = "Correct calls.user_agents_file, or leave it out.";
        match &self.calls.user_agents_file {
            Some(named) => {
                let file = self.resolve_path(named);
                list(&file, &contents(&file, cure)?, cure, UserAgents::faults)
            }
            None => list(Path::new("user-agents.yaml"), BUILT_IN, cure, UserAgents::faults),
        }
    }
}

pub(super) fn contents(file: &Path, cure: &str) -> Result<String, ConfigError> {
    std::fs::read_to_string(file)
        .map_err(|error| one(file, format!("the file cannot be read: {error}"), cure))
}

/// Reads a file that the configuration names.
fn list<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    cure: &str,
    faults: impl FnOnce(&T) -> Vec<(String, String)>,
) -> Result<T, ConfigError> {
    let lines = Lines::read(text).map_err(|wrong| one(file, wrong.problem, cure))?;
    let site = Site { file, lines: &lines, overrides: &[] };
    let value = lines.value().unwrap_or_default();
    let read: T = objects::deserialize(&value).map_err(|error| {
        let fault = untyped(&site, &error.path().to_string(), &error.inner().to_string());
        ConfigError { faults: vec![fault] }
    })?;
    let wrong = faults(&read);
    let faults: Vec<Fault> =
        wrong.into_iter().map(|(path, problem)| site.fault(&path, problem, String::new())).collect();
    if faults.is_empty() { Ok(read) } else { Err(ConfigError { faults }) }
}

#[cfg(test)]
mod tests;
