//! `sipgw carrier ...`

mod settings;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::settings::{Change, Settings};
use super::consent::Consent;
use super::failure::Failure;
use super::gateway::Gateway;
use super::output::Table;
use super::shown::{cell, id, items, text, when};
use super::{Context, find};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add a carrier.
    Add(Add),
    /// Change a carrier; what is not named stays. Calls that run go on as they began.
    Change(Change),
    /// Send no more calls to a carrier; those that come from it are still taken.
    Disable {
        /// Number or name.
        carrier: String,
    },
    /// Send calls to a carrier again.
    Enable {
        /// Number or name.
        carrier: String,
    },
    /// Remove a carrier.
    Remove {
        /// Number or name.
        carrier: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Show all carriers in the order in which they are tried.
    List,
}

#[derive(Args)]
pub(crate) struct Add {
    /// A label.
    name: String,
    /// Domain name or address.
    host: String,
    #[command(flatten)]
    settings: Settings,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let gateway = context.gateway().await?;
    let outcome = obey(context, &gateway, command).await;
    gateway.close().await;
    outcome
}

async fn obey(context: &Context, gateway: &Gateway, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add(Add { name, host, settings }) => {
            let mut new = settings.fields()?;
            new.insert("name".to_owned(), name.into());
            new.insert("host".to_owned(), host.into());
            show(context, &[gateway.post("/carriers", new.into()).await?]);
        }
        Command::Change(change) => {
            let carrier = find::carrier(gateway, &change.carrier).await?;
            let changed = gateway.patch(&place(&carrier), change.fields()?.into()).await?;
            show(context, &[changed]);
        }
        Command::Disable { carrier } => switch(context, gateway, &carrier, false).await?,
        Command::Enable { carrier } => switch(context, gateway, &carrier, true).await?,
        Command::Remove { carrier, consent } => {
            let carrier = find::carrier(gateway, &carrier).await?;
            let others = gateway.list("/carriers").await?;
            let is_left = |other: &&Value| other["is_active"] == true && other["id"] != carrier["id"];
            let left = others.iter().filter(is_left).count();
            let what = format!(
                "{} would be removed with its password, its calls be refused, and calls to the network be left {left} active \
                 carriers",
                text(&carrier["name"])
            );
            consent.to(gateway, &what).await?;
            gateway.delete(&place(&carrier)).await?;
            context.output.done(&format!("The carrier {} is removed.", text(&carrier["name"])));
        }
        Command::List => show(context, &gateway.list("/carriers").await?),
    }
    Ok(())
}

fn place(carrier: &Value) -> String {
    format!("/carriers/{}", id(carrier))
}

async fn switch(context: &Context, gateway: &Gateway, wanted: &str, is_active: bool) -> Result<(), Failure> {
    let carrier = find::carrier(gateway, wanted).await?;
    gateway.patch(&place(&carrier), json!({ "is_active": is_active })).await?;
    show(context, &gateway.list("/carriers").await?);
    Ok(())
}

fn show(context: &Context, carriers: &[Value]) {
    let mut carriers = carriers.to_vec();
    // In the order in which they are tried.
    carriers.sort_by_key(|carrier| (carrier["priority"].as_u64(), id(carrier)));
    context.output.list(&carriers, || {
        let columns =
            ["id", "name", "host", "port", "transport", "priority", "weight", "sources", "active", "state"];
        let mut table = Table::new(columns);
        for carrier in &carriers {
            let mut row = columns.map(|field| cell(&carrier[field]));
            row[8] = if carrier["is_active"] == true { "on" } else { "off" }.to_owned();
            row[9] = state(carrier);
            table.row(row);
        }
        let mut text = table.text("There is no carrier yet: sipgw carrier add NAME HOST");
        carriers.iter().for_each(|carrier| text.push_str(&troubles(carrier)));
        text
    });
}

/// Whether calls are sent to a carrier; unknown before the first one.
fn state(carrier: &Value) -> String {
    match items(&carrier["addresses"]).next() {
        Some(_) => text(&carrier["state"]).replace('_', " "),
        None => "-".to_owned(),
    }
}

/// A line for each address of a carrier that is not up, and one if nobody would recognise it.
fn troubles(carrier: &Value) -> String {
    let is_unknown = |list: &Value| list.as_array().is_some_and(Vec::is_empty);
    let nowhere = match is_unknown(&carrier["hosts"]) && is_unknown(&carrier["sources"]) {
        true => format!(
            "{}: {} leads to no address and there are no sources, so its calls are refused: sipgw carrier change --source\n",
            text(&carrier["name"]),
            text(&carrier["host"])
        ),
        false => String::new(),
    };
    let is_down = |address: &&Value| address["state"] != "up";
    let line = |address: &Value| {
        let name = text(&carrier["name"]);
        let at = address["address"].as_str().map(|at| format!(" at {at}")).unwrap_or_default();
        let next = match address["retry_at"] {
            Value::Null => "A call tries it now.".to_owned(),
            ref at => format!("The next call after {} tries it.", when(at)),
        };
        let since = when(&address["down_since"]);
        format!("{name}{at} is down since {since}: {} {next}\n", text(&address["reason"]))
    };
    nowhere + &items(&carrier["addresses"]).filter(is_down).map(line).collect::<String>()
}
