//! `sipgw profile caller-id` and `caller-ids`

use clap::Args;
use serde_json::{Value, json};

use super::{Context, Failure, Gateway, Table, asking, below, find, text};
use crate::cli::gateway::step;

/// In the place of a country: what is shown to all that have no rule of their own.
pub(super) const DEFAULT: &str = "default";

#[derive(Args)]
pub(crate) struct Set {
    /// Number, SIP user or name.
    profile: String,
    /// An Online Number of the profile, or with --landline a landline number of the company; `none` shows none.
    number: String,
    /// Only for calls to this country, two letters; for all that have none of their own if left out.
    #[arg(long)]
    country: Option<String>,
    /// The number is a stored landline number.
    #[arg(long)]
    landline: bool,
}

#[derive(Args)]
pub(crate) struct List {
    /// Only this profile's: number, SIP user or name.
    #[arg(conflicts_with = "company")]
    profile: Option<String>,
    /// Only those of this company's profiles: number or name.
    #[arg(long)]
    company: Option<String>,
}

pub(super) async fn set(context: &Context, gateway: &Gateway, set: Set) -> Result<(), Failure> {
    let profile = find::profile(gateway, &set.profile).await?;
    let country = set.country.as_deref().unwrap_or(DEFAULT);
    let path = below(&profile, &format!("/caller-ids/{}", step(country)));
    let to = set.country.map_or_else(String::new, |country| format!(" to {}", country.to_uppercase()));
    let name = text(&profile["name"]);
    if set.number == "none" {
        gateway.delete(&path).await?;
        context.output.done(&format!("{name} shows no number of its own{to}."));
        return Ok(());
    }
    let shown = match set.landline {
        true => json!({ "choice": "landline", "number": set.number }),
        false => {
            let number = find::number(gateway, &set.number).await?;
            json!({ "choice": "online_number", "number": number["number"] })
        }
    };
    let shown = gateway.put(&path, shown).await?;
    context.output.done(&format!("{name} shows {}{to}.", text(&shown["number"])));
    Ok(())
}

pub(super) async fn list(context: &Context, gateway: &Gateway, list: List) -> Result<(), Failure> {
    let profiles = match list.profile {
        Some(profile) => vec![find::profile(gateway, &profile).await?],
        None => {
            let company = find::company_if_any(gateway, list.company.as_deref()).await?;
            gateway.list(&asking("/profiles", [("company", company)])).await?
        }
    };
    let mut rules = Vec::new();
    for profile in &profiles {
        for mut rule in gateway.list(&below(profile, "/caller-ids")).await? {
            rule["profile"] = profile["id"].clone();
            rule["profile_name"] = profile["name"].clone();
            rules.push(rule);
        }
    }
    context.output.list(&rules, || {
        let mut table = Table::new(["profile", "calls to", "shows", "which is"]);
        for rule in &rules {
            let to =
                if rule["country"] == DEFAULT { "all others".to_owned() } else { text(&rule["country"]) };
            table.row([text(&rule["profile_name"]), to, text(&rule["number"]), kind(rule).to_owned()]);
        }
        table.text("No number is shown: sipgw profile caller-id PROFILE NUMBER")
    });
    Ok(())
}

/// Which sort of number it is.
pub(super) fn kind(rule: &Value) -> &'static str {
    if rule["choice"] == "landline" { "a landline number" } else { "an Online Number" }
}
