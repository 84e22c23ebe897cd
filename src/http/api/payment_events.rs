//! What a payment provider's adapter says of a payment: a message signed with the secret that it shares with the gateway.

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use provisioning_store::audit::Deed;
use provisioning_store::model::{Company, Payment, PaymentId, PaymentState, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body;
use super::companies::TAG;
use super::entrance::{self, Origin};
use super::error::Problem;
use super::money::Money;
use super::openapi::{
    BadRequest, BadSignature, Conflict, NotFound, TooLong, TooMany, TooSlow, Unavailable, Unprocessable,
};
use super::payments::{Settled, settled_already};
use super::signature::{SIGNATURE, Signature};
use crate::http::Site;
use crate::http::auth::Claim;
use crate::http::brake::Guarded;
use crate::http::client::Client;
use crate::http::readers::Readers;
use crate::storage;

/// Events whose bodies are being read, in all and of one client. Their senders have not proved anything yet, and must not
/// take the turns of requests with a token, nor keep other events out.
const READ_AT_ONCE: usize = 32;
const READ_AT_ONCE_OF_CLIENT: usize = 4;

pub(super) fn routes() -> OpenApiRouter {
    let readers = Readers::new(READ_AT_ONCE, READ_AT_ONCE_OF_CLIENT);
    OpenApiRouter::new().routes(routes!(payment_event)).layer(Extension(readers))
}

/// What has become of a payment.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PaymentEvent {
    /// Its `id`.
    payment: i64,
    state: Settled,
    /// What has come; needed when it is paid, and exactly what was asked for.
    amount: Option<Money>,
    /// The provider's name for the payment, or its reason why it failed. The same event said again changes nothing.
    #[schema(min_length = 1, max_length = 200)]
    reference: String,
}

/// Say what has become of a payment, as its provider
///
/// Needs no token, but a signature: the header `Sipgw-Signature: t=TIME,v1=HEX`, where TIME is seconds since 1970, at most
/// five minutes off, and HEX is HMAC-SHA256 with `http.payment_secret` over TIME, a full stop and the body. A payment that is
/// paid is booked once, however often it is said; another reference for it is refused, and so is another amount than was asked
/// for. It may be paid though it was said to have failed.
#[utoipa::path(
    post, path = "/payment-events", tag = TAG, security(()),
    request_body = PaymentEvent,
    responses(
        (status = 204), (status = 400, response = BadRequest), (status = 403, response = BadSignature),
        (status = 404, response = NotFound), (status = 409, response = Conflict), (status = 413, response = TooLong),
        (status = 408, response = TooSlow), (status = 422, response = Unprocessable), (status = 429, response = TooMany),
        (status = 503, response = Unavailable),
    ),
)]
async fn payment_event(
    Extension(site): Extension<Site>,
    Extension(Origin(origin)): Extension<Origin>,
    Extension(readers): Extension<Readers>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let now = storage::now();
    let (parts, body) = request.into_parts();
    let octets = signed(&site, &readers, &parts, body, now).await?;
    let event: PaymentEvent = body::json(&octets)?;
    let reference = body::line("reference", &event.reference)?.trim();
    if reference.is_empty() {
        return Err(Problem::invalid("reference", "is empty; give the provider's name for the payment"));
    }
    let payment = site.store.payment(PaymentId(event.payment)).await?;
    let deed = Deed {
        at: now,
        actor: "payment source".to_owned(),
        origin,
        company: Some(payment.company),
        action: format!("POST {}/payment-events", super::BASE),
        detail: String::from_utf8_lossy(&octets).into_owned(),
        once: None,
    };
    let store = site.store.on_behalf(deed);
    if event.state == Settled::Paid {
        let company = site.store.company(payment.company).await?;
        is_what_was_asked(event.amount, &payment, &company)?;
    }
    let settled = match event.state {
        _ if !event.state.can_follow(payment.state) => payment,
        Settled::Paid => store.pay_payment(now, payment.id, reference).await?,
        Settled::Failed => store.fail_payment(now, payment.id, reference).await?,
    };
    site.changed.notify_one();
    if is_said_of(&settled, event.state, reference) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(settled_already(&settled))
    }
}

/// The body, if its signature is right. What the header alone tells is decided before the body is read.
async fn signed(
    site: &Site,
    readers: &Readers,
    parts: &Parts,
    body: Body,
    now: Timestamp,
) -> Result<Bytes, Problem> {
    let config = site.config.load();
    let secret = config.http.payment_secret.as_ref().ok_or_else(|| {
        refused("no payment source is set up; put http.payment_secret into the configuration")
    })?;
    let shown = parts.headers.get(SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let claim = || Claim::of(site, &parts.extensions, Guarded::Signature, shown);
    claim()?.drop_undecided();
    let signature = Signature::read(shown, now.unix_s()).map_err(|fault| refused(&fault.to_string()))?;
    let octets = read(readers, parts, body).await?;
    // The guess is taken once it can be judged: a body that is awaited would count as wrong, and shut out its neighbours.
    let claim = claim()?;
    match signature.verify(secret.reveal().as_bytes(), &octets) {
        Ok(()) => {
            claim.hold();
            Ok(octets)
        }
        Err(fault) => {
            claim.fail();
            Err(refused(&fault.to_string()))
        }
    }
}

/// Reads the body in a place for it, unless the operator's own socket brings it.
async fn read(readers: &Readers, parts: &Parts, body: Body) -> Result<Bytes, Problem> {
    let reading = entrance::read_json(body);
    let Some(client) = parts.extensions.get::<Client>() else { return reading.await };
    let crowded = || {
        let sentence = "too many payment events are being read; send it again";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "crowded", sentence).after_s(1)
    };
    readers.enter(client.address).read(reading).await.ok_or_else(crowded)?
}

/// A part, or another currency, is not booked as if it were what was asked for.
fn is_what_was_asked(amount: Option<Money>, payment: &Payment, company: &Company) -> Result<(), Problem> {
    let amount = amount.ok_or_else(|| Problem::invalid("amount", "is missing; say what has come"))?;
    let asked = Money::of(payment.amount, &company.currency);
    if amount == asked {
        return Ok(());
    }
    let sentence = format!("{amount} has come, and {asked} was asked for; book it by hand");
    Err(Problem::new(StatusCode::CONFLICT, "other_amount", sentence))
}

/// Whether a payment has ended as the event says, under the same reference.
fn is_said_of(payment: &Payment, state: Settled, reference: &str) -> bool {
    let state = match state {
        Settled::Paid => PaymentState::Paid,
        Settled::Failed => PaymentState::Failed,
    };
    payment.state == state && payment.word == reference
}

fn refused(sentence: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "bad_signature", sentence)
}
