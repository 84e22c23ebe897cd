//! The term for which a company has an Online Number.

use serde::{Deserialize, Serialize};

use super::Renewal;
use crate::model::{CompanyId, Timestamp};
use crate::money::Micros;

/// What a company takes an Online Number at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberOffer {
    /// E.164 with `+`.
    pub number: String,
    /// What a term costs.
    #[serde(rename = "fee_micros")]
    pub fee: Micros,
    /// How many days a term has, at least 1.
    pub term_days: u32,
}

/// A number that a company pays for term by term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberLease {
    /// Who pays.
    pub company: CompanyId,
    /// What a term costs.
    #[serde(flatten)]
    pub offer: NumberOffer,
    /// Counts the terms from 1.
    pub term: i64,
    /// The first moment that is not paid.
    #[serde(rename = "paid_until_micros")]
    pub paid_until: Timestamp,
    /// How it goes on. An unpaid number reaches nobody; it is kept for its company for a while, then goes back into
    /// the stock.
    pub renewal: Renewal,
}

impl NumberLease {
    /// The first term, from now.
    pub fn begin(company: CompanyId, offer: NumberOffer, now: Timestamp) -> Self {
        let paid_until = now.plus_days(i64::from(offer.term_days.max(1)));
        Self { company, offer, term: 1, paid_until, renewal: Renewal::Automatic }
    }

    /// The next term. It begins where this one ends, whenever it is paid.
    pub fn renewed(&self) -> Self {
        let paid_until = self.paid_until.plus_days(i64::from(self.offer.term_days.max(1)));
        Self { term: self.term + 1, paid_until, renewal: Renewal::Automatic, ..self.clone() }
    }

    /// True while calls to the number are put through.
    pub fn is_in_service(&self) -> bool {
        self.renewal != Renewal::Unpaid
    }
}
