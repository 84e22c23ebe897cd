//! `sipgw profile allow`, `allowed` and `disallow`

use ipnet::IpNet;
use serde_json::Value;

use super::{Context, Failure, Gateway, Table, below, cell, find, id, text};

const COLUMNS: [&str; 5] = ["profile", "network", "port", "transport", "certificate"];

/// What a rule asks for besides the address, as the end of a sentence.
pub(super) fn by_certificate(rule: &Value) -> String {
    rule["certificate"].as_str().map_or_else(String::new, |name| format!(" with the certificate of {name}"))
}

pub(super) async fn allow(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    rule: Value,
) -> Result<(), Failure> {
    let profile = find::profile(gateway, profile).await?;
    let added = gateway.post(&below(&profile, "/addresses"), rule).await?;
    let (name, network) = (text(&profile["name"]), cell(&added["network"]));
    context.output.show(&added, || format!("{name} is known at {network}{}.\n", by_certificate(&added)));
    Ok(())
}

pub(super) async fn list(
    context: &Context,
    gateway: &Gateway,
    profile: Option<String>,
) -> Result<(), Failure> {
    let profiles = match profile {
        Some(profile) => vec![find::profile(gateway, &profile).await?],
        None => gateway.list("/profiles").await?,
    };
    let mut rules = Vec::new();
    for profile in &profiles {
        for mut rule in gateway.list(&below(profile, "/addresses")).await? {
            rule["profile"] = profile["id"].clone();
            rules.push(rule);
        }
    }
    context.output.show(&rules, || {
        let mut table = Table::new(COLUMNS);
        for rule in &rules {
            table.row(COLUMNS.map(|field| cell(&rule[field])));
        }
        table.text("No address is allowed: sipgw profile allow PROFILE NETWORK")
    });
    Ok(())
}

pub(super) async fn disallow(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    network: IpNet,
    certificate: Option<&str>,
) -> Result<(), Failure> {
    let profile = find::profile(gateway, profile).await?;
    let is_meant = |rule: &Value| {
        let known = rule["network"].as_str().and_then(|known| known.parse::<IpNet>().ok());
        let bears =
            |name: &str| rule["certificate"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name));
        known.is_some_and(|known| known.trunc() == network.trunc()) && certificate.is_none_or(bears)
    };
    let mut rules = gateway.list(&below(&profile, "/addresses")).await?;
    rules.retain(is_meant);
    if rules.is_empty() {
        let cure = "sipgw profile allowed shows what there is";
        return Err(Failure::no_such("address of the profile", &network.to_string(), cure));
    }
    for rule in &rules {
        gateway.delete(&below(&profile, &format!("/addresses/{}", id(rule)))).await?;
    }
    context.output.done(&format!("{} is no longer known at {network}.", text(&profile["name"])));
    Ok(())
}
