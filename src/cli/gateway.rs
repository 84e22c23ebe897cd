//! The gateway as commands see it: its API. The one that runs answers on its socket; while none runs, this process takes
//! the database and asks the same handlers.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use form_urlencoded::Serializer;
use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use provisioning_store::error::StoreError;
use serde_json::Value;
use sipgw::http::{AtRest, local};
use sipgw::storage::{self, OpenError};
use sipgw::{Config, StartError};
use tokio::sync::Mutex;

use super::deck::Deck;
use super::failure::Failure;

/// How long a gateway that starts or stops, or another command, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(120);
/// How long a rate deck may take, which is read and written before it is answered.
const DECK_ANSWER: Duration = Duration::from_secs(3_600);
/// Where the API is.
const BASE: &str = "/api/v1";
/// Most things on a page of a list.
const PAGE: usize = 200;

/// The gateway of a configuration.
pub(crate) struct Gateway {
    config: Config,
    /// Nobody while somebody thinks something over: then it is looked anew who answers.
    answers: Mutex<Option<Answerer>>,
}

/// Whoever answers.
enum Answerer {
    /// The one that runs.
    Running(SendRequest<Body>),
    /// The database itself, which no gateway runs on.
    AtRest(Box<AtRest>),
}

/// What is sent with a request.
enum Content {
    Nothing,
    Json(Value),
    Deck(Deck),
}

impl Gateway {
    /// The gateway that runs; without one, the database.
    pub(crate) async fn open(config: &Config) -> Result<Self, Failure> {
        Ok(Self::of(config, Answerer::find(config).await?))
    }

    /// The gateway that runs, for what only that one knows.
    pub(crate) async fn running(config: &Config) -> Result<Self, Failure> {
        let nobody = || {
            let socket = storage::socket(config);
            Failure::Unanswered(format!(
                "no running gateway answers at {}; start it with sipgw run",
                socket.display()
            ))
        };
        Ok(Self::of(config, Answerer::connect(config).await?.ok_or_else(nobody)?))
    }

    fn of(config: &Config, answerer: Answerer) -> Self {
        Self { config: config.clone(), answers: Mutex::new(Some(answerer)) }
    }

    /// Whether it takes calls, and not a database without one.
    pub(crate) async fn is_running(&self) -> bool {
        matches!(&*self.answers.lock().await, Some(Answerer::Running(_)))
    }

    /// Makes ready for questions about calls and their prices, which a running gateway always is.
    pub(crate) async fn learn(&self) -> Result<(), Failure> {
        match &*self.answers.lock().await {
            Some(Answerer::AtRest(at_rest)) => Ok(at_rest.learn().await?),
            _ => Ok(()),
        }
    }

    /// Lets go of the database, if this process had to take it, until the next request: whoever thinks something over keeps
    /// no gateway from starting.
    pub(crate) async fn let_go(&self) {
        let mut answers = self.answers.lock().await;
        match answers.take() {
            Some(Answerer::AtRest(at_rest)) => at_rest.close().await,
            running => *answers = running,
        }
    }

    /// Nothing more is asked.
    pub(crate) async fn close(self) {
        self.let_go().await;
    }

    /// Reads one thing.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        json(self.ask(Method::GET, path, Content::Nothing).await?)
    }

    /// Reads one thing; `None` if it is not there.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Value>, Failure> {
        let (status, octets) = self.send(Method::GET, path, Content::Nothing).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status => json(done(status, octets)?).map(Some),
        }
    }

    /// Reads a text that has its own form, such as CSV.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let octets = self.ask(Method::GET, path, Content::Nothing).await?;
        String::from_utf8(octets.into()).map_err(|error| unreadable(&error))
    }

    /// Reads a whole list.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        self.first(usize::MAX, path).await
    }

    /// Reads a list up to so many things.
    pub(crate) async fn first(&self, most: usize, path: &str) -> Result<Vec<Value>, Failure> {
        self.first_after(None, most, path).await
    }

    /// The same, from a place on that the list has given.
    pub(crate) async fn first_after(
        &self,
        mut cursor: Option<String>,
        most: usize,
        path: &str,
    ) -> Result<Vec<Value>, Failure> {
        let mut found = Vec::new();
        loop {
            let limit = most.saturating_sub(found.len()).min(PAGE);
            if limit == 0 {
                return Ok(found);
            }
            let questions = [("limit", Some(limit.to_string())), ("cursor", cursor)];
            let mut page = self.get(&asking(path, questions)).await?;
            if let Value::Array(items) = page["items"].take() {
                found.extend(items);
            }
            match page["next"].take() {
                Value::String(next) => cursor = Some(next),
                _ => return Ok(found),
            }
        }
    }

    /// Makes something, or lets something happen.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        json(self.ask(Method::POST, path, Content::Json(body)).await?)
    }

    /// Puts something in its place.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Result<Value, Failure> {
        json(self.ask(Method::PUT, path, Content::Json(body)).await?)
    }

    /// Puts a rate deck in its place.
    pub(crate) async fn put_deck(&self, path: &str, deck: Deck) -> Result<Value, Failure> {
        json(self.ask(Method::PUT, path, Content::Deck(deck)).await?)
    }

    /// Changes what is named.
    pub(crate) async fn patch(&self, path: &str, body: Value) -> Result<Value, Failure> {
        json(self.ask(Method::PATCH, path, Content::Json(body)).await?)
    }

    /// Takes something away.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        json(self.ask(Method::DELETE, path, Content::Nothing).await?)
    }

    async fn ask(&self, method: Method, path: &str, content: Content) -> Result<Bytes, Failure> {
        let (status, octets) = self.send(method, path, content).await?;
        done(status, octets)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content: Content,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let patience = if matches!(content, Content::Deck(_)) { DECK_ANSWER } else { ANSWER };
        let exchange = async {
            let request = request(method, path, content);
            let mut answers = self.answers.lock().await;
            if answers.is_none() {
                *answers = Some(Answerer::find(&self.config).await?);
            }
            let answerer = answers.as_mut().expect("somebody was found just now");
            read(answerer.answer(request).await?).await
        };
        let late = |_| Failure::Unanswered(format!("the gateway did not answer within {patience:?}"));
        tokio::time::timeout(patience, exchange).await.map_err(late)?
    }
}

impl Answerer {
    /// The gateway that runs; without one, the database. One that is about to start or to stop is waited for, and so is
    /// another command.
    async fn find(config: &Config) -> Result<Self, Failure> {
        let begun = Instant::now();
        loop {
            if let Some(running) = Self::connect(config).await? {
                return Ok(running);
            }
            match AtRest::open(config).await {
                Ok(at_rest) => return Ok(Self::AtRest(Box::new(at_rest))),
                Err(error) if is_taken(&error) && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(LOOK).await;
                }
                Err(error) if is_taken(&error) => {
                    let socket = storage::socket(config);
                    return Err(Failure::Unanswered(format!(
                        "{error}; it does not answer at {}: it starts, stops, is of another version or runs on another \
                         machine",
                        socket.display()
                    )));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn connect(config: &Config) -> Result<Option<Self>, Failure> {
        let socket = storage::socket(config);
        let stream = local::connect(&socket).await.map_err(|error| {
            let cure = match error.kind() {
                ErrorKind::PermissionDenied => "; do it as the user that the gateway runs for, or as root",
                _ => "",
            };
            Failure::Unanswered(format!("the gateway at {} cannot be asked: {error}{cure}", socket.display()))
        })?;
        let Some(stream) = stream else { return Ok(None) };
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
        // What goes wrong on the connection is told to whoever waits for the answer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Some(Self::Running(sender)))
    }

    async fn answer(&mut self, request: Request<Body>) -> Result<Response, Failure> {
        match self {
            Self::AtRest(at_rest) => Ok(at_rest.answer(request).await),
            Self::Running(sender) => {
                // The answer before has been read, but the connection may not know it yet.
                sender.ready().await.map_err(|error| lost(&error))?;
                Ok(sender.send_request(request).await.map_err(|error| lost(&error))?.map(Body::new))
            }
        }
    }
}

/// Whether somebody else has the database: by its lock here, or by the server's, from whichever machine.
fn is_taken(error: &StartError) -> bool {
    matches!(
        error,
        StartError::Open(OpenError::Owned { .. } | OpenError::Store(StoreError::Owned { .. }))
            | StartError::Store(StoreError::Owned { .. })
    )
}

fn request(method: Method, path: &str, content: Content) -> Request<Body> {
    let (kind, body) = match content {
        Content::Nothing => (None, Body::empty()),
        // Where there may be nothing, null is nothing.
        Content::Json(Value::Null) => (None, Body::empty()),
        Content::Json(value) => (Some("application/json"), Body::from(value.to_string())),
        Content::Deck(deck) => (Some("text/csv"), deck.into_body()),
    };
    let mut request = Request::builder().method(method).uri(format!("{BASE}{path}"));
    request = request.header(header::HOST, "localhost");
    if let Some(kind) = kind {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    request.body(body).expect("a path is made of escaped steps and questions")
}

async fn read(response: Response) -> Result<(StatusCode, Bytes), Failure> {
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| lost(&error))?;
    Ok((status, body.to_bytes()))
}

/// What was answered, unless that is why it was not done (RFC 9457).
fn done(status: StatusCode, octets: Bytes) -> Result<Bytes, Failure> {
    if status.is_success() {
        return Ok(octets);
    }
    let problem: Value = serde_json::from_slice(&octets).unwrap_or_default();
    let mut sentence =
        problem["detail"].as_str().map_or_else(|| format!("it answered {status}"), str::to_owned);
    if let Some(mistakes) = problem["mistakes"]["items"].as_array() {
        sentence = mistakes_listed(mistakes, problem["mistakes"]["total"].as_u64().unwrap_or_default());
    }
    Err(if status.is_server_error() { Failure::Unanswered(sentence) } else { Failure::Refused(sentence) })
}

/// What is wrong with a table, one mistake a line.
fn mistakes_listed(mistakes: &[Value], total: u64) -> String {
    let line = |mistake: &Value| {
        let column = mistake["column"].as_str().map_or_else(String::new, |column| format!(", {column}"));
        format!("line {}{column}: {}\n", mistake["line"], mistake["detail"].as_str().unwrap_or_default())
    };
    let lines: String = mistakes.iter().map(line).collect();
    let more = match total.saturating_sub(mistakes.len() as u64) {
        0 => String::new(),
        more => format!("and {more} more\n"),
    };
    format!("{lines}{more}{total} mistakes; nothing was imported")
}

fn json(octets: Bytes) -> Result<Value, Failure> {
    match octets.is_empty() {
        true => Ok(Value::Null),
        false => serde_json::from_slice(&octets).map_err(|error| unreadable(&error)),
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    Failure::Unanswered(format!("the gateway's answer cannot be read: {error}"))
}

fn lost(error: &dyn std::fmt::Display) -> Failure {
    Failure::Unanswered(format!(
        "the gateway went away before it had answered: {error}; look whether it was done"
    ))
}

/// A path with what is asked of it; what is not given is left out.
pub(crate) fn asking<const N: usize>(path: &str, questions: [(&str, Option<String>); N]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in questions {
        query.extend_pairs(value.map(|value| (name, value)));
    }
    let query = query.finish();
    let mark = if path.contains('?') { '&' } else { '?' };
    if query.is_empty() { path.to_owned() } else { format!("{path}{mark}{query}") }
}

/// One step of a path, whatever is in it: whoever guesses passwords chooses the user names.
pub(crate) fn step(text: &str) -> String {
    let escape = |octet: u8| match octet {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_one_step_of_a_path() {
        assert_eq!(step("203.0.113.66"), "203%2E0%2E113%2E66");
        assert_eq!(step("2001:db8::/64"), "2001%3Adb8%3A%3A%2F64");
        assert_eq!(step("../ü"), "%2E%2E%2F%C3%BC");
    }

    #[test]
    fn a_question_is_asked_if_there_is_one() {
        assert_eq!(asking("/companies", [("name", None)]), "/companies");
        let named = asking("/companies", [("name", Some("A & B".to_owned())), ("country", None)]);
        assert_eq!(named, "/companies?name=A+%26+B");
        assert_eq!(asking(&named, [("limit", Some("2".to_owned()))]), "/companies?name=A+%26+B&limit=2");
    }

    #[test]
    fn a_problem_is_a_failure_with_its_sentence() {
        let problem = || Bytes::from_static(br#"{"detail": "There is no company 7.", "status": 404}"#);
        let refused = done(StatusCode::NOT_FOUND, problem()).unwrap_err();
        assert!(matches!(&refused, Failure::Refused(said) if said == "There is no company 7."), "{refused}");
        let failed = done(StatusCode::SERVICE_UNAVAILABLE, Bytes::new()).unwrap_err();
        assert!(matches!(failed, Failure::Unanswered(_)), "{failed}");
    }
}
