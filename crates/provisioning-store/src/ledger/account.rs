//! Accounts and the transfers between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cdr::CallId;
use crate::model::choices::choices;
use crate::model::{CompanyId, ProfileId, Timestamp};

/// An account in the books. Its text form (`company:1`, `bundle:7:3`) is its name in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// Where money comes from: what companies have paid in, below zero.
    External,
    /// What the service has earned.
    Revenue,
    /// A company's credit.
    Company(CompanyId),
    /// A profile's credit.
    Profile(ProfileId),
    /// Where bundle seconds come from and where unused ones go back to, below zero.
    Minutes,
    /// Bundle seconds that calls have used.
    MinutesUsed,
    /// Bundle seconds of one period of a profile. A period has an account of its own, so that seconds which a call
    /// still holds when the period ends cannot slip into the next one.
    Bundle {
        /// The profile.
        profile: ProfileId,
        /// The period, from 1.
        period: i64,
    },
}

/// What an account counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Millionths of the currency.
    Micros,
    /// Bundle seconds.
    Seconds,
}

impl Account {
    /// What the account counts.
    pub fn unit(self) -> Unit {
        match self {
            Self::External | Self::Revenue | Self::Company(_) | Self::Profile(_) => Unit::Micros,
            Self::Minutes | Self::MinutesUsed | Self::Bundle { .. } => Unit::Seconds,
        }
    }

    /// True for accounts that must never fall below zero.
    pub fn has_floor(self) -> bool {
        matches!(self, Self::Company(_) | Self::Profile(_) | Self::Bundle { .. })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::External => f.write_str("external"),
            Self::Revenue => f.write_str("revenue"),
            Self::Company(company) => write!(f, "company:{company}"),
            Self::Profile(profile) => write!(f, "profile:{profile}"),
            Self::Minutes => f.write_str("minutes"),
            Self::MinutesUsed => f.write_str("minutes_used"),
            Self::Bundle { profile, period } => write!(f, "bundle:{profile}:{period}"),
        }
    }
}

/// A text that names no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" names no account")]
pub struct UnknownAccount(pub String);

impl FromStr for Account {
    type Err = UnknownAccount;

    fn from_str(name: &str) -> Result<Self, UnknownAccount> {
        let unknown = || UnknownAccount(name.to_owned());
        let number = |text: &str| text.parse::<i64>().map_err(|_| unknown());
        match name.split(':').collect::<Vec<_>>()[..] {
            ["external"] => Ok(Self::External),
            ["revenue"] => Ok(Self::Revenue),
            ["company", id] => Ok(Self::Company(CompanyId(number(id)?))),
            ["profile", id] => Ok(Self::Profile(ProfileId(number(id)?))),
            ["minutes"] => Ok(Self::Minutes),
            ["minutes_used"] => Ok(Self::MinutesUsed),
            ["bundle", id, period] => {
                Ok(Self::Bundle { profile: ProfileId(number(id)?), period: number(period)? })
            }
            _ => Err(unknown()),
        }
    }
}

/// An account's state, in its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// The sum of its transfers.
    pub balance: i64,
    /// The part that live calls have reserved.
    pub reserved: i64,
}

impl Balance {
    /// What can still be reserved or moved.
    pub fn available(self) -> i64 {
        self.balance - self.reserved
    }
}

choices! {
    /// Why something moved.
    TransferKind, "kind of transfer" {
        /// Money paid in: external to company.
        TopUp = "top_up",
        /// Company to profile, by an administrator.
        Allocation = "allocation",
        /// Company to profile, by itself.
        Recharge = "recharge",
        /// Company to profile, for a call whose bundle is used up, and what the call did not need back again.
        BundleOverflow = "bundle_overflow",
        /// A mistake put right by an operator: external to company, or company to external.
        Correction = "correction",
        /// A charge taken back by an operator: revenue to company.
        CreditNote = "credit_note",
        /// Profile to company.
        TakeBack = "take_back",
        /// A subscription's price: company to revenue.
        Subscription = "subscription",
        /// The unused part of a subscription: revenue to company.
        Refund = "refund",
        /// An Online Number's term: company to revenue.
        NumberFee = "number_fee",
        /// Bundle seconds of a new period.
        BundleGrant = "bundle_grant",
        /// Bundle seconds left over at the end of a period.
        BundleExpiry = "bundle_expiry",
        /// A call's charge: profile to revenue.
        CallCharge = "call_charge",
        /// Bundle seconds that a call used.
        BundleUse = "bundle_use",
    }
}

/// One movement; never changed once written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub kind: TransferKind,
    /// From where.
    pub from: Account,
    /// To where, of the same unit.
    pub to: Account,
    /// How much, above zero, in the accounts' unit.
    pub amount: i64,
    /// For which call.
    pub call: Option<CallId>,
    /// For which profile, where it is not a call's.
    pub profile: Option<ProfileId>,
    /// What it is for in words, or an administrator's word on it, or empty.
    pub note: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let profile = ProfileId(7);
        let accounts = [
            Account::External,
            Account::Revenue,
            Account::Company(CompanyId(1)),
            Account::Profile(profile),
            Account::Minutes,
            Account::MinutesUsed,
            Account::Bundle { profile, period: 3 },
        ];
        for account in accounts {
            assert_eq!(account.to_string().parse(), Ok(account));
        }
        for name in ["", "company", "company:x", "bundle:1", "profile:1:2"] {
            assert_eq!(name.parse::<Account>(), Err(UnknownAccount(name.into())));
        }
    }
}
