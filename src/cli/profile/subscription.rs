//! `sipgw profile channels`, `cancel` and `extend`

use serde_json::{Value, json};

use super::{Consent, Context, Failure, Gateway, below, cell, find, text, when};

pub(super) async fn buy(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    (channels, bundles): (u32, u32),
) -> Result<(), Failure> {
    let path = below(&find::profile(gateway, profile).await?, "/subscription");
    let bought = gateway.post(&path, json!({ "channels": channels, "bundles": bundles })).await?;
    context.output.show(&bought, || {
        let [channels, bundles] = ["channels", "bundles"].map(|it| cell(&bought["subscription"][it]));
        let until = when(&bought["subscription"]["paid_until"]);
        let refund = cell(&bought["refund"]);
        format!("{channels} channels, {bundles} bundles until {until}; {refund} came back.\n")
    });
    Ok(())
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
