//! `sipgw profile caller-id` and `caller-ids`

use clap::Args;
use provisioning_store::model::{CallerId, CallerIdRule};

use super::{Context, Failure, Store, Table, find};

#[derive(Args)]
pub(crate) struct Set {
    /// Number, SIP user or name.
    profile: String,
    /// An Online Number of the profile, or with --landline a landline number of the company; `none` shows none.
    number: String,
    /// Only for calls to this country, two letters; for all that have none of their own if left out.
    #[arg(long)]
    country: Option<String>,
    /// The number is a stored landline number.
    #[arg(long)]
    landline: bool,
}

#[derive(Args)]
pub(crate) struct List {
    /// Only this profile's: number, SIP user or name.
    #[arg(conflicts_with = "company")]
    profile: Option<String>,
    /// Only those of this company's profiles: number or name.
    #[arg(long)]
    company: Option<String>,
}

pub(super) async fn set(context: &Context, store: &Store, set: Set) -> Result<(), Failure> {
    let profile = find::profile(store, &set.profile).await?;
    let shown = match (set.number.as_str(), set.landline) {
        ("none", _) => None,
        (_, true) => Some(CallerId::Landline(set.number)),
        (_, false) => {
            let number = find::number(store, &set.number).await?;
            Some(CallerId::OnlineNumber(number.number))
        }
    };
    store.set_caller_id(profile.id, set.country.as_deref(), shown.as_ref()).await?;
    let to = set.country.map_or_else(String::new, |country| format!(" to {}", country.to_uppercase()));
    context.output.done(&match &shown {
        Some(shown) => format!("{} shows {}{to}.", profile.name, shown.number()),
        None => format!("{} shows no number of its own{to}.", profile.name),
    });
    Ok(())
}

pub(super) async fn list(context: &Context, store: &Store, list: List) -> Result<(), Failure> {
    let profiles = match (list.profile, list.company) {
        (Some(profile), _) => vec![find::profile(store, &profile).await?],
        (None, Some(company)) => store.profiles(Some(find::company(store, &company).await?.id)).await?,
        (None, None) => store.profiles(None).await?,
    };
    let name = |rule: &CallerIdRule| profiles.iter().find(|p| p.id == rule.profile).map(|p| p.name.clone());
    let mut rules = store.caller_ids().await?;
    rules.retain(|rule| name(rule).is_some());
    context.output.show(&rules, || {
        let mut table = Table::new(["profile", "calls to", "shows", "which is"]);
        for rule in &rules {
            table.row([
                name(rule).unwrap_or_default(),
                rule.country.clone().unwrap_or_else(|| "all others".to_owned()),
                rule.shown.number().to_owned(),
                kind(&rule.shown).to_owned(),
            ]);
        }
        table.text("No number is shown: sipgw profile caller-id PROFILE NUMBER")
    });
    Ok(())
}

/// Which sort of number it is.
pub(super) fn kind(shown: &CallerId) -> &'static str {
    match shown {
        CallerId::OnlineNumber(_) => "an Online Number",
        CallerId::Landline(_) => "a landline number",
    }
}
