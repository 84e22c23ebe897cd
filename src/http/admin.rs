//! What the command line asks of a running daemon.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use sip_core::refusal::Refusal;
use sip_core::types::CallUid;

use super::Site;
use super::view::{BanView, CallView, RegistrationView, StatusView};
use crate::engine;

pub(super) async fn calls(State(site): State<Site>) -> Json<Vec<CallView>> {
    let now = engine::now();
    let mut calls = site.engine.calls().await;
    calls.sort_by_key(|call| call.started);
    Json(calls.iter().map(|call| CallView::of(call, now)).collect())
}

pub(super) async fn registrations(State(site): State<Site>) -> Json<Vec<RegistrationView>> {
    let mut bindings = site.engine.bindings().await;
    bindings.sort_by_key(|binding| binding.profile);
    Json(bindings.iter().map(RegistrationView::of).collect())
}

pub(super) async fn bans(State(site): State<Site>) -> Json<Vec<BanView>> {
    Json(site.engine.bans().await.iter().map(BanView::of).collect())
}

/// Ends the ban of an address or a user name.
pub(super) async fn release_ban(
    State(site): State<Site>,
    Path(whom): Path<String>,
) -> (StatusCode, &'static str) {
    match site.engine.release_ban(BanView::whom(&whom)).await {
        true => (StatusCode::OK, "it is heard again\n"),
        false => (StatusCode::NOT_FOUND, "there is no such ban\n"),
    }
}

pub(super) async fn end_call(
    State(site): State<Site>,
    Path(call): Path<String>,
) -> (StatusCode, &'static str) {
    let Ok(call) = u128::from_str_radix(&call, 16) else {
        return (StatusCode::BAD_REQUEST, "a call's id is 32 hexadecimal digits\n");
    };
    match site.engine.end_call(CallUid(call), Refusal::EndedByOperator).await {
        true => (StatusCode::OK, "the call is being ended\n"),
        false => (StatusCode::NOT_FOUND, "there is no such call\n"),
    }
}

pub(super) async fn status(State(site): State<Site>) -> Result<Json<StatusView>, StatusCode> {
    let counts = site.engine.counts().await.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Json(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        calls: counts.live_calls(),
        transactions: counts.transactions,
        registrations: counts.bindings,
        obstacle: site.readiness.obstacle().map(str::to_owned),
        trouble: site.readiness.trouble().map(str::to_owned),
    }))
}
