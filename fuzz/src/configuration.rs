//! A configuration file: it is taken or refused with a sentence, and the same text is judged the same twice.

use sipgw::Config;

/// Holds the property against these octets; panics where it does not hold.
pub fn check(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let read = || Config::from_text("sipgw.yaml", text, []).map_err(|error| error.to_string());
    let first = read();
    match &first {
        Ok(config) => assert!(!config.realm().is_empty()),
        Err(sentence) => assert!(!sentence.trim().is_empty(), "refused without a word"),
    }
    assert_eq!(first.is_ok(), read().is_ok());
}
