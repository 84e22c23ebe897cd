//! Shares one commit among operations that arrive together.
//!
//! While a batch is being synced to disk, the next one gathers; so the busier the gateway, the larger its batches and
//! the less each operation costs, and a call that is alone waits for nobody. Once calls begin so fast that they meet, a batch waits
//! a few milliseconds for company, which no caller hears: a batch costs about the same whether it carries two or ten. What no
//! call waits for, an errand, goes with the next call, or by itself after as long: so the disk is free when a call comes.
//!
//! After the database has failed, every operation behind it fails too, until the caller says that it has taken notice: so
//! what was done is always the first part of what was asked, and never something behind a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::error::StoreError;
use crate::ledger::{LedgerEntry, LedgerOp, Outcome, Refusal};
use crate::model::Timestamp;
use crate::store::Store;

/// Bounds of a writer.
#[derive(Clone, Copy, Debug)]
pub struct WriterLimits {
    /// Most operations in one commit, at least 1.
    pub batch: usize,
    /// Most operations that wait for theirs, at least 1; beyond it callers wait, or are told by
    /// [`Writer::try_submit`].
    pub queue: usize,
    /// Where calls meet, a batch of fewer than 32 operations begins no sooner than this after the one before; errands
    /// wait this long for a call. Zero gathers nothing.
    pub gather: Duration,
}

impl Default for WriterLimits {
    fn default() -> Self {
        Self { batch: 512, queue: 8_192, gather: Duration::from_millis(8) }
    }
}

/// What becomes of an operation: the ledger's answer, or the store's failure, in which case it has not happened, or at
/// worst without anybody having been told: when the database failed while it committed.
pub type Reply = Result<Result<Outcome, Refusal>, StoreError>;

/// An operation that the queue had no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger's queue is full; the database does not keep up")]
pub struct QueueFull;

struct Job {
    entry: LedgerEntry,
    reply: oneshot::Sender<Reply>,
    /// A call waits for the answer, or whoever asked.
    is_awaited: bool,
}

impl Job {
    /// An operation of a call. Some are errands: the call goes on without their answer.
    fn of_call(at: Timestamp, op: LedgerOp, reply: oneshot::Sender<Reply>) -> Self {
        let is_errand =
            matches!(op, LedgerOp::Answer { .. } | LedgerOp::Settle { .. } | LedgerOp::Hold { .. });
        Self { entry: LedgerEntry { at, op }, reply, is_awaited: !is_errand }
    }
}

/// A handle on the writer task. Clones share it; when the last is dropped, the task ends after its queue is empty.
#[derive(Clone, Debug)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    has_failed: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the writer task on the current runtime.
    pub fn start(store: Store, limits: WriterLimits) -> (Self, JoinHandle<()>) {
        let (jobs, queue) = mpsc::channel(limits.queue.max(1));
        let has_failed = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(write(store, queue, limits, Arc::clone(&has_failed)));
        (Self { jobs, has_failed }, task)
    }

    /// Does an operation and waits until it is on disk.
    pub async fn apply(&self, at: Timestamp, op: LedgerOp) -> Reply {
        let (reply, answer) = oneshot::channel();
        let job = Job { entry: LedgerEntry { at, op }, reply, is_awaited: true };
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Queues an operation without waiting. The answer comes through the receiver; a dropped receiver does not take
    /// the operation back. What no call waits for may be done a little later.
    pub fn try_submit(&self, at: Timestamp, op: LedgerOp) -> Result<oneshot::Receiver<Reply>, QueueFull> {
        let (reply, answer) = oneshot::channel();
        match self.jobs.try_send(Job::of_call(at, op, reply)) {
            // A closed queue shows at the receiver, whose sender is dropped with the job.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(answer),
            Err(mpsc::error::TrySendError::Full(_)) => Err(QueueFull),
        }
    }

    /// After a failure: operations asked from now on are done again.
    pub fn resume(&self) {
        self.has_failed.store(false, Ordering::Release);
    }

    /// Operations that wait for their commit.
    pub fn queued(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }
}

/// Calls in [`WINDOW`] that met another one, from which gathering pays. Operations of one call after the other, however
/// fast they come, have no company to wait for.
const MEETINGS: u32 = 2;
/// Over how long they are counted.
const WINDOW: Duration = Duration::from_millis(100);
/// With so many in it a batch costs each of them little more than a larger one would.
const COMPANY: usize = 32;

/// When batches begin.
struct Pace {
    gather: Duration,
    last: Option<Instant>,
    window: Option<Instant>,
    /// Meetings in the running window and in the one before.
    counts: [u32; 2],
}

impl Pace {
    fn new(limits: &WriterLimits) -> Self {
        Self { gather: limits.gather, last: None, window: None, counts: [0; 2] }
    }

    /// Until when a batch that could begin now waits for company.
    fn wait(&self, now: Instant) -> Option<Instant> {
        let do_meet = self.counts.iter().any(|count| *count >= MEETINGS);
        self.last.filter(|_| do_meet).map(|last| last + self.gather).filter(|until| *until > now)
    }

    /// A batch begins in which so many calls are reserved.
    fn began(&mut self, now: Instant, calls: usize) {
        self.last = Some(now);
        let age = self.window.map_or(Duration::MAX, |start| now.saturating_duration_since(start));
        if age >= WINDOW {
            let before = if age < 2 * WINDOW { self.counts[0] } else { 0 };
            self.counts = [0, before];
            self.window = Some(now);
        }
        let meetings = u32::try_from(calls.saturating_sub(1)).unwrap_or(u32::MAX);
        self.counts[0] = self.counts[0].saturating_add(meetings);
    }
}

async fn write(
    store: Store,
    mut queue: mpsc::Receiver<Job>,
    limits: WriterLimits,
    has_failed: Arc<AtomicBool>,
) {
    let batch = limits.batch.max(1);
    let mut jobs = Vec::with_capacity(batch);
    let mut pace = Pace::new(&limits);
    let mut failure = StoreError::Closed;
    while queue.recv_many(&mut jobs, batch).await > 0 {
        gather(&pace, &mut queue, &mut jobs, batch).await;
        let is_new_call = |job: &&Job| matches!(job.entry.op, LedgerOp::Reserve { .. });
        pace.began(Instant::now(), jobs.iter().filter(is_new_call).count());
        let (entries, replies): (Vec<_>, Vec<_>) = jobs.drain(..).map(|job| (job.entry, job.reply)).unzip();
        let answer = match has_failed.load(Ordering::Acquire) {
            true => Err(failure.clone()),
            false => store.apply(&entries).await,
        };
        match answer {
            Ok(outcomes) => {
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    // Nobody waits any more when the caller has gone; the operation stands.
                    let _gone = reply.send(Ok(outcome));
                }
            }
            Err(error) => {
                // Before anybody hears of it. What is wrong with one batch for good need not be wrong with the next.
                has_failed.store(error.is_transient(), Ordering::Release);
                failure = error.clone();
                for reply in replies {
                    let _gone = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

/// Waits with errands alone for a call, and then for company as long as the pace says; a full company waits for nobody.
async fn gather(pace: &Pace, queue: &mut mpsc::Receiver<Job>, jobs: &mut Vec<Job>, batch: usize) {
    let deadline = Instant::now() + pace.gather;
    while !jobs.iter().any(|job| job.is_awaited) && join(queue, jobs, batch.min(COMPANY), deadline).await {}
    if let Some(until) = pace.wait(Instant::now()) {
        while join(queue, jobs, batch.min(COMPANY), until).await {}
    }
    while jobs.len() < batch
        && let Ok(job) = queue.try_recv()
    {
        jobs.push(job);
    }
}

/// Waits for one more; `false` if there are enough, or none has come by then.
async fn join(queue: &mut mpsc::Receiver<Job>, jobs: &mut Vec<Job>, enough: usize, until: Instant) -> bool {
    // A timer would round up to the next millisecond what is over already.
    if jobs.len() >= enough || until <= Instant::now() {
        return false;
    }
    match timeout_at(until, queue.recv()).await {
        Ok(Some(job)) => jobs.push(job),
        // Nobody is left who could ask, or it was long enough.
        Ok(None) | Err(_) => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdr::CallId;
    use crate::model::ProfileId;
    use crate::money::Micros;

    #[test]
    fn a_batch_waits_for_company_only_where_calls_meet() {
        let limits = WriterLimits::default();
        let (mut pace, start) = (Pace::new(&limits), Instant::now());
        assert_eq!(pace.wait(start), None);
        for _ in 0..1_000 {
            pace.began(start, 1);
        }
        assert_eq!(pace.wait(start), None, "one call after the other meets nobody");
        pace.began(start, 2);
        assert_eq!(pace.wait(start), None, "once is chance");
        pace.began(start, 2);
        assert_eq!(pace.wait(start), Some(start + limits.gather));
        assert_eq!(pace.wait(start + limits.gather), None, "it has waited long enough");
        let next = start + WINDOW;
        pace.began(next, 1);
        assert_eq!(pace.wait(next), Some(next + limits.gather), "they have met a moment ago");
        let later = start + 3 * WINDOW;
        pace.began(later, 1);
        assert_eq!(pace.wait(later), None, "they meet no more");
    }

    fn job(op: LedgerOp) -> Job {
        Job::of_call(Timestamp(0), op, oneshot::channel().0)
    }

    fn errand() -> Job {
        job(LedgerOp::Hold { profile: ProfileId(1), credit: Micros(1), bundle_s: 0 })
    }

    fn awaited() -> Job {
        job(LedgerOp::Extend { call: CallId::new("1".to_owned()), elapsed_s: 0 })
    }

    #[test]
    fn what_a_call_goes_on_without_is_an_errand() {
        assert!(awaited().is_awaited && !errand().is_awaited);
        let (call, at) = (CallId::new("1".to_owned()), Timestamp(0));
        assert!(!job(LedgerOp::Answer { call, at, known: None }).is_awaited);
    }

    /// How many jobs come together from those that wait, and after how long.
    async fn gathered(pace: &Pace, first: Job, others: Vec<Job>) -> (usize, Duration) {
        let (sender, mut queue) = mpsc::channel(100);
        others.into_iter().for_each(|job| sender.try_send(job).ok().unwrap());
        let (mut jobs, start) = (vec![first], Instant::now());
        gather(pace, &mut queue, &mut jobs, 64).await;
        (jobs.len(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn errands_wait_for_a_call_and_a_call_for_nobody() {
        let pace = Pace::new(&WriterLimits::default());
        assert_eq!(gathered(&pace, awaited(), vec![]).await, (1, Duration::ZERO));
        assert_eq!(gathered(&pace, awaited(), vec![errand(), awaited()]).await, (3, Duration::ZERO));
        assert_eq!(gathered(&pace, errand(), vec![errand(), awaited()]).await, (3, Duration::ZERO));
        let (alone, waited) = gathered(&pace, errand(), vec![errand()]).await;
        assert!(alone == 2 && waited >= pace.gather, "{alone} after {waited:?}");
        let crowd = (0..80).map(|_| errand()).collect();
        assert_eq!(gathered(&pace, errand(), crowd).await, (64, Duration::ZERO), "as many as fit");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_comes_while_errands_wait_takes_them_along() {
        let pace = Pace::new(&WriterLimits::default());
        let (sender, mut queue) = mpsc::channel(8);
        let start = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            sender.try_send(awaited()).ok().unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        });
        let mut jobs = vec![errand()];
        gather(&pace, &mut queue, &mut jobs, 64).await;
        assert!(
            jobs.len() == 2 && start.elapsed() < pace.gather,
            "{} after {:?}",
            jobs.len(),
            start.elapsed()
        );
        // Nobody is left who could ask: that is waited for no longer either.
        let start = Instant::now();
        let mut jobs = vec![errand()];
        queue.close();
        gather(&pace, &mut queue, &mut jobs, 64).await;
        assert_eq!((jobs.len(), start.elapsed()), (1, Duration::ZERO));
    }

    #[tokio::test]
    async fn zero_gathers_nothing() {
        let pace = Pace::new(&WriterLimits { gather: Duration::ZERO, ..WriterLimits::default() });
        let (sender, mut queue) = mpsc::channel(8);
        sender.try_send(errand()).ok().unwrap();
        let mut jobs = vec![errand()];
        gather(&pace, &mut queue, &mut jobs, 64).await;
        assert_eq!(jobs.len(), 2, "but what is there already");
    }

    #[tokio::test(start_paused = true)]
    async fn where_calls_meet_they_wait_until_they_are_a_company() {
        let mut pace = Pace::new(&WriterLimits::default());
        (0..MEETINGS).for_each(|_| pace.began(Instant::now(), 2));
        let (few, waited) = gathered(&pace, awaited(), vec![awaited()]).await;
        assert!(few == 2 && waited >= pace.gather, "{few} after {waited:?}");
        pace.began(Instant::now(), 2);
        let company = (1..COMPANY).map(|_| awaited()).collect();
        assert_eq!(gathered(&pace, awaited(), company).await, (COMPANY, Duration::ZERO));
    }
}
