//! The file of PBX makes: what they do with SRTP.

use serde::Deserialize;
use sip_core::makes::{Make, Makes};
use sip_core::types::SecureMedia;

/// What is known where no file is named.
pub(super) const BUILT_IN: &str = include_str!("../../config/user-agents.yaml");

/// The makes as the file lists them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct UserAgents(Vec<UserAgent>);

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct UserAgent {
    begins: String,
    srtp: MakeSrtp,
    /// For people alone.
    #[serde(default, rename = "notes")]
    _notes: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum MakeSrtp {
    Off,
    Optional,
    Require,
}

impl UserAgents {
    /// What is wrong with it, as path and problem.
    pub(super) fn faults(&self) -> Vec<(String, String)> {
        let empty = self.0.iter().enumerate().filter(|(_, make)| make.begins.trim().is_empty());
        let fault = |at: usize| (format!("[{at}].begins"), "it is empty and would fit every PBX".to_owned());
        empty.map(|(at, _)| fault(at)).collect()
    }

    /// The makes in the core's terms.
    pub(super) fn makes(self) -> Makes {
        let make = |known: UserAgent| Make {
            begins: known.begins,
            secure: match known.srtp {
                MakeSrtp::Off => SecureMedia::Off,
                MakeSrtp::Optional => SecureMedia::Optional,
                MakeSrtp::Require => SecureMedia::Required,
            },
        };
        Makes(self.0.into_iter().map(make).collect())
    }
}
