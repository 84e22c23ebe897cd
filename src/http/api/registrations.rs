//! PBXs that are registered, and phones of business accounts.

use std::collections::HashSet;

use axum::Json;
use serde::Serialize;
use sip_core::types::{Binding, ProfileId};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::Query;
use super::caller::Caller;
use super::calls::TAG;
use super::error::Problem;
use super::money::{Moment, moment_of_unix_s};
use super::page::Page;
use super::stations::{Part, StationQuery};
use crate::{bindings, storage};

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_registrations))
}

/// A registered PBX, or the phone of a business account.
#[derive(Serialize, ToSchema)]
#[schema(as = Registration)]
struct RegistrationView {
    /// Null for a phone.
    profile: Option<i64>,
    /// The account that a phone has signed in with.
    business_account: Option<i64>,
    /// The Contact URI as registered.
    contact: String,
    /// The proxies on the way to it, the nearest first, as its Path names them.
    path: Vec<String>,
    /// Where its packets come from.
    source: String,
    /// `udp`, `tcp` or `tls`.
    transport: &'static str,
    /// Its product name.
    user_agent: Option<String>,
    /// Whether a NAT or firewall stands between.
    is_behind_nat: bool,
    expires_at: Moment,
}

impl From<Binding> for RegistrationView {
    fn from(binding: Binding) -> Self {
        Self {
            profile: Some(binding.profile.0).filter(|number| *number >= 0),
            business_account: Some(-binding.profile.0).filter(|number| *number > 0),
            contact: binding.contact_uri,
            path: binding.path,
            source: binding.flow.peer.to_string(),
            transport: binding.flow.transport.param(),
            user_agent: binding.user_agent,
            is_behind_nat: binding.behind_nat,
            expires_at: moment_of_unix_s(binding.expires_unix_s),
        }
    }
}

/// Those that were registered when a gateway ran last.
async fn last_known(caller: &Caller, part: Part) -> Result<Vec<Binding>, Problem> {
    let rows = caller.store().load_registrations(storage::now()).await?;
    let mut bindings = bindings::last_known(&rows, caller.site.config.load().registration.nat_s);
    let only: Option<HashSet<ProfileId>> = part.only.map(|only| only.into_iter().collect());
    let is_asked = |profile| only.as_ref().is_none_or(|only| only.contains(&profile));
    bindings.retain(|it| is_asked(it.profile) && part.after.is_none_or(|after| it.profile > after));
    bindings.sort_by_key(|binding| binding.profile);
    Ok(bindings)
}

/// List registered PBXs, and phones of business accounts
#[utoipa::path(
    get, path = "/registrations", tag = TAG, params(StationQuery),
    responses((status = 200, body = Page<RegistrationView>)),
)]
async fn list_registrations(
    caller: Caller,
    Query(query): Query<StationQuery>,
) -> Answer<Page<RegistrationView>> {
    let part = query.part(&caller).await?;
    let engine = &caller.site.engine;
    let bindings = match &part.only {
        _ if engine.counts().await.is_none() => last_known(&caller, part).await?,
        Some(only) => engine.bindings_of(only, part.most).await,
        None => engine.bindings(part.after, part.most).await,
    };
    let page = Page::of(bindings, query.limit, |binding| binding.profile.0.to_string());
    Ok(Json(page.map(RegistrationView::from)))
}
