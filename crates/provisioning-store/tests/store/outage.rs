//! A gateway whose database comes and goes: what it grants from what is on hand is paid, once, whatever happens.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult};
use provisioning_store::cdr::{CallId, Settlement};
use provisioning_store::journal::Journal;
use provisioning_store::ledger::{
    Account, Balance, LedgerEntry, LedgerOp, Outcome, Payer, Refusal, ReservePolicy,
};
use provisioning_store::lifecycle::{Order, PriceList};
use provisioning_store::memory::LedgerState;
use provisioning_store::model::{GuardOverrides, Override};
use provisioning_store::money::Micros;
use provisioning_store::rating::Tariff;
use provisioning_store::standby::{Doubt, Standby};
use provisioning_store::store::Store;

use crate::world::*;

/// Its shortest call costs most of what is on hand.
const DEAR: Tariff = Tariff { rate_per_minute: Micros(240), ..MICRO_A_SECOND };
/// Its shortest call costs next to nothing.
const CHEAP: Tariff = Tariff { rate_per_minute: Micros(6), ..MICRO_A_SECOND };
const TARIFFS: [Option<Tariff>; 5] = [None, Some(MICRO_A_SECOND), Some(COVERED), Some(DEAR), Some(CHEAP)];

/// What a gateway asks of its books.
#[derive(Clone, Debug)]
enum Ask {
    Reserve(usize),
    Answer(usize),
    Extend(usize),
    End(usize, u32),
    TopUp,
}

#[derive(Clone, Debug)]
enum Step {
    Ask(Ask),
    /// The database stops answering; of these, it has done the first so many without telling.
    Outage(Vec<Ask>, usize),
    /// The database answers again; so many entries are put into it twice.
    Back(usize),
    /// The gateway is killed and started again.
    Crash,
    /// Meanwhile the operator gives and takes.
    Allocate(i64),
    TakeBack,
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        6 => (0..TARIFFS.len()).prop_map(Ask::Reserve),
        2 => (0usize..8).prop_map(Ask::Answer),
        5 => (0usize..8).prop_map(Ask::Extend),
        4 => (0usize..8, 0u32..120).prop_map(|(nth, talk)| Ask::End(nth, talk)),
        1 => Just(Ask::TopUp),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => ask().prop_map(Step::Ask),
        3 => (prop::collection::vec(ask(), 0..6), 0usize..7).prop_map(|(asks, done)| Step::Outage(asks, done)),
        3 => (0usize..9).prop_map(Step::Back),
        1 => Just(Step::Crash),
        1 => (1i64..300).prop_map(Step::Allocate),
        1 => Just(Step::TakeBack),
    ]
}

/// A live call as the gateway knows it.
struct Call {
    tariff: Option<Tariff>,
    paid_s: Option<u32>,
    answered: bool,
    proved_s: u32,
}

struct Gateway {
    home: Home,
    store: Store,
    oracle: LedgerState,
    standby: Standby,
    journal: Journal,
    is_out: bool,
    live: BTreeMap<CallId, Call>,
    next: u32,
    /// What each finished call must come to, its bundle seconds apart: answered or not, seconds, terms.
    expected: BTreeMap<CallId, (Option<u32>, Option<Tariff>)>,
}

impl Gateway {
    async fn start(credit: i64, bundles: u32, cap: Option<Micros>, policy: ReservePolicy) -> Self {
        let home = Home::new();
        let store = home.open().await;
        store.use_policy(policy);
        let journal = Journal::open(&home.file("sipgw.outage")).unwrap();
        let mut gateway = Self {
            home,
            store,
            oracle: LedgerState::new(policy),
            standby: Standby::new(policy),
            journal,
            is_out: false,
            live: BTreeMap::new(),
            next: 0,
            expected: BTreeMap::new(),
        };
        let mut opening = opening(5, credit);
        if let LedgerOp::Subscribe { order, prices, .. } = &mut opening[3] {
            *order = Order { channels: 5, bundles };
            **prices = PriceList { bundle: Micros::ZERO, bundle_minutes: 3, ..PriceList::default() };
        }
        let hour_cap = cap.map_or(Override::Lifted, Override::Set);
        let guard = Box::new(GuardOverrides { hour_cap, ..GuardOverrides::default() });
        opening.push(LedgerOp::SetGuard { profile: PROFILE, guard });
        opening.push(LedgerOp::TopUp { company: COMPANY, amount: Micros(300), note: String::new() });
        for op in opening {
            gateway.database(op).await.unwrap();
        }
        gateway.wake().await;
        gateway
    }

    /// The database and the oracle agree about everything that is asked of them.
    async fn database(&mut self, op: LedgerOp) -> Result<Outcome, Refusal> {
        let entry = LedgerEntry { at: start(), op };
        let outcome = self.store.apply(std::slice::from_ref(&entry)).await.unwrap().remove(0);
        assert_eq!(outcome, self.oracle.apply(start(), entry.op.clone()), "{entry:?}");
        outcome
    }

    /// What a gateway loads when it starts.
    async fn wake(&mut self) {
        self.standby = Standby::new(self.store.policy());
        let subscriber = *self.oracle.books().subscriber(PROFILE).unwrap();
        self.standby.set_subscribers(BTreeMap::from([(PROFILE, subscriber)]));
        self.top_up().await;
    }

    async fn top_up(&mut self) {
        let op = LedgerOp::Hold { profile: PROFILE, credit: Micros(150), bundle_s: 60 };
        match self.database(op).await {
            Ok(Outcome::OnHand(held)) => self.standby.set_on_hand(PROFILE, held),
            other => panic!("{other:?}"),
        }
    }

    fn nth(&self, nth: usize) -> Option<CallId> {
        self.live.keys().nth(nth % self.live.len().max(1)).cloned()
    }

    /// What the gateway would ask the ledger.
    fn op(&mut self, ask: &Ask) -> Option<LedgerOp> {
        Some(match ask {
            Ask::Reserve(tariff) => {
                self.next += 1;
                reserve(&format!("{:04}", self.next), TARIFFS[*tariff])
            }
            Ask::Answer(nth) => LedgerOp::Answer { call: self.nth(*nth)?, at: start(), known: None },
            Ask::Extend(nth) => {
                let name = self.nth(*nth)?;
                let call = self.live.get_mut(&name).filter(|call| call.answered)?;
                call.proved_s = call.paid_s.unwrap_or(500).min(call.proved_s + 50);
                LedgerOp::Extend { call: name, elapsed_s: call.proved_s }
            }
            Ask::End(nth, percent) => {
                let name = self.nth(*nth)?;
                let call = self.live.remove(&name)?;
                let most_s = call.paid_s.unwrap_or(500);
                let talk_s = (most_s * percent / 100).clamp(call.proved_s, most_s);
                let talk_s = call.answered.then_some(talk_s);
                self.expected.insert(name.clone(), (talk_s, call.tariff));
                let record = record(call.tariff, talk_s.map(u64::from));
                LedgerOp::Settle { call: name, record: Box::new(record) }
            }
            Ask::TopUp => LedgerOp::Hold { profile: PROFILE, credit: Micros(150), bundle_s: 60 },
        })
    }

    async fn ask(&mut self, ask: &Ask) {
        let Some(op) = self.op(ask) else { return };
        if self.is_out {
            return self.improvise(op, Doubt::Unasked);
        }
        let outcome = self.database(op.clone()).await;
        match (op, outcome) {
            (LedgerOp::Reserve { call, attempt, .. }, Ok(Outcome::Granted(grant))) => {
                self.granted(call.clone(), attempt.tariff, grant.paid_s);
                self.standby.reserved(&call, PROFILE, &attempt, grant);
            }
            (
                LedgerOp::Extend { call, elapsed_s },
                Ok(Outcome::Granted(grant) | Outcome::LastGrant(grant, _)),
            ) => {
                self.live.get_mut(&call).unwrap().paid_s = grant.paid_s;
                self.standby.extended(&call, elapsed_s, grant);
            }
            (LedgerOp::Answer { call, at, known }, Ok(_)) => {
                self.standby.answered(&call, at, known);
                self.live.get_mut(&call).unwrap().answered = true;
            }
            (LedgerOp::Settle { call, .. }, Ok(_)) => drop(self.standby.ended(&call)),
            (LedgerOp::Hold { .. }, Ok(Outcome::OnHand(held))) => self.standby.set_on_hand(PROFILE, held),
            (LedgerOp::Reserve { .. }, Err(_)) => {}
            (op, outcome) => panic!("{op:?}: {outcome:?}"),
        }
        assert!(self.standby.on_hand(PROFILE).credit <= self.oracle.books().on_hand(PROFILE).credit);
    }

    fn granted(&mut self, call: CallId, tariff: Option<Tariff>, paid_s: Option<u32>) {
        self.live.insert(call, Call { tariff, paid_s, answered: false, proved_s: 0 });
    }

    /// Decides without the database.
    fn improvise(&mut self, op: LedgerOp, doubt: Doubt) {
        let op = match op {
            LedgerOp::Reserve { call, profile, attempt } => {
                match self.standby.reserve(start(), &call, profile, &attempt, doubt) {
                    Ok(granted) => {
                        self.granted(call, attempt.tariff, granted.paid_s);
                        LedgerOp::Adopt { granted: Box::new(granted) }
                    }
                    // A refused call is recorded, too; that frees what the database may have reserved for it.
                    Err(_) => {
                        self.expected.insert(call.clone(), (None, attempt.tariff));
                        LedgerOp::Settle { call, record: Box::new(record(attempt.tariff, None)) }
                    }
                }
            }
            LedgerOp::Extend { call, elapsed_s } => {
                if let Ok(granted) = self.standby.extend(start(), &call, elapsed_s, doubt) {
                    self.live.get_mut(&call).unwrap().paid_s = granted.paid_s;
                }
                LedgerOp::Adopt { granted: Box::new(self.standby.call(&call).unwrap().clone()) }
            }
            LedgerOp::Answer { call, at, known } => {
                self.standby.answered(&call, at, known.clone());
                self.live.get_mut(&call).unwrap().answered = true;
                LedgerOp::Answer { call, at, known }
            }
            LedgerOp::Settle { call, record } => {
                self.standby.ended(&call);
                LedgerOp::Settle { call, record }
            }
            _ => return,
        };
        self.journal.append(&[LedgerEntry { at: start(), op }]).unwrap();
    }

    async fn outage(&mut self, in_doubt: &[Ask], done: usize) {
        // All of them are asked before the gateway finds out that none is answered.
        let asked: Vec<_> = in_doubt.iter().filter_map(|ask| self.op(ask)).collect();
        for op in asked.iter().take(done) {
            // Whatever comes of it, nobody hears of it.
            let _unheard = self.database(op.clone()).await;
        }
        self.is_out = true;
        for op in asked {
            // The call may have ended meanwhile.
            let is_over = matches!(&op, LedgerOp::Extend { call, .. } | LedgerOp::Answer { call, .. } if !self.live.contains_key(call));
            if !is_over {
                self.improvise(op, Doubt::MayBeDone);
            }
        }
    }

    /// Puts the journal into the database; the first `twice` entries once more, as after a failure half-way.
    async fn replay(&mut self, twice: usize) {
        while self.journal.waiting() > 0 {
            let chunk = self.journal.next_chunk().unwrap();
            assert_eq!(chunk.damaged, 0);
            let repeated = chunk.entries.iter().take(twice);
            for entry in repeated.chain(&chunk.entries).cloned().collect::<Vec<_>>() {
                let outcome = self.database(entry.op.clone()).await;
                assert!(
                    matches!(outcome, Ok(_) | Err(Refusal::CallIsOver(_))),
                    "{entry:?} came to {outcome:?}"
                );
            }
            self.journal.replayed(&chunk);
        }
        self.journal.clear().unwrap();
        self.is_out = false;
    }

    async fn back(&mut self, twice: usize) {
        if self.is_out {
            self.replay(twice).await;
            self.top_up().await;
        }
    }

    async fn crash(&mut self) {
        let policy = self.store.policy();
        self.store = self.home.open().await;
        self.store.use_policy(policy);
        self.journal = Journal::open(&self.home.file("sipgw.outage")).unwrap();
        self.replay(0).await;
        let orphans = self.store.settle_orphans(start()).await.unwrap();
        assert_eq!(orphans, self.oracle.settle_orphans(start()));
        for (name, call) in std::mem::take(&mut self.live) {
            self.expected.insert(name, (call.answered.then_some(call.proved_s), call.tariff));
        }
        self.wake().await;
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Ask(ask) => self.ask(ask).await,
            Step::Outage(in_doubt, done) if !self.is_out => self.outage(in_doubt, *done).await,
            Step::Outage(..) => {}
            Step::Back(twice) => self.back(*twice).await,
            Step::Crash => self.crash().await,
            // The command line reaches the database even when the gateway does not.
            Step::Allocate(amount) => {
                let _short =
                    self.database(LedgerOp::Allocate { profile: PROFILE, amount: Micros(*amount) }).await;
            }
            Step::TakeBack => {
                let _nothing = self.database(LedgerOp::TakeBack { profile: PROFILE, amount: None }).await;
            }
        }
    }

    async fn check(&self) -> TestCaseResult {
        prop_assert_eq!(self.oracle.verify(), []);
        prop_assert_eq!(self.store.verify().await.unwrap(), []);
        prop_assert_eq!(&self.store.balances().await.unwrap(), &self.balances());
        let books = self.oracle.books();
        if let Override::Set(cap) = books.subscriber(PROFILE).unwrap().guard.hour_cap {
            // On hand counts too: it may be spent without the database.
            let reserved = books.balance(Account::Profile(PROFILE)).reserved;
            let committed = books.spending(PROFILE, start()).hour.spent.0 + reserved;
            prop_assert!(committed <= cap.0, "{} of {}", committed, cap);
        }
        if self.is_out {
            return Ok(());
        }
        for (name, (talk_s, tariff)) in &self.expected {
            let Some(cdr) = self.oracle.cdrs().iter().find(|cdr| cdr.call == *name) else {
                return Err(TestCaseError::fail(format!("{name} has no record")));
            };
            let Settlement { billed_s, bundle_s, amount, .. } = cdr.settlement;
            let tariff = tariff.filter(|_| talk_s.is_some());
            let owed_s = tariff.zip(*talk_s).map_or(0, |(tariff, talk_s)| tariff.billed_s(talk_s));
            let owed = tariff.map_or(Micros::ZERO, |tariff| tariff.charge(billed_s, bundle_s));
            prop_assert_eq!((billed_s, amount), (owed_s, owed), "{:?}", cdr);
        }
        for (name, call) in &self.live {
            let booked = self.oracle.books().live_call(name).map(|booked| booked.paid_s);
            prop_assert!(booked >= Some(call.paid_s), "{}: {:?} of {:?}", name, booked, call.paid_s);
        }
        prop_assert_eq!(self.oracle.books().live_calls().count(), self.live.len());
        Ok(())
    }

    fn balances(&self) -> BTreeMap<Account, Balance> {
        let books = self.oracle.books();
        let names = [Account::External, Account::Revenue, Account::Minutes, Account::MinutesUsed];
        let own = [
            Account::Company(COMPANY),
            Account::Profile(PROFILE),
            Account::Bundle { profile: PROFILE, period: 1 },
        ];
        names.into_iter().chain(own).map(|account| (account, books.balance(account))).collect()
    }
}

proptest! {
    #![proptest_config(Config { cases: 24, max_shrink_iters: 400, ..Config::default() })]

    #[test]
    fn what_is_granted_in_an_outage_is_paid_once(
        steps in prop::collection::vec(step(), 1..70), credit in 1i64..700, bundles in 0u32..2,
        cap in prop::option::of((0i64..400).prop_map(Micros)),
        bundle_overflow in prop::sample::select(Payer::ALL),
    ) {
        let policy = ReservePolicy { bundle_overflow, ..ReservePolicy::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut gateway = Gateway::start(credit, bundles, cap, policy).await;
            for step in &steps {
                gateway.step(step).await;
                gateway.check().await?;
            }
            gateway.crash().await;
            gateway.check().await?;
            gateway.store.release_on_hand(start()).await.unwrap();
            for (account, balance) in gateway.store.balances().await.unwrap() {
                prop_assert_eq!(balance.reserved, 0, "{}", account);
            }
            Ok(())
        })?;
    }
}
