//! Editions of price lists: written beside those in force, put in their place, taken back, and deleted in the end.

use sqlx::FromRow;

use super::query::{query, query_as, query_scalar};
use super::revision::{Changed, raise_revision};
use super::{Connection, Database, failed, statements};
use crate::error::StoreError;
use crate::model::Timestamp;
use crate::rating::{Edition, EditionId, EditionState};

/// Editions of a list that are kept once others have taken their place.
pub(crate) const EDITIONS_KEPT: i64 = 5;
/// After this long an edition that is still being written was left behind by a crash.
const LONGEST_IMPORT_S: i64 = 86_400;
/// Rates that one transaction deletes.
const DELETED_AT_ONCE: i64 = 2_000;

#[derive(FromRow)]
struct EditionRow {
    id: i64,
    price_list: String,
    valid_from: i64,
    rates: i64,
    imported_at: i64,
    imported_by: String,
    state: String,
}

impl TryFrom<EditionRow> for Edition {
    type Error = StoreError;

    fn try_from(row: EditionRow) -> Result<Self, StoreError> {
        let state = match row.state.as_str() {
            "valid" => EditionState::Valid,
            "replaced" => EditionState::Replaced,
            _ => return Err(StoreError::Damaged { found: row.state, expected: "the state of an edition" }),
        };
        Ok(Self {
            id: EditionId(row.id),
            price_list: row.price_list,
            from: Timestamp(row.valid_from),
            rates: row.rates.unsigned_abs(),
            imported_at: Timestamp(row.imported_at),
            imported_by: row.imported_by,
            state,
        })
    }
}

impl Database {
    /// Begins an edition, which is hidden until it is whole. What is in force at once has no beginning: a clock that is
    /// set back finds rates all the same.
    pub(crate) async fn begin_edition(
        &self,
        now: Timestamp,
        price_list: &str,
        from: Option<Timestamp>,
    ) -> Result<EditionId, StoreError> {
        let doing = "beginning an edition";
        let by = self.deed.as_ref().map_or_else(String::new, |deed| deed.actor.clone());
        let mut transaction = self.begin_beside().await?;
        let id: i64 = query_scalar(statements::INSERT_EDITION)
            .bind(price_list)
            .bind(from.map_or(0, |from| from.0))
            .bind(now.0)
            .bind(by)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(EditionId(id))
    }

    /// Puts an edition that is whole in the place of those that it replaces: with `None` all that have been in force until
    /// now, otherwise the one that would hold from the same moment on.
    pub(crate) async fn put_in_force(
        &self,
        now: Timestamp,
        edition: EditionId,
        (price_list, from): (&str, Option<Timestamp>),
        rates: u64,
    ) -> Result<(), StoreError> {
        let doing = "putting rates in force";
        let (replace, moment) = match from {
            Some(from) => (statements::REPLACE_EDITION, from),
            None => (statements::REPLACE_EDITIONS_UNTIL, now),
        };
        let mut transaction = self.begin().await?;
        let replaced = query(replace).bind(price_list).bind(moment.0).bind(edition.0);
        replaced.execute(&mut *transaction).await.map_err(failed(doing))?;
        let valid = query(statements::VALIDATE_EDITION).bind(edition.0).bind(rates as i64);
        valid.execute(&mut *transaction).await.map_err(failed(doing))?;
        let old = query(statements::DROP_OLD_EDITIONS).bind(price_list).bind(EDITIONS_KEPT);
        old.execute(&mut *transaction).await.map_err(failed(doing))?;
        raise_revision(&mut transaction, Changed::Rates).await?;
        transaction.commit().await.map_err(failed(doing))
    }

    /// Gives up an edition that is still hidden.
    pub(crate) async fn give_up_edition(&self, edition: EditionId) -> Result<(), StoreError> {
        self.tables().forget(edition);
        let mut transaction = self.begin_beside().await?;
        set_gone(&mut transaction, edition).await?;
        transaction.commit().await.map_err(failed("giving up an edition"))
    }

    /// The newest edition of a list, and those whose place it has taken.
    pub(crate) async fn newest_edition(
        &self,
        price_list: &str,
    ) -> Result<Option<(EditionId, Vec<EditionId>)>, StoreError> {
        let reading = failed("reading price lists");
        let newest: Option<i64> = query_scalar(statements::NEWEST_EDITION)
            .bind(price_list)
            .fetch_optional(self.reader())
            .await
            .map_err(&reading)?;
        let Some(newest) = newest else { return Ok(None) };
        let before: Vec<i64> = query_scalar(statements::REPLACED_BY)
            .bind(newest)
            .fetch_all(self.reader())
            .await
            .map_err(&reading)?;
        Ok(Some((EditionId(newest), before.into_iter().map(EditionId).collect())))
    }

    /// Takes the newest edition of a list back; those whose place it took hold again. Something has to be in force
    /// afterwards if it was before.
    pub(crate) async fn undo_edition(
        &self,
        now: Timestamp,
        price_list: &str,
        edition: EditionId,
    ) -> Result<(), StoreError> {
        let doing = "taking an edition back";
        let mut transaction = self.begin().await?;
        let newest: Option<i64> = query_scalar(statements::NEWEST_EDITION)
            .bind(price_list)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        let price_list_name = || price_list.to_owned();
        let newest =
            newest.ok_or_else(|| StoreError::NotFound { what: "price list", name: price_list_name() })?;
        if newest != edition.0 {
            let price_list = price_list_name();
            return Err(StoreError::NotNewestEdition { edition: edition.0, price_list });
        }
        let was_in_force = is_in_force(&mut transaction, price_list, now).await?;
        set_gone(&mut transaction, edition).await?;
        let restored = query(statements::RESTORE_EDITIONS).bind(edition.0);
        restored.execute(&mut *transaction).await.map_err(failed(doing))?;
        if was_in_force && !is_in_force(&mut transaction, price_list, now).await? {
            return Err(StoreError::NoEarlierEdition { price_list: price_list.to_owned() });
        }
        raise_revision(&mut transaction, Changed::Rates).await?;
        transaction.commit().await.map_err(failed(doing))
    }

    /// All editions that hold, will hold or could be brought back, by list and the order in which they came.
    pub(crate) async fn editions(&self) -> Result<Vec<Edition>, StoreError> {
        let rows: Vec<EditionRow> = query_as(statements::EDITIONS)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading price lists"))?;
        rows.into_iter().map(Edition::try_from).collect()
    }

    /// Deletes what is left of editions that are gone, a little at a time, so that no call waits. Returns how many there were.
    pub(crate) async fn clear_editions(&self, now: Timestamp) -> Result<usize, StoreError> {
        let gone: Vec<i64> = query_scalar(statements::GONE_EDITIONS)
            .bind(now.plus_s(-LONGEST_IMPORT_S).0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading price lists"))?;
        for edition in &gone {
            while self.delete_some_rates(EditionId(*edition), DELETED_AT_ONCE).await? {}
            let mut transaction = self.begin_beside().await?;
            let deleted = query(statements::DELETE_EDITION).bind(*edition).execute(&mut *transaction).await;
            deleted.map_err(failed("deleting an edition"))?;
            transaction.commit().await.map_err(failed("deleting an edition"))?;
        }
        Ok(gone.len())
    }
}

async fn set_gone(connection: &mut Connection, edition: EditionId) -> Result<(), StoreError> {
    let gone = query(statements::SET_EDITION_GONE).bind(edition.0).execute(connection).await;
    gone.map(|_| ()).map_err(failed("giving up an edition"))
}

async fn is_in_force(
    connection: &mut Connection,
    price_list: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let edition: Option<i64> = query_scalar(statements::EDITION_IN_FORCE)
        .bind(price_list)
        .bind(at.0)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading price lists"))?;
    Ok(edition.is_some())
}
