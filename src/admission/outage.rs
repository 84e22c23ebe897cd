//! An outage of the store: what was decided meanwhile is written to the journal before anybody hears of it, and put
//! into the database once that answers again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use provisioning_store::error::StoreError;
use provisioning_store::journal::{Chunk, Journal};
use provisioning_store::ledger::{self, LedgerEntry, LedgerOp, Outcome};
use provisioning_store::store::Store;
use provisioning_store::writer::Reply as Answer;
use sip_core::refusal::Refusal;
use sip_core::types::Reply;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The pause before a database or a journal that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// The journal takes no more calls beyond this size, octets; those that run are still settled.
const LARGEST_JOURNAL: u64 = 256 * 1024 * 1024;
/// When no more octets than these are left to put into the database, new questions wait until they are in.
const LAST_OCTETS: u64 = 256 * 1024;

/// Something that was decided, and who waits to hear of it.
pub(super) struct Note {
    pub(super) entry: LedgerEntry,
    pub(super) reply: Option<Reply>,
}

/// What happened to an outage's work.
pub(super) enum Event {
    /// The writer has answered a question from before, when nobody waited any more.
    Late(Answer),
    /// Notes were written to the journal, or not.
    Written(Journal, Vec<Note>, std::io::Result<()>),
    /// A part of the journal was put into the database, or not.
    Replayed(Part, Duration, Result<Vec<Result<Outcome, ledger::Refusal>>, StoreError>),
}

/// What is put into the database at once.
pub(super) enum Part {
    /// Read from the journal.
    Chunk(Chunk),
    /// Notes that the journal does not take.
    Notes(Vec<Note>),
}

impl Part {
    fn entries(&self) -> Vec<LedgerEntry> {
        match self {
            Self::Chunk(chunk) => chunk.entries.clone(),
            Self::Notes(notes) => notes.iter().map(|note| note.entry.clone()).collect(),
        }
    }
}

/// An outage under way.
pub(super) struct Outage {
    pub(super) since: Instant,
    /// Up to when the metrics have counted it.
    counted: Instant,
    store: Store,
    /// A store that needs longer to answer is still out.
    patience: Duration,
    /// Absent while a task writes to it.
    journal: Option<Journal>,
    /// Questions that the writer has not answered yet. Only when it has, nothing comes between the journal's entries.
    late: VecDeque<oneshot::Receiver<Answer>>,
    notes: Vec<Note>,
    /// To be told at once.
    pub(super) refusals: Vec<Reply>,
    writing: Option<JoinHandle<Event>>,
    replaying: Option<JoinHandle<Event>>,
    /// In the database, but not yet ticked off, because the journal is being written to.
    ticked: Option<Chunk>,
    /// Since when new questions wait for the last entries to be put into the database.
    closing: Option<Instant>,
    /// The journal could not be written, and is not tried again before this.
    is_unwritable_until: Option<Instant>,
    next_replay: Instant,
    has_answered: bool,
    /// Entries so far.
    pub(super) entries: u64,
}

impl Outage {
    pub(super) fn new(store: Store, patience: Duration, journal: Journal) -> Self {
        let now = Instant::now();
        Self {
            since: now,
            counted: now,
            store,
            patience,
            journal: Some(journal),
            late: VecDeque::new(),
            notes: Vec::new(),
            refusals: Vec::new(),
            writing: None,
            replaying: None,
            ticked: None,
            closing: None,
            is_unwritable_until: None,
            next_replay: now,
            has_answered: false,
            entries: 0,
        }
    }

    /// How long it has lasted since this was asked last.
    pub(super) fn seconds_since_counted(&mut self) -> f64 {
        let before = std::mem::replace(&mut self.counted, Instant::now());
        (self.counted - before).as_secs_f64()
    }

    /// Keeps a question in sight that the writer has not answered.
    pub(super) fn wait_for(&mut self, answer: oneshot::Receiver<Answer>) {
        self.late.push_back(answer);
    }

    /// Writes down what was decided; the reply goes out when it is on the disk.
    pub(super) fn note(&mut self, entry: LedgerEntry, reply: Option<Reply>) {
        self.entries += 1;
        self.notes.push(Note { entry, reply });
    }

    /// Tells what was decided: a grant when it is on the disk, a refusal at once.
    pub(super) fn tell(&mut self, entry: Option<LedgerEntry>, reply: Reply) {
        match entry {
            Some(entry) => self.note(entry, Some(reply)),
            None => self.refusals.push(reply),
        }
    }

    /// Whether what is granted now can be written down.
    pub(super) fn can_grant(&self) -> bool {
        let is_small = |journal: &Journal| journal.waiting() < LARGEST_JOURNAL;
        self.is_unwritable_until.is_none() && self.journal.as_ref().is_none_or(is_small)
    }

    /// Whether new questions may come; for a moment at the end they wait.
    pub(super) fn takes_questions(&self, most_notes: usize) -> bool {
        self.notes.len() < most_notes && self.closing.is_none_or(|since| since.elapsed() > self.patience)
    }

    /// Everything decided is on the disk.
    pub(super) fn is_written(&self) -> bool {
        self.notes.is_empty() && self.writing.is_none()
    }

    /// Starts what can be done next. With nothing left to do, the outage is over: gives the journal back.
    pub(super) fn go_on(&mut self) -> Option<Journal> {
        let now = Instant::now();
        let is_unwritable = self.is_unwritable_until.is_some_and(|until| now < until);
        if !self.notes.is_empty() && !is_unwritable && self.replaying_notes().is_none() {
            self.write();
        }
        let journal = self.journal.as_mut()?;
        if let Some(chunk) = self.ticked.take() {
            journal.replayed(&chunk);
        }
        if self.replaying.is_some() || !self.late.is_empty() || now < self.next_replay {
            return None;
        }
        if journal.waiting() > 0 {
            match journal.next_chunk() {
                Ok(chunk) => self.replay(Part::Chunk(chunk)),
                Err(error) => {
                    tracing::error!(%error, file = %journal.path().display(), "The journal cannot be read.");
                    self.next_replay = now + PAUSE;
                }
            }
        } else if !self.notes.is_empty() || !self.has_answered {
            let notes = std::mem::take(&mut self.notes);
            self.replay(Part::Notes(notes));
        } else {
            return self.journal.take();
        }
        None
    }

    /// Notes are under way to the database because the journal does not take them; later ones must stay behind them.
    fn replaying_notes(&self) -> Option<()> {
        (self.replaying.is_some() && self.is_unwritable_until.is_some()).then_some(())
    }

    fn write(&mut self) {
        let Some(mut journal) = self.journal.take() else { return };
        let notes = std::mem::take(&mut self.notes);
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let entries: Vec<_> = notes.iter().map(|note| note.entry.clone()).collect();
            let written = journal.append(&entries);
            Event::Written(journal, notes, written)
        }));
    }

    fn replay(&mut self, part: Part) {
        let store = self.store.clone();
        self.replaying = Some(tokio::spawn(async move {
            let begun = Instant::now();
            let outcomes = store.apply(&part.entries()).await;
            Event::Replayed(part, begun.elapsed(), outcomes)
        }));
    }

    /// What happens next.
    pub(super) async fn event(&mut self) -> Event {
        let (late, writing, replaying) = (&mut self.late, &mut self.writing, &mut self.replaying);
        tokio::select! {
            answer = async { late.front_mut().expect("only asked when there is one").await }, if !late.is_empty() => {
                self.late.pop_front();
                Event::Late(answer.unwrap_or(Err(StoreError::Closed)))
            }
            event = async { writing.as_mut().expect("only asked when it runs").await }, if writing.is_some() => {
                self.writing = None;
                event.expect("writing a journal does not panic")
            }
            event = async { replaying.as_mut().expect("only asked when it runs").await }, if replaying.is_some() => {
                self.replaying = None;
                event.expect("writing to the database does not panic")
            }
            else => std::future::pending().await,
        }
    }

    /// Takes in what happened. Gives the replies that may go out.
    pub(super) fn on_event(&mut self, event: Event) -> Vec<Reply> {
        match event {
            Event::Late(answer) => {
                self.has_answered |= answer.is_ok();
                Vec::new()
            }
            Event::Written(journal, notes, written) => {
                self.journal = Some(journal);
                self.on_written(notes, written)
            }
            Event::Replayed(part, took, outcomes) => self.on_replayed(part, took, outcomes),
        }
    }

    fn on_written(&mut self, notes: Vec<Note>, written: std::io::Result<()>) -> Vec<Reply> {
        let Err(error) = written else {
            self.is_unwritable_until = None;
            return notes.into_iter().filter_map(|note| note.reply).collect();
        };
        if self.is_unwritable_until.is_none() {
            tracing::error!(%error, "The journal cannot be written: no calls are granted on hand until it can.");
        }
        self.is_unwritable_until = Some(Instant::now() + PAUSE);
        // A grant that is not on the disk is none. What has happened all the same is kept until it can be written.
        let (granted, happened): (Vec<_>, Vec<_>) = notes.into_iter().partition(|note| note.reply.is_some());
        self.notes.splice(0..0, happened);
        granted.into_iter().filter_map(|note| note.reply).map(refused).collect()
    }

    fn on_replayed(
        &mut self,
        part: Part,
        took: Duration,
        outcomes: Result<Vec<Result<Outcome, ledger::Refusal>>, StoreError>,
    ) -> Vec<Reply> {
        match outcomes {
            Ok(outcomes) => {
                self.has_answered = true;
                report(&part.entries(), &outcomes);
                let left = self.journal.as_ref().map_or(u64::MAX, Journal::waiting);
                self.closing = (took < self.patience && left < 2 * LAST_OCTETS).then(Instant::now);
                match part {
                    Part::Chunk(chunk) => {
                        if chunk.damaged > 0 {
                            tracing::error!(
                                lines = chunk.damaged,
                                "The journal holds lines that are no entries."
                            );
                        }
                        self.ticked = Some(chunk);
                        Vec::new()
                    }
                    Part::Notes(notes) => notes.into_iter().filter_map(|note| note.reply).collect(),
                }
            }
            Err(error) => {
                tracing::debug!(%error, "The database does not take the journal's entries yet.");
                self.next_replay = Instant::now() + PAUSE;
                self.closing = None;
                self.has_answered = false;
                if let Part::Notes(notes) = part {
                    self.notes.splice(0..0, notes);
                }
                Vec::new()
            }
        }
    }
}

/// The same reply, had the store not answered.
fn refused(reply: Reply) -> Reply {
    let result = Err(Refusal::StoreUnavailable);
    match reply {
        Reply::Reserved { lease, .. } => Reply::Reserved { lease, result },
        Reply::Extended { lease, .. } => Reply::Extended { lease, result },
        other => other,
    }
}

/// The ledger takes every entry of a journal, but for questions about calls that are over by now.
fn report(entries: &[LedgerEntry], outcomes: &[Result<Outcome, ledger::Refusal>]) {
    for (entry, outcome) in entries.iter().zip(outcomes) {
        let is_answer = matches!(entry.op, LedgerOp::Answer { .. });
        match outcome {
            Err(ledger::Refusal::CallIsOver(_)) => {}
            Err(ledger::Refusal::UnknownCall(_)) if is_answer => {}
            Err(refusal) => {
                tracing::error!(%refusal, op = ?entry.op, "The ledger refused a journal's entry.")
            }
            Ok(_) => {}
        }
    }
}

/// Puts what the last run has left in its journal into the database: before anything else is done there.
pub async fn recover(store: &Store, journal: &mut Journal) -> Result<usize, RecoverError> {
    let mut count = 0;
    while journal.waiting() > 0 {
        let failed = |error| RecoverError::Journal { path: journal.path().to_owned(), error };
        let chunk = journal.next_chunk().map_err(failed)?;
        if chunk.damaged > 0 {
            let aside = journal.path().with_extension("damaged");
            std::fs::copy(journal.path(), &aside).map_err(failed)?;
            tracing::error!(
                lines = chunk.damaged,
                copy = %aside.display(),
                "The journal holds lines that are no entries; a copy is kept."
            );
        }
        let outcomes = store.apply(&chunk.entries).await?;
        report(&chunk.entries, &outcomes);
        count += chunk.entries.len();
        journal.replayed(&chunk);
    }
    let path = journal.path().to_owned();
    journal.clear().map_err(|error| RecoverError::Journal { path, error })?;
    Ok(count)
}

/// Why the journal of the last run could not be put into the database.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The journal.
    #[error("the journal {}: {error}", path.display())]
    Journal {
        /// The file.
        path: std::path::PathBuf,
        /// The system's word.
        error: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
