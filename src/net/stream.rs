//! The read and write loop of one connection: octets become messages, and messages octets.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_core::message::{Frame, StreamFramer};
use sip_core::types::Transmit;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{interval_at, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Inbound;
use super::closed::Closed;
use super::connections::Shared;
use super::table::{Slot, Standing};
use crate::config::ConnectionConfig;
use crate::metrics::Direction;

/// Octets read at once.
const READ_SIZE: usize = 16 * 1024;
/// A peer that takes no octet for this long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(15);
/// How long a connection that is to be closed is given for its last octets.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long the answers may take to what was asked over a connection whose peer has said its last word: as long as any
/// request waits (64*T1).
const LAST_ANSWERS: Duration = Duration::from_secs(32);
/// Meanwhile a peer that is gone altogether is found out by octets that mean nothing (RFC 3261 section 7.5).
const PROBE: Duration = Duration::from_secs(1);
/// The answer to a keepalive (RFC 5626 section 3.5.1).
const PONG: Bytes = Bytes::from_static(b"\r\n");

/// Moves octets both ways until one side ends it. What was whole is answered before the connection closes, even if
/// garbage follows or the peer says nothing more.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Send>(
    shared: &Shared,
    limits: &ConnectionConfig,
    slot: &mut Slot,
    stream: S,
    on_last_word: impl FnOnce(),
) -> Closed {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let owed = Owed::default();
    let mut life = Life::new(slot.opened, limits);
    let why = {
        let mut writing = std::pin::pin!(write(&mut slot.waiting, &mut writer, &owed, &shared.stop));
        let mut ears = Ears { shared, flow: &slot.flow, queue: &slot.queue, owed: &owed };
        let why = tokio::select! {
            why = ears.read(&mut life, &mut slot.standing, &mut reader) => why,
            why = &mut writing => why,
        };
        if why.leaves_answers_owed() {
            on_last_word();
            owed.end();
            tokio::select! {
                _ = &mut writing => {}
                () = life.last_answers(&mut slot.standing) => {}
                () = discard(&mut reader) => {}
                () = ears.probe() => {}
            }
        }
        why
    };
    if !matches!(why, Closed::Evicted) {
        // The peer may be gone already. What it has sent and nobody has read would make the system reset the
        // connection, and the last answers would be lost with it.
        let _farewell = timeout(FAREWELL, async {
            if writer.shutdown().await.is_ok() && matches!(why, Closed::Framing(_)) {
                let _silent = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
            }
        })
        .await;
    }
    why
}

/// Requests that were passed on, and have no final answer yet.
#[derive(Debug, Default)]
struct Owed {
    requests: AtomicUsize,
    is_ending: AtomicBool,
    changed: Notify,
}

impl Owed {
    /// A message has come. No ACK is answered.
    fn note_inbound(&self, bytes: &[u8]) {
        if !bytes.starts_with(b"SIP/2.0 ") && !bytes.starts_with(b"ACK ") {
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A message has been written.
    fn note_outbound(&self, bytes: &[u8]) {
        let is_final = bytes.strip_prefix(b"SIP/2.0 ").is_some_and(|status| !status.starts_with(b"1"));
        if is_final {
            // A 2xx to INVITE is repeated until its ACK comes.
            let one_less = |requests: usize| requests.checked_sub(1);
            let _none = self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        }
    }

    /// Nothing more will be asked.
    fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Waits until nothing more will be asked and everything is answered.
    async fn settled(&self) {
        while !self.is_ending.load(Ordering::Relaxed) || self.requests.load(Ordering::Relaxed) > 0 {
            self.changed.notified().await;
        }
    }
}

/// How long a connection may go on.
struct Life<'a> {
    limits: &'a ConnectionConfig,
    opened: Instant,
    heard: Instant,
    /// A whole message or a keepalive has come.
    has_spoken: bool,
}

impl<'a> Life<'a> {
    fn new(opened: Instant, limits: &'a ConnectionConfig) -> Self {
        Self { limits, opened, heard: Instant::now(), has_spoken: false }
    }

    /// When it ends unless something comes, and why then. A keepalive is a sign of life, but no proof: without one the
    /// end stands fixed from the beginning.
    fn end(&self, standing: Standing) -> (Instant, Closed) {
        if standing == Standing::Proved {
            return (self.heard + Duration::from_secs(self.limits.idle_s), Closed::Idle);
        }
        let of_stranger = self.opened + Duration::from_secs(self.limits.unproved_s);
        // Until its first message a stranger gets no more patience than a handshake.
        let first_message = self.heard + Duration::from_secs(self.limits.handshake_s);
        if !self.has_spoken && first_message < of_stranger {
            (first_message, Closed::Idle)
        } else {
            (of_stranger, Closed::Unproved)
        }
    }

    /// Waits as long as the last answers may take, or until the connection has to end.
    async fn last_answers(&self, standing: &mut watch::Receiver<Standing>) {
        let patience = sleep(LAST_ANSWERS);
        tokio::pin!(patience);
        loop {
            let now = *standing.borrow_and_update();
            let end = match now {
                Standing::Evicted | Standing::Slow => return,
                Standing::Proved => None,
                Standing::Unproved => Some(self.end(now).0),
            };
            tokio::select! {
                () = &mut patience => return,
                () = until(end) => return,
                changed = standing.changed() => if changed.is_err() {
                    return;
                }
            }
        }
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The reading end.
struct Ears<'a> {
    shared: &'a Shared,
    flow: &'a sip_core::types::Flow,
    queue: &'a mpsc::Sender<Transmit>,
    owed: &'a Owed,
}

impl Ears<'_> {
    async fn read<R: AsyncRead + Unpin>(
        &mut self,
        life: &mut Life<'_>,
        standing: &mut watch::Receiver<Standing>,
        reader: &mut R,
    ) -> Closed {
        let mut framer = StreamFramer::default();
        let mut buffer = vec![0; READ_SIZE];
        loop {
            let now = *standing.borrow_and_update();
            let (end, why) = match now {
                Standing::Evicted => return Closed::Evicted,
                Standing::Slow => return Closed::Slow,
                Standing::Unproved | Standing::Proved => life.end(now),
            };
            let length = tokio::select! {
                read = reader.read(&mut buffer) => match read {
                    Ok(0) => return Closed::ByPeer,
                    Ok(length) => length,
                    // TLS without a goodbye. Messages tell their own length, so nothing is lost.
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Closed::ByPeer,
                    Err(error) => return error.into(),
                },
                () = sleep_until(end.into()) => return why,
                changed = standing.changed() => match changed {
                    Ok(()) => continue,
                    // The entry is gone: another has its place.
                    Err(_) => return Closed::Evicted,
                },
            };
            life.heard = Instant::now();
            framer.push(&buffer[..length]);
            while let Some(frame) = framer.next() {
                match frame {
                    Ok(frame) => {
                        if let Some(why) = self.take(frame).await {
                            return why;
                        }
                    }
                    Err(error) => return error.into(),
                }
                life.has_spoken = true;
            }
        }
    }

    async fn take(&mut self, frame: Frame) -> Option<Closed> {
        match frame {
            Frame::Message(bytes) => {
                self.shared.metrics.count_message(self.flow.transport, Direction::Inbound, &bytes);
                self.owed.note_inbound(&bytes);
                // Waiting here makes TCP slow the peer down.
                let message = Inbound::Message { flow: *self.flow, bytes, at: Instant::now() };
                self.shared.inbound.send(message).await.is_err().then_some(Closed::Stopped)
            }
            Frame::Ping => {
                let pong = Transmit { flow: *self.flow, bytes: PONG };
                self.queue.try_send(pong).is_err().then_some(Closed::Slow)
            }
        }
    }

    /// Writes octets without a meaning now and then.
    async fn probe(&self) {
        let mut times = interval_at((Instant::now() + PROBE).into(), PROBE);
        loop {
            times.tick().await;
            // A queue that is full is proof enough that something is written.
            let _full = self.queue.try_send(Transmit { flow: *self.flow, bytes: PONG });
        }
    }
}

/// Reads and discards input until the task is dropped.
async fn discard<R: AsyncRead + Unpin>(reader: &mut R) {
    let _end = tokio::io::copy(reader, &mut tokio::io::sink()).await;
    std::future::pending().await
}

/// Writes what is queued; once the daemon stops, only what is queued already, and once nothing more is asked, until
/// everything is answered.
async fn write<W: AsyncWrite>(
    waiting: &mut mpsc::Receiver<Transmit>,
    writer: &mut WriteHalf<W>,
    owed: &Owed,
    stop: &CancellationToken,
) -> Closed {
    loop {
        let transmit = tokio::select! {
            biased;
            transmit = waiting.recv() => transmit,
            () = stop.cancelled() => {
                waiting.close();
                match waiting.recv().await {
                    Some(transmit) => Some(transmit),
                    None => return Closed::Stopped,
                }
            }
            () = owed.settled() => return Closed::ByPeer,
        };
        let Some(transmit) = transmit else { return Closed::Stopped };
        let writing = async {
            writer.write_all(&transmit.bytes).await?;
            writer.flush().await
        };
        match timeout(WRITE_PATIENCE, writing).await {
            Err(_) => return Closed::Slow,
            Ok(Err(error)) => return error.into(),
            Ok(Ok(())) => owed.note_outbound(&transmit.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_owed_an_answer_until_the_final_one_is_written() {
        let owed = Owed::default();
        let count = || owed.requests.load(Ordering::Relaxed);
        owed.note_inbound(b"INVITE sip:a@b SIP/2.0\r\n");
        owed.note_inbound(b"OPTIONS sip:a@b SIP/2.0\r\n");
        owed.note_inbound(b"ACK sip:a@b SIP/2.0\r\n");
        owed.note_inbound(b"SIP/2.0 200 OK\r\n");
        assert_eq!(count(), 2);
        for (written, left) in [
            (&b"SIP/2.0 100 Trying\r\n"[..], 2),
            (b"BYE sip:a@b SIP/2.0\r\n", 2),
            (b"SIP/2.0 200 OK\r\n", 1),
            (b"SIP/2.0 486 Busy Here\r\n", 0),
            (b"SIP/2.0 486 Busy Here\r\n", 0),
        ] {
            owed.note_outbound(written);
            assert_eq!(count(), left, "{}", String::from_utf8_lossy(written));
        }
    }

    #[test]
    fn a_keepalive_buys_a_stranger_nothing() {
        let limits =
            ConnectionConfig { handshake_s: 10, unproved_s: 60, idle_s: 7_200, ..Default::default() };
        let opened = Instant::now();
        let after = |life: &Life<'_>, standing| {
            let (end, why) = life.end(standing);
            ((end - opened).as_secs(), why.label())
        };
        let mut life = Life { limits: &limits, opened, heard: opened, has_spoken: false };
        assert_eq!(after(&life, Standing::Unproved), (10, "idle"));
        (life.heard, life.has_spoken) = (opened + Duration::from_secs(5), true);
        assert_eq!(after(&life, Standing::Unproved), (60, "unproved"));
        life.heard = opened + Duration::from_secs(59);
        assert_eq!(after(&life, Standing::Unproved), (60, "unproved"));
        assert_eq!(after(&life, Standing::Proved), (7_259, "idle"));
        // Octets that make no message buy no more either.
        life.has_spoken = false;
        assert_eq!(after(&life, Standing::Unproved), (60, "unproved"));
    }
}
