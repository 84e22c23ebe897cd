//! A company's account.

use serde::{Deserialize, Serialize};

use super::CompanyId;
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
    /// Credit that can be spent now.
    #[serde(rename = "credit_micros")]
    pub credit: Micros,
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
