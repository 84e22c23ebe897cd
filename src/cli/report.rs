//! `sipgw report ...`

use clap::Subcommand;
use provisioning_store::lifecycle::Order;
use provisioning_store::reports::{AllocationRow, Month, Payee, Statement, Usage, csv};
use provisioning_store::sizing::Load;
use serde_json::json;

use super::failure::Failure;
use super::output::{Table, or_dash, time};
use super::{Context, find};

/// Of how many calls one may find no channel free.
const LOST: f64 = 0.01;

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
    let store = context.store().await?;
    match command {
        Command::Channels { .. } => {}
        Command::Usage { profile, month, csv: true } => {
            let profile = find::profile(&store, &profile).await?;
            context.output.write(&csv(&store.usage_records(profile.id, month).await?));
        }
        Command::Usage { profile, month, csv: false } => {
            let profile = find::profile(&store, &profile).await?;
            let usage = store.usage(profile.id, month).await?;
            let ledger = store.usage_by_ledger(profile.id, month).await?;
            context.output.show(&json!({ "usage": usage, "ledger": ledger }), || usage_text(&usage));
            if (ledger.amount, ledger.bundle_s) != (usage.total.amount, usage.total.bundle_s) {
                let (report, books) = (usage.total.amount, ledger.amount);
                return Err(Failure::Refused(format!("the records say {report} and the ledger {books}")));
            }
        }
        Command::Allocations { profile, month, csv: as_csv } => {
            let profile = find::profile(&store, &profile).await?;
            let rows = store.allocations(profile.id, month).await?;
            match as_csv {
                true => context.output.write(&csv(&rows)),
                false => context.output.show(&rows, || allocations_text(&rows)),
            }
        }
        Command::Statement { company, month, csv: as_csv } => {
            let company = find::company(&store, &company).await?;
            let statement = store.statement(company.id, month, &context.config.price_list()).await?;
            match as_csv {
                true => context.output.write(&csv(&statement.rows)),
                false => context.output.show(&statement, || statement_text(&statement)),
            }
        }
    }
    store.close().await;
    Ok(())
}

fn usage_text(usage: &Usage) -> String {
    let mut table = Table::new(["destination", "calls", "seconds", "billed", "by bundle", "amount"]);
    for row in usage.rows.iter().chain([&usage.total]) {
        let is_total = std::ptr::eq(row, &usage.total);
        table.row([
            if is_total { "total".to_owned() } else { row.destination.clone() },
            row.calls.to_string(),
            row.duration_s.to_string(),
            row.billed_s.to_string(),
            row.bundle_s.to_string(),
            row.amount.to_string(),
        ]);
    }
    table.text("")
}

fn allocations_text(rows: &[AllocationRow]) -> String {
    let mut table = Table::new(["at", "kind", "amount", "note"]);
    for row in rows {
        table.row([time(row.at.0), row.kind.to_string(), row.amount.to_string(), row.note.clone()]);
    }
    table.text("Nothing was allocated.")
}

fn statement_text(statement: &Statement) -> String {
    let mut table = Table::new(["at", "kind", "amount", "credit", "profile", "note"]);
    for row in &statement.rows {
        table.row([
            time(row.at.0),
            row.kind.to_string(),
            row.amount.to_string(),
            row.balance.to_string(),
            or_dash(row.profile),
            row.note.clone(),
        ]);
    }
    let mut upcoming = Table::new(["to be paid", "for", "amount"]);
    for payment in &statement.upcoming {
        let what = match payment.payee {
            Payee::Profile(profile) => format!("channels of profile {profile}"),
            Payee::Number(number) => format!("number {number}"),
        };
        upcoming.row([time(payment.at.0), what, payment.amount.to_string()]);
    }
    let (opening, closing) = (statement.opening, statement.closing);
    format!(
        "{} from {opening} to {closing}\n{}\n{}",
        statement.month,
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
    let json = json!({ "erlangs": load.erlangs(), "channels": bought.channels, "price_micros": bought.channels_price });
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
