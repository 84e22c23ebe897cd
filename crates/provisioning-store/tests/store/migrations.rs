//! A database of every version with data in it is brought up to date, and nothing of it is lost.

use std::borrow::Cow;

use provisioning_store::cdr::CdrFilter;
use provisioning_store::error::StoreError;
use provisioning_store::ledger::TransferKind;
use provisioning_store::lifecycle::{PriceList, Renewal, Terms};
use provisioning_store::model::*;
use provisioning_store::money::Micros;
use provisioning_store::pages::Slice;
use provisioning_store::reports::Month;
use provisioning_store::store::{Claim, Location, STANDARD_PRICE_LIST, Store, StoreOptions, Unlimited};
use provisioning_store::tokens::Role;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::follower::Follower;
use crate::world::*;

/// What was written by the program of each version: its number, and the rows.
const WRITTEN: [(i64, &str); 6] = [
    (1, include_str!("migrations/0001.sql")),
    (2, include_str!("migrations/0002.sql")),
    (3, include_str!("migrations/0003.sql")),
    (5, include_str!("migrations/0005.sql")),
    (6, include_str!("migrations/0006.sql")),
    (7, include_str!("migrations/0007.sql")),
];
const PROFILE: ProfileId = ProfileId(1);
const COMPANY: CompanyId = CompanyId(1);

/// The migrations up to a version.
fn up_to(mut all: Migrator, version: i64) -> Migrator {
    all.migrations = Cow::Owned(all.migrations.iter().filter(|it| it.version <= version).cloned().collect());
    all
}

/// Lives through all versions up to one, writing what each of them wrote.
async fn live_until(home: &Home, latest: i64) {
    let written = |version: i64| WRITTEN.iter().find(|(at, _)| *at == version).map_or("", |(_, rows)| rows);
    match home.options().location {
        Location::File(path) => {
            let url = format!("sqlite://{}?mode=rwc", path.display());
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            for version in 1..=latest {
                up_to(sqlx::migrate!("migrations/sqlite"), version).run(&mut connection).await.unwrap();
                sqlx::raw_sql(written(version)).execute(&mut connection).await.unwrap();
            }
            connection.close().await.unwrap();
        }
        Location::Postgres(_) => {
            let mut connection = PgConnection::connect(&home.server_url()).await.unwrap();
            for version in 1..=latest {
                up_to(sqlx::migrate!("migrations/postgres"), version).run(&mut connection).await.unwrap();
                sqlx::raw_sql(written(version)).execute(&mut connection).await.unwrap();
            }
            connection.close().await.unwrap();
        }
    }
}

/// What all versions have in common.
async fn is_sound(store: &Store) {
    assert_eq!(store.verify().await.unwrap(), []);
    let company = store.company(COMPANY).await.unwrap();
    assert_eq!((company.name.as_str(), company.is_verified), ("Architects", true));
    let profile = store.profile(PROFILE).await.unwrap();
    let subscription = profile.subscription.unwrap();
    assert_eq!((subscription.channels, subscription.bundles), (4, 1));
    assert_eq!(subscription.renewal, Renewal::Automatic);
    assert_eq!((subscription.bought_at, subscription.paid_until), (start(), start().plus_days(30)));
    assert_eq!(profile.credit, Micros(9_960_000));
    assert_eq!(profile.settings.presentation, NumberPresentation::E164, "it was called plus_e164");
    assert_eq!(store.latest_cdrs(&CdrFilter::default(), 10).await.unwrap().len(), 2);
    let june = Month::of(start());
    let usage = store.usage(PROFILE, june).await.unwrap().total;
    assert_eq!((usage.calls, usage.amount, usage.bundle_s), (2, Micros(40_000), 60));
    let kinds: Vec<_> =
        store.allocations(PROFILE, june).await.unwrap().into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, [TransferKind::Subscription, TransferKind::Allocation], "moved for this profile");
    let statement = store.statement(COMPANY, june, &PriceList::default()).await.unwrap();
    assert_eq!(statement.closing, company.credit);
    let rates = store.rates(STANDARD_PRICE_LIST, start()).await.unwrap();
    assert_eq!(rates.len(), 1, "it has held from the beginning");
    let [landline] = <[Landline; 1]>::try_from(store.landlines().await.unwrap()).unwrap();
    assert!(landline.verification.is_some(), "a verified company showed it");
    let addresses = store.ip_rules().await.unwrap();
    assert!(
        addresses.iter().all(|rule| rule.state == ClaimState::Confirmed),
        "what was allowed keeps its effect"
    );
    let number = store.number(NumberId(1)).await.unwrap();
    assert_eq!(number.target, NumberTarget::Profile(PROFILE));
    assert_eq!(store.business_accounts().await.unwrap()[0].profile, Some(PROFILE));
    assert_eq!(store.caller_ids().await.unwrap().len(), 1);
    let tokens = store.tokens(None, Slice { after: None, most: 10 }).await.unwrap();
    assert!(
        tokens.iter().all(|token| token.role == Role::Administrator(COMPANY) && token.expires_at.is_none())
    );
}

/// The passwords of the past are sealed with a key that is lost; everything else goes on.
async fn goes_on(store: &Store) {
    store.new_password(PROFILE).await.unwrap();
    let mut follower = Follower::new(store).await;
    store.rename_profile(PROFILE, "Drawings").await.unwrap();
    follower.sees(store, "name", &[COMPANY]).await;
    assert_eq!(store.load_directory().await.unwrap().profiles.len(), 1);
    store.apply_one(start(), reserve("new", Some(MICRO_A_SECOND))).await.unwrap();
    store.apply_one(start(), settle("new", Some(MICRO_A_SECOND), 40)).await.unwrap();
    store.top_up(start(), COMPANY, Micros::from_units(100), "").await.unwrap();
    store.do_due(start().plus_days(30), &PriceList::default(), Terms::default()).await.unwrap();
    let renewed = store.profile(PROFILE).await.unwrap().subscription.unwrap();
    assert_eq!((renewed.period, renewed.paid_until), (2, start().plus_days(60)));
    assert_eq!(store.verify().await.unwrap(), []);
}

#[tokio::test]
async fn databases_of_every_version_are_brought_up_to_date_with_what_is_in_them() {
    let latest = sqlx::migrate!("migrations/sqlite").migrations.last().unwrap().version;
    for version in 1..=latest {
        println!("version {version}");
        let home = Home::new();
        live_until(&home, version).await;
        if version < latest {
            let refused = Store::open(home.options()).await.unwrap_err();
            assert!(matches!(refused, StoreError::OtherVersion { .. }), "{refused}");
        }
        let owner = StoreOptions { claim: Claim::Owner, ..home.options() };
        let store = Store::open(owner).await.unwrap();
        is_sound(&store).await;
        let unlimited =
            Unlimited { call_rate: 1, company_call_rate: 1, premium: 1, caps: u64::from(version < 3) };
        assert_eq!(store.unlimited().await.unwrap(), unlimited, "what was there keeps what it has");
        let on_hand = store.on_hand().await.unwrap();
        assert_eq!(on_hand.len(), usize::from(version >= 2));
        if version >= 3 {
            let guard = store.profile(PROFILE).await.unwrap().guard;
            assert_eq!(guard.day_cap, Override::Set(Micros::from_units(5)));
        }
        if version >= 5 {
            let number = store.number(NumberId(2)).await.unwrap();
            assert_eq!(number.lease.unwrap().offer.fee, Micros::from_units(6));
            assert_eq!(store.numbers_on_offer(None, None, 10).await.unwrap().len(), 1);
        }
        if version >= 6 {
            assert_eq!(store.tokens(None, Slice { after: None, most: 10 }).await.unwrap().len(), 1);
            assert_eq!(store.audit(&Default::default(), None, 10).await.unwrap().len(), 1);
        }
        if version >= 7 {
            assert_eq!(
                store.payments(None, Slice { after: None, most: 10 }).await.unwrap()[0].state,
                PaymentState::Pending
            );
            assert!(store.company_recharge(COMPANY).await.unwrap().is_some());
            assert_eq!(store.administrators(COMPANY).await.unwrap().len(), 1);
            let by = store.company(COMPANY).await.unwrap().verification.map(|it| it.by);
            assert_eq!(by, (version >= 7).then(|| "Ada".to_owned()));
        }
        goes_on(&store).await;
        store.close().await;
    }
}
