use super::*;
use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::HttpConfig;
use crate::http::Access;
use crate::http::room::HTTP;
use crate::metrics::Metrics;

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";
/// Longer than the system keeps for a reader that does not read.
const LONG: usize = 64 * 1024 * 1024;

async fn answering(ConnectInfo(source): ConnectInfo<Source>, request: Request, next: Next) -> Response {
    let _answering = source.answering();
    next.run(request).await
}

async fn served(connections: usize, connections_per_source: usize) -> (SocketAddr, Metrics) {
    let limits = HttpConfig { connections, connections_per_source, ..HttpConfig::default() };
    let metrics = Metrics::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let room = Room::new(&limits, Arc::new(ArcSwap::from_pointee(Access::of(&limits))), metrics.clone());
    let bounded = Bounded::new(listener, room);
    let address = Listener::local_addr(&bounded).unwrap();
    let pages = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/long", get(|| async { vec![b'x'; LONG] }))
        .layer(from_fn(answering));
    tokio::spawn(
        async move { axum::serve(bounded, pages.into_make_service_with_connect_info::<Source>()).await },
    );
    (address, metrics)
}

fn closed(metrics: &Metrics, why: &str) -> u64 {
    metrics.connections_closed.with_label_values(&[HTTP, why]).get()
}

/// Asks for the page over this connection; `false` if it is closed instead.
async fn is_answered(stream: &mut TcpStream) -> bool {
    let mut head = [0; 15];
    stream.write_all(ASK).await.is_ok()
        && stream.read_exact(&mut head).await.is_ok()
        && head == *b"HTTP/1.1 200 OK"
}

/// Reads until the connection is closed, however it is.
async fn read_out(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _reset = stream.read_to_end(&mut rest).await;
}

#[tokio::test]
async fn connections_that_only_wait_make_room_for_those_that_ask() {
    let (address, metrics) = served(9, 4).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HT").await.unwrap();
        waiting.push(stream);
    }
    for round in 1..=4 {
        let mut asking = TcpStream::connect(address).await.unwrap();
        assert!(is_answered(&mut asking).await, "{round}");
        assert_eq!(closed(&metrics, "evicted"), round);
        assert_eq!(metrics.connections.with_label_values(&[HTTP]).get(), 4);
        waiting.push(asking);
    }
    for mut stream in waiting.drain(..4) {
        read_out(&mut stream).await;
    }
}

#[tokio::test]
async fn what_ends_makes_room() {
    let (address, metrics) = served(2, 2).await;
    for _ in 0..6 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(is_answered(&mut stream).await);
        drop(stream);
        while metrics.connections.with_label_values(&[HTTP]).get() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!((closed(&metrics, "evicted"), closed(&metrics, "limit")), (0, 0));
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let (address, metrics) = served(1, 1).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert!(is_answered(&mut silent).await);
    tokio::time::pause();
    read_out(&mut silent).await;
    assert_eq!(closed(&metrics, "idle"), 1);
}

#[tokio::test]
async fn a_request_that_drips_is_closed_before_its_head_ends() {
    let (address, metrics) = served(1, 1).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    tokio::time::pause();
    let begun = Instant::now();
    while closed(&metrics, "head") == 0 {
        assert!(begun.elapsed() < HEAD * 2, "it goes on for ever");
        let _closed = first.write_all(b"G").await;
        sleep(Duration::from_secs(2)).await;
    }
    tokio::time::resume();

    // The same for a request that is not the first one.
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(is_answered(&mut second).await);
    tokio::time::pause();
    let begun = Instant::now();
    while closed(&metrics, "head") == 1 {
        assert!(begun.elapsed() < HEAD * 2, "it goes on for ever");
        let _closed = second.write_all(b"G").await;
        sleep(Duration::from_secs(2)).await;
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_closed() {
    let (address, metrics) = served(1, 1).await;
    let mut deaf = TcpStream::connect(address).await.unwrap();
    deaf.write_all(b"GET /long HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    deaf.read_exact(&mut head).await.unwrap();
    // Until the system takes no more.
    sleep(Duration::from_millis(200)).await;
    tokio::time::pause();
    let begun = Instant::now();
    while closed(&metrics, "slow") == 0 {
        assert!(begun.elapsed() < STALL * 3, "it goes on for ever");
        sleep(Duration::from_secs(1)).await;
    }
}
