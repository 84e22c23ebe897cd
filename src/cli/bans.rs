//! `sipgw bans ...`

use clap::Subcommand;
use serde_json::Value;

use super::Context;
use super::failure::Failure;
use super::gateway::step;
use super::output::Table;
use super::shown::cell;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the sources and users that are not heard, because too many passwords were guessed.
    List,
    /// Hear a source or a user again.
    Release {
        /// The address or the user name, as `bans list` shows it.
        source: String,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let gateway = context.running().await?;
    match command {
        Command::List => {
            let bans = gateway.list("/bans").await?;
            context.output.list(&bans, || text(&bans));
        }
        Command::Release { source } => {
            gateway.delete(&format!("/bans/{}", step(&source))).await?;
            context.output.done(&format!("{source} is heard again."));
        }
    }
    Ok(())
}

fn text(bans: &[Value]) -> String {
    let mut table = Table::new(["kind", "whom", "last user", "left"]);
    for ban in bans {
        let left = format!("{} s", cell(&ban["left_s"]));
        table.row([cell(&ban["kind"]), cell(&ban["whom"]), cell(&ban["user"]), left]);
    }
    table.text("Nobody is banned.")
}
