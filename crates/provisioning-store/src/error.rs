//! What can go wrong with the store, by who is to blame.

use std::error::Error;
use std::sync::Arc;

use crate::ledger::Refusal;
use crate::money::Micros;
use crate::rating::RatesRefused;
use crate::secrets::SecretError;

/// Why the store did not do what it was asked. Cloneable, because one failed commit fails many callers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database: gone, locked, full, or not ours.
    #[error("the database failed while {doing}: {cause}")]
    Database {
        /// What the store was doing.
        doing: &'static str,
        /// The database's own words.
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// The writer has ended; the daemon is shutting down.
    #[error("the store's writer has ended")]
    Closed,
    /// Another writer changed the accounts meanwhile; nothing was written, ask again.
    #[error("another writer changed these accounts at the same moment; nothing was written")]
    Conflict,
    /// Another gateway has the right to the live calls in the database.
    #[error(
        "another gateway called \"{owner}\" runs on this database; stop it first, or give this one a database of its own"
    )]
    Owned {
        /// The name of both.
        owner: String,
    },
    /// The tables are another program's.
    #[error(
        "the database is of version {found} and this program of version {needed}; use the program that the gateway \
         runs with, or stop the gateway and start it with this one"
    )]
    OtherVersion {
        /// Of which version the tables are.
        found: i64,
        /// Which one this program works with.
        needed: i64,
    },
    /// A row holds what this program would never have written.
    #[error("the database holds \"{found}\" where {expected} belongs; it was changed by hand or is damaged")]
    Damaged {
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// The key or a sealed secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The ledger's rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The rate file.
    #[error(transparent)]
    Rates(#[from] RatesRefused),
    /// The thing asked for is not there.
    #[error("there is no {what} {name}")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
        /// Which one was asked for.
        name: String,
    },
    /// The name is in use.
    #[error("there is a {what} {name} already")]
    Taken {
        /// Kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The business account belongs to another profile.
    #[error("the business account {account} belongs to the profile {profile}; remove it there first")]
    AccountInUse {
        /// Name of the account.
        account: String,
        /// Name of the profile that has it.
        profile: String,
    },
    /// The company has as many of these as it may create by itself.
    #[error(
        "there are {most} {what}, as many as a company may have by itself; remove some, or ask an operator"
    )]
    QuotaReached {
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        most: u32,
    },
    /// The newest edition is the only one.
    #[error(
        "the price list {price_list} has no earlier edition that is kept; import the rates that are to hold"
    )]
    NoEarlierEdition {
        /// The list's name.
        price_list: String,
    },
    /// Another edition came after it, or it has been taken back already.
    #[error(
        "the edition {edition} is not the newest of the price list {price_list}; take back the newest first"
    )]
    NotNewestEdition {
        /// Its number.
        edition: i64,
        /// The list's name.
        price_list: String,
    },
    /// One import at a time.
    #[error("another rate deck is being imported; wait until it is done")]
    ImportRuns,
    /// A rate deck could not be read to its end.
    #[error("the rate deck could not be read to its end: {cause}")]
    DeckCut {
        /// Why not.
        cause: Arc<std::io::Error>,
    },
    /// The thing is not as it was when somebody looked at it, and the change was to be made only while it is.
    #[error("it was changed since it was read; read it again, and change it if that is still wanted")]
    Changed,
    /// What is to be bought has another price than was agreed; nothing was bought.
    #[error(
        "the price is {price} now, and {agreed} was agreed, so nothing was bought; look at the quote again"
    )]
    OtherPrice {
        /// What it costs now.
        price: Micros,
        /// What was agreed.
        agreed: Micros,
    },
    /// A request with the same name is being done at this moment.
    #[error("a request with the same key is being done; ask again for its answer")]
    AskedTwice,
    /// What was given cannot be stored.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong and how to cure it.
        problem: String,
    },
}

/// Refuses to buy what has another price than was agreed.
pub(crate) fn refuse_unless_agreed(price: Micros, agreed: Option<Micros>) -> Result<(), StoreError> {
    match agreed {
        Some(agreed) if agreed != price => Err(StoreError::OtherPrice { price, agreed }),
        _ => Ok(()),
    }
}

impl StoreError {
    /// True for failures of the database itself, where the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Database { .. } | Self::Conflict | Self::Closed)
    }
}
