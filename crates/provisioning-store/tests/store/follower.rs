//! Follows the directory by what changes, as a gateway does, and holds what it knows against the whole.

use std::collections::{BTreeMap, BTreeSet};

use provisioning_store::directory::DirectoryRows;
use provisioning_store::ledger::Spending;
use provisioning_store::model::{CompanyId, ProfileId};
use provisioning_store::money::Micros;
use provisioning_store::store::Store;

/// Somebody who has read the whole directory once.
pub(crate) struct Follower {
    known: DirectoryRows,
}

impl Follower {
    pub(crate) async fn new(store: &Store) -> Self {
        Self { known: whole(store).await }
    }

    /// Reads what has changed: something has, and it is the part of these companies and, if so, the rates.
    pub(crate) async fn sees(&mut self, store: &Store, what: &str, companies: &[CompanyId]) {
        let before = (self.known.revision, self.known.revision_of_rates);
        let changed = self.follow(store).await;
        assert!(self.known.revision > before.0, "{what}");
        assert_eq!(changed, Some(companies.iter().copied().collect()), "{what}");
        assert_eq!(self.known.revision_of_rates > before.1, what == "rates", "{what}");
        self.knows_all(store, what).await;
    }

    /// Reads what has changed; gives whose part that was.
    pub(crate) async fn follow(&mut self, store: &Store) -> Option<BTreeSet<CompanyId>> {
        let changes = store.load_changes(self.known.revision).await.unwrap();
        let changed = changes.changed.clone();
        let known = std::mem::take(&mut self.known);
        self.known = without_balances(match &changed {
            Some(companies) => sorted(joined(without(known, companies), changes)),
            None => changes,
        });
        changed
    }

    /// What is known is what there is.
    pub(crate) async fn knows_all(&self, store: &Store, what: &str) {
        assert_eq!(self.known, whole(store).await, "{what}");
    }
}

async fn whole(store: &Store) -> DirectoryRows {
    without_balances(store.load_directory().await.unwrap())
}

/// Calls and payments change balances without changing what calls are decided by.
fn without_balances(mut rows: DirectoryRows) -> DirectoryRows {
    for company in &mut rows.companies {
        company.credit = Micros::ZERO;
    }
    for profile in &mut rows.profiles {
        (profile.credit, profile.reserved, profile.on_hand) = (Micros::ZERO, Micros::ZERO, Micros::ZERO);
        (profile.bundle_left_s, profile.channels_in_use) = (0, 0);
        profile.spending = Spending::default();
    }
    rows
}

fn without(mut rows: DirectoryRows, companies: &BTreeSet<CompanyId>) -> DirectoryRows {
    let owners: BTreeMap<ProfileId, CompanyId> = rows.profiles.iter().map(|it| (it.id, it.company)).collect();
    let accounts: BTreeMap<_, _> = rows.business_accounts.iter().map(|it| (it.id, it.company)).collect();
    let stays = |company: &CompanyId| !companies.contains(company);
    let owner_stays = |profile: &ProfileId| stays(&owners[profile]);
    rows.companies.retain(|it| stays(&it.id));
    rows.profiles.retain(|it| stays(&it.company));
    rows.credentials.retain(|it| owner_stays(&it.profile));
    rows.ip_rules.retain(|it| owner_stays(&it.profile));
    rows.numbers.retain(|it| stays(&it.company));
    rows.business_accounts.retain(|it| stays(&it.company));
    rows.phones.retain(|it| stays(&accounts[&it.account]));
    rows.landlines.retain(|it| stays(&it.company));
    rows.caller_ids.retain(|it| owner_stays(&it.profile));
    rows
}

fn joined(mut rows: DirectoryRows, changes: DirectoryRows) -> DirectoryRows {
    rows.companies.extend(changes.companies);
    rows.profiles.extend(changes.profiles);
    rows.credentials.extend(changes.credentials);
    rows.ip_rules.extend(changes.ip_rules);
    rows.numbers.extend(changes.numbers);
    rows.business_accounts.extend(changes.business_accounts);
    rows.phones.extend(changes.phones);
    rows.landlines.extend(changes.landlines);
    rows.caller_ids.extend(changes.caller_ids);
    let (revision, revision_of_rates) = (changes.revision, changes.revision_of_rates);
    DirectoryRows { revision, revision_of_rates, carriers: changes.carriers, ..rows }
}

/// In the order in which the whole is read.
fn sorted(mut rows: DirectoryRows) -> DirectoryRows {
    rows.companies.sort_by_key(|it| it.id);
    rows.profiles.sort_by_key(|it| it.id);
    rows.credentials.sort_by_key(|it| it.profile);
    rows.ip_rules.sort_by_key(|it| it.id);
    rows.numbers.sort_by(|one, other| one.number.cmp(&other.number));
    rows.business_accounts.sort_by(|one, other| one.name.cmp(&other.name));
    rows.phones.sort_by_key(|it| it.account);
    rows.landlines.sort_by(|one, other| (one.company, &one.number).cmp(&(other.company, &other.number)));
    rows.caller_ids.sort_by(|one, other| (one.profile, &one.country).cmp(&(other.profile, &other.country)));
    rows
}
