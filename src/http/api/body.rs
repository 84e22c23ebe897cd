//! Reading what a request brings: path, query and body. What cannot be read is refused with the field and the cure.

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use bytes::Bytes;
use provisioning_store::text::is_unseen;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::error::Problem;
use crate::config::nearest;
use crate::objects;

/// What the path names. What cannot be the name of anything is not there.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        read.map(|path| Self(path.0)).map_err(|_| Problem::absent("such thing at", parts.uri.path()))
    }
}

/// The parameters after the question mark.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        query(&parts.uri).map(Self)
    }
}

fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let deserializer = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let (field, sentence) = explained(&error.path().to_string(), &error.inner().to_string());
        Problem::new(StatusCode::BAD_REQUEST, "bad_query", sentence).at(field)
    })
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        expect_type(request.headers(), "application/json")?;
        json(&octets(request, state).await?).map(Self)
    }
}

/// A JSON body that may be left out.
pub(super) struct IfAny<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for IfAny<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let octets = octets(request, state).await?;
        if octets.is_empty() {
            return Ok(Self(T::default()));
        }
        expect_type(&headers, "application/json")?;
        json(&octets).map(Self)
    }
}

/// Reads a JSON text.
pub(super) fn json<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(octets);
    let read: Result<T, _> = objects::deserialize(&mut reader);
    let value = read.map_err(|error| {
        let path = error.path().to_string();
        refused(&path, error.inner())
    })?;
    reader.end().map_err(|error| refused(".", &error))?;
    Ok(value)
}

fn refused(path: &str, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        let sentence = format!("the body is no JSON: {error}");
        return Problem::new(StatusCode::BAD_REQUEST, "bad_json", sentence);
    }
    // serde_json adds where the body went wrong; the field says it better.
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let (field, sentence) = explained(path, text);
    Problem::invalid(field, sentence)
}

async fn octets<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection: BytesRejection| {
        Problem::new(StatusCode::BAD_REQUEST, "bad_body", rejection.body_text())
    })
}

/// Whether the body says of itself what it has to be; parameters as `charset` are no matter.
pub(super) fn expect_type(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let sentence = format!("this takes a body of type {wanted}; say so in Content-Type");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_content_type", sentence).at("Content-Type"))
}

/// The field that serde blames and its words as a sentence with a cure.
fn explained(path: &str, message: &str) -> (String, String) {
    let path = if path == "." { "" } else { path };
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (first, others) = quoted.split_first().map_or(("", &[][..]), |(first, others)| (*first, others));
    if message.starts_with("unknown field") {
        let cure = if others.is_empty() { "Leave it out.".to_owned() } else { nearest(first, others) };
        let place = if path.ends_with(first) { path.to_owned() } else { join(path, first) };
        return (place, format!("there is no field `{first}` here. {cure}"));
    }
    if message.starts_with("unknown variant") {
        return (path.to_owned(), format!("`{first}` cannot stand here. {}", nearest(first, others)));
    }
    if message.starts_with("missing field") {
        return (join(path, first), format!("the field `{first}` is missing; add it"));
    }
    let field = if path.is_empty() { "body" } else { path };
    let sentence = match message.split_once(", expected ") {
        Some(("invalid type: sequence", wanted)) => {
            format!("a list cannot stand here; write {}", plain(wanted))
        }
        Some((found, wanted)) => format!("{found}; write {}", plain(wanted)),
        None => message.to_owned(),
    };
    (field.to_owned(), sentence)
}

/// serde's names of types in plain words.
fn plain(wanted: &str) -> &str {
    match wanted {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "i64" => "a whole number",
        "a string" => "text, in quotes",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        wanted if wanted.starts_with("struct ") || wanted.starts_with("adjacently tagged enum ") => {
            "an object"
        }
        other => other,
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// For a field of a change that may be left out, null or a value: what is left out stays, null takes away.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Longest note, characters.
const NOTE_LONGEST: usize = 200;

/// A text of one line, for the books, all of which can be seen.
pub(super) fn line<'a>(field: &str, text: &'a str) -> Result<&'a str, Problem> {
    if let Some(unseen) = text.chars().find(|character| is_unseen(*character)) {
        let code = u32::from(unseen);
        let sentence = format!("holds the character U+{code:04X}, which cannot be seen; leave it out");
        return Err(Problem::invalid(field, sentence));
    }
    if text.chars().count() > NOTE_LONGEST {
        return Err(Problem::invalid(field, format!("write at most {NOTE_LONGEST} characters on one line")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read for its errors")]
    struct Order {
        channels: u32,
        kind: Kind,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Monthly,
        Yearly,
    }

    fn wrong(json: &str) -> (u16, String, String) {
        let mut reader = serde_json::Deserializer::from_str(json);
        let error = objects::deserialize::<Order, _>(&mut reader).unwrap_err();
        let path = error.path().to_string();
        let problem = serde_json::to_value(refused(&path, error.inner())).unwrap();
        let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
        (problem["status"].as_u64().unwrap() as u16, text("field"), text("detail"))
    }

    #[test]
    fn the_field_and_the_cure_are_named() {
        for (json, status, field, detail) in [
            (
                r#"{"chanels": 4}"#,
                422,
                "chanels",
                "There is no field `chanels` here. Did you mean `channels`?",
            ),
            (r#"{"channels": "4"}"#, 422, "channels", "Invalid type: string \"4\"; write a whole number."),
            (r#"[4, "monthly"]"#, 422, "body", "A list cannot stand here; write an object."),
            (r#"{"channels": 4}"#, 422, "kind", "The field `kind` is missing; add it."),
            (
                r#"{"channels": 4, "kind": "yearli"}"#,
                422,
                "kind",
                "`yearli` cannot stand here. Did you mean `yearly`?",
            ),
            (
                r#"{"channels": "#,
                400,
                "",
                "The body is no JSON: EOF while parsing a value at line 1 column 13.",
            ),
        ] {
            assert_eq!(wrong(json), (status, field.to_owned(), detail.to_owned()), "{json}");
        }
    }

    #[test]
    fn a_query_is_held_to_its_parameters() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "only read for its errors")]
        struct Params {
            company: Option<i64>,
        }
        assert!(query::<Params>(&"/?company=7".parse().unwrap()).is_ok());
        for uri in ["/?compani=7", "/?company=x", "/?company=1&company=2"] {
            assert!(query::<Params>(&uri.parse().unwrap()).is_err(), "{uri}");
        }
    }
}
