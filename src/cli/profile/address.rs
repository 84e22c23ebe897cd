//! `sipgw profile allow`, `allowed`, `confirm` and `disallow`

use ipnet::IpNet;
use serde_json::Value;

use super::{Context, Failure, Gateway, Table, below, cell, find, id, text};

const COLUMNS: [&str; 6] = ["profile", "network", "port", "transport", "certificate", "state"];

/// Which addresses are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Pending,
}

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
    which: Which,
) -> Result<(), Failure> {
    let profiles = match profile {
        Some(profile) => vec![find::profile(gateway, &profile).await?],
        None => gateway.list("/profiles").await?,
    };
    let mut rules = Vec::new();
    for profile in &profiles {
        for mut rule in gateway.list(&below(profile, "/addresses")).await? {
            rule["profile"] = profile["id"].clone();
            if which == Which::All || rule["state"] == "pending" {
                rules.push(rule);
            }
        }
    }
    context.output.list(&rules, || {
        let mut table = Table::new(COLUMNS);
        for rule in &rules {
            table.row(COLUMNS.map(|field| cell(&rule[field])));
        }
        table.text(match which {
            Which::All => "No address is allowed: sipgw profile allow PROFILE NETWORK",
            Which::Pending => "No claim of an address waits for an operator.",
        })
    });
    Ok(())
}

pub(super) async fn confirm(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    network: IpNet,
) -> Result<(), Failure> {
    let profile = find::profile(gateway, profile).await?;
    for rule in rules_of(gateway, &profile, network).await? {
        let path = below(&profile, &format!("/addresses/{}/confirmation", id(&rule)));
        gateway.put(&path, Value::Null).await?;
    }
    context.output.done(&format!("{} is known at {network}.", text(&profile["name"])));
    Ok(())
}

/// The rules of a profile for this network; at least one.
async fn rules_of(gateway: &Gateway, profile: &Value, network: IpNet) -> Result<Vec<Value>, Failure> {
    let is_meant = |rule: &Value| {
        let known = rule["network"].as_str().and_then(|known| known.parse::<IpNet>().ok());
        known.is_some_and(|known| known.trunc() == network.trunc())
    };
    let mut rules = gateway.list(&below(profile, "/addresses")).await?;
    rules.retain(is_meant);
    match rules.is_empty() {
        true => Err(no_such(network)),
        false => Ok(rules),
    }
}

fn no_such(network: IpNet) -> Failure {
    let cure = "sipgw profile allowed shows what there is";
    Failure::no_such("address of the profile", &network.to_string(), cure)
}

pub(super) async fn disallow(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    network: IpNet,
    certificate: Option<&str>,
) -> Result<(), Failure> {
    let profile = find::profile(gateway, profile).await?;
    let bears = |rule: &Value, name: &str| {
        rule["certificate"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    let mut rules = rules_of(gateway, &profile, network).await?;
    rules.retain(|rule| certificate.is_none_or(|name| bears(rule, name)));
    if rules.is_empty() {
        return Err(no_such(network));
    }
    for rule in &rules {
        gateway.delete(&below(&profile, &format!("/addresses/{}", id(rule)))).await?;
    }
    context.output.done(&format!("{} is no longer known at {network}.", text(&profile["name"])));
    Ok(())
}
