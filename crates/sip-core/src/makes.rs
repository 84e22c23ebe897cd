//! Makes of PBXs, known by their User-Agent: what they do with SRTP before they have shown it.

use crate::sdp::RemoteMedia;
use crate::types::SecureMedia;

/// One make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Make {
    /// How its User-Agent begins, in any case.
    pub begins: String,
    /// How its media is to be protected over TLS.
    pub secure: SecureMedia,
}

/// The makes that are known; the first that fits counts. A User-Agent is easily faked, so nothing but a first guess
/// depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Makes(pub Vec<Make>);

impl Makes {
    /// How media towards a PBX of this name is to be protected over TLS; `None` if its make is not known.
    pub fn secure(&self, user_agent: &str) -> Option<SecureMedia> {
        let name = user_agent.trim_start().as_bytes();
        let fits = |make: &&Make| {
            let begins = make.begins.as_bytes();
            name.get(..begins.len()).is_some_and(|start| start.eq_ignore_ascii_case(begins))
        };
        self.0.iter().find(fits).map(|make| make.secure)
    }
}

/// How a peer that makes this offer wants its media protected: it is told the same when it is called.
pub(crate) fn shown_by(offer: &RemoteMedia) -> SecureMedia {
    match (offer.profile.is_secure(), offer.crypto.is_empty()) {
        (true, _) => SecureMedia::Required,
        (false, false) => SecureMedia::Optional,
        (false, true) => SecureMedia::Off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_make_that_fits_counts() {
        let make = |begins: &str, secure| Make { begins: begins.to_owned(), secure };
        let makes = Makes(vec![
            make("Grandstream UCM", SecureMedia::Optional),
            make("grandstream", SecureMedia::Off),
        ]);
        assert_eq!(makes.secure("Grandstream UCM6302V1.3A 1.0.27.10"), Some(SecureMedia::Optional));
        assert_eq!(makes.secure("GRANDSTREAM GXW-4004"), Some(SecureMedia::Off));
        assert_eq!(makes.secure("Grand"), None);
        assert_eq!(makes.secure("Größe"), None);
    }
}
