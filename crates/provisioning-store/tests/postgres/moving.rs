//! Moving from SQLite to PostgreSQL.

use provisioning_store::answers::Once;
use provisioning_store::audit::Deed;
use provisioning_store::cdr::CallRecord;
use provisioning_store::error::StoreError;
use provisioning_store::ledger::LedgerOp;
use provisioning_store::lifecycle::{NumberOffer, PriceList};
use provisioning_store::model::*;
use provisioning_store::money::Micros;
use provisioning_store::moving::copy_to_postgres;
use provisioning_store::pages::Slice;
use provisioning_store::registrations::{Proof, Registration};
use provisioning_store::reports::Month;
use provisioning_store::secrets::SecretKey;
use provisioning_store::store::{NewProfile, PostgresUrl, Store, StoreOptions};
use provisioning_store::tokens::{NewToken, Role};

use crate::server::Fresh;
use crate::world::*;

fn url(database: &Fresh) -> PostgresUrl {
    PostgresUrl::new(database.url()).unwrap()
}

/// Something in every table: a company, a profile with credit, calls that are over and one that goes on, and what belongs
/// to them.
async fn furnish(store: &Store) {
    let new = NewCompany { name: "Ärchitects".into(), country: "US".into(), currency: "USD".into() };
    let company = store.create_company(start(), &new).await.unwrap().id;
    store.top_up(start(), company, Micros(90_000_000), "cheque").await.unwrap();
    let order = provisioning_store::lifecycle::Order { channels: 4, bundles: 1 };
    let order = Some((order, PriceList::default()));
    let new = NewProfile { company, name: "Sales".into(), settings: Default::default(), order };
    let (profile, _) = store.create_profile(start(), new).await.unwrap();
    assert_eq!(profile.id, PROFILE);
    store.allocate(start(), PROFILE, Micros(1_000_000)).await.unwrap();
    store.add_number(company, "+12026843376", "US").await.unwrap();
    store.add_landline(start(), company, "+12025550100", Some("Ada")).await.unwrap();
    for n in 0..5 {
        store.apply_one(start(), reserve(&n.to_string(), Some(MICRO_A_SECOND))).await.unwrap();
        if n > 0 {
            store.apply_one(start(), settle(&n.to_string(), Some(MICRO_A_SECOND), 40)).await.unwrap();
        }
    }
    furnish_provisioning(store, company).await;
    furnish_business(store, company).await;
}

async fn furnish_provisioning(store: &Store, company: CompanyId) {
    let rule = NewIpRule::new("192.0.2.0/24".parse().unwrap(), Transport::Udp);
    store.add_ip_rule(PROFILE, &rule).await.unwrap();
    let certificate = Some("pbx.example.com".to_owned());
    let certified = NewIpRule { certificate, ..NewIpRule::new("0.0.0.0/0".parse().unwrap(), Transport::Tls) };
    store.add_ip_rule(PROFILE, &certified).await.unwrap();
    store.verify_company(start(), company, "Ada").await.unwrap();
    store.set_caller_id(PROFILE, None, Some(&CallerId::Landline("+12025550100".into()))).await.unwrap();
    let account = store.create_business_account(company, "architects.sales", Some("200")).await.unwrap();
    let claude = Administrator {
        company,
        email: "claude@example.com".into(),
        name: "Claude Morel".into(),
        account: Some(account.id),
    };
    store.set_administrator(claude).await.unwrap();
    store.create_carrier(NewCarrier::new("upstream", "198.51.100.1")).await.unwrap();
    let rates = "prefix,destination,country,rate_per_minute\n372,Estonia,EE,0.04\n";
    store.import_rates(start(), "standard", None, rates).await.unwrap();
    let bound = Registration {
        path: vec!["<sip:edge.example;lr>".into(), "\"P, 2\" <sip:p2.example;lr>".into()],
        profile: PROFILE,
        contact: "<sip:1@192.0.2.7>".into(),
        source: "192.0.2.7:5060".into(),
        local: "192.0.2.1:5060".into(),
        transport: Transport::Udp,
        user_agent: "Ästerisk".into(),
        call_id: "a".into(),
        cseq: 7,
        media: Srtp::Required,
        registered_at: start(),
        expires_at: start().plus_s(3_600),
    };
    store.save_registrations(&[bound]).await.unwrap();
    let address = "192.0.2.7".parse().unwrap();
    store
        .save_proofs(&[Proof { profile: PROFILE, address, transport: Transport::Udp, at: start() }])
        .await
        .unwrap();
    let phones = CallRecord { profile: None, phone_of: Some(company), ..record(None, Some(9)) };
    let settle = LedgerOp::Settle { call: call("phones"), record: Box::new(phones) };
    store.apply_one(start(), settle).await.unwrap();
    let guard = GuardOverrides { day_cap: Override::Set(Micros::from_units(5)), ..Default::default() };
    store.set_spend_guard(start(), PROFILE, guard).await.unwrap();
    let hold = LedgerOp::Hold { profile: PROFILE, credit: Micros(500), bundle_s: 60 };
    store.apply_one(start(), hold).await.unwrap();
}

async fn furnish_business(store: &Store, company: CompanyId) {
    for number in ["+12026555376", "+12026555377"] {
        let offer = NumberOffer { number: number.into(), fee: Micros::from_units(2), term_days: 30 };
        store.stock_number(StockNumber { country: "US".into(), offer }).await.unwrap();
    }
    store.buy_number(start(), company, "+12026555376").await.unwrap();
    store.set_company_recharge(company, Some(Recharge::RECOMMENDED)).await.unwrap();
    store.request_payment(start(), company, Micros::from_units(50)).await.unwrap();
    let new = NewToken { name: "console".into(), role: Role::Administrator(company), expires_at: None };
    store.create_token(start(), new).await.unwrap();
    let once = Once { owner: "console".into(), key: "k".into(), fingerprint: "f".into() };
    let deed = Deed {
        at: start(),
        actor: "console".into(),
        origin: "192.0.2.1".into(),
        company: Some(company),
        action: "POST /api/v1/companies/1/top-ups".into(),
        detail: "{}".into(),
        once: Some(once.clone()),
    };
    store.on_behalf(deed).top_up(start(), company, Micros(1), "cäsh").await.unwrap();
    store.keep_answer(&once, 201, "{}").await.unwrap();
}

/// All that the directory does not hold, as text.
async fn the_rest(store: &Store) -> String {
    let all = Slice { after: None, most: 100 };
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        store.payments(None, Slice { after: None, most: 100 }).await.unwrap(),
        store.company_recharge(CompanyId(1)).await.unwrap(),
        store.administrators(CompanyId(1)).await.unwrap(),
        store.numbers_on_offer(None, None, 100).await.unwrap(),
        store.tokens(None, all).await.unwrap(),
        store.audit(&Default::default(), None, 100).await.unwrap(),
        store.load_registrations(start()).await.unwrap(),
        store.on_hand().await.unwrap(),
        store.rate_book(start()).await.unwrap(),
        store.statement(CompanyId(1), Month::of(start()), &PriceList::default()).await.unwrap(),
    )
}

#[tokio::test]
async fn all_that_there_was_is_there_afterwards() {
    let (home, database) = (Home::on_file(), Fresh::new());
    let before = home.open().await;
    furnish(&before).await;
    let moved = copy_to_postgres(&home.file("sipgw.db"), &url(&database)).await.unwrap();
    assert_eq!((moved.rows["companies"], moved.rows["cdrs"], moved.rows["reservations"]), (1, 5, 1));
    let empty: Vec<_> = moved.rows.iter().filter(|(_, rows)| **rows == 0).collect();
    assert_eq!(empty, [], "what is not there is not proved to have moved");
    assert!(moved.accounts >= 7, "{moved:?}");

    let after = Store::open(StoreOptions { location: on_server(&database), ..home.options() }).await.unwrap();
    assert_eq!(after.balances().await.unwrap(), before.balances().await.unwrap());
    assert_eq!(after.verify().await.unwrap(), []);
    let (was, is) = (before.load_directory().await.unwrap(), after.load_directory().await.unwrap());
    assert_eq!(format!("{is:?}"), format!("{was:?}"));
    assert_eq!(the_rest(&after).await, the_rest(&before).await);
    let password =
        |store: Store| async move { store.credentials(PROFILE).await.unwrap().password.reveal().to_owned() };
    assert_eq!(password(after.clone()).await, password(before.clone()).await);
    let cdrs = |store: Store| async move { store.latest_cdrs(&Default::default(), 100).await.unwrap() };
    assert_eq!(cdrs(after.clone()).await, cdrs(before).await);

    // Life goes on: new things get identities of their own, and the call that was going on ends.
    after.apply_one(start(), settle("0", Some(MICRO_A_SECOND), 40)).await.unwrap();
    let new = NewCompany { name: "Second".into(), country: "GB".into(), currency: "GBP".into() };
    assert_eq!(after.create_company(start(), &new).await.unwrap().id.0, 2);
    assert_eq!(after.verify().await.unwrap(), []);
}

#[tokio::test]
async fn a_database_in_use_is_not_written_over() {
    let (home, database) = (Home::on_file(), Fresh::new());
    furnish(&home.open().await).await;
    let options = StoreOptions { location: on_server(&database), ..home.options() };
    // Opened once, with another key, and nothing put into it: that is empty enough.
    let opened = Store::open(StoreOptions { key: SecretKey::new([9; 32]), ..options.clone() }).await.unwrap();
    opened.close().await;
    copy_to_postgres(&home.file("sipgw.db"), &url(&database)).await.unwrap();
    let refused = copy_to_postgres(&home.file("sipgw.db"), &url(&database)).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Invalid { problem, .. } if problem.contains("companies")),
        "{refused}"
    );
    let refused = copy_to_postgres(&home.file("other.db"), &url(&database)).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound { .. }), "{refused}");
}
