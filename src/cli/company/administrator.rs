//! `sipgw company administrator ...`

use clap::Subcommand;
use provisioning_store::model::Administrator;
use provisioning_store::store::Store;

use crate::cli::failure::Failure;
use crate::cli::output::{Table, or_dash};
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

pub(super) async fn run(context: &Context, store: &Store, command: Command) -> Result<(), Failure> {
    match command {
        Command::Set { company, email, name, account } => {
            let company = find::company(store, &company).await?.id;
            let account = match account {
                Some(account) => Some(find::account(store, &account).await?.id),
                None => None,
            };
            let new = Administrator { company, email, name, account };
            show(context, &[store.set_administrator(new).await?]);
        }
        Command::Remove { company, email } => {
            let company = find::company(store, &company).await?;
            store.remove_administrator(company.id, &email).await?;
            context.output.done(&format!("{email} no longer looks after {}.", company.name));
        }
        Command::List { company } => {
            let company = find::company(store, &company).await?;
            show(context, &store.administrators(company.id).await?);
        }
    }
    Ok(())
}

fn show(context: &Context, administrators: &[Administrator]) {
    context.output.show(&administrators, || {
        let mut table = Table::new(["email", "name", "business account"]);
        for administrator in administrators {
            table.row([
                administrator.email.clone(),
                administrator.name.clone(),
                or_dash(administrator.account),
            ]);
        }
        table.text("Nobody looks after it yet: sipgw company administrator set COMPANY EMAIL NAME")
    });
}
