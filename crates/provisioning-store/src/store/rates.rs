//! Rates: decks that are imported, editions that are taken back.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};

use super::{STANDARD_PRICE_LIST, Store, named};
use crate::error::StoreError;
use crate::model::Timestamp;
use crate::rating::{
    Changes, Comparison, DeckFault, DeckRead, DeckReader, Edition, EditionId, Rate, RateBook, RateTable,
    RateTableBuilder,
};

/// Rates that one transaction writes: few enough that no call waits for it, many enough that the deck does not wait for the
/// disk.
const RATES_AT_ONCE: usize = 1_000;
/// Batches that the reader of a deck may be ahead of the database.
const BATCHES_AHEAD: usize = 4;

/// What is to be done with a deck.
#[derive(Clone, Debug)]
pub struct DeckOrder {
    /// The price list, which is made if it is not there.
    pub price_list: String,
    /// From when the deck is to hold; at once if it is left out or over.
    pub from: Option<Timestamp>,
    /// Whether it is only looked at.
    pub is_rehearsal: bool,
}

impl Default for DeckOrder {
    /// Into the standard list, at once.
    fn default() -> Self {
        Self { price_list: STANDARD_PRICE_LIST.to_owned(), from: None, is_rehearsal: false }
    }
}

/// What was done with a deck.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The new edition; none if the deck was only looked at.
    pub edition: Option<EditionId>,
    /// What was read.
    pub deck: DeckRead,
    /// What it changes, compared with what would be in force without it.
    pub changes: Changes,
}

/// A deck that was read to its end and found to be sound.
#[derive(Debug)]
pub struct Deck {
    price_list: String,
    from: Option<Timestamp>,
    edition: Option<EditionId>,
    whole: Whole,
    /// No other deck is read meanwhile.
    _turn: OwnedMutexGuard<()>,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportProgress {
    /// When it began.
    pub begun_at: Timestamp,
    /// Lines read.
    pub lines: u64,
    /// Rates written.
    pub rates: u64,
}

/// The import that is under way.
#[derive(Debug, Default)]
pub(super) struct Import {
    turn: Arc<Mutex<()>>,
    begun_at: AtomicI64,
    lines: AtomicU64,
    rates: AtomicU64,
}

impl Import {
    fn begin(&self, now: Timestamp) {
        self.begun_at.store(now.0, Relaxed);
        self.lines.store(0, Relaxed);
        self.rates.store(0, Relaxed);
    }
}

/// All of a deck: its table, if it is to be put in force, and what it changes.
#[derive(Debug)]
struct Whole {
    deck: DeckRead,
    table: RateTable,
    changes: Changes,
}

/// Rates.
impl Store {
    /// Puts the rates of a CSV text in the place of the price list's old ones, all or nothing: at once, or as an edition
    /// that is in force from a moment to come. Returns how many.
    pub async fn import_rates(
        &self,
        now: Timestamp,
        price_list: &str,
        from: Option<Timestamp>,
        csv: &str,
    ) -> Result<usize, StoreError> {
        let order = DeckOrder { price_list: price_list.to_owned(), from, is_rehearsal: false };
        let deck = self.read_deck(now, order, std::io::Cursor::new(csv.to_owned())).await?;
        Ok(self.put_deck(now, deck).await?.deck.rates as usize)
    }

    /// Reads a deck: its rates are written beside those in force, a few at a time, so that no call waits for it. They are in
    /// force once [`Self::put_deck`] says so.
    pub async fn read_deck(
        &self,
        now: Timestamp,
        order: DeckOrder,
        source: impl Read + Send + 'static,
    ) -> Result<Deck, StoreError> {
        let price_list = named("price list", &order.price_list)?;
        let from = order.from.filter(|from| *from > now);
        let turn = Arc::clone(&self.import.turn).try_lock_owned().map_err(|_| StoreError::ImportRuns)?;
        self.import.begin(now);
        let holds_from = from.unwrap_or(now);
        let before = self.database.rates(&price_list, holds_from).await?;
        let edition = match order.is_rehearsal {
            true => None,
            false => Some(self.database.begin_edition(now, &price_list, from).await?),
        };
        match self.read_and_write(edition, before, holds_from, source).await {
            Ok(whole) => Ok(Deck { price_list, from, edition, whole, _turn: turn }),
            Err(error) => {
                self.give_up(edition).await;
                Err(error)
            }
        }
    }

    /// Puts a deck that was read in the place of the rates that it replaces, in one moment. One that was only to be looked
    /// at changes nothing.
    pub async fn put_deck(&self, now: Timestamp, deck: Deck) -> Result<Imported, StoreError> {
        let Deck { price_list, from, edition, whole: Whole { deck, table, changes }, _turn } = deck;
        if let Some(edition) = edition {
            self.database.prepare_table(edition, Arc::new(table));
            let put = self.database.put_in_force(now, edition, (&price_list, from), deck.rates).await;
            if let Err(error) = put {
                self.give_up(Some(edition)).await;
                return Err(error);
            }
        }
        Ok(Imported { edition, deck, changes })
    }

    async fn give_up(&self, edition: Option<EditionId>) {
        if let Some(edition) = edition {
            // Should this fail, the edition is cleared away a day later.
            drop(self.database.give_up_edition(edition).await);
        }
    }

    /// Reads a deck on a thread of its own, and writes what it brings meanwhile.
    async fn read_and_write(
        &self,
        edition: Option<EditionId>,
        before: Arc<RateTable>,
        holds_from: Timestamp,
        source: impl Read + Send + 'static,
    ) -> Result<Whole, StoreError> {
        let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
        let import = Arc::clone(&self.import);
        let writes = edition.is_some();
        let reading =
            tokio::task::spawn_blocking(move || read(source, holds_from, before, writes, &sender, &import));
        while let Some(batch) = batches.recv().await {
            let batch: Vec<Rate> = batch;
            if let Some(edition) = edition {
                self.database.add_rates(edition, &batch).await?;
                self.import.rates.fetch_add(batch.len() as u64, Relaxed);
            }
        }
        let read = reading.await.expect("reading a deck does not panic and is not cancelled");
        read.map_err(|fault| match fault {
            DeckFault::Refused(refused) => StoreError::Rates(refused),
            DeckFault::Cut(cause) => StoreError::DeckCut { cause: Arc::new(cause) },
        })
    }

    /// The progress of the import that is under way; `None` if no import is.
    pub fn import_progress(&self) -> Option<ImportProgress> {
        if self.import.turn.try_lock().is_ok() {
            return None;
        }
        let Import { begun_at, lines, rates, .. } = &*self.import;
        Some(ImportProgress {
            begun_at: Timestamp(begun_at.load(Relaxed)),
            lines: lines.load(Relaxed),
            rates: rates.load(Relaxed),
        })
    }

    /// Takes the newest edition of a price list back: those whose place it took hold again.
    pub async fn undo_import(
        &self,
        now: Timestamp,
        price_list: &str,
        edition: EditionId,
    ) -> Result<(), StoreError> {
        let _turn = self.import.turn.try_lock().map_err(|_| StoreError::ImportRuns)?;
        let newest = self.database.newest_edition(price_list).await?;
        let before = newest.filter(|(newest, _)| *newest == edition).map(|(_, before)| before);
        for edition in before.into_iter().flatten() {
            // Calls are rated by it at once, however long it takes to read.
            let table = self.database.table(edition).await?;
            self.database.prepare_table(edition, table);
        }
        self.database.undo_edition(now, price_list, edition).await
    }

    /// A price list's rates as they are in force at a moment.
    pub async fn rates(&self, price_list: &str, at: Timestamp) -> Result<Arc<RateTable>, StoreError> {
        self.database.rates(price_list, at).await
    }

    /// All price lists: what is in force at a moment, and what comes after it.
    pub async fn rate_book(&self, at: Timestamp) -> Result<RateBook, StoreError> {
        self.database.rate_book(at).await
    }

    /// The editions of all price lists that hold, will hold or could be brought back.
    pub async fn editions(&self) -> Result<Vec<Edition>, StoreError> {
        self.database.editions().await
    }

    /// Deletes the rates of editions that can no longer be brought back. Returns the number of editions.
    pub async fn clear_editions(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.database.clear_editions(now).await
    }
}

/// Reads a deck to its end. Once something wrong was found, nothing more of it is written.
fn read(
    source: impl Read,
    holds_from: Timestamp,
    before: Arc<RateTable>,
    writes: bool,
    batches: &mpsc::Sender<Vec<Rate>>,
    import: &Import,
) -> Result<Whole, DeckFault> {
    let mut deck = DeckReader::open(source, holds_from)?;
    let (mut comparison, mut builder) = (Comparison::with(before), RateTableBuilder::default());
    let mut batch = Vec::with_capacity(RATES_AT_ONCE);
    let mut is_wanted = true;
    loop {
        let rate = deck.next_rate();
        let is_last = rate.is_none();
        import.lines.store(deck.line(), Relaxed);
        if let Some(rate) = rate.filter(|_| !deck.has_problems()) {
            comparison.add(&rate);
            if writes {
                builder.add(&rate);
                batch.push(rate);
            }
        }
        if (batch.len() == RATES_AT_ONCE || is_last) && !batch.is_empty() && !deck.has_problems() && is_wanted
        {
            // Nobody takes it any more once writing has failed.
            let next = Vec::with_capacity(RATES_AT_ONCE);
            is_wanted = batches.blocking_send(std::mem::replace(&mut batch, next)).is_ok();
        }
        if is_last || !is_wanted {
            break;
        }
    }
    let deck = deck.finish()?;
    Ok(Whole { deck, table: builder.build(), changes: comparison.finish() })
}
