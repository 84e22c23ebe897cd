//! Addresses that prove profiles, and where passwords were proved: the store's verbs for them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::PoisonError;

use ipnet::IpNet;

use super::Store;
use crate::error::StoreError;
use crate::model::{IpRule, IpRuleId, NewIpRule, ProfileId, Timestamp};
use crate::registrations::Proof;
use crate::sql::Claimant;

impl Store {
    /// Lets a PBX with IP authentication in from an address or range, whoever else is there: a certificate decides, and
    /// then the most specific rule, so this is for operators.
    pub async fn add_ip_rule(&self, profile: ProfileId, rule: &NewIpRule) -> Result<IpRule, StoreError> {
        self.profile(profile).await?;
        self.database.add_ip_rule(profile, &checked(rule)?, Claimant::Operator).await
    }

    /// The same for administrators, who may not take others' calls. A single address counts at once, unless it is known
    /// as somebody else's: a carrier's, another profile's, or one that another company's PBX has registered from or
    /// proved its password at. Such a claim waits, and so does every range; one that is wider than a site, or that the
    /// gateway's own machine and its neighbours use, is refused, and so is a certificate that another profile has.
    pub async fn claim_ip_rule(
        &self,
        now: Timestamp,
        profile: ProfileId,
        rule: &NewIpRule,
    ) -> Result<IpRule, StoreError> {
        self.profile(profile).await?;
        if let Some(problem) = rule.obstacle() {
            return Err(StoreError::Invalid { field: "network", problem });
        }
        let claimant = match self.is_carriers(rule) {
            true => Claimant::CompanyAtCarrier(now),
            false => Claimant::Company(now),
        };
        self.database.add_ip_rule(profile, &checked(rule)?, claimant).await
    }

    /// The addresses that carriers' names lead to, which the database does not know.
    pub fn use_carrier_addresses(&self, addresses: BTreeSet<IpAddr>) {
        *self.carrier_addresses.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    fn is_carriers(&self, rule: &NewIpRule) -> bool {
        let addresses = self.carrier_addresses.read().unwrap_or_else(PoisonError::into_inner);
        addresses.iter().any(|address| rule.overlaps(&IpNet::from(*address)))
    }

    /// Lets a claim count that waits; for operators, who know whose address it is.
    pub async fn confirm_ip_rule(&self, rule: IpRuleId) -> Result<(), StoreError> {
        self.database.confirm_ip_rule(rule).await
    }

    /// All addresses and ranges, in the order they were added.
    pub async fn ip_rules(&self) -> Result<Vec<IpRule>, StoreError> {
        self.database.ip_rules().await
    }

    /// Takes an address or range out again.
    pub async fn remove_ip_rule(&self, rule: IpRuleId) -> Result<(), StoreError> {
        self.database.remove_ip_rule(rule).await
    }

    /// Keeps where passwords were proved. A claim of a single address counts once its profile has proved its password
    /// there; says whether there was one.
    pub async fn save_proofs(&self, proofs: &[Proof]) -> Result<bool, StoreError> {
        self.database.save_proofs(proofs).await
    }

    /// Where passwords were proved within the time that is remembered, the oldest first.
    pub async fn load_proofs(&self, now: Timestamp) -> Result<Vec<Proof>, StoreError> {
        self.database.proofs(now).await
    }
}

fn checked(rule: &NewIpRule) -> Result<NewIpRule, StoreError> {
    rule.checked().map_err(|problem| StoreError::Invalid { field: "certificate", problem })
}
