//! Things that can be changed, and how they were when somebody looked: what a change may be made conditional on.
//!
//! A version is drawn from everything about a thing that somebody sets; what calls change - credit, channels in use - is no
//! part of it. Two versions are the same exactly where all of that is.

use crate::model::{BusinessAccountId, CarrierId, CompanyId, NumberId, PaymentId, ProfileId, TokenId};

/// A thing that can be changed, or a part of one that is changed by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A company itself.
    Company(CompanyId),
    /// How a company's credit is refilled.
    CompanyRecharge(CompanyId),
    /// A company's administrators.
    Administrators(CompanyId),
    /// A company's landline numbers.
    Landlines(CompanyId),
    /// A payment.
    Payment(PaymentId),
    /// A profile: name, settings, limits, subscription, recharge.
    Profile(ProfileId),
    /// A profile's own limits.
    SpendGuard(ProfileId),
    /// A profile's password.
    Credentials(ProfileId),
    /// The addresses that a profile is let in from.
    Addresses(ProfileId),
    /// What a profile shows as the caller.
    CallerIds(ProfileId),
    /// An Online Number and the terms on which it is had.
    Number(NumberId),
    /// A number on offer, by itself.
    StockNumber(String),
    /// A business account.
    Account(BusinessAccountId),
    /// A business account's password.
    AccountCredentials(BusinessAccountId),
    /// A carrier.
    Carrier(CarrierId),
    /// The rates of all price lists.
    Rates,
    /// A token.
    Token(TokenId),
}

/// What a change is conditional on: it is made only while a thing is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The thing.
    pub thing: Thing,
    /// The versions that will do; none will do where the list is empty.
    pub versions: Vec<String>,
}
