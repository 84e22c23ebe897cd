//! Who may see what: tokens.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Site;
use super::api::Problem;
use super::brake::{Guarded, Guess};
use super::client::{Client, Proxies, is_passed_on};
use super::connections::Source;
use super::operator::Operator;
use crate::config::{HttpConfig, Secret};

/// What has to be shown to see a page.
#[derive(Clone, Debug, Default)]
pub struct Access {
    admin: Option<Secret>,
    metrics: Option<Secret>,
    pub(super) proxies: Proxies,
}

impl Access {
    /// As the configuration has it.
    pub fn of(http: &HttpConfig) -> Self {
        let metrics = http.metrics_token.clone().or_else(|| http.token.clone());
        Self { admin: http.token.clone(), metrics, proxies: Proxies::new(&http.trusted_proxies) }
    }

    /// Whether this is the configuration's token.
    pub(super) fn is_admin(&self, shown: &str) -> bool {
        self.admin.as_ref().is_some_and(|token| is_same(shown, token.reveal()))
    }
}

/// Metrics tell every profile's credit, so every request over TCP has to show a token, from this machine too: a proxy on it
/// would otherwise open them to all its clients. Where the configuration has no token, they are for this machine alone.
pub(super) async fn require_metrics_token(
    State(site): State<Site>,
    request: Request,
    next: Next,
) -> Response {
    let is_operator = request.extensions().get::<ConnectInfo<Operator>>().is_some();
    let allowed = match site.access.load().metrics.clone() {
        _ if is_operator => Ok(()),
        Some(token) => has_shown(&site, &request, &token),
        None => is_local(&site, &request),
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Whether a request was neither sent by another machine nor passed on by a proxy. A configuration that names proxies has
/// them in front of this listener, and not every proxy says that it is one.
fn is_from_this_machine(client: Option<&Client>, headers: &HeaderMap, proxies: &Proxies) -> bool {
    let is_local = client.is_some_and(|client| client.address.is_loopback() && !client.is_proxied);
    is_local && !is_passed_on(headers) && proxies.is_empty()
}

fn is_local(site: &Site, request: &Request) -> Result<(), Problem> {
    let client = request.extensions().get::<Client>();
    if is_from_this_machine(client, request.headers(), &site.access.load().proxies) {
        return Ok(());
    }
    let sentence = "without a token, metrics are only for this machine, not through a proxy, and not while http.trusted_proxies names any; set http.metrics_token, and show it as a bearer token";
    Err(Problem::new(StatusCode::UNAUTHORIZED, "no_token", sentence))
}

fn has_shown(site: &Site, request: &Request, token: &Secret) -> Result<(), Problem> {
    let refused = || {
        let sentence = "metrics need http.metrics_token, or http.token without one, as a bearer token";
        Problem::new(StatusCode::UNAUTHORIZED, "no_token", sentence)
    };
    let shown = shown(request.headers()).ok_or_else(refused)?;
    let claim = Claim::of(site, request.extensions(), Guarded::MetricsToken, shown)?;
    if is_same(shown, token.reveal()) {
        claim.hold();
        Ok(())
    } else {
        claim.fail();
        Err(refused())
    }
}

/// What a request shows to prove who it is, about to be looked at. The commands of this machine show nothing and have none.
pub(super) struct Claim(Option<(Guess, Source)>);

impl Claim {
    /// Refused if too many of its source's were wrong.
    pub(super) fn of(
        site: &Site,
        extensions: &Extensions,
        what: Guarded,
        shown: &str,
    ) -> Result<Self, Problem> {
        let (Some(client), Some(ConnectInfo(source))) =
            (extensions.get::<Client>(), extensions.get::<ConnectInfo<Source>>())
        else {
            return Ok(Self(None));
        };
        match site.brake.guess(client.address, what, shown) {
            Ok(guess) => Ok(Self(Some((guess, source.clone())))),
            Err(wait_s) => {
                let sentence = format!(
                    "too many wrong tokens or signatures came from {}; ask again in {wait_s} s",
                    client.address
                );
                Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "braked", sentence).after_s(wait_s))
            }
        }
    }

    /// It is right: the connection keeps its place.
    pub(super) fn hold(self) {
        if let Some((guess, source)) = self.0 {
            guess.was_right();
            source.prove();
        }
    }

    /// It is wrong.
    pub(super) fn fail(self) {
        if let Some((guess, _)) = self.0 {
            guess.was_wrong();
        }
    }

    /// Nothing could be found out about it.
    pub(super) fn drop_undecided(self) {
        if let Some((guess, _)) = self.0 {
            guess.was_undecided();
        }
    }
}

/// The token that these headers show.
pub(super) fn shown(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    // The name of a scheme has no case (RFC 9110 section 11.1).
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_start_matches(' '))
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
    fn without_a_token_metrics_are_for_this_machine_alone() {
        let client = |address: &str| Client { address: address.parse().unwrap(), is_proxied: false };
        let (none, some) = (Proxies::default(), Proxies::new(&["127.0.0.1/32".parse().unwrap()]));
        let plain = HeaderMap::new();
        let passed_on =
            HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), "192.0.2.1".parse().unwrap())]);
        for name in ["forwarded", "via", "x-real-ip", "x-forwarded-host", "x-forwarded-proto"] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), "1.1 proxy".parse().unwrap())]);
            assert!(!is_from_this_machine(Some(&client("127.0.0.1")), &headers, &none), "{name}");
        }
        for (client, headers, proxies, is_answered) in [
            (client("127.0.0.1"), &plain, &none, true),
            (client("::1"), &plain, &none, true),
            (client("192.0.2.1"), &plain, &none, false),
            (client("127.0.0.1"), &passed_on, &none, false),
            (client("127.0.0.1"), &plain, &some, false),
            (Client { is_proxied: true, ..client("127.0.0.1") }, &plain, &none, false),
        ] {
            assert_eq!(is_from_this_machine(Some(&client), headers, proxies), is_answered, "{client:?}");
        }
    }

    #[test]
    fn the_name_of_a_scheme_has_no_case() {
        for (value, token) in [
            ("Bearer one", Some("one")),
            ("bearer one", Some("one")),
            ("BEARER  one", Some("one")),
            ("Basic one", None),
            ("Bearer", None),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(shown(&headers), token, "{value}");
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
