//! What falls due with time: when it was looked for last, and whether the clock is believed.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::caller::Caller;
use super::error::Problem;
use super::money::Moment;
use super::status::TAG;
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(show_schedule)).routes(routes!(confirm_clock))
}

/// How renewals, lapses, expiries and deletions come along.
#[derive(Serialize, ToSchema)]
#[schema(as = Schedule)]
struct ScheduleView {
    /// What the gateway's clock says.
    now: Moment,
    /// When it was looked for what is due, give or take an hour; null before the first time.
    last_look: Option<Moment>,
    /// Whether nothing is done because the clock is more than `prices.longest_absence_days` past the last look.
    is_clock_in_doubt: bool,
}

impl ScheduleView {
    async fn of(caller: &Caller) -> Result<Self, Problem> {
        Ok(Self {
            now: Moment(storage::now()),
            last_look: caller.store().last_look().await?.map(Moment),
            is_clock_in_doubt: caller.site.readiness.is_clock_in_doubt(),
        })
    }
}

/// Say how renewals, lapses, expiries and deletions come along
#[utoipa::path(
    get, path = "/schedule", tag = TAG, security(("token" = ["inspect"])),
    responses((status = 200, body = ScheduleView)),
)]
async fn show_schedule(caller: Caller) -> Answer<ScheduleView> {
    Ok(Json(ScheduleView::of(&caller).await?))
}

/// Confirm that the clock is right
///
/// After a long absence, or a jump of the clock, nothing is renewed, lapses or is deleted until then. Everything that has
/// fallen due by now is done a moment later, each period billed once and in order.
#[utoipa::path(
    post, path = "/schedule/confirmation", tag = TAG, security(("token" = ["operate"])),
    responses((status = 200, body = ScheduleView)),
)]
async fn confirm_clock(caller: Caller) -> Answer<ScheduleView> {
    caller.acting_on(None).note_look(storage::now()).await?;
    caller.site.readiness.set_clock_in_doubt(false);
    Ok(Json(ScheduleView::of(&caller).await?))
}
