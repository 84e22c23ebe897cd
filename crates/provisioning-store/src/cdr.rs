//! Call detail records: one for every attempt, answered or not.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ledger::Payer;
use crate::model::choices::choices;
use crate::model::{CarrierId, CompanyId, ProfileId, Timestamp};
use crate::money::Micros;
use crate::rating::Tariff;
use crate::reports::Month;

/// The name of one call in the books, chosen by the daemon and unique for ever: every operation on the call is
/// idempotent by it. A call between two profiles hosted here occupies a channel of each, so it has two names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(String);

impl CallId {
    /// Wraps a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

choices! {
    /// Which way a call goes, seen from the PBX.
    Direction, "direction" {
        /// From the network to the PBX.
        Incoming = "incoming",
        /// From the PBX to the network.
        Outgoing = "outgoing",
    }
}

choices! {
    /// What a call is made over.
    CallKind, "kind of call" {
        /// Through a carrier.
        Telephone = "telephone",
        /// Between profiles or accounts hosted here.
        OnNet = "on_net",
        /// To the echo test.
        Echo = "echo",
    }
}

/// What is known of a call when it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which way it goes.
    pub direction: Direction,
    /// What it is made over.
    pub kind: CallKind,
    /// Caller: E.164 with `+` where it is a number.
    pub from: String,
    /// Whether the called side must not learn who calls.
    #[serde(default)]
    pub is_withheld: bool,
    /// Called: E.164 with `+` where it is a number.
    pub to: String,
    /// The rate row's name for the called number, or empty.
    pub destination: String,
    /// Country of the called number, two letters, or empty.
    pub country: String,
    /// The terms; `None` is free of charge.
    pub tariff: Option<Tariff>,
    /// When it began.
    #[serde(rename = "started_at_micros")]
    pub started_at: Timestamp,
}

/// One attempt to reach a carrier; name and number are those of that time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierAttempt {
    /// The carrier's identity.
    pub carrier: CarrierId,
    /// Its name.
    pub name: String,
    /// Which of its addresses; `None` if its name led to none.
    pub address: Option<SocketAddr>,
    /// The status of its final answer, if it gave one.
    pub sip_status: Option<u16>,
    /// The Q.850 cause that it named.
    pub cause: Option<u8>,
    /// Why it refused or ended the call, in its own words, which may name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// What became of it, as `silent`.
    pub result: String,
    /// The same in one plain sentence.
    pub sentence: String,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// How a call ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// When it was answered; `None`: never.
    #[serde(rename = "answered_at_micros")]
    pub answered_at: Option<Timestamp>,
    /// When it ended.
    #[serde(rename = "ended_at_micros")]
    pub ended_at: Timestamp,
    /// Milliseconds from answer to end on a monotonic clock; the wall clock may have been stepped meanwhile.
    pub talk_ms: u64,
    /// Whether nobody at the caller's address, which may be forged, has shown that it heard the answer: then nothing is
    /// owed, however long it lasted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unconfirmed: bool,
    /// Code of the reason, as `no_channel`.
    pub reason_code: String,
    /// The reason in one plain sentence.
    pub reason: String,
    /// Last SIP status sent to the caller.
    pub sip_status: Option<u16>,
    /// Call-ID of the caller's leg.
    pub caller_call_id: String,
    /// Call-ID of the callee's leg, or empty.
    pub callee_call_id: String,
    /// Name of the carrier at that time, or empty.
    pub carrier: String,
    /// The attempts to reach carriers, in order.
    #[serde(default)]
    pub attempts: Vec<CarrierAttempt>,
    /// The Q.850 cause that the caller was told, or the one of the goodbye.
    #[serde(default)]
    pub cause: Option<u8>,
    /// User-Agent of the PBX.
    pub user_agent: String,
    /// Codec, encryption and losses, in words.
    pub media: String,
}

/// A finished call as the daemon reports it; the ledger makes a [`Cdr`] of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The profile; `None` for attempts that reached none.
    pub profile: Option<ProfileId>,
    /// The company whose business account's phone it was; `None` for the calls of profiles.
    #[serde(default)]
    pub phone_of: Option<CompanyId>,
    /// How it began.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// How it ended.
    #[serde(flatten)]
    pub ending: Ending,
}

/// What a call came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// Seconds from answer to end, to the nearest; 0 when not answered.
    pub duration_s: u32,
    /// Seconds billed; 0 for free calls.
    pub billed_s: u32,
    /// Of these, the seconds that bundle minutes paid.
    pub bundle_s: u32,
    /// The charge.
    #[serde(rename = "amount_micros")]
    pub amount: Micros,
    /// Whose credit it was taken from; `None` where there was nothing to take.
    #[serde(default)]
    pub payer: Option<Payer>,
}

/// A call detail record; never changed once written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cdr {
    /// The call's name.
    pub call: CallId,
    /// How it began and ended.
    #[serde(flatten)]
    pub record: CallRecord,
    /// What it came to.
    #[serde(flatten)]
    pub settlement: Settlement,
}

impl Cdr {
    /// Price of a minute on credit; zero for free calls.
    pub fn rate_per_minute(&self) -> Micros {
        self.record.attempt.tariff.map_or(Micros::ZERO, |tariff| tariff.rate_per_minute)
    }
}

/// Calls on a page of a report.
pub const PAGE_ROWS: u32 = 50;

/// Which records are asked for; every condition that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CdrFilter {
    /// Only this profile's.
    pub profile: Option<ProfileId>,
    /// Only those of this company's profiles and phones.
    pub company: Option<CompanyId>,
    /// Only one direction.
    pub direction: Option<Direction>,
    /// Begun at or after this.
    #[serde(rename = "since_micros")]
    pub since: Option<Timestamp>,
    /// Begun before this.
    #[serde(rename = "before_micros")]
    pub before: Option<Timestamp>,
    /// Caller or called number contains this text.
    pub number: Option<String>,
    /// Whether the search must not find withheld callers by their numbers.
    #[serde(default)]
    pub hides_withheld: bool,
    /// Only this reason code.
    pub reason_code: Option<String>,
    /// Only answered ones, or only unanswered ones.
    pub answer: Option<Answer>,
}

impl CdrFilter {
    /// What a report of usage is about: a profile's answered outgoing calls that began in a month.
    pub fn of_usage(profile: ProfileId, month: Month) -> Self {
        Self {
            profile: Some(profile),
            direction: Some(Direction::Outgoing),
            answer: Some(Answer::Answered),
            since: Some(month.start()),
            before: Some(month.end()),
            ..Self::default()
        }
    }
}

/// A record's place among others, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdrPlace {
    /// When the call began.
    pub started_at: Timestamp,
    /// Its name.
    pub call: CallId,
}

impl CdrPlace {
    /// The place of a record.
    pub fn of(record: &Cdr) -> Self {
        Self { started_at: record.record.attempt.started_at, call: record.call.clone() }
    }
}

/// Whether a call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was.
    Answered,
    /// It was not.
    Unanswered,
}

/// One page of records, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CdrPage {
    /// Up to [`PAGE_ROWS`] records.
    pub rows: Vec<Cdr>,
    /// The page, from 1.
    pub page: u32,
    /// Records on all pages.
    pub total: u64,
}

impl CdrPage {
    /// Number of pages, at least 1.
    pub fn pages(&self) -> u64 {
        self.total.div_ceil(u64::from(PAGE_ROWS)).max(1)
    }
}
