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
use crate::{bindings, engine, storage};

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

/// A part of a list: what comes behind a profile, and how much of it.
#[derive(Clone, Copy)]
struct Part {
    after: Option<ProfileId>,
    most: usize,
}

/// The next of these profiles that are registered. Each look of the engine's is at a bounded number of them.
async fn registered_of(caller: &Caller, mut profiles: Vec<ProfileId>, part: Part) -> Vec<Binding> {
    profiles.retain(|profile| part.after.is_none_or(|after| *profile > after));
    profiles.sort_unstable();
    let mut found = Vec::new();
    for some in profiles.chunks(engine::PART) {
        found.extend(caller.site.engine.bindings_of(some).await);
        if found.len() >= part.most {
            break;
        }
    }
    found
}

/// Those that were registered when a gateway ran last.
async fn last_known(
    caller: &Caller,
    own: Option<Vec<ProfileId>>,
    part: Part,
) -> Result<Vec<Binding>, Problem> {
    let rows = caller.store().load_registrations(storage::now()).await?;
    let mut bindings = bindings::last_known(&rows, caller.site.config.load().registration.nat_s);
    let own: Option<HashSet<ProfileId>> = own.map(|own| own.into_iter().collect());
    let is_asked = |profile| own.as_ref().is_none_or(|own| own.contains(&profile));
    bindings.retain(|it| is_asked(it.profile) && part.after.is_none_or(|after| it.profile > after));
    bindings.sort_by_key(|binding| binding.profile);
    Ok(bindings)
}

/// What may register for a company: its profiles' PBXs, and the phones of its business accounts.
pub(super) async fn stations(caller: &Caller, company: CompanyId) -> Result<Vec<ProfileId>, Problem> {
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
    let after = cursor.as_ref().map(Cursor::parse).transpose()?.map(ProfileId);
    let part = Part { after, most: limit.and_one() as usize };
    let own = match caller.scope(company)? {
        Some(company) => Some(stations(&caller, company).await?),
        None => None,
    };
    let own = match (own, profile.map(ProfileId)) {
        (Some(own), Some(asked)) => Some(own.into_iter().filter(|profile| *profile == asked).collect()),
        (None, Some(asked)) => Some(vec![asked]),
        (own, None) => own,
    };
    let bindings = match own {
        own if caller.site.engine.counts().await.is_none() => last_known(&caller, own, part).await?,
        Some(own) => registered_of(&caller, own, part).await,
        None => caller.site.engine.bindings(part.after, part.most).await,
    };
    let page = Page::of(bindings, limit, |binding| binding.profile.0.to_string());
    Ok(Json(page.map(RegistrationView::from)))
}
