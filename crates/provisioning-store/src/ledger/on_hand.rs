//! What the gateway keeps on hand: credit and bundle seconds of a profile that are reserved ahead of any call, so that
//! the gateway can grant calls from them while the database does not answer.
//!
//! To the same profile's calls a hold is free credit: what it holds is the last that they draw on, and the first that
//! an administrator cannot take back. So nobody is refused because of it, and what was granted from it is paid.

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::books::Books;
use super::funding::Funding;
use super::operation::{Outcome, Refusal};
use super::reservation::{Payer, Reservation, ReservePolicy};
use crate::lifecycle::{self, Standing};
use crate::model::{ProfileId, Timestamp};
use crate::money::Micros;

/// Credit and bundle seconds that are held: for a call, or on hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Credit.
    #[serde(rename = "credit_micros")]
    pub credit: Micros,
    /// Bundle period that the seconds come from; 0 when there was none.
    pub bundle_period: i64,
    /// Bundle seconds.
    pub bundle_s: u32,
}

impl Held {
    /// True when nothing is held.
    pub fn is_nothing(&self) -> bool {
        self.credit == Micros::ZERO && self.bundle_s == 0
    }
}

impl Books {
    /// Brings what is on hand for a profile to `credit` and `bundle_s`, as far as both are free and the spend guard
    /// leaves room; to nothing without a running subscription. Never recharges.
    pub(super) fn keep_on_hand(
        &mut self,
        now: Timestamp,
        policy: &ReservePolicy,
        profile: ProfileId,
        (credit, bundle_s): (Micros, u32),
    ) -> Result<Outcome, Refusal> {
        if self.closed(profile).is_some() {
            return Ok(Outcome::OnHand(Held::default()));
        }
        let subscription = self.subscriber(profile)?.subscription;
        let is_active = lifecycle::standing(subscription.as_ref(), now) == Standing::Active;
        let (credit, bundle_s) = if is_active { (credit, bundle_s) } else { (Micros::ZERO, 0) };
        let mut held = self.on_hand(profile);
        let period = subscription.map_or(0, |subscription| subscription.period);
        if held.bundle_period != period {
            let ended = Account::Bundle { profile, period: held.bundle_period };
            self.hold(ended, -i64::from(held.bundle_s));
            self.end_bundle(now, ended);
            (held.bundle_s, held.bundle_period) = (0, period);
        }
        let account = Account::Profile(profile);
        let free = held.credit.0 + self.balance(account).available();
        let guard = self.guard(policy, profile);
        // What is on hand may be spent without the database being asked, so it has to fit under the caps as well.
        let fits = held.credit.0.saturating_sub(self.over_cap(now, &guard, profile, Micros::ZERO));
        let kept = credit.0.min(fits).clamp(0, free.max(0));
        self.hold(account, kept - held.credit.0);
        held.credit = Micros(kept);
        let bundle = Account::Bundle { profile, period };
        let free_s = i64::from(held.bundle_s) + self.balance(bundle).available();
        let kept_s = bundle_s.min(u32::try_from(free_s.max(0)).unwrap_or(u32::MAX));
        self.hold(bundle, i64::from(kept_s) - i64::from(held.bundle_s));
        held.bundle_s = kept_s;
        self.set_on_hand(profile, held);
        if self.has_ended(profile, period) {
            // Freed after its period was over: nobody will use it any more.
            self.end_bundle(now, bundle);
        }
        Ok(Outcome::OnHand(held))
    }

    /// Frees from what is on hand what a call is about to hold and what is not free otherwise, but no less than `over`,
    /// by which it would all be over a spend cap. True if it did.
    pub(super) fn draw(&mut self, call: &Reservation, funding: &Funding, over: i64) -> bool {
        let mut held = self.on_hand(call.profile);
        let account = Account::Profile(call.profile);
        let short = funding.credit.0 - call.credit.0 - self.balance(account).available();
        let credit = short.max(over).clamp(0, held.credit.0);
        let bundle = Account::Bundle { profile: call.profile, period: call.bundle_period };
        let short_s =
            i64::from(funding.bundle_s) - i64::from(call.bundle_s) - self.balance(bundle).available();
        let most_s = if held.bundle_period == call.bundle_period { held.bundle_s } else { 0 };
        let seconds = u32::try_from(short_s.max(0)).unwrap_or(u32::MAX).min(most_s);
        if credit == 0 && seconds == 0 {
            return false;
        }
        self.hold(account, -credit);
        self.hold(bundle, -i64::from(seconds));
        held.credit.0 -= credit;
        held.bundle_s -= seconds;
        self.set_on_hand(call.profile, held);
        true
    }

    /// Books a call as it was granted from what is on hand, without asking whether it may be: it was. A call that
    /// holds as many seconds already keeps what it has, so a grant that was booked before is not booked twice, and one
    /// that is over stays so. What it needs comes from what is on hand first, then from what is free; should both be
    /// short, it holds the less, and never more is charged than it holds.
    pub(super) fn adopt(&mut self, now: Timestamp, granted: &Reservation) -> Result<Outcome, Refusal> {
        if self.finished(&granted.call).is_some() {
            return Ok(Outcome::Booked);
        }
        if !self.subscribers.contains_key(&granted.profile) {
            return Err(Refusal::UnknownProfile(granted.profile));
        }
        let nothing = || Reservation { bundle_s: 0, credit: Micros::ZERO, paid_s: None, ..granted.clone() };
        let mut call = self.live_call(&granted.call).cloned().unwrap_or_else(nothing);
        call.answered_at = call.answered_at.or(granted.answered_at);
        call.proved_s = call.proved_s.max(granted.proved_s);
        call.known = call.known.or_else(|| granted.known.clone());
        // `None` of a free call equals `None`; of a call that is not booked yet it is below any grant.
        if granted.paid_s > call.paid_s {
            self.raise(now, &mut call, granted);
        }
        self.keep(call);
        Ok(Outcome::Booked)
    }

    fn raise(&mut self, now: Timestamp, call: &mut Reservation, granted: &Reservation) {
        let Some((paid_s, tariff)) = granted.paid_s.zip(granted.attempt.tariff) else { return };
        let held = self.on_hand(call.profile);
        let (account, bundle) = (
            Account::Profile(call.profile),
            Account::Bundle { profile: call.profile, period: call.bundle_period },
        );
        let held_s = if held.bundle_period == call.bundle_period { held.bundle_s } else { 0 };
        let there_s = i64::from(call.bundle_s) + i64::from(held_s) + self.balance(bundle).available().max(0);
        let bundle_s =
            granted.bundle_s.max(call.bundle_s).min(u32::try_from(there_s).unwrap_or(u32::MAX)).min(paid_s);
        let there = call.credit.0 + self.credit_for(call).0.max(0);
        let credit = Micros(tariff.charge(paid_s, bundle_s).0.min(there)).max(call.credit);
        self.move_overflow(now, call, credit.0 - call.credit.0);
        let lent = match call.payer {
            Payer::Profile => held.credit.0,
            Payer::Company => 0,
        };
        let taken = Held {
            credit: Micros((credit.0 - call.credit.0).clamp(0, lent)),
            bundle_s: bundle_s.saturating_sub(call.bundle_s).min(held_s),
            ..held
        };
        self.hold(account, credit.0 - call.credit.0 - taken.credit.0);
        self.hold(bundle, i64::from(bundle_s) - i64::from(call.bundle_s) - i64::from(taken.bundle_s));
        if !taken.is_nothing() {
            let left = Held {
                credit: Micros(held.credit.0 - taken.credit.0),
                bundle_s: held.bundle_s - taken.bundle_s,
                ..held
            };
            self.set_on_hand(call.profile, left);
        }
        (call.paid_s, call.bundle_s, call.credit) = (Some(paid_s), bundle_s, credit);
    }
}
