//! A registered PBX, and why it is one no longer.

use super::{Flow, ProfileId, SecureMedia};

/// Why a binding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unregistration {
    /// The PBX asked for it.
    Asked,
    /// It was not refreshed in time.
    Expired,
    /// Its connection was lost, and none can be opened to it.
    ConnectionLost,
    /// A newer registration from elsewhere took its place.
    Replaced,
    /// The profile was deleted or now uses IP authentication.
    ProfileGone,
}

impl Unregistration {
    /// One word, for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Expired => "expired",
            Self::ConnectionLost => "connection_lost",
            Self::Replaced => "replaced",
            Self::ProfileGone => "profile_gone",
        }
    }

    /// One plain sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Asked => "The PBX ended its registration.",
            Self::Expired => "The PBX did not refresh its registration in time.",
            Self::ConnectionLost => {
                "The connection over which the PBX had registered was lost, and none can be opened to it."
            }
            Self::Replaced => {
                "A newer registration of another PBX took the place of this one: \
                 one profile serves one PBX."
            }
            Self::ProfileGone => {
                "The profile was deleted or no longer registers, or a profile got the phone's business account."
            }
        }
    }
}

/// A registered PBX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Whose.
    pub profile: ProfileId,
    /// The Contact URI, byte for byte as registered, parameters included.
    pub contact_uri: String,
    /// The whole Contact value as received, echoed in answers (without `expires`).
    pub contact: String,
    /// The proxies on the way to the PBX, the nearest first, each as its Path value was received (RFC 3327).
    pub path: Vec<String>,
    /// Where the REGISTER came from: requests to the PBX go here.
    pub flow: Flow,
    /// The PBX's product name.
    pub user_agent: Option<String>,
    /// The REGISTER's Call-ID, which orders its CSeq.
    pub call_id: String,
    /// The last CSeq seen.
    pub cseq: u32,
    /// How the PBX has shown that it protects its media: by an offer of its own, or by what it took when it was called.
    pub media: Option<SecureMedia>,
    /// Whether a NAT or firewall stands between.
    pub behind_nat: bool,
    /// Seconds since 1970 at which it ends.
    pub expires_unix_s: u64,
}
