//! Price lists, each with its editions: which table a call is rated by depends on who pays and on when it begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::table::{Quote, RateTable};
use super::us_bundle::UsBundle;
use crate::model::Timestamp;

/// An edition of a price list: what one import has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    /// Its number.
    pub id: EditionId,
    /// The list's name.
    pub price_list: String,
    /// From when it holds; 0 is from the beginning.
    pub from: Timestamp,
    /// How many rates it has.
    pub rates: u64,
    /// When it was imported; 0 where that was before editions were kept.
    pub imported_at: Timestamp,
    /// By whom.
    pub imported_by: String,
    /// What has become of it.
    pub state: EditionState,
}

/// Number of an edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EditionId(pub i64);

/// What has become of an edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditionState {
    /// It holds from its moment on, until the next one does.
    Valid,
    /// A later import has taken its place; an undo brings it back.
    Replaced,
}

/// All price lists, from the editions that are in force on.
#[derive(Clone, Debug, Default)]
pub struct RateBook {
    /// Editions of each list, by the moment from which they hold.
    lists: BTreeMap<String, BTreeMap<Timestamp, Arc<RateTable>>>,
}

impl RateBook {
    /// A book with one list, in force from the beginning of time.
    pub fn of(price_list: &str, table: RateTable) -> Self {
        let mut book = Self::default();
        book.add(price_list, Timestamp(0), Arc::new(table));
        book
    }

    /// Adds an edition of a list.
    pub fn add(&mut self, price_list: &str, from: Timestamp, table: Arc<RateTable>) {
        self.lists.entry(price_list.to_owned()).or_default().insert(from, table);
    }

    /// The edition of a list that is in force at a moment.
    pub fn table(&self, price_list: &str, at: Timestamp) -> Option<&RateTable> {
        self.lists.get(price_list)?.range(..=at).next_back().map(|(_, table)| table.as_ref())
    }

    /// The price of a call to `number` that begins at a moment; `None` when the list has no row for it.
    pub fn quote(
        &self,
        price_list: &str,
        at: Timestamp,
        number: &str,
        us_bundle: &UsBundle,
    ) -> Option<Quote> {
        self.table(price_list, at)?.quote(number, us_bundle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Micros;

    #[test]
    fn a_call_is_rated_by_the_edition_in_force_when_it_begins() {
        let table = |price: &str| {
            let csv = format!("prefix,destination,rate_per_minute\n372,Estonia,{price}\n");
            Arc::new(RateTable::from_csv(&csv).unwrap())
        };
        let mut book = RateBook::default();
        book.add("standard", Timestamp(0), table("0.02"));
        book.add("standard", Timestamp(1_000), table("0.03"));
        book.add("wholesale", Timestamp(500), table("0.01"));
        let price = |list: &str, at| {
            let quote = book.quote(list, Timestamp(at), "+3728800814", &UsBundle::standard());
            quote.map(|quote| quote.tariff.rate_per_minute)
        };
        assert_eq!(price("standard", 999), Some(Micros(20_000)));
        assert_eq!(price("standard", 1_000), Some(Micros(30_000)));
        assert_eq!(price("wholesale", 499), None, "not in force yet");
        assert_eq!(price("wholesale", 500), Some(Micros(10_000)));
        assert_eq!(price("retail", 500), None);
    }
}
