//! Money paid in through the payment source, one test a rule.

use provisioning_store::error::StoreError;
use provisioning_store::model::*;
use provisioning_store::money::Micros;
use provisioning_store::pages::Slice;
use provisioning_store::store::Store;

use crate::world::*;

async fn company(store: &Store) -> CompanyId {
    let new = NewCompany { name: "Architects".into(), country: "US".into(), currency: "USD".into() };
    store.create_company(start(), &new).await.unwrap().id
}

async fn credit(store: &Store, company: CompanyId) -> Micros {
    store.company(company).await.unwrap().credit
}

#[tokio::test]
async fn a_payment_is_booked_once_however_often_the_source_says_so() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store).await;
    let payment = store.request_payment(start(), company, Micros::from_units(50)).await.unwrap();
    assert_eq!((payment.state, payment.cause), (PaymentState::Pending, PaymentCause::Asked));
    assert_eq!(credit(&store, company).await, Micros::ZERO);
    for _ in 0..3 {
        let paid = store.pay_payment(start().plus_s(9), payment.id, "card 1234").await.unwrap();
        assert_eq!((paid.state, paid.settled_at), (PaymentState::Paid, Some(start().plus_s(9))));
        assert_eq!(credit(&store, company).await, Micros::from_units(50));
    }
    let late = store.request_payment(start(), company, Micros::from_units(7)).await.unwrap();
    store.fail_payment(start(), late.id, "expired").await.unwrap();
    for _ in 0..2 {
        store.pay_payment(start().plus_s(9), late.id, "transfer").await.unwrap();
        assert_eq!(credit(&store, company).await, Micros::from_units(57), "the money came after all, once");
    }
    let refused = store.fail_payment(start(), payment.id, "late").await.unwrap_err().to_string();
    assert_eq!(refused, "payment: 1 is paid already; ask for another one");
    assert!(matches!(store.pay_payment(start(), PaymentId(9), "").await, Err(StoreError::NotFound { .. })));
    let all = store.payments(Some(company), Slice { after: None, most: 10 }).await.unwrap();
    assert_eq!(all.len(), 2);
    let after = Some(all[0].id.0);
    assert_eq!(store.payments(None, Slice { after, most: 10 }).await.unwrap(), all[1..], "newest first");
    assert_eq!(store.verify().await.unwrap(), []);
}

#[tokio::test]
async fn a_company_whose_credit_is_low_is_asked_for_one_payment_at_a_time() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store).await;
    assert_eq!(store.request_recharges(start()).await.unwrap(), [], "off by default");
    let recharge = Recharge { threshold: Micros::from_units(20), amount: Micros::from_units(100) };
    store.set_company_recharge(company, Some(recharge)).await.unwrap();
    assert_eq!(store.company_recharge(company).await.unwrap(), Some(recharge));
    let asked = store.request_recharges(start()).await.unwrap();
    assert_eq!((asked.len(), asked[0].amount, asked[0].cause), (1, recharge.amount, PaymentCause::Recharge));
    assert_eq!(store.request_recharges(start().plus_days(9)).await.unwrap(), [], "one is on its way");
    store.fail_payment(start().plus_days(9), asked[0].id, "card expired").await.unwrap();
    assert_eq!(store.request_recharges(start().plus_days(9)).await.unwrap(), [], "it just failed");
    let again = store.request_recharges(start().plus_days(10)).await.unwrap();
    store.pay_payment(start().plus_days(10), again[0].id, "").await.unwrap();
    assert_eq!(credit(&store, company).await, recharge.amount);
    assert_eq!(store.request_recharges(start().plus_days(11)).await.unwrap(), []);
    store.set_company_recharge(company, None).await.unwrap();
    assert_eq!(store.company_recharge(company).await.unwrap(), None);
    let bad = Recharge { threshold: Micros::ZERO, amount: Micros(1) };
    assert!(store.set_company_recharge(company, Some(bad)).await.is_err());
}
