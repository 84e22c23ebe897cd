//! PBXs that are registered, and phones of business accounts.

use std::collections::HashSet;

use axum::Json;
use provisioning_store::model::CompanyId;
use provisioning_store::pages::{AccountFilter, Slice};
use serde::{Deserialize, Serialize};
use sip_core::types::{Binding, ProfileId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::Query;
use super::caller::Caller;
use super::calls::TAG;
use super::error::Problem;
use super::money::{Moment, moment_of_unix_s};
use super::page::{Cursor, Limit, Page};
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
            source: binding.flow.peer.to_string(),
            transport: binding.flow.transport.param(),
            user_agent: binding.user_agent,
            is_behind_nat: binding.behind_nat,
            expires_at: moment_of_unix_s(binding.expires_unix_s),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct RegistrationQuery {
    /// Only this company's.
    company: Option<i64>,
    /// Only this profile's.
    profile: Option<i64>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// Those that are registered; while no gateway runs, those that were when one ran last.
async fn known(caller: &Caller) -> Result<Vec<Binding>, Problem> {
    if caller.site.engine.counts().await.is_some() {
        return Ok(caller.site.engine.bindings().await);
    }
    let rows = caller.store().load_registrations(storage::now()).await?;
    Ok(bindings::last_known(&rows, caller.site.config.load().registration.nat_s))
}

/// What may register for a company: its profiles' PBXs, and the phones of its business accounts.
async fn stations(caller: &Caller, company: CompanyId) -> Result<HashSet<ProfileId>, Problem> {
    let profiles = caller.store().profiles(Some(company)).await?;
    let filter = AccountFilter { company: Some(company), ..AccountFilter::default() };
    let all = Slice { after: None, most: u32::MAX };
    let accounts = caller.store().business_accounts_in(&filter, all).await?;
    let profiles = profiles.iter().map(|profile| ProfileId(profile.id.0));
    Ok(profiles.chain(accounts.iter().map(|account| ProfileId::of_phone(account.id.0))).collect())
}

/// List registered PBXs, and phones of business accounts
#[utoipa::path(
    get, path = "/registrations", tag = TAG, params(RegistrationQuery),
    responses((status = 200, body = Page<RegistrationView>)),
)]
async fn list_registrations(
    caller: Caller,
    Query(query): Query<RegistrationQuery>,
) -> Answer<Page<RegistrationView>> {
    let RegistrationQuery { company, profile, cursor, limit } = query;
    let company = caller.scope(company)?;
    let mut bindings = known(&caller).await?;
    bindings.retain(|binding| profile.is_none_or(|asked| asked == binding.profile.0));
    if let Some(company) = company {
        let own = stations(&caller, company).await?;
        bindings.retain(|binding| own.contains(&binding.profile));
    }
    let page = Page::of_whole(bindings, (limit, cursor.as_ref()), |binding| binding.profile.0)?;
    Ok(Json(page.map(RegistrationView::from)))
}
