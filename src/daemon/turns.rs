//! What concerns one profile's channels is done in its turn, although some of it must wait.

use std::collections::HashMap;
use std::future::Future;

use sip_core::types::ProfileId;
use tokio::task::JoinHandle;

/// Profiles' unfinished work. A call's record waits for what the relay has counted, and frees its channel only then; the
/// profile's next call, which may need this very channel, goes behind it. Holds at most an entry for each profile.
#[derive(Default)]
pub(super) struct Turns {
    last: HashMap<ProfileId, JoinHandle<()>>,
}

impl Turns {
    /// Whether work of the profile is still to be done.
    pub(super) fn is_busy(&mut self, profile: ProfileId) -> bool {
        let is_busy = self.last.get(&profile).is_some_and(|task| !task.is_finished());
        if !is_busy {
            self.last.remove(&profile);
        }
        is_busy
    }

    /// Gets something ready at once, and finishes with it behind all that was begun for the profile before.
    pub(super) fn begin<T>(
        &mut self,
        profile: ProfileId,
        ready: impl Future<Output = T> + Send + 'static,
        finish: impl FnOnce(T) + Send + 'static,
    ) where
        T: Send,
    {
        let before = self.last.remove(&profile);
        let task = tokio::spawn(async move {
            let got = ready.await;
            if let Some(before) = before {
                // Whether it ended well or not, it stands in nobody's way any more.
                let _ended = before.await;
            }
            finish(got);
        });
        self.last.insert(profile, task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::{mpsc, oneshot};

    const SALES: ProfileId = ProfileId(1);
    const ENGINEERING: ProfileId = ProfileId(2);

    #[tokio::test]
    async fn what_waits_is_overtaken_by_other_profiles_only() {
        let (counts, counted) = oneshot::channel::<()>();
        let (done, mut order) = mpsc::unbounded_channel();
        let says = |word: &'static str| {
            let done = done.clone();
            move |_| done.send(word).unwrap()
        };
        let mut turns = Turns::default();
        assert!(!turns.is_busy(SALES));
        turns.begin(SALES, counted, says("a channel is freed"));
        turns.begin(SALES, async { Ok(()) }, says("the next call takes it"));
        turns.begin(ENGINEERING, async { Ok(()) }, says("another profile's call"));
        assert!(turns.is_busy(SALES));
        assert_eq!(order.recv().await, Some("another profile's call"));
        counts.send(()).unwrap();
        assert_eq!(order.recv().await, Some("a channel is freed"));
        assert_eq!(order.recv().await, Some("the next call takes it"));
        while turns.is_busy(SALES) {
            tokio::task::yield_now().await;
        }
        assert!(turns.last.contains_key(&ENGINEERING) && !turns.last.contains_key(&SALES));
    }

    #[tokio::test]
    async fn work_that_fails_stops_nobody() {
        let (done, mut order) = mpsc::unbounded_channel();
        let mut turns = Turns::default();
        turns.begin(SALES, async {}, |()| panic!("as the test wants it"));
        turns.begin(SALES, async {}, move |()| done.send("the next").unwrap());
        assert_eq!(order.recv().await, Some("the next"));
    }
}
