//! `sipgw company administrator ...`

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::gateway::{Gateway, step};
use crate::cli::output::Table;
use crate::cli::shown::{cell, given, id, text};
use crate::cli::{Context, find};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add somebody who looks after a company, or change who has this address.
    Set {
        /// The company's number or name.
        company: String,
        /// Address of electronic mail.
        email: String,
        /// Name.
        name: String,
        /// The business account that is used in person; attaching it to a profile warns.
        #[arg(long)]
        account: Option<String>,
    },
    /// Take an administrator from a company.
    Remove {
        /// The company's number or name.
        company: String,
        /// Address of electronic mail.
        email: String,
    },
    /// Show a company's administrators.
    List {
        /// The company's number or name.
        company: String,
    },
}

pub(super) async fn run(context: &Context, gateway: &Gateway, command: Command) -> Result<(), Failure> {
    let (Command::Set { company, .. } | Command::Remove { company, .. } | Command::List { company }) =
        &command;
    let company = find::company(gateway, company).await?;
    let path = format!("/companies/{}/administrators", id(&company));
    match command {
        Command::Set { email, name, account, .. } => {
            let account = match account {
                Some(account) => Some(id(&find::account(gateway, &account).await?)),
                None => None,
            };
            let path = format!("{path}/{}", step(&email));
            show(context, &[gateway.put(&path, given(json!({ "name": name, "account": account }))).await?]);
        }
        Command::Remove { email, .. } => {
            gateway.delete(&format!("{path}/{}", step(&email))).await?;
            let sentence = format!("{email} no longer looks after {}.", text(&company["name"]));
            context.output.done(&sentence);
        }
        Command::List { .. } => show(context, &gateway.list(&path).await?),
    }
    Ok(())
}

fn show(context: &Context, administrators: &[Value]) {
    context.output.list(administrators, || {
        let mut table = Table::new(["email", "name", "business account"]);
        for administrator in administrators {
            table.row(["email", "name", "account"].map(|field| cell(&administrator[field])));
        }
        table.text("Nobody looks after it yet: sipgw company administrator set COMPANY EMAIL NAME")
    });
}
