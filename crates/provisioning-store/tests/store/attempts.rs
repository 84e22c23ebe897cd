//! What a record keeps of the carriers that a call was tried at.

use provisioning_store::cdr::{CallRecord, CarrierAttempt, Ending};
use provisioning_store::ledger::LedgerOp;
use provisioning_store::model::CarrierId;

use crate::world::*;

fn attempt(name: &str, status: Option<u16>) -> CarrierAttempt {
    CarrierAttempt {
        carrier: CarrierId(7),
        name: name.into(),
        address: status.map(|_| "[2001:db8::7]:5060".parse().unwrap()),
        sip_status: status,
        cause: status.map(|_| 34),
        said: Some("Q.850;cause=34;text=\"No circuit\"".to_owned()),
        result: "silent".into(),
        sentence: "The carrier did not answer.".into(),
        took_ms: 8_000,
    }
}

#[tokio::test]
async fn attempts_are_kept_in_order_with_the_names_of_that_time() {
    let home = Home::new();
    let store = home.open().await;
    open_books(&store, 2, 1_000_000).await;
    let tried = vec![attempt("wholesale \"1\"", None), attempt("wholesale, 2", Some(503))];
    let ended = Ending { attempts: tried.clone(), cause: Some(34), ..record(None, None).ending };
    let op = |name: &str, ending: &Ending| LedgerOp::Settle {
        call: call(name),
        record: Box::new(CallRecord { ending: ending.clone(), ..record(None, None) }),
    };
    store.apply_one(start(), reserve("a", None)).await.unwrap();
    store.apply_one(start(), op("a", &ended)).await.unwrap();
    store.apply_one(start(), op("b", &record(None, None).ending)).await.unwrap();
    let kept = store.cdr(&call("a")).await.unwrap().unwrap().record.ending;
    assert_eq!((kept.attempts, kept.cause), (tried, Some(34)));
    let without = store.cdr(&call("b")).await.unwrap().unwrap().record.ending;
    assert_eq!((without.attempts, without.cause), (Vec::new(), None));
}
