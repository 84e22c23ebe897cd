//! Channels and minute bundles.

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::error::StoreError;
use provisioning_store::ledger::Refusal;
use provisioning_store::lifecycle::{self, Order, PriceList, Renewal, Subscription};
use provisioning_store::model::{Company, Profile, ProfileId};
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

/// What to buy, and for how much.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Order)]
pub(super) struct OrderRequest {
    /// Over 100, rounded to the nearest ten. Left out: as many as there are.
    #[schema(minimum = 1, maximum = 300)]
    channels: Option<u32>,
    /// US minute bundles; never more than channels. Left out: as many as there are.
    #[schema(maximum = 300)]
    bundles: Option<u32>,
    /// The `price` of the quote. If it is another one meanwhile, nothing is bought.
    agreed: Money,
}

impl OrderRequest {
    /// What is asked for, over what there is.
    pub(super) fn over(&self, before: Option<&Subscription>) -> Result<Order, Problem> {
        wanted((self.channels, self.bundles), before)
    }

    /// Refuses an order for a new profile that has another price than was agreed.
    pub(super) fn refuse_another_price(
        &self,
        order: Order,
        prices: &PriceList,
        company: &Company,
    ) -> Result<(), Problem> {
        let agreed = self.agreed(company, "subscription.agreed")?;
        let bought = lifecycle::buy(prices, order, None, storage::now()).map_err(Refusal::from)?;
        let price = bought.price().ok_or(lifecycle::OrderRefused::PriceTooLarge).map_err(Refusal::from)?;
        match price == agreed {
            true => Ok(()),
            false => Err(Problem::from(StoreError::OtherPrice { price, agreed }).within("subscription")),
        }
    }

    /// The price that was agreed, if it is in the company's currency.
    pub(super) fn agreed(&self, company: &Company, field: &str) -> Result<Micros, Problem> {
        self.agreed.paid_by(company, field)
    }
}

/// An order of counts, each of which is as it is where it is left out.
pub(super) fn wanted(
    (channels, bundles): (Option<u32>, Option<u32>),
    before: Option<&Subscription>,
) -> Result<Order, Problem> {
    let channels = channels.or_else(|| before.map(|before| before.channels)).ok_or_else(|| {
        let sentence = "there are no channels yet that could stay as they are; say how many are wanted";
        Problem::invalid("channels", sentence)
    })?;
    let bundles = bundles.or_else(|| before.map(|before| before.bundles)).unwrap_or(0);
    Ok(Order { channels, bundles })
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
/// From the company's credit, for the price that its quote has said; with another one it is refused, and nothing is bought.
/// What runs is ended and its unused part refunded.
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
    let agreed = order.agreed(&company, "agreed")?;
    let amend = |before: Profile| order.over(before.subscription.as_ref());
    let bought = store.amend_subscription(storage::now(), profile.id, (&prices, agreed), amend).await;
    let (subscription, refund) = bought.map_err(|problem: Problem| problem)?;
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
