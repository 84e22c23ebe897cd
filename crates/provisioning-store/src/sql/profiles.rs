//! Profiles, their credentials and addresses in the database.

use sqlx::FromRow;

use super::directory::Part;
use super::ledger::{Author, apply_in};
use super::query::{Query, query, query_as, query_scalar};
use super::quotas::OneMore;
use super::revision::{Changed, raise_revision};
use super::rows::{SubscriberRow, narrow, word};
use super::{Connection, Database, chunks, failed, statements, with_list};
use crate::error::StoreError;
use crate::ledger::{Books, Changes, LedgerEntry, LedgerOp};
use crate::lifecycle::{Order, PriceList};
use crate::model::{
    CompanyId, Credentials, GuardOverrides, Profile, ProfileId, ProfileSettings, Suspension, Timestamp,
};
use crate::money::Micros;
use crate::secrets::{OsEntropy, Password, Vault, generate_password, generate_sip_user};

/// Draws before a free SIP user is given up on; with a hundred million of them the second is nearly always free.
const SIP_USER_DRAWS: usize = 20;

#[derive(FromRow)]
pub(super) struct ProfileRow {
    id: i64,
    name: String,
    sip_user: String,
    authentication: String,
    digest: String,
    presentation: String,
    srtp: String,
    caller_id_by_call: String,
    caller_name: String,
    suspended_at: Option<i64>,
    suspended_for: Option<String>,
    #[sqlx(flatten)]
    subscriber: SubscriberRow,
    credit_micros: i64,
    reserved_micros: i64,
    on_hand_micros: i64,
    bundle_left_s: i64,
    channels_in_use: i64,
}

impl TryFrom<ProfileRow> for Profile {
    type Error = StoreError;

    fn try_from(row: ProfileRow) -> Result<Self, StoreError> {
        let subscriber = row.subscriber.subscriber()?;
        let spending = row.subscriber.spending();
        let settings = ProfileSettings {
            authentication: word(&row.authentication, "a way to authenticate")?,
            digest: word(&row.digest, "a set of digest algorithms")?,
            presentation: word(&row.presentation, "a number presentation")?,
            srtp: word(&row.srtp, "an SRTP policy")?,
            caller_id_by_call: word(&row.caller_id_by_call, "a policy for caller ID by call")?,
            caller_name: word(&row.caller_name, "a switch")?,
        };
        Ok(Self {
            id: ProfileId(row.id),
            company: subscriber.company,
            name: row.name,
            sip_user: row.sip_user,
            settings,
            suspension: Suspension::of(row.suspended_at, row.suspended_for),
            subscription: subscriber.subscription,
            recharge: subscriber.recharge,
            guard: subscriber.guard,
            spending,
            credit: Micros(row.credit_micros),
            reserved: Micros(row.reserved_micros),
            on_hand: Micros(row.on_hand_micros),
            bundle_left_s: narrow(row.bundle_left_s, "a number of seconds")?,
            channels_in_use: narrow(row.channels_in_use, "a number of calls")?,
        })
    }
}

/// What a new profile is made of.
pub(crate) struct ProfileOrder<'a> {
    pub(crate) company: CompanyId,
    pub(crate) name: &'a str,
    pub(crate) settings: ProfileSettings,
    pub(crate) order: Option<(Order, PriceList)>,
    /// To move from the company.
    pub(crate) credit: Option<Micros>,
    /// Limits of its own.
    pub(crate) guard: GuardOverrides,
}

/// What a profile's password is sealed for.
fn identity(profile: ProfileId) -> String {
    format!("profile:{profile}")
}

impl Database {
    /// Creates the profile, its accounts and, if ordered, its subscription and credit: all or nothing.
    pub(crate) async fn create_profile(
        &self,
        author: Author<'_>,
        vault: &Vault,
        now: Timestamp,
        new: ProfileOrder<'_>,
    ) -> Result<Credentials, StoreError> {
        let mut transaction = self.begin().await?;
        self.refuse_beyond_quota(&mut transaction, OneMore::Profile(new.company, now)).await?;
        let (profile, sip_user) = insert_profile(&mut transaction, &new).await?;
        let open = LedgerOp::OpenProfile { profile, company: new.company };
        let subscribe =
            new.order.map(|(order, prices)| LedgerOp::Subscribe { profile, order, prices: Box::new(prices) });
        let allocate = new.credit.map(|amount| LedgerOp::Allocate { profile, amount });
        let is_limited = new.guard != GuardOverrides::default();
        let guard = is_limited.then(|| LedgerOp::SetGuard { profile, guard: Box::new(new.guard) });
        let ops = [Some(open), subscribe, allocate, guard].into_iter().flatten();
        let entries: Vec<_> = ops.map(|op| LedgerEntry { at: now, op }).collect();
        for outcome in apply_in(&mut transaction, author, &entries).await? {
            outcome?;
        }
        let password = seal_new_password(&mut transaction, vault, profile).await?;
        raise_revision(&mut transaction, Changed::Company(new.company)).await?;
        transaction.commit().await.map_err(failed("creating a profile"))?;
        Ok(Credentials { profile, sip_user, password })
    }

    pub(crate) async fn profile(&self, profile: ProfileId) -> Result<Option<Profile>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading a profile"))?;
        self::profile(&mut reader, profile).await
    }

    pub(crate) async fn profiles(&self, company: Option<CompanyId>) -> Result<Vec<Profile>, StoreError> {
        let mut reader = self.reader().acquire().await.map_err(failed("reading profiles"))?;
        match company {
            Some(company) => profiles(&mut reader, Part::Of(&[company.0])).await,
            None => profiles(&mut reader, Part::Whole).await,
        }
    }

    /// Stops a profile's calls, or with `None` lets them be made again.
    pub(crate) async fn suspend_profile(
        &self,
        profile: ProfileId,
        suspension: Option<&Suspension>,
    ) -> Result<(), StoreError> {
        let statement = query(statements::SUSPEND_PROFILE)
            .bind(profile.0)
            .bind(suspension.map(|it| it.at.0))
            .bind(suspension.map(|it| it.reason.clone()));
        let what = ("profile", profile.to_string());
        self.change("suspending a profile", what, Some(Changed::Profile(profile)), statement).await
    }

    pub(crate) async fn rename_profile(&self, profile: ProfileId, name: &str) -> Result<(), StoreError> {
        let statement = query(statements::RENAME_PROFILE).bind(profile.0).bind(name.to_owned());
        let what = ("profile", profile.to_string());
        self.change("renaming a profile", what, Some(Changed::Profile(profile)), statement).await
    }

    pub(crate) async fn change_profile(
        &self,
        profile: ProfileId,
        settings: ProfileSettings,
    ) -> Result<(), StoreError> {
        let statement = put_settings(profile, settings);
        let what = ("profile", profile.to_string());
        self.change("changing a profile", what, Some(Changed::Profile(profile)), statement).await
    }

    pub(crate) async fn credentials(
        &self,
        vault: &Vault,
        profile: ProfileId,
    ) -> Result<Credentials, StoreError> {
        let row: Option<(i64, String, String)> = query_as(statements::SEALED_PASSWORD)
            .bind(profile.0)
            .fetch_optional(self.reader())
            .await
            .map_err(failed("reading credentials"))?;
        let row = row.ok_or_else(|| StoreError::NotFound { what: "profile", name: profile.to_string() })?;
        open_credentials(vault, row)
    }

    pub(crate) async fn new_password(
        &self,
        vault: &Vault,
        profile: ProfileId,
    ) -> Result<Credentials, StoreError> {
        let password = generate_password(&mut OsEntropy)?;
        let sealed = vault.seal(&identity(profile), &password, &mut OsEntropy)?;
        let mut transaction = self.begin().await?;
        let sip_user: Option<String> = query_scalar(statements::CHANGE_PASSWORD)
            .bind(profile.0)
            .bind(sealed)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed("changing a password"))?;
        let sip_user =
            sip_user.ok_or_else(|| StoreError::NotFound { what: "profile", name: profile.to_string() })?;
        raise_revision(&mut transaction, Changed::Profile(profile)).await?;
        transaction.commit().await.map_err(failed("changing a password"))?;
        Ok(Credentials { profile, sip_user, password })
    }
}

pub(super) async fn profile(
    connection: &mut Connection,
    profile: ProfileId,
) -> Result<Option<Profile>, StoreError> {
    let row: Option<ProfileRow> = query_as(statements::PROFILE)
        .bind(profile.0)
        .fetch_optional(connection)
        .await
        .map_err(failed("reading a profile"))?;
    row.map(Profile::try_from).transpose()
}

/// The statement that puts a profile's settings in the place of those before.
pub(super) fn put_settings(profile: ProfileId, settings: ProfileSettings) -> Query {
    query(statements::CHANGE_PROFILE)
        .bind(profile.0)
        .bind(settings.authentication.word())
        .bind(settings.digest.word())
        .bind(settings.presentation.word())
        .bind(settings.srtp.word())
        .bind(settings.caller_id_by_call.word())
        .bind(settings.caller_name.word())
}

/// Deletes the profiles whose accounts were closed. Their numbers and business accounts are the company's again.
pub(super) async fn delete_closed(
    connection: &mut Connection,
    books: &Books,
    changes: &Changes,
) -> Result<(), StoreError> {
    let is_closed = |profile: &&ProfileId| books.closed(**profile).is_some();
    let closed: Vec<i64> = changes.profiles.iter().filter(is_closed).map(|profile| profile.0).collect();
    for chunk in chunks(&closed) {
        for statement in [
            statements::DELETE_REGISTRATIONS_IN,
            statements::DELETE_PROOFS_IN,
            statements::DELETE_PROFILES_IN,
        ] {
            let statement = with_list(statement, chunk, "");
            statement.build().execute(&mut *connection).await.map_err(failed("deleting a profile"))?;
        }
    }
    Ok(())
}

/// Deletes the call records of profiles.
pub(super) async fn delete_history(
    connection: &mut Connection,
    profiles: &[ProfileId],
) -> Result<(), StoreError> {
    let profiles: Vec<i64> = profiles.iter().map(|profile| profile.0).collect();
    for chunk in chunks(&profiles) {
        let statement = with_list(statements::DELETE_CDRS_OF_PROFILES_IN, chunk, "");
        statement.build().execute(&mut *connection).await.map_err(failed("deleting call records"))?;
    }
    Ok(())
}

async fn insert_profile(
    connection: &mut Connection,
    new: &ProfileOrder<'_>,
) -> Result<(ProfileId, String), StoreError> {
    for _ in 0..SIP_USER_DRAWS {
        let sip_user = generate_sip_user(&mut OsEntropy)?;
        // The password is sealed for the profile's identity, which is known only once the row is there.
        let id: Option<i64> = query_scalar(statements::INSERT_PROFILE)
            .bind(new.company.0)
            .bind(new.name)
            .bind(&sip_user)
            .bind("")
            .bind(new.settings.authentication.word())
            .bind(new.settings.digest.word())
            .bind(new.settings.presentation.word())
            .bind(new.settings.srtp.word())
            .bind(new.settings.caller_id_by_call.word())
            .bind(new.settings.caller_name.word())
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed("creating a profile"))?;
        if let Some(id) = id {
            return Ok((ProfileId(id), sip_user));
        }
    }
    Err(StoreError::Taken { what: "SIP user", name: format!("in each of {SIP_USER_DRAWS} draws") })
}

async fn seal_new_password(
    connection: &mut Connection,
    vault: &Vault,
    profile: ProfileId,
) -> Result<Password, StoreError> {
    let password = generate_password(&mut OsEntropy)?;
    let sealed = vault.seal(&identity(profile), &password, &mut OsEntropy)?;
    query(statements::SEAL_PASSWORD)
        .bind(profile.0)
        .bind(sealed)
        .execute(connection)
        .await
        .map_err(failed("creating a profile"))?;
    Ok(password)
}

fn open_credentials(
    vault: &Vault,
    (id, sip_user, sealed): (i64, String, String),
) -> Result<Credentials, StoreError> {
    let profile = ProfileId(id);
    Ok(Credentials { profile, sip_user, password: vault.open(&identity(profile), &sealed)? })
}

pub(super) async fn profiles(
    connection: &mut Connection,
    part: Part<'_>,
) -> Result<Vec<Profile>, StoreError> {
    let statement = part.of(statements::PROFILES_THAT, "p.company_id", " ORDER BY p.id");
    let rows: Vec<ProfileRow> =
        statement.build_query_as().fetch_all(connection).await.map_err(failed("reading profiles"))?;
    rows.into_iter().map(Profile::try_from).collect()
}

pub(super) async fn credentials(
    connection: &mut Connection,
    vault: &Vault,
    part: Part<'_>,
) -> Result<Vec<Credentials>, StoreError> {
    let statement = part.of(statements::SEALED_PASSWORDS_THAT, "company_id", " ORDER BY id");
    let rows: Vec<(i64, String, String)> =
        statement.build_query_as().fetch_all(connection).await.map_err(failed("reading credentials"))?;
    rows.into_iter().map(|row| open_credentials(vault, row)).collect()
}
