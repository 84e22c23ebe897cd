//! Who is not heard for having guessed too many passwords.

use std::net::IpAddr;

use axum::Json;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sip_core::bans::{Ban, Banned};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Path, Query};
use super::caller::Caller;
use super::error::Problem;
use super::page::{Cursor, Limit, Page};
use super::status::TAG;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_bans)).routes(routes!(release_ban))
}

/// A source or a user that is not heard.
#[derive(Serialize, ToSchema)]
#[schema(as = Ban)]
struct BanView {
    /// `source` or `user`.
    kind: &'static str,
    /// An IPv4 address, an IPv6 /64, or a user name.
    whom: String,
    /// The user name tried last.
    user: String,
    /// How long it goes on, seconds.
    left_s: u64,
}

impl From<Ban> for BanView {
    fn from(ban: Ban) -> Self {
        let (kind, whom) = match ban.whom {
            Banned::Source(IpAddr::V6(first)) => ("source", format!("{first}/64")),
            Banned::Source(address) => ("source", address.to_string()),
            Banned::User(name) => ("user", name),
        };
        Self { kind, whom, user: ban.user, left_s: ban.left.as_secs() }
    }
}

/// Who is meant by the text that stands for it; whatever is no address is a user name.
fn meant(text: &str) -> Banned {
    let address = text.strip_suffix("/64").unwrap_or(text).parse();
    address.map_or_else(|_| Banned::User(text.to_owned()), Banned::Source)
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
    get, path = "/bans", tag = TAG, security(("token" = ["inspect"])), params(BanQuery),
    responses((status = 200, body = Page<BanView>)),
)]
async fn list_bans(caller: Caller, Query(query): Query<BanQuery>) -> Answer<Page<BanView>> {
    let after = query.cursor.as_ref().map(Cursor::parse::<String>).transpose()?;
    let after = after.as_deref().map(meant);
    let bans = caller.site.engine.bans(after, query.limit.and_one() as usize).await;
    let bans = bans.into_iter().map(BanView::from).collect();
    Ok(Json(Page::of(bans, query.limit, |ban: &BanView| ban.whom.clone())))
}

/// Hear a source or a user again
#[utoipa::path(
    delete, path = "/bans/{whom}", tag = TAG, security(("token" = ["operate"])),
    params(("whom" = String, Path, description = "As the list shows it")), responses((status = 204)),
)]
async fn release_ban(caller: Caller, Path(whom): Path<String>) -> Result<StatusCode, Problem> {
    if !caller.site.engine.release_ban(meant(&whom)).await {
        return Err(Problem::absent("ban of", &whom));
    }
    caller.acting_on(None).record().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_is_named_as_it_is_shown() {
        for whom in [
            Banned::Source("203.0.113.66".parse().unwrap()),
            Banned::Source("2001:db8::".parse().unwrap()),
            Banned::User("99050000000101".to_owned()),
            Banned::User("../?#/ %".to_owned()),
        ] {
            let ban =
                Ban { whom: whom.clone(), user: String::new(), left: std::time::Duration::from_secs(5) };
            let shown = BanView::from(ban);
            assert_eq!((meant(&shown.whom), shown.left_s), (whom, 5));
        }
    }
}
