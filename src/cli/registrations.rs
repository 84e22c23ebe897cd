//! `sipgw registrations`

use std::collections::HashMap;

use serde_json::Value;

use super::Context;
use super::failure::Failure;
use super::output::Table;
use super::shown::{cell, id, text, when};

pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let gateway = context.gateway().await?;
    let registrations = gateway.list("/registrations").await?;
    let profiles = gateway.list("/profiles").await?;
    if !gateway.is_running().await {
        context.output.warn("No gateway answers; these were registered when one ran last.");
    }
    gateway.close().await;
    let names: HashMap<i64, String> = profiles.iter().map(|it| (id(it), text(&it["name"]))).collect();
    let name = |profile: &Value| profile.as_i64().and_then(|id| names.get(&id).cloned());
    context.output.list(&registrations, || {
        let mut table = Table::new(["profile", "from", "transport", "nat", "until", "user agent", "contact"]);
        for registration in &registrations {
            let profile = &registration["profile"];
            table.row([
                match profile {
                    Value::Null => format!("business account {}", cell(&registration["business_account"])),
                    profile => name(profile).unwrap_or_else(|| cell(profile)),
                },
                cell(&registration["source"]),
                cell(&registration["transport"]),
                cell(&registration["is_behind_nat"]),
                when(&registration["expires_at"]),
                cell(&registration["user_agent"]),
                cell(&registration["contact"]),
            ]);
        }
        table.text("No PBX is registered.")
    });
    Ok(())
}
