//! `sipgw cdr ...`

use clap::{Args, Subcommand};
use provisioning_store::cdr::{Answer, CallId, Cdr, CdrFilter, Direction};
use provisioning_store::model::Timestamp;
use provisioning_store::store::Store;

use super::failure::Failure;
use super::output::{Table, time};
use super::{Context, find};

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
    #[arg(long, default_value_t = 1)]
    page: u32,
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
    let store = context.store().await?;
    match command {
        Command::List(list) => {
            let page = list.page;
            let found = store.cdrs(&list.filter(&store).await?, page).await?;
            context.output.show(&found, || {
                let (pages, total) = (found.pages(), found.total);
                format!("{}Page {page} of {pages}, {total} records.\n", text(&found.rows))
            });
        }
        Command::Show { call } => {
            let found = store.cdr(&CallId::new(&call)).await?;
            let cdr = found.ok_or_else(|| {
                Failure::no_such("record of the call", &call, "sipgw cdr list shows what there is")
            })?;
            context.output.show(&cdr, || details(&cdr));
        }
    }
    store.close().await;
    Ok(())
}

impl List {
    async fn filter(self, store: &Store) -> Result<CdrFilter, Failure> {
        let profile = match self.profile {
            Some(profile) => Some(find::profile(store, &profile).await?.id),
            None => None,
        };
        let company = match self.company {
            Some(company) => Some(find::company(store, &company).await?.id),
            None => None,
        };
        let answer = match (self.answered, self.unanswered) {
            (true, _) => Some(Answer::Answered),
            (_, true) => Some(Answer::Unanswered),
            _ => None,
        };
        Ok(CdrFilter {
            profile,
            company,
            direction: self.direction,
            since: self.since,
            before: self.before,
            number: self.number,
            reason_code: self.reason,
            answer,
        })
    }
}

fn text(cdrs: &[Cdr]) -> String {
    let mut table = Table::new(["call", "began", "direction", "from", "to", "seconds", "amount", "reason"]);
    for cdr in cdrs {
        let (attempt, ending) = (&cdr.record.attempt, &cdr.record.ending);
        table.row([
            cdr.call.to_string(),
            time(attempt.started_at.0),
            attempt.direction.to_string(),
            attempt.from.clone(),
            attempt.to.clone(),
            cdr.settlement.duration_s.to_string(),
            cdr.settlement.amount.to_string(),
            ending.reason_code.clone(),
        ]);
    }
    table.text("No call fits.")
}

fn details(cdr: &Cdr) -> String {
    let (attempt, ending, settlement) = (&cdr.record.attempt, &cdr.record.ending, &cdr.settlement);
    let lines = [
        ("Call", cdr.call.to_string()),
        ("Profile", super::output::or_dash(cdr.record.profile)),
        ("Kind", format!("{} {}", attempt.direction, attempt.kind)),
        ("From", attempt.from.clone()),
        ("To", attempt.to.clone()),
        ("Destination", attempt.destination.clone()),
        ("Began", time(attempt.started_at.0)),
        ("Answered", super::output::or_dash(ending.answered_at.map(|at| time(at.0)))),
        ("Ended", time(ending.ended_at.0)),
        ("Talked", format!("{} s", settlement.duration_s)),
        ("Billed", format!("{} s, of these {} s by bundle", settlement.billed_s, settlement.bundle_s)),
        ("Amount", settlement.amount.to_string()),
        ("Reason", format!("{} ({})", ending.reason, ending.reason_code)),
        ("Status", super::output::or_dash(ending.sip_status)),
        ("Carrier", ending.carrier.clone()),
        ("Media", ending.media.clone()),
        ("User-Agent", ending.user_agent.clone()),
        ("Call-IDs", format!("{} {}", ending.caller_call_id, ending.callee_call_id)),
    ];
    lines
        .iter()
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(name, text)| format!("{name:<12}{text}\n"))
        .collect()
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
