//! How many of each thing a company may create by itself. Operators create as many as they like.

use serde::{Deserialize, Serialize};

/// The most of each kind that a company, or a profile of it, may have to create one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Profiles of a company; those deleted within the last month count too.
    pub profiles: u32,
    /// Addresses and ranges of one profile.
    pub addresses_per_profile: u32,
    /// Online Numbers of a company.
    pub numbers: u32,
    /// Business accounts of a company.
    pub business_accounts: u32,
    /// Administrators of a company.
    pub administrators: u32,
    /// Stored landline numbers of a company.
    pub landlines: u32,
    /// Tokens of a company that are in force or were made within the last month.
    pub tokens: u32,
    /// Payments that a company has asked for and that are still pending.
    pub pending_payments: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            profiles: 100,
            addresses_per_profile: 32,
            numbers: 1_000,
            business_accounts: 2_000,
            administrators: 100,
            landlines: 200,
            tokens: 100,
            pending_payments: 20,
        }
    }
}

impl Quotas {
    /// What is deleted or ended counts for so long, in seconds: otherwise it could be made and deleted without end, and
    /// the ledger and the audit trail remember all of it.
    pub(crate) const REMEMBERED_S: i64 = 30 * 86_400;
}
