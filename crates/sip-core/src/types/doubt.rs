//! Why a peer that is known without a password has to prove one.

/// What speaks for another than who is known at the sender's address or by its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Another profile's PBX has registered over the flow, or proved its password over it.
    Flow,
    /// The request's credentials name another profile.
    Credentials,
    /// From names another profile.
    From,
    /// Another company's profile has proved its password at the host.
    History,
    /// Of late, too many calls from there were answered without a sign that anybody there had made them.
    Unconfirmed,
}

impl Doubt {
    /// One word, for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Credentials => "credentials",
            Self::From => "from",
            Self::History => "history",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    /// One plain sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Flow => {
                "Another profile's PBX has registered from this address and port, or proved its password there."
            }
            Self::Credentials => "The request's credentials name another user.",
            Self::From => "The request's From names another user.",
            Self::Unconfirmed => {
                "Of late, too many calls from this address were answered without a sign that anybody there had made them: it may be forged."
            }
            Self::History => {
                "Another company's profile has proved its password at this address within the last month."
            }
        }
    }
}
