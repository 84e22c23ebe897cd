//! What the daemon needs to know of provisioning to handle calls, of one moment.

use std::collections::BTreeSet;

use crate::model::{
    BusinessAccount, CallerIdRule, Carrier, Company, CompanyId, Credentials, IpRule, Landline, OnlineNumber,
    PhoneCredentials, Profile,
};

/// Everything that calls and registrations are decided by, or what has changed of it, read in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectoryRows {
    /// The revision these rows are of; compare with [`Store::revision`](crate::store::Store::revision).
    pub revision: i64,
    /// The revision since which the rates are as they are.
    pub revision_of_rates: i64,
    /// The companies whose rows these are, those without any included; `None` where they are everybody's. Carriers are
    /// always all.
    pub changed: Option<BTreeSet<CompanyId>>,
    /// Companies, by identity.
    pub companies: Vec<Company>,
    /// Profiles, by identity.
    pub profiles: Vec<Profile>,
    /// The profiles' credentials with passwords in clear, in the same order.
    pub credentials: Vec<Credentials>,
    /// Addresses of PBXs with IP authentication.
    pub ip_rules: Vec<IpRule>,
    /// Online Numbers, by number.
    pub numbers: Vec<OnlineNumber>,
    /// Business accounts, by name.
    pub business_accounts: Vec<BusinessAccount>,
    /// What phones of business accounts sign in with, in clear; by identity.
    pub phones: Vec<PhoneCredentials>,
    /// Stored landline numbers.
    pub landlines: Vec<Landline>,
    /// Caller ID rules, by profile; a profile's default comes first.
    pub caller_ids: Vec<CallerIdRule>,
    /// Carriers, by priority; passwords in clear.
    pub carriers: Vec<Carrier>,
}
