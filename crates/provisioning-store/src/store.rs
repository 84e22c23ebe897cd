//! The store: what the daemon and the command line need, in verbs.
//!
//! Every verb that changes something is one transaction: done whole, or not at all. Times are given by the caller.

mod access;
mod addresses;
mod administrators;
mod amendments;
mod companies;
mod lifecycle;
mod numbers;
mod on_hand;
mod pages;
mod payments;
mod profiles;
mod rates;
mod reports;
mod spend_guard;

use self::rates::Import;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ipnet::IpNet;

use crate::cdr::{Cdr, CdrFilter, CdrPage};
use crate::directory::DirectoryRows;
use crate::error::StoreError;
use crate::ledger::{
    Account, Balance, Imbalance, LedgerEntry, LedgerOp, Outcome, Refusal, Reservation, ReservePolicy,
};
use crate::lifecycle::{Order, PriceList};
use crate::model::{
    Carrier, CarrierAuthentication, CarrierId, Company, CompanyId, GuardOverrides, Landline, NewCarrier,
    NewCompany, Premium, ProfileId, ProfileSettings, Timestamp, Verification,
};
use crate::money::Micros;
use crate::registrations::Registration;
use crate::secrets::{SecretKey, Vault};
use crate::sql::{Author, Database};
use crate::text::unseen;

pub use self::rates::{Deck, DeckOrder, ImportProgress, Imported};

/// The price list that is used where none is named.
pub const STANDARD_PRICE_LIST: &str = "standard";
/// Longest name of a company, profile, carrier or account, in characters.
const LONGEST_NAME: usize = 100;
/// Longest note to a payment, in characters.
const LONGEST_NOTE: usize = 500;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Where the database is.
    pub location: Location,
    /// The key that seals passwords, kept outside the database.
    pub key: SecretKey,
    /// Name of this gateway: after a restart under the same name, its live calls are its orphans.
    pub owner: String,
    /// Whether it is the gateway itself that opens it.
    pub claim: Claim,
    /// How far ahead calls reserve.
    pub policy: ReservePolicy,
    /// What a commit survives.
    pub durability: Durability,
}

/// By what right a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// Beside a gateway that may be running: its calls are left alone, and so are its tables, unless there are none yet.
    #[default]
    Beside,
    /// As the one gateway of its name, which brings the tables up to date. PostgreSQL is asked to let no second one in, from whichever machine; whoever opens
    /// a file keeps others out by a lock beside it.
    Owner,
}

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In a file of SQLite; created when it is not there.
    File(PathBuf),
    /// On a server of PostgreSQL; it must be there, its tables are made.
    Postgres(PostgresUrl),
}

/// The address of a database on PostgreSQL, `postgres://user:password@host:port/name`. It may hold a password, so it is
/// never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// An address that begins with `postgres://` or `postgresql://`; nothing else is one.
    pub fn new(url: impl Into<String>) -> Option<Self> {
        let url = url.into();
        let is_one = url.starts_with("postgres://") || url.starts_with("postgresql://");
        is_one.then_some(Self(url))
    }

    /// The address in clear.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresUrl(..)")
    }
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The power failing: every commit waits for the disk.
    #[default]
    PowerFailure,
    /// The program being killed; a power failure may take the last commits, never half of one.
    Crash,
}

impl StoreOptions {
    /// Options for a gateway called `gateway` with the standard policy on a database file.
    pub fn new(path: impl AsRef<Path>, key: SecretKey) -> Self {
        Self {
            location: Location::File(path.as_ref().to_owned()),
            key,
            owner: "gateway".into(),
            claim: Claim::Beside,
            policy: ReservePolicy::default(),
            durability: Durability::default(),
        }
    }
}

/// What a new profile is made of.
#[derive(Clone, Debug)]
pub struct NewProfile {
    /// The company it belongs to.
    pub company: CompanyId,
    /// Name, a label.
    pub name: String,
    /// Settings.
    pub settings: ProfileSettings,
    /// A subscription to buy at once, at these prices.
    pub order: Option<(Order, PriceList)>,
}

/// An open store. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    vault: Vault,
    owner: String,
    /// Shared by all clones, so that changed defaults hold for all of them.
    policy: Arc<RwLock<ReservePolicy>>,
    /// Countries whose Online Numbers may be shown as the caller; shared in the same way.
    caller_id_countries: Arc<RwLock<BTreeSet<String>>>,
    /// Where carriers are that are known by a name.
    carrier_addresses: Arc<RwLock<BTreeSet<IpAddr>>>,
    /// The rate deck that is being imported.
    import: Arc<Import>,
}

impl Store {
    /// Opens or creates the database and checks the key. Its owner brings the tables up to date; for anybody else they
    /// have to be as this program knows them.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let owner = (options.claim == Claim::Owner).then_some(options.owner.as_str());
        let database = Database::open(&options.location, options.durability, owner).await?;
        let vault = Vault::new(&options.key);
        database.check_key(&vault).await?;
        let policy = Arc::new(RwLock::new(options.policy));
        let owner = options.owner;
        let (caller_id_countries, carrier_addresses, import) = Default::default();
        Ok(Self { database, vault, owner, policy, caller_id_countries, carrier_addresses, import })
    }

    /// Closes the database after the work in progress.
    pub async fn close(self) {
        self.database.close().await;
    }

    fn author(&self) -> Author<'_> {
        Author { owner: &self.owner, policy: self.policy() }
    }

    /// From now on calls reserve by another policy; what they hold already stays theirs.
    pub fn use_policy(&self, policy: ReservePolicy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// How far ahead calls reserve, and within which limits.
    pub fn policy(&self) -> ReservePolicy {
        *self.policy.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ledger.
impl Store {
    /// Does a batch in one transaction and one sync of the disk. A refused operation leaves the others alone; when
    /// the database fails, nothing of the batch has happened.
    pub async fn apply(&self, entries: &[LedgerEntry]) -> Result<Vec<Result<Outcome, Refusal>>, StoreError> {
        self.database.apply(self.author(), entries).await
    }

    /// Does one operation.
    pub async fn apply_one(&self, at: Timestamp, op: LedgerOp) -> Result<Outcome, StoreError> {
        let outcomes = self.apply(&[LedgerEntry { at, op }]).await?;
        let outcome = outcomes.into_iter().next().expect("a batch has as many outcomes as operations");
        Ok(outcome?)
    }

    /// After a restart, before any call is taken: settles this gateway's live calls to their last proved second and
    /// voids those that were never answered; frees what was
    /// on hand. Returns how many calls there were.
    pub async fn settle_orphans(&self, now: Timestamp) -> Result<usize, StoreError> {
        let orphans = self.live_calls().await?;
        let expire = |orphan: &Reservation| LedgerEntry {
            at: now,
            op: LedgerOp::Expire { call: orphan.call.clone() },
        };
        let entries: Vec<_> = orphans.iter().map(expire).collect();
        for outcome in self.apply(&entries).await? {
            outcome?;
        }
        self.release_on_hand(now).await?;
        Ok(orphans.len())
    }

    /// This gateway's live calls in the books. Their difference to the calls that are really going on must be nothing.
    pub async fn live_calls(&self) -> Result<Vec<Reservation>, StoreError> {
        self.database.live_calls(&self.owner).await
    }

    /// Every account and its state.
    pub async fn balances(&self) -> Result<BTreeMap<Account, Balance>, StoreError> {
        self.database.balances().await
    }

    /// Proves the books: every balance is the sum of its transfers, every reserved part is what live calls hold,
    /// nothing is overdrawn, nothing was made or lost. Returns what is wrong: nothing.
    pub async fn verify(&self) -> Result<Vec<Imbalance>, StoreError> {
        self.database.imbalances().await
    }
}

/// Call records.
impl Store {
    /// A page of 50 records, newest first; pages count from 1.
    pub async fn cdrs(&self, filter: &CdrFilter, page: u32) -> Result<CdrPage, StoreError> {
        self.database.cdrs(filter, page).await
    }

    /// The latest records, at most `most`, newest first.
    pub async fn latest_cdrs(&self, filter: &CdrFilter, most: u32) -> Result<Vec<Cdr>, StoreError> {
        self.database.latest_cdrs(filter, most).await
    }
}

/// The directory and registrations.
impl Store {
    /// Everything that calls are decided by, of one moment, passwords in clear.
    pub async fn load_directory(&self) -> Result<DirectoryRows, StoreError> {
        self.database.directory(&self.vault, None).await
    }

    /// What has changed since a revision; everything where the database has forgotten that it was ever there.
    pub async fn load_changes(&self, since: i64) -> Result<DirectoryRows, StoreError> {
        self.database.directory(&self.vault, Some(since)).await
    }

    /// A number that goes up with every change of the directory or the rates: cheap to ask, to see whether to load.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        self.database.revision().await
    }

    /// Keeps bindings, in the place of the profiles' older ones.
    pub async fn save_registrations(&self, registrations: &[Registration]) -> Result<(), StoreError> {
        self.database.save_registrations(registrations).await
    }

    /// Forgets the bindings of these profiles.
    pub async fn delete_registrations(&self, profiles: &[ProfileId]) -> Result<(), StoreError> {
        self.database.delete_registrations(profiles).await
    }

    /// Forgets the bindings that have expired. Returns how many.
    pub async fn delete_expired_registrations(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.database.delete_expired_registrations(now).await
    }

    /// The bindings that have not expired.
    pub async fn load_registrations(&self, now: Timestamp) -> Result<Vec<Registration>, StoreError> {
        self.database.registrations(now).await
    }
}

/// Companies.
impl Store {
    /// Opens a company's account.
    pub async fn create_company(&self, now: Timestamp, new: &NewCompany) -> Result<Company, StoreError> {
        self.create_limited_company(now, new, None).await
    }

    /// The same, with a limit of the calls a second that its profiles may begin together.
    pub async fn create_limited_company(
        &self,
        now: Timestamp,
        new: &NewCompany,
        calls_per_second: Option<NonZeroU32>,
    ) -> Result<Company, StoreError> {
        let new = NewCompany {
            name: company_name(&new.name)?,
            country: letters("country", &new.country, 2)?,
            currency: letters("currency", &new.currency, 3)?,
        };
        let company = self.database.create_company(self.author(), now, &new, calls_per_second).await?;
        self.company(company).await
    }

    /// Companies and profiles without a limit that new ones begin with: neither they nor the installation have one, and it was
    /// not lifted on purpose.
    pub async fn unlimited(&self) -> Result<Unlimited, StoreError> {
        let guards = self.database.guards().await?;
        let without = |lacks: &dyn Fn(&GuardOverrides) -> bool| {
            guards.iter().filter(|(guard, _)| lacks(guard)).map(|(_, profiles)| profiles).sum()
        };
        let all = self.policy().guard;
        let are_capped = all.hour_cap.is_some() || all.day_cap.is_some();
        Ok(Unlimited {
            call_rate: without(&|own| all.calls_per_second.is_none() && own.calls_per_second.is_unsaid()),
            company_call_rate: self.database.companies_without_call_rate().await?,
            premium: without(&|own| all.premium == Premium::Allow && own.premium.is_unsaid()),
            caps: without(&|own| !are_capped && own.hour_cap.is_unsaid() && own.day_cap.is_unsaid()),
        })
    }

    /// Limits the calls a second that a company's profiles may begin together; `None` lifts the limit.
    pub async fn set_calls_per_second(
        &self,
        company: CompanyId,
        most: Option<NonZeroU32>,
    ) -> Result<Company, StoreError> {
        self.database.set_calls_per_second(company, most).await?;
        self.company(company).await
    }

    /// All companies.
    pub async fn companies(&self) -> Result<Vec<Company>, StoreError> {
        self.database.companies().await
    }

    /// One company.
    pub async fn company(&self, company: CompanyId) -> Result<Company, StoreError> {
        found("company", company, self.database.company(company).await?)
    }

    /// Says that a company is who it claims to be, and who has made sure of it; it may now show its landline numbers.
    pub async fn verify_company(
        &self,
        now: Timestamp,
        company: CompanyId,
        by: &str,
    ) -> Result<(), StoreError> {
        let verification = Verification { by: named("name of who has verified", by)?, at: now };
        self.database.verify_company(company, Some(&verification)).await
    }

    /// Takes a verification back.
    pub async fn unverify_company(&self, company: CompanyId) -> Result<(), StoreError> {
        self.database.verify_company(company, None).await
    }

    /// Books money paid in.
    pub async fn top_up(
        &self,
        now: Timestamp,
        company: CompanyId,
        amount: Micros,
        note: &str,
    ) -> Result<Company, StoreError> {
        let note = noted("note", note)?;
        self.apply_one(now, LedgerOp::TopUp { company, amount, note }).await?;
        self.company(company).await
    }

    /// Stores a landline number for use as Caller ID, or adds to a stored one who has made sure that it is the company's
    /// own. Only then is it shown. A number that is hosted here, or is verified as another company's, is refused.
    pub async fn add_landline(
        &self,
        now: Timestamp,
        company: CompanyId,
        number: &str,
        verified_by: Option<&str>,
    ) -> Result<Landline, StoreError> {
        self.company(company).await?;
        let by = verified_by.map(|by| named("name of who has verified", by)).transpose()?;
        let verification = by.map(|by| Verification { by, at: now });
        let landline = Landline { company, number: e164(number)?, verification };
        self.database.add_landline(&landline).await
    }

    /// Forgets a landline number; profiles that showed it show it no longer.
    pub async fn remove_landline(&self, company: CompanyId, number: &str) -> Result<(), StoreError> {
        self.database.remove_landline(company, &e164(number)?).await
    }

    /// All stored landline numbers, by company.
    pub async fn landlines(&self) -> Result<Vec<Landline>, StoreError> {
        self.database.landlines().await
    }
}

/// Carriers and rates.
impl Store {
    /// Adds a carrier.
    pub async fn create_carrier(&self, new: NewCarrier) -> Result<Carrier, StoreError> {
        let settings = checked_carrier(new)?;
        let id = self.database.create_carrier(&self.vault, &settings).await?;
        Ok(Carrier { id, settings })
    }

    /// Puts new settings in the place of a carrier's old ones, its password too.
    pub async fn change_carrier(&self, carrier: CarrierId, new: NewCarrier) -> Result<(), StoreError> {
        self.database.change_carrier(&self.vault, carrier, &checked_carrier(new)?).await
    }

    /// Removes a carrier.
    pub async fn remove_carrier(&self, carrier: CarrierId) -> Result<(), StoreError> {
        self.database.remove_carrier(carrier).await
    }

    /// All carriers by priority, passwords in clear.
    pub async fn carriers(&self) -> Result<Vec<Carrier>, StoreError> {
        self.database.carriers(&self.vault).await
    }

    /// Rates a company's calls by another price list from now on; running calls keep their price.
    pub async fn set_price_list(&self, company: CompanyId, price_list: &str) -> Result<Company, StoreError> {
        self.database.set_price_list(company, price_list).await?;
        self.company(company).await
    }
}

fn found<T>(what: &'static str, name: impl ToString, thing: Option<T>) -> Result<T, StoreError> {
    thing.ok_or_else(|| StoreError::NotFound { what, name: name.to_string() })
}

fn invalid(field: &'static str, problem: impl Into<String>) -> StoreError {
    StoreError::Invalid { field, problem: problem.into() }
}

/// A label: trimmed, not empty, one line, nothing that cannot be seen.
fn named(field: &'static str, name: &str) -> Result<String, StoreError> {
    let name = seen(field, name)?;
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        return Err(invalid(field, format!("write 1 to {LONGEST_NAME} characters on one line")));
    }
    Ok(name)
}

/// A company's name. Commands take a company by its number too, so a name is no number.
fn company_name(name: &str) -> Result<String, StoreError> {
    let name = named("company name", name)?;
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("company name", "would be taken for a company's number; add a letter"));
    }
    Ok(name)
}

/// A note, which may be empty: trimmed, one line, nothing that cannot be seen.
fn noted(field: &'static str, note: &str) -> Result<String, StoreError> {
    let note = seen(field, note)?;
    if note.chars().count() > LONGEST_NOTE {
        return Err(invalid(field, format!("write at most {LONGEST_NOTE} characters on one line")));
    }
    Ok(note)
}

/// A text that others read as it was meant: trimmed, without control characters, marks of direction and the like.
fn seen(field: &'static str, text: &str) -> Result<String, StoreError> {
    let text = text.trim();
    match unseen(text) {
        None => Ok(text.to_owned()),
        Some(character) => {
            let code = u32::from(character);
            Err(invalid(
                field,
                format!("holds the character U+{code:04X}, which cannot be seen; leave it out"),
            ))
        }
    }
}

/// A code of letters, in capitals.
fn letters(field: &'static str, code: &str, length: usize) -> Result<String, StoreError> {
    if code.len() != length || !code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(invalid(field, format!("\"{code}\" is not a code of {length} letters, like US or USD")));
    }
    Ok(code.to_ascii_uppercase())
}

/// A telephone number in E.164 with `+`; spaces, dashes and brackets are taken out.
fn e164(number: &str) -> Result<String, StoreError> {
    let digits: String = number.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.')).collect();
    let digits = digits.strip_prefix('+').filter(|digits| {
        (4..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    match digits {
        Some(digits) => Ok(format!("+{digits}")),
        None => {
            Err(invalid("number", format!("\"{number}\" is not an E.164 number; write it like +12026843376")))
        }
    }
}

/// The user part of a SIP address: what goes into a Request-URI without escapes (RFC 3261 25.1, unreserved).
fn user_part(field: &'static str, text: &str) -> Result<String, StoreError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()+".contains(&byte);
    if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().all(is_plain) {
        return Err(invalid(
            field,
            format!("\"{text}\" must be letters, digits and any of - _ . ! ~ * ' ( ) +"),
        ));
    }
    Ok(text.to_owned())
}

fn checked_carrier(new: NewCarrier) -> Result<NewCarrier, StoreError> {
    let host = new.host.trim().to_owned();
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
    if host.is_empty() || !host.chars().all(is_host) {
        return Err(invalid("host", format!("\"{host}\" is not a host name or address")));
    }
    if !new.prefix.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '*' | '#')) {
        return Err(invalid("prefix", format!("\"{}\" must be digits, +, * or #", new.prefix)));
    }
    if let CarrierAuthentication::Digest { user, .. } = &new.authentication {
        if user.is_empty() {
            return Err(invalid("digest user", "is empty; write the user name the carrier gave, or use IP"));
        }
        seen("digest user", user)?;
    }
    if new.port == Some(0) {
        return Err(invalid("port", "0 is no port; write 1 to 65535, or none"));
    }
    let sources: Vec<IpNet> = new.sources.iter().map(IpNet::trunc).collect();
    Ok(NewCarrier { name: named("carrier name", &new.name)?, host, sources, ..new })
}

/// How many profiles and companies lack a limit that new ones begin with, and have not set it themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unlimited {
    /// Profiles that may begin any number of calls a second.
    pub call_rate: u64,
    /// Companies of which the same is true.
    pub company_call_rate: u64,
    /// Profiles that may call premium numbers.
    pub premium: u64,
    /// Profiles that may spend any amount in an hour and a day.
    pub caps: u64,
}
