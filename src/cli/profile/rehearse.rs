//! `sipgw profile rehearse`: what a call would do and cost, without making it.

use provisioning_store::cdr::{Attempt, CallKind, Direction};
use provisioning_store::error::StoreError;
use provisioning_store::ledger::{Grant, Outcome};
use provisioning_store::rating::{BundleCover, Quote};
use provisioning_store::store::STANDARD_PRICE_LIST;
use serde::Serialize;

use super::{Context, Failure, Micros, Store, find, storage};

/// What the ledger would say to a call.
#[derive(Serialize)]
struct Forecast {
    number: String,
    is_granted: bool,
    /// In one word, where it would be refused.
    reason_code: Option<&'static str>,
    /// In a sentence.
    reason: String,
    quote: Option<Quote>,
    /// The charge of the shortest billed duration, if no bundle paid it.
    shortest_micros: Option<Micros>,
    /// What would be held for its first seconds.
    grant: Option<Grant>,
}

pub(super) async fn run(
    context: &Context,
    store: &Store,
    profile: &str,
    number: String,
) -> Result<(), Failure> {
    let profile = find::profile(store, profile).await?;
    let us_bundle = context.config.us_bundle().map_err(Failure::Refused)?;
    let quote = store.rates(STANDARD_PRICE_LIST).await?.quote(&number, &us_bundle);
    let forecast = match quote {
        None => Forecast {
            is_granted: false,
            reason_code: Some("no_rate"),
            reason: "no rate has a prefix of this number: sipgw rates import".to_owned(),
            quote: None,
            shortest_micros: None,
            grant: None,
            number,
        },
        Some(quote) => rehearse(store, profile.id, number, quote).await?,
    };
    context.output.show(&forecast, || text(&forecast));
    Ok(())
}

async fn rehearse(
    store: &Store,
    profile: provisioning_store::model::ProfileId,
    number: String,
    quote: Quote,
) -> Result<Forecast, Failure> {
    let now = storage::now();
    let attempt = Attempt {
        direction: Direction::Outgoing,
        kind: CallKind::Telephone,
        from: String::new(),
        to: number.clone(),
        destination: quote.destination.clone(),
        country: quote.country.clone(),
        tariff: Some(quote.tariff),
        started_at: now,
    };
    let (grant, reason_code, reason) = match store.rehearse(now, profile, attempt).await {
        Ok(Outcome::Granted(grant)) => (Some(grant), None, "the call would be let out".to_owned()),
        Ok(other) => return Err(Failure::Refused(format!("the ledger says {other:?}"))),
        Err(StoreError::Refused(refusal)) => (None, Some(refusal.code()), refusal.to_string()),
        Err(error) => return Err(error.into()),
    };
    let shortest_micros = Some(quote.tariff.charge(quote.tariff.minimum_s, 0));
    let is_granted = grant.is_some();
    Ok(Forecast { number, is_granted, reason_code, reason, quote: Some(quote), shortest_micros, grant })
}

fn text(forecast: &Forecast) -> String {
    let mut text = format!("{}: {}.\n", forecast.number, forecast.reason);
    if let Some(quote) = &forecast.quote {
        let cover = match quote.tariff.bundle {
            BundleCover::Covered => "bundle minutes pay it while there are any",
            BundleCover::NotCovered => "bundle minutes do not pay it",
        };
        text += &format!(
            "{}: {} a minute, {} for the shortest call of {} s, then steps of {} s; {cover}.\n",
            quote.destination,
            quote.tariff.rate_per_minute,
            forecast.shortest_micros.unwrap_or_default(),
            quote.tariff.minimum_s,
            quote.tariff.increment_s
        );
    }
    if let Some(grant) = &forecast.grant {
        let held = &grant.held;
        text +=
            &format!("Its first seconds would hold {} and {} bundle seconds.\n", held.credit, held.bundle_s);
    }
    text
}
