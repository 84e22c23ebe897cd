//! What companies do in a day.

use provisioning_store::cdr::{Attempt, CallId};
use provisioning_store::ledger::{Closing, LedgerOp};
use provisioning_store::lifecycle::{NumberOffer, Order};
use provisioning_store::model::{CompanyId, NumberId, ProfileId, Recharge, Timestamp};
use provisioning_store::money::Micros;
use provisioning_store::rating::{BundleCover, Tariff};

use super::World;
use crate::world::*;

/// Dear calls, so that credit runs out.
const TARIFF: Tariff = Tariff::standard(Micros::from_cents(40), BundleCover::NotCovered);
const US: Tariff = Tariff::standard(Micros::from_cents(1), BundleCover::Covered);

impl World {
    /// Lives through a day; returns the moment of its evening.
    pub(crate) fn live_a_day(&mut self, day: i64) -> Timestamp {
        self.books.set_policy(super::policy(day));
        let midnight = start().plus_days(day);
        let mut at = midnight;
        for company in (1..=self.companies).map(CompanyId) {
            if self.dice.one_in(5) {
                at = midnight.plus_s(self.dice.between(0, 80_000)).max(at);
                self.act(at, company);
            }
        }
        self.end_calls(at);
        // A clock that was ahead, now and then, by some hours.
        let ahead = if self.dice.one_in(20) { self.dice.between(0, 40_000) } else { 0 };
        midnight.plus_s(86_399 + ahead)
    }

    /// A scheduler that is down stays down for some weeks.
    pub(crate) fn is_scheduler_awake(&mut self) -> bool {
        if self.asleep > 0 {
            self.asleep -= 1;
        } else if self.dice.one_in(60) {
            self.asleep = self.dice.between(1, 45);
        }
        self.asleep == 0
    }

    fn profile(&mut self) -> ProfileId {
        ProfileId(self.dice.between(1, self.profiles))
    }

    /// One thing that a company or its profile does; many are refused, as in life.
    fn act(&mut self, at: Timestamp, company: CompanyId) {
        let profile = self.profile();
        let op = match self.dice.between(1, 25) {
            1..=5 => {
                let amount = Micros::from_units(self.dice.between(1, 120) as i32);
                LedgerOp::TopUp { company, amount, note: String::new() }
            }
            6..=7 => LedgerOp::Allocate { profile, amount: Micros(self.dice.between(1, 20_000_000)) },
            8 => LedgerOp::TakeBack { profile, amount: None },
            9 => LedgerOp::SetRecharge { profile, recharge: Some(Recharge::RECOMMENDED) },
            10..=11 => {
                let (channels, bundles) = (self.dice.between(1, 6), self.dice.between(0, 3));
                let order = Order { channels: channels as u32, bundles: bundles as u32 };
                LedgerOp::Subscribe { profile, order, prices: Box::new(self.prices.clone()) }
            }
            12 => LedgerOp::CancelSubscription { profile },
            13 => LedgerOp::ExtendSubscription { profile },
            14 if self.dice.one_in(6) => LedgerOp::CloseProfile { profile, closing: Closing::Asked },
            14..=15 => return self.open_profile(at, company),
            16 => {
                self.numbers += 1;
                let offer = NumberOffer {
                    number: format!("+1202555{:04}", self.numbers % 10_000),
                    fee: Micros::from_cents(600),
                    term_days: self.dice.between(1, 90) as u32,
                };
                LedgerOp::LeaseNumber { number: NumberId(self.numbers), company, offer: Box::new(offer) }
            }
            17 => LedgerOp::CancelNumber { number: NumberId(self.dice.between(1, self.numbers.max(1))) },
            18 => LedgerOp::KeepNumber { number: NumberId(self.dice.between(1, self.numbers.max(1))) },
            19 => LedgerOp::Hold {
                profile,
                credit: Micros(self.dice.between(0, 3_000_000)),
                bundle_s: self.dice.between(0, 600) as u32,
            },
            _ => return self.call(at, profile),
        };
        let _refused = self.done(at, op);
    }

    fn call(&mut self, at: Timestamp, profile: ProfileId) {
        self.calls_made += 1;
        let name = format!("call {}", self.calls_made);
        let tariff = if self.dice.one_in(2) { TARIFF } else { US };
        let attempt = Box::new(Attempt { started_at: at, ..attempt(Some(tariff)) });
        let call = CallId::new(name.as_str());
        if self.done(at, LedgerOp::Reserve { call: call.clone(), profile, attempt }).is_ok() {
            let channels = self.subscription(profile).map_or(0, |subscription| subscription.channels);
            let in_use = self.books.books().channels_in_use(profile);
            assert!(
                in_use <= channels as usize,
                "{in_use} calls on {channels} channels of profile {profile}"
            );
            let _answered = self.done(at, LedgerOp::Answer { call, at, known: None });
            self.calls.push((name, at));
        }
    }

    /// Most calls end on their day; some are still there when their period, or their profile, is over.
    fn end_calls(&mut self, at: Timestamp) {
        for (name, began) in std::mem::take(&mut self.calls) {
            let call = CallId::new(name.as_str());
            let elapsed_s = self.dice.between(1, 900) as u32;
            let _longer = self.done(at, LedgerOp::Extend { call: call.clone(), elapsed_s });
            if self.dice.one_in(10) && at.since(began) < 2_000_000 * 86_400 {
                self.calls.push((name, began));
                continue;
            }
            let mut record = Box::new(record(None, Some(u64::from(elapsed_s))));
            record.attempt.started_at = began;
            self.done(at, LedgerOp::Settle { call, record }).unwrap();
        }
    }
}
