//! Who may connect: so many at once, in all and from one source, and none that stays silent.

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

use crate::config::HttpConfig;
use crate::metrics::Metrics;
use crate::net::Tally;

/// A connection that says nothing for so long is closed. Prometheus asks more often as a rule, and connects anew if not.
const SILENCE: Duration = Duration::from_secs(60);
/// The transport in the metrics of connections.
const HTTP: &str = "http";

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source(pub(super) SocketAddr);

/// Accepts connections as long as there is room; those beyond it are closed at once.
pub(super) struct Bounded {
    listener: TcpListener,
    room: Arc<Room>,
}

struct Room {
    tally: Mutex<Tally>,
    metrics: Metrics,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener, limits: &HttpConfig, metrics: Metrics) -> Self {
        let tally = Mutex::new(Tally::new(limits.connections, limits.connections_per_source));
        Self { listener, room: Arc::new(Room { tally, metrics }) }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // Waits a second where the system has no file descriptor left.
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            if self.room.enter(peer) {
                let silence = Box::pin(sleep(SILENCE));
                return (Connection { stream, peer, silence, room: Arc::clone(&self.room) }, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Bounded>> for Source {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Room {
    fn enter(&self, peer: SocketAddr) -> bool {
        let has_room = self.tally.lock().unwrap_or_else(PoisonError::into_inner).enter(peer.ip());
        if has_room {
            self.metrics.connections.with_label_values(&[HTTP]).inc();
        } else {
            self.count_closed("limit");
        }
        has_room
    }

    fn leave(&self, peer: SocketAddr) {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).leave(peer.ip());
        self.metrics.connections.with_label_values(&[HTTP]).dec();
    }

    fn count_closed(&self, why: &str) {
        self.metrics.connections_closed.with_label_values(&[HTTP, why]).inc();
    }
}

/// One connection, which takes room until it is dropped.
pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// Runs since something was read last.
    silence: Pin<Box<Sleep>>,
    room: Arc<Room>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.room.leave(self.peer);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE);
            return read;
        }
        self.silence.as_mut().poll(context).map(|()| {
            self.room.count_closed("idle");
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
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
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";

    async fn served(connections: usize, connections_per_source: usize) -> (SocketAddr, Metrics) {
        let limits = HttpConfig { connections, connections_per_source, ..HttpConfig::default() };
        let metrics = Metrics::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bounded = Bounded::new(listener, &limits, metrics.clone());
        let address = Listener::local_addr(&bounded).unwrap();
        let pages = Router::new().route("/", get(|| async { "here" }));
        tokio::spawn(async move { axum::serve(bounded, pages).await });
        (address, metrics)
    }

    /// Asks for the page over this connection; `false` if it is closed instead.
    async fn is_answered(stream: &mut TcpStream) -> bool {
        let mut head = [0; 15];
        stream.write_all(ASK).await.is_ok()
            && stream.read_exact(&mut head).await.is_ok()
            && head == *b"HTTP/1.1 200 OK"
    }

    #[tokio::test]
    async fn connections_beyond_the_bounds_are_closed_and_what_ends_makes_room() {
        for (all, of_source) in [(2, 9), (9, 2)] {
            let (address, metrics) = served(all, of_source).await;
            let mut first = TcpStream::connect(address).await.unwrap();
            let mut second = TcpStream::connect(address).await.unwrap();
            assert!(is_answered(&mut first).await && is_answered(&mut second).await);
            let mut third = TcpStream::connect(address).await.unwrap();
            assert!(!is_answered(&mut third).await);
            assert_eq!(metrics.connections_closed.with_label_values(&[HTTP, "limit"]).get(), 1);
            assert_eq!(metrics.connections.with_label_values(&[HTTP]).get(), 2);
            drop(first);
            while metrics.connections.with_label_values(&[HTTP]).get() > 1 {
                sleep(Duration::from_millis(5)).await;
            }
            let mut fourth = TcpStream::connect(address).await.unwrap();
            assert!(is_answered(&mut fourth).await);
        }
    }

    #[tokio::test]
    async fn a_silent_connection_is_closed() {
        let (address, metrics) = served(1, 1).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        assert!(is_answered(&mut silent).await);
        tokio::time::pause();
        let mut rest = Vec::new();
        let _page = silent.read_to_end(&mut rest).await;
        assert_eq!(metrics.connections_closed.with_label_values(&[HTTP, "idle"]).get(), 1);
    }
}
