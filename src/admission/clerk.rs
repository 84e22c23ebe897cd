//! The clerk: submits questions to the ledger in their order and hands the answers back; when the ledger does not
//! answer, decides by what is on hand and has the ledger adopt it afterwards.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use provisioning_store::cdr::{Attempt, CallId};
use provisioning_store::error::StoreError;
use provisioning_store::journal::Journal;
use provisioning_store::ledger::{self, Held, LedgerEntry, LedgerOp, Outcome, Reservation};
use provisioning_store::model::{ProfileId as StoreProfileId, Timestamp};
use provisioning_store::money::Micros;
use provisioning_store::standby::{Doubt, Standby};
use provisioning_store::writer::Reply as Answer;
use sip_core::refusal::Refusal;
use sip_core::types::{CallRecord, Grant, Lease, ProfileId, Reply, Usage};
use tokio::sync::{mpsc, oneshot};

use super::outage::Outage;
use super::{
    Job, Office, Parties, attempt, ending, granted, name, rated, refused, store_record, unknown, unrated,
    wall,
};

/// Questions that may be with the writer; it takes a few more than these.
const ASKED: usize = 8_000;
/// An answer that comes later is late: then more is asked than the ledger can do.
const LATE: Duration = Duration::from_millis(500);
/// The same as a part of the store's patience, where that is longer.
const LATE_PART: u32 = 4;
/// How often it is looked whether the writer still answers.
const TICK: Duration = Duration::from_millis(100);
/// How often it is looked what is on hand, in ticks.
const TEND_EVERY: u32 = 100;
/// What is on hand is freed when a profile has had no call for so long.
const IDLE: Duration = Duration::from_secs(300);

/// A question that the writer has been asked.
struct Asked {
    at: Timestamp,
    op: LedgerOp,
    lease: Option<Lease>,
    begun: Instant,
    answer: oneshot::Receiver<Answer>,
}

/// A profile for which something is kept on hand.
struct Keeping {
    /// When it last had a call.
    used: Instant,
    /// What was on hand when the ledger was asked for it last.
    got: Held,
}

/// See the module.
pub(super) struct Clerk {
    office: Office,
    waiting: Arc<AtomicUsize>,
    /// How the calls began that hold a reservation.
    attempts: HashMap<Lease, Attempt>,
    /// What the writer has not answered yet, oldest first: it answers in order.
    asked: VecDeque<Asked>,
    /// When the writer last answered, or had nothing to answer.
    heard: Instant,
    standby: Standby,
    keeping: HashMap<StoreProfileId, Keeping>,
    /// Who waits until what is on hand for a profile is free.
    releasing: Vec<(StoreProfileId, oneshot::Sender<()>)>,
    /// Absent in an outage.
    journal: Option<Journal>,
    outage: Option<Outage>,
}

impl Clerk {
    pub(super) fn new(office: Office, journal: Journal, waiting: Arc<AtomicUsize>) -> Self {
        office.metrics.store_up.set(1);
        Self {
            standby: Standby::new(office.store.policy()),
            journal: Some(journal),
            office,
            waiting,
            attempts: HashMap::new(),
            asked: VecDeque::new(),
            heard: Instant::now(),
            keeping: HashMap::new(),
            releasing: Vec::new(),
            outage: None,
        }
    }

    pub(super) async fn work(mut self, mut queue: mpsc::UnboundedReceiver<Job>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut is_open, mut tick) = (true, 0_u32);
        while is_open || !self.is_done() {
            let takes = is_open && self.has_room();
            tokio::select! {
                biased;
                answer = first(&mut self.asked), if !self.asked.is_empty() => self.on_answer(answer).await,
                event = next(&mut self.outage), if self.outage.is_some() => {
                    let replies = self.outage.as_mut().map(|outage| outage.on_event(event));
                    self.send(replies.unwrap_or_default()).await;
                }
                job = queue.recv(), if takes => match job {
                    Some(job) => {
                        self.waiting.fetch_sub(1, Ordering::Relaxed);
                        self.take(job).await;
                    }
                    None => is_open = false,
                },
                _ = ticks.tick() => {
                    tick = tick.wrapping_add(1);
                    self.on_tick(tick);
                }
            }
            self.send_refusals().await;
            self.go_on();
        }
    }

    /// Nothing is left that would be lost: in an outage, all is in the journal, which the next start reads.
    fn is_done(&self) -> bool {
        self.asked.is_empty() && self.outage.as_ref().is_none_or(Outage::is_written)
    }

    fn has_room(&self) -> bool {
        match &self.outage {
            Some(outage) => outage.takes_questions(ASKED),
            None => self.asked.len() < ASKED,
        }
    }

    async fn take(&mut self, job: Job) {
        match job {
            Job::Reserve { lease, profile, usage, parties, at } => {
                self.reserve(lease, profile, (&usage, &parties), at).await;
            }
            Job::Answer { lease, at, known } => {
                let known = Some(Box::new(ending(&known)));
                self.ask(at, LedgerOp::Answer { call: name(lease), at, known }, Some(lease));
            }
            Job::Extend { lease, elapsed } => {
                let elapsed_s = u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX);
                let op = LedgerOp::Extend { call: name(lease), elapsed_s };
                self.ask(wall(Instant::now()), op, Some(lease));
            }
            Job::Release { profile, done } => self.release(profile, done),
            Job::Settle(record, media) => self.settle(&record, media.as_deref()),
        }
    }

    async fn reserve(
        &mut self,
        lease: Lease,
        profile: ProfileId,
        (usage, parties): (&Usage, &Parties),
        at: Timestamp,
    ) {
        let attempt = match attempt(usage, &self.office.tariffs.load(), Some(StoreProfileId(profile.0)), at) {
            Ok(attempt) => parties.complete(attempt),
            Err(refusal) => return self.send(vec![Reply::Reserved { lease, result: Err(refusal) }]).await,
        };
        let oldest = self.asked.front().map(|asked| asked.begun.elapsed());
        if is_behind(oldest, self.heard.elapsed(), LATE.max(self.office.patience / LATE_PART)) {
            self.office.metrics.queue_dropped.with_label_values(&["admission"]).inc();
            let result = Err(Refusal::Overloaded);
            return self.send(vec![Reply::Reserved { lease, result }]).await;
        }
        self.attempts.insert(lease, attempt.clone());
        let is_paid = attempt.tariff.is_some_and(|tariff| !tariff.is_free());
        let profile = StoreProfileId(profile.0);
        let op = LedgerOp::Reserve { call: name(lease), profile, attempt: Box::new(attempt) };
        self.ask(at, op, Some(lease));
        if is_paid && self.office.on_hand.is_on() {
            self.keep(at, profile);
        }
    }

    fn settle(&mut self, record: &CallRecord, media: Option<&str>) {
        let lease = record.lease;
        let tariffs = self.office.tariffs.load_full();
        let started = wall(record.started);
        let (kept, profile) =
            (self.attempts.remove(&lease), record.profile.map(|profile| StoreProfileId(profile.0)));
        let attempt = kept.unwrap_or_else(|| match &record.usage {
            Some(usage) => {
                rated(usage, &tariffs, profile, started).unwrap_or_else(|_| unrated(usage, started))
            }
            None => unknown(record, started),
        });
        let mut record = store_record(record, attempt);
        if let Some(media) = media {
            let separator = if record.ending.media.is_empty() { "" } else { "; " };
            record.ending.media = format!("{}{separator}{media}", record.ending.media);
        }
        let at = record.ending.ended_at;
        self.ask(at, LedgerOp::Settle { call: name(lease), record: Box::new(record) }, Some(lease));
    }

    /// Asks the ledger, behind all that was asked before; in an outage, decides.
    fn ask(&mut self, at: Timestamp, op: LedgerOp, lease: Option<Lease>) {
        if self.outage.is_some() {
            return self.improvise(at, op, lease, Doubt::Unasked);
        }
        if self.asked.is_empty() {
            self.heard = Instant::now();
        }
        match self.office.writer.try_submit(at, op.clone()) {
            Ok(answer) => self.asked.push_back(Asked { at, op, lease, begun: Instant::now(), answer }),
            Err(full) => {
                self.begin_outage(None, &full.to_string());
                self.improvise(at, op, lease, Doubt::Unasked);
            }
        }
    }

    /// Lets an outage's refusals out.
    async fn send_refusals(&mut self) {
        let refusals = self.outage.as_mut().map(|outage| std::mem::take(&mut outage.refusals));
        self.send(refusals.unwrap_or_default()).await;
    }

    async fn send(&self, replies: Vec<Reply>) {
        for reply in replies {
            // An engine that is gone needs no answer.
            let _gone = self.office.replies.send(reply).await;
        }
    }
}

/// Whether the ledger answers, but what it answers was asked long ago: then more is asked than it can do, and a call
/// that waits its turn would not be wanted any more when it comes. A ledger that does not answer is another matter.
fn is_behind(oldest: Option<Duration>, silence: Duration, late: Duration) -> bool {
    oldest.is_some_and(|waited| waited > late) && silence <= late
}

/// The writer's next answer.
async fn first(asked: &mut VecDeque<Asked>) -> Answer {
    match asked.front_mut() {
        Some(first) => (&mut first.answer).await.unwrap_or(Err(StoreError::Closed)),
        None => std::future::pending().await,
    }
}

async fn next(outage: &mut Option<Outage>) -> super::outage::Event {
    match outage {
        Some(outage) => outage.event().await,
        None => std::future::pending().await,
    }
}

/// What the ledger has answered.
impl Clerk {
    async fn on_answer(&mut self, answer: Answer) {
        let Some(asked) = self.asked.pop_front() else { return };
        self.heard = Instant::now();
        let operation = operation(&asked.op);
        self.office.metrics.store(operation).observe(asked.begun.elapsed().as_secs_f64());
        if answer.is_err() {
            self.office.metrics.store_failures.with_label_values(&[operation]).inc();
        }
        match answer {
            Err(error) if error.is_transient() => self.begin_outage(Some(asked), &error.to_string()),
            answer => self.on_decided(asked, answer).await,
        }
    }

    async fn on_decided(&mut self, asked: Asked, answer: Answer) {
        match (asked.op, asked.lease, answer) {
            (LedgerOp::Reserve { call, profile, attempt }, Some(lease), answer) => {
                if let Ok(Ok(Outcome::Granted(grant))) = &answer {
                    self.standby.reserved(&call, profile, &attempt, grant.clone());
                }
                let result = granted(lease, answer, &self.office.metrics);
                self.send(vec![Reply::Reserved { lease, result }]).await;
            }
            (LedgerOp::Extend { call, elapsed_s }, Some(lease), answer) => {
                if let Ok(Ok(Outcome::Granted(grant) | Outcome::LastGrant(grant, _))) = &answer {
                    self.standby.extended(&call, elapsed_s, grant.clone());
                }
                let result = granted(lease, answer, &self.office.metrics);
                self.send(vec![Reply::Extended { lease, result }]).await;
            }
            (LedgerOp::Answer { call, at, known }, _, Ok(Ok(_))) => self.standby.answered(&call, at, known),
            (LedgerOp::Settle { call, .. }, lease, answer) => {
                self.standby.ended(&call);
                on_settled(&call, lease, answer);
            }
            (LedgerOp::Hold { profile, .. }, _, Ok(Ok(Outcome::OnHand(held)))) => {
                self.on_kept(profile, held);
            }
            // The record names the time of answer too, so nothing is lost but the proof after a crash.
            (op, _, Ok(Err(refusal))) => tracing::warn!(?op, %refusal, "The ledger refused."),
            (op, _, answer) => tracing::error!(?op, ?answer, "The ledger did not do what it was asked."),
        }
    }
}

fn on_settled(call: &CallId, lease: Option<Lease>, answer: Answer) {
    let leg = lease.map_or("", |lease| lease.leg.as_str());
    match answer {
        Ok(Ok(Outcome::Settled(settlement))) => {
            let (billed_s, amount) = (settlement.billed_s, settlement.amount);
            tracing::info!(%call, leg, billed_s, %amount, "The call was settled.");
        }
        other => tracing::error!(%call, leg, ?other, "The ledger did not settle the call."),
    }
}

/// What is kept on hand.
impl Clerk {
    /// A profile calls: from now on, something is on hand for it.
    fn keep(&mut self, at: Timestamp, profile: StoreProfileId) {
        let now = Instant::now();
        if let Some(keeping) = self.keeping.get_mut(&profile) {
            keeping.used = now;
            return;
        }
        self.keeping.insert(profile, Keeping { used: now, got: Held::default() });
        self.top_up(at, profile);
    }

    fn top_up(&mut self, at: Timestamp, profile: StoreProfileId) {
        let (credit, bundle_s) = self.office.on_hand.amounts();
        self.ask(at, LedgerOp::Hold { profile, credit, bundle_s }, None);
    }

    /// It is asked back: not counted on from now on, and free once the ledger has heard of it. The next call has something
    /// kept again.
    fn release(&mut self, profile: StoreProfileId, done: oneshot::Sender<()>) {
        if self.outage.is_some() {
            return;
        }
        self.releasing.retain(|(_, done)| !done.is_closed());
        self.releasing.push((profile, done));
        self.keeping.remove(&profile);
        self.standby.set_on_hand(profile, Held::default());
        let nothing = LedgerOp::Hold { profile, credit: Micros::ZERO, bundle_s: 0 };
        self.ask(wall(Instant::now()), nothing, None);
    }

    fn on_kept(&mut self, profile: StoreProfileId, held: Held) {
        self.standby.set_on_hand(profile, held);
        if held.is_nothing() {
            for (_, done) in self.releasing.extract_if(.., |(of, _)| *of == profile) {
                let _gone = done.send(());
            }
        }
        if let Some(keeping) = self.keeping.get_mut(&profile) {
            keeping.got = held;
        }
    }

    /// Tops up what has been drawn on, and frees what is not needed any more.
    fn tend(&mut self) {
        let at = wall(Instant::now());
        let (credit, _) = self.office.on_hand.amounts();
        let tariffs = self.office.tariffs.load_full();
        let (mut low, mut idle) = (Vec::new(), Vec::new());
        for (&profile, keeping) in &mut self.keeping {
            if self.standby.calls_of(profile) > 0 {
                keeping.used = Instant::now();
            }
            let left = self.standby.on_hand(profile);
            let subscription = tariffs.subscribers.get(&profile).and_then(|it| it.subscription);
            let is_new_period = subscription.is_some_and(|it| it.period != left.bundle_period);
            if keeping.used.elapsed() > IDLE {
                idle.push(profile);
            } else if left.credit.0 < credit.0 / 2 || left.bundle_s < keeping.got.bundle_s || is_new_period {
                low.push(profile);
            }
        }
        for profile in idle {
            // Not counted on from now on, whenever the ledger frees it.
            self.keeping.remove(&profile);
            self.standby.set_on_hand(profile, Held::default());
            self.ask(at, LedgerOp::Hold { profile, credit: Micros::ZERO, bundle_s: 0 }, None);
        }
        low.into_iter().for_each(|profile| self.top_up(at, profile));
    }
}

/// Without the ledger.
impl Clerk {
    fn on_tick(&mut self, tick: u32) {
        if let Some(outage) = &mut self.outage {
            self.office.metrics.store_outage_seconds.inc_by(outage.seconds_since_counted());
        } else if !self.asked.is_empty() && self.heard.elapsed() > self.office.patience {
            self.begin_outage(None, &format!("no answer for {} ms", self.office.patience.as_millis()));
        } else if tick.is_multiple_of(TEND_EVERY) {
            self.tend();
        }
    }

    /// From here on, decides by what is on hand; first of all about what was asked and may or may not have been done.
    fn begin_outage(&mut self, failed: Option<Asked>, why: &str) {
        let Some(journal) = self.journal.take() else { return };
        tracing::warn!(why, "The store does not answer: calls go on, new ones within what is on hand.");
        self.office.metrics.store_up.set(0);
        self.office.readiness.set_degraded(true);
        self.standby.set_policy(self.office.store.policy());
        self.standby.set_subscribers(self.office.tariffs.load().subscribers.clone());
        let mut outage = Outage::new(self.office.store.clone(), self.office.patience, journal);
        let mut in_doubt = Vec::new();
        in_doubt.extend(failed.map(|asked| (asked.at, asked.op, asked.lease)));
        for asked in self.asked.drain(..) {
            outage.wait_for(asked.answer);
            in_doubt.push((asked.at, asked.op, asked.lease));
        }
        self.outage = Some(outage);
        for (at, op, lease) in in_doubt {
            self.improvise(at, op, lease, Doubt::MayBeDone);
        }
    }

    fn go_on(&mut self) {
        let Some(outage) = &mut self.outage else { return };
        self.office.metrics.journal_entries.set(outage.entries as i64);
        let Some(journal) = outage.go_on() else { return };
        self.office.metrics.store_outage_seconds.inc_by(outage.seconds_since_counted());
        let (seconds, entries) = (outage.since.elapsed().as_secs_f64(), outage.entries);
        self.outage = None;
        self.office.writer.resume();
        tracing::info!(seconds, entries, "The store answers again, and knows what was decided meanwhile.");
        self.office.metrics.store_up.set(1);
        self.office.metrics.journal_entries.set(0);
        self.office.readiness.set_degraded(false);
        self.journal = Some(journal);
        self.empty_journal();
        // What is on hand may be more than was counted on.
        let at = wall(Instant::now());
        let kept: Vec<_> = self.keeping.keys().copied().collect();
        kept.into_iter().for_each(|profile| self.top_up(at, profile));
    }

    /// What is in the database need not be read again; if it is, nothing happens twice.
    fn empty_journal(&mut self) {
        let cleared = self.journal.as_mut().map(Journal::clear);
        if let Some(Err(error)) = cleared {
            tracing::warn!(%error, "The journal could not be emptied; the next start reads it again.");
        }
    }

    fn improvise(&mut self, at: Timestamp, op: LedgerOp, lease: Option<Lease>, doubt: Doubt) {
        let Some(outage) = &mut self.outage else { return };
        let can_grant = outage.can_grant();
        let adopt = |granted: &Reservation| LedgerEntry {
            at,
            op: LedgerOp::Adopt { granted: Box::new(granted.clone()) },
        };
        match (op, lease) {
            (LedgerOp::Reserve { call, profile, attempt }, Some(lease)) => {
                let decided = match can_grant {
                    true => self.standby.reserve(at, &call, profile, &attempt, doubt),
                    false => Err(ledger::Refusal::UnknownCall(call)),
                };
                let word = if decided.is_ok() { "granted" } else { "refused" };
                self.office.metrics.calls_on_hand.with_label_values(&[word]).inc();
                let entry = decided.as_ref().ok().map(adopt);
                let result = decided.map(|granted| grant(&granted)).map_err(|refusal| spent(&refusal));
                outage.tell(entry, Reply::Reserved { lease, result });
            }
            (LedgerOp::Extend { call, elapsed_s }, Some(lease)) => {
                let decided = match can_grant {
                    true => self.standby.extend(at, &call, elapsed_s, doubt),
                    false => Err(ledger::Refusal::UnknownCall(call)),
                };
                let entry = decided.as_ref().ok().map(adopt);
                let result = decided.map(|granted| grant(&granted)).map_err(|refusal| spent(&refusal));
                outage.tell(entry, Reply::Extended { lease, result });
            }
            (LedgerOp::Answer { call, at: answered_at, known }, _) => {
                self.standby.answered(&call, answered_at, known.clone());
                outage.note(LedgerEntry { at, op: LedgerOp::Answer { call, at: answered_at, known } }, None);
            }
            (LedgerOp::Settle { call, record }, _) => {
                self.standby.ended(&call);
                outage.note(LedgerEntry { at, op: LedgerOp::Settle { call, record } }, None);
            }
            // What is on hand is looked after when the store is back.
            _ => {}
        }
    }
}

/// The core's word for what was granted on hand.
fn grant(granted: &Reservation) -> Grant {
    Grant { paid: granted.paid_s.map(|paid_s| Duration::from_secs(paid_s.into())) }
}

/// The core's word for what was refused on hand.
fn spent(refusal: &ledger::Refusal) -> Refusal {
    match refusal {
        ledger::Refusal::UnknownCall(_) | ledger::Refusal::UnknownProfile(_) => Refusal::StoreUnavailable,
        // None of the company's credit is on hand, however much there is of it.
        ledger::Refusal::InsufficientCompanyCredit { .. } => Refusal::NothingOnHand,
        other => refused(other, Refusal::NothingOnHand),
    }
}

/// The label of an operation.
fn operation(op: &LedgerOp) -> &'static str {
    match op {
        LedgerOp::Reserve { .. } => "reserve",
        LedgerOp::Answer { .. } => "answer",
        LedgerOp::Extend { .. } => "extend",
        LedgerOp::Settle { .. } => "settle",
        LedgerOp::Hold { .. } => "hold",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_behind_when_it_answers_late_and_out_when_it_does_not_answer() {
        let ms = Duration::from_millis;
        assert!(!is_behind(None, ms(0), LATE));
        assert!(!is_behind(Some(ms(400)), ms(1), LATE));
        assert!(is_behind(Some(ms(501)), ms(1), LATE));
        assert!(!is_behind(Some(ms(700)), ms(600), LATE), "an outage is decided on hand");
    }

    #[test]
    fn what_is_not_on_hand_is_not_said_to_be_spent() {
        let (needed, available) = (Micros(30), Micros::ZERO);
        for refusal in [
            ledger::Refusal::InsufficientCredit { needed, available },
            ledger::Refusal::InsufficientCompanyCredit { needed, available },
        ] {
            assert_eq!(spent(&refusal), Refusal::NothingOnHand);
        }
    }
}
