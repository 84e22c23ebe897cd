//! `sipgw account ...`

use clap::Subcommand;
use serde_json::{Value, json};

use super::consent::Consent;
use super::failure::Failure;
use super::gateway::{Gateway, asking};
use super::output::Table;
use super::shown::{cell, given, id, text};
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
    /// Send an account's calls to a profile. If an administrator uses it, who then can no longer sign in with it, it has to
    /// be said that this is meant.
    Attach {
        /// The account's name.
        account: String,
        /// The profile's number, SIP user or name.
        profile: String,
        /// Calls reach the PBX with this user part instead of the name.
        #[arg(long)]
        extension: Option<String>,
        #[command(flatten)]
        consent: Consent,
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
    /// Remove a business account. Its Online Numbers do not ring until they are assigned again.
    Remove {
        /// The account's name.
        account: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Show all business accounts.
    List,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let gateway = context.gateway().await?;
    let outcome = obey(context, &gateway, command).await;
    gateway.close().await;
    outcome
}

async fn obey(context: &Context, gateway: &Gateway, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { company, name, extension } => {
            let company = id(&find::company(gateway, &company).await?);
            let new = given(json!({ "company": company, "name": name, "extension": extension }));
            show(context, &[gateway.post("/business-accounts", new).await?]);
        }
        Command::Credentials { account, new } => {
            let path = format!("{}/credentials", place(&find::account(gateway, &account).await?));
            let credentials = match new {
                true => gateway.post(&path, Value::Null).await?,
                false => gateway.get(&path).await?,
            };
            context.output.show(&credentials, || {
                let [domain, user, password] =
                    ["domain", "user", "password"].map(|it| cell(&credentials[it]));
                format!("Domain    {domain}\nUser      {user}\nPassword  {password}\n")
            });
        }
        Command::Button { account, label } => {
            let path = format!("{}/call-button", place(&find::account(gateway, &account).await?));
            let button = gateway.get(&asking(&path, [("label", Some(label))])).await?;
            context.output.show(&button, || format!("{}\n", button["html"].as_str().unwrap_or_default()));
        }
        Command::Attach { account, profile, extension, consent } => {
            let account = find::account(gateway, &account).await?;
            let profile = find::profile(gateway, &profile).await?;
            ask_about_its_user(gateway, &account, &consent).await?;
            let extension = extension.map_or_else(|| account["extension"].clone(), Value::from);
            let path = format!("{}/attachment", place(&account));
            let attachment = given(json!({ "profile": profile["id"], "extension": extension }));
            show(context, &[gateway.put(&path, attachment).await?]);
        }
        Command::Detach { account } => {
            let path = format!("{}/attachment", place(&find::account(gateway, &account).await?));
            show(context, &[gateway.delete(&path).await?]);
        }
        Command::Remove { account, consent } => {
            let account = find::account(gateway, &account).await?;
            let through = [("business_account", Some(account["id"].to_string()))];
            let numbers = gateway.list(&asking("/numbers", through)).await?.len();
            let what = format!(
                "{} would be removed with its password; nobody could call it, and {numbers} numbers that lead to it would ring \
                 nowhere",
                text(&account["name"])
            );
            consent.to(gateway, &what).await?;
            gateway.delete(&place(&account)).await?;
            context.output.done(&format!("The business account {} is removed.", text(&account["name"])));
        }
        Command::List => show(context, &gateway.list("/business-accounts").await?),
    }
    Ok(())
}

fn place(account: &Value) -> String {
    format!("/business-accounts/{}", id(account))
}

/// Whoever signs in with an account cannot do so once a profile has it.
async fn ask_about_its_user(gateway: &Gateway, account: &Value, consent: &Consent) -> Result<(), Failure> {
    let path = format!("/companies/{}/administrators", account["company"]);
    let administrators = gateway.list(&path).await?;
    match administrators.iter().find(|administrator| administrator["account"] == account["id"]) {
        Some(user) => {
            let (user, account) = (text(&user["name"]), text(&account["name"]));
            consent.to(gateway, &format!("{user} uses {account} and could no longer sign in with it")).await
        }
        None => Ok(()),
    }
}

fn show(context: &Context, accounts: &[Value]) {
    context.output.list(accounts, || {
        let mut table = Table::new(["name", "company", "profile", "extension"]);
        for account in accounts {
            table.row(["name", "company", "profile", "extension"].map(|field| cell(&account[field])));
        }
        table.text("There is no business account yet: sipgw account add COMPANY NAME")
    });
}
