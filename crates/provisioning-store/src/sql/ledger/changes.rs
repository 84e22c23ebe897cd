//! Writes what a batch changed: its rows go as JSON into the [`script`].

use std::collections::{BTreeMap, BTreeSet};

use super::super::listed::{NO_ROWS, Row, Rows};
use super::super::rows::{carrier_attempts_text, guard_text};
use super::super::{Connection, failed};
use super::script::{self, COUNTED};
use crate::cdr::{Attempt, CallId, Cdr};
use crate::error::StoreError;
use crate::ledger::{Books, Changes, Difference, Payer, Reservation, Spending, Subscriber, Transfer};
use crate::model::ProfileId;
use crate::rating::{BundleCover, Tariff};

/// What must be true of the database for a batch's outcomes to be right.
pub(super) struct Premise<'a> {
    /// Nobody else has written since.
    pub(super) version: i64,
    /// Calls that were refused as new ones; had one been over, that would have been the reason.
    pub(super) unused: Vec<&'a CallId>,
}

/// What a batch changed, ready to be written.
pub(super) struct Written {
    /// Of each statement of the [`script`].
    pub(super) rows: [String; 14],
    /// How many rows the counted statements have to change.
    pub(super) wanted: [u64; 3],
}

impl Written {
    pub(super) fn new(owner: &str, premise: &Premise<'_>, books: &Books, changes: &Changes) -> Self {
        let mut unused = Rows::default();
        for call in &premise.unused {
            unused.add().put(call.as_str());
        }
        let mut accounts = Rows::default();
        for account in &changes.opened {
            accounts.add().put(account.to_string()).put(i64::from(account.has_floor())).put(0).put(0);
        }
        let mut differences = Rows::default();
        for (account, by) in changes.differences.iter().filter(|(_, by)| **by != Difference::default()) {
            differences.add().put(account.to_string()).put(by.balance).put(by.reserved);
        }
        let mut subscribers = Rows::default();
        for (profile, subscriber) in those(&changes.profiles, &books.subscribers) {
            put_subscriber(&mut subscribers.add(), profile, subscriber);
        }
        let mut spending = Rows::default();
        for (profile, spent) in those(&changes.spending, &books.spending) {
            put_spending(&mut spending.add(), profile, spent);
        }
        let calls = Calls::of(owner, books, changes);
        let holds = Holds::of(owner, books, changes);
        let mut transfers = Rows::default();
        changes.transfers.iter().for_each(|transfer| put_transfer(&mut transfers.add(), transfer));
        let mut cdrs = Rows::default();
        changes.cdrs.iter().for_each(|cdr| put_cdr(&mut cdrs.add(), cdr));

        let wanted = [differences.count, calls.new.count, calls.changed.count];
        let subscribers = subscribers.into_text();
        let rows = [
            unused.into_text(),
            accounts.into_text(),
            differences.into_text(),
            subscribers.clone(),
            subscribers.clone(),
            subscribers,
            spending.into_text(),
            calls.new.into_text(),
            calls.changed.into_text(),
            calls.over.into_text(),
            holds.kept.into_text(),
            holds.gone.into_text(),
            transfers.into_text(),
            cdrs.into_text(),
        ];
        Self { rows, wanted }
    }

    /// Whether there is anything for a statement of the script, by its place.
    pub(super) fn has_rows(&self, place: usize) -> bool {
        // The first statement has none.
        place.checked_sub(1).and_then(|index| self.rows.get(index)).is_some_and(|rows| rows != NO_ROWS)
    }

    /// Writes it; a conflict if the premise does not hold, or the books are not as the rules saw
    /// them.
    pub(super) async fn write(
        self,
        connection: &mut Connection,
        premise: &Premise<'_>,
    ) -> Result<(), StoreError> {
        let done = script::run(connection, self.rows).await.map_err(conflict_or_failed)?;
        let is_as_read = done.read == [premise.version, 0];
        let mut counts = COUNTED.into_iter().zip(self.wanted);
        let is_whole = counts.all(|(statement, rows)| done.written.get(statement) == Some(&rows));
        if is_as_read && is_whole { Ok(()) } else { Err(StoreError::Conflict) }
    }
}

/// What is there already is what another writer has put there.
fn conflict_or_failed(error: sqlx::Error) -> StoreError {
    let is_there = error.as_database_error().is_some_and(|error| error.is_unique_violation());
    if is_there { StoreError::Conflict } else { failed("writing the ledger")(error) }
}

/// The entries of those profiles.
fn those<'a, V>(
    profiles: &'a BTreeSet<ProfileId>,
    all: &'a BTreeMap<ProfileId, V>,
) -> impl Iterator<Item = (ProfileId, &'a V)> {
    profiles.iter().filter_map(|profile| Some((*profile, all.get(profile)?)))
}

/// Live calls that are new, changed, over.
#[derive(Default)]
struct Calls {
    new: Rows,
    changed: Rows,
    over: Rows,
}

impl Calls {
    fn of(owner: &str, books: &Books, changes: &Changes) -> Self {
        let mut calls = Self::default();
        for name in &changes.calls {
            match books.live_call(name) {
                Some(call) if changes.new_calls.contains(name) => {
                    put_new_call(&mut calls.new.add(), owner, call);
                }
                Some(call) => put_call(&mut calls.changed.add(), call),
                None => _ = calls.over.add().put(name.as_str()),
            }
        }
        calls
    }
}

/// What is on hand, and for whom nothing is any more.
#[derive(Default)]
struct Holds {
    kept: Rows,
    gone: Rows,
}

impl Holds {
    fn of(owner: &str, books: &Books, changes: &Changes) -> Self {
        let mut holds = Self::default();
        for &profile in &changes.holds {
            let held = books.on_hand(profile);
            if held.is_nothing() {
                holds.gone.add().put(owner).put(profile.0);
                continue;
            }
            holds
                .kept
                .add()
                .put(owner)
                .put(profile.0)
                .put(held.bundle_period)
                .put(i64::from(held.bundle_s))
                .put(held.credit.0);
        }
        holds
    }
}

fn put_call(row: &mut Row<'_>, call: &Reservation) {
    row.put(call.call.as_str())
        .put(i64::from(call.bundle_s))
        .put(call.credit.0)
        .put(call.paid_s.map(i64::from))
        .put(call.answered_at.map(|at| at.0))
        .put(i64::from(call.proved_s))
        .put(known(call));
}

/// What is known of a call that goes on, as text.
fn known(call: &Reservation) -> Option<String> {
    call.known.as_ref().map(|known| serde_json::to_string(known).expect("plain values have a JSON form"))
}

fn put_transfer(row: &mut Row<'_>, transfer: &Transfer) {
    row.put(transfer.at.0)
        .put(transfer.kind.word())
        .put(transfer.from.to_string())
        .put(transfer.to.to_string())
        .put(transfer.amount)
        .put(transfer.call.as_ref().map(CallId::as_str))
        .put(transfer.profile.map(|profile| profile.0))
        .put(&transfer.note);
}

fn put_attempt(row: &mut Row<'_>, attempt: &Attempt) {
    let column = |of: fn(&Tariff) -> i64| attempt.tariff.as_ref().map(of);
    row.put(attempt.direction.word())
        .put(attempt.kind.word())
        .put(&attempt.from)
        .put(i64::from(attempt.is_withheld))
        .put(&attempt.to)
        .put(&attempt.destination)
        .put(&attempt.country)
        .put(column(|tariff| tariff.rate_per_minute.0))
        .put(column(|tariff| tariff.connection_fee.0))
        .put(column(|tariff| i64::from(tariff.minimum_s)))
        .put(column(|tariff| i64::from(tariff.increment_s)))
        .put(column(|tariff| i64::from(tariff.bundle == BundleCover::Covered)))
        .put(attempt.started_at.0);
}

fn put_new_call(row: &mut Row<'_>, owner: &str, call: &Reservation) {
    row.put(call.call.as_str()).put(owner).put(call.profile.0);
    put_attempt(row, &call.attempt);
    row.put(call.bundle_period)
        .put(i64::from(call.bundle_s))
        .put(call.payer.word())
        .put(call.credit.0)
        .put(call.paid_s.map(i64::from))
        .put(call.answered_at.map(|at| at.0))
        .put(i64::from(call.proved_s))
        .put(known(call));
}

fn put_cdr(row: &mut Row<'_>, cdr: &Cdr) {
    let ending = &cdr.record.ending;
    row.put(cdr.call.as_str())
        .put(cdr.record.profile.map(|profile| profile.0))
        .put(cdr.record.phone_of.map(|company| company.0));
    put_attempt(row, &cdr.record.attempt);
    row.put(ending.answered_at.map(|at| at.0))
        .put(ending.ended_at.0)
        .put(i64::try_from(ending.talk_ms).unwrap_or(i64::MAX))
        .put(&ending.reason_code)
        .put(&ending.reason)
        .put(ending.sip_status.map(i64::from))
        .put(&ending.caller_call_id)
        .put(&ending.callee_call_id)
        .put(&ending.carrier)
        .put(carrier_attempts_text(&ending.attempts))
        .put(ending.cause.map(i64::from))
        .put(&ending.user_agent)
        .put(&ending.media)
        .put(i64::from(cdr.settlement.duration_s))
        .put(i64::from(cdr.settlement.billed_s))
        .put(i64::from(cdr.settlement.bundle_s))
        .put(cdr.settlement.amount.0)
        .put(cdr.settlement.payer.map(Payer::word));
}

fn put_subscriber(row: &mut Row<'_>, profile: ProfileId, subscriber: &Subscriber) {
    let bought = subscriber.subscription.as_ref();
    row.put(profile.0)
        .put(subscriber.company.0)
        .put(bought.map(|it| i64::from(it.channels)))
        .put(bought.map(|it| i64::from(it.bundles)))
        .put(bought.map(|it| it.period))
        .put(bought.map(|it| it.bought_at.0))
        .put(bought.map(|it| it.paid_until.0))
        .put(bought.map(|it| it.channels_price.0))
        .put(bought.map(|it| it.bundles_price.0))
        .put(bought.map(|it| it.bundle_s))
        .put(bought.map(|it| it.renewal.word()))
        .put(bought.and_then(|it| it.changed_at).map(|at| at.0))
        .put(subscriber.closed_at.map(|at| at.0))
        .put(subscriber.recharge.map(|it| it.threshold.0))
        .put(subscriber.recharge.map(|it| it.amount.0))
        .put(guard_text(&subscriber.guard));
}

fn put_spending(row: &mut Row<'_>, profile: ProfileId, spending: &Spending) {
    row.put(profile.0);
    for spent in [spending.hour, spending.day] {
        row.put(spent.number).put(spent.spent.0).put(spent.forgiven.0).put(i64::from(spent.is_warned));
    }
}
