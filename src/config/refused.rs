//! What is wrong with a configuration, said so that the reader can mend it.

use std::fmt;
use std::path::PathBuf;

/// A configuration that cannot be used: one or more faults, all of those that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file that says it.
    pub file: PathBuf,
    /// The environment variable that says it, where it overrides the file.
    pub variable: Option<String>,
    /// The line of the file, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The key's path, such as `sip.listen[0].address`; empty for the file as a whole.
    pub path: String,
    /// What is wrong, as a clause.
    pub problem: String,
    /// What to do about it, as a sentence; empty if the problem says it.
    pub cure: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.variable, self.line) {
            (Some(variable), _) => write!(f, "environment variable {variable}")?,
            (None, Some(line)) => write!(f, "{}, line {line}", self.file.display())?,
            (None, None) => write!(f, "{}", self.file.display())?,
        }
        if !self.path.is_empty() {
            write!(f, ", key {}", self.path)?;
        }
        write!(f, ": {}.", self.problem.trim_end_matches('.'))?;
        if !self.cure.is_empty() {
            write!(f, " {}", self.cure)?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// A fault that belongs to no single line, in a sentence that names its place itself.
    pub fn of(problem: impl Into<String>) -> Self {
        let (file, path, cure) = (PathBuf::from("configuration"), String::new(), String::new());
        Self { faults: vec![Fault { file, variable: None, line: None, path, problem: problem.into(), cure }] }
    }
}
