//! `sipgw report ...`

use clap::Subcommand;
use provisioning_store::lifecycle::Order;
use provisioning_store::reports::Month;
use provisioning_store::sizing::{LOST, Load};
use serde_json::{Value, json};

use super::failure::Failure;
use super::gateway::{Gateway, asking};
use super::output::Table;
use super::shown::{self, cell, id, items, when};
use super::{Context, find};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// What a profile's calls of a month came to; exits with status 1 if the ledger says otherwise.
    Usage {
        /// Number, SIP user or name.
        profile: String,
        /// Such as 2026-03, UTC.
        month: Month,
        /// Print every outgoing call as CSV instead.
        #[arg(long)]
        csv: bool,
    },
    /// What was bought for a profile in a month, and what credit went to or from it.
    Allocations {
        /// Number, SIP user or name.
        profile: String,
        /// Such as 2026-03, UTC.
        month: Month,
        /// Print CSV.
        #[arg(long)]
        csv: bool,
    },
    /// A company's credit through a month, and its upcoming payments.
    Statement {
        /// Number or name.
        company: String,
        /// Such as 2026-03, UTC.
        month: Month,
        /// Print CSV.
        #[arg(long)]
        csv: bool,
    },
    /// How many channels an office needs, and what they cost.
    Channels {
        /// How many people telephone.
        people: u32,
        /// Calls that each makes or takes in the busiest hour.
        #[arg(long, default_value_t = 2.0)]
        calls_an_hour: f64,
        /// Minutes of a call.
        #[arg(long, default_value_t = 3.0)]
        minutes_a_call: f64,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    if let Command::Channels { people, calls_an_hour, minutes_a_call } = command {
        return channels(context, Load { people, calls_an_hour, minutes_a_call });
    }
    let gateway = context.gateway().await?;
    let outcome = report(context, &gateway, command).await;
    gateway.close().await;
    outcome
}

async fn report(context: &Context, gateway: &Gateway, command: Command) -> Result<(), Failure> {
    let show = |report: &Value, text: fn(&Value) -> String| context.output.show(report, || text(report));
    match command {
        Command::Channels { .. } => {}
        Command::Usage { profile, month, csv } => {
            let path = format!("/profiles/{}/reports/usage", id(&find::profile(gateway, &profile).await?));
            if csv {
                return file(context, gateway, &path, month).await;
            }
            let usage = gateway.get(&of(&path, month)).await?;
            show(&usage, usage_text);
            if usage["is_proved"] != true {
                return Err(Failure::Refused("the ledger says otherwise than the records".to_owned()));
            }
        }
        Command::Allocations { profile, month, csv } => {
            let path =
                format!("/profiles/{}/reports/allocations", id(&find::profile(gateway, &profile).await?));
            match csv {
                true => file(context, gateway, &path, month).await?,
                false => show(&gateway.get(&of(&path, month)).await?, allocations_text),
            }
        }
        Command::Statement { company, month, csv } => {
            let path =
                format!("/companies/{}/reports/statement", id(&find::company(gateway, &company).await?));
            match csv {
                true => file(context, gateway, &path, month).await?,
                false => show(&gateway.get(&of(&path, month)).await?, statement_text),
            }
        }
    }
    Ok(())
}

fn of(path: &str, month: Month) -> String {
    asking(path, [("month", Some(month.to_string()))])
}

async fn file(context: &Context, gateway: &Gateway, path: &str, month: Month) -> Result<(), Failure> {
    context.output.write(&gateway.text(&of(&format!("{path}.csv"), month)).await?);
    Ok(())
}

fn usage_text(usage: &Value) -> String {
    let mut table = Table::new(["destination", "calls", "seconds", "billed", "by bundle", "amount"]);
    let fields = ["destination", "calls", "duration_s", "billed_s", "bundle_s", "amount"];
    for row in items(&usage["rows"]) {
        table.row(fields.map(|field| cell(&row[field])));
    }
    let mut total = fields.map(|field| cell(&usage["total"][field]));
    total[0] = "total".to_owned();
    table.row(total);
    table.text("")
}

fn allocations_text(allocations: &Value) -> String {
    let mut table = Table::new(["at", "kind", "amount", "note"]);
    for row in items(&allocations["rows"]) {
        let [kind, amount, note] = ["kind", "amount", "note"].map(|field| cell(&row[field]));
        table.row([when(&row["at"]), kind, amount, note]);
    }
    table.text("Nothing was allocated.")
}

fn statement_text(statement: &Value) -> String {
    let mut table = Table::new(["at", "kind", "amount", "credit", "profile", "note"]);
    for row in items(&statement["rows"]) {
        let [kind, amount, credit, profile, note] =
            ["kind", "amount", "balance", "profile", "note"].map(|field| cell(&row[field]));
        table.row([when(&row["at"]), kind, amount, credit, profile, note]);
    }
    let mut upcoming = Table::new(["to be paid", "for", "amount"]);
    for payment in items(&statement["upcoming"]) {
        let what = match &payment["profile"] {
            Value::Null => format!("number {}", cell(&payment["number"])),
            profile => format!("channels of profile {profile}"),
        };
        upcoming.row([when(&payment["at"]), what, cell(&payment["amount"])]);
    }
    let [month, opening, closing] = ["month", "opening", "closing"].map(|field| cell(&statement[field]));
    format!(
        "{month} from {opening} to {closing}\n{}\n{}",
        table.text("Nothing moved."),
        upcoming.text("Nothing is to be paid.")
    )
}

fn channels(context: &Context, load: Load) -> Result<(), Failure> {
    let channels = load.channels(LOST).ok_or_else(|| {
        Failure::Refused("one profile does not carry that: share the people among several".to_owned())
    })?;
    let order = Order { channels, bundles: 0 };
    let bought = provisioning_store::lifecycle::buy(
        &context.config.price_list(),
        order,
        None,
        provisioning_store::model::Timestamp(0),
    );
    let bought = bought.map_err(|refused| Failure::Refused(refused.to_string()))?;
    let price = shown::money(bought.channels_price, &json!(context.config.prices.currency));
    let json = json!({ "erlangs": load.erlangs(), "channels": bought.channels, "price": price });
    context.output.show(&json, || {
        format!(
            "{} channels: {:.2} calls at one time on average, and one in {} finds none free. {} a period.\n",
            bought.channels,
            load.erlangs(),
            (1.0 / LOST).round(),
            bought.channels_price
        )
    });
    Ok(())
}
