//! TCP and TLS connections: accepted and opened, and how a message reaches them.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sip_core::auth::CertificateNames;
use sip_core::types::{ConnectionId, Flow, Transmit, Transport};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::closed::Closed;
use super::table::{Origin, Slot, Standing, Table};
use super::{Inbound, Tls, stream, tcp, tls};
use crate::config::ConnectionConfig;
use crate::metrics::Metrics;
use crate::throttle::Throttle;

/// Lines a second about certificates that are not believed.
const UNBELIEVED_LINES: u32 = 5;
/// Lines a second about connections that are closed for want of room.
const CROWDED_LINES: u32 = 1;

/// What every task of the sockets needs.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) inbound: mpsc::Sender<Inbound>,
    pub(super) metrics: Metrics,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// All TCP and TLS connections.
pub(super) struct Connections {
    limits: ConnectionConfig,
    tls: Arc<Tls>,
    shared: Shared,
    table: Mutex<Table>,
    /// Lines about certificates that are not believed.
    unbelieved: Mutex<Throttle>,
    /// Lines about connections that there was no room for.
    crowded: Mutex<Throttle>,
    /// Listeners at every address, and the address that peers are told: connections are opened from there.
    advertised: Mutex<Vec<(SocketAddr, IpAddr)>>,
}

impl Connections {
    pub(super) fn new(limits: &ConnectionConfig, tls: Arc<Tls>, shared: Shared) -> Self {
        let throttle = |lines| Mutex::new(Throttle::new(Instant::now(), lines));
        Self {
            limits: limits.clone(),
            tls,
            shared,
            table: Mutex::new(Table::new(limits)),
            unbelieved: throttle(UNBELIEVED_LINES),
            crowded: throttle(CROWDED_LINES),
            advertised: Mutex::default(),
        }
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

    /// A listener at every address has told peers this one.
    pub(super) fn advertise(&self, listener: SocketAddr, told: IpAddr) {
        self.advertised.lock().unwrap_or_else(PoisonError::into_inner).push((listener, told));
    }

    /// A request on the connection was believed.
    pub(super) fn prove(&self, connection: ConnectionId) {
        let strangers = {
            let mut table = self.table();
            table.prove(connection);
            table.strangers()
        };
        self.shared.metrics.connections_unproved.set(strangers as i64);
    }

    /// Takes an accepted connection, if there is room for it.
    pub(super) fn accept(self: &Arc<Self>, flow: Flow, stream: TcpStream) {
        let Some(slot) = self.enter(flow, Origin::Accepted) else { return };
        if flow.transport == Transport::Tls {
            self.shake_hands(slot, stream);
        } else {
            let this = Arc::clone(self);
            self.spawn(async move { this.run(slot, stream).await });
        }
    }

    /// Makes an entry, unless a limit forbids it.
    fn enter(&self, flow: Flow, origin: Origin) -> Option<Slot> {
        let (entered, strangers) = {
            let mut table = self.table();
            (table.enter(flow, origin), table.strangers())
        };
        self.shared.metrics.connections_unproved.set(strangers as i64);
        match entered {
            Some((slot, evicted)) => {
                self.shared.metrics.connections.with_label_values(&[flow.transport.param()]).inc();
                self.note_crowded(flow, evicted);
                Some(slot)
            }
            None => {
                self.count(flow.transport, &Closed::Limit);
                self.note_crowded(flow, 1);
                None
            }
        }
    }

    /// Somebody had to go, or was not let in.
    fn note_crowded(&self, flow: Flow, times: usize) {
        if times == 0 {
            return;
        }
        let mut throttle = self.crowded.lock().unwrap_or_else(PoisonError::into_inner);
        match throttle.may_write(Instant::now()) {
            Some(left_out) => tracing::warn!(
                peer = %flow.peer,
                transport = flow.transport.param(),
                left_out,
                "There is no room for a connection (sip.connections): the oldest that has proved nothing is closed, or this one if there is none."
            ),
            None => self.shared.metrics.log_suppressed.inc(),
        }
    }

    fn shake_hands(self: &Arc<Self>, slot: Slot, stream: TcpStream) {
        let begun = self.table().begin_handshake(slot.id);
        let this = Arc::clone(self);
        self.spawn(async move {
            let Some(evicted) = begun else { return this.leave(slot, &Closed::Handshakes).await };
            this.note_crowded(slot.flow, evicted);
            let mut standing = slot.standing.clone();
            let outcome = tokio::select! {
                outcome = this.accept_tls(stream) => outcome,
                _ = standing.wait_for(|standing| *standing == Standing::Evicted) => Err(Closed::Evicted),
            };
            this.table().end_handshake(slot.id);
            match outcome {
                Ok(stream) => {
                    this.introduce(slot.flow, tls::names_shown(stream.get_ref().1)).await;
                    this.run(slot, stream).await;
                }
                Err(Closed::Io(error)) => {
                    let why = this.why_failed(slot.flow.peer, &error);
                    this.leave(slot, &why).await;
                }
                Err(why) => this.leave(slot, &why).await,
            }
        });
    }

    async fn accept_tls(
        &self,
        stream: TcpStream,
    ) -> Result<tokio_rustls::server::TlsStream<TcpStream>, Closed> {
        let acceptor = self.tls.acceptor().ok_or(Closed::Handshake)?;
        let patience = Duration::from_secs(self.limits.handshake_s);
        Ok(timeout(patience, acceptor.accept(stream)).await.map_err(|_| Closed::Handshake)??)
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
        let line = self.table().line(flow);
        let Some(line) = line else {
            return if flow.connection.is_some() { Err(flow) } else { self.open(transmit) };
        };
        if line.is_ending && !transmit.bytes.starts_with(b"SIP/2.0 ") {
            // Nobody would answer.
            return Err(flow);
        }
        line.queue.try_send(transmit).map_err(|error| {
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                self.shared.metrics.queue_dropped.with_label_values(&["connection"]).inc();
                line.standing.send_replace(Standing::Slow);
            }
            flow
        })
    }

    fn open(self: &Arc<Self>, transmit: Transmit) -> Result<(), Flow> {
        let flow = transmit.flow;
        let mut slot = self.enter(flow, Origin::Opened).ok_or(flow)?;
        slot.queue.try_send(transmit).map_err(|_| flow)?;
        let this = Arc::clone(self);
        self.spawn(async move {
            let patience = Duration::from_secs(this.limits.handshake_s);
            match timeout(patience, this.connect(flow)).await.unwrap_or(Err(Closed::Handshake)) {
                Ok((local, opened)) => {
                    slot.flow.local.set_ip(local);
                    match opened {
                        Opened::Plain(stream) => this.run(slot, stream).await,
                        Opened::Tls(stream) => this.run(slot, *stream).await,
                    }
                }
                Err(why) => {
                    tracing::info!(peer = %flow.peer, transport = flow.transport.param(), %why, "no connection could be opened");
                    this.leave(slot, &why).await;
                }
            }
        });
        Ok(())
    }

    /// Connects, and tells from which address.
    async fn connect(&self, flow: Flow) -> Result<(IpAddr, Opened), Closed> {
        let stream = tcp::connect(flow.peer, self.source(flow.local)).await?;
        let local = stream.local_addr()?.ip();
        tcp::tune(&stream);
        if flow.transport != Transport::Tls {
            return Ok((local, Opened::Plain(stream)));
        }
        let (connector, name) = self.tls.connector(flow.peer).ok_or(Closed::Handshake)?;
        Ok((local, Opened::Tls(Box::new(connector.connect(name, stream).await?))))
    }

    /// The address that a connection is opened from: the one that Via and Contact name.
    fn source(&self, local: SocketAddr) -> tcp::Source {
        if !local.ip().is_unspecified() {
            return tcp::Source::At(local.ip());
        }
        let advertised = self.advertised.lock().unwrap_or_else(PoisonError::into_inner);
        let told = advertised.iter().find(|(listener, _)| *listener == local).map(|(_, told)| *told);
        told.map_or(tcp::Source::Any, tcp::Source::Rather)
    }

    async fn run<S: AsyncRead + AsyncWrite + Send>(&self, mut slot: Slot, stream: S) {
        let id = slot.id;
        let on_last_word = || self.table().end(id);
        let why = stream::run(&self.shared, &self.limits, &mut slot, stream, on_last_word).await;
        tracing::debug!(peer = %slot.flow.peer, transport = slot.flow.transport.param(), %why, "a connection ended");
        self.leave(slot, &why).await;
    }

    /// Removes the entry and tells the engine what it can no longer count on.
    async fn leave(&self, mut slot: Slot, why: &Closed) {
        let strangers = {
            let mut table = self.table();
            table.leave(slot.id);
            table.strangers()
        };
        self.shared.metrics.connections_unproved.set(strangers as i64);
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
