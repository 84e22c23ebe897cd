//! Opening the store that the configuration names, for the daemon and for the command line.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use provisioning_store::error::StoreError;
use provisioning_store::model::Timestamp;
use provisioning_store::secrets::{OsEntropy, SecretError, SecretKey};
use provisioning_store::store::{Durability, Store, StoreOptions};

use crate::config::{Config, Synchronous};

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
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens the store; makes the database and the key if neither is there.
pub async fn open(config: &Config) -> Result<Store, OpenError> {
    let path = config.resolve_path(&config.store.path);
    let key_file = config.resolve_path(&config.store.key_file);
    for directory in [&path, &key_file].into_iter().filter_map(|file| file.parent()) {
        std::fs::create_dir_all(directory)
            .map_err(|error| OpenError::File { path: directory.into(), error })?;
    }
    let key = read_or_make_key(&key_file)?;
    let durability = match config.store.synchronous {
        Synchronous::Full => Durability::PowerFailure,
        Synchronous::Normal => Durability::Crash,
    };
    Ok(Store::open(StoreOptions { durability, ..StoreOptions::new(path, key) }).await?)
}

fn read_or_make_key(file: &Path) -> Result<SecretKey, OpenError> {
    let failed = |error| OpenError::File { path: file.into(), error };
    let wrong = |error| OpenError::Key { path: file.into(), error };
    match std::fs::read_to_string(file) {
        Ok(text) => SecretKey::from_hex(text.trim()).map_err(wrong),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = SecretKey::generate(&mut OsEntropy).map_err(wrong)?;
            write_private(file, &key.to_hex()).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes a file that only its owner may read, and that was not there before.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
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
    async fn a_damaged_key_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        std::fs::create_dir(directory.path().join("data")).unwrap();
        std::fs::write(directory.path().join("data/sipgw.key"), "not a key").unwrap();
        let message = open(&config).await.unwrap_err().to_string();
        assert!(message.contains("data/sipgw.key"), "{message}");
    }
}
