//! `sipgw account ...`

use clap::Subcommand;
use provisioning_store::model::BusinessAccount;
use serde_json::json;

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
        /// Attach it even if an administrator uses it, who then can no longer sign in with it.
        #[arg(long)]
        yes: bool,
    },
    /// Show the user name and password with which a phone registers an account that no profile has.
    Credentials {
        /// The account's name.
        account: String,
        /// Generate a new password first.
        #[arg(long)]
        new: bool,
    },
    /// Print HTML for a web site: a button that calls the account.
    Button {
        /// The account's name.
        account: String,
        /// What stands on the button.
        #[arg(long, default_value = "Call us")]
        label: String,
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
        Command::Credentials { account, new } => {
            let account = find::account(&store, &account).await?;
            let (user, password) = match new {
                true => store.new_account_password(account.id).await?,
                false => store.account_credentials(account.id).await?,
            };
            let domain = &context.config.node.domain;
            let json = json!({ "domain": domain, "user": user, "password": password.reveal() });
            context.output.show(&json, || {
                format!("Domain    {domain}\nUser      {user}\nPassword  {}\n", password.reveal())
            });
        }
        Command::Button { account, label } => {
            let account = find::account(&store, &account).await?;
            let html = account.call_button(&context.config.node.domain, &label);
            context.output.show(&json!({ "html": html }), || format!("{html}\n"));
        }
        Command::Attach { account, profile, extension, yes } => {
            let account = find::account(&store, &account).await?;
            let administrators = store.administrators_of_account(account.id).await?;
            if let Some(administrator) = administrators.first().filter(|_| !yes) {
                return Err(Failure::Refused(format!(
                    "{} uses {} and could no longer sign in with it; say --yes if this is meant",
                    administrator.name, account.name
                )));
            }
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
