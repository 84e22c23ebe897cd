//! Words from the network on their way into the database.

/// The most characters kept of a name, a product or a number that somebody else wrote.
const KEPT: usize = 128;

/// The beginning of a word from the network: whoever writes kilobytes into a User-Agent must not fill the database.
pub(crate) fn kept(word: &str) -> String {
    word.chars().take(KEPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_between_characters() {
        assert_eq!(kept("Asterisk PBX 20"), "Asterisk PBX 20");
        assert_eq!(kept(&"ü".repeat(5_000)), "ü".repeat(KEPT));
    }
}
