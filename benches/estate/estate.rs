//! Makes a large installation in a file of SQLite: `cargo run --release --example estate -- FILE KEY_FILE`.
//!
//! Companies, profiles and numbers are made as the command line makes them. Each profile's first call goes through the
//! ledger; the others are copies of its record and its transfers, made by SQL, at other times of the same month. The
//! books are verified at the end: every balance is the sum of its transfers.

use std::time::Instant;

use provisioning_store::cdr::{Attempt, CallId, CallKind, CallRecord, Direction, Ending};
use provisioning_store::ledger::{LedgerEntry, LedgerOp};
use provisioning_store::lifecycle::{Order, PriceList};
use provisioning_store::model::{
    CompanyId, NewCarrier, NewCompany, NumberTarget, ProfileId, ProfileSettings, Timestamp,
};
use provisioning_store::money::Micros;
use provisioning_store::rating::{BundleCover, Tariff};
use provisioning_store::secrets::SecretKey;
use provisioning_store::store::{Durability, NewProfile, Store, StoreOptions};
use sqlx::{ConnectOptions, Connection};

const COMPANIES: i64 = 10_000;
const PROFILES_EACH: i64 = 10;
const NUMBERS_EACH: i64 = 2;
const CALLS_EACH: i64 = 100;
/// From one call of a profile to the one before it.
const BETWEEN_S: i64 = 600;
/// So many profiles' calls are copied in one transaction.
const PART: i64 = 5_000;

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(key_file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: estate FILE KEY_FILE, neither of which is there yet".into());
    };
    let begun = Instant::now();
    std::fs::write(&key_file, format!("{}\n", "17".repeat(32)))?;
    let options = StoreOptions {
        durability: Durability::Crash,
        ..StoreOptions::new(&file, SecretKey::new([0x17; 32]))
    };
    let store = Store::open(options).await?;
    let now = now()?;
    let trunk = NewCarrier { port: Some(5070), ..NewCarrier::new("Up", "127.0.0.2") };
    store.create_carrier(trunk).await?;
    for company in 0..COMPANIES {
        furnish(&store, now, company).await?;
        if company % 1_000 == 999 {
            eprintln!("{} companies after {:.0?}", company + 1, begun.elapsed());
        }
    }
    store.close().await;
    copy_calls(&file, begun).await?;
    let store = Store::open(StoreOptions::new(&file, SecretKey::new([0x17; 32]))).await?;
    let problems = store.verify().await?;
    if !problems.is_empty() {
        return Err(format!("the books do not balance: {problems:?}").into());
    }
    store.close().await;
    eprintln!("the books balance, {:.0?}", begun.elapsed());
    Ok(())
}

fn now() -> Result<Timestamp, Failed> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Timestamp::from_unix_s(i64::try_from(since.as_secs())?))
}

/// A company with its profiles, their numbers, and a call of each profile.
async fn furnish(store: &Store, now: Timestamp, index: i64) -> Result<(), Failed> {
    let new = NewCompany { name: format!("Company {index}"), country: "US".into(), currency: "USD".into() };
    let company = store.create_company(now, &new).await?.id;
    store.top_up(now, company, Micros::from_units(10_000), "").await?;
    let mut entries = Vec::new();
    for nth in 0..PROFILES_EACH {
        let profile = open_profile(store, now, company, index * PROFILES_EACH + nth).await?;
        let amount = Micros::from_units(10);
        entries.push(LedgerEntry { at: now, op: LedgerOp::Allocate { profile, amount } });
        entries.extend(call(profile, now.plus_s(-600)).map(|op| LedgerEntry { at: now, op }));
    }
    for outcome in store.apply(&entries).await? {
        outcome?;
    }
    Ok(())
}

async fn open_profile(
    store: &Store,
    now: Timestamp,
    company: CompanyId,
    index: i64,
) -> Result<ProfileId, Failed> {
    let order = Some((Order { channels: 4, bundles: 0 }, PriceList::default()));
    let new =
        NewProfile { company, name: format!("Profile {index}"), settings: ProfileSettings::default(), order };
    let profile = store.create_profile(now, new).await?.0.id;
    for nth in 0..NUMBERS_EACH {
        let number = format!("+1202{:07}", 2_000_000 + index * NUMBERS_EACH + nth);
        let number = store.add_number(company, &number, "US").await?;
        store.assign_number(number.id, NumberTarget::Profile(profile)).await?;
    }
    Ok(profile)
}

/// A call of 70 seconds to Estonia.
fn call(profile: ProfileId, start: Timestamp) -> [LedgerOp; 3] {
    let attempt = Attempt {
        direction: Direction::Outgoing,
        kind: CallKind::Telephone,
        from: "+12026843376".into(),
        is_withheld: false,
        to: "+3728800814".into(),
        destination: "Estonia".into(),
        country: "EE".into(),
        tariff: Some(Tariff::standard(Micros(40_000), BundleCover::NotCovered)),
        started_at: start,
    };
    let ending = Ending {
        answered_at: Some(start),
        ended_at: start.plus_s(70),
        talk_ms: 70_000,
        is_unconfirmed: false,
        reason_code: "hung_up".into(),
        reason: "The caller hung up.".into(),
        sip_status: Some(200),
        caller_call_id: format!("5f3c9d0a1b2c3d4e{:06}@192.0.2.1", profile.0),
        callee_call_id: format!("a1b2c3d4e5f60718{:06}@sipgw", profile.0),
        carrier: "Up".into(),
        attempts: Vec::new(),
        cause: Some(16),
        user_agent: "Asterisk PBX 20.9.2".into(),
        media: "caller: rtp, 3500 packets, 602000 octets, 0 lost, 14 rtcp; callee: rtp, 3500 packets, 602000 octets, \
                0 lost, 14 rtcp"
            .into(),
    };
    let name = CallId::new(format!("{:032x}-caller", profile.0));
    let record =
        Box::new(CallRecord { profile: Some(profile), phone_of: None, attempt: attempt.clone(), ending });
    [
        LedgerOp::Reserve { call: name.clone(), profile, attempt: Box::new(attempt) },
        LedgerOp::Answer { call: name.clone(), at: start, known: None },
        LedgerOp::Settle { call: name, record },
    ]
}

/// Copies each profile's call with its transfers, and brings the balances to the sums of the transfers.
async fn copy_calls(file: &str, begun: Instant) -> Result<(), Failed> {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .pragma("synchronous", "off")
        .pragma("cache_size", "-500000");
    let mut connection = options.connect().await?;
    let profiles = COMPANIES * PROFILES_EACH;
    for first in (1..=profiles).step_by(usize::try_from(PART)?) {
        let mut transaction = connection.begin().await?;
        for statement in [COPY_TRANSFERS, COPY_RECORDS] {
            sqlx::query(statement)
                .bind(first)
                .bind(first + PART - 1)
                .bind(CALLS_EACH - 1)
                .bind(BETWEEN_S * 1_000_000)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        eprintln!("the calls of {} profiles after {:.0?}", first + PART - 1, begun.elapsed());
    }
    sqlx::raw_sql(BALANCE).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

const COPY_TRANSFERS: &str = "
WITH RECURSIVE times(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM times WHERE n < ?3)
INSERT INTO transfers (at, kind, from_account, to_account, amount, call_id, note)
SELECT t.at - n * ?4, t.kind, t.from_account, t.to_account, t.amount, t.call_id || '-' || n, t.note
FROM cdrs c JOIN transfers t ON t.call_id = c.call_id CROSS JOIN times
WHERE c.profile_id BETWEEN ?1 AND ?2";

const COPY_RECORDS: &str = "
WITH RECURSIVE times(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM times WHERE n < ?3)
INSERT INTO cdrs (call_id, profile_id, direction, kind, from_number, to_number, destination, country,
    rate_per_minute_micros, connection_fee_micros, minimum_s, increment_s, is_bundle_covered, started_at, answered_at,
    ended_at, talk_ms, reason_code, reason, sip_status, caller_call_id, callee_call_id, carrier, user_agent, media,
    duration_s, billed_s, bundle_s, amount_micros)
SELECT call_id || '-' || n, profile_id, direction, kind, from_number, to_number, destination, country,
    rate_per_minute_micros, connection_fee_micros, minimum_s, increment_s, is_bundle_covered, started_at - n * ?4,
    answered_at - n * ?4, ended_at - n * ?4, talk_ms, reason_code, reason, sip_status, caller_call_id || '-' || n,
    callee_call_id || '-' || n, carrier, user_agent, media, duration_s, billed_s, bundle_s, amount_micros
FROM cdrs CROSS JOIN times WHERE profile_id BETWEEN ?1 AND ?2 ORDER BY profile_id, n";

const BALANCE: &str = "
CREATE TEMP TABLE sums AS
SELECT name, sum(amount) AS balance FROM (
    SELECT to_account AS name, amount FROM transfers UNION ALL SELECT from_account, -amount FROM transfers
) GROUP BY name;
CREATE UNIQUE INDEX temp.sums_by_name ON sums (name);
UPDATE accounts SET balance = (SELECT balance FROM sums WHERE sums.name = accounts.name)
WHERE name IN (SELECT name FROM sums);
PRAGMA optimize;";
