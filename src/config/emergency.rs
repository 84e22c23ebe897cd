//! The file of emergency numbers.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

/// Numbers never carried, by country (ISO 3166 alpha-2 in capitals); `*` holds for every country.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct EmergencyNumbers(pub HashMap<String, HashSet<String>>);

impl EmergencyNumbers {
    /// What is wrong with it, as path and problem.
    pub(super) fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        for (country, numbers) in &self.0 {
            let is_country = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
            if country != "*" && !is_country {
                faults.push((country.clone(), format!("`{country}` is not a country")));
            }
            let wrong = |number: &&String| number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit());
            for number in numbers.iter().filter(wrong) {
                faults.push((country.clone(), format!("`{number}` is not a number; write digits in quotes")));
            }
        }
        faults
    }
}
