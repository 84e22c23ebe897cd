//! `sipgw company payment ...`

use clap::Subcommand;
use provisioning_store::money::Micros;
use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::gateway::{Gateway, asking};
use crate::cli::output::Table;
use crate::cli::shown::{cell, id, money, text, when};
use crate::cli::{Context, find};

/// Most payments that are shown at once.
const MOST: usize = 1_000;

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

pub(super) async fn run(context: &Context, gateway: &Gateway, command: Command) -> Result<(), Failure> {
    match command {
        Command::Ask { company, amount } => {
            let company = find::company(gateway, &company).await?;
            let path = format!("/companies/{}/payments", id(&company));
            let asked = json!({ "amount": money(amount, &company["currency"]) });
            show(context, &[gateway.post(&path, asked).await?]);
        }
        Command::Paid { payment, reference } => {
            show(context, &[settle(gateway, payment, "paid", &reference).await?]);
        }
        Command::Failed { payment, reason } => {
            show(context, &[settle(gateway, payment, "failed", &reason).await?]);
        }
        Command::List { company } => {
            let company = find::company_if_any(gateway, company.as_deref()).await?;
            show(context, &gateway.first(MOST, &asking("/payments", [("company", company)])).await?);
        }
        Command::Recharge { company, below, amount, off } => {
            let company = find::company(gateway, &company).await?;
            recharge(context, gateway, &company, below.zip(amount).filter(|_| !off)).await?;
        }
    }
    Ok(())
}

async fn settle(gateway: &Gateway, payment: i64, state: &str, word: &str) -> Result<Value, Failure> {
    gateway.put(&format!("/payments/{payment}/settlement"), json!({ "state": state, "word": word })).await
}

async fn recharge(
    context: &Context,
    gateway: &Gateway,
    company: &Value,
    wanted: Option<(Micros, Micros)>,
) -> Result<(), Failure> {
    let path = format!("/companies/{}/recharge", id(company));
    let name = text(&company["name"]);
    let Some((below, amount)) = wanted else {
        gateway.delete(&path).await?;
        context
            .output
            .show(&json!({ "recharge": null }), || format!("Nothing is asked of {name} any more.\n"));
        return Ok(());
    };
    let currency = &company["currency"];
    let recharge = json!({ "threshold": money(below, currency), "amount": money(amount, currency) });
    let set = gateway.put(&path, recharge).await?;
    if let Some(warning) = set["recharge"]["warning"].as_str() {
        context.output.warn(warning);
    }
    context
        .output
        .show(&set, || format!("{amount} is asked for when the credit of {name} is below {below}.\n"));
    Ok(())
}

fn show(context: &Context, payments: &[Value]) {
    context.output.list(payments, || {
        let mut table = Table::new(["id", "company", "amount", "cause", "state", "asked", "settled", "word"]);
        for payment in payments {
            let [id, company, amount, cause, state, word] =
                ["id", "company", "amount", "cause", "state", "word"].map(|field| cell(&payment[field]));
            let (asked, settled) = (when(&payment["requested_at"]), when(&payment["settled_at"]));
            table.row([id, company, amount, cause, state, asked, settled, word]);
        }
        table.text("No payment was ever asked for: sipgw company payment ask COMPANY AMOUNT")
    });
}
