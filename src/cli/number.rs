//! `sipgw number ...`

use clap::{Args, Subcommand};
use provisioning_store::lifecycle::{NumberOffer, Renewal};
use provisioning_store::model::{NumberTarget, OnlineNumber, StockNumber};
use provisioning_store::money::Micros;
use sipgw::storage;

use super::failure::Failure;
use super::output::{Table, or_dash, time};
use super::{Context, find};

/// Most offers that are shown at once.
const MOST_OFFERS: u32 = 10_000;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Put a number on offer, or give it another price. Whoever has it keeps the fee agreed.
    Offer {
        /// Such as +12026843376.
        number: String,
        /// Its country, two letters.
        #[arg(long)]
        country: String,
        /// What a term costs.
        #[arg(long)]
        fee: Micros,
        /// Days of a term.
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
    /// Offer a number no longer. A company that has it keeps it.
    Withdraw {
        /// The number.
        number: String,
    },
    /// Show the numbers on offer.
    Offers {
        /// Only those of this country.
        #[arg(long)]
        country: Option<String>,
    },
    /// Buy a number on offer for a company, from the company's credit.
    Buy {
        /// The company's number or name.
        company: String,
        /// The number.
        number: String,
    },
    /// Let a number that was bought run to the end of its paid term; then it goes back into the stock.
    Cancel {
        /// The number.
        number: String,
    },
    /// Take a number's cancellation back.
    Keep {
        /// The number.
        number: String,
    },
    /// Host a number for a company, without a fee.
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
        Command::Offer { number, country, fee, days } => {
            let offer = NumberOffer { number, fee, term_days: days };
            offers(context, &[store.stock_number(StockNumber { country, offer }).await?]);
        }
        Command::Withdraw { number } => {
            store.withdraw_number(&number).await?;
            context.output.done(&format!("{number} is offered no longer."));
        }
        Command::Offers { country } => {
            offers(context, &store.numbers_on_offer(country.as_deref(), MOST_OFFERS, 0).await?);
        }
        Command::Buy { company, number } => {
            let company = find::company(&store, &company).await?;
            show(context, &[store.buy_number(storage::now(), company.id, &number).await?]);
        }
        Command::Cancel { number } => {
            let number = find::number(&store, &number).await?;
            show(context, &[store.cancel_number(storage::now(), number.id).await?]);
        }
        Command::Keep { number } => {
            let number = find::number(&store, &number).await?;
            show(context, &[store.keep_number(storage::now(), number.id).await?]);
        }
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

fn offers(context: &Context, numbers: &[StockNumber]) {
    context.output.show(&numbers, || {
        let mut table = Table::new(["number", "country", "fee", "term"]);
        for StockNumber { country, offer } in numbers {
            table.row([
                offer.number.clone(),
                country.clone(),
                offer.fee.to_string(),
                format!("{} days", offer.term_days),
            ]);
        }
        table.text("No number is on offer: sipgw number offer NUMBER --country US --fee 6.00")
    });
}

/// How the company goes on having it.
fn lease(number: &OnlineNumber) -> String {
    let Some(lease) = &number.lease else { return "free of charge".to_owned() };
    let until = time(lease.paid_until.0);
    match lease.renewal {
        Renewal::Automatic => format!("{} due at {until}", lease.offer.fee),
        Renewal::Unpaid => format!("unpaid since {until}: out of service"),
        Renewal::Cancelled | Renewal::Expired => format!("cancelled, works until {until}"),
    }
}

fn show(context: &Context, numbers: &[OnlineNumber]) {
    context.output.show(&numbers, || {
        let mut table = Table::new(["number", "country", "company", "reaches", "fee"]);
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
                lease(number),
            ]);
        }
        table.text("There is no Online Number yet: sipgw number add COMPANY NUMBER")
    });
}
