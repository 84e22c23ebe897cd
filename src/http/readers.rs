//! Bodies that are being read for senders who have not proved anything yet: bounded in all and by client.
//!
//! Where a bound is reached, the body that has been awaited longest makes room. A sender that drips keeps no other sender out,
//! and a body that has come with its head is read at once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sip_core::guard::network;
use tokio_util::sync::CancellationToken;

/// The bodies that are being read.
#[derive(Clone)]
pub(super) struct Readers(Arc<Inner>);

struct Inner {
    most: usize,
    most_of_client: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// In the order in which they began.
    by_number: BTreeMap<u64, (IpAddr, CancellationToken)>,
    next: u64,
}

/// One body's place, until it is dropped.
pub(super) struct Reader {
    number: u64,
    displaced: CancellationToken,
    readers: Readers,
}

impl Readers {
    /// `most` in all, `most_of_client` for each client.
    pub(super) fn new(most: usize, most_of_client: usize) -> Self {
        Self(Arc::new(Inner { most, most_of_client, waiting: Mutex::default() }))
    }

    /// A place for a body of this client.
    pub(super) fn enter(&self, client: IpAddr) -> Reader {
        let client = network(client);
        let mut waiting = self.lock();
        let of_client = waiting.by_number.values().filter(|(whose, _)| *whose == client).count();
        if of_client >= self.0.most_of_client {
            waiting.displace_oldest(|whose| whose == client);
        } else if waiting.by_number.len() >= self.0.most {
            waiting.displace_oldest(|_| true);
        }
        let (number, displaced) = (waiting.next, CancellationToken::new());
        waiting.next += 1;
        waiting.by_number.insert(number, (client, displaced.clone()));
        Reader { number, displaced, readers: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn displace_oldest(&mut self, is_meant: impl Fn(IpAddr) -> bool) {
        let oldest =
            self.by_number.iter().find(|(_, (client, _))| is_meant(*client)).map(|(number, _)| *number);
        if let Some((_, displaced)) = oldest.and_then(|number| self.by_number.remove(&number)) {
            displaced.cancel();
        }
    }
}

impl Reader {
    /// What `reading` gives; `None` if another body has got the place first.
    pub(super) async fn read<T>(self, reading: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            // What has come is read, even where the place is lost in the same moment.
            biased;
            read = reading => Some(read),
            () = self.displaced.cancelled() => None,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.readers.lock().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn the_body_that_was_awaited_longest_makes_room() {
        let readers = Readers::new(3, 2);
        let slow: Vec<_> = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|it| readers.enter(at(it))).into();
        assert_eq!(readers.enter(at("192.0.2.4")).read(ready(1)).await, Some(1));
        let mut slow = slow.into_iter();
        assert_eq!(slow.next().unwrap().read(pending::<()>()).await, None, "the oldest");
        assert!(slow.all(|other| !other.displaced.is_cancelled()));
        assert!(readers.lock().by_number.is_empty());
    }

    #[test]
    fn a_client_makes_room_for_itself_first() {
        let readers = Readers::new(4, 2);
        let other = readers.enter(at("192.0.2.9"));
        let own: Vec<_> = (1..=3).map(|host| readers.enter(at(&format!("2001:db8::{host}")))).collect();
        let displaced: Vec<_> = own.iter().map(|reader| reader.displaced.is_cancelled()).collect();
        assert_eq!((displaced, other.displaced.is_cancelled()), (vec![true, false, false], false));
    }
}
