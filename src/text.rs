//! Words from the network on their way into the database, and before people's eyes.

use std::borrow::Cow;
use std::fmt::{self, Write};

use provisioning_store::text::is_unseen;

/// The most characters kept of a name, a product or a number that somebody else wrote.
const KEPT: usize = 128;

/// The beginning of a word from the network: whoever writes kilobytes into a User-Agent must not fill the database.
pub(crate) fn kept(word: &str) -> String {
    word.chars().take(KEPT).collect()
}

/// A text as it may be shown on one line of a terminal or a log: what would act there is written as `\n`, `\u{1b}`.
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, is_unseen, |letter| letter.escape_default().to_string())
}

/// The same for a text of several lines.
pub fn plain_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| is_unseen(letter) && letter != '\n', |letter| letter.escape_default().to_string())
}

/// The same for JSON, which stays what it is: within its strings, the only place where such a character can be, it is
/// written as JSON itself would.
pub fn plain_json(text: &str) -> Cow<'_, str> {
    let units =
        |letter: char| letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
    escaped(text, |letter| is_unseen(letter) && letter != '\n', units)
}

fn escaped(text: &str, is_meant: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.chars().any(&is_meant) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_meant(letter) {
            escaped.push_str(&escape(letter));
        } else {
            escaped.push(letter);
        }
    }
    Cow::Owned(escaped)
}

/// Writes as [`plain`] shows it.
pub(crate) struct Plain<W>(pub(crate) W);

impl<W: Write> Write for Plain<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&plain(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_on_a_terminal_is_shown() {
        for (text, shown) in [
            ("Asterisk PBX 20", "Asterisk PBX 20"),
            ("\u{1b}]0;owned\u{7}\u{1b}[2J", "\\u{1b}]0;owned\\u{7}\\u{1b}[2J"),
            ("a\r\nb\tc\u{8}\u{7f}", "a\\r\\nb\\tc\\u{8}\\u{7f}"),
            ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
            (
                "pay\u{202e}gpj.exe\u{2066}x\u{2069}\u{200f}",
                "pay\\u{202e}gpj.exe\\u{2066}x\\u{2069}\\u{200f}",
            ),
            ("a\u{2028}b\u{feff}\u{e0041}", "a\\u{2028}b\\u{feff}\\u{e0041}"),
            ("\u{3164}\u{115f}\u{17b4}\u{ffa0}", "\\u{3164}\\u{115f}\\u{17b4}\\u{ffa0}"),
            ("Zoë Müller, नमस्ते, می‌خواهم, 👩‍🚀, שלום", "Zoë Müller, नमस्ते, می‌خواهم, 👩‍🚀, שלום"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(plain_lines("one\u{1b}\ntwo"), "one\\u{1b}\ntwo");
    }

    #[test]
    fn json_stays_what_it_is() {
        let value = serde_json::json!({"from": "\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{e0041}\n", "to": "ü"});
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = plain_json(&text);
            assert!(!shown.contains(|letter| is_unseen(letter) && letter != '\n'), "{shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        assert_eq!(kept("Asterisk PBX 20"), "Asterisk PBX 20");
        assert_eq!(kept(&"ü".repeat(5_000)), "ü".repeat(KEPT));
    }
}
