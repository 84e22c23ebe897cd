//! `sipgw company payment ...`

use clap::Subcommand;
use provisioning_store::model::{Payment, PaymentId, Recharge};
use provisioning_store::money::Micros;
use provisioning_store::store::Store;
use sipgw::storage;

use crate::cli::failure::Failure;
use crate::cli::output::{Table, or_dash, time};
use crate::cli::{Context, find};

/// Most payments that are shown at once.
const MOST: u32 = 1_000;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Ask for a payment. Nothing is booked before it is paid.
    Ask {
        /// The company's number or name.
        company: String,
        /// Such as 100.00.
        amount: Micros,
    },
    /// Say that a payment has come: it is booked, once.
    Paid {
        /// The payment's number.
        payment: i64,
        /// The payment source's name for it.
        #[arg(long, default_value = "")]
        reference: String,
    },
    /// Say that a payment will not come.
    Failed {
        /// The payment's number.
        payment: i64,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Show payments, newest first.
    List {
        /// Only this company's: number or name.
        company: Option<String>,
    },
    /// Ask for a payment whenever the company's credit falls below a threshold.
    Recharge {
        /// The company's number or name.
        company: String,
        /// Below which.
        #[arg(long, required_unless_present = "off")]
        below: Option<Micros>,
        /// How much.
        #[arg(long, required_unless_present = "off")]
        amount: Option<Micros>,
        /// Never again.
        #[arg(long)]
        off: bool,
    },
}

pub(super) async fn run(context: &Context, store: &Store, command: Command) -> Result<(), Failure> {
    let now = storage::now();
    match command {
        Command::Ask { company, amount } => {
            let company = find::company(store, &company).await?;
            show(context, &[store.request_payment(now, company.id, amount).await?]);
        }
        Command::Paid { payment, reference } => {
            show(context, &[store.pay_payment(now, PaymentId(payment), &reference).await?]);
        }
        Command::Failed { payment, reason } => {
            show(context, &[store.fail_payment(now, PaymentId(payment), &reason).await?]);
        }
        Command::List { company } => {
            let company = match company {
                Some(company) => Some(find::company(store, &company).await?.id),
                None => None,
            };
            show(context, &store.payments(company, MOST, 0).await?);
        }
        Command::Recharge { company, below, amount, off } => {
            let company = find::company(store, &company).await?;
            let recharge = below.zip(amount).filter(|_| !off);
            let recharge = recharge.map(|(threshold, amount)| Recharge { threshold, amount });
            store.set_company_recharge(company.id, recharge).await?;
            context.output.show(&recharge, || match recharge {
                Some(Recharge { threshold, amount }) => {
                    format!(
                        "{amount} is asked for when the credit of {} is below {threshold}.\n",
                        company.name
                    )
                }
                None => format!("Nothing is asked of {} any more.\n", company.name),
            });
        }
    }
    Ok(())
}

fn show(context: &Context, payments: &[Payment]) {
    context.output.show(&payments, || {
        let mut table = Table::new(["id", "company", "amount", "cause", "state", "asked", "settled", "word"]);
        for payment in payments {
            table.row([
                payment.id.to_string(),
                payment.company.to_string(),
                payment.amount.to_string(),
                payment.cause.to_string(),
                payment.state.to_string(),
                time(payment.requested_at.0),
                or_dash(payment.settled_at.map(|at| time(at.0))),
                payment.word.clone(),
            ]);
        }
        table.text("No payment was ever asked for: sipgw company payment ask COMPANY AMOUNT")
    });
}
