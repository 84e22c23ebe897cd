//! Random operations on the database and on maps: the same answers, the same books, nothing made, nothing lost.

use std::num::NonZeroU32;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult};
use provisioning_store::cdr::Attempt;
use provisioning_store::ledger::{Closing, LedgerEntry, LedgerOp};
use provisioning_store::lifecycle::{NumberOffer, Order, PriceList};
use provisioning_store::memory::LedgerState;
use provisioning_store::model::{
    CompanyId, GuardOverrides, NumberId, Override, Premium, ProfileId, Recharge, Timestamp,
};
use provisioning_store::money::Micros;
use provisioning_store::rating::Tariff;
use provisioning_store::store::Store;

use crate::world::*;

/// A price list on which everything can run out within a test.
fn prices() -> Box<PriceList> {
    Box::new(PriceList {
        channel: Micros(100),
        bundle: Micros(300),
        bundle_minutes: 3,
        period_days: 1,
        ..PriceList::default()
    })
}

fn tariff() -> impl Strategy<Value = Option<Tariff>> {
    prop_oneof![
        Just(None),
        Just(Some(MICRO_A_SECOND)),
        Just(Some(COVERED)),
        Just(Some(Tariff { connection_fee: Micros(7), increment_s: 1, ..COVERED })),
    ]
}

fn country() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["EE", "US", ""])
}

fn limit<T: Copy + std::fmt::Debug + 'static>(
    limits: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Override<T>> {
    prop_oneof![
        3 => Just(Override::Inherited),
        1 => Just(Override::Lifted),
        3 => limits.clone().prop_map(Override::Set),
        1 => proptest::option::of(limits).prop_map(Override::Begun),
    ]
}

/// Spend guards, some of which contradict themselves.
fn guard() -> impl Strategy<Value = GuardOverrides> {
    let cap = || (0i64..400).prop_map(Micros);
    let countries = || prop::sample::select(vec!["EE", "US", "CU,EE"]).prop_map(|them| them.parse().unwrap());
    (
        (limit(cap()), limit(cap()), limit((59i64..61).prop_map(Micros))),
        (limit(countries()), limit(countries()), limit(0u32..3)),
        (
            limit(5u32..200),
            limit(0u8..=100),
            limit(prop::sample::select(Premium::ALL)),
            limit((1u32..9).prop_map(|most| NonZeroU32::new(most).unwrap())),
        ),
    )
        .prop_map(
            |(
                (hour_cap, day_cap, highest_rate),
                (allowed, denied, busy),
                (longest, warn, premium, calls),
            )| {
                GuardOverrides {
                    hour_cap,
                    day_cap,
                    highest_rate,
                    allowed,
                    denied,
                    calls_to_one_country: busy,
                    longest_call_s: longest,
                    calls_per_second: calls,
                    premium,
                    warn_percent: warn,
                }
            },
        )
}

fn operation() -> impl Strategy<Value = LedgerOp> {
    let company = || (1i64..3).prop_map(CompanyId);
    let profile = || (1i64..4).prop_map(ProfileId);
    let number = || (1i64..3).prop_map(NumberId);
    let name = || (0u32..12).prop_map(|n| call(&n.to_string()));
    let talk = prop::option::of(0u64..400);
    prop_oneof![
        1 => company().prop_map(|company| LedgerOp::OpenCompany { company }),
        1 => (profile(), company()).prop_map(|(profile, company)| LedgerOp::OpenProfile { profile, company }),
        2 => (company(), -1i64..3_000).prop_map(|(company, amount)| {
            LedgerOp::TopUp { company, amount: Micros(amount), note: "paid in".into() }
        }),
        2 => (profile(), 0i64..800).prop_map(|(profile, amount)| LedgerOp::Allocate { profile, amount: Micros(amount) }),
        1 => (profile(), prop::option::of(1i64..300)).prop_map(|(profile, amount)| {
            LedgerOp::TakeBack { profile, amount: amount.map(Micros) }
        }),
        1 => (profile(), prop::option::of((1i64..100, 1i64..200))).prop_map(|(profile, recharge)| {
            let recharge = recharge.map(|(low, sum)| Recharge { threshold: Micros(low), amount: Micros(sum) });
            LedgerOp::SetRecharge { profile, recharge }
        }),
        2 => (profile(), 0u32..5, 0u32..4).prop_map(|(profile, channels, bundles)| {
            LedgerOp::Subscribe { profile, order: Order { channels, bundles }, prices: prices() }
        }),
        1 => profile().prop_map(|profile| LedgerOp::CancelSubscription { profile }),
        1 => profile().prop_map(|profile| LedgerOp::ExtendSubscription { profile }),
        2 => (profile(), 1i64..4).prop_map(|(profile, period)| {
            LedgerOp::CompletePeriod { profile, period, prices: prices() }
        }),
        1 => (profile(), prop::option::weighted(0.8, 1i64..4)).prop_map(|(profile, period)| {
            let closing = period.map_or(Closing::Asked, |period| Closing::Disabled { period });
            LedgerOp::CloseProfile { profile, closing }
        }),
        2 => (number(), company(), -1i64..90).prop_map(|(number, company, fee)| {
            let offer = NumberOffer { number: "+12026843376".into(), fee: Micros(fee), term_days: 1 };
            LedgerOp::LeaseNumber { number, company, offer: Box::new(offer) }
        }),
        1 => number().prop_map(|number| LedgerOp::CancelNumber { number }),
        1 => number().prop_map(|number| LedgerOp::KeepNumber { number }),
        2 => (number(), 1i64..3).prop_map(|(number, term)| LedgerOp::CompleteTerm { number, term }),
        1 => (number(), 1i64..3).prop_map(|(number, term)| LedgerOp::ReleaseNumber { number, term }),
        8 => (name(), profile(), tariff(), country()).prop_map(|(call, profile, tariff, country)| {
            let attempt = Box::new(Attempt { country: country.into(), ..attempt(tariff) });
            LedgerOp::Reserve { call, profile, attempt }
        }),
        2 => (profile(), guard()).prop_map(|(profile, guard)| LedgerOp::SetGuard { profile, guard: Box::new(guard) }),
        1 => profile().prop_map(|profile| LedgerOp::ReleaseGuard { profile }),
        2 => name().prop_map(|call| LedgerOp::Answer { call, at: start(), known: None }),
        6 => (name(), 0u32..300).prop_map(|(call, elapsed_s)| LedgerOp::Extend { call, elapsed_s }),
        3 => (name(), tariff(), talk).prop_map(|(call, tariff, talk)| {
            LedgerOp::Settle { call, record: Box::new(record(tariff, talk)) }
        }),
        1 => name().prop_map(|call| LedgerOp::Void { call, record: Box::new(record(None, Some(9))) }),
        1 => name().prop_map(|call| LedgerOp::Expire { call }),
        3 => (profile(), 0i64..200, 0u32..120).prop_map(|(profile, credit, bundle_s)| {
            LedgerOp::Hold { profile, credit: Micros(credit), bundle_s }
        }),
    ]
}

/// Operations with the hours between them, in batches. The first ones open everything, so that the rest finds it.
fn history() -> impl Strategy<Value = Vec<Vec<LedgerEntry>>> {
    let step = (0i64..20_000, operation());
    prop::collection::vec(prop::collection::vec(step, 1..40), 1..8).prop_map(|batches| {
        let mut now = start();
        let opening = (1..4)
            .flat_map(|id| {
                let (company, profile) = (CompanyId(1 + id % 2), ProfileId(id));
                let order = Order { channels: 3, bundles: 1 };
                [
                    LedgerOp::OpenCompany { company },
                    LedgerOp::TopUp { company, amount: Micros(3_000), note: String::new() },
                    LedgerOp::OpenProfile { profile, company },
                    LedgerOp::Subscribe { profile, order, prices: prices() },
                    LedgerOp::Allocate { profile, amount: Micros(300) },
                ]
            })
            .map(|op| LedgerEntry { at: start(), op })
            .collect();
        let batches = batches.into_iter().map(|batch| {
            let entry = |(seconds, op)| {
                now = now.plus_s(seconds);
                LedgerEntry { at: now, op }
            };
            batch.into_iter().map(entry).collect()
        });
        std::iter::once(opening).chain(batches).collect()
    })
}

/// What must hold of the books after every operation, whatever it was.
fn check(ledger: &LedgerState) -> TestCaseResult {
    prop_assert_eq!(ledger.verify(), []);
    for live in ledger.books().live_calls() {
        // A free call may have an end too, but pays nothing for it.
        let Some((paid_s, tariff)) = live.paid_s.zip(live.attempt.tariff) else { continue };
        prop_assert_eq!(tariff.longest_billable_s(paid_s), Some(paid_s), "a whole number of steps is paid");
        prop_assert!(live.bundle_s <= paid_s);
        prop_assert_eq!(
            live.credit,
            tariff.charge(paid_s, live.bundle_s),
            "exactly the paid seconds are held"
        );
    }
    for cdr in ledger.cdrs() {
        let settlement = cdr.settlement;
        let is_answered = cdr.record.ending.answered_at.is_some();
        prop_assert!(is_answered || settlement.billed_s == 0, "nothing is billed without an answer");
        prop_assert!(settlement.bundle_s <= settlement.billed_s);
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 256, ..Config::default() })]

    #[test]
    fn no_history_breaks_the_books(history in history()) {
        let mut ledger = LedgerState::default();
        for LedgerEntry { at, op } in history.into_iter().flatten() {
            let before = ledger.clone();
            let outcome = ledger.apply(at, op.clone());
            check(&ledger)?;
            match op {
                _ if outcome.is_err() => {
                    prop_assert_eq!(ledger.transfers(), before.transfers(), "a refusal changes nothing");
                    let same = ledger.books().live_calls().eq(before.books().live_calls());
                    prop_assert!(same && ledger.cdrs() == before.cdrs());
                }
                LedgerOp::Reserve { profile, .. } => {
                    // The same call may be asked for again after its profile was deleted.
                    let Ok(subscriber) = ledger.books().subscriber(profile) else { continue };
                    let channels = subscriber.subscription.unwrap().channels;
                    let grew = ledger.books().channels_in_use(profile) > before.books().channels_in_use(profile);
                    prop_assert!(!grew || ledger.books().channels_in_use(profile) <= channels as usize);
                }
                LedgerOp::Settle { .. } | LedgerOp::Void { .. } | LedgerOp::Expire { .. } => {
                    let again = ledger.apply(at, op);
                    prop_assert_eq!(again, outcome);
                    prop_assert!(ledger.cdrs().len() <= before.cdrs().len() + 1, "one record for each call");
                }
                _ => {}
            }
        }
    }
}

async fn agree(store: &Store, oracle: &mut LedgerState, batch: &[LedgerEntry]) -> TestCaseResult {
    let expected: Vec<_> = batch.iter().map(|entry| oracle.apply(entry.at, entry.op.clone())).collect();
    let outcomes = store.apply(batch).await.unwrap();
    for ((entry, outcome), expected) in batch.iter().zip(&outcomes).zip(&expected) {
        prop_assert_eq!(outcome, expected, "{:?}", entry);
    }
    prop_assert_eq!(oracle.verify(), []);
    prop_assert_eq!(store.verify().await.unwrap(), []);
    let accounts = store.balances().await.unwrap();
    for (account, balance) in &accounts {
        prop_assert_eq!(*balance, oracle.books().balance(*account), "{}", account);
    }
    let live: Vec<_> = oracle.books().live_calls().cloned().collect();
    prop_assert_eq!(store.live_calls().await.unwrap(), live);
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 48, max_shrink_iters: 200, ..Config::default() })]

    #[test]
    fn the_database_agrees_with_the_oracle(history in history()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let home = Home::new();
            let store = home.open().await;
            let mut oracle = LedgerState::default();
            for batch in &history {
                agree(&store, &mut oracle, batch).await?;
            }
            // A repeated batch of calls' ends changes nothing.
            let ends: Vec<_> = history.iter().flatten().filter(|entry| {
                matches!(entry.op, LedgerOp::Settle { .. } | LedgerOp::Void { .. })
            }).cloned().collect();
            let before = store.balances().await.unwrap();
            let live = store.live_calls().await.unwrap();
            agree(&store, &mut oracle, &ends).await?;
            if live.is_empty() {
                prop_assert_eq!(before, store.balances().await.unwrap());
            }
            let end = Timestamp(i64::MAX / 4);
            prop_assert_eq!(store.settle_orphans(end).await.unwrap(), oracle.settle_orphans(end));
            agree(&store, &mut oracle, &[]).await?;
            prop_assert_eq!(store.live_calls().await.unwrap(), []);
            for cdr in oracle.cdrs() {
                let stored = store.cdr(&cdr.call).await.unwrap();
                prop_assert_eq!(stored.as_ref(), Some(cdr));
            }
            store.close().await;
            Ok(())
        })?;
    }
}
