//! Idempotency-Key: a request that costs money is done once, however often it is sent.
//!
//! The key is taken by the transaction of the change itself, so not even a crash between the change and its answer lets
//! it be done again. The answer is kept for a day.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use provisioning_store::answers::{Kept, Once};
use provisioning_store::store::Store;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::contract::Rules;
use super::entrance::hex;
use super::error::Problem;
use crate::storage;

/// The header's name.
pub(super) const KEY: &str = "Idempotency-Key";
/// Longest key.
const KEY_LONGEST: usize = 255;
/// Longest answer that is kept; what changes money answers with one thing, not with a list.
const ANSWER_MOST: usize = 64 * 1024;

/// For the description of an operation that takes a key.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct IdempotencyKey {
    /// A new name for each request, such as a UUID. A request that is sent again with its key within a day is not done
    /// again, but answered as before; with another body it is refused.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    #[expect(dead_code, reason = "the entrance reads the header; this only describes it")]
    key: Option<String>,
}

/// The key that a request has given itself. On operations that cost nothing it means nothing.
pub(super) fn key(headers: &HeaderMap, rules: Rules) -> Result<Option<&str>, Problem> {
    let Some(key) = headers.get(KEY).filter(|_| rules.is_once) else { return Ok(None) };
    let is_key = |key: &&str| (1..=KEY_LONGEST).contains(&key.len());
    let key = key.to_str().ok().filter(is_key).ok_or_else(|| {
        let sentence =
            format!("a key is 1 to {KEY_LONGEST} visible ASCII characters; draw a UUID for each request");
        Problem::new(StatusCode::BAD_REQUEST, "bad_key", sentence).at(KEY)
    })?;
    Ok(Some(key))
}

/// The request by its key, and what it is, so that the same key for another request is noticed.
pub(super) fn name(owner: &str, key: &str, parts: &Parts, body: &[u8]) -> Once {
    let mut hash = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), parts.uri.to_string().as_bytes(), body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Once { owner: owner.to_owned(), key: key.to_owned(), fingerprint: hex(&hash.finalize()) }
}

/// The answer to a request with a key: the one that is kept, or that of doing it now.
pub(super) async fn answer(
    store: &Store,
    once: Once,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if let Some(kept) = store.kept_answer(&once.owner, &once.key, storage::now()).await? {
        return again(&once, kept);
    }
    let answer = next.run(request).await;
    if !answer.status().is_success() {
        // Nothing was done, so the key is not taken.
        return Ok(answer);
    }
    let (parts, body) = answer.into_parts();
    let Ok(octets) = to_bytes(body, ANSWER_MOST).await else {
        let sentence = "it was done, but its answer is too long to be shown; look at the thing itself";
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "answer_lost", sentence));
    };
    let text = String::from_utf8_lossy(&octets);
    if let Err(error) = store.keep_answer(&once, parts.status.as_u16(), &text).await {
        tracing::warn!(%error, "An answer could not be kept; sent again, its request is told that it was done.");
    }
    Ok(Response::from_parts(parts, Body::from(octets)))
}

fn again(once: &Once, kept: Kept) -> Result<Response, Problem> {
    if kept.fingerprint != once.fingerprint {
        let sentence = "this key was used for another request; use a new one for each";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", sentence).at(KEY));
    }
    let Some((status, body)) = kept.answer else {
        let sentence =
            "this request is being done, or was done without its answer being kept; look at the thing itself";
        return Err(Problem::new(StatusCode::CONFLICT, "asked_twice", sentence).at(KEY));
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}
