//! The table of connections: who is connected, how a message reaches them, and when a connection ends.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_core::auth::CertificateNames;
use sip_core::message::{Frame, FrameError, StreamFramer};
use sip_core::types::{ConnectionId, Flow, Transmit, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::tally::Tally;
use super::{Inbound, Tls, tcp, tls};
use crate::config::ConnectionConfig;
use crate::metrics::{Direction, Metrics};
use crate::throttle::Throttle;

/// Octets read at once.
const READ_SIZE: usize = 16 * 1024;
/// A peer that takes no octet for this long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(15);
/// How long a connection that is to be closed is given for its last words.
const FAREWELL: Duration = Duration::from_secs(1);
/// Lines a second about certificates that are not believed.
const UNBELIEVED_LINES: u32 = 5;
/// The answer to a keepalive (RFC 5626 section 3.5.1).
const PONG: Bytes = Bytes::from_static(b"\r\n");

/// What every task of the sockets needs.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) inbound: mpsc::Sender<Inbound>,
    pub(super) metrics: Metrics,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// Why a connection ended; the word in the metrics.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("the peer closed it")]
    ByPeer,
    #[error("too many connections")]
    Limit,
    #[error("too many handshakes at once")]
    Handshakes,
    #[error("the handshake took too long or failed")]
    Handshake,
    #[error("its client certificate is not believed")]
    Certificate,
    #[error("nothing came for too long")]
    Idle,
    #[error("the peer does not read what is sent to it")]
    Slow,
    #[error("the peer speaks no SIP: {0}")]
    Framing(#[from] FrameError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the daemon stops")]
    Stopped,
}

impl Closed {
    fn label(&self) -> &'static str {
        match self {
            Self::ByPeer => "peer",
            Self::Limit => "limit",
            Self::Handshakes => "handshakes",
            Self::Handshake => "handshake",
            Self::Certificate => "certificate",
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Framing(_) => "framing",
            Self::Io(_) => "error",
            Self::Stopped => "stop",
        }
    }
}

/// All TCP and TLS connections.
pub(super) struct Connections {
    limits: ConnectionConfig,
    tls: Arc<Tls>,
    shared: Shared,
    table: Mutex<Table>,
    /// Lines about certificates that are not believed.
    unbelieved: Mutex<Throttle>,
}

struct Table {
    last_id: u64,
    entries: HashMap<ConnectionId, Entry>,
    by_peer: HashMap<(Transport, SocketAddr), ConnectionId>,
    tally: Tally,
    /// Accepted connections whose TLS handshake is under way: the dearest thing that a stranger can ask for.
    handshakes: Tally,
    /// Listeners, whose addresses a connection that we open is counted to.
    local: Vec<(Transport, SocketAddr)>,
}

struct Entry {
    peer: (Transport, SocketAddr),
    queue: mpsc::Sender<Transmit>,
    close: CancellationToken,
}

/// A connection's own end of its entry.
struct Slot {
    flow: Flow,
    id: ConnectionId,
    queue: mpsc::Sender<Transmit>,
    waiting: mpsc::Receiver<Transmit>,
    close: CancellationToken,
}

impl Connections {
    pub(super) fn new(limits: &ConnectionConfig, tls: Arc<Tls>, shared: Shared) -> Self {
        let table = Table {
            last_id: 0,
            entries: HashMap::new(),
            by_peer: HashMap::new(),
            tally: Tally::new(limits.total, limits.per_source),
            handshakes: Tally::new(limits.handshakes, limits.handshakes_per_source),
            local: Vec::new(),
        };
        let unbelieved = Mutex::new(Throttle::new(Instant::now(), UNBELIEVED_LINES));
        Self { limits: limits.clone(), tls, shared, table: Mutex::new(table), unbelieved }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection could not be accepted.
    pub(super) fn count_unaccepted(&self, transport: Transport) {
        self.shared.metrics.accept_failures.with_label_values(&[transport.param()]).inc();
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn(task);
    }

    pub(super) async fn stopped(&self) {
        self.shared.stop.cancelled().await;
    }

    /// Lets connections be opened that belong to this listener.
    pub(super) fn may_open_from(&self, transport: Transport, local: SocketAddr) {
        self.table().local.push((transport, local));
    }

    /// Takes an accepted connection, if there is room for it.
    pub(super) fn accept(
        self: &Arc<Self>,
        transport: Transport,
        local: SocketAddr,
        peer: SocketAddr,
        stream: TcpStream,
    ) {
        let is_tls = transport == Transport::Tls;
        if is_tls && !self.table().handshakes.enter(peer.ip()) {
            return self.count(transport, &Closed::Handshakes);
        }
        let Some(slot) = self.enter(transport, local, peer) else {
            if is_tls {
                self.table().handshakes.leave(peer.ip());
            }
            return self.count(transport, &Closed::Limit);
        };
        let this = Arc::clone(self);
        self.spawn(async move {
            if !is_tls {
                return this.run(slot, stream).await;
            }
            let patience = Duration::from_secs(this.limits.handshake_s);
            let handshake = async { Some(this.tls.acceptor()?.accept(stream).await) };
            let outcome = timeout(patience, handshake).await;
            this.table().handshakes.leave(peer.ip());
            match outcome {
                Ok(Some(Ok(stream))) => {
                    this.introduce(slot.flow, tls::names_shown(stream.get_ref().1)).await;
                    this.run(slot, stream).await;
                }
                Ok(Some(Err(error))) => {
                    let why = this.why_failed(peer, &error);
                    this.leave(slot, &why).await;
                }
                Ok(None) | Err(_) => this.leave(slot, &Closed::Handshake).await,
            }
        });
    }

    /// Strangers' handshakes fail all day; a certificate that is not believed may be a customer's, and is told.
    fn why_failed(&self, peer: SocketAddr, error: &io::Error) -> Closed {
        let Some(problem) = tls::problem_with_certificate(error) else {
            tracing::debug!(%peer, %error, "A TLS handshake failed.");
            return Closed::Handshake;
        };
        let now = Instant::now();
        let may_write = self.unbelieved.lock().unwrap_or_else(PoisonError::into_inner).may_write(now);
        match may_write {
            Some(left_out) => tracing::warn!(
                %peer,
                %problem,
                left_out,
                "A client certificate is not believed (tls.client_ca), so the connection is closed."
            ),
            None => self.shared.metrics.log_suppressed.inc(),
        }
        Closed::Certificate
    }

    /// Tells the engine who is at the other end, before anything is read from there.
    async fn introduce(&self, flow: Flow, shown: CertificateNames) {
        if !shown.is_empty() {
            self.tell(Inbound::Certified { flow, shown }).await;
        }
    }

    /// Queues a message for its connection, or for one to its peer, which is opened if need be.
    pub(super) fn send(self: &Arc<Self>, transmit: Transmit) -> Result<(), Flow> {
        let flow = transmit.flow;
        let entry = {
            let table = self.table();
            let id = flow.connection.or_else(|| table.by_peer.get(&(flow.transport, flow.peer)).copied());
            id.and_then(|id| table.entries.get(&id)).map(|entry| (entry.queue.clone(), entry.close.clone()))
        };
        let Some((queue, close)) = entry else {
            return if flow.connection.is_some() { Err(flow) } else { self.open(transmit) };
        };
        queue.try_send(transmit).map_err(|error| {
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                self.shared.metrics.queue_dropped.with_label_values(&["connection"]).inc();
                close.cancel();
            }
            flow
        })
    }

    fn open(self: &Arc<Self>, transmit: Transmit) -> Result<(), Flow> {
        let flow = transmit.flow;
        let slot = self.enter(flow.transport, flow.local, flow.peer).ok_or_else(|| {
            self.count(flow.transport, &Closed::Limit);
            flow
        })?;
        slot.queue.try_send(transmit).map_err(|_| flow)?;
        let this = Arc::clone(self);
        self.spawn(async move {
            let patience = Duration::from_secs(this.limits.handshake_s);
            match timeout(patience, this.connect(flow)).await.unwrap_or(Err(Closed::Handshake)) {
                Ok(Opened::Plain(stream)) => this.run(slot, stream).await,
                Ok(Opened::Tls(stream)) => this.run(slot, *stream).await,
                Err(why) => {
                    tracing::info!(peer = %flow.peer, transport = flow.transport.param(), %why, "no connection could be opened");
                    this.leave(slot, &why).await;
                }
            }
        });
        Ok(())
    }

    async fn connect(&self, flow: Flow) -> Result<Opened, Closed> {
        let stream = TcpStream::connect(flow.peer).await?;
        tcp::tune(&stream);
        if flow.transport != Transport::Tls {
            return Ok(Opened::Plain(stream));
        }
        let (connector, name) = self.tls.connector(flow.peer).ok_or(Closed::Handshake)?;
        Ok(Opened::Tls(Box::new(connector.connect(name, stream).await?)))
    }

    /// Makes an entry, unless a limit forbids it.
    fn enter(&self, transport: Transport, local: SocketAddr, peer: SocketAddr) -> Option<Slot> {
        let mut table = self.table();
        if !table.tally.enter(peer.ip()) {
            return None;
        }
        // A wildcard or foreign local address would name no listener of ours.
        let is_ours = |found: &&(Transport, SocketAddr)| **found == (transport, local);
        let same_family =
            |found: &&(Transport, SocketAddr)| found.0 == transport && found.1.is_ipv4() == peer.is_ipv4();
        let listener = table.local.iter().find(is_ours).or_else(|| table.local.iter().find(same_family));
        let local = listener.map_or(local, |(_, address)| *address);
        table.last_id += 1;
        let id = ConnectionId(table.last_id);
        let (queue, waiting) = mpsc::channel(self.limits.queue);
        let close = CancellationToken::new();
        let entry = Entry { peer: (transport, peer), queue: queue.clone(), close: close.clone() };
        table.entries.insert(id, entry);
        table.by_peer.insert((transport, peer), id);
        self.shared.metrics.connections.with_label_values(&[transport.param()]).inc();
        Some(Slot { flow: Flow { transport, local, peer, connection: Some(id) }, id, queue, waiting, close })
    }

    /// Moves octets both ways until one side ends it.
    async fn run<S: AsyncRead + AsyncWrite + Send>(&self, mut slot: Slot, stream: S) {
        let (reader, mut writer) = tokio::io::split(stream);
        let why = tokio::select! {
            why = self.read(&slot.flow, slot.queue.clone(), reader) => why,
            why = write(&mut slot.waiting, &mut writer, &self.shared.stop) => why,
            () = slot.close.cancelled() => Closed::Slow,
        };
        // The peer may be gone already.
        let _farewell = timeout(FAREWELL, writer.shutdown()).await;
        tracing::debug!(peer = %slot.flow.peer, transport = slot.flow.transport.param(), %why, "a connection ended");
        self.leave(slot, &why).await;
    }

    async fn read<R: AsyncRead + Unpin>(
        &self,
        flow: &Flow,
        queue: mpsc::Sender<Transmit>,
        mut reader: R,
    ) -> Closed {
        let mut framer = StreamFramer::default();
        let mut buffer = vec![0; READ_SIZE];
        // Until its first message a stranger gets no more patience than a handshake.
        let mut patience = Duration::from_secs(self.limits.handshake_s);
        loop {
            let length = match timeout(patience, reader.read(&mut buffer)).await {
                Err(_) => return Closed::Idle,
                Ok(Err(error)) => return error.into(),
                Ok(Ok(0)) => return Closed::ByPeer,
                Ok(Ok(length)) => length,
            };
            framer.push(&buffer[..length]);
            while let Some(frame) = framer.next() {
                match frame {
                    Ok(Frame::Message(bytes)) => {
                        self.shared.metrics.count_message(flow.transport, Direction::Inbound, &bytes);
                        // Waiting here makes TCP slow the peer down.
                        let message = Inbound::Message { flow: *flow, bytes, at: Instant::now() };
                        if self.shared.inbound.send(message).await.is_err() {
                            return Closed::Stopped;
                        }
                        patience = Duration::from_secs(self.limits.idle_s);
                    }
                    Ok(Frame::Ping) if queue.try_send(Transmit { flow: *flow, bytes: PONG }).is_err() => {
                        return Closed::Slow;
                    }
                    Ok(Frame::Ping) => patience = Duration::from_secs(self.limits.idle_s),
                    Err(FrameError::TooLong) => {
                        // Its head is with the engine, whose answer must still be written. What is not read makes the
                        // system reset the connection, and the answer would be lost with it.
                        let _silent =
                            timeout(FAREWELL, tokio::io::copy(&mut reader, &mut tokio::io::sink())).await;
                        return FrameError::TooLong.into();
                    }
                    Err(error) => return error.into(),
                }
            }
        }
    }

    /// Removes the entry and tells the engine what it can no longer count on.
    async fn leave(&self, mut slot: Slot, why: &Closed) {
        {
            let mut table = self.table();
            if let Some(entry) = table.entries.remove(&slot.id) {
                if table.by_peer.get(&entry.peer) == Some(&slot.id) {
                    table.by_peer.remove(&entry.peer);
                }
                table.tally.leave(entry.peer.1.ip());
            }
        }
        self.shared.metrics.connections.with_label_values(&[slot.flow.transport.param()]).dec();
        self.count(slot.flow.transport, why);
        slot.waiting.close();
        while let Some(unsent) = slot.waiting.recv().await {
            self.tell(Inbound::SendFailed(unsent.flow)).await;
        }
        self.tell(Inbound::Lost(slot.flow)).await;
    }

    async fn tell(&self, news: Inbound) {
        // An engine that is gone needs no news.
        let _gone = self.shared.inbound.send(news).await;
    }

    fn count(&self, transport: Transport, why: &Closed) {
        self.shared.metrics.connections_closed.with_label_values(&[transport.param(), why.label()]).inc();
    }
}

enum Opened {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// Writes what is queued; once the daemon stops, only what is queued already.
async fn write<W: AsyncWrite + Unpin>(
    waiting: &mut mpsc::Receiver<Transmit>,
    writer: &mut W,
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
        };
        let Some(transmit) = transmit else { return Closed::Stopped };
        let writing = async {
            writer.write_all(&transmit.bytes).await?;
            writer.flush().await
        };
        match timeout(WRITE_PATIENCE, writing).await {
            Err(_) => return Closed::Slow,
            Ok(Err(error)) => return error.into(),
            Ok(Ok(())) => {}
        }
    }
}
