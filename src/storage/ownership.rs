//! The right to a database's live calls, which one process has at a time.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use provisioning_store::private;

use super::{OpenError, make_directory_of};
use crate::config::Config;

/// How long a gateway that starts waits for commands to be done with the database: long enough for a large rate table.
const COMMAND_PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

/// What a process takes a database for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To take calls until it is told to stop.
    Gateway,
    /// To do one thing while no gateway runs: it lets go in a moment.
    Command,
}

impl Purpose {
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Command => "command",
        }
    }
}

/// Who has a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// For what.
    pub purpose: Purpose,
    /// Its process, if it could be read.
    pub pid: Option<u32>,
}

impl Holder {
    /// Reads what [`own`] writes.
    fn read(mut lock: &File) -> Self {
        let mut text = String::new();
        let words = lock.read_to_string(&mut text).map(|_| text.split_whitespace()).ok();
        let mut words = words.into_iter().flatten();
        let pid = words.next().and_then(|pid| pid.parse().ok());
        // Whoever has taken it this moment has not written down what for; if it is a gateway, that shows at the next look.
        let is_gateway = words.next() == Some(Purpose::Gateway.noun());
        Self { purpose: if is_gateway { Purpose::Gateway } else { Purpose::Command }, pid }
    }
}

pub(super) fn with_pid(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// The right to the live calls in a database. One gateway has it, until this is dropped or its process ends,
/// however it ends: the lock is the system's, and a file that was left behind holds nobody up.
#[derive(Debug)]
pub struct Ownership {
    lock: File,
}

impl Drop for Ownership {
    /// The file of a lock that nobody has says nothing of the last one who had it.
    fn drop(&mut self) {
        let _unheeded = self.lock.set_len(0);
    }
}

/// Takes the database for one process. Who has it is written into the lock's file.
pub fn own(config: &Config, purpose: Purpose) -> Result<Ownership, OpenError> {
    let path = config.resolve_path(&config.store.path);
    make_directory_of(&path)?;
    let lock_file = PathBuf::from(format!("{}.lock", path.display()));
    let failed = |error| OpenError::File { path: lock_file.clone(), error };
    // Not truncated yet: until the lock is taken the file says who has it.
    let mut lock = private::open(&lock_file).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::Owned { path, holder: Holder::read(&lock) });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let note = format!("{} {}\n", std::process::id(), purpose.noun());
    lock.set_len(0).and_then(|()| lock.write_all(note.as_bytes())).map_err(failed)?;
    Ok(Ownership { lock })
}

/// The same, once commands that have it are done with it, if a gateway is to have it.
pub(super) async fn own_patiently(config: &Config, purpose: Purpose) -> Result<Ownership, OpenError> {
    let begun = Instant::now();
    loop {
        match own(config, purpose) {
            Err(OpenError::Owned { holder: Holder { purpose: Purpose::Command, .. }, .. })
                if purpose == Purpose::Gateway && begun.elapsed() < COMMAND_PATIENCE =>
            {
                tokio::time::sleep(LOOK).await;
            }
            outcome => return outcome,
        }
    }
}
