//! A worker: one thread, one epoll, one buffer.
//!
//! A wake takes every socket that is ready, one packet each; a busier socket is simply reported again. Each
//! call costs one receive and one send a packet and a share of the wait. Sharing the syscalls further (io_uring)
//! concerns this file and `calls` alone.

use super::MediaEvent;
use super::calls::{Calls, Token};
use super::config::EngineConfig;
use super::error::MediaError;
use super::reply::Reply;
use super::totals::Totals;
use crate::packet::PacketBuf;
use crate::ports::PortPool;
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;
use rustix::time::Timespec;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Ready sockets taken in one wake.
const BATCH: usize = 512;

/// Commands carried out between two batches of packets, so that neither starves the other.
const COMMANDS_A_ROUND: usize = 64;

/// Silence and failed authentication are looked for this often.
const TICK: Duration = Duration::from_millis(500);

type Job = Box<dyn FnOnce(&mut Calls, Instant) + Send>;

/// The handle's end of a worker.
pub(super) struct Worker {
    jobs: SyncSender<Job>,
    bell: Arc<OwnedFd>,
    is_stopping: Arc<AtomicBool>,
    totals: Arc<Totals>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(
        number: usize,
        config: &Arc<EngineConfig>,
        pool: &Arc<Mutex<PortPool>>,
        events: &mpsc::Sender<MediaEvent>,
    ) -> io::Result<Self> {
        let (jobs, receiver) = sync_channel(config.command_queue);
        let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(Token::BELL.0), epoll::EventFlags::IN)?;
        let totals = Arc::new(Totals::default());
        let is_stopping = Arc::new(AtomicBool::new(false));
        let calls = Calls::new(epoll, config.clone(), pool.clone(), events.clone(), totals.clone());
        let mut inside = Inside {
            calls,
            jobs: receiver,
            bell: bell.clone(),
            is_stopping: is_stopping.clone(),
            tick: TICK.min(config.media_silence / 4).max(Duration::from_millis(10)),
        };
        let thread =
            std::thread::Builder::new().name(format!("media-{number}")).spawn(move || inside.run())?;
        Ok(Self { jobs, bell, is_stopping, totals, thread: Some(thread) })
    }

    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Hands a job to the thread.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Calls, Instant) -> Result<T, MediaError> + Send + 'static,
    ) -> Reply<T> {
        let (reply, receiver) = oneshot::channel();
        let job: Job = Box::new(move |calls, now| {
            // Whoever asked may have gone; what was asked for is done all the same.
            let _ = reply.send(job(calls, now));
        });
        match self.jobs.try_send(job) {
            Ok(()) => {
                ring(&self.bell);
                Reply::waiting(receiver)
            }
            Err(TrySendError::Full(_)) => Reply::refused(MediaError::Busy),
            Err(TrySendError::Disconnected(_)) => Reply::refused(MediaError::Stopped),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        ring(&self.bell);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Wakes the thread. The counter only overflows if it never looks, and then it is awake.
fn ring(bell: &OwnedFd) {
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

/// The thread's end.
struct Inside {
    calls: Calls,
    jobs: Receiver<Job>,
    bell: Arc<OwnedFd>,
    is_stopping: Arc<AtomicBool>,
    tick: Duration,
}

impl Inside {
    fn run(&mut self) {
        let mut ready = Vec::with_capacity(BATCH);
        let mut packet = PacketBuf::new();
        let mut next_tick = Instant::now() + self.tick;
        while !self.is_stopping.load(Ordering::Acquire) {
            ready.clear();
            let patience = next_tick.saturating_duration_since(Instant::now());
            match epoll::wait(self.calls.epoll(), spare_capacity(&mut ready), Some(&timespec(patience))) {
                Ok(_) | Err(Errno::INTR) => {}
                // The descriptor is ours and open, so nothing else can be refused for long.
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
            let now = Instant::now();
            for event in &ready {
                match Token(event.data.u64()) {
                    Token::BELL => self.work(now),
                    token => self.calls.receive(now, token, &mut packet),
                }
            }
            if now >= next_tick {
                self.calls.tick(now);
                next_tick = now + self.tick;
            }
        }
    }

    fn work(&mut self, now: Instant) {
        let _ = rustix::io::read(&self.bell, &mut [0u8; 8]);
        for _ in 0..COMMANDS_A_ROUND {
            match self.jobs.try_recv() {
                Ok(job) => job(&mut self.calls, now),
                Err(_) => return,
            }
        }
        ring(&self.bell);
    }
}

fn timespec(duration: Duration) -> Timespec {
    // Rounded up to a millisecond, so that the wait does not end just before the tick.
    let millis = duration.as_millis() as i64 + 1;
    Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 }
}
