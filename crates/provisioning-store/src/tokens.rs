//! Tokens of the HTTP API, and what they allow.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::{CompanyId, Timestamp, TokenId};

/// What whoever shows a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "role", content = "company", rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Operator,
    /// What is this company's own; of others there is nothing to see.
    Administrator(CompanyId),
}

impl Role {
    /// The company that the role is limited to.
    pub fn company(self) -> Option<CompanyId> {
        match self {
            Self::Operator => None,
            Self::Administrator(company) => Some(company),
        }
    }

    /// The role in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Administrator(_) => "administrator",
        }
    }
}

/// A token as it is kept: without its secret, which nobody can show again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Identity.
    pub id: TokenId,
    /// Who or what uses it; the audit trail shows it.
    pub name: String,
    /// What it allows.
    #[serde(flatten)]
    pub role: Role,
    /// Since when it is there.
    #[serde(rename = "created_at_micros")]
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[serde(rename = "expires_at_micros")]
    pub expires_at: Option<Timestamp>,
    /// When it was ended.
    #[serde(rename = "revoked_at_micros")]
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// Whether it opens anything at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What a new token is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Who or what will use it.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// When it ends by itself; `None` is never.
    pub expires_at: Option<Timestamp>,
}

/// What is kept of a secret. It holds more than 250 random bits, so one round of SHA-256 is enough: what protects short
/// passwords against guessing would only slow every request down.
pub(crate) fn hash(secret: &str) -> String {
    crate::secrets::hex(&Sha256::digest(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_at_its_time_or_when_it_is_revoked() {
        let at = Timestamp::from_unix_s;
        let token = Token {
            id: TokenId(1),
            name: "console".into(),
            role: Role::Operator,
            created_at: at(0),
            expires_at: Some(at(10)),
            revoked_at: None,
        };
        assert!(token.is_valid(at(9)) && !token.is_valid(at(10)));
        assert!(!Token { revoked_at: Some(at(5)), ..token }.is_valid(at(6)));
    }

    #[test]
    fn hashes_are_sha_256() {
        // FIPS 180-4's example for "abc".
        assert!(hash("abc").starts_with("ba7816bf8f01cfea414140de5dae2223"));
    }
}
