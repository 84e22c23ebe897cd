//! `sipgw profile show`

use provisioning_store::ledger::CapStanding;
use provisioning_store::lifecycle::ProfileState;
use provisioning_store::model::{
    Authentication, BusinessAccount, CallerIdRule, Company, IpRule, NumberTarget, OnlineNumber, Profile,
};
use serde::Serialize;
use sipgw::http::view::RegistrationView;

use super::{Context, Failure, Store, guard, or_dash, storage, time};
use crate::cli::client::Client;
use crate::cli::output::Sheet;

/// All of a profile.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    profile: Profile,
    life: ProfileState,
    company_name: String,
    currency: String,
    registration: Registration,
    addresses: Vec<IpRule>,
    business_accounts: Vec<BusinessAccount>,
    numbers: Vec<OnlineNumber>,
    caller_ids: Vec<CallerIdRule>,
    caps: Vec<CapStanding>,
}

/// Whether the PBX is registered, and who says so.
#[derive(Serialize)]
struct Registration {
    /// `gateway` if it runs; otherwise `database`: what the last one that ran has left.
    according_to: &'static str,
    is_registered: bool,
    from: Option<String>,
    transport: Option<String>,
    user_agent: Option<String>,
    contact: Option<String>,
    expires_unix_s: Option<u64>,
}

pub(super) async fn show(context: &Context, store: &Store, profile: Profile) -> Result<(), Failure> {
    let whole = gather(context, store, profile).await?;
    context.output.show(&whole, || whole.text());
    Ok(())
}

async fn gather(context: &Context, store: &Store, profile: Profile) -> Result<Whole, Failure> {
    let id = profile.id;
    let Company { name: company_name, currency, .. } = store.company(profile.company).await?;
    let mut business_accounts = store.business_accounts().await?;
    business_accounts.retain(|account| account.profile == Some(id));
    let mut numbers = store.numbers().await?;
    numbers.retain(|number| match number.target {
        NumberTarget::Nobody => false,
        NumberTarget::Profile(profile) => profile == id,
        NumberTarget::BusinessAccount(account) => business_accounts.iter().any(|own| own.id == account),
    });
    let mut caller_ids = store.caller_ids().await?;
    caller_ids.retain(|rule| rule.profile == id);
    let mut addresses = store.ip_rules().await?;
    addresses.retain(|rule| rule.profile == id);
    let registration = registration(context, store, &profile).await?;
    let caps = store.cap_standings(&profile, storage::now());
    let life = profile.state(context.config.terms(), storage::now());
    Ok(Whole {
        profile,
        life,
        company_name,
        currency,
        registration,
        addresses,
        business_accounts,
        numbers,
        caller_ids,
        caps,
    })
}

async fn registration(context: &Context, store: &Store, profile: &Profile) -> Result<Registration, Failure> {
    let running: Result<Vec<RegistrationView>, Failure> = Client::new(&context.config).read("/registrations");
    if let Ok(all) = running {
        return Ok(Registration::of(all.into_iter().find(|one| one.profile == profile.id.0)));
    }
    let kept = store.load_registrations(storage::now()).await?;
    let found = kept.into_iter().find(|one| one.profile == profile.id);
    Ok(Registration {
        according_to: "database",
        is_registered: found.is_some(),
        from: found.as_ref().map(|one| one.source.clone()),
        transport: found.as_ref().map(|one| one.transport.to_string()),
        user_agent: found.as_ref().map(|one| one.user_agent.clone()).filter(|agent| !agent.is_empty()),
        contact: found.as_ref().map(|one| one.contact.clone()),
        expires_unix_s: found.and_then(|one| u64::try_from(one.expires_at.0 / 1_000_000).ok()),
    })
}

impl Registration {
    fn of(found: Option<RegistrationView>) -> Self {
        let is_registered = found.is_some();
        let (mut from, mut transport, mut user_agent, mut contact, mut expires_unix_s) =
            (None, None, None, None, None);
        if let Some(found) = found {
            (from, transport) = (Some(found.source), Some(found.transport));
            (user_agent, contact) = (found.user_agent, Some(found.contact));
            expires_unix_s = Some(found.expires_unix_s);
        }
        Self { according_to: "gateway", is_registered, from, transport, user_agent, contact, expires_unix_s }
    }

    fn facts(&self) -> Vec<String> {
        let known = match self.according_to {
            "gateway" => "",
            _ => " (no gateway answers; this is the last that is known)",
        };
        if !self.is_registered {
            return vec![format!("not registered{known}")];
        }
        let expires = self.expires_unix_s.and_then(|s| i64::try_from(s).ok()).unwrap_or_default();
        vec![
            format!(
                "registered from {} over {} until {}{known}",
                or_dash(self.from.as_ref()),
                or_dash(self.transport.as_ref()),
                time(expires.saturating_mul(1_000_000))
            ),
            format!("User-Agent {}", or_dash(self.user_agent.as_ref())),
        ]
    }
}

impl Whole {
    fn text(&self) -> String {
        let Profile { id, name, .. } = &self.profile;
        let mut sheet = Sheet::default();
        sheet.part("Authentication", self.authentication(), "");
        sheet.part("Channels", self.channels(), "no subscription: sipgw profile channels PROFILE CHANNELS");
        sheet.part("Credit", self.credit(), "");
        sheet.part("Spend caps", guard::facts(&self.caps), "none: sipgw profile guard set PROFILE");
        sheet.part("Business accounts", self.accounts(), "none");
        sheet.part("Online Numbers", self.numbers(), "none: sipgw number assign NUMBER --profile PROFILE");
        sheet.part("Caller ID", self.caller_ids(), "none is shown");
        sheet.part("Towards the PBX", self.manner(), "");
        sheet.text(&format!("{name} (profile {id} of {})", self.company_name))
    }

    fn authentication(&self) -> Vec<String> {
        let settings = &self.profile.settings;
        match settings.authentication {
            Authentication::Registration => {
                let user = &self.profile.sip_user;
                let mut facts = vec![format!("registration as {user}, digest {}", settings.digest)];
                facts.extend(self.registration.facts());
                facts
            }
            Authentication::Ip if self.addresses.is_empty() => {
                vec!["by address, but none is allowed: sipgw profile allow PROFILE NETWORK".to_owned()]
            }
            Authentication::Ip => {
                let address = |IpRule { rule, .. }: &IpRule| {
                    let port = rule.port.map_or_else(String::new, |port| format!(" port {port}"));
                    format!("by address {}{port} over {}", rule.network, rule.transport)
                };
                self.addresses.iter().map(address).collect()
            }
        }
    }

    fn channels(&self) -> Vec<String> {
        let Some(subscription) = &self.profile.subscription else { return Vec::new() };
        let until = time(subscription.paid_until.0);
        let paid = match self.life {
            ProfileState::Cancelled { .. } => format!("cancelled, works until {until}"),
            ProfileState::Disabled { deleted_at, .. } => format!(
                "ran out at {until}: no calls until channels are bought, and deleted at {}",
                time(deleted_at.0)
            ),
            _ => format!("paid until {until}, then renewed"),
        };
        let mut facts =
            vec![format!("{}, {} in use, {paid}", subscription.channels, self.profile.channels_in_use)];
        if subscription.bundles > 0 {
            let left = self.profile.bundle_left_s / 60;
            facts.push(format!("{} bundles, {left} minutes left", subscription.bundles));
        }
        facts
    }

    fn credit(&self) -> Vec<String> {
        let profile = &self.profile;
        let mut facts =
            vec![format!("{} {}, {} held by calls", profile.credit, self.currency, profile.reserved)];
        facts.push(match &profile.recharge {
            Some(recharge) => format!("{} comes when it falls below {}", recharge.amount, recharge.threshold),
            None => "no auto-recharge".to_owned(),
        });
        facts
    }

    fn accounts(&self) -> Vec<String> {
        let fact = |account: &BusinessAccount| match &account.extension {
            Some(extension) => format!("{}, reaches extension {extension}", account.name),
            None => account.name.clone(),
        };
        self.business_accounts.iter().map(fact).collect()
    }

    fn numbers(&self) -> Vec<String> {
        let through = |number: &OnlineNumber| match number.target {
            NumberTarget::BusinessAccount(id) => {
                let account = self.business_accounts.iter().find(|account| account.id == id);
                account.map_or_else(String::new, |account| format!(" through {}", account.name))
            }
            _ => String::new(),
        };
        self.numbers.iter().map(|number| format!("{}{}", number.number, through(number))).collect()
    }

    fn caller_ids(&self) -> Vec<String> {
        let fact = |rule: &CallerIdRule| {
            let to = rule.country.as_deref().map_or_else(|| "by default".to_owned(), |c| format!("to {c}"));
            format!("{} {to}, {}", rule.shown.number(), super::caller_id::kind(&rule.shown))
        };
        self.caller_ids.iter().map(fact).collect()
    }

    fn manner(&self) -> Vec<String> {
        let settings = &self.profile.settings;
        vec![format!(
            "SRTP {}, numbers as {}, Caller ID by call {}",
            settings.srtp, settings.presentation, settings.caller_id_by_call
        )]
    }
}
