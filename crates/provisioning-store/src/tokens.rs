//! Tokens of the HTTP API, and what they allow.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::choices::choices;
use crate::model::{CompanyId, Timestamp, TokenId};

choices! {
    /// The kind of user that a token stands for.
    RoleKind, "role" {
        /// Does everything.
        Operator = "operator",
        /// Sees everything but passwords, and changes nothing.
        OperatorReadOnly = "operator_read_only",
        /// Does everything that is one company's.
        Administrator = "administrator",
        /// Sees what is one company's but passwords, and changes nothing.
        AdministratorReadOnly = "administrator_read_only",
        /// Sees the money of one company, or of all, and deals with payments.
        Billing = "billing",
    }
}

impl RoleKind {
    /// Whether there are such tokens for one company.
    pub fn may_be_limited(self) -> bool {
        matches!(self, Self::Administrator | Self::AdministratorReadOnly | Self::Billing)
    }

    /// Whether there are such tokens for the whole installation.
    pub fn may_be_unlimited(self) -> bool {
        matches!(self, Self::Operator | Self::OperatorReadOnly | Self::Billing)
    }
}

/// The role that a token grants, and the company that it is limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "role", content = "company", rename_all = "snake_case")]
pub enum Role {
    /// See [`RoleKind::Operator`].
    Operator,
    /// See [`RoleKind::OperatorReadOnly`].
    OperatorReadOnly,
    /// See [`RoleKind::Administrator`]; of other companies there is nothing to see.
    Administrator(CompanyId),
    /// See [`RoleKind::AdministratorReadOnly`].
    AdministratorReadOnly(CompanyId),
    /// See [`RoleKind::Billing`].
    Billing(Option<CompanyId>),
}

impl Role {
    /// The role of a kind in a company, or in the whole installation; `None` if the two do not go together.
    pub fn new(kind: RoleKind, company: Option<CompanyId>) -> Option<Self> {
        match (kind, company) {
            (RoleKind::Operator, None) => Some(Self::Operator),
            (RoleKind::OperatorReadOnly, None) => Some(Self::OperatorReadOnly),
            (RoleKind::Administrator, Some(company)) => Some(Self::Administrator(company)),
            (RoleKind::AdministratorReadOnly, Some(company)) => Some(Self::AdministratorReadOnly(company)),
            (RoleKind::Billing, company) => Some(Self::Billing(company)),
            _ => None,
        }
    }

    /// What it is, wherever.
    pub fn kind(self) -> RoleKind {
        match self {
            Self::Operator => RoleKind::Operator,
            Self::OperatorReadOnly => RoleKind::OperatorReadOnly,
            Self::Administrator(_) => RoleKind::Administrator,
            Self::AdministratorReadOnly(_) => RoleKind::AdministratorReadOnly,
            Self::Billing(_) => RoleKind::Billing,
        }
    }

    /// The company that the role is limited to.
    pub fn company(self) -> Option<CompanyId> {
        match self {
            Self::Operator | Self::OperatorReadOnly => None,
            Self::Administrator(company) | Self::AdministratorReadOnly(company) => Some(company),
            Self::Billing(company) => company,
        }
    }

    /// Whether what another role may do is no more than what this one may.
    pub fn covers(self, other: Self) -> bool {
        match self {
            Self::Operator => true,
            Self::Administrator(own) => other.company() == Some(own),
            Self::OperatorReadOnly | Self::AdministratorReadOnly(_) | Self::Billing(_) => other == self,
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
    fn no_role_makes_another_that_may_do_more() {
        let [own, other] = [CompanyId(1), CompanyId(2)];
        let all = |company| {
            [Role::Administrator(company), Role::AdministratorReadOnly(company), Role::Billing(Some(company))]
        };
        let unlimited = [Role::Operator, Role::OperatorReadOnly, Role::Billing(None)];
        for role in all(own) {
            assert!(Role::Operator.covers(role) && Role::Administrator(own).covers(role), "{role:?}");
            assert!(!Role::Administrator(other).covers(role), "{role:?}");
            assert_eq!(
                Role::AdministratorReadOnly(own).covers(role),
                role == Role::AdministratorReadOnly(own)
            );
            assert_eq!(Role::new(role.kind(), role.company()), Some(role));
        }
        for role in unlimited {
            assert!(Role::Operator.covers(role) && !Role::Administrator(own).covers(role), "{role:?}");
            assert_eq!(Role::new(role.kind(), None), Some(role));
        }
        assert_eq!(Role::new(RoleKind::Administrator, None), None);
        assert_eq!(Role::new(RoleKind::OperatorReadOnly, Some(own)), None);
        for kind in RoleKind::ALL {
            assert_eq!(kind.may_be_limited(), Role::new(*kind, Some(own)).is_some(), "{kind}");
            assert_eq!(kind.may_be_unlimited(), Role::new(*kind, None).is_some(), "{kind}");
        }
    }

    #[test]
    fn hashes_are_sha_256() {
        // FIPS 180-4's example for "abc".
        assert!(hash("abc").starts_with("ba7816bf8f01cfea414140de5dae2223"));
    }
}
