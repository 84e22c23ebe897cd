//! Opening the store that the configuration names, for the daemon and for the command line.

mod ownership;

use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use provisioning_store::error::StoreError;
use provisioning_store::journal::Journal;
use provisioning_store::model::Timestamp;
use provisioning_store::private;
use provisioning_store::secrets::{OsEntropy, SecretError, SecretKey};
use provisioning_store::store::{Claim, Durability, Location, PostgresUrl, Store, StoreOptions};

pub use self::ownership::{Holder, Ownership, Purpose, own};
use crate::config::{Config, Synchronous, exposure};

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory cannot be read or made.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        error: io::Error,
    },
    /// The key's file holds no key.
    #[error("{}: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: SecretError,
    },
    /// Others may read or change the key.
    #[error("{}: the key can be read or changed by others than its owner (mode {mode:03o}); chmod 600 {}", path.display(), path.display())]
    KeyOpen {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is a database and not the key it was made with. A new key would open nothing, and whoever kept a copy of it
    /// would keep the wrong one.
    #[error("{}: the key file is missing, and {} cannot be read without it; restore it from its copy", key_file.display(), database)]
    KeyMissing {
        /// Where the key should be.
        key_file: PathBuf,
        /// The database that needs it.
        database: String,
    },
    /// The configuration's address of a database is none.
    #[error(
        "store.url: this is no address of a PostgreSQL database; write one like postgres://sipgw:password@localhost/sipgw"
    )]
    Address,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The calls in the database are another gateway's, and they may be alive; or a command works on it.
    #[error("another {}{} runs on {}; stop it first, or give this one a database of its own", holder.purpose.noun(), ownership::with_pid(.holder.pid), path.display())]
    Owned {
        /// The database.
        path: PathBuf,
        /// Who has it.
        holder: Holder,
    },
}

fn make_directory_of(file: &Path) -> Result<(), OpenError> {
    let Some(directory) = file.parent() else { return Ok(()) };
    let mut making = std::fs::DirBuilder::new();
    // Folders that are there stay as they are.
    let made = making.recursive(true).mode(0o700).create(directory);
    made.map_err(|error| OpenError::File { path: directory.into(), error })
}

/// Opens or makes the journal of outages.
pub fn journal(config: &Config) -> Result<Journal, OpenError> {
    let beside = || PathBuf::from(format!("{}.outage", config.store.path.display()));
    let path = config.resolve_path(&config.store.outage_file.clone().unwrap_or_else(beside));
    make_directory_of(&path)?;
    Journal::open(&path).map_err(|error| OpenError::File { path, error })
}

/// Where a running gateway takes commands: beside the database.
pub fn socket(config: &Config) -> PathBuf {
    let path = config.resolve_path(&config.store.path);
    PathBuf::from(format!("{}.socket", path.display()))
}

/// Where the database is.
pub fn location(config: &Config) -> Result<Location, OpenError> {
    match &config.store.url {
        None => Ok(Location::File(config.resolve_path(&config.store.path))),
        Some(url) => PostgresUrl::new(url.reveal()).map(Location::Postgres).ok_or(OpenError::Address),
    }
}

/// Opens the store beside a gateway that may run on it. A new database gets a key, unless one is there; a database without
/// its key is refused, and so is one of another program's version.
pub async fn open(config: &Config) -> Result<Store, OpenError> {
    open_as(config, Claim::Beside).await
}

/// The same for whoever takes the database for its own, which brings its tables up to date. A gateway waits for commands
/// that are about to let go of it.
pub async fn open_owned(config: &Config, purpose: Purpose) -> Result<(Store, Ownership), OpenError> {
    let ownership = ownership::own_patiently(config, purpose).await?;
    Ok((open_as(config, Claim::Owner).await?, ownership))
}

async fn open_as(config: &Config, claim: Claim) -> Result<Store, OpenError> {
    let path = config.resolve_path(&config.store.path);
    let key_file = config.resolve_path(&config.store.key_file);
    make_directory_of(&path)?;
    make_directory_of(&key_file)?;
    let location = location(config)?;
    let missing =
        |database: &str| OpenError::KeyMissing { key_file: key_file.clone(), database: database.to_owned() };
    let (key, is_new) = match read_key(&key_file)? {
        Some(key) => (key, false),
        None if matches!(location, Location::File(_)) && is_there(&path)? => {
            return Err(missing(&path.display().to_string()));
        }
        None => (make_key(&key_file)?, true),
    };
    let durability = match config.store.synchronous {
        Synchronous::Full => Durability::PowerFailure,
        Synchronous::Normal => Durability::Crash,
    };
    let policy = config.reserve_policy();
    let options = StoreOptions { location, durability, policy, claim, ..StoreOptions::new(path, key) };
    match Store::open(options).await {
        // Whether a server has the database already shows only when it is asked; the key that was made for it is none.
        Err(StoreError::Secret(SecretError::WrongKey)) if is_new => {
            std::fs::remove_file(&key_file)
                .map_err(|error| OpenError::File { path: key_file.clone(), error })?;
            Err(missing("the database at store.url"))
        }
        opened => {
            let store = opened?;
            store.use_caller_id_countries(config.calls.caller_id_countries.iter().cloned().collect());
            Ok(store)
        }
    }
}

/// The key, or `None` if there is no such file.
fn read_key(file: &Path) -> Result<Option<SecretKey>, OpenError> {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            if let Some(mode) = exposure::of(file, exposure::GROUP_OR_OTHERS) {
                return Err(OpenError::KeyOpen { path: file.into(), mode });
            }
            let wrong = |error| OpenError::Key { path: file.into(), error };
            SecretKey::from_hex(text.trim()).map(Some).map_err(wrong)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::File { path: file.into(), error }),
    }
}

fn make_key(file: &Path) -> Result<SecretKey, OpenError> {
    let key =
        SecretKey::generate(&mut OsEntropy).map_err(|error| OpenError::Key { path: file.into(), error })?;
    write_private(file, &key.to_hex()).map_err(|error| OpenError::File { path: file.into(), error })?;
    Ok(key)
}

fn is_there(file: &Path) -> Result<bool, OpenError> {
    file.try_exists().map_err(|error| OpenError::File { path: file.into(), error })
}

/// Writes a file that only its owner may read, and that was not there before.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let mut made = private::make(file)?;
    writeln!(made, "{text}")?;
    made.sync_all()
}

/// The present moment, as the store counts time.
pub fn now() -> Timestamp {
    crate::admission::wall(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn config(directory: &Path) -> Config {
        let mut config = Config { directory: directory.into(), ..Config::default() };
        config.store.path = "data/sipgw.db".into();
        config.store.key_file = "data/sipgw.key".into();
        config
    }

    #[tokio::test]
    async fn a_new_store_gets_a_key_of_its_own_that_nobody_else_can_read() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        open(&config).await.unwrap().close().await;
        let key = directory.path().join("data/sipgw.key");
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let before = std::fs::read_to_string(&key).unwrap();
        open(&config).await.unwrap().close().await;
        assert_eq!(std::fs::read_to_string(&key).unwrap(), before);
    }

    #[tokio::test]
    async fn one_gateway_owns_a_database_and_commands_open_it_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let ownership = own(&config, Purpose::Gateway).unwrap();
        let message = own(&config, Purpose::Command).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(message.starts_with(&format!("another gateway (process {pid}) runs on ")), "{message}");
        open(&config).await.unwrap().close().await;
        drop(ownership);
        own(&config, Purpose::Command).expect("free again, though the file is still there");
    }

    #[tokio::test]
    async fn a_missing_key_is_not_replaced_beside_a_database() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        open(&config).await.unwrap().close().await;
        let (key, away) = (directory.path().join("data/sipgw.key"), directory.path().join("away"));
        std::fs::rename(&key, &away).unwrap();
        let error = open(&config).await.unwrap_err();
        assert!(matches!(error, OpenError::KeyMissing { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("data/sipgw.key") && message.contains("restore it"), "{message}");
        assert!(!key.exists(), "a wrong key was put in its place");
        std::fs::rename(&away, &key).unwrap();
        open(&config).await.unwrap().close().await;
    }

    #[tokio::test]
    async fn a_key_that_others_may_read_is_refused_with_the_cure() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        open(&config).await.unwrap().close().await;
        let key = directory.path().join("data/sipgw.key");
        let set = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o666, 0o644, 0o640, 0o602] {
            set(mode);
            let message = open(&config).await.unwrap_err().to_string();
            assert!(message.contains(&format!("(mode {mode:03o}); chmod 600 ")), "{message}");
        }
        set(0o400);
        open(&config).await.unwrap().close().await;
    }

    #[tokio::test]
    async fn whatever_is_made_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let (store, ownership) = open_owned(&config, Purpose::Command).await.unwrap();
        drop(journal(&config).unwrap());
        let folder = directory.path().join("data");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            names.push(entry.file_name().into_string().unwrap());
            assert_eq!(mode(&entry.path()), 0o600, "{names:?}");
        }
        for wanted in ["sipgw.db", "sipgw.db-wal", "sipgw.db.lock", "sipgw.db.outage", "sipgw.key"] {
            assert!(names.iter().any(|name| name == wanted), "{wanted} is not among {names:?}");
        }
        store.close().await;
        drop(ownership);
    }

    #[tokio::test]
    async fn a_damaged_key_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        std::fs::create_dir(directory.path().join("data")).unwrap();
        let key = directory.path().join("data/sipgw.key");
        std::fs::write(&key, "not a key").unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let message = open(&config).await.unwrap_err().to_string();
        assert!(message.contains("data/sipgw.key"), "{message}");
    }
}
