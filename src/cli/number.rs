//! `sipgw number ...`

use clap::{Args, Subcommand};
use provisioning_store::model::{NumberTarget, OnlineNumber};

use super::failure::Failure;
use super::output::{Table, or_dash};
use super::{Context, find};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Host a number for a company.
    Add {
        /// The company's number or name.
        company: String,
        /// Such as +12026843376.
        number: String,
        /// Its country, two letters.
        #[arg(long, default_value = "")]
        country: String,
    },
    /// Send a number's calls somewhere, or somewhere else than before.
    ///
    /// Whoever loses the number shows it as Caller ID no longer. Calls that run go on.
    Assign {
        /// The number.
        number: String,
        #[command(flatten)]
        target: Target,
    },
    /// Host a number no longer: calls to it are refused, and nobody shows it as Caller ID.
    Remove {
        /// The number.
        number: String,
    },
    /// Show all numbers.
    List,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Target {
    /// To this profile: number, SIP user or name.
    #[arg(long)]
    profile: Option<String>,
    /// To this business account.
    #[arg(long)]
    account: Option<String>,
    /// To nobody.
    #[arg(long)]
    nobody: bool,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let store = context.store().await?;
    match command {
        Command::Add { company, number, country } => {
            let company = find::company(&store, &company).await?;
            show(context, &[store.add_number(company.id, &number, &country).await?]);
        }
        Command::Assign { number, target } => {
            let number = find::number(&store, &number).await?;
            let target = match target {
                Target { profile: Some(profile), .. } => {
                    NumberTarget::Profile(find::profile(&store, &profile).await?.id)
                }
                Target { account: Some(account), .. } => {
                    NumberTarget::BusinessAccount(find::account(&store, &account).await?.id)
                }
                Target { .. } => NumberTarget::Nobody,
            };
            store.assign_number(number.id, target).await?;
            show(context, &[OnlineNumber { target, ..number }]);
        }
        Command::Remove { number } => {
            let number = find::number(&store, &number).await?;
            store.remove_number(number.id).await?;
            context.output.done(&format!("{} is no longer hosted here.", number.number));
        }
        Command::List => show(context, &store.numbers().await?),
    }
    store.close().await;
    Ok(())
}

fn show(context: &Context, numbers: &[OnlineNumber]) {
    context.output.show(&numbers, || {
        let mut table = Table::new(["number", "country", "company", "reaches"]);
        for number in numbers {
            table.row([
                number.number.clone(),
                or_dash(Some(&number.country).filter(|country| !country.is_empty())),
                number.company.to_string(),
                match number.target {
                    NumberTarget::Nobody => "nobody".to_owned(),
                    NumberTarget::Profile(profile) => format!("profile {profile}"),
                    NumberTarget::BusinessAccount(account) => format!("business account {account}"),
                },
            ]);
        }
        table.text("There is no Online Number yet: sipgw number add COMPANY NUMBER")
    });
}
