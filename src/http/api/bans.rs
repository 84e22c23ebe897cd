//! Who is not heard for having guessed too many passwords.

use axum::Json;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Path, Query};
use super::caller::Caller;
use super::error::Problem;
use super::page::{Cursor, Limit, Page};
use super::status::TAG;
use crate::http::view;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_bans)).routes(routes!(release_ban))
}

/// A source or a user that is not heard.
#[derive(Serialize, ToSchema)]
#[schema(as = Ban)]
struct BanView {
    /// `source` or `user`.
    kind: String,
    /// An IPv4 address, an IPv6 /64, or a user name.
    whom: String,
    /// The user name tried last.
    user: String,
    /// How long it goes on, seconds.
    left_s: u64,
}

impl From<view::BanView> for BanView {
    fn from(seen: view::BanView) -> Self {
        Self { kind: seen.kind, whom: seen.whom, user: seen.user, left_s: seen.left_s }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct BanQuery {
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// List bans
#[utoipa::path(
    get, path = "/bans", tag = TAG, security(("token" = ["operator"])), params(BanQuery),
    responses((status = 200, body = Page<BanView>)),
)]
async fn list_bans(caller: Caller, Query(query): Query<BanQuery>) -> Answer<Page<BanView>> {
    let bans: Vec<view::BanView> = caller.site.engine.bans().await.iter().map(view::BanView::of).collect();
    let page = Page::of_whole(bans, (query.limit, query.cursor.as_ref()), |ban| ban.whom.clone())?;
    Ok(Json(page.map(BanView::from)))
}

/// Hear a source or a user again
#[utoipa::path(
    delete, path = "/bans/{whom}", tag = TAG, security(("token" = ["operator"])),
    params(("whom" = String, Path, description = "As the list shows it")), responses((status = 204)),
)]
async fn release_ban(caller: Caller, Path(whom): Path<String>) -> Result<StatusCode, Problem> {
    let banned = view::BanView::whom(&whom);
    if !caller.site.engine.release_ban(banned).await {
        return Err(Problem::absent("ban of", &whom));
    }
    caller.acting_on(None).record().await?;
    Ok(StatusCode::NO_CONTENT)
}
