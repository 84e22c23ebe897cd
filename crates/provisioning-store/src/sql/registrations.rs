//! Registrations in the database.

use std::sync::LazyLock;

use sqlx::FromRow;

use super::listed::{Listed, Row, Rows, upsert};
use super::query::{query, query_as};
use super::rows::{narrow, word};
use super::{Database, chunks, failed, statements, with_list};
use crate::error::StoreError;
use crate::model::{ProfileId, Timestamp};
use crate::registrations::Registration;

const REGISTRATION: &str = "profile_id BIGINT, contact TEXT, source TEXT, local TEXT, transport TEXT, user_agent TEXT, \
     call_id TEXT, cseq BIGINT, media TEXT, registered_at BIGINT, expires_at BIGINT, path TEXT";

static SAVE: LazyLock<Listed> =
    LazyLock::new(|| Listed::new(|list| upsert(list, "registrations", REGISTRATION, "profile_id")));

#[derive(FromRow)]
struct RegistrationRow {
    profile_id: i64,
    contact: String,
    source: String,
    local: String,
    transport: String,
    user_agent: String,
    call_id: String,
    cseq: i64,
    media: String,
    registered_at: i64,
    expires_at: i64,
    path: String,
}

impl TryFrom<RegistrationRow> for Registration {
    type Error = StoreError;

    fn try_from(row: RegistrationRow) -> Result<Self, StoreError> {
        Ok(Self {
            profile: ProfileId(row.profile_id),
            contact: row.contact,
            source: row.source,
            local: row.local,
            transport: word(&row.transport, "a transport")?,
            user_agent: row.user_agent,
            call_id: row.call_id,
            cseq: narrow(row.cseq, "a sequence number")?,
            media: word(&row.media, "an SRTP policy")?,
            registered_at: Timestamp(row.registered_at),
            expires_at: Timestamp(row.expires_at),
            path: row.path.lines().map(str::to_owned).collect(),
        })
    }
}

impl Database {
    pub(crate) async fn save_registrations(&self, registrations: &[Registration]) -> Result<(), StoreError> {
        if registrations.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin_beside().await?;
        let mut rows = Rows::default();
        registrations.iter().for_each(|registration| put(&mut rows.add(), registration));
        SAVE.execute(&mut transaction, rows).await.map_err(failed("saving registrations"))?;
        transaction.commit().await.map_err(failed("saving registrations"))
    }

    pub(crate) async fn delete_registrations(&self, profiles: &[ProfileId]) -> Result<(), StoreError> {
        if profiles.is_empty() {
            return Ok(());
        }
        let profiles: Vec<i64> = profiles.iter().map(|profile| profile.0).collect();
        let mut transaction = self.begin_beside().await?;
        for chunk in chunks(&profiles) {
            let statement = with_list(statements::DELETE_REGISTRATIONS_IN, chunk, "");
            statement.build().execute(&mut *transaction).await.map_err(failed("deleting registrations"))?;
        }
        transaction.commit().await.map_err(failed("deleting registrations"))
    }

    pub(crate) async fn delete_expired_registrations(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.begin_beside().await?;
        let done = query(statements::DELETE_EXPIRED_REGISTRATIONS)
            .bind(now.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed("deleting expired registrations"))?;
        transaction.commit().await.map_err(failed("deleting expired registrations"))?;
        Ok(done.rows_affected())
    }

    pub(crate) async fn registrations(&self, now: Timestamp) -> Result<Vec<Registration>, StoreError> {
        let rows: Vec<RegistrationRow> = query_as(statements::REGISTRATIONS)
            .bind(now.0)
            .fetch_all(self.reader())
            .await
            .map_err(failed("reading registrations"))?;
        rows.into_iter().map(Registration::try_from).collect()
    }
}

fn put(row: &mut Row<'_>, it: &Registration) {
    row.put(it.profile.0)
        .put(&it.contact)
        .put(&it.source)
        .put(&it.local)
        .put(it.transport.word())
        .put(&it.user_agent)
        .put(&it.call_id)
        .put(it.cseq)
        .put(it.media.word())
        .put(it.registered_at.0)
        .put(it.expires_at.0)
        .put(it.path.join("\n"));
}
