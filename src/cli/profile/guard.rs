//! `sipgw profile guard`

use clap::{Args, Subcommand};
use provisioning_store::ledger::CapStanding;
use provisioning_store::model::{Countries, GuardOverrides, Override, Profile};
use serde_json::json;

use super::{Context, Failure, Micros, Store, Table, find, or_dash, storage, time};

#[derive(Subcommand)]
pub(crate) enum Guard {
    /// Show the limits in force, where each is set, and how much of the caps is used.
    Show {
        /// Number, SIP user or name.
        profile: String,
    },
    /// Change limits; what is not named stays. `none` lifts a limit, `default` returns to the configuration's.
    Set {
        /// Number, SIP user or name.
        profile: String,
        #[command(flatten)]
        limits: Box<Limits>,
    },
    /// Let the profile spend on: the caps of this hour and day begin anew now.
    Release {
        /// Number, SIP user or name.
        profile: String,
    },
}

#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Limits {
    /// Most that calls may cost in an hour (UTC), such as 20.00.
    #[arg(long, value_name = "AMOUNT")]
    hour_cap: Option<Override<Micros>>,
    /// Most that calls may cost in a day (UTC).
    #[arg(long, value_name = "AMOUNT")]
    day_cap: Option<Override<Micros>>,
    /// Highest price of a minute.
    #[arg(long, value_name = "AMOUNT")]
    highest_rate: Option<Override<Micros>>,
    /// The only countries that may be called, such as US,GB.
    #[arg(long, value_name = "COUNTRIES")]
    allowed: Option<Override<Countries>>,
    /// Countries that may not be called.
    #[arg(long, value_name = "COUNTRIES")]
    denied: Option<Override<Countries>>,
    /// Most calls at once to one country.
    #[arg(long, value_name = "CALLS")]
    calls_to_one_country: Option<Override<u32>>,
    /// Longest call in seconds.
    #[arg(long, value_name = "SECONDS")]
    longest_call_s: Option<Override<u32>>,
    /// Percent of a cap at which a warning is given; `none` for no warning.
    #[arg(long, value_name = "PERCENT")]
    warn_percent: Option<Override<u8>>,
}

impl Limits {
    /// What is named replaces what is there.
    fn over(self, before: GuardOverrides) -> GuardOverrides {
        GuardOverrides {
            hour_cap: self.hour_cap.unwrap_or(before.hour_cap),
            day_cap: self.day_cap.unwrap_or(before.day_cap),
            highest_rate: self.highest_rate.unwrap_or(before.highest_rate),
            allowed: self.allowed.unwrap_or(before.allowed),
            denied: self.denied.unwrap_or(before.denied),
            calls_to_one_country: self.calls_to_one_country.unwrap_or(before.calls_to_one_country),
            longest_call_s: self.longest_call_s.unwrap_or(before.longest_call_s),
            warn_percent: self.warn_percent.unwrap_or(before.warn_percent),
        }
    }
}

pub(super) async fn run(context: &Context, store: &Store, command: Guard) -> Result<(), Failure> {
    let (Guard::Show { profile: wanted }
    | Guard::Set { profile: wanted, .. }
    | Guard::Release { profile: wanted }) = &command;
    let profile = find::profile(store, wanted).await?;
    match command {
        Guard::Show { .. } => {}
        Guard::Set { limits, .. } => {
            store.set_spend_guard(storage::now(), profile.id, limits.over(profile.guard)).await?;
        }
        Guard::Release { .. } => store.release_spend_guard(storage::now(), profile.id).await?,
    }
    show(context, store, &store.profile(profile.id).await?);
    Ok(())
}

fn show(context: &Context, store: &Store, profile: &Profile) {
    let caps = store.cap_standings(profile, storage::now());
    let json = json!({
        "profile": profile.id,
        "limits": store.spend_guard(profile),
        "set_by_profile": profile.guard,
        "spending": profile.spending.at(storage::now()),
        "caps": caps,
    });
    context.output.show(&json, || format!("{}\n{}", limits(store, profile), standings(&caps)));
}

fn limits(store: &Store, profile: &Profile) -> String {
    let (guard, own) = (store.spend_guard(profile), &profile.guard);
    let denied = Some(guard.denied).filter(|denied| !denied.is_empty());
    let mut table = Table::new(["limit", "in force", "set by"]);
    let mut row = |limit: &str, in_force: String, is_own: bool| {
        let set_by = if is_own { "profile" } else { "configuration" };
        table.row([limit.to_owned(), in_force, set_by.to_owned()]);
    };
    row("cost of an hour", or_dash(guard.hour_cap), own.hour_cap.is_own());
    row("cost of a day", or_dash(guard.day_cap), own.day_cap.is_own());
    row("price of a minute", or_dash(guard.highest_rate), own.highest_rate.is_own());
    row("allowed countries", or_dash(guard.allowed), own.allowed.is_own());
    row("denied countries", or_dash(denied), own.denied.is_own());
    row(
        "calls at once to one country",
        or_dash(guard.calls_to_one_country),
        own.calls_to_one_country.is_own(),
    );
    row("seconds of a call", or_dash(guard.longest_call_s), own.longest_call_s.is_own());
    row("percent to warn at", or_dash(guard.warn_percent), own.warn_percent.is_own());
    table.text("")
}

fn standings(caps: &[CapStanding]) -> String {
    let mut table = Table::new(["cap", "used", "of", "state", "renews at"]);
    for cap in caps {
        table.row([
            cap.window.to_string(),
            cap.committed.to_string(),
            cap.cap.to_string(),
            cap.state.to_string(),
            time(cap.renews_at.0),
        ]);
    }
    table.text("What calls cost is not capped.")
}

/// The state of the cap that is nearest, for a table of profiles.
pub(super) fn worst(caps: &[CapStanding]) -> String {
    let worst = caps.iter().max_by_key(|cap| cap.state);
    or_dash(worst.map(|cap| format!("{} ({})", cap.state, cap.window)))
}

/// How the caps stand, a sentence each.
pub(super) fn facts(caps: &[CapStanding]) -> Vec<String> {
    let fact = |it: &CapStanding| {
        let renews_at = time(it.renews_at.0);
        format!(
            "this {}: {} of {} used, {}; renews at {renews_at}",
            it.window, it.committed, it.cap, it.state
        )
    };
    caps.iter().map(fact).collect()
}
