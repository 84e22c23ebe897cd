//! Short ways to say what the tests say often.

use provisioning_store::cdr::{Attempt, CallId, CallKind, CallRecord, Direction, Ending, Settlement};
use provisioning_store::ledger::{LedgerOp, Outcome, Refusal};
use provisioning_store::lifecycle::{Order, PriceList};
use provisioning_store::memory::LedgerState;
use provisioning_store::model::{CompanyId, NewCompany, ProfileId, ProfileSettings, Timestamp};
use provisioning_store::money::Micros;
use provisioning_store::rating::{BundleCover, Tariff};
use provisioning_store::secrets::SecretKey;
use provisioning_store::store::{Location, NewProfile, PostgresUrl, Store, StoreOptions};

use crate::server::Fresh;

pub(crate) const COMPANY: CompanyId = CompanyId(1);
pub(crate) const PROFILE: ProfileId = ProfileId(1);

/// A millionth of the currency a second, so that money can be read as seconds.
pub(crate) const MICRO_A_SECOND: Tariff = Tariff::standard(Micros(60), BundleCover::NotCovered);
/// The same, to a number that US bundles cover.
pub(crate) const COVERED: Tariff = Tariff::standard(Micros(60), BundleCover::Covered);

/// The start of the guide's story: 14 June 2011.
pub(crate) fn start() -> Timestamp {
    Timestamp::month_start(2011, 6).plus_days(13)
}

pub(crate) fn call(name: &str) -> CallId {
    CallId::new(name)
}

pub(crate) fn attempt(tariff: Option<Tariff>) -> Attempt {
    Attempt {
        direction: Direction::Outgoing,
        kind: CallKind::Telephone,
        from: "+12026843376".into(),
        is_withheld: false,
        to: "+3728800814".into(),
        destination: "Estonia".into(),
        country: "EE".into(),
        tariff,
        started_at: start(),
    }
}

/// A call to another country, at its price.
pub(crate) fn reserve_to(name: &str, country: &str, tariff: Tariff) -> LedgerOp {
    let attempt = Box::new(Attempt { country: country.into(), ..attempt(Some(tariff)) });
    LedgerOp::Reserve { call: call(name), profile: PROFILE, attempt }
}

/// The record of a call that lasted `talk_s` from its answer, or was never answered.
pub(crate) fn record(tariff: Option<Tariff>, talk_s: Option<u64>) -> CallRecord {
    let ending = Ending {
        answered_at: talk_s.map(|_| start().plus_s(3)),
        ended_at: start().plus_s(3 + talk_s.unwrap_or(0) as i64),
        talk_ms: talk_s.unwrap_or(0) * 1_000,
        reason_code: if talk_s.is_some() { "completed".into() } else { "no_answer".into() },
        reason: "The call ended.".into(),
        sip_status: Some(if talk_s.is_some() { 200 } else { 408 }),
        caller_call_id: "caller@pbx".into(),
        ..Ending::default()
    };
    CallRecord { profile: Some(PROFILE), phone_of: None, attempt: attempt(tariff), ending }
}

pub(crate) fn reserve(name: &str, tariff: Option<Tariff>) -> LedgerOp {
    LedgerOp::Reserve { call: call(name), profile: PROFILE, attempt: Box::new(attempt(tariff)) }
}

pub(crate) fn extend(name: &str, elapsed_s: u32) -> LedgerOp {
    LedgerOp::Extend { call: call(name), elapsed_s }
}

pub(crate) fn settle(name: &str, tariff: Option<Tariff>, talk_s: u64) -> LedgerOp {
    LedgerOp::Settle { call: call(name), record: Box::new(record(tariff, Some(talk_s))) }
}

/// A ledger with one company of `company` and one profile of `profile` millionths, some channels and bundles.
pub(crate) fn ledger(
    channels: u32,
    bundles: u32,
    bundle_minutes: u32,
    profile: i64,
    company: i64,
) -> LedgerState {
    let mut ledger = LedgerState::default();
    let prices = PriceList { bundle_minutes, ..PriceList::default() };
    let order = Order { channels, bundles };
    let subscription = provisioning_store::lifecycle::buy(&prices, order, None, start()).unwrap();
    let amount = Micros(subscription.price().unwrap().0 + profile + company);
    let mut opening = vec![
        LedgerOp::OpenCompany { company: COMPANY },
        LedgerOp::TopUp { company: COMPANY, amount, note: "cheque".into() },
        LedgerOp::OpenProfile { profile: PROFILE, company: COMPANY },
        LedgerOp::Subscribe { profile: PROFILE, order, prices: Box::new(prices) },
    ];
    if profile > 0 {
        opening.push(LedgerOp::Allocate { profile: PROFILE, amount: Micros(profile) });
    }
    for op in opening {
        ledger.apply(start(), op).unwrap();
    }
    ledger
}

/// The paid seconds of a grant, `None` for a free call; panics on any other outcome.
pub(crate) fn paid_s(outcome: Result<Outcome, Refusal>) -> Option<u32> {
    match outcome {
        Ok(Outcome::Granted(grant)) => grant.paid_s,
        other => panic!("not a grant: {other:?}"),
    }
}

/// The settlement; panics on any other outcome.
pub(crate) fn settled(outcome: Result<Outcome, Refusal>) -> Settlement {
    match outcome {
        Ok(Outcome::Settled(settlement)) => settlement,
        other => panic!("not a settlement: {other:?}"),
    }
}

/// Where a database on the server is.
pub(crate) fn on_server(database: &Fresh) -> Location {
    Location::Postgres(PostgresUrl::new(database.url()).unwrap())
}

/// The suite is built twice, under two names: once for each database.
const IS_ON_POSTGRES: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"postgres");

/// A database that goes away with the test, and a folder.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    database: Option<Fresh>,
}

impl Home {
    /// On the database that the suite is built for.
    pub(crate) fn new() -> Self {
        Self { database: IS_ON_POSTGRES.then(Fresh::new), ..Self::on_file() }
    }

    /// On a file.
    pub(crate) fn on_file() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: None }
    }

    pub(crate) fn options(&self) -> StoreOptions {
        let options = StoreOptions::new(self.file("sipgw.db"), SecretKey::new([7; 32]));
        match &self.database {
            Some(database) => StoreOptions { location: on_server(database), ..options },
            None => options,
        }
    }

    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(self.options()).await.unwrap()
    }

    /// The address of the database on the server.
    pub(crate) fn server_url(&self) -> String {
        self.database.as_ref().expect("the suite runs on PostgreSQL").url()
    }

    /// All octets that the database has.
    pub(crate) fn everything(&self) -> Vec<u8> {
        match &self.database {
            Some(database) => database.dump(),
            None => std::fs::read(self.file("sipgw.db")).unwrap(),
        }
    }
}

/// The operations that [`ledger`] begins with.
pub(crate) fn opening(channels: u32, profile: i64) -> Vec<LedgerOp> {
    let order = Order { channels, bundles: 0 };
    let prices = Box::new(PriceList::default());
    let amount = Micros(prices.channel.0 * i64::from(channels) + profile);
    vec![
        LedgerOp::OpenCompany { company: COMPANY },
        LedgerOp::TopUp { company: COMPANY, amount, note: "cheque".into() },
        LedgerOp::OpenProfile { profile: PROFILE, company: COMPANY },
        LedgerOp::Subscribe { profile: PROFILE, order, prices },
        LedgerOp::Allocate { profile: PROFILE, amount: Micros(profile) },
    ]
}

/// Puts [`opening`] into a database.
pub(crate) async fn open_books(store: &Store, channels: u32, profile: i64) {
    for op in opening(channels, profile) {
        store.apply_one(start(), op).await.unwrap();
    }
}

/// A company of the US.
pub(crate) async fn company(store: &Store, name: &str) -> CompanyId {
    let new = NewCompany { name: name.into(), country: "US".into(), currency: "USD".into() };
    store.create_company(start(), &new).await.unwrap().id
}

/// A profile without channels.
pub(crate) async fn profile(store: &Store, company: CompanyId, name: &str) -> ProfileId {
    let new = NewProfile { company, name: name.into(), settings: ProfileSettings::default(), order: None };
    store.create_profile(start(), new).await.unwrap().0.id
}
