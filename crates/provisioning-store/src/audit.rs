//! The audit trail: who changed what, when and from where.
//!
//! A [`Store`](crate::store::Store) that acts [on somebody's behalf](crate::store::Store::on_behalf) writes an entry with
//! every transaction that changes something, so no verb has to think of it and no change is without its entry.

use serde::{Deserialize, Serialize};

use crate::answers::Once;
use crate::model::{CompanyId, Timestamp};

/// What somebody is about to do. It becomes an [`AuditEntry`] together with the change, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// Who: the name of a token, or of a user of this machine.
    pub actor: String,
    /// From where: an address, or `command line`.
    pub origin: String,
    /// The company that it happens to, where it is one's.
    pub company: Option<CompanyId>,
    /// What, in the words of whoever asked: `POST /api/v1/companies/1/top-ups`, `profile rename 7 Sales`.
    pub action: String,
    /// What was given with it as JSON, secrets left out; or nothing.
    pub detail: String,
    /// The request's own name, where it must not be done twice.
    pub once: Option<Once>,
}

/// One line of the trail; never changed once written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Counts the entries upwards.
    pub id: i64,
    /// When.
    #[serde(rename = "at_micros")]
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// From where.
    pub origin: String,
    /// The company that it happened to.
    pub company: Option<CompanyId>,
    /// What.
    pub action: String,
    /// What was given with it.
    pub detail: String,
}

/// Which entries are asked for; every condition that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only what happened to this company.
    pub company: Option<CompanyId>,
    /// Only what this one did.
    pub actor: Option<String>,
    /// At or after this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub before: Option<Timestamp>,
}
