//! The HTTP API under `/api/v1`: everything that the command line sets up and shows, for programs.
//!
//! # A new resource
//! 1. A file here with its view (`Serialize, ToSchema`), its requests (`Deserialize, ToSchema`, unknown fields denied) and
//!    one handler for each operation under `#[utoipa::path]`; `companies.rs` shows all of it.
//! 2. `pub(super) fn routes()` at its top, and a line in `resources`.
//! 3. `sipgw openapi > docs/openapi.json`; a test fails until it is done.
//!
//! What a handler need not do: `entrance` knows who asks, refuses the roles that may not do operations of its kind (`power`
//! has the table; `security(("token" = ["operate"]))` names the kind where it is not `read` or `change`), keeps the answers to requests with an Idempotency-Key where it names
//! `once::IdempotencyKey`, and records every change that goes through `caller::Caller::acting_on`; `openapi` adds the
//! answers that every operation of a kind can give. A handler that takes an Idempotency-Key changes things by one verb of
//! the store, because the key is taken by the transaction of the change.
//!
//! What is changed at a path stands in the table of `versions`, which gives every GET its entity tag and lets a change be
//! conditional on one. A change that leaves something as it is reads that in its transaction: the store's `amend_` verbs.
//!
//! What it must do: reach things through `caller::Caller`, so that a token limited to a company finds nothing of others.
//! The tests of tenancy and the fuzzer (`tests/api`) read the description and try it all.

#![allow(
    unused_qualifications,
    reason = "utoipa's macro names types by paths that are longer than they need be"
)]

mod accounts;
mod addresses;
mod administrators;
mod audit;
mod availability;
mod bans;
mod body;
mod caller;
mod caller_ids;
mod calls;
mod carriers;
mod cdrs;
mod companies;
mod contract;
mod corrections;
mod credentials;
mod credit;
mod deck;
mod editions;
mod entrance;
mod error;
mod landlines;
mod money;
mod numbers;
mod once;
mod openapi;
mod page;
mod payment_events;
mod payments;
mod power;
mod profiles;
mod quotes;
mod rates;
mod refused_registrations;
mod registrations;
mod rehearsals;
mod reports;
mod schedule;
mod settings;
mod signature;
mod spend_guard;
mod stations;
mod status;
mod stock;
mod subscriptions;
mod suspensions;
mod tokens;
mod versions;
mod word;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, middleware};
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::contract::Contract;
use self::entrance::Entrance;
pub(super) use self::error::Problem;
use super::Site;

/// Where the API is.
pub(super) const BASE: &str = "/api/v1";

/// What a handler answers when it has something to show.
type Answer<T> = Result<Json<T>, Problem>;

/// Every resource, in the order of the description.
fn resources() -> OpenApiRouter {
    OpenApiRouter::with_openapi(openapi::beginning())
        .merge(openapi::routes())
        .merge(status::routes())
        .merge(schedule::routes())
        .merge(companies::routes())
        .merge(landlines::routes())
        .merge(administrators::routes())
        .merge(payments::routes())
        .merge(payment_events::routes())
        .merge(profiles::routes())
        .merge(credentials::routes())
        .merge(addresses::routes())
        .merge(subscriptions::routes())
        .merge(quotes::routes())
        .merge(credit::routes())
        .merge(spend_guard::routes())
        .merge(caller_ids::routes())
        .merge(numbers::routes())
        .merge(stock::routes())
        .merge(accounts::routes())
        .merge(carriers::routes())
        .merge(corrections::routes())
        .merge(rates::routes())
        .merge(suspensions::routes())
        .merge(editions::routes())
        .merge(calls::routes())
        .merge(cdrs::routes())
        .merge(refused_registrations::routes())
        .merge(registrations::routes())
        .merge(rehearsals::routes())
        .merge(reports::routes())
        .merge(bans::routes())
        .merge(tokens::routes())
        .merge(audit::routes())
}

fn parts() -> (Router, OpenApi) {
    let (router, document) = resources().split_for_parts();
    (router, openapi::finished(document))
}

/// The API's description, OpenAPI 3.1, as `docs/openapi.json` holds it.
pub fn description() -> &'static str {
    /// Put together once: whoever asks for it shows no token, and must not keep the gateway busy.
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let (_, document) = parts();
        let mut text = document.to_pretty_json().expect("a description has a JSON form");
        text.push('\n');
        text
    });
    &TEXT
}

/// The API over a running gateway.
pub(super) fn router(site: &Site) -> Router<Site> {
    let (router, document) = parts();
    let entrance = Entrance { site: site.clone(), contract: Arc::new(Contract::of(&document)) };
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(entrance, entrance::admit))
        .with_state(())
}

async fn no_such_path(request: Request) -> Problem {
    Problem::absent("such path:", request.uri().path())
}

async fn no_such_method(request: Request) -> Problem {
    let sentence = format!("{} does nothing here; openapi.json says what does", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", sentence)
}

/// A thing that was made: 201, where it is, and what it is.
struct Created<T> {
    path: String,
    body: T,
}

impl<T: Serialize> Created<T> {
    /// `path` begins behind [`BASE`].
    fn at(path: String, body: T) -> Self {
        Self { path, body }
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::CREATED, Json(self.body)).into_response();
        if let Ok(location) = HeaderValue::try_from(format!("{BASE}{}", self.path)) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_in_the_repository_is_the_programs_own() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        assert!(kept == description(), "docs/openapi.json is old: sipgw openapi > docs/openapi.json");
    }
}
