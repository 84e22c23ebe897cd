//! Who may see what: tokens.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Site;
use super::api::Problem;
use super::brake::{Guarded, Guess};
use super::client::{Client, Proxies};
use super::connections::Source;
use super::operator::Operator;
use crate::config::{HttpConfig, Secret};

/// What is asked of whoever wants to see a page.
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

/// Metrics tell every profile's credit: whoever asks over TCP has to show a token, on this machine too. A proxy on it would
/// otherwise open them to everybody.
pub(super) async fn require_metrics_token(
    State(site): State<Site>,
    request: Request,
    next: Next,
) -> Response {
    let is_operator = request.extensions().get::<ConnectInfo<Operator>>().is_some();
    let token = site.access.load().metrics.clone().filter(|_| !is_operator);
    match token.map_or(Ok(()), |token| has_shown(&site, &request, &token)) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
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
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
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
    fn only_the_token_itself_is_the_same() {
        assert!(is_same("secret", "secret"));
        for wrong in ["", "secre", "secret1", "Secret"] {
            assert!(!is_same(wrong, "secret"), "{wrong}");
        }
    }
}
