//! How the gateway does.

use axum::Json;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::caller::Caller;
use super::error::Problem;

/// The part of the description that is the installation's own.
pub(super) const TAG: &str = "Installation";

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(show_status))
}

/// The gateway as a whole.
#[derive(Serialize, ToSchema)]
#[schema(as = Status)]
struct StatusView {
    /// Of the running program.
    version: &'static str,
    /// Calls in set-up or running.
    calls: usize,
    /// SIP transactions.
    transactions: usize,
    /// Registered PBXs.
    registrations: usize,
    /// Why it takes no new calls; null if it takes them.
    obstacle: Option<&'static str>,
    /// What is wrong, though calls are taken; null if nothing is.
    trouble: Option<&'static str>,
}

/// Say how the gateway does
#[utoipa::path(
    get, path = "/status", tag = TAG, security(("token" = ["inspect"])),
    responses((status = 200, body = StatusView)),
)]
async fn show_status(caller: Caller) -> Answer<StatusView> {
    let counts = caller.site.engine.counts().await.ok_or_else(|| {
        let sentence = "the engine does not answer; the gateway may be stopping";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "engine_unavailable", sentence)
    })?;
    Ok(Json(StatusView {
        version: env!("CARGO_PKG_VERSION"),
        calls: counts.live_calls(),
        transactions: counts.transactions,
        registrations: counts.bindings,
        obstacle: caller.site.readiness.obstacle(),
        trouble: caller.site.readiness.trouble(),
    }))
}
