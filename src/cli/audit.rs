//! `sipgw audit ...`

use clap::{Args, Subcommand};
use provisioning_store::model::Timestamp;
use serde_json::Value;

use super::failure::Failure;
use super::gateway::asking;
use super::output::Table;
use super::shown::{cell, moment, when};
use super::{Context, cdr, find};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show who changed what, when and from where, newest first.
    List(List),
}

#[derive(Args)]
pub(crate) struct List {
    /// Only what is recorded as this company's: number or name.
    #[arg(long)]
    company: Option<String>,
    /// Only what this one did, as the list shows it.
    #[arg(long)]
    actor: Option<String>,
    /// At or after this time, UTC: 2026-03-01 or 2026-03-01T08:00:00.
    #[arg(long, value_parser = cdr::moment)]
    since: Option<Timestamp>,
    /// Before this time.
    #[arg(long, value_parser = cdr::moment)]
    before: Option<Timestamp>,
    /// Only entries before the one with this number.
    #[arg(long, value_name = "NUMBER")]
    older_than: Option<i64>,
    /// How many at most.
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let Command::List(list) = command;
    let gateway = context.gateway().await?;
    let questions = [
        ("company", find::company_if_any(&gateway, list.company.as_deref()).await?),
        ("actor", list.actor),
        ("since", list.since.map(moment)),
        ("before", list.before.map(moment)),
    ];
    let path = asking("/audit", questions);
    let entries =
        gateway.first_after(list.older_than.map(|number| number.to_string()), list.limit, &path).await?;
    gateway.close().await;
    context.output.list(&entries, || text(&entries));
    Ok(())
}

fn text(entries: &[Value]) -> String {
    let mut table = Table::new(["id", "when", "who", "from", "company", "what"]);
    for entry in entries {
        let [id, who, from, company] = ["id", "actor", "origin", "company"].map(|field| cell(&entry[field]));
        let detail = Some(&entry["detail"]).filter(|detail| !detail.is_null());
        let what = detail.map_or_else(String::new, |detail| format!(" {detail}"));
        let what = format!("{}{what}", cell(&entry["action"]));
        table.row([id, when(&entry["at"]), who, from, company, what]);
    }
    table.text("Nothing was changed.")
}
