//! Against a store on disk, through the writer, as the daemon does it.

use provisioning_store::cdr::{Cdr, CdrFilter};
use provisioning_store::ledger::ReservePolicy;
use provisioning_store::lifecycle::{Order, PriceList};
use provisioning_store::model::{GuardOverrides, NewCompany, Override, Premium, ProfileSettings};
use provisioning_store::money::Micros;
use provisioning_store::rating::{BundleCover, PremiumRanges, RateBook, RateTable, Tariff, UsBundle};
use provisioning_store::secrets::SecretKey;
use provisioning_store::store::{Durability, NewProfile, STANDARD_PRICE_LIST, Store, StoreOptions};
use provisioning_store::writer::WriterLimits;
use sip_core::types::{AttemptResult, CallUid, CarrierAttempt, CarrierId, CarrierLabel, Leg};

use super::*;
use crate::tariffs::PremiumRule;

struct Office {
    store: Store,
    profile: ProfileId,
    admission: Admission,
    replies: mpsc::Receiver<Reply>,
    metrics: Metrics,
    _directory: tempfile::TempDir,
}

impl Office {
    async fn open(channels: u32, credit: &str) -> Self {
        Self::open_with(channels, credit, None).await
    }

    /// With this price of calls to Online Numbers here.
    async fn open_with(channels: u32, credit: &str, on_net: Option<Tariff>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(directory.path().join("sipgw.db"), SecretKey::new([7; 32]));
        let store = Store::open(StoreOptions { durability: Durability::Crash, ..options }).await.unwrap();
        let now = wall(Instant::now());
        let new = NewCompany { name: "A".into(), country: "US".into(), currency: "USD".into() };
        let company = store.create_company(now, &new).await.unwrap();
        store.top_up(now, company.id, Micros::from_units(1000), "").await.unwrap();
        let order = Some((Order { channels, bundles: 0 }, PriceList::default()));
        let settings = ProfileSettings::default();
        let new = NewProfile { company: company.id, name: "P".into(), settings, order };
        let (profile, _) = store.create_profile(now, new).await.unwrap();
        store.allocate(now, profile.id, credit.parse().unwrap()).await.unwrap();
        let rates = RateTable::from_csv(
            "prefix,destination,country,rate_per_minute\n372,Estonia,EE,0.60\n1,United States,US,0.60\n",
        )
        .unwrap();
        let rows = store.load_directory().await.unwrap();
        let tariffs = Tariffs::new(UsBundle::standard(), on_net)
            .with_rates(RateBook::of(STANDARD_PRICE_LIST, rates))
            .with(&rows);
        let tariffs = Arc::new(ArcSwap::from_pointee(tariffs));
        let (writer, _) = Writer::start(store.clone(), WriterLimits::default());
        let (sender, replies) = mpsc::channel(64);
        let metrics = Metrics::new();
        let journal = Journal::open(&directory.path().join("sipgw.outage")).unwrap();
        let office = super::Office {
            store: store.clone(),
            writer,
            patience: Duration::from_secs(2),
            on_hand: OnHandConfig::default(),
            tariffs,
            replies: sender,
            metrics: metrics.clone(),
            readiness: Readiness::default(),
        };
        let (admission, _) = Admission::start(office, journal);
        Self { store, profile: ProfileId(profile.id.0), admission, replies, metrics, _directory: directory }
    }

    /// A call is answered; there is no reply.
    fn answer(&self, call: u128) -> bool {
        let known = talked(self, call, 0, Ending::HungUp(Leg::Caller));
        self.admission.ask(Question::Answer { lease: lease(call), at: Instant::now(), known }).is_none()
    }

    async fn reserve(&mut self, call: u128, usage: Usage) -> Result<Grant, Refusal> {
        let lease = lease(call);
        let to = match &usage {
            Usage::Outgoing { number } | Usage::OnNet { number } => format!("+{number}"),
            Usage::Incoming { called } => called.clone(),
            Usage::Echo => "+17606604690".to_owned(),
        };
        let from = "+12026843376".to_owned();
        let question =
            Question::Reserve { lease, profile: self.profile, usage, from, is_withheld: false, to };
        assert!(self.admission.ask(question).is_none());
        match self.replies.recv().await {
            Some(Reply::Reserved { lease: of, result }) if of == lease => result,
            other => panic!("{other:?}"),
        }
    }

    async fn extend(&mut self, call: u128, elapsed_s: u64) -> Result<Grant, Refusal> {
        let lease = lease(call);
        let elapsed = Duration::from_secs(elapsed_s);
        assert!(self.admission.ask(Question::Extend { lease, elapsed }).is_none());
        match self.replies.recv().await {
            Some(Reply::Extended { lease: of, result }) if of == lease => result,
            other => panic!("{other:?}"),
        }
    }

    async fn record(&self, name: CallId) -> Cdr {
        let found = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                if let Some(cdr) = self.store.cdr(&name).await.unwrap() {
                    return cdr;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        found.await.expect("a record")
    }
}

fn lease(call: u128) -> Lease {
    Lease { call: CallUid(call), leg: Leg::Caller }
}

fn estonia() -> Usage {
    Usage::Outgoing { number: "3726001234".to_owned() }
}

/// The carrier of all calls, which provisioning knows nothing of any more.
fn upstream() -> CarrierLabel {
    CarrierLabel { id: CarrierId(3), name: "Upstream".to_owned() }
}

/// A call that was answered at once and talked for so long.
fn talked(office: &Office, call: u128, talk_s: u64, ending: Ending) -> Box<CallRecord> {
    let ended = Instant::now();
    let answered = ended - Duration::from_secs(talk_s);
    Box::new(CallRecord {
        lease: lease(call),
        profile: Some(office.profile),
        phone_of: None,
        usage: Some(estonia()),
        reserved: true,
        carrier: Some(upstream()),
        attempts: vec![CarrierAttempt {
            carrier: upstream(),
            address: Some("192.0.2.9:5060".parse().unwrap()),
            status: Some(200),
            cause: None,
            said: Some("Q.850;cause=34;text=\"No circuit\"".to_owned()),
            result: AttemptResult::Answered,
            took: Duration::from_millis(1_500),
        }],
        from: "+12026843376".to_owned(),
        is_withheld: false,
        to: "+3726001234".to_owned(),
        started: answered,
        answered: Some(answered),
        is_unconfirmed: false,
        ended,
        ending,
        status: 200,
        cause: Some(16),
        detail: None,
        caller_call_id: "a@pbx".to_owned(),
        callee_call_id: Some("b@us".to_owned()),
        user_agent: Some("Asterisk".to_owned()),
        codecs: vec!["PCMU/8000".to_owned()],
    })
}

#[tokio::test]
async fn a_call_is_reserved_extended_and_charged() {
    let mut office = Office::open(2, "10.00").await;
    let paid = office.reserve(1, estonia()).await.unwrap().paid.unwrap();
    assert!(office.answer(1));
    let more = office.extend(1, paid.as_secs() - 5).await.unwrap().paid.unwrap();
    assert!(more > paid, "{more:?} after {paid:?}");
    let record = talked(&office, 1, 90, Ending::HungUp(Leg::Callee));
    assert!(office.admission.ask(Question::Settle(record)).is_none());
    let cdr = office.record(name(lease(1))).await;
    assert_eq!((cdr.settlement.billed_s, cdr.settlement.amount.to_string().as_str()), (90, "0.90"));
    let (attempt, ending) = (&cdr.record.attempt, &cdr.record.ending);
    assert_eq!((attempt.to.as_str(), attempt.destination.as_str()), ("+3726001234", "Estonia"));
    assert_eq!(attempt.from, "+12026843376");
    assert_eq!((ending.carrier.as_str(), ending.reason_code.as_str()), ("Upstream", "hung_up"));
    let [tried] = &ending.attempts[..] else { panic!("{:?}", ending.attempts) };
    assert_eq!((tried.name.as_str(), tried.result.as_str(), tried.took_ms), ("Upstream", "answered", 1_500));
    assert_eq!((tried.address, ending.cause), ("192.0.2.9:5060".parse().ok(), Some(16)));
    assert_eq!(office.metrics.calls.with_label_values(&["outgoing", "answered"]).get(), 1);
    assert!(office.store.live_calls().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_call_to_a_number_hosted_here_costs_what_the_configuration_says() {
    let on_net = || Usage::OnNet { number: "12026555376".to_owned() };
    let mut free = Office::open(1, "0.01").await;
    assert_eq!(free.reserve(1, on_net()).await.unwrap().paid, None);
    let a_minute = Tariff::standard(Micros::from_cents(20), BundleCover::NotCovered);
    let mut priced = Office::open_with(2, "0.30", Some(a_minute)).await;
    assert_eq!(priced.reserve(1, on_net()).await.unwrap().paid, Some(Duration::from_secs(60)));
    assert_eq!(priced.reserve(2, on_net()).await.unwrap().paid, Some(Duration::from_secs(30)));
    let record = CallRecord { usage: Some(on_net()), ..*talked(&priced, 1, 45, Ending::HungUp(Leg::Callee)) };
    assert!(priced.admission.ask(Question::Settle(Box::new(record))).is_none());
    let cdr = priced.record(name(lease(1))).await;
    assert_eq!((cdr.settlement.billed_s, cdr.settlement.amount), (48, Micros::from_cents(16)));
}

#[tokio::test]
async fn the_call_over_the_limit_is_refused_by_direction() {
    let mut office = Office::open(1, "10.00").await;
    let grant = office.reserve(1, Usage::Echo).await.unwrap();
    assert_eq!(grant.paid, None, "the echo test costs nothing");
    assert_eq!(office.reserve(2, estonia()).await, Err(Refusal::NoChannel));
    let incoming = Usage::Incoming { called: "12026843376".to_owned() };
    assert_eq!(office.reserve(3, incoming).await, Err(Refusal::NoChannel));
}

#[tokio::test]
async fn what_cannot_be_paid_or_priced_is_refused() {
    let mut office = Office::open(2, "0.29").await;
    assert_eq!(office.reserve(1, estonia()).await, Err(Refusal::NoCredit), "30 s cost 0.30");
    let nowhere = Usage::Outgoing { number: "999123456".to_owned() };
    assert_eq!(office.reserve(2, nowhere).await, Err(Refusal::NoRate));
}

#[tokio::test]
async fn when_the_money_ends_the_last_grant_stands() {
    let mut office = Office::open(1, "0.30").await;
    assert_eq!(office.reserve(1, estonia()).await.unwrap().paid, Some(Duration::from_secs(30)));
    assert!(office.answer(1));
    assert_eq!(office.extend(1, 20).await, Err(Refusal::CreditExhausted));
    let record = talked(&office, 1, 30, Ending::Refused(Refusal::CreditExhausted));
    assert!(office.admission.ask(Question::Settle(record)).is_none());
    let cdr = office.record(name(lease(1))).await;
    assert_eq!(
        (cdr.settlement.amount.to_string().as_str(), cdr.record.ending.reason_code.as_str()),
        ("0.30", "credit_exhausted")
    );
}

#[tokio::test]
async fn a_used_up_bundle_is_followed_by_the_companys_credit_and_that_ends_too() {
    let mut office = Office::open(1, "500").await;
    let (now, profile) = (wall(Instant::now()), StoreProfileId(office.profile.0));
    let prices = PriceList { bundle_minutes: 1, ..PriceList::default() };
    let order = Order { channels: 1, bundles: 1 };
    office.store.subscribe(now, profile, order, &prices).await.unwrap();
    let company = office.store.companies().await.unwrap().remove(0);
    let all_but = Micros(company.credit.0 - 300_000);
    office.store.allocate(now, profile, all_but).await.unwrap();
    let policy = ReservePolicy { bundle_overflow: Payer::Company, ..ReservePolicy::default() };
    office.store.use_policy(policy);

    let us = || Usage::Outgoing { number: "12152751701".to_owned() };
    assert_eq!(office.reserve(1, us()).await.unwrap().paid, Some(Duration::from_secs(60)));
    assert!(office.answer(1));
    assert_eq!(office.extend(1, 50).await.unwrap().paid, Some(Duration::from_secs(90)));
    assert_eq!(office.extend(1, 80).await, Err(Refusal::CompanyCreditExhausted));
    let ending = Ending::Refused(Refusal::CompanyCreditExhausted);
    assert!(office.admission.ask(Question::Settle(talked(&office, 1, 90, ending))).is_none());
    let settlement = office.record(name(lease(1))).await.settlement;
    assert_eq!((settlement.bundle_s, settlement.amount), (60, Micros(300_000)));
    assert_eq!(office.reserve(2, us()).await, Err(Refusal::NoCompanyCredit));
    assert!(office.reserve(3, estonia()).await.is_ok(), "the profile pays what no bundle covers");
}

#[tokio::test]
async fn the_spend_guard_refuses_warns_and_ends_with_its_own_reasons() {
    let mut office = Office::open(4, "10.00").await;
    let id = StoreProfileId(office.profile.0);
    let set = async |store: &Store, guard| {
        store.set_spend_guard(wall(Instant::now()), id, guard).await.unwrap();
    };
    let cap = GuardOverrides { day_cap: Override::Set(Micros(300_000)), ..GuardOverrides::default() };
    set(&office.store, cap).await;
    assert_eq!(office.reserve(1, estonia()).await.unwrap().paid, Some(Duration::from_secs(30)));
    assert_eq!(office.metrics.spend_guard_warnings.with_label_values(&["day"]).get(), 1);
    assert_eq!(office.reserve(2, estonia()).await, Err(Refusal::SpendCapReached));
    assert_eq!(office.extend(1, 20).await, Err(Refusal::SpendCapExhausted));
    assert_eq!(office.metrics.spend_guard_warnings.with_label_values(&["day"]).get(), 1, "told once");

    let free = GuardOverrides::default();
    set(&office.store, GuardOverrides { denied: Override::Set("EE".parse().unwrap()), ..free }).await;
    assert_eq!(office.reserve(3, estonia()).await, Err(Refusal::CountryDenied));
    set(&office.store, GuardOverrides { highest_rate: Override::Set(Micros(599_999)), ..free }).await;
    assert_eq!(office.reserve(4, estonia()).await, Err(Refusal::PriceTooHigh));
    set(&office.store, GuardOverrides { calls_to_one_country: Override::Set(1), ..free }).await;
    assert_eq!(office.reserve(5, estonia()).await, Err(Refusal::CountryBusy));
    set(&office.store, GuardOverrides { longest_call_s: Override::Set(60), ..free }).await;
    assert_eq!(office.reserve(6, Usage::Echo).await.unwrap().paid, Some(Duration::from_secs(60)));
    assert_eq!(office.extend(6, 50).await, Err(Refusal::LongestCall));
}

#[tokio::test]
async fn an_attempt_refused_before_it_had_a_profile_is_recorded() {
    let office = Office::open(1, "1.00").await;
    let mut record = talked(&office, 5, 0, Ending::Refused(Refusal::NumberNotAssigned));
    (record.profile, record.usage, record.reserved, record.answered) = (None, None, false, None);
    (record.status, record.to) = (404, "+12025550100".to_owned());
    assert!(office.admission.ask(Question::Settle(record)).is_none());
    let cdr = office.record(name(lease(5))).await;
    assert_eq!((cdr.record.profile, cdr.record.ending.sip_status), (None, Some(404)));
    assert_eq!(cdr.record.attempt.direction, Direction::Incoming, "a carrier brought it");
    assert_eq!(office.store.cdrs(&CdrFilter::default(), 1).await.unwrap().total, 1);
}

#[tokio::test]
async fn a_call_of_a_phone_is_its_companys_to_read() {
    let office = Office::open(1, "1.00").await;
    let mut record = talked(&office, 7, 12, Ending::HungUp(Leg::Caller));
    (record.profile, record.phone_of, record.reserved) = (None, Some(sip_core::types::CompanyId(9)), false);
    (record.usage, record.carrier) = (Some(Usage::Incoming { called: "architects.sales".into() }), None);
    assert!(office.admission.ask(Question::Settle(record)).is_none());
    let Cdr { record, settlement, .. } = office.record(name(lease(7))).await;
    assert_eq!((record.profile, record.phone_of), (None, Some(CompanyId(9))));
    let attempt = &record.attempt;
    assert_eq!((attempt.direction, attempt.kind), (Direction::Incoming, CallKind::OnNet));
    assert_eq!((settlement.duration_s, settlement.amount), (12, Micros::ZERO));
}

#[tokio::test]
async fn a_dial_refused_at_once_counts_as_outgoing() {
    let office = Office::open(1, "1.00").await;
    let mut record = talked(&office, 6, 0, Ending::Refused(Refusal::NoCarrier));
    (record.usage, record.reserved, record.answered, record.carrier) = (None, false, None, None);
    assert!(office.admission.ask(Question::Settle(record)).is_none());
    let cdr = office.record(name(lease(6))).await;
    let attempt = &cdr.record.attempt;
    assert_eq!((attempt.direction, attempt.to.as_str()), (Direction::Outgoing, "+3726001234"));
    assert_eq!(office.metrics.calls.with_label_values(&["outgoing", "no_carrier"]).get(), 1);
}

/// A trunk's SIP user and a service code are digits too, and no telephone numbers.
#[tokio::test]
async fn parties_are_recorded_as_the_core_writes_them() {
    let office = Office::open(1, "1.00").await;
    let parties = [
        ("99050053520744", "911"),
        ("+12026843376", "architects.sales"),
        ("02025550123", "6843376"),
        ("", ""),
    ];
    for (call, (from, to)) in (20..).zip(parties) {
        let mut record = talked(&office, call, 0, Ending::Refused(Refusal::AddressIncomplete));
        (record.usage, record.reserved, record.answered, record.carrier) = (None, false, None, None);
        (record.from, record.to) = (from.to_owned(), to.to_owned());
        assert!(office.admission.ask(Question::Settle(record)).is_none());
        let attempt = office.record(name(lease(call))).await.record.attempt;
        assert_eq!((attempt.from.as_str(), attempt.to.as_str()), (from, to));
    }
}

#[tokio::test]
async fn other_questions_are_given_back() {
    let office = Office::open(1, "1.00").await;
    assert!(office.admission.ask(Question::CloseMedia { call: CallUid(1) }).is_some());
}

#[test]
fn a_moment_ago_is_a_moment_ago_by_the_wall_clock() {
    let (now, ago) = (Instant::now(), Instant::now() - Duration::from_secs(60));
    let apart = wall(now).0 - wall(ago).0;
    assert!((59_900_000..60_100_000).contains(&apart), "{apart}");
}

#[tokio::test]
async fn a_call_that_nobody_settled_still_tells_who_called_whom() {
    let mut office = Office::open(4, "1.00").await;
    office.reserve(1, Usage::Echo).await.unwrap();
    office.reserve(2, estonia()).await.unwrap();
    office.store.settle_orphans(wall(Instant::now())).await.unwrap();
    for (call, to) in [(1, "+17606604690"), (2, "+3726001234")] {
        let attempt = office.record(name(lease(call))).await.record.attempt;
        assert_eq!((attempt.from.as_str(), attempt.to.as_str()), ("+12026843376", to));
    }
}

#[tokio::test]
async fn long_words_from_the_network_are_cut() {
    let mut office = Office::open(4, "1.00").await;
    office.reserve(1, estonia()).await.unwrap();
    let mut record = talked(&office, 1, 10, Ending::HungUp(Leg::Caller));
    (record.user_agent, record.from) = (Some("x".repeat(5_000)), "é".repeat(5_000));
    assert!(office.admission.ask(Question::Settle(record)).is_none());
    let written = office.record(name(lease(1))).await.record;
    assert_eq!((written.ending.user_agent.len(), written.attempt.from.chars().count()), (128, 128));
}

#[test]
fn premium_numbers_are_refused_where_they_are_denied_and_recorded_for_what_they_are() {
    let table = "prefix,destination,country,rate_per_minute\n1,United States,US,0.60\n";
    let ranges = Arc::new(PremiumRanges::read("prefix\n1900\n").unwrap());
    let tariffs = |by_default| {
        Tariffs::new(UsBundle::standard(), None)
            .with_rates(RateBook::of(STANDARD_PRICE_LIST, RateTable::from_csv(table).unwrap()))
            .with_premium(PremiumRule { ranges: Arc::clone(&ranges), by_default })
    };
    let to = |number: &str| Usage::Outgoing { number: number.to_owned() };
    let (premium, other, now) = (to("19005550123"), to("12025550123"), wall(Instant::now()));
    let denying = tariffs(Premium::Deny);
    assert_eq!(attempt(&premium, &denying, None, now).unwrap_err(), Refusal::PremiumDenied);
    assert_eq!(rated(&premium, &denying, None, now).unwrap().country, "US");
    assert!(attempt(&other, &denying, None, now).is_ok());
    assert!(attempt(&premium, &tariffs(Premium::Allow), None, now).is_ok());
}

#[tokio::test]
async fn what_is_on_hand_is_free_when_it_is_asked_back() {
    let mut office = Office::open(2, "10.00").await;
    let on_hand = OnHand::default();
    let profile = provisioning_store::model::ProfileId(office.profile.0);
    assert!(!on_hand.release(profile).await, "there is no clerk yet");
    on_hand.ask(&office.admission);
    office.reserve(1, estonia()).await.unwrap();
    while office.store.on_hand().await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(on_hand.release(profile).await);
    assert!(office.store.on_hand().await.unwrap().is_empty());
    let now = wall(Instant::now());
    let held = office.store.profile(profile).await.unwrap().reserved;
    let left = office.store.take_back(now, profile, None).await.unwrap();
    assert_eq!((left.credit, left.reserved), (held, held), "only what the call holds is left");
}
