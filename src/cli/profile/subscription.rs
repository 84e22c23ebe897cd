//! `sipgw profile channels`, `cancel` and `extend`

use serde_json::{Value, json};

use super::{Consent, Context, Failure, Gateway, asking, below, cell, find, text, when};

pub(super) async fn buy(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    counts: (Option<u32>, Option<u32>),
    consent: &Consent,
) -> Result<(), Failure> {
    let profile = find::profile(gateway, profile).await?;
    let quote = gateway.get(&quoted_at(&below(&profile, "/subscription/quote"), counts)).await?;
    consent.to(gateway, &format!("{} would have {}", text(&profile["name"]), in_words(&quote))).await?;
    let bought = gateway.post(&below(&profile, "/subscription"), order(&quote)).await?;
    context.output.show(&bought, || {
        let [channels, bundles] = ["channels", "bundles"].map(|it| cell(&bought["subscription"][it]));
        let until = when(&bought["subscription"]["paid_until"]);
        let refund = cell(&bought["refund"]);
        format!("{channels} channels, {bundles} bundles until {until}; {refund} came back.\n")
    });
    Ok(())
}

/// Where the quote of an order is; a count that is not named stays as it is.
pub(super) fn quoted_at(path: &str, (channels, bundles): (Option<u32>, Option<u32>)) -> String {
    let text = |count: Option<u32>| count.map(|count| count.to_string());
    asking(path, [("channels", text(channels)), ("bundles", text(bundles))])
}

/// The order of what a quote says, for what it says.
pub(super) fn order(quote: &Value) -> Value {
    json!({ "channels": quote["channels"], "bundles": quote["bundles"], "agreed": quote["price"] })
}

/// What a quote says, in words.
pub(super) fn in_words(quote: &Value) -> String {
    let [channels, bundles, price, refund, pay] =
        ["channels", "bundles", "price", "refund", "to_pay"].map(|field| cell(&quote[field]));
    let next = &quote["next_payment"];
    format!(
        "{channels} channels and {bundles} bundles for {price}, less {refund} that come back for what runs: {pay} to pay now; \
         the billing day is {} then, and the next payment {} at {}",
        cell(&quote["billing_day"]),
        cell(&next["amount"]),
        when(&next["at"])
    )
}

pub(super) async fn cancel(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    consent: &Consent,
) -> Result<(), Failure> {
    let profile = find::profile(gateway, profile).await?;
    let name = text(&profile["name"]);
    let days = context.config.prices.disabled_days;
    if profile["subscription"].is_object() {
        let until = when(&profile["subscription"]["paid_until"]);
        let what = channels_and_bundles(&profile);
        let what = format!(
            "the {what} of {name} would end at {until}, and the profile would be deleted {days} days later"
        );
        consent.to(gateway, &what).await?;
    }
    let cancelled = gateway.put(&below(&profile, "/subscription/cancellation"), Value::Null).await?;
    context.output.show(&cancelled, || {
        let until = when(&cancelled["paid_until"]);
        format!("{name} works until {until}; {days} days later it is deleted.\n")
    });
    Ok(())
}

pub(super) async fn extend(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    consent: &Consent,
) -> Result<(), Failure> {
    let profile = find::profile(gateway, profile).await?;
    let name = text(&profile["name"]);
    let subscription = &profile["subscription"];
    if subscription.is_object() {
        let (until, price) = (when(&subscription["paid_until"]), cell(&subscription["price"]));
        let what = channels_and_bundles(&profile);
        let what = format!("the {what} of {name} would be renewed at {until}, as before for {price}");
        consent.to(gateway, &what).await?;
    }
    let extended = gateway.delete(&below(&profile, "/subscription/cancellation")).await?;
    context.output.show(&extended, || format!("{name} is renewed at {}.\n", when(&extended["paid_until"])));
    Ok(())
}

/// What a subscription is of, in words: bundles go the way of the channels.
fn channels_and_bundles(profile: &Value) -> String {
    let subscription = &profile["subscription"];
    let [channels, bundles] = ["channels", "bundles"].map(|field| cell(&subscription[field]));
    match subscription["bundles"].as_u64() {
        None | Some(0) => format!("{channels} channels"),
        Some(_) => format!("{channels} channels and {bundles} bundles"),
    }
}
