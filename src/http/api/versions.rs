//! Entity tags (RFC 9110 section 8.8.3): what a GET shows is known by a tag, and a change may be made conditional on one.
//!
//! A tag has two parts: the version of the thing, which is another whenever somebody changes it, and a hash of what is shown,
//! in which credit and running calls may stand too. If-None-Match asks about both. If-Match asks about the version alone,
//! because a call that ends meanwhile is no reason to refuse a change; the transaction of the change looks at it, so nothing
//! comes between.

use axum::body::{Body, to_bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use provisioning_store::model::{
    BusinessAccountId, CarrierId, CompanyId, NumberId, PaymentId, ProfileId, TokenId,
};
use provisioning_store::store::Store;
use provisioning_store::things::{Condition, Thing};
use sha2::{Digest, Sha256};

use super::entrance::hex;
use super::error::Problem;

/// Octets of the hash of what is shown.
const HASH_LENGTH: usize = 12;
/// Tags that are looked at in one header.
const TAGS_MOST: usize = 32;

/// What a path says about a thing.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn id(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }
}

type Maker = fn(&Names) -> Option<Thing>;

/// What is changed at each path and below it; the longest path that fits counts.
const TABLE: [(&str, Maker); 18] = [
    ("/companies/{company}", |names| Some(Thing::Company(CompanyId(names.id("company")?)))),
    ("/companies/{company}/recharge", |names| Some(Thing::CompanyRecharge(CompanyId(names.id("company")?)))),
    ("/companies/{company}/administrators", |names| {
        Some(Thing::Administrators(CompanyId(names.id("company")?)))
    }),
    ("/companies/{company}/landlines", |names| Some(Thing::Landlines(CompanyId(names.id("company")?)))),
    ("/payments/{payment}", |names| Some(Thing::Payment(PaymentId(names.id("payment")?)))),
    ("/profiles/{profile}", |names| Some(Thing::Profile(ProfileId(names.id("profile")?)))),
    ("/profiles/{profile}/spend-guard", |names| Some(Thing::SpendGuard(ProfileId(names.id("profile")?)))),
    ("/profiles/{profile}/credentials", |names| Some(Thing::Credentials(ProfileId(names.id("profile")?)))),
    ("/profiles/{profile}/addresses", |names| Some(Thing::Addresses(ProfileId(names.id("profile")?)))),
    ("/profiles/{profile}/caller-ids", |names| Some(Thing::CallerIds(ProfileId(names.id("profile")?)))),
    ("/numbers/{number}", |names| Some(Thing::Number(NumberId(names.id("number")?)))),
    ("/stock/{number}", |names| Some(Thing::StockNumber(dialled(names.text("number")?)))),
    ("/business-accounts/{account}", |names| Some(Thing::Account(BusinessAccountId(names.id("account")?)))),
    ("/business-accounts/{account}/credentials", |names| {
        Some(Thing::AccountCredentials(BusinessAccountId(names.id("account")?)))
    }),
    ("/carriers/{carrier}", |names| Some(Thing::Carrier(CarrierId(names.id("carrier")?)))),
    ("/price-lists", |_| Some(Thing::Rates)),
    ("/rates", |_| Some(Thing::Rates)),
    ("/tokens/{token}", |names| Some(Thing::Token(TokenId(names.id("token")?)))),
];

/// A number as it is kept, without the marks that people write into it.
fn dialled(text: &str) -> String {
    text.chars().filter(|character| character.is_ascii_digit() || *character == '+').collect()
}

fn maker(path: &str) -> Option<Maker> {
    let is_at =
        |place: &str| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let fitting = TABLE.iter().filter(|(place, _)| is_at(place));
    fitting.max_by_key(|(place, _)| place.len()).map(|(_, maker)| *maker)
}

/// Whether a change at this path of the description can be made conditional.
pub(super) fn is_versioned(path: &str) -> bool {
    maker(path).is_some()
}

/// What a request is about, by the path that it was matched with.
pub(super) async fn thing(parts: &mut Parts, path: &str) -> Option<Thing> {
    use axum::extract::FromRequestParts;

    let maker = maker(path)?;
    let found = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    maker(&Names(found.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
}

/// What a change is conditional on by its If-Match.
pub(super) fn condition(headers: &HeaderMap, thing: Option<Thing>) -> Result<Option<Condition>, Problem> {
    let Some(tags) = tags(headers, header::IF_MATCH) else { return Ok(None) };
    if tags.iter().any(|tag| tag == "*") {
        return Ok(None);
    }
    let thing = thing.ok_or_else(|| {
        let sentence =
            "what is here has no version that a change could be conditional on; leave If-Match out";
        Problem::new(StatusCode::PRECONDITION_FAILED, "no_version", sentence).at("If-Match")
    })?;
    // Weak tags never match here (RFC 9110 section 13.1.1).
    let version = |tag: &String| Some(tag.strip_prefix('"')?.split(['.', '"']).next()?.to_owned());
    Ok(Some(Condition { thing, versions: tags.iter().filter_map(version).collect() }))
}

/// The tags that a header names; `None` where there is no such header.
fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Vec<String>> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts = values.filter_map(|value| value.to_str().ok());
    let tags = texts.flat_map(|text| text.split(',')).map(|tag| tag.trim().to_owned());
    Some(tags.take(TAGS_MOST).collect())
}

/// The answer to a GET with its tag, or 304 where the client has it already.
pub(super) async fn show(
    store: &Store,
    thing: Option<Thing>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let known = tags(request.headers(), header::IF_NONE_MATCH).unwrap_or_default();
    // Before the thing is read: a change that comes between must make the tag an old one, and not the shown thing a new one.
    let version = match &thing {
        Some(thing) if request.method() == Method::GET => Some(store.version(thing).await?),
        _ => None,
    };
    let is_head = request.method() == Method::HEAD;
    let answer = next.run(request).await;
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if is_head || answer.status() != StatusCode::OK || kind != Some("application/json") {
        return Ok(answer);
    }
    let (mut parts, body) = answer.into_parts();
    let octets = to_bytes(body, usize::MAX).await.map_err(|_| {
        let sentence = "the answer could not be put together; ask again";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "answer_lost", sentence)
    })?;
    let tag = tag(version.as_deref(), &octets);
    parts.headers.insert(header::ETAG, tag.clone());
    let is_known = known.iter().any(|one| one == "*" || tag == one.trim_start_matches("W/"));
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(Response::from_parts(parts, Body::from(octets)))
}

fn tag(version: Option<&str>, shown: &[u8]) -> HeaderValue {
    let hash = hex(&Sha256::digest(shown)[..HASH_LENGTH]);
    let text = match version {
        Some(version) => format!("\"{version}.{hash}\""),
        None => format!("\"{hash}\""),
    };
    HeaderValue::try_from(text).expect("hexadecimal digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pairs: &[(&str, &str)]) -> Names {
        Names(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn the_longest_path_says_what_is_changed() {
        let names = names(&[("profile", "7"), ("country", "US"), ("number", "+1 (202) 555-0100")]);
        let thing = |path: &str| maker(path).and_then(|maker| maker(&names));
        assert_eq!(thing("/profiles/{profile}"), Some(Thing::Profile(ProfileId(7))));
        assert_eq!(thing("/profiles/{profile}/recharge"), Some(Thing::Profile(ProfileId(7))));
        assert_eq!(thing("/profiles/{profile}/caller-ids/{country}"), Some(Thing::CallerIds(ProfileId(7))));
        assert_eq!(thing("/stock/{number}"), Some(Thing::StockNumber("+12025550100".into())));
        assert_eq!(thing("/profiles"), None);
    }

    #[test]
    fn if_match_is_read_as_the_rfc_has_it() {
        let condition = |text: &'static str, thing| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_static(text));
            condition(&headers, thing)
        };
        let versions = |text| condition(text, Some(Thing::Rates)).unwrap().unwrap().versions;
        assert_eq!(versions("\"a.1\", \"b.2\",\"c\""), ["a", "b", "c"]);
        assert!(versions("W/\"a.1\"").is_empty() && versions("a.1").is_empty());
        assert_eq!(condition("*", None).unwrap(), None);
        assert_eq!(condition("\"a\"", None).unwrap_err().status(), StatusCode::PRECONDITION_FAILED);
    }
}
