//! Which part of a long list is asked for: what comes after the last one seen, and how many.

use crate::model::{BusinessAccountId, CompanyId, ProfileId};

/// A part of a list that is in the order of identities. The next one begins after the last that was given, so nothing is
/// seen twice or missed while others come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The identity of the last one seen; `None` begins at the first.
    pub after: Option<i64>,
    /// How many at most.
    pub most: u32,
}

/// Which companies are asked for; every condition that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompanyFilter {
    /// Only this one.
    pub company: Option<CompanyId>,
    /// The name contains this, in whatever case.
    pub name: Option<String>,
    /// Two letters.
    pub country: Option<String>,
}

/// Which profiles are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileFilter {
    /// Only this company's.
    pub company: Option<CompanyId>,
    /// The name contains this, in whatever case.
    pub name: Option<String>,
    /// Only the one with this SIP user.
    pub sip_user: Option<String>,
}

/// Which Online Numbers are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberFilter {
    /// Only this company's.
    pub company: Option<CompanyId>,
    /// The number contains this.
    pub number: Option<String>,
    /// Two letters.
    pub country: Option<String>,
    /// Only those that reach this profile directly.
    pub profile: Option<ProfileId>,
    /// Only those that reach this business account.
    pub business_account: Option<BusinessAccountId>,
}

/// Which business accounts are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// Only this company's.
    pub company: Option<CompanyId>,
    /// The name contains this.
    pub name: Option<String>,
    /// Only those attached to this profile.
    pub profile: Option<ProfileId>,
}

/// Which rates are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateFilter {
    /// The price list.
    pub price_list: String,
    /// As it is in force at this moment.
    pub at: crate::model::Timestamp,
    /// Only prefixes that begin with this.
    pub prefix: Option<String>,
    /// Two letters.
    pub country: Option<String>,
}

/// Who pays for a profile, and in what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purse {
    /// The company.
    pub company: CompanyId,
    /// Its currency, three letters.
    pub currency: String,
}
