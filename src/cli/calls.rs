//! `sipgw calls ...`

use clap::Subcommand;
use sipgw::http::view::CallView;

use super::Context;
use super::client::Client;
use super::failure::Failure;
use super::output::{Table, or_dash};

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

pub(crate) fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let client = Client::new(&context.config);
    match command {
        Command::Live => {
            let calls: Vec<CallView> = client.read("/calls")?;
            context.output.show(&calls, || text(&calls));
        }
        Command::End { call } => {
            let said = client.delete(&format!("/calls/{call}"))?;
            context.output.done(&said);
        }
    }
    Ok(())
}

fn text(calls: &[CallView]) -> String {
    let mut table = Table::new(["call", "stage", "from", "to", "talking", "uses"]);
    for call in calls {
        let uses: Vec<String> =
            call.shares.iter().map(|share| format!("{} of profile {}", share.usage, share.profile)).collect();
        table.row([
            call.call.clone(),
            call.stage.clone(),
            call.from.clone(),
            call.to.clone(),
            or_dash(call.talk_s.map(|talk_s| format!("{talk_s} s"))),
            uses.join(", "),
        ]);
    }
    table.text("No call is going on.")
}
