//! Carries the core's questions about channels and money to the ledger, and the answers back.
//!
//! The engine never waits: it puts a question into a queue, and the clerk submits them to the ledger's writer in
//! the order they came, so that a call's reservation is always ahead of its settlement. While the store does not
//! answer, the clerk decides by what is on hand (`admission/outage.rs`).

mod clerk;
mod outage;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use provisioning_store::cdr::{self, Attempt, CallId, CallKind, Direction};
use provisioning_store::journal::Journal;
use provisioning_store::ledger::{self, Limit, Outcome, Payer, SpendWarning};
use provisioning_store::model::{CarrierId, CompanyId, ProfileId as StoreProfileId, Timestamp};
use provisioning_store::store::Store;
use provisioning_store::writer::{Reply as Answer, Writer};
use sip_core::refusal::Refusal;
use sip_core::types::{
    CallRecord, CarrierAttempt, Ending, Grant, Lease, Leg, ProfileId, Question, Reply, Usage,
};
use tokio::sync::{mpsc, oneshot};

use self::clerk::Clerk;
pub use self::outage::{RecoverError, recover};
use crate::config::OnHandConfig;
use crate::http::Readiness;
use crate::metrics::Metrics;
use crate::observe::{ending_code, ending_told};
use crate::tariffs::Tariffs;
use crate::text::kept;

/// Questions that may wait. Beyond it no new call is let in; those that run are still settled.
const WAITING: usize = 20_000;
/// Records of attempts that owe nothing are dropped beyond this many: a flood of refused calls must not eat the memory.
const WAITING_RECORDS: usize = 4 * WAITING;

/// The engine's end: takes questions without waiting.
#[derive(Clone)]
pub struct Admission {
    jobs: mpsc::UnboundedSender<Job>,
    waiting: Arc<AtomicUsize>,
    replies: mpsc::Sender<Reply>,
    metrics: Metrics,
}

/// Where credit that is on hand is asked back. It does not keep the clerk running.
#[derive(Clone, Debug, Default)]
pub struct OnHand(Arc<OnceLock<WayToClerk>>);

#[derive(Debug)]
struct WayToClerk {
    jobs: mpsc::WeakUnboundedSender<Job>,
    waiting: Arc<AtomicUsize>,
}

/// How long it may take until what is on hand is free.
const RELEASE: Duration = Duration::from_secs(2);

impl OnHand {
    /// From now on, this clerk is asked.
    pub fn ask(&self, admission: &Admission) {
        let (jobs, waiting) = (admission.jobs.downgrade(), Arc::clone(&admission.waiting));
        let _asked_before = self.0.set(WayToClerk { jobs, waiting });
    }

    /// Has the clerk free what is on hand for a profile, and returns when it is free, or will not be soon. False if there is
    /// no clerk, so that it can be freed without one.
    pub async fn release(&self, profile: StoreProfileId) -> bool {
        let Some(way) = self.0.get() else { return false };
        let Some(jobs) = way.jobs.upgrade() else { return false };
        let (done, is_done) = oneshot::channel();
        way.waiting.fetch_add(1, Ordering::Relaxed);
        if jobs.send(Job::Release { profile, done }).is_ok() {
            drop(jobs);
            // In an outage nothing is freed; the store says so itself.
            let _late = tokio::time::timeout(RELEASE, is_done).await;
        }
        true
    }
}

/// What the clerk works with.
pub struct Office {
    /// The store.
    pub store: Store,
    /// The ledger's writer.
    pub writer: Writer,
    /// How long the store may take to answer before it is out.
    pub patience: Duration,
    /// What is kept on hand for each profile that calls.
    pub on_hand: OnHandConfig,
    /// What calls are rated and granted by.
    pub tariffs: Arc<ArcSwap<Tariffs>>,
    /// Leads to the engine.
    pub replies: mpsc::Sender<Reply>,
    /// Where it counts.
    pub metrics: Metrics,
    /// Where it says that the store is out.
    pub readiness: Readiness,
}

enum Job {
    Reserve { lease: Lease, profile: ProfileId, usage: Usage, parties: Parties, at: Timestamp },
    Answer { lease: Lease, at: Timestamp, known: Box<CallRecord> },
    Extend { lease: Lease, elapsed: Duration },
    Release { profile: StoreProfileId, done: oneshot::Sender<()> },
    Settle(Box<CallRecord>, Option<String>),
}

/// Who talks to whom, as the core writes it: only what it has read as E.164 has a `+`.
struct Parties {
    from: String,
    is_withheld: bool,
    to: String,
}

impl Parties {
    /// Adds them to what is known of a call.
    fn complete(&self, attempt: Attempt) -> Attempt {
        let (from, to) = (kept(&self.from), kept(&self.to));
        Attempt { from, is_withheld: self.is_withheld, to, ..attempt }
    }
}

impl Admission {
    /// Starts the clerk. The journal is where it keeps what it decides while the store does not answer; nothing waits in
    /// it.
    pub fn start(office: Office, journal: Journal) -> (Self, tokio::task::JoinHandle<()>) {
        let (jobs, queue) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let (replies, metrics) = (office.replies.clone(), office.metrics.clone());
        let task = tokio::spawn(Clerk::new(office, journal, Arc::clone(&waiting)).work(queue));
        (Self { jobs, waiting, replies, metrics }, task)
    }

    /// Takes a question about a lease; gives back any other.
    pub fn ask(&self, question: Question) -> Option<Question> {
        match question {
            Question::Reserve { lease, .. } if self.is_full(WAITING) => {
                self.refuse(Reply::Reserved { lease, result: Err(Refusal::Overloaded) });
            }
            Question::Extend { lease, .. } if self.is_full(WAITING) => {
                self.refuse(Reply::Extended { lease, result: Err(Refusal::Overloaded) });
            }
            Question::Reserve { lease, profile, usage, from, is_withheld, to } => {
                let parties = Parties { from, is_withheld, to };
                self.submit(Job::Reserve { lease, profile, usage, parties, at: wall(Instant::now()) });
            }
            Question::Answer { lease, at, known } => self.submit(Job::Answer { lease, at: wall(at), known }),
            Question::Extend { lease, elapsed } => self.submit(Job::Extend { lease, elapsed }),
            Question::Settle(record) => self.settle(record, None),
            other => return Some(other),
        }
        None
    }

    /// The same as [`Question::Settle`], with what the relay has counted.
    pub fn settle(&self, record: Box<CallRecord>, media: Option<String>) {
        let may_be_lost = !record.reserved && record.answered.is_none();
        if may_be_lost && self.is_full(WAITING_RECORDS) {
            return self.metrics.queue_dropped.with_label_values(&["records"]).inc();
        }
        count_call(&self.metrics, &record);
        self.submit(Job::Settle(record, media));
    }

    fn is_full(&self, bound: usize) -> bool {
        self.waiting.load(Ordering::Relaxed) >= bound
    }

    fn submit(&self, job: Job) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // The clerk ends only after the engine, whose end this is.
        let _ended = self.jobs.send(job);
    }

    fn refuse(&self, reply: Reply) {
        self.metrics.queue_dropped.with_label_values(&["admission"]).inc();
        // Without room for the refusal the core's own timer refuses.
        let _full = self.replies.try_send(reply);
    }
}

/// Counts a share of a call that is over.
fn count_call(metrics: &Metrics, record: &CallRecord) {
    let direction = record.usage.as_ref().map_or_else(|| refused_direction(record).word(), Usage::as_str);
    let result = match (record.answered, &record.ending) {
        (Some(_), Ending::HungUp(_)) => "answered",
        (_, ending) => ending_code(ending),
    };
    metrics.calls.with_label_values(&[direction, result]).inc();
    if let Some(answered) = record.answered {
        let setup = answered.saturating_duration_since(record.started).as_secs_f64();
        metrics.setup_seconds.with_label_values(&[direction]).observe(setup);
    }
}

/// The name of a lease in the books.
fn name(lease: Lease) -> CallId {
    CallId::new(lease.to_string())
}

/// How a call begins, with its terms; refused if the profile may not call the number, or no rate covers it.
pub(crate) fn attempt(
    usage: &Usage,
    tariffs: &Tariffs,
    profile: Option<StoreProfileId>,
    started_at: Timestamp,
) -> Result<Attempt, Refusal> {
    match usage {
        Usage::Outgoing { number } if tariffs.denies(profile, number) => Err(Refusal::PremiumDenied),
        _ => rated(usage, tariffs, profile, started_at),
    }
}

/// The same for a call that is over, or was refused: what it may do is decided.
fn rated(
    usage: &Usage,
    tariffs: &Tariffs,
    profile: Option<StoreProfileId>,
    started_at: Timestamp,
) -> Result<Attempt, Refusal> {
    let number = match usage {
        Usage::Outgoing { number } => number,
        Usage::OnNet { .. } => return Ok(Attempt { tariff: tariffs.on_net, ..unrated(usage, started_at) }),
        Usage::Incoming { .. } | Usage::Echo => return Ok(unrated(usage, started_at)),
    };
    let quote = tariffs.quote(profile, number, started_at).ok_or(Refusal::NoRate)?;
    Ok(Attempt {
        destination: quote.destination,
        country: quote.country,
        tariff: Some(quote.tariff),
        ..unrated(usage, started_at)
    })
}

/// A call that costs nothing, or whose cost is not known; [`Parties::complete`] says between whom.
fn unrated(usage: &Usage, started_at: Timestamp) -> Attempt {
    let (direction, kind) = match usage {
        Usage::Outgoing { .. } => (Direction::Outgoing, CallKind::Telephone),
        Usage::OnNet { .. } => (Direction::Outgoing, CallKind::OnNet),
        Usage::Incoming { .. } => (Direction::Incoming, CallKind::Telephone),
        Usage::Echo => (Direction::Outgoing, CallKind::Echo),
    };
    Attempt {
        direction,
        kind,
        from: String::new(),
        is_withheld: false,
        to: String::new(),
        destination: String::new(),
        country: String::new(),
        tariff: None,
        started_at,
    }
}

/// An attempt that was refused before it was known what it is.
fn unknown(record: &CallRecord, started_at: Timestamp) -> Attempt {
    let usage = Usage::Incoming { called: record.to.clone() };
    Attempt { direction: refused_direction(record), ..unrated(&usage, started_at) }
}

/// Which way an attempt went that was refused before it was known what it is: a carrier brings calls in, and so
/// does a lease of the called half; all else is a PBX that dials.
fn refused_direction(record: &CallRecord) -> Direction {
    match (&record.carrier, record.lease.leg) {
        (Some(_), _) | (None, Leg::Callee) => Direction::Incoming,
        (None, Leg::Caller) => Direction::Outgoing,
    }
}

fn store_record(record: &CallRecord, attempt: Attempt) -> cdr::CallRecord {
    let (from, to) = (record.from.clone(), record.to.clone());
    let parties = Parties { from, is_withheld: record.is_withheld, to };
    let mut attempt = parties.complete(attempt);
    if matches!(record.usage, Some(Usage::Incoming { .. })) && record.carrier.is_none() {
        attempt.kind = CallKind::OnNet;
    }
    cdr::CallRecord {
        profile: record.profile.map(|profile| StoreProfileId(profile.0)),
        phone_of: record.phone_of.map(|company| CompanyId(company.0)),
        attempt,
        ending: ending(record),
    }
}

/// How a call ended, or what is known of it while it goes on.
fn ending(record: &CallRecord) -> cdr::Ending {
    cdr::Ending {
        answered_at: record.answered.map(wall),
        ended_at: wall(record.ended),
        talk_ms: u64::try_from(record.duration().as_millis()).unwrap_or(u64::MAX),
        is_unconfirmed: record.is_unconfirmed,
        reason_code: ending_code(&record.ending).to_owned(),
        reason: ending_told(&record.ending, record.detail.as_deref()),
        sip_status: Some(record.status).filter(|status| *status != 0),
        caller_call_id: record.caller_call_id.clone(),
        callee_call_id: record.callee_call_id.clone().unwrap_or_default(),
        carrier: record.carrier.as_ref().map(|carrier| kept(&carrier.name)).unwrap_or_default(),
        attempts: record.attempts.iter().map(carrier_attempt).collect(),
        cause: record.cause,
        user_agent: kept(record.user_agent.as_deref().unwrap_or_default()),
        media: kept(&record.codecs.join(", ")),
    }
}

/// An attempt to reach a carrier as the record keeps it.
fn carrier_attempt(attempt: &CarrierAttempt) -> cdr::CarrierAttempt {
    cdr::CarrierAttempt {
        carrier: CarrierId(attempt.carrier.id.0),
        name: kept(&attempt.carrier.name),
        address: attempt.address,
        sip_status: attempt.status,
        cause: attempt.cause,
        said: attempt.said.clone(),
        result: attempt.result.code().to_owned(),
        sentence: attempt.result.sentence().to_owned(),
        took_ms: u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The ledger's answer in the core's words.
fn granted(lease: Lease, answer: Answer, metrics: &Metrics) -> Result<Grant, Refusal> {
    match answer {
        Ok(Ok(Outcome::Granted(grant))) => {
            grant.warnings.iter().for_each(|warning| warn(warning, metrics));
            Ok(Grant { paid: grant.paid_s.map(|paid_s| Duration::from_secs(paid_s.into())) })
        }
        Ok(Ok(Outcome::LastGrant(grant, limit))) => Err(exhausted(limit, ran_out(grant.payer))),
        Ok(Ok(other)) => {
            tracing::error!(call = %lease.call, ?other, "The ledger's answer does not fit the question.");
            Err(Refusal::InternalFault)
        }
        Ok(Err(refusal)) => {
            tracing::info!(call = %lease.call, reason = refusal.code(), "The ledger refused: {refusal}.");
            Err(refused(&refusal, Refusal::NoCredit))
        }
        Err(error) => {
            tracing::error!(call = %lease.call, %error, "The ledger could not be asked.");
            Err(Refusal::StoreUnavailable)
        }
    }
}

/// Tells the operator, once in each window, that a profile comes near a cap.
fn warn(warning: &SpendWarning, metrics: &Metrics) {
    let SpendWarning { profile, standing } = warning;
    let window = standing.window.word();
    metrics.spend_guard_warnings.with_label_values(&[window]).inc();
    tracing::warn!(
        profile = profile.0,
        window,
        committed = %standing.committed,
        cap = %standing.cap,
        "A profile comes near the spend cap of this {window}: it has spent or reserved {} of {}.",
        standing.committed,
        standing.cap
    );
}

/// Whose credit has ended a call.
fn ran_out(payer: Payer) -> Refusal {
    match payer {
        Payer::Profile => Refusal::CreditExhausted,
        Payer::Company => Refusal::CompanyCreditExhausted,
    }
}

/// Why a call that runs is granted no more.
fn exhausted(limit: Limit, no_credit: Refusal) -> Refusal {
    match limit {
        Limit::Credit => no_credit,
        Limit::SpendCap(_) => Refusal::SpendCapExhausted,
        Limit::LongestCall => Refusal::LongestCall,
    }
}

fn refused(refusal: &ledger::Refusal, no_credit: Refusal) -> Refusal {
    match refusal {
        ledger::Refusal::NotActive(_) | ledger::Refusal::UnknownProfile(_) => Refusal::ProfileInactive,
        ledger::Refusal::NoFreeChannel { .. } => Refusal::NoChannel,
        ledger::Refusal::InsufficientCredit { .. } => no_credit,
        ledger::Refusal::InsufficientCompanyCredit { .. } => Refusal::NoCompanyCredit,
        ledger::Refusal::CountryDenied { .. } => Refusal::CountryDenied,
        ledger::Refusal::CountryBusy { .. } => Refusal::CountryBusy,
        ledger::Refusal::PriceTooHigh { .. } => Refusal::PriceTooHigh,
        ledger::Refusal::SpendCapReached { .. } => Refusal::SpendCapReached,
        ledger::Refusal::Exhausted(limit) => exhausted(*limit, no_credit),
        _ => Refusal::InternalFault,
    }
}

/// The wall-clock time of a moment of the monotonic clock.
pub fn wall(at: Instant) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let then = match at.checked_duration_since(Instant::now()) {
        Some(ahead) => now + ahead,
        None => now.saturating_sub(at.elapsed()),
    };
    Timestamp(i64::try_from(then.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
