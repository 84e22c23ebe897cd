//! `sipgw profile show`

use serde_json::Value;

use super::address::by_certificate;
use super::caller_id::{DEFAULT, kind};
use super::{Context, Failure, Gateway, asking, below, cell, guard, id, text, when};
use crate::cli::output::Sheet;
use crate::cli::shown::items;

pub(super) async fn show(context: &Context, gateway: &Gateway, profile: Value) -> Result<(), Failure> {
    let whole = gather(gateway, profile).await?;
    context.output.show(&whole, || sheet(&whole));
    Ok(())
}

/// All of a profile: what the API says of it, and of what belongs to it.
async fn gather(gateway: &Gateway, profile: Value) -> Result<Value, Failure> {
    let of_it = || Some(id(&profile).to_string());
    let company = gateway.get(&format!("/companies/{}", cell(&profile["company"]))).await?;
    let accounts = gateway.list(&asking("/business-accounts", [("profile", of_it())])).await?;
    let mut numbers = gateway.list(&asking("/numbers", [("profile", of_it())])).await?;
    for account in &accounts {
        let through = [("business_account", Some(id(account).to_string()))];
        numbers.extend(gateway.list(&asking("/numbers", through)).await?);
    }
    let caller_ids = gateway.list(&below(&profile, "/caller-ids")).await?;
    let addresses = gateway.list(&below(&profile, "/addresses")).await?;
    let mut registered = gateway.list(&asking("/registrations", [("profile", of_it())])).await?;
    let mut refused = gateway.list(&asking("/refused-registrations", [("profile", of_it())])).await?;
    let mut whole = profile;
    whole["company_name"] = company["name"].clone();
    whole["currency"] = company["currency"].clone();
    // What is registered while no gateway runs is what the last one has left.
    whole["registration_according_to"] =
        if gateway.is_running().await { "gateway" } else { "database" }.into();
    whole["registration"] = registered.pop().unwrap_or_default();
    whole["refused_registration"] = refused.pop().unwrap_or_default();
    whole["addresses"] = addresses.into();
    whole["business_accounts"] = accounts.into();
    whole["numbers"] = numbers.into();
    whole["caller_ids"] = caller_ids.into();
    Ok(whole)
}

fn sheet(whole: &Value) -> String {
    let mut sheet = Sheet::default();
    sheet.part("Authentication", authentication(whole), "");
    sheet.part("Channels", channels(whole), "no subscription: sipgw profile channels PROFILE CHANNELS");
    sheet.part("Credit", credit(whole), "");
    sheet.part("Spend caps", guard::facts(&whole["caps"]), "none: sipgw profile guard set PROFILE");
    sheet.part("Business accounts", accounts(whole), "none");
    sheet.part("Online Numbers", numbers(whole), "none: sipgw number assign NUMBER --profile PROFILE");
    sheet.part("Caller ID", caller_ids(whole), "none is shown");
    sheet.part("Towards the PBX", manner(whole), "");
    let [name, id, company] = ["name", "id", "company_name"].map(|field| cell(&whole[field]));
    sheet.text(&format!("{name} (profile {id} of {company})"))
}

fn authentication(whole: &Value) -> Vec<String> {
    let settings = &whole["settings"];
    if settings["authentication"] == "registration" {
        let (user, digest) = (text(&whole["sip_user"]), cell(&settings["digest"]));
        let mut facts = vec![format!("registration as {user}, digest {digest}")];
        facts.extend(registration(whole));
        facts.extend(refused_registration(whole));
        return facts;
    }
    let address = |rule: &Value| {
        let port = rule["port"].as_u64().map_or_else(String::new, |port| format!(" port {port}"));
        let [network, transport] = ["network", "transport"].map(|field| cell(&rule[field]));
        let waits = if rule["state"] == "pending" { ", not confirmed yet" } else { "" };
        format!("by address {network}{port} over {transport}{}{waits}", by_certificate(rule))
    };
    let facts: Vec<String> = items(&whole["addresses"]).map(address).collect();
    match facts.is_empty() {
        true => vec!["by address, but none is allowed: sipgw profile allow PROFILE NETWORK".to_owned()],
        false => facts,
    }
}

fn registration(whole: &Value) -> Vec<String> {
    let known = match whole["registration_according_to"] == "gateway" {
        true => "",
        false => " (no gateway answers; this is the last that is known)",
    };
    let registration = &whole["registration"];
    if registration.is_null() {
        return vec![format!("not registered{known}")];
    }
    let [from, transport, user_agent] =
        ["source", "transport", "user_agent"].map(|it| cell(&registration[it]));
    let until = when(&registration["expires_at"]);
    vec![
        format!("registered from {from} over {transport} until {until}{known}"),
        format!("User-Agent {user_agent}"),
    ]
}

/// Why it could not register last, unless it has since.
fn refused_registration(whole: &Value) -> Option<String> {
    let refused = &whole["refused_registration"];
    let [from, why] = ["source", "sentence"].map(|it| cell(&refused[it]));
    (!refused.is_null()).then(|| format!("refused at {} from {from}: {why}", when(&refused["refused_at"])))
}

fn channels(whole: &Value) -> Vec<String> {
    let subscription = &whole["subscription"];
    if subscription.is_null() {
        return Vec::new();
    }
    let until = when(&subscription["paid_until"]);
    let paid = match whole["state"].as_str() {
        Some("cancelled") => format!("cancelled, works until {until}"),
        Some("disabled") => format!(
            "ran out at {until}: no calls until channels are bought, and deleted at {}",
            when(&whole["deleted_at"])
        ),
        _ => format!("paid until {until}, then renewed"),
    };
    let (channels, in_use) = (cell(&subscription["channels"]), cell(&whole["channels_in_use"]));
    let mut facts = vec![format!("{channels}, {in_use} in use, {paid}")];
    if subscription["bundles"].as_u64().is_some_and(|bundles| bundles > 0) {
        let left = whole["bundle_left_s"].as_u64().unwrap_or_default() / 60;
        facts.push(format!("{} bundles, {left} minutes left", cell(&subscription["bundles"])));
    }
    facts
}

fn credit(whole: &Value) -> Vec<String> {
    let [credit, currency, reserved, on_hand] =
        ["credit", "currency", "reserved", "on_hand"].map(|field| cell(&whole[field]));
    let recharge = &whole["recharge"];
    let refill = match recharge.is_null() {
        true => "no auto-recharge".to_owned(),
        false => {
            let [amount, threshold] = ["amount", "threshold"].map(|field| cell(&recharge[field]));
            format!("{amount} comes when what is free of it falls below {threshold}")
        }
    };
    vec![format!("{credit} {currency}, {reserved} reserved, {on_hand} of it on hand and by no call"), refill]
}

fn accounts(whole: &Value) -> Vec<String> {
    let fact = |account: &Value| match account["extension"].as_str() {
        Some(extension) => format!("{}, reaches extension {extension}", text(&account["name"])),
        None => text(&account["name"]),
    };
    items(&whole["business_accounts"]).map(fact).collect()
}

fn numbers(whole: &Value) -> Vec<String> {
    let through = |number: &Value| {
        let target = &number["target"];
        let is_it = |account: &&Value| target["to"] == "business_account" && account["id"] == target["id"];
        let account = items(&whole["business_accounts"]).find(is_it);
        account.map_or_else(String::new, |account| format!(" through {}", text(&account["name"])))
    };
    let fact = |number: &Value| format!("{}{}", text(&number["number"]), through(number));
    items(&whole["numbers"]).map(fact).collect()
}

fn caller_ids(whole: &Value) -> Vec<String> {
    let fact = |rule: &Value| {
        let country = &rule["country"];
        let to = if country == DEFAULT { "by default".to_owned() } else { format!("to {}", text(country)) };
        format!("{} {to}, {}", text(&rule["number"]), kind(rule))
    };
    items(&whole["caller_ids"]).map(fact).collect()
}

fn manner(whole: &Value) -> Vec<String> {
    let [srtp, presentation, by_call, name] = ["srtp", "presentation", "caller_id_by_call", "caller_name"]
        .map(|field| cell(&whole["settings"][field]));
    vec![format!(
        "SRTP {srtp}, numbers as {presentation}, Caller ID by call {by_call}, callers' names {name}"
    )]
}
