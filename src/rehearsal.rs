//! What a call would do and cost, without making it: the core's rules say where it would go, the rate table what it would
//! cost, the ledger whether it would be let out.

use provisioning_store::cdr::Attempt;
use provisioning_store::error::StoreError;
use provisioning_store::ledger::{Grant, Outcome};
use provisioning_store::model::ProfileId;
use provisioning_store::money::Micros;
use provisioning_store::rating::{BundleCover, Tariff};
use provisioning_store::store::Store;
use serde::Serialize;
use sip_core::directory::Directory;
use sip_core::rehearsal::{Destination, destination};
use sip_core::settings::CallSettings;
use sip_core::types::CarrierId;

use crate::tariffs::Tariffs;
use crate::{admission, storage};

/// What would become of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// As it was dialled.
    pub dialled: String,
    /// E.164 with `+`, if that can be read out of it.
    pub number: Option<String>,
    /// `outgoing`, `on_net` or `echo`; nothing if it would go nowhere.
    pub kind: Option<&'static str>,
    /// The carriers that would be tried, in this order; equals are drawn by lot for each call.
    pub carriers: Vec<String>,
    /// The profile here that would be called.
    pub callee: Option<i64>,
    /// Whether it would be let out.
    pub is_granted: bool,
    /// Why not, in one word.
    pub reason_code: Option<String>,
    /// In one sentence.
    pub reason: String,
    /// What it would cost, if it costs anything.
    pub quote: Option<Price>,
    /// What would be held for its first seconds.
    pub grant: Option<Grant>,
}

/// What a call costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Price {
    /// As the rate table names it.
    pub destination: String,
    /// ISO 3166 alpha-2, or empty.
    pub country: String,
    /// The tariff.
    pub tariff: Tariff,
    /// The charge of the shortest billed duration, if no bundle paid it.
    pub shortest_micros: Micros,
}

impl Price {
    fn of(attempt: &Attempt) -> Option<Self> {
        let tariff = attempt.tariff?;
        Some(Self {
            destination: attempt.destination.clone(),
            country: attempt.country.clone(),
            shortest_micros: tariff.charge(tariff.minimum_s, 0),
            tariff,
        })
    }

    /// Whether bundle minutes pay it while there are any.
    pub fn is_covered(&self) -> bool {
        self.tariff.bundle == BundleCover::Covered
    }
}

/// What calls are decided by at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Who is there.
    pub directory: &'a Directory,
    /// Emergency numbers, the echo test.
    pub calls: &'a CallSettings,
    /// Prices.
    pub tariffs: &'a Tariffs,
}

/// Rehearses a call of a profile to what it dials. Nothing is written.
pub async fn rehearse(
    store: &Store,
    rules: Rules<'_>,
    profile: ProfileId,
    dialled: &str,
) -> Result<Rehearsal, StoreError> {
    let mut rehearsal = Rehearsal {
        dialled: dialled.to_owned(),
        number: None,
        kind: None,
        carriers: Vec::new(),
        callee: None,
        is_granted: false,
        reason_code: None,
        reason: String::new(),
        quote: None,
        grant: None,
    };
    let core_profile = sip_core::types::ProfileId(profile.0);
    let mut seed = [0; 32];
    // Without chance the order of equal carriers is always the same one, which is no harm here.
    let _same_order = getrandom::fill(&mut seed);
    match destination(rules.directory, rules.calls, core_profile, dialled, seed) {
        Ok(found) => rehearsal.lease(store, rules, profile, found).await?,
        Err(refusal) => rehearsal.refuse(refusal.row().code, refusal.row().sentence),
    }
    Ok(rehearsal)
}

impl Rehearsal {
    fn refuse(&mut self, code: &str, sentence: &str) {
        self.reason_code = Some(code.to_owned());
        self.reason = sentence.to_owned();
    }

    async fn lease(
        &mut self,
        store: &Store,
        rules: Rules<'_>,
        profile: ProfileId,
        found: Destination,
    ) -> Result<(), StoreError> {
        let now = storage::now();
        self.number = Some(format!("+{}", found.digits));
        self.kind = Some(found.usage.as_str());
        // A business account's phone is no profile.
        self.callee = found.callee.filter(|callee| !callee.is_phone()).map(|callee| callee.0);
        let name = |carrier: &CarrierId| Some(rules.directory.carrier(*carrier)?.name.clone());
        self.carriers = found.carriers.iter().filter_map(name).collect();
        let attempt = match admission::attempt(&found.usage, rules.tariffs, Some(profile), now) {
            Ok(attempt) => Attempt { to: format!("+{}", found.digits), ..attempt },
            Err(refusal) => {
                self.refuse(refusal.row().code, refusal.row().sentence);
                return Ok(());
            }
        };
        self.quote = Price::of(&attempt);
        match store.rehearse(now, profile, attempt).await {
            Ok(Outcome::Granted(grant)) => {
                self.is_granted = true;
                self.grant = Some(grant);
                self.reason = "The call would be let out.".to_owned();
            }
            Ok(other) => unreachable!("Reserve is answered by Granted, not by {other:?}"),
            Err(StoreError::Refused(refusal)) => self.refuse(refusal.code(), &refusal.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
