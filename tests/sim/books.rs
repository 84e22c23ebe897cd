//! Accounting in the simulation: the store's own oracle, asked as the daemon asks its database.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use provisioning_store::cdr::{self, Attempt, CallId, CallKind, Direction};
use provisioning_store::ledger::{Account, LedgerOp, Limit, Outcome, Refusal as Refused};
use provisioning_store::lifecycle::{Order, PriceList};
use provisioning_store::memory::LedgerState;
use provisioning_store::model::{self, CompanyId, GuardOverrides, Timestamp};
use provisioning_store::money::Micros;
use provisioning_store::rating::{BundleCover, Tariff};
use sip_core::refusal::Refusal;
use sip_core::types::{CallRecord, Ending, Grant, Lease, ProfileId, Usage};

const COMPANY: CompanyId = CompanyId(1);
/// What the company has left after its subscriptions, so that no purchase fails.
const COMPANY_CREDIT: Micros = Micros::from_units(1_000);
/// A call to the US, a minute.
const US_RATE: Micros = Micros(8_000);

/// What one profile begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means {
    pub(crate) profile: ProfileId,
    pub(crate) channels: u32,
    pub(crate) bundles: u32,
    /// Minutes in each bundle.
    pub(crate) bundle_minutes: u32,
    pub(crate) credit: Micros,
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Sound,
    /// It refuses whatever is asked, and what it is told waits.
    Failing,
}

/// What the store was told while it failed.
#[derive(Debug)]
enum Told {
    Answered(Lease, Timestamp, Box<CallRecord>),
    Settled(Box<CallRecord>),
}

/// The ledger, and what the checks want to know besides.
pub(crate) struct Books {
    pub(crate) ledger: LedgerState,
    pub(crate) means: Vec<Means>,
    /// Price of a minute to anywhere but the US.
    pub(crate) far_rate: Micros,
    /// Leases that were asked for and not settled.
    pub(crate) open: BTreeSet<Lease>,
    /// Leases settled, each once.
    pub(crate) settled: BTreeSet<Lease>,
    /// Records handed over, for the checks.
    pub(crate) records: Vec<CallRecord>,
    pub(crate) health: Health,
    /// What it says to every question about money and channels, whatever is in it.
    pub(crate) verdict: Option<Refusal>,
    backlog: Vec<Told>,
    /// Leases whose gateway died.
    pub(crate) orphans: BTreeSet<CallId>,
    /// How far the wall clock is off, seconds.
    pub(crate) clock_jump_s: i64,
    /// What has been paid for, by lease.
    paid: BTreeMap<Lease, Duration>,
    base: Instant,
    base_unix_s: u64,
}

impl Books {
    pub(crate) fn new(base: Instant, base_unix_s: u64) -> Self {
        let mut books = Self {
            ledger: LedgerState::default(),
            means: Vec::new(),
            far_rate: Micros::from_units(1),
            open: BTreeSet::new(),
            settled: BTreeSet::new(),
            records: Vec::new(),
            health: Health::Sound,
            verdict: None,
            backlog: Vec::new(),
            orphans: BTreeSet::new(),
            clock_jump_s: 0,
            paid: BTreeMap::new(),
            base,
            base_unix_s,
        };
        books.book(base, LedgerOp::OpenCompany { company: COMPANY });
        books
    }

    /// Opens a profile's account and gives it what it begins with.
    pub(crate) fn open_profile(&mut self, means: Means) {
        let profile = model::ProfileId(means.profile.0);
        let prices = PriceList { bundle_minutes: means.bundle_minutes, ..PriceList::default() };
        let order = Order { channels: means.channels, bundles: means.bundles };
        self.means.push(means);
        let amount = Micros(COMPANY_CREDIT.0 * 10 + means.credit.0);
        let at = self.base;
        self.book(at, LedgerOp::TopUp { company: COMPANY, amount, note: "paid in".into() });
        self.book(at, LedgerOp::OpenProfile { profile, company: COMPANY });
        self.book(at, LedgerOp::Subscribe { profile, order, prices: Box::new(prices) });
        if means.credit > Micros::ZERO {
            self.book(at, LedgerOp::Allocate { profile, amount: means.credit });
        }
    }

    /// Sets a profile's spend guard.
    pub(crate) fn guard(&mut self, at: Instant, profile: ProfileId, guard: GuardOverrides) {
        let profile = model::ProfileId(profile.0);
        self.book(at, LedgerOp::SetGuard { profile, guard: Box::new(guard) });
    }

    /// Lets a profile spend on.
    pub(crate) fn release_guard(&mut self, at: Instant, profile: ProfileId) {
        self.book(at, LedgerOp::ReleaseGuard { profile: model::ProfileId(profile.0) });
    }

    fn book(&mut self, at: Instant, op: LedgerOp) {
        let now = self.wall(at);
        self.ledger.apply(now, op).expect("what an administrator asks is in order");
    }

    fn wall(&self, at: Instant) -> Timestamp {
        let since = i64::try_from(at.duration_since(self.base).as_micros()).expect("a run is short");
        Timestamp(Timestamp::from_unix_s(self.base_unix_s as i64 + self.clock_jump_s).0 + since)
    }

    /// The profile's credit.
    pub(crate) fn credit(&self, profile: ProfileId) -> Micros {
        Micros(self.ledger.books().balance(Account::Profile(model::ProfileId(profile.0))).balance)
    }

    /// Channels of the profile in use.
    pub(crate) fn channels_in_use(&self, profile: ProfileId) -> usize {
        self.ledger.books().channels_in_use(model::ProfileId(profile.0))
    }

    /// Whether a lease holds a channel.
    pub(crate) fn holds(&self, lease: Lease) -> bool {
        self.ledger.books().live_call(&name(lease)).is_some()
    }

    pub(crate) fn reserve(
        &mut self,
        now: Instant,
        lease: Lease,
        profile: ProfileId,
        usage: &Usage,
    ) -> Result<Grant, Refusal> {
        assert!(self.open.insert(lease), "{lease} was asked for twice");
        assert!(!self.settled.contains(&lease), "{lease} was asked for after it was settled");
        let attempt = Box::new(self.attempt(now, usage));
        let op = LedgerOp::Reserve { call: name(lease), profile: model::ProfileId(profile.0), attempt };
        self.grant(now, lease, op)
    }

    pub(crate) fn extend(&mut self, now: Instant, lease: Lease, elapsed: Duration) -> Result<Grant, Refusal> {
        let elapsed_s = u32::try_from(elapsed.as_secs()).expect("a run is short");
        self.grant(now, lease, LedgerOp::Extend { call: name(lease), elapsed_s })
    }

    fn grant(&mut self, now: Instant, lease: Lease, op: LedgerOp) -> Result<Grant, Refusal> {
        if self.health == Health::Failing {
            return Err(Refusal::StoreUnavailable);
        }
        if let Some(why) = self.verdict {
            return Err(why);
        }
        let at = self.wall(now);
        match self.ledger.apply(at, op) {
            Ok(Outcome::Granted(grant)) => {
                let paid = grant.paid_s.map(|paid_s| Duration::from_secs(paid_s.into()));
                self.paid.extend(paid.map(|paid| (lease, paid)));
                Ok(Grant { paid })
            }
            Ok(Outcome::LastGrant(_, limit)) => Err(match limit {
                Limit::Credit => Refusal::CreditExhausted,
                Limit::SpendCap(_) => Refusal::SpendCapExhausted,
                Limit::LongestCall => Refusal::LongestCall,
            }),
            Ok(other) => panic!("a grant was asked for, {other:?} came"),
            Err(refused) => Err(refusal(&refused)),
        }
    }

    pub(crate) fn answer(&mut self, now: Instant, lease: Lease, at: Instant, known: Box<CallRecord>) {
        let at = self.wall(at);
        self.tell(now, Told::Answered(lease, at, known));
    }

    /// Writes down what the store is told, or keeps it until the store is back.
    fn tell(&mut self, now: Instant, told: Told) {
        if self.health == Health::Failing {
            return self.backlog.push(told);
        }
        let op = match told {
            Told::Answered(lease, at, known) => {
                let known = Some(Box::new(self.stored(&known).ending));
                LedgerOp::Answer { call: name(lease), at, known }
            }
            Told::Settled(record) => {
                LedgerOp::Settle { call: name(record.lease), record: Box::new(self.stored(&record)) }
            }
        };
        let at = self.wall(now);
        self.ledger.apply(at, op).expect("what has happened is never refused");
    }

    /// The store is back, and learns what it missed.
    pub(crate) fn catch_up(&mut self, now: Instant) {
        self.health = Health::Sound;
        for told in std::mem::take(&mut self.backlog) {
            self.tell(now, told);
        }
    }

    /// Leases that are settled, though the store does not know it yet.
    pub(crate) fn held_for_nobody(&self) -> usize {
        let settled = |told: &&Told| matches!(told, Told::Settled(record) if self.holds(record.lease));
        self.backlog.iter().filter(settled).count()
    }

    /// The gateway died: what it had not told is lost, and what it left behind is settled to its last proved second.
    pub(crate) fn start_again(&mut self, now: Instant) {
        self.health = Health::Sound;
        for told in std::mem::take(&mut self.backlog) {
            if let Told::Settled(record) = told
                && !self.holds(record.lease)
            {
                self.settled.remove(&record.lease);
            }
        }
        self.orphans.extend(self.ledger.books().live_calls().map(|call| call.call.clone()));
        let left = std::mem::take(&mut self.open).into_iter();
        let held: Vec<_> = left.filter(|lease| self.holds(*lease)).collect();
        self.settled.extend(held);
        let at = self.wall(now);
        self.ledger.settle_orphans(at);
        assert_eq!(
            self.ledger.books().live_calls().count(),
            0,
            "a channel is still in use after the restart"
        );
    }

    pub(crate) fn settle(&mut self, now: Instant, record: CallRecord) {
        let lease = record.lease;
        assert!(self.settled.insert(lease), "{lease} was settled twice");
        assert_eq!(record.reserved, self.open.remove(&lease), "{lease}: was it reserved?");
        if let Some(paid) = self.paid.get(&lease) {
            assert!(record.duration() <= *paid, "{lease} lasted {:?}, paid were {paid:?}", record.duration());
        }
        self.tell(now, Told::Settled(Box::new(record.clone())));
        self.records.push(record);
    }

    fn stored(&self, record: &CallRecord) -> cdr::CallRecord {
        let usage = record.usage.clone().unwrap_or_else(|| Usage::Incoming { called: record.to.clone() });
        let reason_code = match record.ending {
            Ending::HungUp(_) => "completed",
            Ending::Cancelled => "cancelled",
            Ending::Refused(why) => why.code(),
        };
        cdr::CallRecord {
            profile: record.profile.map(|profile| model::ProfileId(profile.0)),
            phone_of: record.phone_of.map(|company| CompanyId(company.0)),
            attempt: Attempt {
                from: record.from.clone(),
                is_withheld: record.is_withheld,
                to: record.to.clone(),
                ..self.attempt(record.started, &usage)
            },
            ending: cdr::Ending {
                answered_at: record.answered.map(|at| self.wall(at)),
                ended_at: self.wall(record.ended),
                talk_ms: record.duration().as_millis() as u64,
                is_unconfirmed: record.is_unconfirmed,
                reason_code: reason_code.into(),
                sip_status: Some(record.status),
                caller_call_id: record.caller_call_id.clone(),
                callee_call_id: record.callee_call_id.clone().unwrap_or_default(),
                ..cdr::Ending::default()
            },
        }
    }

    fn attempt(&self, started: Instant, usage: &Usage) -> Attempt {
        let (direction, kind, tariff) = match usage {
            Usage::Outgoing { number } => {
                (Direction::Outgoing, CallKind::Telephone, Some(self.tariff(number)))
            }
            Usage::OnNet { .. } => (Direction::Outgoing, CallKind::OnNet, None),
            Usage::Incoming { .. } => (Direction::Incoming, CallKind::Telephone, None),
            Usage::Echo => (Direction::Outgoing, CallKind::Echo, None),
        };
        Attempt {
            direction,
            kind,
            from: String::new(),
            is_withheld: false,
            to: String::new(),
            destination: String::new(),
            country: country(usage).to_owned(),
            tariff,
            started_at: self.wall(started),
        }
    }

    fn tariff(&self, number: &str) -> Tariff {
        if number.starts_with('1') {
            Tariff::standard(US_RATE, BundleCover::Covered)
        } else {
            Tariff::standard(self.far_rate, BundleCover::NotCovered)
        }
    }
}

/// Where a dialled number lies.
fn country(usage: &Usage) -> &'static str {
    match usage {
        Usage::Outgoing { number } if number.starts_with('1') => "US",
        Usage::Outgoing { number } if number.starts_with("372") => "EE",
        _ => "",
    }
}

fn name(lease: Lease) -> CallId {
    CallId::new(lease.to_string())
}

fn refusal(refused: &Refused) -> Refusal {
    match refused {
        Refused::NoFreeChannel { .. } => Refusal::NoChannel,
        Refused::InsufficientCredit { .. } => Refusal::NoCredit,
        Refused::NotActive(_) => Refusal::ProfileInactive,
        Refused::CountryDenied { .. } => Refusal::CountryDenied,
        Refused::CountryBusy { .. } => Refusal::CountryBusy,
        Refused::PriceTooHigh { .. } => Refusal::PriceTooHigh,
        Refused::SpendCapReached { .. } => Refusal::SpendCapReached,
        other => panic!("the core asked for something out of order: {other}"),
    }
}
