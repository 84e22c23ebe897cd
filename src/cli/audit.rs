//! `sipgw audit ...`

use clap::{Args, Subcommand};
use provisioning_store::audit::{AuditEntry, AuditFilter};
use provisioning_store::model::Timestamp;

use super::failure::Failure;
use super::output::{Table, or_dash, time};
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
    limit: u32,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let Command::List(list) = command;
    let store = context.store().await?;
    let company = match list.company {
        Some(company) => Some(find::company(&store, &company).await?.id),
        None => None,
    };
    let filter = AuditFilter { company, actor: list.actor, since: list.since, before: list.before };
    let entries = store.audit(&filter, list.older_than, list.limit).await?;
    context.output.show(&entries, || text(&entries));
    store.close().await;
    Ok(())
}

fn text(entries: &[AuditEntry]) -> String {
    let mut table = Table::new(["id", "when", "who", "from", "company", "what"]);
    for entry in entries {
        table.row([
            entry.id.to_string(),
            time(entry.at.0),
            entry.actor.clone(),
            entry.origin.clone(),
            or_dash(entry.company),
            format!("{} {}", entry.action, entry.detail).trim_end().to_owned(),
        ]);
    }
    table.text("Nothing was changed.")
}
