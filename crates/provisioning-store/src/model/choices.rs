//! Settings that are one of a few words, with one spelling for JSON, the command line and the database.

/// A word that is not one of a setting's choices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{word}\" is not a {setting}; choose one of {choices}")]
pub struct UnknownChoice {
    /// The setting, in words.
    pub setting: &'static str,
    /// What was written.
    pub word: String,
    /// What may be written.
    pub choices: String,
}

/// Declares a setting with its words; `Display`, `FromStr`, serde and the database share them.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident, $setting:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every choice, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for this choice.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::model::UnknownChoice;

            fn from_str(word: &str) -> Result<Self, $crate::model::UnknownChoice> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::model::UnknownChoice {
                        setting: $setting,
                        word: word.to_owned(),
                        choices: [$($word),+].join(", "),
                    }),
                }
            }
        }
    };
}
pub(crate) use choices;

choices! {
    /// How a PBX proves which profile it is.
    Authentication, "way to authenticate" {
        /// It registers with user name and password.
        Registration = "registration",
        /// It is known by its address, see [`IpRule`](super::IpRule).
        Ip = "ip",
    }
}

choices! {
    /// Digest algorithms offered to a PBX (RFC 8760 asks for the strongest first).
    DigestAlgorithms, "set of digest algorithms" {
        /// MD5 alone, for PBXs that stumble over a second challenge.
        Md5 = "md5",
        /// SHA-256, then MD5.
        Sha256AndMd5 = "sha256_and_md5",
        /// SHA-256 alone: MD5 is not believed.
        Sha256 = "sha256",
    }
}

choices! {
    /// How telephone numbers are written towards a carrier.
    NumberFormat, "number format" {
        /// `+12025550100`.
        E164 = "e164",
        /// `12025550100`: the same digits without the plus.
        Digits = "digits",
        /// `0012025550100`.
        ZeroZero = "zero_zero",
        /// `2025550100`: without the country code where it is the company's own.
        National = "national",
    }
}

choices! {
    /// How the called Online Number is presented to the PBX.
    NumberPresentation, "number presentation" {
        /// `12026843376`, as in the guide's example.
        Digits = "digits",
        /// `+12026843376`.
        E164 = "e164",
    }
}

choices! {
    /// Whether media is encrypted on a leg.
    Srtp, "SRTP policy" {
        /// Found out from the User-Agent and from what is offered.
        Auto = "auto",
        /// Never.
        Off = "off",
        /// Offered, plain RTP accepted.
        Optional = "optional",
        /// Calls without it are refused.
        Required = "required",
    }
}

choices! {
    /// How SIP is carried.
    Transport, "transport" {
        /// Datagrams.
        Udp = "udp",
        /// A plain connection.
        Tcp = "tcp",
        /// An encrypted connection.
        Tls = "tls",
    }
}

choices! {
    /// Whether the PBX may choose among the profile's numbers in each call (From or P-Asserted-Identity).
    CallerIdByCall, "policy for caller ID by call" {
        /// The profile's setting always holds.
        Denied = "denied",
        /// A number that the profile may show is shown.
        Allowed = "allowed",
    }
}

choices! {
    /// Whether a carrier is in our trust domain (RFC 3325 section 2.3).
    Trust, "kind of trust" {
        /// It learns who calls also where the callee must not, and keeps it to itself.
        Trusted = "trusted",
        /// It learns nothing that the callee must not.
        Untrusted = "untrusted",
    }
}

choices! {
    /// Whether something is in use.
    Switch, "switch" {
        /// In use.
        On = "on",
        /// Kept, but not used.
        Off = "off",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_everywhere() {
        for &srtp in Srtp::ALL {
            assert_eq!(srtp.word().parse(), Ok(srtp));
            assert_eq!(serde_json::to_string(&srtp).unwrap(), format!("\"{srtp}\""));
        }
        let error = "always".parse::<Srtp>().unwrap_err().to_string();
        assert_eq!(error, "\"always\" is not a SRTP policy; choose one of auto, off, optional, required");
    }
}
