//! Shares one commit among operations that arrive together.
//!
//! While a batch is being synced to disk, the next one gathers; so the busier the gateway, the larger its batches and
//! the less each operation costs, and an idle one waits for nothing.
//!
//! After the database has failed, every operation behind it fails too, until the caller says that it has taken notice: so
//! what was done is always the first part of what was asked, and never something behind a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

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
}

impl Default for WriterLimits {
    fn default() -> Self {
        Self { batch: 512, queue: 8_192 }
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
        let task = tokio::spawn(write(store, queue, limits.batch.max(1), Arc::clone(&has_failed)));
        (Self { jobs, has_failed }, task)
    }

    /// Does an operation and waits until it is on disk.
    pub async fn apply(&self, at: Timestamp, op: LedgerOp) -> Reply {
        let (reply, answer) = oneshot::channel();
        let job = Job { entry: LedgerEntry { at, op }, reply };
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Queues an operation without waiting. The answer comes through the receiver; a dropped receiver does not take
    /// the operation back.
    pub fn try_submit(&self, at: Timestamp, op: LedgerOp) -> Result<oneshot::Receiver<Reply>, QueueFull> {
        let (reply, answer) = oneshot::channel();
        let job = Job { entry: LedgerEntry { at, op }, reply };
        match self.jobs.try_send(job) {
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

async fn write(store: Store, mut queue: mpsc::Receiver<Job>, batch: usize, has_failed: Arc<AtomicBool>) {
    let mut jobs = Vec::with_capacity(batch);
    let mut failure = StoreError::Closed;
    while queue.recv_many(&mut jobs, batch).await > 0 {
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
