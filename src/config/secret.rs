//! Text that is never printed.

use std::fmt;

use serde::Deserialize;

/// Characters of the shortest secret: drawn at random from letters and digits, more than 90 bits.
const SHORTEST: usize = 16;
/// Characters that differ from one another, at the least.
const FEWEST_DISTINCT: usize = 6;
/// What stands in samples in the place of a secret, in small letters and without separators.
const SAMPLES: [&str; 7] =
    ["changeme", "changethis", "replaceme", "yoursecret", "yourtoken", "placeholder", "insertyour"];
/// Rows of keyboards and of characters, along which passwords are written.
const ROWS: [&str; 5] = ["qwertyuiop", "asdfghjkl", "zxcvbnm", "0123456789", "abcdefghijklmnopqrstuvwxyz"];

fn is_sample(text: &str) -> bool {
    let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let letters = letters.to_ascii_lowercase();
    SAMPLES.iter().any(|sample| letters.contains(sample))
}

/// Whether a text is one part of at most half its length, again and again.
fn repeats(text: &[u8]) -> bool {
    (1..=text.len() / 2).any(|part| text.iter().zip(&text[part..]).all(|(one, later)| one == later))
}

/// Whether most characters follow the one before in a row, in either direction.
fn is_sequence(text: &[u8]) -> bool {
    let follows = |pair: &&[u8]| {
        let pair = [pair[0], pair[1]].map(|letter| char::from(letter.to_ascii_lowercase()));
        let forth = String::from_iter(pair);
        let back = String::from_iter([pair[1], pair[0]]);
        pair[0] == pair[1] || ROWS.iter().any(|row| row.contains(&forth) || row.contains(&back))
    };
    text.windows(2).filter(follows).count() * 3 >= (text.len() - 1) * 2
}

fn distinct(text: &[u8]) -> usize {
    text.iter().collect::<std::collections::BTreeSet<_>>().len()
}

/// Whether a password of a database's address is one that samples have: before the host, or among the parameters.
pub(super) fn has_sample_password(url: &str) -> bool {
    let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
    let authority =
        address.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let before_host = user.split_once(':').map_or("", |(_, password)| password);
    // Parameters are encoded as the rest is, so one reader serves both.
    let before_host = format!("password={before_host}");
    let mut all =
        [parameters, &before_host].into_iter().flat_map(|text| form_urlencoded::parse(text.as_bytes()));
    all.any(|(name, value)| name == "password" && (value == "password" || is_sample(&value)))
}

/// A password or token: `Debug` shows that it is there, and nothing of it.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Why others could find it out, or why it could not be shown; `None` if it is good enough.
    pub(super) fn weakness(&self) -> Option<&'static str> {
        let text = self.0.as_bytes();
        match () {
            () if text.is_empty() => Some("an empty secret guards nothing"),
            // A header cannot carry them, so nobody could show it.
            () if !text.iter().all(u8::is_ascii_graphic) => {
                Some("a secret is of letters, digits and signs, without spaces")
            }
            () if is_sample(&self.0) => Some("this is a sample, which everybody knows"),
            () if text.len() < SHORTEST => Some("this is shorter than 16 characters"),
            () if repeats(text) => Some("this repeats itself"),
            () if is_sequence(text) => Some("this is a sequence that others guess"),
            () if distinct(text) < FEWEST_DISTINCT => Some("this has too few different characters"),
            () => None,
        }
    }

    /// The text itself; for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "<secret>");
    }

    #[test]
    fn what_others_guess_is_no_secret() {
        for (text, wanted) in [
            ("", "empty"),
            ("a", "shorter"),
            ("hunter2hunter2x", "shorter"),
            ("change-me", "sample"),
            ("change-me-as-well", "sample"),
            ("CHANGE_ME_1234567890", "sample"),
            ("your-token-goes-here", "sample"),
            ("two words of a token", "without spaces"),
            ("aaaaaaaaaaaaaaaaaaaa", "repeats"),
            ("abc4abc4abc4abc4abc4ab", "repeats"),
            ("passwordpassword", "repeats"),
            ("0123456789abcdef", "sequence"),
            ("zyxwvutsrqponmlkji", "sequence"),
            ("qwertyuiopasdfghjkl", "sequence"),
            ("1qazxcvbnm1234567890", "sequence"),
            ("1a1b11ab1baa1ba1bab1", "too few"),
        ] {
            let weakness = Secret::new(text).weakness();
            assert!(weakness.is_some_and(|why| why.contains(wanted)), "{text}: {weakness:?}");
        }
        for good in [
            "the-operators-token",
            "4b7c0a3c5ae0b3f7e1c2d9f8a6b5c4d3e2f1a0b9c8d7e6f5",
            "sipgw_6XqCzPNWu7HcFS2kZ9Vt",
            "correct-horse-battery-staple",
        ] {
            assert_eq!(Secret::new(good).weakness(), None, "{good}");
        }
    }

    #[test]
    fn a_databases_address_may_have_any_password_but_the_samples() {
        for (url, is_sample) in [
            ("postgres://sipgw:password@localhost/sipgw", true),
            ("postgres://sipgw:change-me@db.example:5432/sipgw", true),
            ("postgres://sipgw:change%2Dme@localhost/sipgw", true),
            ("postgres://db/sipgw?user=sipgw&password=change-me", true),
            ("postgres://db/sipgw?password=change%2Dme", true),
            ("postgres://db/sipgw?user=password&password=pw", false),
            ("postgres://sipgw:pw@localhost/sipgw", false),
            ("postgres://sipgw@localhost/password", false),
            ("postgres:///sipgw?host=/run/postgresql", false),
        ] {
            assert_eq!(has_sample_password(url), is_sample, "{url}");
        }
    }
}
