//! A call's way through the books: reserve, answer, extend, and one of settle, void, expire.

use super::account::{Account, TransferKind};
use super::books::{Books, Why};
use super::funding::{Funding, Purse, fund};
use super::guard::Limit;
use super::on_hand::Held;
use super::operation::{Grant, Outcome, Refusal};
use super::reservation::{Payer, Reservation, ReservePolicy};
use crate::cdr::{Attempt, CallId, CallRecord, Cdr, Ending, Settlement};
use crate::lifecycle::{self, Standing};
use crate::model::{ProfileId, SpendGuard, Timestamp};
use crate::money::Micros;
use crate::rating::{BundleCover, Tariff};

/// Milliseconds in a second.
const SECOND_MS: u64 = 1_000;

impl Books {
    /// Refusals are looked for in a fixed order: name, profile, standing, channel, spend guard, credit.
    pub(super) fn reserve(
        &mut self,
        now: Timestamp,
        policy: ReservePolicy,
        call: &CallId,
        profile: ProfileId,
        attempt: &Attempt,
    ) -> Result<Outcome, Refusal> {
        if let Some(live) = self.live_call(call) {
            return Ok(Outcome::Granted(live.grant()));
        }
        if self.finished(call).is_some() {
            return Err(Refusal::CallIsOver(call.clone()));
        }
        let subscription = self.subscriber(profile)?.subscription;
        let standing = lifecycle::standing(subscription.as_ref(), now);
        let Some(subscription) = subscription.filter(|_| standing == Standing::Active) else {
            return Err(Refusal::NotActive(standing));
        };
        if self.channels_in_use(profile) >= subscription.channels as usize {
            return Err(Refusal::NoFreeChannel { channels: subscription.channels });
        }
        let guard = self.guard(&policy, profile);
        self.admit(&guard, profile, attempt)?;
        let mut reservation = Reservation {
            call: call.clone(),
            profile,
            attempt: attempt.clone(),
            bundle_period: subscription.period,
            bundle_s: 0,
            payer: policy.payer(&subscription, attempt),
            credit: Micros::ZERO,
            paid_s: guard.longest_call_s.filter(|_| attempt.charged().is_none()),
            answered_at: None,
            proved_s: 0,
            known: None,
        };
        let mut on_hand = None;
        if let Some(tariff) = attempt.charged() {
            let funding = self
                .afford(now, &guard, &reservation, &tariff, policy.first_s)
                .map_err(|limit| self.unaffordable(&guard, &reservation, &tariff, limit))?;
            on_hand = self.take(now, &guard, &mut reservation, funding);
        }
        let grant = Grant { on_hand, warnings: self.warn(now, &guard, profile), ..reservation.grant() };
        self.keep(reservation);
        Ok(Outcome::Granted(grant))
    }

    pub(super) fn answer(
        &mut self,
        call: &CallId,
        at: Timestamp,
        known: Option<&Ending>,
    ) -> Result<Outcome, Refusal> {
        let mut reservation = self.running(call)?;
        if reservation.answered_at.is_none() || reservation.known.is_none() {
            reservation.answered_at = reservation.answered_at.or(Some(at));
            reservation.known = known.cloned().map(Box::new);
            self.keep(reservation);
        }
        Ok(Outcome::Answered)
    }

    pub(super) fn extend(
        &mut self,
        now: Timestamp,
        policy: ReservePolicy,
        call: &CallId,
        elapsed_s: u32,
    ) -> Result<Outcome, Refusal> {
        let mut reservation = self.running(call)?;
        reservation.proved_s = reservation.proved_s.max(elapsed_s);
        let guard = self.guard(&policy, reservation.profile);
        let longer = self.lengthen(now, &guard, policy.extension_s, &mut reservation);
        let (grant, profile) = (reservation.grant(), reservation.profile);
        self.keep(reservation);
        Ok(match longer {
            Ok(on_hand) => {
                let warnings = self.warn(now, &guard, profile);
                Outcome::Granted(Grant { on_hand, warnings, ..grant })
            }
            Err(limit) => Outcome::LastGrant(grant, limit),
        })
    }

    /// Gives a call more seconds, or says what stands against it. Like [`Self::take`], gives what is left on hand.
    fn lengthen(
        &mut self,
        now: Timestamp,
        guard: &SpendGuard,
        extension_s: u32,
        call: &mut Reservation,
    ) -> Result<Option<Held>, Limit> {
        let Some(paid_s) = call.paid_s else { return Ok(None) };
        let Some(tariff) = call.attempt.charged() else {
            // A free call lasts as long as any call may; the limit may have been raised or lifted meanwhile.
            call.paid_s = guard.longest_call_s.map(|longest_s| longest_s.max(paid_s));
            return if call.paid_s == Some(paid_s) { Err(Limit::LongestCall) } else { Ok(None) };
        };
        let wanted_s = paid_s.saturating_add(extension_s.max(1));
        let funding = self.afford(now, guard, call, &tariff, wanted_s)?;
        Ok(self.take(now, guard, call, funding))
    }

    /// What pays a call up to `wanted_s`, as far as the guard and the purse let it go; or what lets it go no further
    /// than it is paid already.
    fn afford(
        &self,
        now: Timestamp,
        guard: &SpendGuard,
        call: &Reservation,
        tariff: &Tariff,
        wanted_s: u32,
    ) -> Result<Funding, Limit> {
        let paid_s = call.paid_s.unwrap_or(0);
        let purse = self.purse(now, call, tariff);
        let reach = self.reach(now, guard, call, tariff, (purse.bundle_s, wanted_s));
        let cut_by = reach.cut_by.unwrap_or(Limit::Credit);
        // Not asked of the purse: a recharge cannot help where the guard stands.
        let wanted_s = reach.seconds.filter(|wanted_s| *wanted_s > paid_s).ok_or(cut_by)?;
        fund(tariff, purse, wanted_s).filter(|funding| funding.paid_s > paid_s).ok_or(Limit::Credit)
    }

    /// Why a call that has not begun cannot be paid.
    fn unaffordable(&self, guard: &SpendGuard, call: &Reservation, tariff: &Tariff, limit: Limit) -> Refusal {
        let needed = tariff.charge(tariff.minimum_s, 0);
        let cap = |window| guard.cap(window).unwrap_or_default();
        match limit {
            Limit::SpendCap(window) => Refusal::SpendCapReached { window, cap: cap(window), needed },
            // The longest call always leaves the shortest billed duration.
            Limit::Credit | Limit::LongestCall => {
                let available = self.credit_for(call);
                match call.payer {
                    Payer::Profile => Refusal::InsufficientCredit { needed, available },
                    Payer::Company => Refusal::InsufficientCompanyCredit { needed, available },
                }
            }
        }
    }

    pub(super) fn settle(&mut self, now: Timestamp, call: &CallId, record: &CallRecord) -> Outcome {
        let talk_ms = record.ending.answered_at.map_or(0, |_| record.ending.talk_ms);
        let is_owed = record.ending.answered_at.is_some() && !record.ending.is_unconfirmed;
        let owed = if is_owed { Owed::Everything } else { Owed::Nothing };
        self.finish(now, call, record, talk_ms, owed)
    }

    pub(super) fn void(&mut self, now: Timestamp, call: &CallId, record: &CallRecord) -> Outcome {
        self.finish(now, call, record, 0, Owed::Nothing)
    }

    pub(super) fn expire(&mut self, now: Timestamp, call: &CallId) -> Result<Outcome, Refusal> {
        if let Some(settlement) = self.finished(call) {
            return Ok(Outcome::Settled(settlement));
        }
        let reservation = self.running(call)?;
        let ended_at = reservation.answered_at.map_or(now, |at| at.plus_s(i64::from(reservation.proved_s)));
        let ending = Ending {
            answered_at: reservation.answered_at,
            ended_at,
            talk_ms: u64::from(reservation.proved_s) * SECOND_MS,
            reason_code: "gateway_restarted".into(),
            reason: "The gateway stopped during the call; it is charged to its last proved second.".into(),
            cause: None,
            ..reservation.known.map(|known| *known).unwrap_or_default()
        };
        let record = CallRecord {
            profile: Some(reservation.profile),
            phone_of: None,
            attempt: reservation.attempt,
            ending,
        };
        Ok(self.settle(now, call, &record))
    }

    /// Closes a call, once: charges it, frees what is left, writes the record.
    fn finish(
        &mut self,
        now: Timestamp,
        call: &CallId,
        record: &CallRecord,
        talk_ms: u64,
        owed: Owed,
    ) -> Outcome {
        if let Some(settlement) = self.finished(call) {
            return Outcome::Settled(settlement);
        }
        let mut record = record.clone();
        let mut settlement = Settlement { duration_s: nearest_s(talk_ms), ..Settlement::default() };
        if let Some(reservation) = self.release(call) {
            if owed == Owed::Everything {
                settlement = charge(&reservation, talk_ms);
            }
            self.collect(now, &reservation, settlement);
            // The terms on which the call was let in are the ones it was charged by.
            // The history of a deleted profile goes with it.
            record.profile = Some(reservation.profile).filter(|profile| self.closed(*profile).is_none());
            record.attempt.tariff = reservation.attempt.tariff;
        }
        self.record(Cdr { call: call.clone(), record, settlement });
        Outcome::Settled(settlement)
    }

    /// Frees what the call held and moves what it owes.
    fn collect(&mut self, now: Timestamp, call: &Reservation, settlement: Settlement) {
        let profile = Account::Profile(call.profile);
        let bundle = Account::Bundle { profile: call.profile, period: call.bundle_period };
        let why = Why::Call(&call.call);
        self.hold(profile, -call.credit.0);
        self.hold(bundle, -i64::from(call.bundle_s));
        let used_s = i64::from(settlement.bundle_s);
        self.transfer(now, TransferKind::CallCharge, (profile, Account::Revenue), settlement.amount.0, why);
        self.count_spent(now, call.profile, settlement.amount);
        // What the company has given and the call did not need.
        self.move_overflow(now, call, settlement.amount.0 - call.credit.0);
        self.transfer(now, TransferKind::BundleUse, (bundle, Account::MinutesUsed), used_s, why);
        if self.has_ended(call.profile, call.bundle_period) {
            self.end_bundle(now, bundle);
        }
        self.return_credit(now, call.profile);
    }

    fn running(&self, call: &CallId) -> Result<Reservation, Refusal> {
        match self.live_call(call) {
            Some(reservation) => Ok(reservation.clone()),
            None if self.finished(call).is_some() => Err(Refusal::CallIsOver(call.clone())),
            None => Err(Refusal::UnknownCall(call.clone())),
        }
    }

    /// What the call can draw on now. Its bundle seconds stay those of the period it began in; a call that goes on
    /// past the period's end keeps what it holds and is paid by credit from there.
    fn purse(&self, now: Timestamp, call: &Reservation, tariff: &Tariff) -> Purse {
        let subscriber = self.subscriber(call.profile).ok().copied();
        let is_paid = |period| {
            subscriber.and_then(|subscriber| subscriber.subscription).is_some_and(|subscription| {
                subscription.period == period
                    && lifecycle::standing(Some(&subscription), now) == Standing::Active
            })
        };
        let bundle = Account::Bundle { profile: call.profile, period: call.bundle_period };
        let on_hand = self.on_hand(call.profile);
        let on_hand_s = if on_hand.bundle_period == call.bundle_period { on_hand.bundle_s } else { 0 };
        let left_s = match is_paid(call.bundle_period) {
            true => self.balance(bundle).available() + i64::from(on_hand_s),
            false => 0,
        };
        let bundle_s = match tariff.bundle {
            BundleCover::Covered => call.bundle_s.saturating_add(u32::try_from(left_s).unwrap_or(u32::MAX)),
            BundleCover::NotCovered => 0,
        };
        let company =
            subscriber.map_or(0, |subscriber| self.balance(Account::Company(subscriber.company)).available());
        let recharge = subscriber.and_then(|subscriber| subscriber.recharge);
        Purse {
            bundle_s,
            credit: Micros(self.credit_for(call).0 + call.credit.0),
            company: Micros(company),
            // It fills up the profile's credit, which is not drawn on.
            recharge: recharge.filter(|_| call.payer == Payer::Profile),
        }
    }

    /// Credit that the call may still draw on.
    pub(super) fn credit_for(&self, call: &Reservation) -> Micros {
        match call.payer {
            Payer::Profile => {
                let free = self.balance(Account::Profile(call.profile)).available();
                Micros(free + self.on_hand(call.profile).credit.0)
            }
            Payer::Company => {
                let company = self.subscriber(call.profile).map(|it| Account::Company(it.company));
                Micros(company.map_or(0, |company| self.balance(company).available()))
            }
        }
    }

    /// Moves what a call needs beyond the bundle from its company to its profile, where the call holds it; below zero,
    /// back. So a profile's calls hold their credit in one place, whoever pays.
    pub(super) fn move_overflow(&mut self, now: Timestamp, call: &Reservation, amount: i64) {
        let Some(subscriber) = self.subscribers.get(&call.profile) else { return };
        if call.payer == Payer::Company {
            let (company, profile) = (Account::Company(subscriber.company), Account::Profile(call.profile));
            let way = if amount < 0 { (profile, company) } else { (company, profile) };
            let why = Why::Profile(call.profile, "");
            self.transfer(now, TransferKind::BundleOverflow, way, amount.abs(), why);
        }
    }

    /// Recharges as the funding asks and holds what it names for the call. Gives what is left on hand, if the call had
    /// to draw on it.
    fn take(
        &mut self,
        now: Timestamp,
        guard: &SpendGuard,
        call: &mut Reservation,
        funding: Funding,
    ) -> Option<Held> {
        let profile = Account::Profile(call.profile);
        if let Some((company, recharge)) =
            self.subscriber(call.profile).ok().and_then(|it| Some((it.company, it.recharge?)))
        {
            let way = (Account::Company(company), profile);
            for _ in 0..funding.recharges {
                let why = Why::Profile(call.profile, "");
                self.transfer(now, TransferKind::Recharge, way, recharge.amount.0, why);
            }
        }
        self.move_overflow(now, call, funding.credit.0 - call.credit.0);
        let over = self.over_cap(now, guard, call.profile, Micros(funding.credit.0 - call.credit.0));
        let has_drawn = self.draw(call, &funding, over);
        let bundle = Account::Bundle { profile: call.profile, period: call.bundle_period };
        self.hold(profile, funding.credit.0 - call.credit.0);
        self.hold(bundle, i64::from(funding.bundle_s) - i64::from(call.bundle_s));
        call.paid_s = Some(funding.paid_s);
        call.bundle_s = funding.bundle_s;
        call.credit = funding.credit;
        has_drawn.then(|| self.on_hand(call.profile))
    }
}

/// Whether a call that is over owes its charge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// It was answered.
    Everything,
    /// It was not, or is forgiven.
    Nothing,
}

/// How long a call lasted for the record, to the nearest second: the few milliseconds between the two sides' clocks make no
/// second of their own. What is billed counts begun seconds.
fn nearest_s(talk_ms: u64) -> u32 {
    u32::try_from(talk_ms.saturating_add(SECOND_MS / 2) / SECOND_MS).unwrap_or(u32::MAX)
}

/// What an answered call comes to; never more than was paid ahead for it, even when it was ended late.
fn charge(call: &Reservation, talk_ms: u64) -> Settlement {
    let duration_s = nearest_s(talk_ms);
    let (Some(paid_s), Some(tariff)) = (call.paid_s, call.attempt.charged()) else {
        return Settlement { duration_s, ..Settlement::default() };
    };
    let begun_s = u32::try_from(talk_ms.div_ceil(SECOND_MS)).unwrap_or(u32::MAX);
    let billed_s = tariff.billed_s(begun_s).min(paid_s);
    let bundle_s = call.bundle_s.min(billed_s);
    let amount = tariff.charge(billed_s, bundle_s).min(call.credit);
    let payer = (amount > Micros::ZERO).then_some(call.payer);
    Settlement { duration_s, billed_s, bundle_s, amount, payer }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_three_seconds_is_recorded_as_three() {
        for (talk_ms, duration_s) in
            [(0, 0), (2_996, 3), (3_000, 3), (3_004, 3), (3_499, 3), (3_500, 4), (u64::MAX, u32::MAX)]
        {
            assert_eq!(nearest_s(talk_ms), duration_s, "{talk_ms} ms");
        }
    }
}
