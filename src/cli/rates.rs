//! `sipgw rates ...`

use std::path::PathBuf;

use clap::Subcommand;
use provisioning_store::model::Timestamp;
use provisioning_store::store::STANDARD_PRICE_LIST;
use serde_json::Value;

use super::Context;
use super::cdr::moment;
use super::failure::Failure;
use super::gateway::{Gateway, asking};
use super::output::{Table, time};
use super::shown::{self, cell, when};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Put the rates of a CSV file in the place of the old ones, all or nothing. A call keeps the price that it began with.
    Import {
        /// The file.
        file: PathBuf,
        /// Into this price list, which is made if it is not there.
        #[arg(long, default_value = STANDARD_PRICE_LIST)]
        list: String,
        /// In force from this time on, UTC: 2026-12-01 or 2026-12-01T08:00:00; at once if left out.
        #[arg(long, value_parser = moment)]
        from: Option<Timestamp>,
    },
    /// Show all rates of a price list as they are in force now.
    List {
        /// The price list.
        #[arg(long, default_value = STANDARD_PRICE_LIST)]
        list: String,
    },
    /// Show the price lists and from when their editions hold. `sipgw company price-list` chooses one.
    Lists,
    /// Show what a call to a number costs.
    Quote {
        /// E.164, such as +3725551234.
        number: String,
        /// By this price list.
        #[arg(long, default_value = STANDARD_PRICE_LIST)]
        list: String,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    // Before the database is taken: the file may be a pipe that takes its time.
    let csv = match &command {
        Command::Import { file, .. } => std::fs::read_to_string(file)
            .map_err(|error| Failure::Refused(format!("{} cannot be read: {error}", file.display())))?,
        _ => String::new(),
    };
    let gateway = context.gateway().await?;
    let outcome = obey(context, &gateway, command, csv).await;
    gateway.close().await;
    outcome
}

async fn obey(context: &Context, gateway: &Gateway, command: Command, csv: String) -> Result<(), Failure> {
    match command {
        Command::Import { list, from, .. } => {
            let questions = [("price_list", Some(list.clone())), ("from", from.map(shown::moment))];
            let imported = gateway.put_csv(&asking("/rates", questions), csv).await?;
            let rates = cell(&imported["rates"]);
            context.output.show(&imported, || match from {
                Some(from) => format!("{rates} rates of {list} are in use from {}.\n", time(from.0)),
                None => format!("{rates} rates of {list} are in use.\n"),
            });
        }
        Command::Lists => {
            let editions = gateway.list("/price-lists").await?;
            context.output.show(&editions, || {
                let mut table = Table::new(["price list", "from", "rates"]);
                for edition in &editions {
                    table.row([
                        cell(&edition["price_list"]),
                        when(&edition["from"]),
                        cell(&edition["rates"]),
                    ]);
                }
                table.text("There are no rates yet: sipgw rates import FILE")
            });
        }
        Command::List { list } => {
            let rates = gateway.list(&asking("/rates", [("price_list", Some(list))])).await?;
            context.output.show(&rates, || table(&rates));
        }
        Command::Quote { number, list } => {
            gateway.learn().await?;
            let questions = [("number", Some(number)), ("price_list", Some(list))];
            let quote = gateway.get(&asking("/rates/quote", questions)).await?;
            context.output.show(&quote, || {
                let [destination, rate, fee, least, step] =
                    ["destination", "rate_per_minute", "connection_fee", "minimum_s", "increment_s"]
                        .map(|field| cell(&quote[field]));
                format!(
                    "{destination}: {rate} a minute, {fee} for the answer, at least {least} s, then steps of {step} s.\n"
                )
            });
        }
    }
    Ok(())
}

fn table(rates: &[Value]) -> String {
    let mut table = Table::new(["prefix", "destination", "country", "minute", "answer", "least", "step"]);
    for rate in rates {
        let [prefix, destination, country, minute, answer] =
            ["prefix", "destination", "country", "rate_per_minute", "connection_fee"]
                .map(|field| cell(&rate[field]));
        let [least, step] = ["minimum_s", "increment_s"].map(|field| format!("{} s", cell(&rate[field])));
        table.row([prefix, destination, country, minute, answer, least, step]);
    }
    table.text("There are no rates yet: sipgw rates import FILE")
}
