//! `sipgw carrier ...`

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ipnet::IpNet;
use provisioning_store::model::{
    Carrier, CarrierAuthentication, NewCarrier, NumberFormat, Srtp, Switch, Transport,
};
use provisioning_store::secrets::Password;

use super::failure::Failure;
use super::output::{Table, or_dash};
use super::{Context, find};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add a carrier.
    Add(Add),
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
    /// Without one, SRV records decide.
    #[arg(long)]
    port: Option<u16>,
    /// udp, tcp or tls.
    #[arg(long, default_value = "udp")]
    transport: Transport,
    /// Lower is tried first.
    #[arg(long, default_value_t = 10)]
    priority: u16,
    /// Share among those of the same priority.
    #[arg(long, default_value_t = 10)]
    weight: u16,
    /// The user name that the carrier gave; without one it knows the gateway by address.
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// The file that holds its password; `-` reads standard input. On the command line others could see it.
    #[arg(long, requires = "user")]
    password_file: Option<PathBuf>,
    /// An address or range that its calls may come from; may be repeated.
    #[arg(long = "source", value_parser = super::profile::network)]
    sources: Vec<IpNet>,
    /// How numbers are written towards it: plus_e164, e164, zero_zero or national.
    #[arg(long, default_value = "plus_e164")]
    format: NumberFormat,
    /// Leading characters to take off every called number, once it is in that format.
    #[arg(long, default_value_t = 0)]
    strip: u8,
    /// Put before what is left of the called number.
    #[arg(long, default_value = "")]
    prefix: String,
    /// Encryption of its media: auto, off, optional or required.
    #[arg(long, default_value = "off")]
    srtp: Srtp,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let store = context.store().await?;
    match command {
        Command::Add(add) => show(context, &[store.create_carrier(add.carrier()?).await?]),
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

impl Add {
    fn carrier(self) -> Result<NewCarrier, Failure> {
        let authentication = match (self.user, self.password_file) {
            (Some(user), Some(file)) => CarrierAuthentication::Digest { user, password: password(&file)? },
            _ => CarrierAuthentication::Ip,
        };
        Ok(NewCarrier {
            port: self.port,
            transport: self.transport,
            priority: self.priority,
            weight: self.weight,
            authentication,
            sources: self.sources,
            number_format: self.format,
            strip: self.strip,
            prefix: self.prefix,
            srtp: self.srtp,
            ..NewCarrier::new(self.name, self.host)
        })
    }
}

fn password(file: &Path) -> Result<Password, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::Refused(format!("{} cannot be read: {error}", file.display())))?;
    Ok(Password::new(text.trim_end_matches(['\r', '\n'])))
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
