//! The threads that own the sockets, and the handle by which the daemon commands them.
//!
//! A call lives on one worker with both its sides, so a packet meets no lock and no other thread. Commands
//! reach the worker through a bounded queue; replies are futures of no particular runtime.

mod calls;
mod config;
mod error;
mod reply;
mod sockets;
mod totals;
mod worker;

pub use config::{AddressHint, EngineConfig, LegSetup, LocalAddress};
pub use error::{MediaError, StartError};
pub use reply::Reply;
pub use totals::Gauges;

use crate::ports::PortPool;
use crate::session::{CallStats, LocalDescription, RemoteDescription, Role, SessionEvent, Side};
use calls::Calls;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use worker::Worker;

/// Names a call's media. The daemon chooses it; it must be unique among live calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaId(pub u64);

/// Something a call's media did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaEvent {
    /// Whose.
    pub id: MediaId,
    /// What.
    pub event: SessionEvent,
}

/// Where events come out. The queue is bounded: events that do not fit are dropped and counted.
pub type Events = tokio::sync::mpsc::Receiver<MediaEvent>;

/// The handle to a running engine. Clones share it; when the last one goes, the workers end and every port
/// is closed.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    workers: Vec<Worker>,
    pool: Arc<Mutex<PortPool>>,
}

impl Engine {
    /// Checks the configuration and starts the workers. No port is bound until a call opens.
    ///
    /// # Errors
    /// Names what is wrong with the configuration, or what the kernel refused.
    pub fn start(config: EngineConfig) -> Result<(Self, Events), StartError> {
        config.check()?;
        let mut random = || {
            let mut octets = [0; 4];
            calls::random(&mut octets);
            u32::from_ne_bytes(octets)
        };
        let pool = PortPool::new(config.addresses.len(), &config.ports, config.port_rest, &mut random);
        if pool.total() == 0 {
            return Err(StartError::NoPorts);
        }
        let pool = Arc::new(Mutex::new(pool));
        let (events, receiver) = tokio::sync::mpsc::channel(config.event_queue);
        let config = Arc::new(config);
        let workers = (0..config.workers)
            .map(|number| Worker::start(number, &config, &pool, &events))
            .collect::<Result<_, _>>()?;
        Ok((Self { inner: Arc::new(Inner { workers, pool }) }, receiver))
    }

    /// Opens a call's ports: for both sides, or for `near` alone if an echo answers it.
    pub fn open(&self, id: MediaId, near: LegSetup, far: Option<LegSetup>) -> Reply<()> {
        self.ask(id, move |calls, _| calls.open(id, near, far))
    }

    /// Takes a description that came from one side and gives the one to send to the other.
    ///
    /// An answer takes effect at once on both sides; an offer changes nothing until it is answered. The first
    /// offer may come from either side.
    pub fn describe(
        &self,
        id: MediaId,
        from: Side,
        role: Role,
        remote: RemoteDescription,
    ) -> Reply<LocalDescription> {
        self.ask(id, move |calls, now| calls.describe(now, id, from, role, &remote))
    }

    /// Takes back an offer that was refused, with its early answers if it had any. Nothing pending is no error.
    pub fn rollback(&self, id: MediaId) -> Reply<()> {
        self.ask(id, move |calls, now| calls.rollback(now, id))
    }

    /// Gives a side another peer: new ports, new keys, nothing learnt. For the next carrier of a call that the
    /// last one refused; the offer is then described again.
    pub fn replace(&self, id: MediaId, side: Side, setup: LegSetup) -> Reply<()> {
        self.ask(id, move |calls, _| calls.replace(id, side, setup))
    }

    /// Makes the near side hear itself, and answers its offer or re-offer.
    pub fn echo(&self, id: MediaId, offer: RemoteDescription) -> Reply<LocalDescription> {
        self.ask(id, move |calls, now| calls.echo(now, id, &offer))
    }

    /// Makes the near side hear itself where it called without an offer: this is our offer.
    pub fn echo_offer(&self, id: MediaId) -> Reply<LocalDescription> {
        self.ask(id, move |calls, _| calls.echo_offer(id))
    }

    /// Takes the answer to [`echo_offer`](Self::echo_offer); gives our end as it was agreed.
    pub fn echo_answer(&self, id: MediaId, answer: RemoteDescription) -> Reply<LocalDescription> {
        self.ask(id, move |calls, now| calls.echo_answer(now, id, &answer))
    }

    /// Answers an offer of one side that does not concern the other: it has only moved its end.
    pub fn answer_alone(&self, id: MediaId, side: Side, offer: RemoteDescription) -> Reply<LocalDescription> {
        self.ask(id, move |calls, now| calls.answer_alone(now, id, side, &offer))
    }

    /// The call was answered: from now on its silence is told of.
    pub fn watch(&self, id: MediaId) -> Reply<()> {
        self.ask(id, move |calls, now| calls.watch(now, id))
    }

    /// What was counted so far.
    pub fn stats(&self, id: MediaId) -> Reply<CallStats> {
        self.ask(id, move |calls, _| calls.stats(id))
    }

    /// Closes a call's ports and gives its final counts.
    pub fn close(&self, id: MediaId) -> Reply<CallStats> {
        self.ask(id, move |calls, now| calls.close(now, id))
    }

    /// Counts over all calls since the start, and what is in use now.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let pool = self.inner.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gauges = Gauges {
            ports_in_use: pool.in_use(),
            ports_total: pool.total(),
            ports_hurried: pool.hurried(),
            ..Gauges::default()
        };
        drop(pool);
        for worker in &self.inner.workers {
            worker.totals().add_to(&mut gauges);
        }
        gauges
    }

    fn ask<T: Send + 'static>(
        &self,
        id: MediaId,
        job: impl FnOnce(&mut Calls, Instant) -> Result<T, MediaError> + Send + 'static,
    ) -> Reply<T> {
        // Multiplying by an odd constant spreads ids that count up or that share their low bits.
        let spread = id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let place = spread as usize % self.inner.workers.len();
        self.inner.workers[place].ask(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The daemon shares the handle between tasks and awaits replies on any of its threads.
    #[test]
    fn the_handle_can_be_shared_and_replies_awaited_anywhere() {
        fn shared<T: Clone + Send + Sync + 'static>() {}
        fn awaited<T: Future + Send + 'static>() {}
        shared::<Engine>();
        awaited::<Reply<LocalDescription>>();
        awaited::<Reply<CallStats>>();
    }
}
