//! `sipgw profile guard`

use clap::{Args, Subcommand};
use provisioning_store::ledger::CapState;
use provisioning_store::model::{Countries, Override, Premium};
use serde_json::{Value, json};

use super::{Context, Failure, Gateway, Micros, Table, below, cell, currency, find, money, when};
use crate::cli::output::or_dash;
use crate::cli::shown::items;

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
    /// Let the profile spend on: the caps of this hour and day start again from zero.
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
    /// Most calls a second that may begin, refused and repeated ones included.
    #[arg(long, value_name = "CALLS")]
    calls_per_second: Option<Override<u32>>,
    /// Whether premium numbers may be called: allow or deny.
    #[arg(long, value_name = "RULE")]
    premium: Option<Override<Premium>>,
    /// Percent of a cap at which a warning is given; `none` for no warning.
    #[arg(long, value_name = "PERCENT")]
    warn_percent: Option<Override<u8>>,
}

/// A limit as the API takes it: null returns to the configuration's.
fn limit<T>(wanted: Override<T>, own: impl Fn(T) -> Value) -> Value {
    match wanted {
        Override::Inherited | Override::Begun(None) => Value::Null,
        Override::Lifted => json!("none"),
        Override::Set(wanted) | Override::Begun(Some(wanted)) => own(wanted),
    }
}

impl Limits {
    /// What is named, as the API calls it.
    fn fields(self, currency: &Value) -> Value {
        let amount = |wanted: Option<Override<Micros>>| wanted.map(|it| limit(it, |it| money(it, currency)));
        let countries = |wanted: Option<Override<Countries>>| wanted.map(|it| limit(it, |it| json!(it)));
        let fields = [
            ("hour_cap", amount(self.hour_cap)),
            ("day_cap", amount(self.day_cap)),
            ("highest_rate", amount(self.highest_rate)),
            ("allowed_countries", countries(self.allowed)),
            ("denied_countries", countries(self.denied)),
            ("calls_to_one_country", self.calls_to_one_country.map(|it| limit(it, |it| json!(it)))),
            ("longest_call_s", self.longest_call_s.map(|it| limit(it, |it| json!(it)))),
            ("calls_per_second", self.calls_per_second.map(|it| limit(it, |it| json!(it)))),
            ("premium", self.premium.map(|it| limit(it, |it| json!(it)))),
            ("warn_percent", self.warn_percent.map(|it| limit(it, |it| json!(it)))),
        ];
        let named = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(named.collect())
    }
}

pub(super) async fn run(context: &Context, gateway: &Gateway, command: Guard) -> Result<(), Failure> {
    let (Guard::Show { profile: wanted }
    | Guard::Set { profile: wanted, .. }
    | Guard::Release { profile: wanted }) = &command;
    let profile = find::profile(gateway, wanted).await?;
    let path = below(&profile, "/spend-guard");
    match command {
        Guard::Show { .. } => {}
        Guard::Set { limits, .. } => drop(gateway.patch(&path, limits.fields(currency(&profile))).await?),
        Guard::Release { .. } => drop(gateway.post(&format!("{path}/release"), Value::Null).await?),
    }
    let mut guard = gateway.get(&path).await?;
    guard["profile"] = profile["id"].clone();
    guard["caps"] = gateway.get(&below(&profile, "")).await?["caps"].take();
    context.output.show(&guard, || format!("{}\n{}", limits(&guard), standings(&guard["caps"])));
    Ok(())
}

fn limits(guard: &Value) -> String {
    let mut table = Table::new(["limit", "in force", "set by"]);
    for (words, name) in [
        ("cost of an hour", "hour_cap"),
        ("cost of a day", "day_cap"),
        ("price of a minute", "highest_rate"),
        ("allowed countries", "allowed_countries"),
        ("denied countries", "denied_countries"),
        ("calls at once to one country", "calls_to_one_country"),
        ("seconds of a call", "longest_call_s"),
        ("calls a second", "calls_per_second"),
        ("premium numbers", "premium"),
        ("percent to warn at", "warn_percent"),
    ] {
        let is_in = |list: &str| items(&guard[list]).any(|own| own == name);
        let set_by = match () {
            () if is_in("own") => "profile",
            () if is_in("begun_with") => "creation",
            () => "configuration",
        };
        table.row([words.to_owned(), cell(&guard["in_force"][name]), set_by.to_owned()]);
    }
    table.text("")
}

/// The limits that every profile should have, in one line.
pub(super) fn in_short(limits: &Value) -> String {
    let most = |name: &str, of: &str| match limits[name].is_null() {
        true => format!("any {of}"),
        false => format!("{} {of}", cell(&limits[name])),
    };
    let premium = if limits["premium"] == "deny" { "none may be called" } else { "may be called" };
    let [hour, day] = [most("hour_cap", "an hour"), most("day_cap", "a day")];
    format!("{hour}, {day}, {}; premium numbers: {premium}", most("calls_per_second", "calls a second"))
}

fn standings(caps: &Value) -> String {
    let mut table = Table::new(["cap", "used", "of", "state", "renews at"]);
    for cap in items(caps) {
        let [window, used, of, state] =
            ["window", "committed", "cap", "state"].map(|field| cell(&cap[field]));
        table.row([window, used, of, state, when(&cap["renews_at"])]);
    }
    table.text("What calls cost is not capped.")
}

/// The state of the cap that is nearest, for a table of profiles.
pub(super) fn worst(caps: &Value) -> String {
    let state = |cap: &&Value| serde_json::from_value::<CapState>(cap["state"].clone()).ok();
    let worst = items(caps).max_by_key(state);
    or_dash(worst.map(|cap| format!("{} ({})", cell(&cap["state"]), cell(&cap["window"]))))
}

/// How the caps stand, a sentence each.
pub(super) fn facts(caps: &Value) -> Vec<String> {
    let fact = |cap: &Value| {
        let [window, used, of, state] =
            ["window", "committed", "cap", "state"].map(|field| cell(&cap[field]));
        format!("this {window}: {used} of {of} used, {state}; renews at {}", when(&cap["renews_at"]))
    };
    items(caps).map(fact).collect()
}
