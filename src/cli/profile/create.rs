//! `sipgw profile create`

use clap::Args;
use serde_json::{Value, json};

use super::{
    Consent, Context, Failure, Gateway, Micros, Settings, below, find, given, money, show_credentials,
    subscription,
};

#[derive(Args)]
pub(crate) struct Create {
    /// The company's number or name.
    company: String,
    /// Its name, a label.
    name: String,
    /// Channels to buy from the company's credit; without any it is not active yet.
    #[arg(long)]
    channels: Option<u32>,
    /// Minute bundles to buy with them.
    #[arg(long, default_value_t = 0, requires = "channels")]
    bundles: u32,
    /// Credit to move from the company.
    #[arg(long)]
    credit: Option<Micros>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    consent: Consent,
}

/// The order, once its price is agreed.
async fn agreed(gateway: &Gateway, create: &Create, channels: u32) -> Result<Value, Failure> {
    let path = subscription::quoted_at("/subscription-quote", (Some(channels), Some(create.bundles)));
    let quote = gateway.get(&path).await?;
    let what = format!("{} would have {}", create.name, subscription::in_words(&quote));
    create.consent.to(gateway, &what).await?;
    Ok(subscription::order(&quote))
}

pub(super) async fn run(context: &Context, gateway: &Gateway, create: Create) -> Result<(), Failure> {
    let company = find::company(gateway, &create.company).await?;
    let order = match create.channels {
        Some(channels) => Some(agreed(gateway, &create, channels).await?),
        None => None,
    };
    let new = given(json!({
        "company": company["id"],
        "name": create.name,
        "settings": create.settings.fields(),
        "subscription": order,
        "credit": create.credit.map(|credit| money(credit, &company["currency"])),
    }));
    let profile = gateway.post("/profiles", new).await?;
    show_credentials(context, &profile, &gateway.get(&below(&profile, "/credentials")).await?);
    Ok(())
}
