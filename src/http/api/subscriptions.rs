//! Channels and minute bundles.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::lifecycle::{Order, Renewal, Subscription};
use provisioning_store::model::ProfileId;
use provisioning_store::money::Micros;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Body, Path};
use super::caller::Caller;
use super::error::Problem;
use super::money::{Moment, Money};
use super::once::IdempotencyKey;
use super::openapi::Conflict;
use super::profiles::TAG;
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(buy_subscription))
        .routes(routes!(cancel_subscription, extend_subscription))
}

/// A bought period of channels and bundles.
#[derive(Serialize, ToSchema)]
#[schema(as = Subscription)]
pub(super) struct SubscriptionView {
    /// Calls at one time.
    channels: u32,
    /// US minute bundles.
    bundles: u32,
    bought_at: Moment,
    /// The first moment that is not paid.
    paid_until: Moment,
    /// Whether it renews by itself.
    renews: bool,
    /// What channels and bundles cost together.
    price: Money,
}

impl SubscriptionView {
    /// How a subscription looks, in the company's currency.
    pub(super) fn of(it: Subscription, currency: &str) -> Self {
        Self {
            channels: it.channels,
            bundles: it.bundles,
            bought_at: Moment(it.bought_at),
            paid_until: Moment(it.paid_until),
            renews: it.renewal == Renewal::Automatic,
            price: Money::of(it.price().unwrap_or(Micros::MAX), currency),
        }
    }
}

/// What to buy.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Order)]
pub(super) struct OrderRequest {
    /// Over 100, rounded to the nearest ten.
    #[schema(minimum = 1, maximum = 300)]
    channels: u32,
    /// US minute bundles; never more than channels.
    #[serde(default)]
    #[schema(maximum = 300)]
    bundles: u32,
}

impl OrderRequest {
    /// As the store has it.
    pub(super) fn order(self) -> Order {
        Order { channels: self.channels, bundles: self.bundles }
    }
}

/// What was bought, and what came back for the one before.
#[derive(Serialize, ToSchema)]
struct Purchase {
    subscription: SubscriptionView,
    /// The unused part of the subscription that this one replaces.
    refund: Money,
}

/// Buy channels and bundles for a profile
///
/// From the company's credit. What runs is ended and its unused part refunded.
#[utoipa::path(
    post, path = "/profiles/{profile}/subscription", tag = TAG,
    params(("profile" = i64, Path), IdempotencyKey), request_body = OrderRequest, responses((status = 201, body = Purchase)),
)]
async fn buy_subscription(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Body(order): Body<OrderRequest>,
) -> Result<(StatusCode, Json<Purchase>), Problem> {
    let (profile, company) = caller.profile_and_company(profile).await?;
    let prices = caller.site.config.load().price_list();
    let store = caller.acting_on(company.id);
    let (subscription, refund) = store.subscribe(storage::now(), profile.id, order.order(), &prices).await?;
    let purchase = Purchase {
        subscription: SubscriptionView::of(subscription, &company.currency),
        refund: Money::of(refund, &company.currency),
    };
    Ok((StatusCode::CREATED, Json(purchase)))
}

/// Cancel a profile's subscription
///
/// Its bundles with it. It runs to the end of its paid period; then the profile is disabled, and after 90 days deleted.
#[utoipa::path(
    put, path = "/profiles/{profile}/subscription/cancellation", tag = TAG, params(("profile" = i64, Path)),
    responses((status = 200, body = SubscriptionView), (status = 409, response = Conflict)),
)]
async fn cancel_subscription(caller: Caller, Path(profile): Path<ProfileId>) -> Answer<SubscriptionView> {
    let (profile, company) = caller.profile_and_company(profile).await?;
    let subscription = caller.acting_on(company.id).cancel_subscription(storage::now(), profile.id).await?;
    Ok(Json(SubscriptionView::of(subscription, &company.currency)))
}

/// Take the cancellation of a profile's subscription back
///
/// While the paid period still runs; it renews on its old date, its bundles too.
#[utoipa::path(
    delete, path = "/profiles/{profile}/subscription/cancellation", tag = TAG, params(("profile" = i64, Path)),
    responses((status = 200, body = SubscriptionView), (status = 409, response = Conflict)),
)]
async fn extend_subscription(caller: Caller, Path(profile): Path<ProfileId>) -> Answer<SubscriptionView> {
    let (profile, company) = caller.profile_and_company(profile).await?;
    let subscription = caller.acting_on(company.id).extend_subscription(storage::now(), profile.id).await?;
    Ok(Json(SubscriptionView::of(subscription, &company.currency)))
}
