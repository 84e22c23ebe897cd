//! What every request over TCP passes first: whom it comes from, and whether they have too many under way.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
use crate::config::HttpConfig;
use crate::net::Tally;

/// Answers that may be given before the body has been read. The connection is closed then, and a client that is not told
/// would send its next request on it.
const LEAVE_BODY: [StatusCode; 4] = [
    StatusCode::UNAUTHORIZED,
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
    under_way: Mutex<Tally>,
    has_told: AtomicBool,
}

impl Doorway {
    pub(super) fn new(limits: &HttpConfig, access: Arc<ArcSwap<Access>>) -> Self {
        let under_way = Mutex::new(Tally::new(limits.connections, limits.connections_per_source));
        Self(Arc::new(Inner { access, under_way, has_told: AtomicBool::new(false) }))
    }

    /// A turn for a request of somebody behind a proxy; `None` if there are too many of theirs.
    fn turn(&self, client: IpAddr) -> Option<Turn> {
        let has_room = self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner).enter(client);
        has_room.then(|| Turn { doorway: self.clone(), client })
    }

    /// Whoever sets up a proxy and forgets to name it finds all its clients counted as one.
    fn tell_of_unnamed_proxy(&self, peer: IpAddr) {
        if peer.to_canonical().is_loopback() && !self.0.has_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "A proxy says whom its requests come from, but http.trusted_proxies does not name it: all its clients count as one."
            );
        }
    }
}

/// A request's turn, until it is dropped.
struct Turn {
    doorway: Doorway,
    client: IpAddr,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.doorway.0.under_way.lock().unwrap_or_else(PoisonError::into_inner).leave(self.client);
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
        match doorway.turn(client.address) {
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
