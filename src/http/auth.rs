//! Who may see what: tokens.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Site;
use super::connections::Source;
use crate::config::{HttpConfig, Secret};

/// What is asked of whoever wants to see a page.
#[derive(Clone, Debug, Default)]
pub struct Access {
    admin: Option<Secret>,
    metrics: Option<Secret>,
}

impl Access {
    /// As the configuration has it.
    pub fn of(http: &HttpConfig) -> Self {
        let metrics = http.metrics_token.clone().or_else(|| http.token.clone());
        Self { admin: http.token.clone(), metrics }
    }
}

impl Access {
    /// Whether these headers show the configuration's token.
    pub(super) fn is_admin(&self, headers: &HeaderMap) -> bool {
        self.admin.as_ref().is_some_and(|token| shown(headers).is_some() && shows(headers, token))
    }
}

/// Metrics tell every profile's credit: whoever asks from another machine has to show a token.
pub(super) async fn require_metrics_token(
    State(site): State<Site>,
    ConnectInfo(Source(peer)): ConnectInfo<Source>,
    request: Request,
    next: Next,
) -> Response {
    match &site.access.load().metrics {
        Some(token) if !is_local(peer) && !shows(request.headers(), token) => refused("http.metrics_token"),
        _ => next.run(request).await,
    }
}

fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    is_same(shown(headers).unwrap_or_default(), token.reveal())
}

/// The token that these headers show.
pub(super) fn shown(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn refused(key: &str) -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, format!("this needs {key} as a bearer token\n")).into_response()
}

/// Compares without telling by its duration where the difference is.
fn is_same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |differences, (a, b)| differences | (a ^ b));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_ask_for_the_admins_token_unless_they_have_their_own() {
        let mut http = HttpConfig { token: Some(Secret::new("one")), ..HttpConfig::default() };
        assert_eq!(Access::of(&http).metrics.unwrap().reveal(), "one");
        http.metrics_token = Some(Secret::new("two"));
        let access = Access::of(&http);
        assert_eq!((access.admin.unwrap().reveal(), access.metrics.unwrap().reveal()), ("one", "two"));
    }

    #[test]
    fn only_this_machine_is_local() {
        for (peer, local) in
            [("127.0.0.1:1", true), ("[::1]:1", true), ("[::ffff:127.0.0.1]:1", true), ("192.0.2.1:1", false)]
        {
            assert_eq!(is_local(peer.parse().unwrap()), local, "{peer}");
        }
    }

    #[test]
    fn only_the_token_itself_is_the_same() {
        assert!(is_same("secret", "secret"));
        for wrong in ["", "secre", "secret1", "Secret"] {
            assert!(!is_same(wrong, "secret"), "{wrong}");
        }
    }
}
