//! The spend guard: what a profile's calls may cost in an hour and a day, and which calls it may make at all.
//!
//! **What counts.** A window's committed amount is what was charged in it, plus what live calls hold on credit. A
//! reservation may raise it to the cap and not by a millionth further, and a settlement never charges more than the
//! call held: so a cap holds exactly, however many calls share it. Bundle seconds cost nothing and count nothing.
//! What is on hand for an outage is kept within the cap too, and gives way to calls before they are refused.
//!
//! **Over a window's edge.** A call counts with all that it holds in every window it reaches, and is charged in the
//! window it is settled in. That is conservative: no call can cost more than the smallest cap, and a new hour opens
//! with the running calls' costs already counted.
//!
//! **Windows never go back.** Whatever is older than the latest window seen counts in that one, so that a late
//! settlement or a clock set back opens no second allowance. After a clock that was ahead, the operator's release
//! brings the windows back to now.
//!
//! **Release.** Forgives what is committed so far in both windows: the cap begins anew from there. Nothing is
//! erased; a window that a forgiven call reaches may book what was forgiven on top of its cap.

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::books::Books;
use super::operation::{Outcome, Refusal};
use super::reservation::{Reservation, ReservePolicy};
use crate::cdr::{Attempt, CallKind, Direction};
use crate::model::choices::choices;
use crate::model::{GuardOverrides, ProfileId, SpendGuard, Timestamp};
use crate::money::Micros;
use crate::rating::Tariff;

/// Seconds in an hour.
const HOUR_S: i64 = 3_600;
/// Seconds in a day.
const DAY_S: i64 = 24 * HOUR_S;

choices! {
    /// The time over which a cap counts, in UTC.
    Window, "window of a cap" {
        /// From minute 0 to minute 59.
        Hour = "hour",
        /// From midnight to midnight.
        Day = "day",
    }
}

impl Window {
    const fn length_s(self) -> i64 {
        match self {
            Self::Hour => HOUR_S,
            Self::Day => DAY_S,
        }
    }

    /// Which one a moment lies in, counted from 1970.
    pub fn number(self, at: Timestamp) -> i64 {
        at.unix_s().div_euclid(self.length_s())
    }

    fn end_of(self, number: i64) -> Timestamp {
        Timestamp::from_unix_s(number.saturating_add(1).saturating_mul(self.length_s()))
    }
}

/// What stops a call from being granted more seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Neither credit nor minutes are left.
    Credit,
    /// The spend guard's cap.
    SpendCap(Window),
    /// The spend guard's longest call.
    LongestCall,
}

/// What was charged in the latest window of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Which window, counted from 1970.
    pub number: i64,
    /// The charges booked in it.
    #[serde(rename = "spent_micros")]
    pub spent: Micros,
    /// The part of what was committed that an operator has forgiven.
    #[serde(rename = "forgiven_micros")]
    pub forgiven: Micros,
    /// The operator has been warned in this window.
    pub is_warned: bool,
}

/// What a profile's calls were charged in the latest hour and day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// The hour.
    pub hour: Spent,
    /// The day.
    pub day: Spent,
}

impl Spending {
    /// As of now: a window that is over has left nothing.
    pub fn at(self, now: Timestamp) -> Self {
        let fresh = |window: Window, latest: Spent| {
            let number = window.number(now);
            if number > latest.number { Spent { number, ..Spent::default() } } else { latest }
        };
        Self { hour: fresh(Window::Hour, self.hour), day: fresh(Window::Day, self.day) }
    }

    fn of(self, window: Window) -> Spent {
        match window {
            Window::Hour => self.hour,
            Window::Day => self.day,
        }
    }

    fn of_mut(&mut self, window: Window) -> &mut Spent {
        match window {
            Window::Hour => &mut self.hour,
            Window::Day => &mut self.day,
        }
    }
}

/// How a profile stands towards one of its caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapStanding {
    /// Which cap.
    pub window: Window,
    /// How high it is.
    #[serde(rename = "cap_micros")]
    pub cap: Micros,
    /// Charged and held by live calls in this window, less what was forgiven; below zero after a release whose calls
    /// came out cheaper.
    #[serde(rename = "committed_micros")]
    pub committed: Micros,
    /// When the window ends and the cap starts again from zero.
    #[serde(rename = "renews_at_micros")]
    pub renews_at: Timestamp,
    /// In one word.
    pub state: CapState,
}

choices! {
    /// How near a cap is, the farthest first.
    #[derive(PartialOrd, Ord)]
    CapState, "state of a cap" {
        /// Below the share at which the operator is warned.
        Open = "open",
        /// At or above that share.
        Warned = "warned",
        /// Nothing is left.
        Reached = "reached",
    }
}

/// A profile has come to the share of a cap at which its operator wants to know; told once in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendWarning {
    /// Whose cap.
    pub profile: ProfileId,
    /// How it stands.
    #[serde(flatten)]
    pub standing: CapStanding,
}

impl SpendGuard {
    pub(super) fn cap(&self, window: Window) -> Option<Micros> {
        match window {
            Window::Hour => self.hour_cap,
            Window::Day => self.day_cap,
        }
    }

    /// How a profile that has spent so much, and whose live calls hold `reserved`, stands towards its caps.
    pub fn standings(&self, spending: Spending, reserved: Micros, now: Timestamp) -> Vec<CapStanding> {
        let standing = |&window: &Window| {
            let cap = self.cap(window)?;
            let spent = spending.at(now).of(window);
            let committed = committed(spent, reserved);
            let state = match committed {
                _ if committed >= cap => CapState::Reached,
                _ if self.is_near(committed, cap) => CapState::Warned,
                _ => CapState::Open,
            };
            Some(CapStanding { window, cap, committed, renews_at: window.end_of(spent.number), state })
        };
        Window::ALL.iter().filter_map(standing).collect()
    }

    fn is_near(&self, committed: Micros, cap: Micros) -> bool {
        self.warn_percent
            .is_some_and(|percent| i128::from(committed.0) * 100 >= i128::from(cap.0) * i128::from(percent))
    }
}

fn committed(spent: Spent, reserved: Micros) -> Micros {
    Micros(spent.spent.0.saturating_add(reserved.0).saturating_sub(spent.forgiven.0))
}

/// How many seconds the guard leaves of those that a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// A billable duration; `None` when not even the shortest is left.
    pub(super) seconds: Option<u32>,
    /// What has cut it, if anything has.
    pub(super) cut_by: Option<Limit>,
}

impl Reach {
    fn cut(&mut self, seconds: Option<u32>, limit: Limit) {
        // Nothing is the least of all, as it is among options.
        if seconds < self.seconds {
            *self = Self { seconds, cut_by: Some(limit) };
        }
    }
}

impl Books {
    /// The guard in force for a profile.
    pub(super) fn guard(&self, policy: &ReservePolicy, profile: ProfileId) -> SpendGuard {
        self.subscriber(profile).map_or(policy.guard, |subscriber| subscriber.guard.over(&policy.guard))
    }

    /// What a profile has spent, as of now.
    pub fn spending(&self, profile: ProfileId, now: Timestamp) -> Spending {
        self.spending.get(&profile).copied().unwrap_or_default().at(now)
    }

    /// Refuses a call that the profile may not make at all, whatever it costs.
    pub(super) fn admit(
        &self,
        guard: &SpendGuard,
        profile: ProfileId,
        attempt: &Attempt,
    ) -> Result<(), Refusal> {
        if !attempt.is_dialled() {
            return Ok(());
        }
        if !guard.allows(attempt.country.parse().ok()) {
            return Err(Refusal::CountryDenied { country: attempt.country.clone() });
        }
        let rate = attempt.tariff.map_or(Micros::ZERO, |tariff| tariff.rate_per_minute);
        if let Some(highest) = guard.highest_rate.filter(|highest| rate > *highest) {
            return Err(Refusal::PriceTooHigh { rate, highest });
        }
        if let Some(most) = guard.calls_to_one_country
            && self.calls_to(profile, &attempt.country) >= most as usize
        {
            return Err(Refusal::CountryBusy { country: attempt.country.clone(), most });
        }
        Ok(())
    }

    /// Cuts what a charged call asks for to what the caps and the longest call leave. `bundle_s` of it cost nothing.
    pub(super) fn reach(
        &self,
        now: Timestamp,
        guard: &SpendGuard,
        call: &Reservation,
        tariff: &Tariff,
        (bundle_s, wanted_s): (u32, u32),
    ) -> Reach {
        let mut reach = Reach { seconds: Some(tariff.billed_s(wanted_s)), cut_by: None };
        if let Some(longest_s) = guard.longest_call_s {
            // The shortest billed duration is paid as a whole, so it may be talked as a whole too.
            let longest_s = tariff.longest_billable_s(longest_s).unwrap_or(tariff.minimum_s);
            reach.cut(Some(longest_s), Limit::LongestCall);
        }
        let spending = self.spending(call.profile, now);
        let others = Micros(self.held_by_calls(call.profile).0 - call.credit.0);
        for &window in Window::ALL {
            let Some(cap) = guard.cap(window) else { continue };
            let room = Micros(cap.0.saturating_sub(committed(spending.of(window), others).0));
            let payable_s = tariff.payable_s(room, bundle_s);
            reach.cut(tariff.longest_billable_s(payable_s), Limit::SpendCap(window));
        }
        reach
    }

    /// By how much a profile would be over its nearest cap if its calls held `growth` more credit and all that is on
    /// hand were spent too; below zero is room.
    pub(super) fn over_cap(
        &self,
        now: Timestamp,
        guard: &SpendGuard,
        profile: ProfileId,
        growth: Micros,
    ) -> i64 {
        let spending = self.spending(profile, now);
        let held = Micros(self.balance(Account::Profile(profile)).reserved.saturating_add(growth.0));
        let over =
            |&window| Some(committed(spending.of(window), held).0.saturating_sub(guard.cap(window)?.0));
        Window::ALL.iter().filter_map(over).max().unwrap_or(i64::MIN)
    }

    /// Credit that a profile's live calls hold; the rest of what is reserved is on hand.
    fn held_by_calls(&self, profile: ProfileId) -> Micros {
        let reserved = self.balance(Account::Profile(profile)).reserved;
        Micros(reserved - self.on_hand(profile).credit.0)
    }

    /// Counts a charge in the windows of now.
    pub(super) fn count_spent(&mut self, now: Timestamp, profile: ProfileId, amount: Micros) {
        if amount > Micros::ZERO {
            let mut spending = self.spending(profile, now);
            for &window in Window::ALL {
                let spent = &mut spending.of_mut(window).spent;
                *spent = Micros(spent.0.saturating_add(amount.0));
            }
            self.keep_spending(profile, spending);
        }
    }

    /// The caps that a call which was just granted more has brought near, each told once in its window.
    pub(super) fn warn(
        &mut self,
        now: Timestamp,
        guard: &SpendGuard,
        profile: ProfileId,
    ) -> Vec<SpendWarning> {
        let mut spending = self.spending(profile, now);
        let reserved = self.held_by_calls(profile);
        let standings = guard.standings(spending, reserved, now).into_iter();
        let near = standings.filter(|it| guard.is_near(it.committed, it.cap));
        let news: Vec<_> = near
            .filter(|it| !std::mem::replace(&mut spending.of_mut(it.window).is_warned, true))
            .map(|standing| SpendWarning { profile, standing })
            .collect();
        if !news.is_empty() {
            self.keep_spending(profile, spending);
        }
        news
    }

    pub(super) fn set_guard(
        &mut self,
        policy: &ReservePolicy,
        profile: ProfileId,
        guard: GuardOverrides,
    ) -> Result<Outcome, Refusal> {
        self.subscriber(profile)?;
        if let Some(fault) = guard.over(&policy.guard).fault() {
            return Err(Refusal::Guard(fault));
        }
        if let Some(subscriber) = self.subscriber_mut(profile) {
            subscriber.guard = guard;
        }
        Ok(Outcome::Booked)
    }

    /// Forgives both windows what is committed so far. A window of a clock that was ahead gives way to now's.
    pub(super) fn release_guard(&mut self, now: Timestamp, profile: ProfileId) -> Result<Outcome, Refusal> {
        self.subscriber(profile)?;
        let reserved = self.held_by_calls(profile);
        let mut spending = self.spending(profile, now);
        for &window in Window::ALL {
            let number = window.number(now);
            let latest = spending.of_mut(window);
            let spent = if latest.number == number { latest.spent } else { Micros::ZERO };
            let forgiven = Micros(spent.0.saturating_add(reserved.0));
            *latest = Spent { number, spent, forgiven, is_warned: false };
        }
        self.keep_spending(profile, spending);
        Ok(Outcome::Booked)
    }

    /// Live calls of a profile to one country.
    pub(super) fn calls_to(&self, profile: ProfileId, country: &str) -> usize {
        let is_there = |call: &&Reservation| call.attempt.is_dialled() && call.attempt.country == country;
        self.leased(profile).filter(is_there).count() + self.elsewhere_to(profile, country)
    }
}

impl Attempt {
    /// Whether a number on the telephone network was dialled: only then do its country and price matter.
    pub(super) fn is_dialled(&self) -> bool {
        self.direction == Direction::Outgoing && self.kind == CallKind::Telephone
    }

    /// The terms of a call that can cost something.
    pub(super) fn charged(&self) -> Option<Tariff> {
        self.tariff.filter(|tariff| !tariff.is_free())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_100: Timestamp = Timestamp::from_unix_s(100 * HOUR_S);

    #[test]
    fn a_window_that_is_over_has_left_nothing_and_none_goes_back() {
        let spent = Spent { number: 100, spent: Micros(7), forgiven: Micros(2), is_warned: true };
        let spending = Spending { hour: spent, day: Spent { number: 4, ..spent } };
        assert_eq!(spending.at(HOUR_100.plus_s(HOUR_S - 1)), spending);
        assert_eq!(spending.at(HOUR_100.plus_s(-7 * DAY_S)), spending, "a clock set back");
        let later = spending.at(HOUR_100.plus_s(HOUR_S));
        assert_eq!(later.hour, Spent { number: 101, ..Spent::default() });
        assert_eq!(later.day, spending.day);
        assert_eq!(spending.at(HOUR_100.plus_s(20 * HOUR_S)).day, Spent { number: 5, ..Spent::default() });
    }

    #[test]
    fn a_cap_is_open_then_near_then_reached() {
        let guard = SpendGuard { hour_cap: Some(Micros(100)), ..SpendGuard::default() };
        let state = |spent, reserved, forgiven| {
            let hour =
                Spent { number: 100, spent: Micros(spent), forgiven: Micros(forgiven), is_warned: false };
            let spending = Spending { hour, ..Spending::default() };
            let standings = guard.standings(spending, Micros(reserved), HOUR_100);
            assert_eq!((standings.len(), standings[0].renews_at), (1, HOUR_100.plus_s(HOUR_S)));
            standings[0].state
        };
        assert_eq!(state(50, 29, 0), CapState::Open);
        assert_eq!(state(50, 30, 0), CapState::Warned);
        assert_eq!(state(50, 50, 0), CapState::Reached);
        assert_eq!(state(50, 50, 21), CapState::Open);
        assert!(SpendGuard::default().standings(Spending::default(), Micros(9), HOUR_100).is_empty());
    }
}
