//! A company's account.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::{BusinessAccountId, CompanyId, Timestamp};
use crate::money::Micros;

/// A company: holder of the credit that pays subscriptions, and of everything below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Company {
    /// Identity.
    pub id: CompanyId,
    /// Name, a label.
    pub name: String,
    /// Country, two letters in capitals (ISO 3166-1): how national numbers are read.
    pub country: String,
    /// Currency, three letters in capitals (ISO 4217).
    pub currency: String,
    /// Verified companies may show their landline numbers as Caller ID.
    pub is_verified: bool,
    /// Who has verified it, where that is known.
    pub verification: Option<Verification>,
    /// The price list that its calls are rated by.
    pub price_list: String,
    /// Most calls a second that all its profiles may begin together; `None` is no limit.
    pub calls_per_second: Option<NonZeroU32>,
    /// Since when and why it makes and takes no calls, if it is suspended.
    pub suspension: Option<Suspension>,
    /// Credit that can be spent now.
    #[serde(rename = "credit_micros")]
    pub credit: Micros,
}

/// An operator's stop of all calls of a company or a profile; what is paid for goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Since when.
    #[serde(rename = "at_micros")]
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
}

impl Suspension {
    /// As a row has it.
    pub(crate) fn of(at: Option<i64>, reason: Option<String>) -> Option<Self> {
        at.map(|at| Self { at: Timestamp(at), reason: reason.unwrap_or_default() })
    }
}

/// Who has made sure that a company is who it claims to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// By name.
    pub by: String,
    /// When.
    #[serde(rename = "at_micros")]
    pub at: Timestamp,
}

/// Somebody who looks after a company.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Administrator {
    /// The company.
    pub company: CompanyId,
    /// Address of electronic mail, in small letters: who it is.
    pub email: String,
    /// Name.
    pub name: String,
    /// The business account that the administrator uses in person. Once a profile has it, nobody can sign in with it.
    pub account: Option<BusinessAccountId>,
}

/// What is needed to open a company's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCompany {
    /// Name, a label.
    pub name: String,
    /// Country, two letters.
    pub country: String,
    /// Currency, three letters.
    pub currency: String,
}
