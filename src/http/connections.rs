//! Connections of HTTP, each of which has to keep moving: whoever opens one and says nothing, little or the same for ever
//! loses it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::room::{Place, Room, Ticket};

/// For the head of a request, from its first octet; for the first one, from the beginning of the connection.
const HEAD: Duration = Duration::from_secs(10);
/// Between two requests. Prometheus asks more often as a rule, and connects again if not.
const SILENCE: Duration = Duration::from_secs(60);
/// A client that takes no octet of its answer for so long is not there any more.
const STALL: Duration = Duration::from_secs(30);

/// Where a request comes from.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) peer: SocketAddr,
    seat: Arc<Seat>,
}

impl Source {
    /// A valid token or signature was shown: the connection keeps its place.
    pub(super) fn prove(&self) {
        self.seat.ticket.prove();
    }

    /// Whether it has one of the places that are for this machine.
    pub(super) fn is_reserved(&self) -> bool {
        self.seat.ticket.place == Place::Reserved
    }

    /// A request is at hand until what this gives is dropped.
    pub(super) fn answering(&self) -> Answering {
        self.seat.set(Phase::Answering);
        Answering(Arc::clone(&self.seat))
    }
}

/// While it lives, the client has nothing to say.
pub(super) struct Answering(Arc<Seat>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.set(Phase::Idle(Instant::now()));
    }
}

/// What a connection's client is expected to do.
#[derive(Clone, Copy)]
enum Phase {
    /// To finish the head of a request that began then.
    Head(Instant),
    /// To wait for its answer; the body has a pace of its own.
    Answering,
    /// To take its answer, or to begin another request; nothing has moved since then.
    Idle(Instant),
}

/// What is known of a connection, for itself and for its requests.
struct Seat {
    ticket: Ticket,
    phase: Mutex<Phase>,
}

impl Seat {
    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn has_read(&self) {
        if let Phase::Idle(_) = self.phase() {
            self.set(Phase::Head(Instant::now()));
        }
    }

    fn has_written(&self) {
        if let Phase::Idle(_) = self.phase() {
            self.set(Phase::Idle(Instant::now()));
        }
    }

    /// When the connection is closed if nothing more comes, and why.
    fn deadline(&self) -> Option<(Instant, &'static str)> {
        match self.phase() {
            Phase::Head(since) => Some((since + HEAD, "head")),
            Phase::Answering => None,
            Phase::Idle(since) => Some((since + SILENCE, "idle")),
        }
    }
}

/// Accepts connections as long as there is room for them.
pub(super) struct Bounded {
    listener: TcpListener,
    room: Arc<Room>,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener, room: Arc<Room>) -> Self {
        Self { listener, room }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // Waits a second where the system has no file descriptor left.
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            if let Some(ticket) = self.room.enter(peer) {
                return (Connection::new(stream, ticket), peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Bounded>> for Source {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self { peer: *stream.remote_addr(), seat: Arc::clone(&stream.io().seat) }
    }
}

/// One connection.
pub(super) struct Connection {
    stream: TcpStream,
    seat: Arc<Seat>,
    displaced: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Runs while something is waited for from the client.
    patience: Pin<Box<Sleep>>,
    /// Runs while the client takes nothing of its answer.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    fn new(stream: TcpStream, ticket: Ticket) -> Self {
        let displaced = Box::pin(ticket.displaced.clone().cancelled_owned());
        let seat = Arc::new(Seat { ticket, phase: Mutex::new(Phase::Head(Instant::now())) });
        Self { stream, seat, displaced, patience: Box::pin(sleep(HEAD)), stall: None }
    }

    /// Ready when the connection has to be closed, because nothing came in time or another one has its place.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if self.displaced.as_mut().poll(context).is_ready() {
            return Poll::Ready(io::ErrorKind::ConnectionAborted.into());
        }
        let Some((deadline, why)) = self.seat.deadline() else { return Poll::Pending };
        if self.patience.deadline() != deadline {
            self.patience.as_mut().reset(deadline);
        }
        self.patience.as_mut().poll(context).map(|()| self.close(why))
    }

    fn close(&self, why: &str) -> io::Error {
        self.seat.ticket.count_closed(why);
        io::ErrorKind::TimedOut.into()
    }

    /// Watches what writing came to.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            self.stall = None;
            self.seat.has_written();
            return wrote;
        }
        if self.displaced.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALL)));
        if stall.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(self.close("slow")));
        }
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Before anything is read: a head that comes octet by octet is none that moves.
        if let Poll::Ready(end) = self.poll_end(context) {
            return Poll::Ready(Err(end));
        }
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.seat.has_read();
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, octets);
        self.written(context, wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
