//! Calls that are going on.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::ProfileId;
use provisioning_store::pages::Purse;
use provisioning_store::tokens::Role;
use serde::{Deserialize, Serialize};
use sip_core::gateway::LiveCall;
use sip_core::refusal::Refusal;
use sip_core::types::Usage;
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

/// The calls that the caller may see, each with those of its profiles that it may see.
async fn visible(caller: &Caller) -> Result<(Vec<LiveCall>, BTreeMap<ProfileId, Purse>), Problem> {
    let mut calls = caller.site.engine.calls().await;
    let profiles = calls.iter().flat_map(|call| &call.shares).map(|(profile, _)| ProfileId(profile.0));
    let purses = caller.purses(profiles).await?;
    let is_seen =
        |call: &LiveCall| call.shares.iter().any(|(profile, _)| purses.contains_key(&ProfileId(profile.0)));
    calls.retain(|call| caller.role == Role::Operator || is_seen(call));
    Ok((calls, purses))
}

fn show(caller: &Caller, call: &LiveCall, purses: &BTreeMap<ProfileId, Purse>) -> CallView {
    let now = engine::now();
    let since = |at: Instant| now.monotonic.saturating_duration_since(at).as_secs();
    let is_operator = caller.role == Role::Operator;
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
        carrier: call.carrier.map(|carrier| carrier.0).filter(|_| is_operator),
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
    let company = caller.scope(company)?;
    let (mut calls, purses) = visible(&caller).await?;
    let is_asked = |share: ProfileId| {
        profile.is_none_or(|asked| asked == share.0)
            && company.is_none_or(|asked| purses.get(&share).is_some_and(|purse| purse.company == asked))
    };
    if profile.is_some() || company.is_some() {
        calls.retain(|call| call.shares.iter().any(|(share, _)| is_asked(ProfileId(share.0))));
    }
    let page = Page::of_whole(calls, (limit, cursor.as_ref()), |call| call.call.to_string())?;
    Ok(Json(page.map(|call| show(&caller, &call, &purses))))
}

async fn found(caller: &Caller, id: &str) -> Result<(LiveCall, BTreeMap<ProfileId, Purse>), Problem> {
    let (calls, purses) = visible(caller).await?;
    let call = calls.into_iter().find(|call| call.call.to_string() == id);
    Ok((call.ok_or_else(|| Problem::absent("call", format!("{id} that is going on")))?, purses))
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
