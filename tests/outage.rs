//! The store locked, slow, moved and unwritable under calls: they go on, new ones within what is on hand, and
//! afterwards the books know everything once.

// A test that cannot go on should stop where it stands; the lint knows `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use provisioning_store::cdr::{CallId, Cdr};
use provisioning_store::journal::Journal;
use provisioning_store::lifecycle::{Order, PriceList};
use provisioning_store::model::{NewCompany, ProfileSettings};
use provisioning_store::rating::{RateBook, RateTable, UsBundle};
use provisioning_store::secrets::SecretKey;
use provisioning_store::store::{NewProfile, STANDARD_PRICE_LIST, Store, StoreOptions};
use provisioning_store::writer::{Writer, WriterLimits};
use sip_core::refusal::Refusal;
use sip_core::types::{CallRecord, CallUid, Ending, Grant, Lease, Leg, ProfileId, Question, Reply, Usage};
use sipgw::admission::{Admission, Office, recover, wall};
use sipgw::config::OnHandConfig;
use sipgw::http::Readiness;
use sipgw::metrics::Metrics;
use sipgw::tariffs::Tariffs;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The writer waits for a lock for five seconds before it gives up.
const SOON: Duration = Duration::from_secs(30);

/// How long the ledger may take. Short enough to be waited out, long enough for a disk that others use too.
const PATIENCE: Duration = Duration::from_secs(2);

struct Gateway {
    folder: tempfile::TempDir,
    store: Store,
    profile: ProfileId,
    admission: Admission,
    clerk: JoinHandle<()>,
    replies: mpsc::Receiver<Reply>,
    metrics: Metrics,
}

async fn open(folder: &Path) -> Store {
    let options = StoreOptions::new(folder.join("data/sipgw.db"), SecretKey::new([7; 32]));
    Store::open(options).await.unwrap()
}

impl Gateway {
    /// A profile with ten channels and this credit, to a country at 0.60 a minute, with 1.00 kept on hand.
    async fn start(credit: &str) -> Self {
        Self::start_with_patience(credit, PATIENCE).await
    }

    async fn start_with_patience(credit: &str, patience: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let journal = Journal::open(&folder.path().join("data/sipgw.outage")).unwrap();
        Self::start_with(folder, journal, credit, patience).await
    }

    async fn start_with(
        folder: tempfile::TempDir,
        journal: Journal,
        credit: &str,
        patience: Duration,
    ) -> Self {
        let store = open(folder.path()).await;
        let now = wall(Instant::now());
        let new = NewCompany { name: "A".into(), country: "US".into(), currency: "USD".into() };
        let company = store.create_company(now, &new).await.unwrap();
        store.top_up(now, company.id, "1000".parse().unwrap(), "").await.unwrap();
        let order = Some((Order { channels: 10, bundles: 0 }, PriceList::default()));
        let settings = ProfileSettings::default();
        let new = NewProfile { company: company.id, name: "P".into(), settings, order };
        let (profile, _) = store.create_profile(now, new).await.unwrap();
        store.allocate(now, profile.id, credit.parse().unwrap()).await.unwrap();
        let rates =
            RateTable::from_csv("prefix,destination,country,rate_per_minute\n372,Estonia,EE,0.60\n").unwrap();
        let tariffs = Tariffs::new(UsBundle::standard(), None)
            .with_rates(RateBook::of(STANDARD_PRICE_LIST, rates))
            .with(&store.load_directory().await.unwrap());
        let (writer, _) = Writer::start(store.clone(), WriterLimits::default());
        let (sender, replies) = mpsc::channel(64);
        let metrics = Metrics::new();
        let office = Office {
            store: store.clone(),
            writer,
            patience,
            on_hand: OnHandConfig::default(),
            tariffs: Arc::new(ArcSwap::from_pointee(tariffs)),
            replies: sender,
            metrics: metrics.clone(),
            readiness: Readiness::default(),
        };
        let (admission, clerk) = Admission::start(office, journal);
        Self { folder, store, profile: ProfileId(profile.id.0), admission, clerk, replies, metrics }
    }

    /// Takes the write lock away, as a backup or a stuck command would.
    async fn lock(&self) -> SqliteConnection {
        let path = self.folder.path().join("data/sipgw.db");
        let mut locker = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        sqlx::query("PRAGMA busy_timeout = 5000").execute(&mut locker).await.unwrap();
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut locker).await.unwrap();
        locker
    }

    async fn next(&mut self) -> Reply {
        timeout(SOON, self.replies.recv()).await.expect("a reply").unwrap()
    }

    fn dial(&self, call: u128) {
        let usage = Usage::Outgoing { number: "3726001234".to_owned() };
        let question = Question::Reserve {
            lease: lease(call),
            profile: self.profile,
            usage,
            from: String::new(),
            is_withheld: false,
            to: String::new(),
        };
        assert!(self.admission.ask(question).is_none());
    }

    async fn reserve(&mut self, call: u128) -> Result<Grant, Refusal> {
        self.dial(call);
        match self.next().await {
            Reply::Reserved { lease: of, result } if of == lease(call) => result,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&self, call: u128) {
        assert!(
            self.admission
                .ask(Question::Answer {
                    lease: lease(call),
                    at: Instant::now(),
                    known: Box::new(self.record(call, Some(0)))
                })
                .is_none()
        );
    }

    async fn extend(&mut self, call: u128, elapsed_s: u64) -> Result<Grant, Refusal> {
        let elapsed = Duration::from_secs(elapsed_s);
        assert!(self.admission.ask(Question::Extend { lease: lease(call), elapsed }).is_none());
        match self.next().await {
            Reply::Extended { lease: of, result } if of == lease(call) => result,
            other => panic!("{other:?}"),
        }
    }

    /// The record of a call that has talked so long; `None` if it was never answered.
    fn record(&self, call: u128, talk_s: Option<u64>) -> CallRecord {
        let ended = Instant::now();
        let answered = talk_s.map(|talk_s| ended - Duration::from_secs(talk_s));
        CallRecord {
            lease: lease(call),
            profile: Some(self.profile),
            phone_of: None,
            usage: Some(Usage::Outgoing { number: "3726001234".to_owned() }),
            reserved: true,
            carrier: None,
            attempts: Vec::new(),
            from: "+12026843376".to_owned(),
            is_withheld: false,
            to: "+3726001234".to_owned(),
            started: answered.unwrap_or(ended),
            answered,
            is_unconfirmed: false,
            ended,
            ending: Ending::HungUp(Leg::Callee),
            status: 200,
            cause: None,
            detail: None,
            caller_call_id: "a@pbx".to_owned(),
            callee_call_id: None,
            user_agent: None,
            codecs: Vec::new(),
        }
    }

    /// The call is over; `None` if it was never answered.
    fn settle(&self, call: u128, talk_s: Option<u64>) {
        let record = Box::new(self.record(call, talk_s));
        assert!(self.admission.ask(Question::Settle(record)).is_none());
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let waited = timeout(SOON, async {
            while !holds().await {
                sleep(Duration::from_millis(10)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{what} takes too long"));
    }

    async fn is_up(&self, up: i64) {
        self.until("the store's state", async || self.metrics.store_up.get() == up).await;
    }

    /// Something is on hand once the first call has been let in.
    async fn has_on_hand(&self) {
        self.until("what is on hand", async || !self.store.on_hand().await.unwrap().is_empty()).await;
        // The ledger's answer is on its way to the clerk.
        sleep(Duration::from_millis(50)).await;
    }

    async fn cdr(&self, call: u128) -> Cdr {
        let name = CallId::new(lease(call).to_string());
        self.until("the record", async || self.store.cdr(&name).await.unwrap().is_some()).await;
        self.store.cdr(&name).await.unwrap().unwrap()
    }

    /// Each call came to this amount, and the books are sound.
    async fn came_to(&self, amounts: &[(u128, &str)]) {
        for (call, amount) in amounts {
            assert_eq!(self.cdr(*call).await.settlement.amount.to_string(), *amount, "call {call}");
        }
        assert_eq!(self.store.verify().await.unwrap(), []);
        assert_eq!(self.store.live_calls().await.unwrap(), []);
    }

    fn journal_length(&self) -> u64 {
        std::fs::metadata(self.folder.path().join("data/sipgw.outage")).unwrap().len()
    }
}

fn lease(call: u128) -> Lease {
    Lease { call: CallUid(call), leg: Leg::Caller }
}

fn paid_s(grant: Result<Grant, Refusal>) -> u64 {
    grant.unwrap().paid.unwrap().as_secs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_stops_no_call_and_lets_new_ones_in() {
    let mut gateway = Gateway::start("10.00").await;
    assert_eq!(paid_s(gateway.reserve(1).await), 60);
    gateway.answer(1);
    gateway.has_on_hand().await;
    let mut locker = gateway.lock().await;
    assert_eq!(paid_s(gateway.reserve(2).await), 60);
    assert_eq!(gateway.metrics.store_up.get(), 0);
    gateway.answer(2);
    // 0.60 of the 1.00 are gone; the running call is given what is left.
    assert_eq!(paid_s(gateway.extend(1, 50).await), 96);
    assert_eq!(gateway.extend(1, 80).await, Err(Refusal::NothingOnHand));
    assert_eq!(gateway.reserve(3).await, Err(Refusal::NothingOnHand));
    gateway.settle(3, None);
    gateway.settle(2, Some(45));
    gateway.until("the journal", async || gateway.journal_length() > 0).await;
    sqlx::query("COMMIT").execute(&mut locker).await.unwrap();
    gateway.is_up(1).await;
    assert_eq!(gateway.journal_length(), 0);
    // The ledger has adopted what the call was granted, and goes on from there.
    assert_eq!(paid_s(gateway.extend(1, 90).await), 156);
    gateway.settle(1, Some(120));
    gateway.came_to(&[(1, "1.20"), (2, "0.48"), (3, "0.00")]).await;
    let decided =
        ["granted", "refused"].map(|word| gateway.metrics.calls_on_hand.with_label_values(&[word]).get());
    assert_eq!(decided, [1, 1]);
    assert!(gateway.metrics.store_outage_seconds.get() > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_killed_in_an_outage_settles_what_it_granted() {
    let mut gateway = Gateway::start("10.00").await;
    gateway.reserve(1).await.unwrap();
    gateway.has_on_hand().await;
    let mut locker = gateway.lock().await;
    gateway.reserve(2).await.unwrap();
    gateway.answer(2);
    // The second question waits for the first one's answer, which is on the disk by then.
    assert_eq!(paid_s(gateway.extend(2, 40).await), 96);
    let before = gateway.journal_length();
    gateway.settle(1, None);
    gateway.until("the journal", async || gateway.journal_length() > before).await;
    gateway.clerk.abort();
    sqlx::query("COMMIT").execute(&mut locker).await.unwrap();

    let store = open(gateway.folder.path()).await;
    let path = gateway.folder.path().join("data/sipgw.outage");
    let mut journal = Journal::open(&path).unwrap();
    assert!(recover(&store, &mut journal).await.unwrap() >= 3);
    assert_eq!(store.settle_orphans(wall(Instant::now())).await.unwrap(), 1);
    gateway.came_to(&[(1, "0.00"), (2, "0.42")]).await;
    assert!(store.on_hand().await.unwrap().is_empty());
    // A second time, as if the program had been killed before the journal was emptied.
    assert_eq!(recover(&store, &mut Journal::open(&path).unwrap()).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_database_loses_no_call_and_charges_none_twice() {
    let mut gateway = Gateway::start_with_patience("100.00", Duration::from_millis(500)).await;
    let mut first = 1_000;
    while gateway.reserve(first).await.is_err() {
        // On a busy machine even the first call may find the database slow, and nothing on hand yet.
        sleep(Duration::from_millis(100)).await;
        first += 1;
    }
    gateway.has_on_hand().await;
    let path = gateway.folder.path().join("data/sipgw.db");
    let slow = tokio::spawn(async move {
        let mut locker = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        for _ in 0..6 {
            for step in ["PRAGMA busy_timeout = 60000", "BEGIN EXCLUSIVE"] {
                sqlx::query(step).execute(&mut locker).await.unwrap();
            }
            sleep(Duration::from_millis(800)).await;
            sqlx::query("COMMIT").execute(&mut locker).await.unwrap();
            sleep(Duration::from_millis(150)).await;
        }
    });
    let (mut call, mut granted) = (0, vec![first]);
    while !slow.is_finished() {
        call += 1;
        if gateway.reserve(call).await.is_ok() {
            gateway.answer(call);
            granted.push(call);
        }
        gateway.settle(call, granted.contains(&call).then_some(20));
        sleep(Duration::from_millis(20)).await;
    }
    slow.await.unwrap();
    gateway.settle(first, Some(20));
    gateway.is_up(1).await;
    for call in 1..=call {
        let amount = if granted.contains(&call) { "0.30" } else { "0.00" };
        assert_eq!(gateway.cdr(call).await.settlement.amount.to_string(), amount, "call {call}");
    }
    gateway.came_to(&[(first, "0.30")]).await;
    assert!(granted.len() > 1, "{granted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_journal_new_calls_are_refused_and_running_ones_are_settled_afterwards() {
    let journal = Journal::open(Path::new("/dev/full")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let mut gateway = Gateway::start_with(folder, journal, "10.00", PATIENCE).await;
    gateway.reserve(1).await.unwrap();
    gateway.answer(1);
    gateway.has_on_hand().await;
    let mut locker = gateway.lock().await;
    for call in 2..4 {
        assert_eq!(gateway.reserve(call).await, Err(Refusal::StoreUnavailable));
        gateway.settle(call, None);
    }
    assert_eq!(gateway.extend(1, 50).await, Err(Refusal::StoreUnavailable));
    gateway.settle(1, Some(60));
    sqlx::query("COMMIT").execute(&mut locker).await.unwrap();
    gateway.is_up(1).await;
    gateway.came_to(&[(1, "0.60"), (2, "0.00"), (3, "0.00")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_moved_away_and_back_takes_nothing_along() {
    let mut gateway = Gateway::start("10.00").await;
    gateway.reserve(1).await.unwrap();
    gateway.answer(1);
    let (here, away) = (gateway.folder.path().join("data"), gateway.folder.path().join("away"));
    std::fs::rename(&here, &away).unwrap();
    assert_eq!(paid_s(gateway.extend(1, 50).await), 120);
    assert_eq!(paid_s(gateway.reserve(2).await), 60);
    gateway.settle(2, None);
    std::fs::rename(&away, &here).unwrap();
    gateway.settle(1, Some(100));
    gateway.came_to(&[(1, "1.02"), (2, "0.00")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_hand_takes_nothing_from_a_small_credit() {
    let mut gateway = Gateway::start("0.66").await;
    gateway.store.policy();
    gateway.dial(1);
    gateway.dial(2);
    let both = [gateway.next().await, gateway.next().await];
    assert!(matches!(&both[0], Reply::Reserved { result: Ok(_), .. }), "{both:?}");
    assert!(matches!(&both[1], Reply::Reserved { result: Err(Refusal::NoCredit), .. }), "{both:?}");
    gateway.settle(2, None);
    // Its last six hundredths are on hand, and are granted all the same.
    gateway.has_on_hand().await;
    assert_eq!(paid_s(gateway.extend(1, 50).await), 66);
    gateway.settle(1, Some(66));
    gateway.came_to(&[(1, "0.66"), (2, "0.00")]).await;
}
