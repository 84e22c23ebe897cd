//! `sipgw account ...`

use clap::Subcommand;
use provisioning_store::model::BusinessAccount;

use super::failure::Failure;
use super::output::{Table, or_dash};
use super::{Context, find};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create a business account.
    Add {
        /// The company's number or name.
        company: String,
        /// Such as architects.sales.
        name: String,
        /// Calls reach the PBX with this user part instead of the name.
        #[arg(long)]
        extension: Option<String>,
    },
    /// Send an account's calls to a profile.
    Attach {
        /// The account's name.
        account: String,
        /// The profile's number, SIP user or name.
        profile: String,
        /// Calls reach the PBX with this user part instead of the name.
        #[arg(long)]
        extension: Option<String>,
    },
    /// Take an account off its profile.
    Detach {
        /// The account's name.
        account: String,
    },
    /// Remove a business account. Its Online Numbers reach nobody until they are assigned anew.
    Remove {
        /// The account's name.
        account: String,
    },
    /// Show all business accounts.
    List,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let store = context.store().await?;
    match command {
        Command::Add { company, name, extension } => {
            let company = find::company(&store, &company).await?;
            show(context, &[store.create_business_account(company.id, &name, extension.as_deref()).await?]);
        }
        Command::Attach { account, profile, extension } => {
            let account = find::account(&store, &account).await?;
            let profile = find::profile(&store, &profile).await?;
            let extension = extension.or_else(|| account.extension.clone());
            store.attach_business_account(account.id, profile.id, extension.as_deref()).await?;
            show(context, &[find::account(&store, &account.name).await?]);
        }
        Command::Detach { account } => {
            let account = find::account(&store, &account).await?;
            store.detach_business_account(account.id).await?;
            show(context, &[find::account(&store, &account.name).await?]);
        }
        Command::Remove { account } => {
            let account = find::account(&store, &account).await?;
            store.remove_business_account(account.id).await?;
            context.output.done(&format!("The business account {} is removed.", account.name));
        }
        Command::List => show(context, &store.business_accounts().await?),
    }
    store.close().await;
    Ok(())
}

fn show(context: &Context, accounts: &[BusinessAccount]) {
    context.output.show(&accounts, || {
        let mut table = Table::new(["name", "company", "profile", "extension"]);
        for account in accounts {
            table.row([
                account.name.clone(),
                account.company.to_string(),
                or_dash(account.profile),
                or_dash(account.extension.clone()),
            ]);
        }
        table.text("There is no business account yet: sipgw account add COMPANY NAME")
    });
}
