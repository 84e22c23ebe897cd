//! What is answered when a request is not done: problem details (RFC 9457), one plain sentence and the field at fault.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use provisioning_store::error::StoreError;
use provisioning_store::ledger::Refusal;
use provisioning_store::rating::{RateProblem, RatesRefused};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of problem details.
pub(super) const PROBLEM_TYPE: &str = "application/problem+json";
/// Seconds after which a database that did not answer may be asked again.
const RETRY_AFTER_S: u32 = 1;

/// Why a request was not done (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct Problem {
    /// Always `about:blank`: the title is the status, and `code` says more.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Conflict")]
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599, example = 409)]
    status: u16,
    /// The reason in one word, for programs; it stays the same when the sentence is put better.
    #[schema(example = "insufficient_company_credit")]
    code: &'static str,
    /// The reason and its cure in one plain sentence, for people.
    #[schema(example = "The company's credit of 5.00 does not pay 27.80; top it up.")]
    detail: String,
    /// The field, parameter or header to blame, where it is one: `subscription.channels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What is wrong with a table, where the body is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mistakes: Option<Box<Mistakes>>,
    /// Seconds after which to ask again; in a header.
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

/// What is wrong with a table that was sent: nothing of it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct Mistakes {
    /// The first of them, in the order of the lines.
    items: Vec<Mistake>,
    /// How many there are in all.
    total: u64,
}

/// One thing wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct Mistake {
    /// The line, counted from 1.
    #[schema(minimum = 1)]
    line: u64,
    /// The column as the file calls it; null where none is to blame.
    column: Option<String>,
    /// What is wrong, and the cure.
    detail: String,
}

impl Problem {
    /// A problem with its word and its sentence; the sentence gets its capital and its full stop here.
    pub(in crate::http) fn new(status: StatusCode, code: &'static str, detail: impl AsRef<str>) -> Self {
        Self {
            kind: "about:blank",
            title: title(status),
            status: status.as_u16(),
            code,
            detail: sentence(detail.as_ref()),
            field: None,
            mistakes: None,
            retry_after_s: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S),
        }
    }

    /// The same problem, which may be over after so many seconds.
    pub(in crate::http) fn after_s(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds.try_into().unwrap_or(u32::MAX)), ..self }
    }

    /// The same problem, with a field to blame.
    pub(super) fn at(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// It does not exist, or the caller may not see it; the answers are the same.
    pub(super) fn absent(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} {name}"))
    }

    /// A field of the body holds what cannot be.
    pub(super) fn invalid(field: impl Into<String>, detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).at(field)
    }

    /// The same problem of a thing that is a field of the body.
    pub(super) fn within(self, field: &str) -> Self {
        let inner = self.field.as_deref().map(|inner| format!("{field}.{inner}"));
        Self { field: inner.or_else(|| Some(field.to_owned())), ..self }
    }

    /// What a body names is not there: the body is to blame, not the path.
    pub(super) fn named_in(self, field: &str) -> Self {
        if self.status != StatusCode::NOT_FOUND.as_u16() {
            return self;
        }
        Self { detail: self.detail, ..Self::invalid(field, "") }
    }

    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::to_vec(&self).expect("plain data has a JSON form");
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_TYPE)], body).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::Database { .. }
            | StoreError::Conflict
            | StoreError::Closed
            | StoreError::Owned { .. }
            | StoreError::OtherVersion { .. } => {
                tracing::warn!(%text, "A request of the API was not done.");
                let sentence = "the database does not answer; ask again in a moment";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", sentence)
            }
            StoreError::Damaged { .. } | StoreError::Secret(_) => {
                tracing::error!(%text, "A request of the API met damaged data.");
                let sentence = "the database holds what it should not; the log of the gateway says more";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store_damaged", sentence)
            }
            StoreError::Refused(refusal) => refusal.into(),
            StoreError::Rates(refused) => refused.into(),
            StoreError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", text),
            StoreError::Taken { .. } => Self::new(StatusCode::CONFLICT, "taken", text),
            StoreError::NoEarlierEdition { .. } => {
                Self::new(StatusCode::CONFLICT, "no_earlier_edition", text)
            }
            StoreError::NotNewestEdition { .. } => {
                Self::new(StatusCode::CONFLICT, "not_newest_edition", text)
            }
            StoreError::ImportRuns => Self::new(StatusCode::CONFLICT, "import_runs", text),
            StoreError::DeckCut { .. } => Self::new(StatusCode::BAD_REQUEST, "bad_body", text),
            StoreError::AccountInUse { .. } => Self::new(StatusCode::CONFLICT, "account_in_use", text),
            StoreError::QuotaReached { .. } => Self::new(StatusCode::CONFLICT, "quota_reached", text),
            StoreError::OtherPrice { .. } => {
                Self::new(StatusCode::CONFLICT, "other_price", text).at("agreed")
            }
            StoreError::Changed => Self::new(StatusCode::PRECONDITION_FAILED, "changed", text).at("If-Match"),
            StoreError::AskedTwice => Self::new(StatusCode::CONFLICT, "asked_twice", text),
            StoreError::Invalid { field, problem } => {
                // What stands before the colon is for the command line; here it is a member of its own.
                let sentence = format!("the {field} is wrong: {problem}");
                Self::invalid(field.replace(' ', "_").to_lowercase(), sentence)
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, field) = match &refusal {
            Refusal::UnknownCompany(_) | Refusal::UnknownProfile(_) | Refusal::UnknownCall(_) => {
                (StatusCode::NOT_FOUND, None)
            }
            Refusal::BadAmount(_) => (StatusCode::UNPROCESSABLE_ENTITY, Some("amount")),
            Refusal::Guard(fault) => (StatusCode::UNPROCESSABLE_ENTITY, Some(fault.key())),
            Refusal::Order(_) => (StatusCode::UNPROCESSABLE_ENTITY, Some("channels")),
            _ => (StatusCode::CONFLICT, None),
        };
        let problem = Self::new(status, refusal.code(), refusal.to_string());
        match field {
            Some(field) => problem.at(field),
            None => problem,
        }
    }
}

impl From<RatesRefused> for Problem {
    fn from(refused: RatesRefused) -> Self {
        let more = match refused.total {
            0 | 1 => String::new(),
            total => format!("; it has {total} mistakes in all, see `mistakes`"),
        };
        let first = refused.problems.first().map(RateProblem::to_string).unwrap_or_default();
        let sentence = format!("nothing of the deck was taken: {first}{more}");
        let mistake = |it: RateProblem| Mistake { line: it.line, column: it.column, detail: it.sentence };
        let items = refused.problems.into_iter().map(mistake).collect();
        let mistakes = Some(Box::new(Mistakes { items, total: refused.total }));
        Self { mistakes, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_rates", sentence).at("body") }
    }
}

/// What a status is called: two of them have other names since RFC 9110 than the library has for them.
fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
        StatusCode::UNPROCESSABLE_ENTITY => "Unprocessable Content",
        status => status.canonical_reason().unwrap_or("Error"),
    }
}

/// A text as a sentence: with a capital, one line, and a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim().replace('\n', " ");
    let mut letters = text.chars();
    let capital = letters.next().map(char::to_uppercase);
    let mut sentence: String = capital.into_iter().flatten().chain(letters).collect();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;
    use provisioning_store::money::Micros;

    #[test]
    fn a_refusal_is_a_sentence_with_a_word_and_a_status() {
        let refusal =
            Refusal::InsufficientCompanyCredit { needed: Micros(27_800_000), available: Micros(5_000_000) };
        let problem = Problem::from(StoreError::from(refusal));
        assert_eq!((problem.status, problem.code), (409, "insufficient_company_credit"));
        assert_eq!(problem.detail, "The company's credit of 5.00 does not pay 27.80; top it up.");
        assert_eq!(problem.field, None);
    }

    #[test]
    fn what_a_body_names_is_the_bodys_fault() {
        let problem = Problem::absent("profile", 7).named_in("target.profile");
        assert_eq!((problem.status, problem.title), (422, "Unprocessable Content"));
        assert_eq!(
            (problem.detail.as_str(), problem.field.as_deref()),
            ("There is no profile 7.", Some("target.profile"))
        );
        let other = Problem::new(StatusCode::CONFLICT, "taken", "it is taken");
        assert_eq!(other.clone().named_in("x"), other);
    }
}
