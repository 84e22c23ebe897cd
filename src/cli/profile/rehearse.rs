//! `sipgw profile rehearse`: what a call would do and cost, without making it.

use serde_json::Value;

use super::{Context, Failure, Gateway, asking, below, cell, find, text};
use crate::cli::shown::items;

pub(super) async fn run(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    number: &str,
) -> Result<(), Failure> {
    let path = below(&find::profile(gateway, profile).await?, "/rehearsal");
    gateway.learn().await?;
    let rehearsal = gateway.get(&asking(&path, [("number", Some(number.to_owned()))])).await?;
    context.output.show(&rehearsal, || said(&rehearsal, number));
    Ok(())
}

fn said(rehearsal: &Value, dialled: &str) -> String {
    let number = rehearsal["number"].as_str().unwrap_or(dialled);
    let mut said = format!("{number}: {}\n", text(&rehearsal["reason"]));
    if let Some(callee) = rehearsal["callee"].as_i64() {
        said += &format!("It is hosted here and would reach profile {callee}.\n");
    }
    let carriers: Vec<String> = items(&rehearsal["carriers"]).map(text).collect();
    if !carriers.is_empty() {
        said += &format!("Over {}.\n", carriers.join(", then "));
    }
    let price = &rehearsal["price"];
    if price.is_object() {
        let cover = match price["is_covered"] == true {
            true => "bundle minutes pay it while there are any",
            false => "bundle minutes do not pay it",
        };
        let [destination, rate, shortest, least, step] =
            ["destination", "rate_per_minute", "shortest", "minimum_s", "increment_s"]
                .map(|field| cell(&price[field]));
        said += &format!(
            "{destination}: {rate} a minute, {shortest} for the shortest call of {least} s, then steps of {step} s; {cover}.\n"
        );
    }
    if rehearsal["held"].is_object() {
        let [credit, bundle] = ["held", "held_bundle_s"].map(|field| cell(&rehearsal[field]));
        let payer = cell(&rehearsal["payer"]);
        said +=
            &format!("Its first seconds would hold {credit} of the {payer}'s and {bundle} bundle seconds.\n");
    }
    said
}
