//! Countries by their two letters, and sets of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Letters of the alphabet.
const LETTERS: usize = 26;
/// Words of 64 bits that hold one bit for each pair of letters.
const WORDS: usize = (LETTERS * LETTERS).div_ceil(64);

/// A country by its two capital letters (ISO 3166-1 alpha-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// A text that is not two letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a country; write its two letters, like EE")]
pub struct NotACountry(pub String);

impl Country {
    fn place(self) -> usize {
        let [first, second] = self.0.map(|letter| usize::from(letter - b'A'));
        first * LETTERS + second
    }

    fn at(place: usize) -> Self {
        // Both remainders are below 26, so each letter is one of the alphabet's.
        Self([place / LETTERS % LETTERS, place % LETTERS].map(|letter| b'A' + letter as u8))
    }
}

impl FromStr for Country {
    type Err = NotACountry;

    /// Small letters are taken for capitals.
    fn from_str(text: &str) -> Result<Self, NotACountry> {
        match *text.as_bytes() {
            [first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
                Ok(Self([first, second].map(|letter| letter.to_ascii_uppercase())))
            }
            _ => Err(NotACountry(text.to_owned())),
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0.map(char::from);
        write!(f, "{first}{second}")
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A set of countries: one bit for each pair of letters, so that it is copied and compared like a number. Its text
/// form is `EE,US`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Countries([u64; WORDS]);

impl Countries {
    /// Puts a country in.
    pub fn insert(&mut self, country: Country) {
        self.0[country.place() / 64] |= 1 << (country.place() % 64);
    }

    /// Whether a country is in the set.
    pub fn contains(&self, country: Country) -> bool {
        self.0[country.place() / 64] & 1 << (country.place() % 64) != 0
    }

    /// True without any country.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The countries that are in both sets.
    pub fn and(self, other: Self) -> Self {
        self.iter().filter(|country| other.contains(*country)).collect()
    }

    /// The countries that are in either set.
    pub fn or(self, other: Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// The countries in the order of their letters.
    pub fn iter(&self) -> impl Iterator<Item = Country> + '_ {
        (0..LETTERS * LETTERS).map(Country::at).filter(|country| self.contains(*country))
    }
}

impl FromIterator<Country> for Countries {
    fn from_iter<I: IntoIterator<Item = Country>>(countries: I) -> Self {
        let mut set = Self::default();
        countries.into_iter().for_each(|country| set.insert(country));
        set
    }
}

impl FromStr for Countries {
    type Err = NotACountry;

    fn from_str(text: &str) -> Result<Self, NotACountry> {
        text.split(',').map(|country| country.trim().parse()).collect()
    }
}

impl fmt::Display for Countries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, country) in self.iter().enumerate() {
            write!(f, "{}{country}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl Serialize for Countries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Countries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Country>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_letters_has_a_place_of_its_own() {
        for place in 0..LETTERS * LETTERS {
            let country = Country::at(place);
            assert_eq!(country.place(), place);
            assert_eq!(country.to_string().parse(), Ok(country));
            let alone = Countries::from_iter([country]);
            assert_eq!(alone.iter().collect::<Vec<_>>(), [country]);
        }
    }

    #[test]
    fn a_set_is_written_in_order_and_read_in_any() {
        let set: Countries = "us, EE,ee".parse().unwrap();
        assert_eq!(set.to_string(), "EE,US");
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["EE","US"]"#);
        assert_eq!(serde_json::from_str::<Countries>(r#"["US","EE"]"#).unwrap(), set);
        assert!(Countries::default().is_empty() && !set.is_empty());
        for wrong in ["", "USA", "U", "U1", "é", "US,,EE"] {
            assert!(wrong.parse::<Countries>().is_err(), "{wrong}");
        }
    }
}
