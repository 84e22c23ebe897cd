//! `sipgw rates ...`

use std::path::PathBuf;

use clap::Subcommand;
use provisioning_store::model::Timestamp;
use provisioning_store::store::STANDARD_PRICE_LIST;
use serde_json::json;
use sipgw::storage;

use super::Context;
use super::cdr::moment;
use super::failure::Failure;
use super::output::{Table, or_dash, time};

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
    let store = context.store().await?;
    match command {
        Command::Import { file, list, from } => {
            let csv = std::fs::read_to_string(&file)
                .map_err(|error| Failure::Refused(format!("{} cannot be read: {error}", file.display())))?;
            let rates = store.import_rates(storage::now(), &list, from, &csv).await?;
            context.output.show(&json!({ "rates": rates }), || match from {
                Some(from) => format!("{rates} rates of {list} are in use from {}.\n", time(from.0)),
                None => format!("{rates} rates of {list} are in use.\n"),
            });
        }
        Command::Lists => {
            let editions = store.editions().await?;
            context.output.show(&editions, || {
                let mut table = Table::new(["price list", "from", "rates"]);
                for edition in &editions {
                    let from = Some(edition.from).filter(|from| from.0 > 0);
                    table.row([
                        edition.price_list.clone(),
                        or_dash(from.map(|from| time(from.0))),
                        edition.rates.to_string(),
                    ]);
                }
                table.text("There are no rates yet: sipgw rates import FILE")
            });
        }
        Command::List { list } => {
            let table = store.rates(&list, storage::now()).await?;
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
        Command::Quote { number, list } => {
            let us_bundle = context.config.us_bundle().map_err(Failure::Refused)?;
            let quote = store.rates(&list, storage::now()).await?.quote(&number, &us_bundle);
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
