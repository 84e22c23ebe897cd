//! Records of calls that are over.

use std::collections::BTreeMap;

use axum::Json;
use provisioning_store::cdr::{
    Answer as Answered, Attempt, CallId, CallKind, CarrierAttempt, Cdr, CdrFilter, CdrPlace, Direction,
};
use provisioning_store::ledger::Payer;
use provisioning_store::model::{ProfileId, Timestamp};
use provisioning_store::pages::Purse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Path, Query};
use super::caller::Caller;
use super::calls::TAG;
use super::error::Problem;
use super::money::{Moment, Money};
use super::page::{Cursor, Limit, Page};
use super::word::{word, word_if_any};

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_cdrs)).routes(routes!(show_cdr))
}

/// The record of one attempt, answered or not. It never changes.
#[derive(Serialize, ToSchema)]
#[schema(as = Cdr)]
struct CdrView {
    /// The call's name in the books.
    call: String,
    /// Null for calls of a business account's phone, and for attempts that reached nobody; operators see the latter.
    profile: Option<i64>,
    /// The company of the profile, or of the phone's business account; null where the profile is gone, and for
    /// attempts that reached nobody.
    company: Option<i64>,
    #[schema(schema_with = word::<Direction>)]
    direction: Direction,
    #[schema(schema_with = word::<CallKind>)]
    kind: CallKind,
    /// Who called. Where the caller asked not to be shown, a called profile's company reads `anonymous`.
    from: String,
    /// Whether the called side was not told who called.
    is_withheld: bool,
    /// Who was called.
    to: String,
    /// The rate's name for the called number, or empty.
    destination: String,
    /// ISO 3166 alpha-2 of the called number, or empty.
    country: String,
    /// Price of a minute; null where no profile is, or none any more.
    rate_per_minute: Option<Money>,
    started_at: Moment,
    answered_at: Option<Moment>,
    ended_at: Moment,
    /// Seconds from answer to end, to the nearest.
    duration_s: u32,
    billed_s: u32,
    /// Of these, what bundle minutes paid.
    bundle_s: u32,
    /// The charge; null where no profile is, or none any more.
    amount: Option<Money>,
    /// Whose credit the charge was taken from; null where nothing was charged.
    #[schema(schema_with = word_if_any::<Payer>)]
    payer: Option<Payer>,
    /// Why it ended, in one word.
    reason_code: String,
    /// Why it ended, in one sentence.
    reason: String,
    /// The last SIP status sent to the caller.
    sip_status: Option<u16>,
    /// The name that the carrier had then; operators see it.
    carrier_name: Option<String>,
    /// The attempts to reach carriers, in order; operators see them.
    attempts: Option<Vec<AttemptView>>,
    /// The Q.850 cause that the caller was told, or the one of the goodbye; null where there was none.
    cause: Option<u8>,
    /// The Call-IDs of its two halves; operators see them.
    call_ids: Option<Vec<String>>,
    /// The PBX's product name.
    user_agent: String,
    /// Codec, encryption and losses, in words.
    media: String,
}

/// One attempt to reach a carrier.
#[derive(Serialize, ToSchema)]
#[schema(as = CarrierAttempt)]
struct AttemptView {
    /// The carrier's `id`.
    carrier: i64,
    /// The name that it had then.
    carrier_name: String,
    /// Which of its addresses, with the port; null if its name led to none.
    address: Option<String>,
    /// The status of its final answer; null if it gave none.
    sip_status: Option<u16>,
    /// The Q.850 cause that it named.
    cause: Option<u8>,
    /// Why it refused or ended the call: the values of its Reason fields; null if it gave none.
    said: Option<String>,
    /// What became of it, in one word: `answered`, `refused`, `silent` and so on.
    result: String,
    /// The same in one sentence.
    sentence: String,
    /// How long it took, milliseconds.
    took_ms: u64,
}

impl From<CarrierAttempt> for AttemptView {
    fn from(attempt: CarrierAttempt) -> Self {
        let CarrierAttempt { carrier, name, address, sip_status, cause, said, result, sentence, took_ms } =
            attempt;
        let (carrier, address) = (carrier.0, address.map(|address| address.to_string()));
        Self { carrier, carrier_name: name, address, sip_status, cause, said, result, sentence, took_ms }
    }
}

fn show(caller: &Caller, cdr: Cdr, purses: &BTreeMap<ProfileId, Purse>) -> CdrView {
    let rate = cdr.rate_per_minute();
    let Cdr { call, record, settlement } = cdr;
    let purse = record.profile.and_then(|profile| purses.get(&profile));
    let (attempt, ending) = (record.attempt, record.ending);
    let call_ids = [ending.caller_call_id, ending.callee_call_id].into_iter().filter(|id| !id.is_empty());
    let call_ids = (caller.sees_all()).then(|| call_ids.collect());
    let attempts = ending.attempts.into_iter().map(AttemptView::from);
    let attempts = (caller.sees_all()).then(|| attempts.collect());
    let carrier_name = Some(ending.carrier).filter(|name| caller.sees_all() && !name.is_empty());
    CdrView {
        call: call.as_str().to_owned(),
        profile: record.profile.map(|profile| profile.0),
        company: purse.map(|purse| purse.company).or(record.phone_of).map(|company| company.0),
        direction: attempt.direction,
        kind: attempt.kind,
        from: shown_caller(caller, &attempt),
        is_withheld: attempt.is_withheld,
        to: attempt.to,
        destination: attempt.destination,
        country: attempt.country,
        rate_per_minute: purse.map(|purse| Money::of(rate, &purse.currency)),
        started_at: Moment(attempt.started_at),
        answered_at: ending.answered_at.map(Moment),
        ended_at: Moment(ending.ended_at),
        duration_s: settlement.duration_s,
        billed_s: settlement.billed_s,
        bundle_s: settlement.bundle_s,
        amount: purse.map(|purse| Money::of(settlement.amount, &purse.currency)),
        payer: settlement.payer,
        reason_code: ending.reason_code,
        reason: ending.reason,
        sip_status: ending.sip_status,
        carrier_name,
        attempts,
        cause: ending.cause,
        call_ids,
        user_agent: ending.user_agent,
        media: ending.media,
    }
}

/// Who called, as far as the reader of the record may know it: whose call came in must not learn what was withheld.
fn shown_caller(caller: &Caller, attempt: &Attempt) -> String {
    let is_hidden = attempt.is_withheld && attempt.direction == Direction::Incoming && !caller.sees_all();
    if is_hidden { "anonymous".to_owned() } else { attempt.from.clone() }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct CdrQuery {
    /// Only those of this company's profiles and phones.
    company: Option<i64>,
    /// Only this profile's.
    profile: Option<i64>,
    /// Seen from the PBX.
    #[param(schema_with = word::<Direction>, required = false)]
    direction: Option<Direction>,
    /// Begun at or after this.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Moment>,
    /// Begun before this.
    #[param(value_type = Option<String>, format = DateTime)]
    before: Option<Moment>,
    /// Caller or called number contains this.
    number: Option<String>,
    /// Only those that ended for this reason.
    reason_code: Option<String>,
    /// Only answered ones, or only those that were not.
    is_answered: Option<bool>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// A cursor of this list: when the last record's call began, and its name.
fn place(cursor: &Cursor) -> Result<CdrPlace, Problem> {
    let (at, call) = cursor.parts()?;
    let at: i64 = at.parse().or_else(|_| cursor.parse())?;
    Ok(CdrPlace { started_at: Timestamp(at), call: CallId::new(call) })
}

/// List call records
///
/// Newest first.
#[utoipa::path(get, path = "/cdrs", tag = TAG, security(("token" = ["accounts"])), params(CdrQuery), responses((status = 200, body = Page<CdrView>)))]
async fn list_cdrs(caller: Caller, Query(query): Query<CdrQuery>) -> Answer<Page<CdrView>> {
    let (limit, place) = (query.limit, query.cursor.as_ref().map(place).transpose()?);
    let filter = CdrFilter {
        profile: query.profile.map(ProfileId),
        company: caller.scope(query.company)?,
        direction: query.direction,
        since: query.since.map(|moment| moment.0),
        before: query.before.map(|moment| moment.0),
        number: query.number,
        hides_withheld: !caller.sees_all(),
        reason_code: query.reason_code,
        answer: query.is_answered.map(|it| if it { Answered::Answered } else { Answered::Unanswered }),
    };
    let found = caller.store().cdrs_after(&filter, place.as_ref(), limit.and_one()).await?;
    let page = Page::of(found, limit, |cdr| format!("{}.{}", cdr.record.attempt.started_at.0, cdr.call));
    let purses = caller.purses(page.items().iter().filter_map(|cdr| cdr.record.profile)).await?;
    Ok(Json(page.map(|cdr| show(&caller, cdr, &purses))))
}

/// Show a call record
#[utoipa::path(
    get, path = "/cdrs/{call}", tag = TAG, security(("token" = ["accounts"])), params(("call" = String, Path)),
    responses((status = 200, body = CdrView)),
)]
async fn show_cdr(caller: Caller, Path(call): Path<String>) -> Answer<CdrView> {
    let absent = || Problem::absent("record of the call", &call);
    let cdr = caller.store().cdr(&CallId::new(&call)).await?.ok_or_else(absent)?;
    let purses = caller.purses(cdr.record.profile).await?;
    let is_of_phone = cdr.record.phone_of.is_some_and(|company| caller.may_see(company));
    if !caller.sees_all() && purses.is_empty() && !is_of_phone {
        return Err(absent());
    }
    Ok(Json(show(&caller, cdr, &purses)))
}
