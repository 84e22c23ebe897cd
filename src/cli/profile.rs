//! `sipgw profile ...`

mod address;
mod caller_id;
mod create;
mod guard;
mod rehearse;
mod settings;
mod show;
mod subscription;

use clap::Subcommand;
use ipnet::IpNet;
use provisioning_store::model::{Recharge, Transport};
use provisioning_store::money::Micros;
use serde_json::{Value, json};

use self::create::Create;
use self::guard::Guard;
use self::settings::Settings;
use super::consent::Consent;
use super::failure::Failure;
use super::gateway::{Gateway, asking};
use super::output::Table;
use super::shown::{cell, given, id, money, text, when};
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
    /// Buy channels and bundles from the company's credit. What runs is ended and its unused part refunded; price, refund and
    /// next payment are shown first.
    Channels {
        /// Number, SIP user or name.
        profile: String,
        /// 1 to 300; over 100 rounded to the nearest 10. Left out: as many as there are.
        channels: Option<u32>,
        /// Minute bundles; never more than channels. Left out: as many as there are.
        #[arg(long)]
        bundles: Option<u32>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Let the channels, and the bundles with them, run to the end of what is paid; then the profile is disabled.
    Cancel {
        /// Number, SIP user or name.
        profile: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Take a cancellation back while what is paid still runs, of the bundles too; it renews on its old date.
    Extend {
        /// Number, SIP user or name.
        profile: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Delete a profile. Its running calls are ended, its credit and numbers are the company's again, its business
    /// accounts are free, its call records go (`sipgw cdr list --profile` shows them before); a running subscription is not
    /// refunded.
    Delete {
        /// Number, SIP user or name.
        profile: String,
        #[command(flatten)]
        consent: Consent,
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
        /// Over which transport: udp if left out, tls with a certificate.
        #[arg(long)]
        transport: Option<Transport>,
        /// Only who shows a client certificate with this DNS name, such as pbx.example.com; the network may then be
        /// 0.0.0.0/0.
        #[arg(long)]
        certificate: Option<String>,
    },
    /// Show the addresses and ranges that profiles with IP authentication are let in from.
    Allowed {
        /// Only this profile's: number, SIP user or name.
        profile: Option<String>,
        /// Only claims that wait for an operator.
        #[arg(long)]
        pending: bool,
    },
    /// Confirm an address or range that a company has claimed: make sure first that it is the company's.
    Confirm {
        /// Number, SIP user or name.
        profile: String,
        /// As it was claimed, such as 203.0.113.7 or 203.0.113.0/28; whatever its port, transport and certificate.
        #[arg(value_parser = network)]
        network: IpNet,
    },
    /// Take an address or range back. Calls that run go on.
    Disallow {
        /// Number, SIP user or name.
        profile: String,
        /// As it was allowed, such as 203.0.113.7 or 203.0.113.0/28; whatever its port, transport and certificate.
        #[arg(value_parser = network)]
        network: IpNet,
        /// Only the rule that asks for this certificate.
        #[arg(long)]
        certificate: Option<String>,
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
    /// Refuse all calls of a profile and to it. Calls that run go on; its subscription goes on.
    Suspend {
        /// Number, SIP user or name.
        profile: String,
        /// Why, for people.
        #[arg(long)]
        reason: String,
    },
    /// Let a suspended profile call and be called again.
    Resume {
        /// Number, SIP user or name.
        profile: String,
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
    let gateway = context.gateway().await?;
    let outcome = obey(context, &gateway, command).await;
    gateway.close().await;
    outcome
}

async fn obey(context: &Context, gateway: &Gateway, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(create) => create::run(context, gateway, create).await?,
        Command::Guard(command) => guard::run(context, gateway, command).await?,
        Command::List { company } => {
            let company = find::company_if_any(gateway, company.as_deref()).await?;
            show(context, &gateway.list(&asking("/profiles", [("company", company)])).await?);
        }
        Command::ShowCredentials { profile } => {
            let profile = find::profile(gateway, &profile).await?;
            show_credentials(context, &profile, &gateway.get(&below(&profile, "/credentials")).await?);
        }
        Command::NewPassword { profile } => {
            let profile = find::profile(gateway, &profile).await?;
            let path = below(&profile, "/credentials");
            show_credentials(context, &profile, &gateway.post(&path, Value::Null).await?);
        }
        Command::Channels { profile, channels, bundles, consent } => {
            subscription::buy(context, gateway, &profile, (channels, bundles), &consent).await?;
        }
        Command::Cancel { profile, consent } => {
            subscription::cancel(context, gateway, &profile, &consent).await?
        }
        Command::Extend { profile, consent } => {
            subscription::extend(context, gateway, &profile, &consent).await?
        }
        Command::Delete { profile, consent } => delete(context, gateway, &profile, &consent).await?,
        Command::Credit(command) => move_credit(context, gateway, command).await?,
        Command::Recharge { profile, below: threshold, amount, off } => {
            let recharge = (!off).then_some(Recharge { threshold, amount });
            set_recharge(context, gateway, &profile, recharge).await?;
        }
        Command::Set { profile, settings } => {
            let path = below(&find::profile(gateway, &profile).await?, "");
            show(context, &[gateway.patch(&path, json!({ "settings": settings.fields() })).await?]);
        }
        Command::Allow { profile, network, port, transport, certificate } => {
            let rule = given(json!({
                "network": network, "port": port, "transport": transport, "certificate": certificate
            }));
            address::allow(context, gateway, &profile, rule).await?;
        }
        Command::Allowed { profile, pending } => {
            let which = if pending { address::Which::Pending } else { address::Which::All };
            address::list(context, gateway, profile, which).await?;
        }
        Command::Confirm { profile, network } => {
            address::confirm(context, gateway, &profile, network).await?;
        }
        Command::Disallow { profile, network, certificate } => {
            address::disallow(context, gateway, &profile, network, certificate.as_deref()).await?
        }
        Command::CallerId(set) => caller_id::set(context, gateway, set).await?,
        Command::CallerIds(list) => caller_id::list(context, gateway, list).await?,
        Command::Show { profile } => {
            let profile = find::profile(gateway, &profile).await?;
            show::show(context, gateway, profile).await?;
        }
        Command::Rehearse { profile, number } => rehearse::run(context, gateway, &profile, &number).await?,
        Command::Suspend { profile, reason } => suspend(context, gateway, &profile, Some(&reason)).await?,
        Command::Resume { profile } => suspend(context, gateway, &profile, None).await?,
        Command::Rename { profile, name } => {
            let path = below(&find::profile(gateway, &profile).await?, "");
            show(context, &[gateway.patch(&path, json!({ "name": name })).await?]);
        }
    }
    Ok(())
}

/// Stops a profile's calls for a reason, or without one lets them be made again.
async fn suspend(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    reason: Option<&str>,
) -> Result<(), Failure> {
    let path = below(&find::profile(gateway, profile).await?, "/suspension");
    let changed = match reason {
        Some(reason) => gateway.put(&path, json!({ "reason": reason })).await?,
        None => gateway.delete(&path).await?,
    };
    show(context, &[changed]);
    Ok(())
}

async fn delete(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    consent: &Consent,
) -> Result<(), Failure> {
    let profile = find::profile(gateway, profile).await?;
    let [name, credit] = ["name", "credit"].map(|field| cell(&profile[field]));
    let what =
        format!("{name} would be deleted with its call records, and its {credit} go back to the company");
    consent.to(gateway, &what).await?;
    gateway.delete(&below(&profile, "")).await?;
    context.output.done(&format!("{name} is deleted."));
    Ok(())
}

async fn move_credit(context: &Context, gateway: &Gateway, command: Credit) -> Result<(), Failure> {
    let (profile, path, amount) = match command {
        Credit::Add { profile, amount } => (profile, "/allocations", Some(amount)),
        Credit::TakeBack { profile, amount } => (profile, "/returns", amount),
    };
    let profile = find::profile(gateway, &profile).await?;
    let moved = given(json!({ "amount": amount.map(|amount| money(amount, currency(&profile))) }));
    show(context, &[gateway.post(&below(&profile, path), moved).await?]);
    Ok(())
}

/// The path of something of a profile's.
fn below(profile: &Value, rest: &str) -> String {
    format!("/profiles/{}{rest}", id(profile))
}

/// The currency of whoever pays for a profile.
fn currency(profile: &Value) -> &Value {
    &profile["credit"]["currency"]
}

async fn set_recharge(
    context: &Context,
    gateway: &Gateway,
    profile: &str,
    recharge: Option<Recharge>,
) -> Result<(), Failure> {
    let profile = find::profile(gateway, profile).await?;
    let path = below(&profile, "/recharge");
    let changed = match recharge {
        None => gateway.delete(&path).await?,
        Some(Recharge { threshold, amount }) => {
            let currency = currency(&profile);
            let wanted =
                json!({ "threshold": money(threshold, currency), "amount": money(amount, currency) });
            gateway.put(&path, wanted).await?
        }
    };
    if let Some(warning) = changed["recharge"]["warning"].as_str() {
        context.output.warn(warning);
    }
    show(context, &[changed]);
    Ok(())
}

fn show(context: &Context, profiles: &[Value]) {
    context.output.list(profiles, || {
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
        for profile in profiles {
            let [id, name, user, company, in_use, credit] =
                ["id", "name", "sip_user", "company", "channels_in_use", "credit"]
                    .map(|field| cell(&profile[field]));
            let subscription = &profile["subscription"];
            table.row([
                id,
                name,
                user,
                company,
                cell(&subscription["channels"]),
                in_use,
                credit,
                format!("{} s", cell(&profile["bundle_left_s"])),
                guard::worst(&profile["caps"]),
                when(&subscription["paid_until"]),
            ]);
        }
        table.text("There is no profile yet: sipgw profile create COMPANY NAME")
    });
}

fn show_credentials(context: &Context, profile: &Value, credentials: &Value) {
    let [domain, user, password] = ["domain", "sip_user", "password"].map(|field| text(&credentials[field]));
    let [id, name] = ["id", "name"].map(|field| cell(&profile[field]));
    let json = json!({
        "profile": profile["id"],
        "name": name,
        "domain": domain,
        "sip_user": user,
        "password": password,
        "limits": profile["limits"],
    });
    context.output.show(&json, || {
        let limits = guard::in_short(&profile["limits"]);
        format!(
            "Profile   {name} ({id})\nDomain    {domain}\nUser      {user}\nPassword  {password}\nLimits    {limits}\n"
        )
    });
}
