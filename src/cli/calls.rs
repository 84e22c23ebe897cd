//! `sipgw calls ...`

use clap::Subcommand;
use serde_json::Value;

use super::Context;
use super::failure::Failure;
use super::gateway::step;
use super::output::{Table, or_dash};
use super::shown::{cell, items};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the calls that are going on.
    Live,
    /// End a call.
    End {
        /// Its id, as `calls live` shows it.
        call: String,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let gateway = context.running().await?;
    match command {
        Command::Live => {
            let mut calls = gateway.list("/calls").await?;
            // The longest first.
            calls.sort_by_key(|call| std::cmp::Reverse(call["age_s"].as_u64()));
            context.output.list(&calls, || text(&calls));
        }
        Command::End { call } => {
            gateway.delete(&format!("/calls/{}", step(&call))).await?;
            context.output.done("The call is being ended.");
        }
    }
    Ok(())
}

fn text(calls: &[Value]) -> String {
    let mut table = Table::new(["call", "stage", "from", "to", "talking", "uses"]);
    for call in calls {
        let share =
            |share: &Value| format!("{} of profile {}", cell(&share["usage"]), cell(&share["profile"]));
        let uses: Vec<String> = items(&call["shares"]).map(share).collect();
        table.row([
            cell(&call["id"]),
            cell(&call["stage"]),
            cell(&call["from"]),
            cell(&call["to"]),
            or_dash(call["talk_s"].as_u64().map(|talk_s| format!("{talk_s} s"))),
            uses.join(", "),
        ]);
    }
    table.text("No call is going on.")
}
