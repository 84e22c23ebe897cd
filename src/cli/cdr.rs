//! `sipgw cdr ...`

use clap::{Args, Subcommand};
use provisioning_store::cdr::Direction;
use provisioning_store::model::Timestamp;
use serde_json::{Value, json};

use super::failure::Failure;
use super::gateway::{Gateway, asking, step};
use super::output::Table;
use super::shown::{self, cell, items, when};
use super::{Context, find};

/// Records on a page.
const PAGE: usize = 50;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show records, newest first, 50 on a page.
    List(List),
    /// Show everything about one call.
    Show {
        /// The name in the first column of the list.
        call: String,
    },
}

#[derive(Args)]
pub(crate) struct List {
    /// Only this profile's: number, SIP user or name.
    #[arg(long)]
    profile: Option<String>,
    /// Only this company's: number or name.
    #[arg(long)]
    company: Option<String>,
    /// incoming or outgoing.
    #[arg(long)]
    direction: Option<Direction>,
    /// Begun at or after this time, UTC: 2026-03-01 or 2026-03-01T08:00:00.
    #[arg(long, value_parser = moment)]
    since: Option<Timestamp>,
    /// Begun before this time.
    #[arg(long, value_parser = moment)]
    before: Option<Timestamp>,
    /// Caller or called number contains this.
    #[arg(long)]
    number: Option<String>,
    /// Only those that ended for this reason, such as `no_credit`.
    #[arg(long)]
    reason: Option<String>,
    /// Only answered calls.
    #[arg(long, conflicts_with = "unanswered")]
    answered: bool,
    /// Only calls that were not answered.
    #[arg(long)]
    unanswered: bool,
    /// Which page.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    page: u16,
}

/// A day or a moment of it, UTC.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let at = text.parse::<jiff::civil::DateTime>();
    let at = at.or_else(|_| text.parse::<jiff::civil::Date>().map(|day| day.at(0, 0, 0, 0)));
    let at = at.and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC));
    at.map(|at| Timestamp(at.timestamp().as_microsecond()))
        .map_err(|_| format!("\"{text}\" is not a time; write one like 2026-03-01 or 2026-03-01T08:00:00"))
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let gateway = context.gateway().await?;
    match command {
        Command::List(list) => {
            let page = usize::from(list.page);
            let path = list.path(&gateway).await?;
            // One more than is shown tells whether another page follows.
            let mut found = gateway.first(page * PAGE + 1, &path).await?;
            let has_more = found.len() > page * PAGE;
            found.truncate(page * PAGE);
            let rows = found.split_off(found.len().min((page - 1) * PAGE));
            let json = json!({ "items": rows, "page": page, "has_more": has_more });
            context.output.show(&json, || {
                let next = page + 1;
                let more = if has_more {
                    format!("--page {next} shows older ones")
                } else {
                    "the last one".to_owned()
                };
                format!("{}Page {page}, {more}.\n", text(&rows))
            });
        }
        Command::Show { call } => {
            let found = gateway.find(&format!("/cdrs/{}", step(&call))).await?;
            let cdr = found.ok_or_else(|| {
                Failure::no_such("record of the call", &call, "sipgw cdr list shows what there is")
            })?;
            context.output.show(&cdr, || details(&cdr));
        }
    }
    gateway.close().await;
    Ok(())
}

impl List {
    async fn path(self, gateway: &Gateway) -> Result<String, Failure> {
        let is_answered = match (self.answered, self.unanswered) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        let questions = [
            ("profile", find::profile_if_any(gateway, self.profile.as_deref()).await?),
            ("company", find::company_if_any(gateway, self.company.as_deref()).await?),
            ("direction", self.direction.map(|direction| direction.to_string())),
            ("since", self.since.map(shown::moment)),
            ("before", self.before.map(shown::moment)),
            ("number", self.number),
            ("reason_code", self.reason),
            ("is_answered", is_answered.map(|it| it.to_string())),
        ];
        Ok(asking("/cdrs", questions))
    }
}

fn text(cdrs: &[Value]) -> String {
    let mut table = Table::new(["call", "began", "direction", "from", "to", "seconds", "amount", "reason"]);
    for cdr in cdrs {
        let [call, direction, from, to, seconds, amount, reason] =
            ["call", "direction", "from", "to", "duration_s", "amount", "reason_code"]
                .map(|field| cell(&cdr[field]));
        table.row([call, when(&cdr["started_at"]), direction, from, to, seconds, amount, reason]);
    }
    table.text("No call fits.")
}

fn details(cdr: &Value) -> String {
    let said = |field: &str| cell(&cdr[field]);
    let lines = [
        ("Call", said("call")),
        ("Profile", said("profile")),
        ("Company", said("company")),
        ("Kind", format!("{} {}", said("direction"), said("kind"))),
        ("From", said("from")),
        ("To", said("to")),
        ("Destination", said("destination")),
        ("Began", when(&cdr["started_at"])),
        ("Answered", when(&cdr["answered_at"])),
        ("Ended", when(&cdr["ended_at"])),
        ("Talked", format!("{} s", said("duration_s"))),
        ("Billed", format!("{} s, of these {} s by bundle", said("billed_s"), said("bundle_s"))),
        ("Amount", said("amount")),
        ("Paid by", said("payer")),
        ("Reason", format!("{} ({})", said("reason"), said("reason_code"))),
        ("Status", said("sip_status")),
        ("Cause", said("cause")),
        ("Carrier", said("carrier_name")),
        ("Media", said("media")),
        ("User-Agent", said("user_agent")),
        ("Call-IDs", said("call_ids")),
    ];
    let attempts = items(&cdr["attempts"]).map(|attempt| ("Tried", tried(attempt)));
    lines.into_iter().chain(attempts).map(|(name, text)| format!("{name:<12}{text}\n")).collect()
}

/// An attempt to reach a carrier, on one line.
fn tried(attempt: &Value) -> String {
    let said = |field: &str| cell(&attempt[field]);
    let answer = match (&attempt["sip_status"], &attempt["cause"]) {
        (Value::Null, _) => "no answer".to_owned(),
        (status, Value::Null) => format!("status {status}"),
        (status, cause) => format!("status {status}, cause {cause}"),
    };
    let (name, address, took, sentence) =
        (said("carrier_name"), said("address"), said("took_ms"), said("sentence"));
    let words = match &attempt["said"] {
        Value::Null => String::new(),
        words => format!(" It said: {}", cell(words)),
    };
    format!("{name} at {address}, {answer}, {took} ms. {sentence}{words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_midnight() {
        assert_eq!(moment("1970-01-02").unwrap().0, 86_400_000_000);
        assert_eq!(moment("1970-01-01T00:00:01").unwrap().0, 1_000_000);
        assert!(moment("yesterday").unwrap_err().contains("2026-03-01"));
    }
}
