//! What every request passes before it reaches its handler: who asks, whether they may, what it will be recorded as, and
//! whether it was done before.

use std::sync::Arc;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use provisioning_store::audit::Deed;
use provisioning_store::model::Timestamp;
use provisioning_store::tokens::Role;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::BASE;
use super::caller::{self, Caller};
use super::contract::Contract;
use super::error::Problem;
use super::once;
use super::power::{self, Kind};
use super::versions;
use crate::http::Site;
use crate::http::auth::{self, Claim};
use crate::http::brake::Guarded;
use crate::http::client::Client;
use crate::http::operator::Operator;
use crate::http::pace::is_too_slow;
use crate::storage;

/// Most octets of a JSON body.
const JSON_MOST: usize = 64 * 1024;
/// Fields whose values stay out of the audit trail.
const SECRETS: [&str; 2] = ["password", "secret"];
/// How the configuration's own token is called.
const CONFIGURED: &str = "http.token";
/// Where the commands of this machine come from.
const COMMAND_LINE: &str = "command line";

/// What the entrance knows.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) site: Site,
    pub(super) contract: Arc<Contract>,
}

/// Lets a request in, or says why not.
pub(super) async fn admit(
    State(entrance): State<Entrance>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let path = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let rules = path.as_ref().and_then(|path| entrance.contract.rules(&parts.method, path));
    let Some(rules) = rules.filter(|rules| rules.needs_token) else {
        // Operations without a token check themselves what a request may do.
        let origin = Origin::of(&parts);
        parts.extensions.insert(entrance.site.clone());
        parts.extensions.insert(origin);
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let Asker { role, name, ends_at } = known(&entrance.site, &parts).await?;
    let is_allowed = power::may(role, rules.kind);
    // A short body is read before anything is refused: a connection with a body left over has to be closed, to the surprise
    // of a client that sends its next request on it.
    // A table may be as long as it likes: its handler reads it piece by piece.
    let (octets, streamed) = match rules.takes_csv && is_allowed {
        true => (Ok(Bytes::new()), Some(body)),
        false => (read_most(body, JSON_MOST).await, None),
    };
    if !is_allowed {
        return Err(not_allowed(role, rules.kind));
    }
    let octets = octets?;
    let is_reading = matches!(parts.method, Method::GET | Method::HEAD);
    let key = once::key(&parts.headers, rules)?;
    let once = key.map(|key| once::name(&name, key, &parts, &octets));
    let deed = Deed {
        at: storage::now(),
        actor: name,
        origin: Origin::of(&parts).0,
        company: None,
        // The router has taken the beginning of the path off.
        action: format!("{} {BASE}{}", parts.method, parts.uri.path()),
        detail: detail(&parts.headers, &octets),
        once: once.clone(),
    };
    let place = path.as_deref().and_then(|path| path.strip_prefix(BASE)).unwrap_or_default();
    let thing = versions::thing(&mut parts, place).await;
    let condition = if is_reading { None } else { versions::condition(&parts.headers, thing.clone())? };
    let (site, condition, deed) = (entrance.site.clone(), condition.map(Arc::new), Arc::new(deed));
    parts.extensions.insert(Caller { site, role, ends_at, deed, condition });
    let request = Request::from_parts(parts, streamed.unwrap_or_else(|| Body::from(octets)));
    let store = &entrance.site.store;
    let answer = match once {
        _ if is_reading => versions::show(store, thing, request, next).await?,
        Some(once) => once::answer(store, once, request, next).await?,
        None => next.run(request).await,
    };
    if !is_reading && answer.status().is_success() {
        // Calls feel the change at once and not only when the watch looks by itself.
        entrance.site.changed.notify_one();
    }
    Ok(answer)
}

/// Where a request comes from, as the audit trail shows it.
#[derive(Clone)]
pub(super) struct Origin(pub(super) String);

impl Origin {
    fn of(parts: &Parts) -> Self {
        let client = parts.extensions.get::<Client>();
        Self(client.map_or_else(|| COMMAND_LINE.to_owned(), |client| client.address.to_string()))
    }
}

/// Says what a token's role may not do, and whose may.
fn not_allowed(role: Role, kind: Kind) -> Problem {
    if role.company().is_some() && !power::is_of_companies(kind) {
        let sentence = "this is for operators; ask one of them to do it";
        return Problem::new(StatusCode::FORBIDDEN, "operator_only", sentence);
    }
    let (role, kind) = (role.kind(), kind.word());
    let sentence =
        format!("this takes a role with the right `{kind}`, which {role} has not; use another token");
    Problem::new(StatusCode::FORBIDDEN, "not_allowed", sentence)
}

/// Whoever asks.
struct Asker {
    role: Role,
    /// As the audit trail shows it.
    name: String,
    /// When the token ends, if it does.
    ends_at: Option<Timestamp>,
}

impl Asker {
    fn operator(name: String) -> Self {
        Self { role: Role::Operator, name, ends_at: None }
    }
}

/// Whoever shows a token; or a user of this machine, whom the connection itself names.
async fn known(site: &Site, parts: &Parts) -> Result<Asker, Problem> {
    if let Some(ConnectInfo(Operator { name })) = parts.extensions.get() {
        return Ok(Asker::operator(name.clone()));
    }
    let shown = auth::shown(&parts.headers).ok_or_else(caller::unknown)?;
    let claim = Claim::of(site, &parts.extensions, Guarded::Token, shown)?;
    if site.access.load().is_admin(shown) {
        claim.hold();
        return Ok(Asker::operator(CONFIGURED.to_owned()));
    }
    match site.store.token_of(storage::now(), shown).await {
        Ok(Some(token)) => {
            claim.hold();
            let name = format!("token {} ({})", token.id, token.name);
            Ok(Asker { role: token.role, name, ends_at: token.expires_at })
        }
        Ok(None) => {
            claim.fail();
            Err(caller::unknown())
        }
        Err(error) => {
            claim.drop_undecided();
            Err(error.into())
        }
    }
}

/// Reads the JSON body of an operation without a token.
pub(super) async fn read_json(body: Body) -> Result<Bytes, Problem> {
    read_most(body, JSON_MOST).await
}

async fn read_most(body: Body, most: usize) -> Result<Bytes, Problem> {
    // A body that says how long it is need not come to be refused.
    if body.size_hint().lower() > most as u64 {
        return Err(too_long(most));
    }
    to_bytes(body, most).await.map_err(|error| {
        let is_long = std::error::Error::source(&error)
            .is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>());
        if is_long { too_long(most) } else { broken(&error) }
    })
}

/// Says why a body could not be read to its end.
pub(super) fn broken(error: &axum::Error) -> Problem {
    if is_too_slow(error) {
        let sentence = "the body came too slowly; send it again over a better connection";
        return Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", sentence);
    }
    Problem::new(StatusCode::BAD_REQUEST, "bad_body", "the body ended before its time; send it again")
}

pub(super) fn too_long(most: usize) -> Problem {
    let sentence = format!("the body is longer than {most} octets; send less at a time");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_long", sentence)
}

fn is_csv(headers: &HeaderMap) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    named.is_some_and(|named| named.trim().to_ascii_lowercase().starts_with("text/csv"))
}

/// What the audit trail shows of a body: all of a JSON object but its secrets; of anything else what identifies it.
fn detail(headers: &HeaderMap, octets: &[u8]) -> String {
    if octets.is_empty() {
        return String::new();
    }
    match serde_json::from_slice(octets) {
        Ok(mut value) if !is_csv(headers) => {
            conceal(&mut value);
            value.to_string()
        }
        _ => json!({ "octets": octets.len(), "sha256": hex(&Sha256::digest(octets)) }).to_string(),
    }
}

fn conceal(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                if SECRETS.contains(&field.as_str()) {
                    *value = Value::from("(not shown)");
                } else {
                    conceal(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(conceal),
        _ => {}
    }
}

/// Hexadecimal digits.
pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out_of_the_audit_trail() {
        let body =
            br#"{"name": "up", "authentication": {"kind": "digest", "user": "us", "password": "hunter2"}}"#;
        let shown = detail(&HeaderMap::new(), body);
        assert!(shown.contains("(not shown)") && !shown.contains("hunter2"), "{shown}");
        assert_eq!(detail(&HeaderMap::new(), b""), "");
        assert!(detail(&HeaderMap::new(), b"prefix,price").contains("\"octets\":12"));
    }
}
