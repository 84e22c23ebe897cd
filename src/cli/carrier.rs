//! `sipgw carrier ...`

mod settings;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use provisioning_store::model::{Carrier, NewCarrier, Switch};

use self::settings::{Change, Settings};
use super::failure::Failure;
use super::output::{Table, or_dash};
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
    let store = context.store().await?;
    match command {
        Command::Add(add) => {
            let new = add.settings.over(NewCarrier::new(add.name, add.host))?;
            show(context, &[store.create_carrier(new).await?]);
        }
        Command::Change(change) => {
            let carrier = find::carrier(&store, &change.carrier).await?;
            let settings = change.over(carrier.settings)?;
            store.change_carrier(carrier.id, settings.clone()).await?;
            show(context, &[Carrier { id: carrier.id, settings }]);
        }
        Command::Disable { carrier } => {
            let carrier = find::carrier(&store, &carrier).await?;
            store.change_carrier(carrier.id, NewCarrier { active: Switch::Off, ..carrier.settings }).await?;
            show(context, &store.carriers().await?);
        }
        Command::Enable { carrier } => {
            let carrier = find::carrier(&store, &carrier).await?;
            store.change_carrier(carrier.id, NewCarrier { active: Switch::On, ..carrier.settings }).await?;
            show(context, &store.carriers().await?);
        }
        Command::Remove { carrier } => {
            let carrier = find::carrier(&store, &carrier).await?;
            store.remove_carrier(carrier.id).await?;
            context.output.done(&format!("The carrier {} is removed.", carrier.settings.name));
        }
        Command::List => show(context, &store.carriers().await?),
    }
    store.close().await;
    Ok(())
}

fn show(context: &Context, carriers: &[Carrier]) {
    context.output.show(&carriers, || {
        let mut table = Table::new([
            "id",
            "name",
            "host",
            "port",
            "transport",
            "priority",
            "weight",
            "sources",
            "active",
        ]);
        for carrier in carriers {
            let settings = &carrier.settings;
            let sources: Vec<String> = settings.sources.iter().map(IpNet::to_string).collect();
            table.row([
                carrier.id.to_string(),
                settings.name.clone(),
                settings.host.clone(),
                or_dash(settings.port),
                settings.transport.to_string(),
                settings.priority.to_string(),
                settings.weight.to_string(),
                or_dash(Some(sources.join(",")).filter(|sources| !sources.is_empty())),
                settings.active.to_string(),
            ]);
        }
        table.text("There is no carrier yet: sipgw carrier add NAME HOST")
    });
}
