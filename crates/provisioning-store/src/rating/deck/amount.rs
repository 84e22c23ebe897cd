//! Amounts with a decimal point or, where it cannot be anything else, a decimal comma.

use super::problems::{Problems, RateProblem};
use crate::money::Micros;

/// Ambiguous amounts that are remembered until the deck has shown what it writes.
const REMEMBERED: usize = super::PROBLEMS_SHOWN;

/// What a deck writes before its decimals, as far as it has shown it.
#[derive(Debug, Default)]
pub(super) struct Decimals {
    has_comma: bool,
    has_point: bool,
    /// Amounts like `1,234`, which are sound if the deck writes decimal commas.
    ambiguous: Vec<RateProblem>,
    more: u64,
}

/// Where an amount stands.
pub(super) struct Place<'a> {
    pub(super) line: u64,
    pub(super) column: &'a str,
}

impl Decimals {
    /// Reads an amount; what is wrong with it, otherwise.
    pub(super) fn read(&mut self, text: &str, place: &Place<'_>) -> Result<Micros, String> {
        let amount = match text.split_once(',') {
            None => {
                self.has_point |= text.contains('.');
                text.parse::<Micros>()
            }
            Some((whole, fraction)) => {
                if text.contains('.') || fraction.contains(',') {
                    return Err(format!("\"{text}\" has commas and points; write it like 1234.56"));
                }
                self.note_comma(text, whole, fraction, place);
                format!("{whole}.{fraction}").parse::<Micros>()
            }
        };
        match amount {
            Ok(amount) if amount.is_negative() => {
                Err(format!("\"{text}\" is below zero; calls cannot earn money"))
            }
            Ok(amount) => Ok(amount),
            // In the words of the file, not with the comma that was replaced.
            Err(error) => Err(error.to_string().replacen(&text.replacen(',', ".", 1), text, 1)),
        }
    }

    /// Three digits after the comma may be thousands, unless nothing but a zero stands before it.
    fn note_comma(&mut self, text: &str, whole: &str, fraction: &str, place: &Place<'_>) {
        let may_be_thousands =
            fraction.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0');
        if !may_be_thousands {
            self.has_comma = true;
        } else if self.ambiguous.len() < REMEMBERED {
            let sentence =
                format!("\"{text}\" may be {whole}.{fraction} or {whole}{fraction}; write a decimal point");
            let column = Some(place.column.to_owned());
            self.ambiguous.push(RateProblem { line: place.line, column, sentence });
        } else {
            self.more += 1;
        }
    }

    /// At the end of the deck: what stayed ambiguous is a problem.
    pub(super) fn settle(&mut self, problems: &mut Problems) {
        if self.has_comma && !self.has_point {
            return;
        }
        self.ambiguous.drain(..).for_each(|problem| problems.push(problem));
        problems.count(std::mem::take(&mut self.more));
    }
}
