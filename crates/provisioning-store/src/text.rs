//! Texts that people type and others read: names, notes, addresses of electronic mail.
//!
//! What cannot be seen has no place in them: it makes one name look like another, or turns a line of the log or of the
//! terminal into something else.

/// The first character of a text that cannot be seen, or that changes how others are shown.
pub(crate) fn unseen(text: &str) -> Option<char> {
    text.chars().find(|character| is_unseen(*character))
}

/// Whether a character cannot be seen, or changes how others are shown: control characters, marks of direction (Unicode
/// annex 9), separators of lines and paragraphs, and characters without width. Three of those are not among them: the joiners
/// U+200C and U+200D, without which Persian and the languages of India are not written, and U+FE0F, which makes a sign an emoji.
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{AD}'
                | '\u{34F}'
                | '\u{61C}'
                | '\u{115F}' | '\u{1160}'
                | '\u{17B4}' | '\u{17B5}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'
                | '\u{200E}' | '\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0E}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFB}'
                | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_found() {
        for text in [
            "a\u{0}",
            "a\nb",
            "\u{1b}[31m",
            "a\u{7f}",
            "a\u{85}b",
            "pay\u{202e}lap",
            "a\u{2066}b",
            "\u{200f}a",
            "a\u{61c}",
            "a\u{200b}b",
            "a\u{feff}",
            "a\u{2028}b",
            "a\u{e0041}",
            "a\u{ad}b",
            "a\u{34f}b",
            "a\u{fe00}",
            "a\u{fff0}",
            "a\u{1bca0}b",
        ] {
            assert!(unseen(text).is_some(), "{text:?}");
        }
        for text in ["Sales", "Müller & Söhne", "株式会社", "شركة", "می\u{200c}خواهم", "a b", "Ελλάς", "🦀"]
        {
            assert_eq!(unseen(text), None, "{text:?}");
        }
    }
}
