//! Rows as the database has them, and their way into the program's types.

use serde::Deserialize;
use sqlx::FromRow;

use crate::cdr::{Attempt, CallId, CallRecord, CarrierAttempt, Cdr, Ending, Settlement};
use crate::error::StoreError;
use crate::ledger::{Held, Reservation, Spending, Spent, Subscriber};
use crate::lifecycle::Subscription;
use crate::model::{CompanyId, GuardOverrides, ProfileId, Recharge, Timestamp};
use crate::money::Micros;
use crate::rating::{BundleCover, Tariff};

/// Reads a word, an address or a number that is kept as text.
pub(super) fn word<T: std::str::FromStr>(text: &str, expected: &'static str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Damaged { found: text.to_owned(), expected })
}

/// Narrows an integer to the program's type.
pub(super) fn narrow<T: TryFrom<i64>>(value: i64, expected: &'static str) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::Damaged { found: value.to_string(), expected })
}

/// The columns that a live call and its record share.
#[derive(FromRow)]
pub(super) struct AttemptRow {
    direction: String,
    kind: String,
    from_number: String,
    is_withheld: i64,
    to_number: String,
    destination: String,
    country: String,
    rate_per_minute_micros: Option<i64>,
    connection_fee_micros: Option<i64>,
    minimum_s: Option<i64>,
    increment_s: Option<i64>,
    is_bundle_covered: Option<i64>,
    started_at: i64,
}

impl AttemptRow {
    fn tariff(&self) -> Result<Option<Tariff>, StoreError> {
        let (Some(rate), Some(fee), Some(minimum_s), Some(increment_s), Some(is_covered)) = (
            self.rate_per_minute_micros,
            self.connection_fee_micros,
            self.minimum_s,
            self.increment_s,
            self.is_bundle_covered,
        ) else {
            return Ok(None);
        };
        Ok(Some(Tariff {
            rate_per_minute: Micros(rate),
            connection_fee: Micros(fee),
            minimum_s: narrow(minimum_s, "a number of seconds")?,
            increment_s: narrow(increment_s, "a number of seconds")?,
            bundle: if is_covered == 1 { BundleCover::Covered } else { BundleCover::NotCovered },
        }))
    }

    fn attempt(self) -> Result<Attempt, StoreError> {
        Ok(Attempt {
            direction: word(&self.direction, "a direction")?,
            kind: word(&self.kind, "a kind of call")?,
            tariff: self.tariff()?,
            from: self.from_number,
            is_withheld: self.is_withheld == 1,
            to: self.to_number,
            destination: self.destination,
            country: self.country,
            started_at: Timestamp(self.started_at),
        })
    }
}

/// A live call.
#[derive(FromRow)]
pub(super) struct ReservationRow {
    call_id: String,
    profile_id: i64,
    #[sqlx(flatten)]
    attempt: AttemptRow,
    bundle_period: i64,
    bundle_held_s: i64,
    payer: String,
    credit_held_micros: i64,
    paid_s: Option<i64>,
    answered_at: Option<i64>,
    proved_s: i64,
    known: Option<String>,
}

impl TryFrom<ReservationRow> for Reservation {
    type Error = StoreError;

    fn try_from(row: ReservationRow) -> Result<Self, StoreError> {
        Ok(Self {
            call: CallId::new(row.call_id),
            profile: ProfileId(row.profile_id),
            attempt: row.attempt.attempt()?,
            bundle_period: row.bundle_period,
            bundle_s: narrow(row.bundle_held_s, "a number of seconds")?,
            payer: word(&row.payer, "a payer")?,
            credit: Micros(row.credit_held_micros),
            paid_s: row.paid_s.map(|paid_s| narrow(paid_s, "a number of seconds")).transpose()?,
            answered_at: row.answered_at.map(Timestamp),
            proved_s: narrow(row.proved_s, "a number of seconds")?,
            known: row.known.map(known).transpose()?,
        })
    }
}

fn known(text: String) -> Result<Box<Ending>, StoreError> {
    let expected = "what is known of a call";
    serde_json::from_str(&text).map_err(|_| StoreError::Damaged { found: text, expected })
}

/// What is on hand for a profile.
#[derive(Deserialize, FromRow)]
pub(super) struct HoldRow {
    profile_id: i64,
    bundle_period: i64,
    bundle_held_s: i64,
    credit_held_micros: i64,
}

impl HoldRow {
    pub(super) fn held(&self) -> Result<(ProfileId, Held), StoreError> {
        let held = Held {
            credit: Micros(self.credit_held_micros),
            bundle_period: self.bundle_period,
            bundle_s: narrow(self.bundle_held_s, "a number of seconds")?,
        };
        Ok((ProfileId(self.profile_id), held))
    }
}

/// What a call came to.
#[derive(FromRow)]
pub(super) struct SettlementRow {
    pub(super) call_id: String,
    duration_s: i64,
    billed_s: i64,
    bundle_s: i64,
    amount_micros: i64,
    payer: Option<String>,
}

impl SettlementRow {
    pub(super) fn settlement(&self) -> Result<Settlement, StoreError> {
        Ok(Settlement {
            duration_s: narrow(self.duration_s, "a number of seconds")?,
            billed_s: narrow(self.billed_s, "a number of seconds")?,
            bundle_s: narrow(self.bundle_s, "a number of seconds")?,
            amount: Micros(self.amount_micros),
            payer: self.payer.as_deref().map(|text| word(text, "a payer")).transpose()?,
        })
    }
}

/// A call record.
#[derive(FromRow)]
pub(super) struct CdrRow {
    profile_id: Option<i64>,
    phone_company_id: Option<i64>,
    #[sqlx(flatten)]
    attempt: AttemptRow,
    answered_at: Option<i64>,
    ended_at: i64,
    talk_ms: i64,
    reason_code: String,
    reason: String,
    sip_status: Option<i64>,
    caller_call_id: String,
    callee_call_id: String,
    carrier: String,
    attempts: String,
    cause: Option<i64>,
    user_agent: String,
    media: String,
    #[sqlx(flatten)]
    settlement: SettlementRow,
}

impl TryFrom<CdrRow> for Cdr {
    type Error = StoreError;

    fn try_from(row: CdrRow) -> Result<Self, StoreError> {
        let ending = Ending {
            answered_at: row.answered_at.map(Timestamp),
            ended_at: Timestamp(row.ended_at),
            talk_ms: narrow(row.talk_ms, "a number of milliseconds")?,
            // What came of it is in the amount.
            is_unconfirmed: false,
            reason_code: row.reason_code,
            reason: row.reason,
            sip_status: row.sip_status.map(|status| narrow(status, "a SIP status")).transpose()?,
            caller_call_id: row.caller_call_id,
            callee_call_id: row.callee_call_id,
            carrier: row.carrier,
            attempts: carrier_attempts(&row.attempts)?,
            cause: row.cause.map(|cause| narrow(cause, "a Q.850 cause")).transpose()?,
            user_agent: row.user_agent,
            media: row.media,
        };
        let settlement = row.settlement.settlement()?;
        let record = CallRecord {
            profile: row.profile_id.map(ProfileId),
            phone_of: row.phone_company_id.map(CompanyId),
            attempt: row.attempt.attempt()?,
            ending,
        };
        Ok(Self { call: CallId::new(row.settlement.call_id), record, settlement })
    }
}

/// Attempts to reach carriers as they are kept: JSON, because they are read and shown with their record alone.
pub(super) fn carrier_attempts_text(attempts: &[CarrierAttempt]) -> String {
    serde_json::to_string(attempts).expect("plain data has a JSON form")
}

fn carrier_attempts(text: &str) -> Result<Vec<CarrierAttempt>, StoreError> {
    let damaged = |_| StoreError::Damaged { found: text.to_owned(), expected: "attempts to reach carriers" };
    serde_json::from_str(text).map_err(damaged)
}

/// A profile's own spend guard as it is kept: JSON, because each limit may be inherited, lifted or set.
pub(super) fn guard_text(guard: &GuardOverrides) -> String {
    serde_json::to_string(guard).expect("plain data has a JSON form")
}

pub(super) fn guard(text: &str) -> Result<GuardOverrides, StoreError> {
    let damaged = |_| StoreError::Damaged { found: text.to_owned(), expected: "a spend guard" };
    serde_json::from_str(text).map_err(damaged)
}

/// What the ledger knows of a profile.
#[derive(Deserialize, FromRow)]
pub(super) struct SubscriberRow {
    pub(super) profile_id: i64,
    company_id: i64,
    channels: Option<i64>,
    bundles: Option<i64>,
    period: Option<i64>,
    bought_at: Option<i64>,
    paid_until: Option<i64>,
    channels_price_micros: Option<i64>,
    bundles_price_micros: Option<i64>,
    bundle_s: Option<i64>,
    renewal: Option<String>,
    changed_at: Option<i64>,
    closed_at: Option<i64>,
    recharge_threshold_micros: Option<i64>,
    recharge_amount_micros: Option<i64>,
    spend_guard: String,
    #[sqlx(flatten)]
    #[serde(flatten)]
    spending: SpendingRow,
}

/// What a profile has spent in the latest windows; nothing when it has never spent anything.
#[derive(Deserialize, FromRow)]
pub(super) struct SpendingRow {
    hour: Option<i64>,
    hour_spent_micros: Option<i64>,
    hour_forgiven_micros: Option<i64>,
    is_hour_warned: Option<i64>,
    day: Option<i64>,
    day_spent_micros: Option<i64>,
    day_forgiven_micros: Option<i64>,
    is_day_warned: Option<i64>,
}

impl SpendingRow {
    pub(super) fn spending(&self) -> Spending {
        let spent = |number: Option<i64>, spent, forgiven, is_warned| Spent {
            number: number.unwrap_or_default(),
            spent: Micros(Option::unwrap_or_default(spent)),
            forgiven: Micros(Option::unwrap_or_default(forgiven)),
            is_warned: is_warned == Some(1),
        };
        Spending {
            hour: spent(self.hour, self.hour_spent_micros, self.hour_forgiven_micros, self.is_hour_warned),
            day: spent(self.day, self.day_spent_micros, self.day_forgiven_micros, self.is_day_warned),
        }
    }
}

impl SubscriberRow {
    pub(super) fn subscriber(&self) -> Result<Subscriber, StoreError> {
        let recharge = self.recharge_threshold_micros.zip(self.recharge_amount_micros);
        Ok(Subscriber {
            company: CompanyId(self.company_id),
            subscription: self.channels.map(|channels| self.subscription(channels)).transpose()?,
            recharge: recharge
                .map(|(threshold, amount)| Recharge { threshold: Micros(threshold), amount: Micros(amount) }),
            guard: guard(&self.spend_guard)?,
            closed_at: self.closed_at.map(Timestamp),
        })
    }

    /// What it has spent in the latest windows.
    pub(super) fn spending(&self) -> Spending {
        self.spending.spending()
    }

    /// The columns of a subscription are all there when its channels are.
    fn subscription(&self, channels: i64) -> Result<Subscription, StoreError> {
        let there = |value: Option<i64>| {
            value.ok_or_else(|| StoreError::Damaged {
                found: "nothing".into(),
                expected: "a part of a subscription",
            })
        };
        Ok(Subscription {
            channels: narrow(channels, "a number of channels")?,
            bundles: narrow(there(self.bundles)?, "a number of bundles")?,
            period: there(self.period)?,
            bought_at: Timestamp(there(self.bought_at)?),
            paid_until: Timestamp(there(self.paid_until)?),
            channels_price: Micros(there(self.channels_price_micros)?),
            bundles_price: Micros(there(self.bundles_price_micros)?),
            bundle_s: there(self.bundle_s)?,
            renewal: word(self.renewal.as_deref().unwrap_or_default(), "a renewal")?,
            changed_at: self.changed_at.map(Timestamp),
        })
    }
}
