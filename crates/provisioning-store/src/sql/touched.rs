//! Which rows a batch of operations needs.

use std::collections::BTreeSet;

use crate::ledger::{LedgerEntry, LedgerOp};
use crate::model::CompanyId;

/// What a batch may touch.
#[derive(Default)]
pub(super) struct Touched {
    pub(super) calls: BTreeSet<String>,
    pub(super) profiles: BTreeSet<i64>,
    /// Profiles whose channels in use matter.
    pub(super) leases: BTreeSet<i64>,
    pub(super) companies: BTreeSet<CompanyId>,
    pub(super) numbers: BTreeSet<i64>,
}

impl Touched {
    pub(super) fn by(entries: &[LedgerEntry]) -> Self {
        let mut touched = Self::default();
        for entry in entries {
            touched.add(&entry.op);
        }
        touched
    }

    fn add(&mut self, op: &LedgerOp) {
        match op {
            LedgerOp::OpenCompany { company } | LedgerOp::TopUp { company, .. } => {
                self.companies.insert(*company);
            }
            LedgerOp::OpenProfile { profile, company } => {
                self.companies.insert(*company);
                self.profiles.insert(profile.0);
            }
            LedgerOp::Allocate { profile, .. }
            | LedgerOp::TakeBack { profile, .. }
            | LedgerOp::SetRecharge { profile, .. }
            | LedgerOp::SetGuard { profile, .. }
            | LedgerOp::ReleaseGuard { profile }
            | LedgerOp::Subscribe { profile, .. }
            | LedgerOp::CancelSubscription { profile }
            | LedgerOp::ExtendSubscription { profile }
            | LedgerOp::CompletePeriod { profile, .. }
            | LedgerOp::CloseProfile { profile, .. }
            | LedgerOp::Hold { profile, .. } => {
                self.profiles.insert(profile.0);
            }
            LedgerOp::LeaseNumber { number, company, .. } => {
                self.companies.insert(*company);
                self.numbers.insert(number.0);
            }
            LedgerOp::CancelNumber { number }
            | LedgerOp::KeepNumber { number }
            | LedgerOp::CompleteTerm { number, .. }
            | LedgerOp::ReleaseNumber { number, .. } => {
                self.numbers.insert(number.0);
            }
            LedgerOp::Reserve { call, profile, .. } => {
                self.calls.insert(call.as_str().to_owned());
                self.profiles.insert(profile.0);
                self.leases.insert(profile.0);
            }
            LedgerOp::Adopt { granted } => {
                self.calls.insert(granted.call.as_str().to_owned());
                self.profiles.insert(granted.profile.0);
            }
            LedgerOp::Answer { call, .. }
            | LedgerOp::Extend { call, .. }
            | LedgerOp::Settle { call, .. }
            | LedgerOp::Void { call, .. }
            | LedgerOp::Expire { call } => {
                self.calls.insert(call.as_str().to_owned());
            }
        }
    }
}
