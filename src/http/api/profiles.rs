//! SIP profiles.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::ledger::{CapStanding, CapState, Window};
use provisioning_store::lifecycle::ProfileState;
use provisioning_store::model::{CompanyId, Profile, ProfileId, ProfileSettings};
use provisioning_store::pages::ProfileFilter;
use provisioning_store::store::NewProfile;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Path, Query};
use super::caller::Caller;
use super::credit::RechargeView;
use super::error::Problem;
use super::money::{Moment, Money};
use super::once::IdempotencyKey;
use super::page::{Cursor, Limit, Page};
use super::settings::{SettingsChange, SettingsView};
use super::spend_guard::Limits;
use super::subscriptions::{OrderRequest, SubscriptionView};
use super::suspensions::SuspensionView;
use super::word::word;
use super::{Answer, Created};
use crate::storage;

/// Their part of the description.
pub(super) const TAG: &str = "Profiles";

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_profiles, create_profile)).routes(routes!(
        show_profile,
        change_profile,
        delete_profile
    ))
}

/// A SIP profile: one trunk to one PBX.
#[derive(Serialize, ToSchema)]
#[schema(as = Profile)]
pub(super) struct ProfileView {
    /// Identity.
    id: i64,
    /// The company it belongs to.
    company: i64,
    /// A label.
    name: String,
    /// The user name that its PBX registers with.
    sip_user: String,
    settings: SettingsView,
    #[schema(schema_with = super::word::profile_state)]
    state: &'static str,
    /// Since when and why its calls are stopped; null if they are not. Its company may be suspended too.
    suspension: Option<SuspensionView>,
    /// When it is deleted unless channels are bought; null unless it is disabled.
    deleted_at: Option<Moment>,
    /// The latest one, also when it has run out; null if none was ever bought.
    subscription: Option<SubscriptionView>,
    /// Calls going on now.
    channels_in_use: u32,
    /// For outgoing calls, what running ones hold included.
    credit: Money,
    /// Of it, what running calls hold and what is on hand.
    reserved: Money,
    /// Of that, what no call holds: it is kept for calls during an outage of the database, and free when it is asked back.
    on_hand: Money,
    /// Bundle seconds left in this period.
    bundle_left_s: u32,
    /// How the credit is refilled from the company's; null if it is not.
    recharge: Option<RechargeView>,
    /// How it stands towards the caps of its spend guard.
    caps: Vec<CapView>,
    /// The limits in force; a new profile begins with those of the configuration.
    limits: Limits,
}

/// How a profile stands towards one of its caps.
#[derive(Serialize, ToSchema)]
#[schema(as = CapStanding)]
pub(super) struct CapView {
    #[schema(schema_with = word::<Window>)]
    window: Window,
    /// How high the cap is.
    cap: Money,
    /// Charged in this window and held by running calls.
    committed: Money,
    /// When the cap starts again from zero.
    renews_at: Moment,
    #[schema(schema_with = word::<CapState>)]
    state: CapState,
}

impl CapView {
    fn of(standing: CapStanding, currency: &str) -> Self {
        Self {
            window: standing.window,
            cap: Money::of(standing.cap, currency),
            committed: Money::of(standing.committed, currency),
            renews_at: Moment(standing.renews_at),
            state: standing.state,
        }
    }
}

impl ProfileView {
    /// How a profile looks, in its company's currency.
    pub(super) fn of(caller: &Caller, profile: Profile, currency: &str) -> Self {
        let limits = caller.store().spend_guard(&profile);
        let caps = caller.store().cap_standings(&profile, storage::now());
        let state = profile.state(caller.site.config.load().terms(), storage::now());
        let deleted_at = match state {
            ProfileState::Disabled { deleted_at, .. } => Some(Moment(deleted_at)),
            _ => None,
        };
        Self {
            id: profile.id.0,
            company: profile.company.0,
            name: profile.name,
            sip_user: profile.sip_user,
            settings: profile.settings.into(),
            state: state.word(),
            suspension: profile.suspension.map(SuspensionView::from),
            deleted_at,
            subscription: profile.subscription.map(|it| SubscriptionView::of(it, currency)),
            channels_in_use: profile.channels_in_use,
            credit: Money::of(profile.credit, currency),
            reserved: Money::of(profile.reserved, currency),
            on_hand: Money::of(profile.on_hand, currency),
            bundle_left_s: profile.bundle_left_s,
            recharge: profile.recharge.map(|it| RechargeView::of(it, currency)),
            limits: Limits::of(limits, currency),
            caps: caps.into_iter().map(|standing| CapView::of(standing, currency)).collect(),
        }
    }

    /// How a profile looks after something about it has changed.
    pub(super) async fn anew(caller: &Caller, profile: ProfileId) -> Result<Self, Problem> {
        let (profile, company) = caller.profile_and_company(profile).await?;
        Ok(Self::of(caller, profile, &company.currency))
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ProfileQuery {
    /// Only this company's.
    company: Option<i64>,
    /// The name contains this.
    name: Option<String>,
    /// Only the one with this SIP user.
    sip_user: Option<String>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// List profiles
#[utoipa::path(get, path = "/profiles", tag = TAG, security(("token" = ["accounts"])), params(ProfileQuery), responses((status = 200, body = Page<ProfileView>)))]
async fn list_profiles(caller: Caller, Query(query): Query<ProfileQuery>) -> Answer<Page<ProfileView>> {
    let ProfileQuery { company, name, sip_user, cursor, limit } = query;
    let filter = ProfileFilter { company: caller.scope(company)?, name, sip_user };
    let found = caller.store().profiles_in(&filter, limit.slice(cursor.as_ref())?).await?;
    let page = Page::of(found, limit, |profile| profile.id.to_string());
    let purses = caller.purses(page.items().iter().map(|profile| profile.id)).await?;
    let currency = |profile: &Profile| purses.get(&profile.id).map(|purse| purse.currency.clone());
    Ok(Json(page.map(|profile| {
        let currency = currency(&profile).unwrap_or_default();
        ProfileView::of(&caller, profile, &currency)
    })))
}

/// A profile to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProfileRequest {
    /// The company that it is for.
    company: i64,
    /// A label.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[serde(default)]
    settings: SettingsChange,
    /// What to buy for it at once from the company's credit; without it the profile is not active yet.
    subscription: Option<OrderRequest>,
    /// Credit to move to it at once from the company's.
    credit: Option<Money>,
}

/// Create a profile
///
/// All of it or nothing. Its user name and password are then under `credentials`.
#[utoipa::path(
    post, path = "/profiles", tag = TAG, params(IdempotencyKey),
    request_body = ProfileRequest, responses((status = 201, body = ProfileView)),
)]
async fn create_profile(
    caller: Caller,
    Body(request): Body<ProfileRequest>,
) -> Result<Created<ProfileView>, Problem> {
    let company = caller.company(CompanyId(request.company)).await.map_err(|it| it.named_in("company"))?;
    let prices = caller.site.config.load().price_list();
    let credit = request.credit.map(|credit| credit.paid_by(&company, "credit")).transpose()?;
    let order = match &request.subscription {
        Some(wanted) => {
            let order = wanted.over(None).map_err(|it| it.within("subscription"))?;
            wanted.refuse_another_price(order, &prices, &company)?;
            Some((order, prices))
        }
        None => None,
    };
    let new = NewProfile {
        company: company.id,
        name: request.name,
        settings: request.settings.over(ProfileSettings::default()),
        order,
    };
    let store = caller.acting_on(company.id);
    let calls = &caller.site.config.load().calls;
    let guard = calls.new_profiles.guard(&calls.spend_guard.guard());
    let (profile, _) = store.create_profile_with_credit(storage::now(), new, credit, guard).await?;
    let path = format!("/profiles/{}", profile.id);
    Ok(Created::at(path, ProfileView::of(&caller, profile, &company.currency)))
}

/// Show a profile
#[utoipa::path(
    get, path = "/profiles/{profile}", tag = TAG, security(("token" = ["accounts"])), params(("profile" = i64, Path)),
    responses((status = 200, body = ProfileView)),
)]
async fn show_profile(caller: Caller, Path(profile): Path<ProfileId>) -> Answer<ProfileView> {
    Ok(Json(ProfileView::anew(&caller, profile).await?))
}

/// What to change about a profile; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProfileChange {
    /// A label.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    settings: Option<SettingsChange>,
}

/// Change a profile's name or settings
#[utoipa::path(
    patch, path = "/profiles/{profile}", tag = TAG, params(("profile" = i64, Path)),
    request_body = ProfileChange, responses((status = 200, body = ProfileView)),
)]
async fn change_profile(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Body(change): Body<ProfileChange>,
) -> Answer<ProfileView> {
    let profile = caller.profile(profile).await?;
    let amend = |before: Profile| {
        let settings = change.settings.unwrap_or_default().over(before.settings);
        Ok::<_, Problem>((change.name.unwrap_or(before.name), settings))
    };
    caller.acting_on(profile.company).amend_profile(profile.id, amend).await?;
    Ok(Json(ProfileView::anew(&caller, profile.id).await?))
}

/// Delete a profile
///
/// Its running calls are ended, its credit and its Online Numbers are the company's again, its business accounts are free,
/// and its call records go: fetch the report first. A running subscription is not refunded.
#[utoipa::path(
    delete, path = "/profiles/{profile}", tag = TAG, params(("profile" = i64, Path)), responses((status = 204)),
)]
async fn delete_profile(caller: Caller, Path(profile): Path<ProfileId>) -> Result<StatusCode, Problem> {
    let profile = caller.profile(profile).await?;
    caller.acting_on(profile.company).delete_profile(storage::now(), profile.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
