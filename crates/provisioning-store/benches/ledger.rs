//! Durable ledger operations per second on SQLite and on PostgreSQL, with commits shared among calls that run at the same time.
//!
//! Each call is four operations, each awaited until it is on disk: reserve, answer, extend, settle. Prints the
//! throughput and the 50th and 99th percentile of one operation's wait, then lets criterion measure a batch.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use provisioning_store::cdr::{Attempt, CallId, CallKind, CallRecord, Direction, Ending};
use provisioning_store::ledger::{LedgerEntry, LedgerOp};
use provisioning_store::lifecycle::{Order, PriceList};
use provisioning_store::memory::LedgerState;
use provisioning_store::model::{CompanyId, ProfileId, Timestamp};
use provisioning_store::money::Micros;
use provisioning_store::rating::{BundleCover, Tariff};
use provisioning_store::secrets::SecretKey;
use provisioning_store::store::{Location, PostgresUrl, Store, StoreOptions};
use provisioning_store::writer::{Writer, WriterLimits};
use tokio::runtime::Runtime;

use self::server::Fresh;

#[allow(clippy::unwrap_used, reason = "it is the tests' own")]
#[path = "../tests/store/server.rs"]
mod server;

const START: Timestamp = Timestamp::from_unix_s(1_308_009_600);

fn attempt() -> Attempt {
    Attempt {
        direction: Direction::Outgoing,
        kind: CallKind::Telephone,
        from: "+12026843376".into(),
        is_withheld: false,
        to: "+3728800814".into(),
        destination: "Estonia".into(),
        country: "EE".into(),
        tariff: Some(Tariff::standard(Micros(40_000), BundleCover::NotCovered)),
        started_at: START,
    }
}

fn record(profile: ProfileId) -> CallRecord {
    let ending = Ending {
        answered_at: Some(START),
        ended_at: START.plus_s(70),
        talk_ms: 70_000,
        is_unconfirmed: false,
        reason_code: "completed".into(),
        reason: "The caller hung up.".into(),
        sip_status: Some(200),
        caller_call_id: "5f3c9d0a1b2c3d4e@192.0.2.1".into(),
        callee_call_id: "a1b2c3d4e5f60718@sipgw".into(),
        carrier: "upstream".into(),
        attempts: Vec::new(),
        cause: Some(16),
        user_agent: "Asterisk PBX 20.9.2".into(),
        media: "PCMA, SRTP to RTP".into(),
    };
    CallRecord { profile: Some(profile), phone_of: None, attempt: attempt(), ending }
}

/// A call's way through the ledger.
fn call_ops(name: &str, profile: ProfileId) -> [LedgerOp; 4] {
    let call = CallId::new(name);
    [
        LedgerOp::Reserve { call: call.clone(), profile, attempt: Box::new(attempt()) },
        LedgerOp::Answer { call: call.clone(), at: START, known: None },
        LedgerOp::Extend { call: call.clone(), elapsed_s: 45 },
        LedgerOp::Settle { call, record: Box::new(record(profile)) },
    ]
}

fn opening(profiles: i64) -> impl Iterator<Item = LedgerOp> {
    let company = CompanyId(1);
    let company_ops = [
        LedgerOp::OpenCompany { company },
        LedgerOp::TopUp { company, amount: Micros::from_units(100_000_000), note: String::new() },
    ];
    let profile_ops = (1..=profiles).flat_map(move |id| {
        let profile = ProfileId(id);
        let order = Order { channels: 300, bundles: 0 };
        [
            LedgerOp::OpenProfile { profile, company },
            LedgerOp::Subscribe { profile, order, prices: Box::new(PriceList::default()) },
            LedgerOp::Allocate { profile, amount: Micros::from_units(10_000) },
            // As of every profile that calls.
            LedgerOp::Hold { profile, credit: Micros::from_units(1), bundle_s: 600 },
        ]
    });
    company_ops.into_iter().chain(profile_ops)
}

async fn open(location: Location, profiles: i64) -> Store {
    let options = StoreOptions { location, ..StoreOptions::new("", SecretKey::new([1; 32])) };
    let store = Store::open(options).await.expect("the database opens");
    let entries: Vec<_> = opening(profiles).map(|op| LedgerEntry { at: START, op }).collect();
    for outcome in store.apply(&entries).await.expect("the database writes") {
        outcome.expect("the company can pay");
    }
    store
}

/// Runs `lines` calls side by side, each one after the other for `time`; returns every operation's wait.
async fn load(writer: &Writer, lines: usize, profiles: i64, time: Duration) -> Vec<Duration> {
    let until = Instant::now() + time;
    let lines = (0..lines).map(|line| {
        let writer = writer.clone();
        tokio::spawn(async move {
            let (mut waits, profile) = (Vec::new(), ProfileId(line as i64 % profiles + 1));
            for count in 0.. {
                if Instant::now() >= until {
                    break;
                }
                for op in call_ops(&format!("{line:05}-{count:08}-4f1c"), profile) {
                    let asked = Instant::now();
                    writer.apply(START, op).await.expect("the database writes").expect("the profile can pay");
                    waits.push(asked.elapsed());
                }
            }
            waits
        })
    });
    let lines: Vec<_> = lines.collect();
    let mut waits = Vec::new();
    for line in lines {
        waits.extend(line.await.expect("the line runs to its end"));
    }
    waits
}

/// Calls at once, and the profiles that they contend for; a profile has 300 channels.
const LOADS: [(usize, i64); 8] =
    [(1, 1), (32, 10), (256, 1), (256, 10), (256, 100), (1_024, 10), (1_024, 100), (1_024, 1_000)];

fn durable_operations(_: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    for (lines, profiles) in LOADS {
        let folder = tempfile::tempdir().expect("a folder for the database");
        let file = Location::File(folder.path().join("sipgw.db"));
        runtime.block_on(durable("SQLite", file, lines, profiles));
        let schema = Fresh::new();
        let url = PostgresUrl::new(schema.url()).expect("an address of PostgreSQL");
        runtime.block_on(durable("PostgreSQL", Location::Postgres(url), lines, profiles));
    }
}

/// Prints what one load comes to, and verifies its books.
async fn durable(database: &str, location: Location, lines: usize, profiles: i64) {
    let store = open(location, profiles).await;
    let (writer, task) = Writer::start(store.clone(), WriterLimits::default());
    let begun = Instant::now();
    let mut waits = load(&writer, lines, profiles, Duration::from_secs(3)).await;
    let rate = waits.len() as f64 / begun.elapsed().as_secs_f64();
    waits.sort_unstable();
    let percentile = |percent: usize| waits[(waits.len() - 1) * percent / 100];
    println!(
        "{database:>10}, {lines:>5} calls at once on {profiles:>4} profiles: {rate:>8.0} durable ops/s, p50 {:?}, p99 {:?}",
        percentile(50),
        percentile(99),
    );
    drop(writer);
    task.await.expect("the writer ends with its queue");
    assert_eq!(store.verify().await.expect("the books can be read"), []);
    store.close().await;
}

fn batches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut group = criterion.benchmark_group("ledger");
    for calls in [1usize, 16, 64] {
        let folder = tempfile::tempdir().expect("a folder for the database");
        let store = runtime.block_on(open(Location::File(folder.path().join("sipgw.db")), 100));
        let mut next = 0usize;
        group.throughput(Throughput::Elements(calls as u64 * 4));
        group.bench_function(BenchmarkId::new("sqlite_batch", calls * 4), |bencher| {
            bencher.iter(|| {
                let entries = batch(calls, &mut next);
                black_box(runtime.block_on(store.apply(&entries)).expect("the database writes"))
            });
        });
    }
    let mut ledger = LedgerState::default();
    for op in opening(100) {
        ledger.apply(START, op).expect("the company can pay");
    }
    let mut next = 0;
    group.throughput(Throughput::Elements(256));
    group.bench_function("memory_256", |bencher| {
        bencher.iter(|| {
            for entry in batch(64, &mut next) {
                black_box(ledger.apply(entry.at, entry.op).expect("the profile can pay"));
            }
        });
    });
    group.finish();
}

/// The operations of that many whole calls, interleaved as calls are.
fn batch(calls: usize, next: &mut usize) -> Vec<LedgerEntry> {
    let mut ways: Vec<_> = (0..calls)
        .map(|call| {
            *next += 1;
            call_ops(&format!("batch-{:010}", *next), ProfileId(call as i64 % 100 + 1)).into_iter()
        })
        .collect();
    let rounds = (0..4).flat_map(|_| ways.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>());
    rounds.map(|op| LedgerEntry { at: START, op }).collect()
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = durable_operations, batches
}
criterion_main!(benches);
