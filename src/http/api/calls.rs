//! Calls that are going on.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{CompanyId, ProfileId};
use provisioning_store::pages::Purse;
use serde::{Deserialize, Serialize};
use sip_core::gateway::{CallsOf, LiveCall};
use sip_core::refusal::Refusal;
use sip_core::types::{self, CallUid, Usage};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Path, Query};
use super::caller::Caller;
use super::error::Problem;
use super::page::{Cursor, Limit, Page};
use crate::engine;

/// Their part of the description.
pub(super) const TAG: &str = "Calls";

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_calls)).routes(routes!(show_call, end_call))
}

/// A call in set-up or running.
#[derive(Serialize, ToSchema)]
#[schema(as = Call)]
struct CallView {
    /// 32 hexadecimal digits.
    id: String,
    /// `setup`, `ringing` and so on.
    stage: String,
    /// Who calls. Where the caller asks not to be shown, a called profile's company reads `anonymous`.
    from: String,
    /// Whether the called side is not told who calls.
    is_withheld: bool,
    /// Who is called.
    to: String,
    /// Since the INVITE came, seconds.
    age_s: u64,
    /// Since the answer, seconds.
    talk_s: Option<u64>,
    /// The carrier's number; operators see it.
    carrier: Option<i64>,
    /// The carrier's name as it was when the call met it; operators see it.
    carrier_name: Option<String>,
    /// The profiles in it, as far as they may be seen.
    shares: Vec<ShareView>,
}

/// A profile's share of a call.
#[derive(Serialize, ToSchema)]
#[schema(as = Share)]
struct ShareView {
    profile: i64,
    /// `outgoing`, `on_net`, `incoming` or `echo`.
    usage: &'static str,
}

/// Who pays for the shares of these calls, as far as the caller may see it.
async fn purses(caller: &Caller, calls: &[LiveCall]) -> Result<BTreeMap<ProfileId, Purse>, Problem> {
    let profiles = calls.iter().flat_map(|call| &call.shares).map(|(profile, _)| ProfileId(profile.0));
    caller.purses(profiles).await
}

/// Which calls a list is of: those of a profile that may be seen, of a company, or all. `None` if there can be none.
async fn asked_for(
    caller: &Caller,
    company: Option<CompanyId>,
    profile: Option<i64>,
) -> Result<Option<CallsOf>, Problem> {
    let Some(profile) = profile else {
        return Ok(Some(company.map_or(CallsOf::Everybody, |it| CallsOf::Company(types::CompanyId(it.0)))));
    };
    let purses = caller.purses([ProfileId(profile)]).await?;
    let is_theirs = company.is_none_or(|asked| purses.values().any(|purse| purse.company == asked));
    Ok(is_theirs.then_some(CallsOf::Profile(types::ProfileId(profile))))
}

fn show(caller: &Caller, call: &LiveCall, purses: &BTreeMap<ProfileId, Purse>) -> CallView {
    let now = engine::now();
    let since = |at: Instant| now.monotonic.saturating_duration_since(at).as_secs();
    let is_operator = caller.sees_all();
    let is_seen = |profile: i64| is_operator || purses.contains_key(&ProfileId(profile));
    let shares = || call.shares.iter().filter(|(profile, _)| is_seen(profile.0));
    let is_own = shares().any(|(_, usage)| !matches!(usage, Usage::Incoming { .. }));
    let is_hidden = call.is_withheld && !is_operator && !is_own;
    CallView {
        id: call.call.to_string(),
        stage: format!("{:?}", call.stage).to_lowercase(),
        from: if is_hidden { "anonymous".to_owned() } else { call.from.clone() },
        is_withheld: call.is_withheld,
        to: call.to.clone(),
        age_s: since(call.started),
        talk_s: call.answered.map(since),
        carrier: call.carrier.as_ref().map(|carrier| carrier.id.0).filter(|_| is_operator),
        carrier_name: call.carrier.as_ref().map(|carrier| carrier.name.clone()).filter(|_| is_operator),
        shares: shares()
            .map(|(profile, usage)| ShareView { profile: profile.0, usage: usage.as_str() })
            .collect(),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct CallQuery {
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

/// List calls that are going on
#[utoipa::path(get, path = "/calls", tag = TAG, params(CallQuery), responses((status = 200, body = Page<CallView>)))]
async fn list_calls(caller: Caller, Query(query): Query<CallQuery>) -> Answer<Page<CallView>> {
    let CallQuery { company, profile, cursor, limit } = query;
    let after = cursor.as_ref().map(Cursor::parse).transpose()?;
    let company = caller.scope(company)?;
    let calls = match asked_for(&caller, company, profile).await? {
        Some(whose) => caller.site.engine.calls(whose, after, limit.and_one() as usize).await,
        None => Vec::new(),
    };
    let purses = purses(&caller, &calls).await?;
    let page = Page::of(calls, limit, |call| call.call.to_string());
    Ok(Json(page.map(|call| show(&caller, &call, &purses))))
}

/// A call that the caller may see, and who pays for its shares.
async fn found(caller: &Caller, id: &str) -> Result<(LiveCall, BTreeMap<ProfileId, Purse>), Problem> {
    let absent = || Problem::absent("call", format!("{id} that is going on"));
    let uid: CallUid = id.parse().map_err(|_| absent())?;
    let call = caller.site.engine.call(uid).await.ok_or_else(absent)?;
    let purses = purses(caller, std::slice::from_ref(&call)).await?;
    let is_seen = caller.sees_all() || !purses.is_empty();
    if is_seen { Ok((call, purses)) } else { Err(absent()) }
}

/// Show a call that is going on
#[utoipa::path(
    get, path = "/calls/{call}", tag = TAG, params(("call" = String, Path, description = "Its `id`")),
    responses((status = 200, body = CallView)),
)]
async fn show_call(caller: Caller, Path(call): Path<String>) -> Answer<CallView> {
    let (call, purses) = found(&caller, &call).await?;
    Ok(Json(show(&caller, &call, &purses)))
}

/// End a call
#[utoipa::path(
    delete, path = "/calls/{call}", tag = TAG, params(("call" = String, Path, description = "Its `id`")),
    responses((status = 204)),
)]
async fn end_call(caller: Caller, Path(call): Path<String>) -> Result<StatusCode, Problem> {
    let (call, purses) = found(&caller, &call).await?;
    let mut companies = call.shares.iter().filter_map(|(profile, _)| purses.get(&ProfileId(profile.0)));
    let company = companies.next().map(|purse| purse.company);
    // Before it is done: a call may be gone by then, and a trail with one line too many is better than one too few.
    caller.acting_on(company).record().await?;
    match caller.site.engine.end_call(call.call, Refusal::EndedByOperator).await {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::absent("call", format!("{} that is going on", call.call))),
    }
}
