//! What can be asked of the books, and what they answer.

use serde::{Deserialize, Serialize};

use super::guard::{Limit, SpendWarning, Window};
use super::on_hand::Held;
use super::reservation::{Payer, Reservation};
use crate::cdr::{Attempt, CallId, CallRecord, Ending, Settlement};
use crate::lifecycle::{NumberLease, NumberOffer, Order, OrderRefused, PriceList, Standing, Subscription};
use crate::model::{CompanyId, GuardFault, GuardOverrides, NumberId, ProfileId, Recharge, Timestamp};
use crate::money::Micros;

/// An operation and its wall-clock time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// When it is asked.
    pub at: Timestamp,
    /// What is asked.
    pub op: LedgerOp,
}

/// One operation on the books. Those on calls are idempotent by the call's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LedgerOp {
    /// Opens a company's account.
    OpenCompany {
        /// The company.
        company: CompanyId,
    },
    /// Opens a profile's account, without a subscription.
    OpenProfile {
        /// The profile.
        profile: ProfileId,
        /// The company that pays its subscriptions.
        company: CompanyId,
    },
    /// Money paid in for a company.
    TopUp {
        /// The company.
        company: CompanyId,
        /// How much, above zero.
        amount: Micros,
        /// An administrator's word on it.
        note: String,
    },
    /// A mistake put right: adds to the company's credit, or takes from it if it is below zero.
    Correct {
        /// The company.
        company: CompanyId,
        /// How much, not zero.
        amount: Micros,
        /// Why, and who says so.
        note: String,
    },
    /// A charge taken back.
    GiveBack {
        /// The company.
        company: CompanyId,
        /// How much, above zero.
        amount: Micros,
        /// Why, and who says so.
        note: String,
    },
    /// Credit from the company to a profile.
    Allocate {
        /// The profile.
        profile: ProfileId,
        /// How much, above zero.
        amount: Micros,
    },
    /// Credit from a profile back to the company.
    TakeBack {
        /// The profile.
        profile: ProfileId,
        /// How much, above zero; `None` is all that live calls have not reserved.
        amount: Option<Micros>,
    },
    /// Turns the refill of a profile's credit on, or off with `None`.
    SetRecharge {
        /// The profile.
        profile: ProfileId,
        /// When and how much.
        recharge: Option<Recharge>,
    },
    /// Puts a profile's own spend guard in the place of the one before. What live calls hold stays theirs.
    SetGuard {
        /// The profile.
        profile: ProfileId,
        /// What it sets in the place of the defaults.
        guard: Box<GuardOverrides>,
    },
    /// The operator lets a profile spend on: the caps of this hour and day begin anew.
    ReleaseGuard {
        /// The profile.
        profile: ProfileId,
    },
    /// Buys channels and bundles from company credit, to start now. A running subscription ends and its unused part
    /// is refunded; that is allowed once a day.
    Subscribe {
        /// The profile.
        profile: ProfileId,
        /// How many.
        order: Order,
        /// At which prices.
        prices: Box<PriceList>,
    },
    /// Cancels a running subscription, its bundles with it: it runs to the end of its paid period.
    CancelSubscription {
        /// The profile.
        profile: ProfileId,
    },
    /// Takes a cancellation back while the paid period still runs; it renews on its old date.
    ExtendSubscription {
        /// The profile.
        profile: ProfileId,
    },
    /// A period is over: it is renewed from company credit, or lapses, or expires if it was cancelled. Done once: a
    /// period that is not the profile's latest, or not over yet, is left alone.
    CompletePeriod {
        /// The profile.
        profile: ProfileId,
        /// The period.
        period: i64,
        /// At which prices the next one is bought.
        prices: Box<PriceList>,
    },
    /// Closes a profile's account: its credit goes back to the company, what live calls hold when they end. A running
    /// subscription is not refunded.
    CloseProfile {
        /// The profile.
        profile: ProfileId,
        /// Why.
        closing: Closing,
    },
    /// A company takes an Online Number and pays its first term.
    LeaseNumber {
        /// The number; it has no lease yet.
        number: NumberId,
        /// Who pays.
        company: CompanyId,
        /// At which fee.
        offer: Box<NumberOffer>,
    },
    /// A number runs to the end of its paid term, then goes back into the stock.
    CancelNumber {
        /// The number.
        number: NumberId,
    },
    /// Takes a cancellation of a number back while its paid term still runs.
    KeepNumber {
        /// The number.
        number: NumberId,
    },
    /// A number's term is over: it is renewed from company credit, or lapses, or is released if it was cancelled. Done
    /// once, like [`LedgerOp::CompletePeriod`]; of a lapsed number it is asked again when there is credit.
    CompleteTerm {
        /// The number.
        number: NumberId,
        /// The term.
        term: i64,
    },
    /// Takes a number whose fee was not paid from its company.
    ReleaseNumber {
        /// The number.
        number: NumberId,
        /// The term that was the last.
        term: i64,
    },
    /// Before a call may ring: occupies a channel and reserves its first seconds.
    Reserve {
        /// The call.
        call: CallId,
        /// Whose channel, whose credit.
        profile: ProfileId,
        /// How it begins; its terms decide what is reserved.
        attempt: Box<Attempt>,
    },
    /// The call was answered: the paid seconds count from here.
    Answer {
        /// The call.
        call: CallId,
        /// When.
        at: Timestamp,
        /// What its record will say, as far as it is known: for the record of a call that a crash cuts.
        #[serde(default)]
        known: Option<Box<Ending>>,
    },
    /// The call goes on: proves how long it has lasted and asks for more seconds.
    Extend {
        /// The call.
        call: CallId,
        /// Seconds since it was answered.
        elapsed_s: u32,
    },
    /// The call is over: charges it if it was answered, frees the rest, writes its record. A call that was never
    /// reserved, because it was refused before, is recorded without charge.
    Settle {
        /// The call.
        call: CallId,
        /// Its record.
        record: Box<CallRecord>,
    },
    /// The call is over and owes nothing, answered or not: frees everything, writes its record.
    Void {
        /// The call.
        call: CallId,
        /// Its record.
        record: Box<CallRecord>,
    },
    /// The call's owner died: settles it to its last proved second, or voids it when it was never answered.
    Expire {
        /// The call.
        call: CallId,
    },
    /// Brings what the gateway keeps on hand for a profile to these amounts, as far as they are free.
    Hold {
        /// The profile.
        profile: ProfileId,
        /// Credit.
        credit: Micros,
        /// Bundle seconds of the running period.
        bundle_s: u32,
    },
    /// Books what was granted to a call from what was on hand, while the database did not answer.
    Adopt {
        /// The call as it was granted.
        granted: Box<Reservation>,
    },
}

impl LedgerOp {
    /// The call that this operation would let in.
    pub(crate) fn reserved(&self) -> Option<&CallId> {
        match self {
            Self::Reserve { call, .. } => Some(call),
            _ => None,
        }
    }
}

/// Why a profile is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Closing {
    /// An administrator wants it.
    Asked,
    /// It was disabled for too long; not done if a subscription was bought after this period.
    Disabled {
        /// The period that was the last.
        period: i64,
    },
}

/// Seconds that a call may last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Seconds from answer that are paid; the call ends when they do. `None` is free of charge, without end.
    pub paid_s: Option<u32>,
    /// What the call holds for them.
    pub held: Held,
    /// Whose credit pays what bundle minutes do not.
    pub payer: Payer,
    /// What is left on hand for its profile, if the call had to draw on it.
    pub on_hand: Option<Held>,
    /// Caps of the spend guard that this grant has brought near, each for the first time in its window.
    pub warnings: Vec<SpendWarning>,
}

/// What an operation did.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The movement is booked, the setting kept, the grant adopted.
    Booked,
    /// The subscription has begun.
    Subscribed {
        /// It.
        subscription: Subscription,
        /// What came back for the one before.
        refund: Micros,
    },
    /// The subscription goes on otherwise, or has ended: its renewal says how.
    Continues(Subscription),
    /// The number is the company's, on these terms.
    Leased(NumberLease),
    /// The number belongs to nobody any more.
    Released,
    /// There was nothing to do: it was done before, or is not due yet.
    NotDue,
    /// Reserve: the call may ring, and last as long as the grant says. Extend: the grant has grown.
    Granted(Grant),
    /// Extend: nothing more can be had, and why; the grant given before is the last.
    LastGrant(Grant, Limit),
    /// The time of answer is known.
    Answered,
    /// Hold: this is on hand now.
    OnHand(Held),
    /// The call is in the records; a repeated Settle, Void or Expire gives the first one's result.
    Settled(Settlement),
}

/// Why an operation was refused. A refused operation changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such company in the books.
    #[error("there is no company {0}")]
    UnknownCompany(CompanyId),
    /// No such profile in the books.
    #[error("there is no profile {0}")]
    UnknownProfile(ProfileId),
    /// No such live call.
    #[error("there is no live call {0}")]
    UnknownCall(CallId),
    /// The call is settled; its name cannot be used again.
    #[error("the call {0} is over")]
    CallIsOver(CallId),
    /// The account was opened before.
    #[error("this account is open already")]
    AlreadyOpen,
    /// The profile has no subscription that is paid now.
    #[error("{}", standing_sentence(*.0))]
    NotActive(Standing),
    /// The subscription was changed today already.
    #[error("the subscription was changed today; it can be changed once a day, so again from midnight UTC")]
    ChangedToday,
    /// No such number has a lease in the books.
    #[error("the number {0} is not paid for by a company; it is hosted without a fee, or there is none")]
    NotLeased(NumberId),
    /// The number's fee was not paid.
    #[error("the number's fee was not paid; top the company's credit up, and it is renewed")]
    NumberUnpaid,
    /// Every channel is occupied.
    #[error(
        "all {channels} channels of this profile are in use; wait for a call to end or buy more channels"
    )]
    NoFreeChannel {
        /// How many the profile has.
        channels: u32,
    },
    /// Neither credit nor bundle minutes pay the shortest billed duration.
    #[error(
        "the profile's credit of {available} does not pay the shortest call, which costs {needed}; add credit"
    )]
    InsufficientCredit {
        /// Price of the shortest billed duration.
        needed: Micros,
        /// Credit that no other call has reserved.
        available: Micros,
    },
    /// The spend guard does not let calls to this country out.
    #[error("the profile's spend guard denies calls to {}", named(country))]
    CountryDenied {
        /// The country by its two letters, or empty where the rate table names none.
        country: String,
    },
    /// The spend guard does not let calls at this price out.
    #[error("a minute costs {rate}, and the profile's spend guard allows {highest} at most")]
    PriceTooHigh {
        /// Price of a minute.
        rate: Micros,
        /// The highest allowed.
        highest: Micros,
    },
    /// The spend guard lets no more calls at once to this country out.
    #[error(
        "{most} calls of this profile go to {} already, and its spend guard allows no more",
        named(country)
    )]
    CountryBusy {
        /// The country by its two letters, or empty where the rate table names none.
        country: String,
        /// The most at once.
        most: u32,
    },
    /// The spend guard's cap does not leave the shortest billed duration.
    #[error("the profile's spend guard leaves less than the call's {needed} of this {window}'s {cap}")]
    SpendCapReached {
        /// Whose cap.
        window: Window,
        /// How high it is.
        cap: Micros,
        /// Price of the shortest billed duration.
        needed: Micros,
    },
    /// A running call is granted no more, without the database having been asked.
    #[error("the call has come to its end: {}", ending(*.0))]
    Exhausted(Limit),
    /// The spend guard contradicts itself.
    #[error("{0}. {cure}", cure = .0.cure())]
    Guard(GuardFault),
    /// The company cannot pay.
    #[error("the company's credit of {available} does not pay {needed}; top it up")]
    InsufficientCompanyCredit {
        /// The price.
        needed: Micros,
        /// What the company has.
        available: Micros,
    },
    /// The profile does not have so much that is free.
    #[error(
        "only {available} of the profile's credit is free to take back; running calls hold the rest, or it is on hand for \
         an outage of the database"
    )]
    NothingToTakeBack {
        /// What is free.
        available: Micros,
    },
    /// Amounts that move must be above zero and countable.
    #[error("an amount of {0} cannot be booked; give one above zero and below nine trillion")]
    BadAmount(Micros),
    /// The order itself is wrong.
    #[error(transparent)]
    Order(#[from] OrderRefused),
}

fn ending(limit: Limit) -> &'static str {
    match limit {
        Limit::Credit => "nothing more is on hand",
        Limit::SpendCap(Window::Hour) => "the spend cap of this hour is reached",
        Limit::SpendCap(Window::Day) => "the spend cap of this day is reached",
        Limit::LongestCall => "the spend guard lets no call last longer",
    }
}

/// A country in a sentence.
fn named(country: &str) -> &str {
    if country.is_empty() { "a country that the rate table does not name" } else { country }
}

fn standing_sentence(standing: Standing) -> &'static str {
    match standing {
        Standing::NotSubscribed => "the profile has no channel subscription; buy one to activate it",
        Standing::Active => "the profile is active",
        Standing::Lapsed => "the profile's channel subscription has run out; buy one to reactivate it",
    }
}

impl Refusal {
    /// The refusal in one word, for tables, metrics and records.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownCompany(_) => "unknown_company",
            Self::UnknownProfile(_) => "unknown_profile",
            Self::UnknownCall(_) => "unknown_call",
            Self::CallIsOver(_) => "call_is_over",
            Self::AlreadyOpen => "already_open",
            Self::NotActive(_) => "profile_not_active",
            Self::ChangedToday => "changed_today",
            Self::NotLeased(_) => "number_not_leased",
            Self::NumberUnpaid => "number_unpaid",
            Self::NoFreeChannel { .. } => "no_free_channel",
            Self::InsufficientCredit { .. } => "insufficient_credit",
            Self::CountryDenied { .. } => "country_denied",
            Self::PriceTooHigh { .. } => "price_too_high",
            Self::CountryBusy { .. } => "country_busy",
            Self::SpendCapReached { .. } => "spend_cap_reached",
            Self::Exhausted(_) => "exhausted",
            Self::Guard(_) => "bad_spend_guard",
            Self::InsufficientCompanyCredit { .. } => "insufficient_company_credit",
            Self::NothingToTakeBack { .. } => "nothing_to_take_back",
            Self::BadAmount(_) => "bad_amount",
            Self::Order(OrderRefused::ChannelsOutOfRange) => "channels_out_of_range",
            Self::Order(OrderRefused::MoreBundlesThanChannels) => "more_bundles_than_channels",
            Self::Order(OrderRefused::PriceTooLarge) => "price_too_large",
        }
    }
}
