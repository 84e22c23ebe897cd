//! Many callers at once, a writer that dies, a database that is opened again.

use provisioning_store::cdr::Ending;
use provisioning_store::error::StoreError;
use provisioning_store::ledger::{Account, LedgerEntry, LedgerOp, Outcome, Refusal};
use provisioning_store::secrets::{SecretError, SecretKey};
use provisioning_store::store::{Store, StoreOptions};
use provisioning_store::writer::{Writer, WriterLimits};

use crate::world::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_on_credit_for_one_carry_one() {
    let home = Home::new();
    let store = home.open().await;
    open_books(&store, 30, 59).await;
    let (writer, task) = Writer::start(store.clone(), WriterLimits::default());
    let calls: Vec<_> = (0..30)
        .map(|n| {
            let writer = writer.clone();
            tokio::spawn(
                async move { writer.apply(start(), reserve(&n.to_string(), Some(MICRO_A_SECOND))).await },
            )
        })
        .collect();
    let mut granted = 0;
    for call in calls {
        match call.await.unwrap().unwrap() {
            Ok(Outcome::Granted(grant)) => granted += grant.paid_s.unwrap(),
            Err(Refusal::InsufficientCredit { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(granted, 54);
    assert_eq!(store.balances().await.unwrap()[&Account::Profile(PROFILE)].available(), 5);
    assert_eq!(store.verify().await.unwrap(), []);
    drop(writer);
    task.await.unwrap();
}

#[tokio::test]
async fn three_hundred_channels_and_not_one_more() {
    let home = Home::new();
    let store = home.open().await;
    open_books(&store, 300, 1).await;
    let reserve_all = |from: u32| -> Vec<_> {
        (from..from + 301).map(|n| LedgerEntry { at: start(), op: reserve(&n.to_string(), None) }).collect()
    };
    for round in 0..2 {
        let outcomes = store.apply(&reserve_all(round * 301)).await.unwrap();
        let refused =
            outcomes.iter().filter(|it| **it == Err(Refusal::NoFreeChannel { channels: 300 })).count();
        assert_eq!((outcomes.len(), refused), (301, 1));
        // One call at a time, too: the count comes from the table then, not from the batch.
        let late = store.apply_one(start(), reserve("late", None)).await;
        assert!(matches!(late, Err(StoreError::Refused(Refusal::NoFreeChannel { .. }))));
        let live = store.live_calls().await.unwrap();
        assert_eq!(live.len(), 300);
        let ends: Vec<_> = live
            .into_iter()
            .map(|it| LedgerEntry {
                at: start(),
                op: LedgerOp::Void { call: it.call, record: Box::new(record(None, None)) },
            })
            .collect();
        store.apply(&ends).await.unwrap();
        assert_eq!(store.live_calls().await.unwrap(), []);
    }
    assert_eq!(store.verify().await.unwrap(), []);
}

#[tokio::test]
async fn a_store_that_dies_mid_way_settles_its_orphans() {
    let home = Home::new();
    let store = home.open().await;
    open_books(&store, 3, 1_000).await;
    let (writer, task) = Writer::start(store, WriterLimits::default());
    for name in ["answered", "proved", "ringing"] {
        writer.apply(start(), reserve(name, Some(MICRO_A_SECOND))).await.unwrap().unwrap();
    }
    let known = Ending {
        answered_at: Some(start()),
        reason_code: "completed".into(),
        sip_status: Some(200),
        caller_call_id: "a@pbx".into(),
        callee_call_id: "b@us".into(),
        carrier: "upstream".into(),
        user_agent: "Ästerisk".into(),
        media: "PCMU/8000".into(),
        ..Ending::default()
    };
    for name in ["answered", "proved"] {
        let known = Some(Box::new(known.clone()));
        let answer = LedgerOp::Answer { call: call(name), at: start(), known };
        writer.apply(start(), answer).await.unwrap().unwrap();
    }
    writer.apply(start(), extend("proved", 50)).await.unwrap().unwrap();
    // As a crash does it: nothing is settled, nothing is closed.
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(matches!(writer.apply(start(), extend("proved", 70)).await, Err(StoreError::Closed)));

    let store = home.open().await;
    assert_eq!(store.live_calls().await.unwrap().len(), 3);
    assert_eq!(store.settle_orphans(start().plus_s(900)).await.unwrap(), 3);
    let billed = async |name: &str| store.cdr(&call(name)).await.unwrap().unwrap().settlement.billed_s;
    assert_eq!((billed("answered").await, billed("proved").await, billed("ringing").await), (30, 54, 0));
    // What was known at the answer is on record, and that the end was not seen.
    let cut = store.cdr(&call("proved")).await.unwrap().unwrap().record.ending;
    assert_eq!(
        (cut.reason_code.as_str(), cut.talk_ms, cut.ended_at),
        ("gateway_restarted", 50_000, start().plus_s(50))
    );
    let kept = Ending {
        reason_code: cut.reason_code.clone(),
        reason: cut.reason.clone(),
        talk_ms: 50_000,
        ended_at: cut.ended_at,
        ..known
    };
    assert_eq!(cut, kept);
    assert_eq!(store.balances().await.unwrap()[&Account::Profile(PROFILE)].balance, 1_000 - 84);
    assert_eq!(store.settle_orphans(start().plus_s(900)).await.unwrap(), 0);
    // The end that the daemon had not delivered comes late, and changes nothing.
    let late = store.apply_one(start(), settle("proved", Some(MICRO_A_SECOND), 400)).await.unwrap();
    assert_eq!(settled(Ok(late)).billed_s, 54);
    assert_eq!(store.verify().await.unwrap(), []);
}

#[tokio::test]
async fn another_gateways_calls_are_not_orphans() {
    let home = Home::new();
    let store = home.open().await;
    open_books(&store, 3, 1_000).await;
    store.apply_one(start(), reserve("a", None)).await.unwrap();
    let other = Store::open(StoreOptions { owner: "other".into(), ..home.options() }).await.unwrap();
    assert_eq!(other.settle_orphans(start()).await.unwrap(), 0);
    assert_eq!(store.settle_orphans(start()).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_programs_on_one_database_overdraw_nothing() {
    let home = Home::new();
    let daemon = home.open().await;
    open_books(&daemon, 300, 30 * 40).await;
    let cli = home.open().await;
    let hammer = |store: Store, name: &'static str| {
        tokio::spawn(async move {
            let mut granted_s = 0;
            for n in 0..40 {
                let entry =
                    LedgerEntry { at: start(), op: reserve(&format!("{name} {n}"), Some(MICRO_A_SECOND)) };
                if let Ok(Outcome::Granted(grant)) = &store.apply(&[entry]).await.unwrap()[0] {
                    granted_s += grant.paid_s.unwrap();
                }
            }
            granted_s
        })
    };
    let (one, other) = (hammer(daemon.clone(), "daemon"), hammer(cli, "cli"));
    assert_eq!(one.await.unwrap() + other.await.unwrap(), 30 * 40);
    assert_eq!(daemon.verify().await.unwrap(), []);
}

#[tokio::test]
async fn a_full_queue_is_told_and_a_dropped_writer_finishes_its_queue() {
    let home = Home::new();
    let store = home.open().await;
    open_books(&store, 300, 1).await;
    let (writer, task) =
        Writer::start(store.clone(), WriterLimits { batch: 4, queue: 8, ..WriterLimits::default() });
    // The task has not run yet: this test's runtime has one thread.
    let answers: Vec<_> =
        (0..20).map(|n| writer.try_submit(start(), reserve(&n.to_string(), None))).collect();
    assert_eq!(writer.queued(), 8);
    drop(writer);
    task.await.unwrap();
    let (mut granted, mut full) = (0, 0);
    for answer in answers {
        match answer {
            Ok(answer) => granted += usize::from(answer.await.unwrap().unwrap().is_ok()),
            Err(_) => full += 1,
        }
    }
    assert_eq!((granted, full), (8, 12));
    assert_eq!(store.live_calls().await.unwrap().len(), 8);
}

#[tokio::test]
async fn another_key_is_refused_at_once() {
    let home = Home::new();
    home.open().await.close().await;
    let options = StoreOptions { key: SecretKey::new([8; 32]), ..home.options() };
    let refused = Store::open(options).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Secret(SecretError::WrongKey)), "{refused}");
}
