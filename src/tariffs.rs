//! What calls are rated and recorded by: rates, and what provisioning says of who pays.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use provisioning_store::directory::DirectoryRows;
use provisioning_store::ledger::Subscriber;
use provisioning_store::model::{Premium, Profile, ProfileId, Timestamp};
use provisioning_store::rating::{PremiumRanges, Quote, RateBook, Tariff, UsBundle};
use provisioning_store::store::STANDARD_PRICE_LIST;

/// What calls are rated and recorded by; the core knows nothing of it.
#[derive(Clone, Debug)]
pub struct Tariffs {
    /// Prices by list, date and prefix.
    pub rates: Arc<RateBook>,
    /// The price lists of profiles whose company has another one than the standard.
    pub price_lists: HashMap<ProfileId, String>,
    /// What bundle minutes pay.
    pub us_bundle: UsBundle,
    /// What a call to an Online Number hosted here is charged by; nothing where it is free.
    pub on_net: Option<Tariff>,
    /// Which numbers are premium, and whether profiles without a rule of their own may call them.
    pub premium: PremiumRule,
    /// Subscriptions, by which calls are granted while the store does not answer.
    pub subscribers: BTreeMap<ProfileId, Subscriber>,
}

impl Tariffs {
    /// Without rates, and nobody to pay them.
    pub fn new(us_bundle: UsBundle, on_net: Option<Tariff>) -> Self {
        Self {
            rates: Arc::default(),
            price_lists: HashMap::new(),
            us_bundle,
            on_net,
            premium: PremiumRule::default(),
            subscribers: BTreeMap::new(),
        }
    }

    /// With these rates.
    pub fn with_rates(self, rates: RateBook) -> Self {
        Self { rates: Arc::new(rates), ..self }
    }

    /// With what was read of provisioning, in the place of what was known of it.
    pub fn with(mut self, rows: &DirectoryRows) -> Self {
        if let Some(changed) = &rows.changed {
            let stays = |subscriber: &Subscriber| !changed.contains(&subscriber.company);
            self.price_lists.retain(|profile, _| self.subscribers.get(profile).is_some_and(stays));
            self.subscribers.retain(|_, subscriber| stays(subscriber));
        } else {
            self.price_lists.clear();
            self.subscribers.clear();
        }
        self.price_lists.extend(price_lists(rows));
        self.subscribers.extend(rows.profiles.iter().map(subscriber));
        self
    }

    /// With this rule for premium numbers.
    pub fn with_premium(self, premium: PremiumRule) -> Self {
        Self { premium, ..self }
    }

    /// Whether a number is premium and the profile may not call such.
    pub fn denies(&self, profile: Option<ProfileId>, number: &str) -> bool {
        let subscriber = profile.and_then(|profile| self.subscribers.get(&profile));
        let own = subscriber.map(|subscriber| subscriber.guard).unwrap_or_default();
        let rule = own.premium_rule(self.premium.by_default);
        rule == Premium::Deny && self.premium.ranges.cover(number)
    }

    /// What a profile's call to a number is charged by that begins at a moment.
    pub fn quote(&self, profile: Option<ProfileId>, number: &str, at: Timestamp) -> Option<Quote> {
        let list = profile.and_then(|profile| self.price_lists.get(&profile));
        let list = list.map_or(STANDARD_PRICE_LIST, String::as_str);
        self.rates.quote(list, at, number, &self.us_bundle)
    }
}

/// Which numbers are premium, and whether they may be called where nobody says otherwise.
#[derive(Clone, Debug)]
pub struct PremiumRule {
    /// The numbers.
    pub ranges: Arc<PremiumRanges>,
    /// Of profiles that have no rule of their own.
    pub by_default: Premium,
}

impl Default for PremiumRule {
    /// No number is premium.
    fn default() -> Self {
        Self { ranges: Arc::default(), by_default: Premium::Allow }
    }
}

/// The price lists of profiles whose company has another one than the standard.
fn price_lists(rows: &DirectoryRows) -> impl Iterator<Item = (ProfileId, String)> {
    let lists: HashMap<_, _> = rows
        .companies
        .iter()
        .filter(|company| company.price_list != STANDARD_PRICE_LIST)
        .map(|company| (company.id, &company.price_list))
        .collect();
    rows.profiles
        .iter()
        .filter_map(move |profile| Some((profile.id, (*lists.get(&profile.company)?).clone())))
}

fn subscriber(profile: &Profile) -> (ProfileId, Subscriber) {
    let &Profile { company, subscription, recharge, guard, .. } = profile;
    (profile.id, Subscriber { company, subscription, recharge, guard, closed_at: None })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use provisioning_store::model::{Company, CompanyId, NewCompany, ProfileSettings};
    use provisioning_store::secrets::SecretKey;
    use provisioning_store::store::{NewProfile, Store, StoreOptions};

    use super::*;

    async fn store(folder: &tempfile::TempDir) -> (Store, Company, Company) {
        let file = folder.path().join("sipgw.db");
        let store = Store::open(StoreOptions::new(file, SecretKey::new([7; 32]))).await.unwrap();
        let new = NewCompany { name: "A".into(), country: "US".into(), currency: "USD".into() };
        let one = store.create_company(Timestamp(0), &new).await.unwrap();
        let other = NewCompany { name: "B".into(), ..new };
        let two = store.create_company(Timestamp(0), &other).await.unwrap();
        let table = "prefix,destination,rate_per_minute\n1,USA,0.008\n";
        store.import_rates(Timestamp(0), "gold", None, table).await.unwrap();
        (store, one, two)
    }

    async fn profile(store: &Store, company: CompanyId) -> ProfileId {
        let (name, settings) = ("Sales".into(), ProfileSettings::default());
        store
            .create_profile(Timestamp(0), NewProfile { company, name, settings, order: None })
            .await
            .unwrap()
            .0
            .id
    }

    /// What is known of who pays: profile, company, price list.
    fn known(tariffs: &Tariffs) -> BTreeSet<(ProfileId, CompanyId, Option<String>)> {
        assert!(tariffs.price_lists.keys().all(|profile| tariffs.subscribers.contains_key(profile)));
        let list = |profile| tariffs.price_lists.get(profile).cloned();
        tariffs.subscribers.iter().map(|(profile, it)| (*profile, it.company, list(profile))).collect()
    }

    #[tokio::test]
    async fn what_has_changed_is_put_in_the_place_of_what_was_known() {
        let folder = tempfile::tempdir().unwrap();
        let (store, one, two) = store(&folder).await;
        let (first, second) = (profile(&store, one.id).await, profile(&store, two.id).await);
        store.set_price_list(one.id, "gold").await.unwrap();
        store.set_price_list(two.id, "gold").await.unwrap();
        let mut tariffs =
            Tariffs::new(UsBundle::standard(), None).with(&store.load_directory().await.unwrap());
        let mut revision = store.revision().await.unwrap();
        let third = profile(&store, one.id).await;
        store.delete_profile(Timestamp(0), first).await.unwrap();
        for company in [one.id, two.id] {
            let changes = store.load_changes(revision).await.unwrap();
            revision = changes.revision;
            tariffs = tariffs.with(&changes);
            let whole = Tariffs::new(UsBundle::standard(), None).with(&store.load_directory().await.unwrap());
            assert_eq!(known(&tariffs), known(&whole));
            store.delete_profile(Timestamp(0), if company == one.id { second } else { third }).await.unwrap();
        }
        assert_eq!(known(&tariffs), BTreeSet::from([(third, one.id, Some("gold".to_owned()))]));
    }
}
