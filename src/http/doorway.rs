//! The first layer of every request over TCP: finds out its client, and limits the client's requests under way.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::body::HttpBody;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Access;
use super::api::Problem;
use super::client::{self, Client};
use super::connections::Source;
use super::pace::paced;
use super::turns::Turns;
use crate::config::HttpConfig;

/// Answers that may be given before the body has been read. The connection is closed then, and a client that is not told
/// would send its next request on it.
const LEAVE_BODY: [StatusCode; 5] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::TOO_MANY_REQUESTS,
];

/// What the doorway knows.
#[derive(Clone)]
pub(super) struct Doorway(Arc<Inner>);

struct Inner {
    access: Arc<ArcSwap<Access>>,
    /// Requests of proxies' clients that are being answered.
    under_way: Turns,
    has_told: AtomicBool,
}

impl Doorway {
    pub(super) fn new(limits: &HttpConfig, access: Arc<ArcSwap<Access>>) -> Self {
        let under_way = Turns::new(limits.connections, limits.connections_per_source);
        Self(Arc::new(Inner { access, under_way, has_told: AtomicBool::new(false) }))
    }

    /// Warns once if a proxy on this machine is not listed in `http.trusted_proxies`: all its clients share one limit.
    fn tell_of_unnamed_proxy(&self, peer: IpAddr) {
        if peer.to_canonical().is_loopback() && !self.0.has_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "A proxy says whom its requests come from, but http.trusted_proxies does not name it: all its clients count as one."
            );
        }
    }
}

/// Notes whom a request comes from, and lets it in.
pub(super) async fn pass(
    State(doorway): State<Doorway>,
    ConnectInfo(source): ConnectInfo<Source>,
    mut request: Request,
    next: Next,
) -> Response {
    let _answering = source.answering();
    let client = doorway.0.access.load().proxies.client(source.peer.ip(), request.headers());
    let _turn = if client.is_proxied {
        if source.is_reserved() {
            return crowded(StatusCode::SERVICE_UNAVAILABLE, "there is no room for another connection");
        }
        match doorway.0.under_way.take(client.address) {
            Some(turn) => Some(turn),
            None => {
                let sentence = "too many requests of this client are under way; wait for their answers";
                return crowded(StatusCode::TOO_MANY_REQUESTS, sentence);
            }
        }
    } else {
        if client::is_passed_on(request.headers()) {
            doorway.tell_of_unnamed_proxy(source.peer.ip());
        }
        None
    };
    request.extensions_mut().insert::<Client>(client);
    let has_body = !request.body().is_end_stream();
    let response = next.run(request.map(paced)).await;
    if has_body && LEAVE_BODY.contains(&response.status()) { closing(response) } else { response }
}

fn crowded(status: StatusCode, sentence: &str) -> Response {
    closing(Problem::new(status, "crowded", sentence).after_s(1).into_response())
}

/// Says that the connection ends with this answer.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
