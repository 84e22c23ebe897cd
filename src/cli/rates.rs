//! `sipgw rates ...`

use std::path::PathBuf;

use clap::Subcommand;
use provisioning_store::model::Timestamp;
use provisioning_store::store::STANDARD_PRICE_LIST;
use serde_json::Value;

use super::Context;
use super::cdr::moment;
use super::consent::Consent;
use super::deck::Deck;
use super::failure::Failure;
use super::gateway::{Gateway, asking, step};
use super::output::{Table, time};
use super::shown::{self, cell, when};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Put the rates of a deck in the place of the old ones, all or nothing. A call keeps the price that it began with.
    ///
    /// The deck is a CSV file with a heading: prefix, destination, rate_per_minute and, if needed, country, connection_fee,
    /// minimum_s and increment_s. Commas, semicolons, tabs or bars stand between its fields. The exports of ASTPP and
    /// MagnusBilling and the decks of Twilio, Telnyx and TelecomsXChange are understood as they are, and so are lists from
    /// A to Z with columns such as Destination, Code, Rate and Billing Increment.
    Import {
        /// The file; - is the standard input.
        file: PathBuf,
        /// Into this price list, which is made if it is not there.
        #[arg(long, default_value = STANDARD_PRICE_LIST)]
        list: String,
        /// In force from this time on, UTC: 2026-12-01 or 2026-12-01T08:00:00; at once if left out.
        #[arg(long, value_parser = moment)]
        from: Option<Timestamp>,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Show all rates of a price list as they are in force now.
    List {
        /// The price list.
        #[arg(long, default_value = STANDARD_PRICE_LIST)]
        list: String,
    },
    /// Show the price lists and their editions. `sipgw company price-list` chooses a list.
    #[command(visible_alias = "editions")]
    Lists,
    /// Take the newest edition of a price list back; the one before it holds again.
    Undo {
        /// The price list.
        #[arg(long, default_value = STANDARD_PRICE_LIST)]
        list: String,
        #[command(flatten)]
        consent: Consent,
    },
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
    // Before the database is taken: the file may not be there.
    let deck = match &command {
        Command::Import { file, .. } => Some(Deck::open(file).await?),
        _ => None,
    };
    let gateway = context.gateway().await?;
    let outcome = obey(context, &gateway, command, deck).await;
    gateway.close().await;
    outcome
}

async fn obey(
    context: &Context,
    gateway: &Gateway,
    command: Command,
    deck: Option<Deck>,
) -> Result<(), Failure> {
    match command {
        Command::Import { list, from, dry_run, .. } => {
            let deck = deck.expect("an import has opened its deck");
            import(context, gateway, deck, Wish { list, from, dry_run }).await
        }
        Command::Lists => {
            let editions = gateway.list("/price-lists").await?;
            context.output.list(&editions, || editions_shown(&editions));
            Ok(())
        }
        Command::Undo { list, consent } => undo(context, gateway, list, &consent).await,
        Command::List { list } => {
            let rates = gateway.list(&asking("/rates", [("price_list", Some(list))])).await?;
            context.output.list(&rates, || table(&rates));
            Ok(())
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
            Ok(())
        }
    }
}

/// What is to be done with a deck.
struct Wish {
    list: String,
    from: Option<Timestamp>,
    dry_run: bool,
}

async fn import(context: &Context, gateway: &Gateway, deck: Deck, wish: Wish) -> Result<(), Failure> {
    let Wish { list, from, dry_run } = wish;
    let questions = [
        ("price_list", Some(list.clone())),
        ("from", from.map(shown::moment)),
        ("dry_run", dry_run.then(|| "true".to_owned())),
    ];
    let imported = gateway.put_deck(&asking("/rates", questions), deck).await?;
    let rates = cell(&imported["rates"]);
    context.output.show(&imported, || {
        let mut text = match (dry_run, from) {
            (true, _) => format!("{rates} rates can be imported into {list}. Nothing was changed.\n"),
            (false, Some(from)) => format!("{rates} rates of {list} are in use from {}.\n", time(from.0)),
            (false, None) => format!("{rates} rates of {list} are in use.\n"),
        };
        text += &left_out(&imported);
        if dry_run { text + &changes(&imported["changes"]) } else { text + &summary(&imported["changes"]) }
    });
    Ok(())
}

/// What of a deck of another layout was not taken.
fn left_out(imported: &Value) -> String {
    let mut text = String::new();
    if imported["layout"] != "sipgw" {
        text += &format!("The deck has the layout of {}.\n", cell(&imported["layout"]));
    }
    if let Some(lines) = imported["lines_left_out"].as_u64().filter(|lines| *lines > 0) {
        text += &format!("{lines} lines were left out: they hold for some callers only, or are barred.\n");
    }
    let columns: Vec<_> = imported["columns_left_out"].as_array().into_iter().flatten().map(cell).collect();
    if !columns.is_empty() {
        text += &format!("These columns were left out: {}.\n", columns.join(", "));
    }
    text
}

fn summary(changes: &Value) -> String {
    let [new, gone, dearer, cheaper, unchanged] =
        ["new", "gone", "dearer", "cheaper", "unchanged"].map(|field| cell(&changes["prefixes"][field]));
    format!("Prefixes: {new} new, {gone} gone, {dearer} dearer, {cheaper} cheaper, {unchanged} unchanged.\n")
}

/// What a deck changes, by destination.
fn changes(changes: &Value) -> String {
    let destinations: Vec<_> = changes["destinations"].as_array().into_iter().flatten().collect();
    if destinations.is_empty() {
        return summary(changes);
    }
    let mut table =
        Table::new(["destination", "new", "gone", "dearer", "cheaper", "highest before", "after"]);
    for one in &destinations {
        let [new, gone, dearer, cheaper] =
            ["new", "gone", "dearer", "cheaper"].map(|field| cell(&one["prefixes"][field]));
        let [name, before, after] =
            ["destination", "highest_before", "highest_after"].map(|field| cell(&one[field]));
        table.row([name, new, gone, dearer, cheaper, before, after]);
    }
    let total = changes["destinations_total"].as_u64().unwrap_or_default();
    let more = match total.saturating_sub(destinations.len() as u64) {
        0 => String::new(),
        more => format!("{more} more destinations change.\n"),
    };
    format!("{}{more}{}", table.text(""), summary(changes))
}

async fn undo(context: &Context, gateway: &Gateway, list: String, consent: &Consent) -> Result<(), Failure> {
    let editions = gateway.list("/price-lists").await?;
    let of_list = editions.iter().filter(|edition| edition["price_list"] == list.as_str());
    let newest = of_list.filter(|edition| edition["state"] != "replaced").max_by_key(|it| it["id"].as_i64());
    let Some(newest) = newest else {
        return Err(Failure::no_such("price list", &list, "sipgw rates lists shows them"));
    };
    let (id, rates) = (cell(&newest["id"]), cell(&newest["rates"]));
    let what = format!(
        "the edition {id} of {list} with {rates} rates is taken back, and the one before it holds again"
    );
    consent.to(gateway, &what).await?;
    let left = gateway.delete(&format!("/price-lists/{}/editions/{id}", step(&list))).await?;
    let left: Vec<Value> = left["items"].as_array().cloned().unwrap_or_default();
    context.output.show(&left, || format!("The edition {id} was taken back.\n{}", editions_shown(&left)));
    Ok(())
}

fn editions_shown(editions: &[Value]) -> String {
    let mut table = Table::new(["edition", "price list", "from", "rates", "state", "imported"]);
    for edition in editions {
        table.row([
            cell(&edition["id"]),
            cell(&edition["price_list"]),
            when(&edition["from"]),
            cell(&edition["rates"]),
            cell(&edition["state"]).replace('_', " "),
            when(&edition["imported_at"]),
        ]);
    }
    table.text("There are no rates yet: sipgw rates import FILE")
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
