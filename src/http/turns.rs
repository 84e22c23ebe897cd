//! Requests that are being answered, bounded in all and by client.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::net::Tally;

/// So many turns at once.
#[derive(Clone)]
pub(super) struct Turns(Arc<Mutex<Tally>>);

/// One request's turn, until it is dropped.
pub(super) struct Turn {
    turns: Turns,
    client: IpAddr,
}

impl Turns {
    /// `most` in all, `most_of_client` for each client.
    pub(super) fn new(most: usize, most_of_client: usize) -> Self {
        Self(Arc::new(Mutex::new(Tally::new(most, most_of_client))))
    }

    /// A turn for a request of this client; `None` if too many are taken.
    pub(super) fn take(&self, client: IpAddr) -> Option<Turn> {
        let has_room = self.tally().enter(client);
        has_room.then(|| Turn { turns: self.clone(), client })
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.tally().leave(self.client);
    }
}
