//! `sipgw profile ...`

mod caller_id;
mod create;
mod guard;
mod rehearse;
mod settings;
mod show;

use clap::Subcommand;
use ipnet::IpNet;
use provisioning_store::ledger::CapStanding;
use provisioning_store::lifecycle::Order;
use provisioning_store::model::{
    Credentials, IpRule, NewIpRule, Profile, ProfileSettings, Recharge, Transport,
};
use provisioning_store::money::Micros;
use provisioning_store::store::Store;
use serde::Serialize;
use serde_json::json;
use sipgw::storage;

use self::create::Create;
use self::guard::Guard;
use self::settings::Settings;
use super::failure::Failure;
use super::output::{Table, or_dash, time};
use super::{Context, find};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create a profile; prints its user name and password.
    Create(Create),
    /// Show all profiles.
    List {
        /// Only this company's: number or name.
        #[arg(long)]
        company: Option<String>,
    },
    /// Show all of a profile: authentication and registration, channels, credit, accounts, numbers, Caller ID.
    Show {
        /// Number, SIP user or name.
        profile: String,
    },
    /// Show the user name and password for the PBX.
    ShowCredentials {
        /// Number, SIP user or name.
        profile: String,
    },
    /// Generate a new password. A running registration goes on until it has to be refreshed.
    NewPassword {
        /// Number, SIP user or name.
        profile: String,
    },
    /// Buy channels and bundles from the company's credit. What runs is ended and its unused part refunded.
    Channels {
        /// Number, SIP user or name.
        profile: String,
        /// 1 to 300; over 100 rounded to the nearest 10.
        channels: u32,
        /// Minute bundles; never more than channels.
        #[arg(long, default_value_t = 0)]
        bundles: u32,
    },
    /// Let the channels, and the bundles with them, run to the end of what is paid; then the profile is disabled.
    Cancel {
        /// Number, SIP user or name.
        profile: String,
    },
    /// Take a cancellation back while what is paid still runs, of the bundles too; it renews on its old date.
    Extend {
        /// Number, SIP user or name.
        profile: String,
    },
    /// Delete a profile. Its running calls are ended, its credit and numbers are the company's again, its business
    /// accounts are free, its call records go; a running subscription is not refunded.
    Delete {
        /// Number, SIP user or name.
        profile: String,
        /// Say that this is meant; `sipgw cdr list --profile` shows the records before they go.
        #[arg(long)]
        yes: bool,
    },
    /// Move credit between the company and the profile.
    #[command(subcommand)]
    Credit(Credit),
    /// Limits of what its calls may cost, whom they may reach and how long they may last.
    #[command(subcommand)]
    Guard(Guard),
    /// Move credit from the company whenever the profile's falls below a threshold.
    Recharge {
        /// Number, SIP user or name.
        profile: String,
        /// Below which.
        #[arg(long, default_value = "2.00")]
        below: Micros,
        /// How much.
        #[arg(long, default_value = "10.00")]
        amount: Micros,
        /// Never again.
        #[arg(long)]
        off: bool,
    },
    /// Change how the profile works; what is not named stays.
    Set {
        /// Number, SIP user or name.
        profile: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Let a PBX with IP authentication in from an address or a range.
    Allow {
        /// Number, SIP user or name.
        profile: String,
        /// Such as 203.0.113.7 or 203.0.113.0/28.
        #[arg(value_parser = network)]
        network: IpNet,
        /// Only from this UDP port; calls to the PBX go there too.
        #[arg(long)]
        port: Option<u16>,
        /// Over which transport.
        #[arg(long, default_value = "udp")]
        transport: Transport,
    },
    /// Show the addresses and ranges that profiles with IP authentication are let in from.
    Allowed {
        /// Only this profile's: number, SIP user or name.
        profile: Option<String>,
    },
    /// Take an address or range back. Calls that run go on.
    Disallow {
        /// Number, SIP user or name.
        profile: String,
        /// As it was allowed, such as 203.0.113.7 or 203.0.113.0/28; whatever its port and transport.
        #[arg(value_parser = network)]
        network: IpNet,
    },
    /// Set what calls show as the caller.
    CallerId(caller_id::Set),
    /// Show what calls of profiles show as the caller.
    CallerIds(caller_id::List),
    /// Say what a call of the profile to a number would do and cost, and why, without making it.
    Rehearse {
        /// Number, SIP user or name.
        profile: String,
        /// E.164, such as +3725551234.
        number: String,
    },
    /// Give a profile another name.
    Rename {
        /// Number, SIP user or name.
        profile: String,
        /// The new name.
        name: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Credit {
    /// From the company to the profile.
    Add {
        /// Number, SIP user or name.
        profile: String,
        /// Such as 10.00.
        amount: Micros,
    },
    /// From the profile back to the company.
    TakeBack {
        /// Number, SIP user or name.
        profile: String,
        /// Such as 10.00; all that no live call has reserved if left out.
        amount: Option<Micros>,
    },
}

/// An address is the network of itself.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| address())
        .map_err(|_| format!("\"{text}\" is not an address like 203.0.113.7 or 203.0.113.0/28"))
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let store = context.store().await?;
    obey(context, &store, command).await?;
    store.close().await;
    Ok(())
}

async fn obey(context: &Context, store: &Store, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(create) => return create::run(context, store, create).await,
        Command::Guard(command) => return guard::run(context, store, command).await,
        Command::List { company } => {
            let company = match company {
                Some(company) => Some(find::company(store, &company).await?.id),
                None => None,
            };
            show(context, store, &store.profiles(company).await?);
        }
        Command::ShowCredentials { profile } => {
            let profile = find::profile(store, &profile).await?;
            show_credentials(context, &profile, &store.credentials(profile.id).await?);
        }
        Command::NewPassword { profile } => {
            let profile = find::profile(store, &profile).await?;
            show_credentials(context, &profile, &store.new_password(profile.id).await?);
        }
        Command::Channels { profile, channels, bundles } => {
            let profile = find::profile(store, &profile).await?;
            let order = Order { channels, bundles };
            let prices = context.config.price_list();
            let (subscription, refund) = store.subscribe(storage::now(), profile.id, order, &prices).await?;
            context.output.show(&json!({ "subscription": subscription, "refund_micros": refund }), || {
                let until = time(subscription.paid_until.0);
                format!(
                    "{} channels, {} bundles until {until}; {refund} came back.\n",
                    subscription.channels, subscription.bundles
                )
            });
        }
        Command::Cancel { profile } => {
            let profile = find::profile(store, &profile).await?;
            let cancelled = store.cancel_subscription(storage::now(), profile.id).await?;
            context.output.show(&cancelled, || {
                let until = time(cancelled.paid_until.0);
                let days = context.config.prices.disabled_days;
                format!("{} works until {until}; {days} days later it is deleted.\n", profile.name)
            });
        }
        Command::Extend { profile } => {
            let profile = find::profile(store, &profile).await?;
            let extended = store.extend_subscription(storage::now(), profile.id).await?;
            context.output.show(&extended, || {
                format!("{} is renewed at {}.\n", profile.name, time(extended.paid_until.0))
            });
        }
        Command::Delete { profile, yes } => {
            let profile = find::profile(store, &profile).await?;
            if !yes {
                return Err(Failure::Refused(format!(
                    "{} would be deleted with its call records, and its {} go back to the company; say --yes",
                    profile.name, profile.credit
                )));
            }
            store.delete_profile(storage::now(), profile.id).await?;
            context.output.done(&format!("{} is deleted.", profile.name));
        }
        Command::Credit(Credit::Add { profile, amount }) => {
            let profile = find::profile(store, &profile).await?;
            show(context, store, &[store.allocate(storage::now(), profile.id, amount).await?]);
        }
        Command::Credit(Credit::TakeBack { profile, amount }) => {
            let profile = find::profile(store, &profile).await?;
            show(context, store, &[store.take_back(storage::now(), profile.id, amount).await?]);
        }
        Command::Recharge { profile, below, amount, off } => {
            let profile = find::profile(store, &profile).await?;
            let recharge = (!off).then_some(Recharge { threshold: below, amount });
            store.set_recharge(storage::now(), profile.id, recharge).await?;
            show(context, store, &[store.profile(profile.id).await?]);
            if recharge.is_some_and(|recharge| recharge.is_below_recommended()) {
                context.output.warn(&format!(
                    "These values are low: credit may run out within a call. {} below {} is recommended.",
                    Recharge::RECOMMENDED.amount,
                    Recharge::RECOMMENDED.threshold
                ));
            }
        }
        Command::Set { profile, settings } => {
            let profile = find::profile(store, &profile).await?;
            store.set_profile_settings(profile.id, settings.over(profile.settings)).await?;
            show(context, store, &[store.profile(profile.id).await?]);
        }
        Command::Allow { profile, network, port, transport } => {
            let profile = find::profile(store, &profile).await?;
            let rule = NewIpRule { network, port, transport };
            let id = store.add_ip_rule(profile.id, &rule).await?;
            context.output.show(&json!({ "id": id, "profile": profile.id, "rule": rule }), || {
                format!("{} is known at {network}.\n", profile.name)
            });
        }
        Command::Allowed { profile } => {
            let only = match profile {
                Some(profile) => Some(find::profile(store, &profile).await?.id),
                None => None,
            };
            let rules = store.ip_rules().await?;
            let shown: Vec<_> =
                rules.into_iter().filter(|rule| only.is_none_or(|only| rule.profile == only)).collect();
            show_rules(context, &shown);
        }
        Command::Disallow { profile, network } => {
            let profile = find::profile(store, &profile).await?;
            let rules = store.ip_rules().await?;
            let meant =
                |rule: &&IpRule| rule.profile == profile.id && rule.rule.network.trunc() == network.trunc();
            let meant: Vec<_> = rules.iter().filter(meant).collect();
            if meant.is_empty() {
                return Err(Failure::no_such(
                    "address of the profile",
                    &network.to_string(),
                    "sipgw profile allowed shows what there is",
                ));
            }
            for rule in meant {
                store.remove_ip_rule(rule.id).await?;
            }
            context.output.done(&format!("{} is no longer known at {network}.", profile.name));
        }
        Command::CallerId(set) => caller_id::set(context, store, set).await?,
        Command::CallerIds(list) => caller_id::list(context, store, list).await?,
        Command::Show { profile } => {
            let profile = find::profile(store, &profile).await?;
            show::show(context, store, profile).await?;
        }
        Command::Rehearse { profile, number } => rehearse::run(context, store, &profile, number).await?,
        Command::Rename { profile, name } => {
            let profile = find::profile(store, &profile).await?;
            store.rename_profile(profile.id, &name).await?;
            show(context, store, &[store.profile(profile.id).await?]);
        }
    }
    Ok(())
}

/// A profile with how it stands towards its spend caps.
#[derive(Serialize)]
struct ProfileView<'a> {
    #[serde(flatten)]
    profile: &'a Profile,
    caps: Vec<CapStanding>,
}

fn show(context: &Context, store: &Store, profiles: &[Profile]) {
    let now = storage::now();
    let view = |profile| ProfileView { profile, caps: store.cap_standings(profile, now) };
    let views: Vec<_> = profiles.iter().map(view).collect();
    context.output.show(&views, || {
        let mut table = Table::new([
            "id",
            "name",
            "user",
            "company",
            "channels",
            "in use",
            "credit",
            "bundle left",
            "spend caps",
            "paid until",
        ]);
        for ProfileView { profile, caps } in &views {
            let subscription = profile.subscription.as_ref();
            table.row([
                profile.id.to_string(),
                profile.name.clone(),
                profile.sip_user.clone(),
                profile.company.to_string(),
                or_dash(subscription.map(|subscription| subscription.channels)),
                profile.channels_in_use.to_string(),
                profile.credit.to_string(),
                format!("{} s", profile.bundle_left_s),
                guard::worst(caps),
                or_dash(subscription.map(|subscription| time(subscription.paid_until.0))),
            ]);
        }
        table.text("There is no profile yet: sipgw profile create COMPANY NAME")
    });
}

fn show_rules(context: &Context, rules: &[IpRule]) {
    context.output.show(&rules, || {
        let mut table = Table::new(["profile", "network", "port", "transport"]);
        for IpRule { profile, rule, .. } in rules {
            table.row([
                profile.to_string(),
                rule.network.to_string(),
                or_dash(rule.port),
                rule.transport.to_string(),
            ]);
        }
        table.text("No address is allowed: sipgw profile allow PROFILE NETWORK")
    });
}

fn show_credentials(context: &Context, profile: &Profile, credentials: &Credentials) {
    let domain = &context.config.node.domain;
    let json = json!({
        "profile": profile.id,
        "name": profile.name,
        "domain": domain,
        "user": credentials.sip_user,
        "password": credentials.password.reveal(),
    });
    context.output.show(&json, || {
        format!(
            "Profile   {} ({})\nDomain    {domain}\nUser      {}\nPassword  {}\n",
            profile.name,
            profile.id,
            credentials.sip_user,
            credentials.password.reveal()
        )
    });
}
