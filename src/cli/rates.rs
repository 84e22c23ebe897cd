//! `sipgw rates ...`

use std::path::PathBuf;

use clap::Subcommand;
use provisioning_store::store::STANDARD_PRICE_LIST;
use serde_json::json;

use super::Context;
use super::failure::Failure;
use super::output::{Table, or_dash};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Put the rates of a CSV file in the place of the old ones, all or nothing.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Show all rates.
    List,
    /// Show what a call to a number costs.
    Quote {
        /// E.164, such as +3725551234.
        number: String,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let store = context.store().await?;
    match command {
        Command::Import { file } => {
            let csv = std::fs::read_to_string(&file)
                .map_err(|error| Failure::Refused(format!("{} cannot be read: {error}", file.display())))?;
            let rates = store.import_rates(STANDARD_PRICE_LIST, &csv).await?;
            context.output.show(&json!({ "rates": rates }), || format!("{rates} rates are in use.\n"));
        }
        Command::List => {
            let table = store.rates(STANDARD_PRICE_LIST).await?;
            let rates = table.rates();
            context.output.show(&rates, || {
                let mut table =
                    Table::new(["prefix", "destination", "country", "minute", "answer", "least", "step"]);
                for rate in &rates {
                    table.row([
                        rate.prefix.clone(),
                        rate.destination.clone(),
                        or_dash(Some(&rate.country).filter(|country| !country.is_empty())),
                        rate.rate_per_minute.to_string(),
                        rate.connection_fee.to_string(),
                        format!("{} s", rate.minimum_s),
                        format!("{} s", rate.increment_s),
                    ]);
                }
                table.text("There are no rates yet: sipgw rates import FILE")
            });
        }
        Command::Quote { number } => {
            let us_bundle = context.config.us_bundle().map_err(Failure::Refused)?;
            let quote = store.rates(STANDARD_PRICE_LIST).await?.quote(&number, &us_bundle);
            let quote = quote
                .ok_or_else(|| Failure::no_such("rate for", &number, "import rates with a prefix of it"))?;
            context.output.show(&quote, || {
                format!(
                    "{}: {} a minute, {} for the answer, at least {} s, then steps of {} s.\n",
                    quote.destination,
                    quote.tariff.rate_per_minute,
                    quote.tariff.connection_fee,
                    quote.tariff.minimum_s,
                    quote.tariff.increment_s
                )
            });
        }
    }
    store.close().await;
    Ok(())
}
