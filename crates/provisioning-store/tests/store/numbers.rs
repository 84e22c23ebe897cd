//! Online Numbers from the stock: bought, renewed, cancelled, unpaid, and back again.

use provisioning_store::cdr::CallRecord;
use provisioning_store::error::StoreError;
use provisioning_store::ledger::{LedgerOp, Refusal};
use provisioning_store::lifecycle::{NumberOffer, Order, PriceList, Renewal, Terms};
use provisioning_store::model::*;
use provisioning_store::money::Micros;
use provisioning_store::store::{NewProfile, Store};

use crate::both::Both;
use crate::follower::Follower;
use crate::world::*;

const NUMBER: &str = "+12026843376";

fn offer(units: i32) -> NumberOffer {
    NumberOffer { number: NUMBER.into(), fee: Micros::from_units(units), term_days: 30 }
}

async fn company(store: &Store, units: i32) -> CompanyId {
    let new = NewCompany { name: "Architects".into(), country: "US".into(), currency: "USD".into() };
    let company = store.create_company(start(), &new).await.unwrap().id;
    store.top_up(start(), company, Micros::from_units(units), "card").await.unwrap();
    let stock = StockNumber { country: "us".into(), offer: offer(6) };
    assert_eq!(store.stock_number(stock).await.unwrap().country, "US");
    company
}

async fn profile(store: &Store, company: CompanyId, name: &str) -> ProfileId {
    let new = NewProfile { company, name: name.into(), settings: ProfileSettings::default(), order: None };
    store.create_profile(start(), new).await.unwrap().0.id
}

async fn do_due(store: &Store, days: i64) -> usize {
    let (prices, terms) = (PriceList::default(), Terms::default());
    store.do_due(start().plus_days(days), &prices, terms).await.unwrap().len()
}

async fn on_offer(store: &Store) -> usize {
    store.numbers_on_offer(Some("US"), None, 10).await.unwrap().len()
}

#[tokio::test]
async fn a_number_is_bought_from_the_stock_with_its_next_payment_shown() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, 10).await;
    assert_eq!(on_offer(&store).await, 1);
    assert_eq!(store.numbers_on_offer(Some("GB"), None, 10).await.unwrap(), []);
    let number = store.buy_number(start(), company, "+1 202 684 3376").await.unwrap();
    let lease = number.lease.clone().unwrap();
    assert_eq!((number.country.as_str(), lease.paid_until), ("US", start().plus_days(30)));
    assert_eq!(store.company(company).await.unwrap().credit, Micros::from_units(4));
    assert_eq!(on_offer(&store).await, 0);
    assert!(matches!(store.buy_number(start(), company, NUMBER).await, Err(StoreError::Taken { .. })));
    assert!(matches!(
        store.buy_number(start(), company, "+442079460000").await,
        Err(StoreError::NotFound { .. })
    ));
    let branch = NewCompany { name: "Branch".into(), country: "GB".into(), currency: "USD".into() };
    let branch = store.create_company(start(), &branch).await.unwrap().id;
    store.remove_number(number.id).await.unwrap();
    assert_eq!(
        store.buy_number(start(), branch, NUMBER).await.unwrap_err().to_string(),
        "number: +12026843376 is a number of US, and the company is in GB; choose one of GB"
    );
    assert_eq!(store.verify().await.unwrap(), []);
}

#[tokio::test]
async fn a_number_that_cannot_be_paid_is_not_bought() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, 5).await;
    let refused = store.buy_number(start(), company, NUMBER).await;
    assert!(matches!(refused, Err(StoreError::Refused(Refusal::InsufficientCompanyCredit { .. }))));
    assert_eq!((store.numbers().await.unwrap().len(), on_offer(&store).await), (0, 1));
}

#[tokio::test]
async fn a_cancelled_number_works_until_its_paid_term_ends_and_then_goes_back_into_the_stock() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, 10).await;
    let sales = profile(&store, company, "Sales").await;
    let number = store.buy_number(start(), company, NUMBER).await.unwrap();
    store.assign_number(number.id, NumberTarget::Profile(sales)).await.unwrap();
    store.set_caller_id(sales, None, Some(&CallerId::OnlineNumber(NUMBER.into()))).await.unwrap();
    store.cancel_number(start(), number.id).await.unwrap();
    store.keep_number(start(), number.id).await.unwrap();
    let mut follower = Follower::new(&store).await;
    let cancelled = store.cancel_number(start(), number.id).await.unwrap();
    follower.sees(&store, "cancelled number", &[company]).await;
    assert_eq!(cancelled.lease.as_ref().unwrap().renewal, Renewal::Cancelled);
    assert!(cancelled.is_in_service());
    assert_eq!(do_due(&store, 29).await, 0);
    assert_eq!(do_due(&store, 30).await, 1);
    follower.sees(&store, "released number", &[company]).await;
    assert_eq!((store.numbers().await.unwrap().len(), on_offer(&store).await), (0, 1));
    assert_eq!(store.caller_ids().await.unwrap(), []);
    assert_eq!(store.company(company).await.unwrap().credit, Micros::from_units(4), "no further fee");
}

#[tokio::test]
async fn an_unpaid_number_reaches_nobody_and_comes_back_with_credit_or_goes_after_its_grace() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, 10).await;
    let number = store.buy_number(start(), company, NUMBER).await.unwrap().id;
    let mut follower = Follower::new(&store).await;
    assert_eq!(do_due(&store, 30).await, 1);
    follower.sees(&store, "unpaid number", &[company]).await;
    let unpaid = store.number(number).await.unwrap();
    assert!(!unpaid.is_in_service());
    assert!(matches!(
        store.keep_number(start(), number).await,
        Err(StoreError::Refused(Refusal::NumberUnpaid))
    ));
    assert_eq!(do_due(&store, 43).await, 0);
    store.top_up(start().plus_days(43), company, Micros::from_units(2), "").await.unwrap();
    assert_eq!(do_due(&store, 43).await, 1);
    follower.sees(&store, "number that is paid again", &[company]).await;
    let lease = store.number(number).await.unwrap().lease.unwrap();
    assert_eq!((lease.renewal, lease.term, lease.paid_until), (Renewal::Automatic, 2, start().plus_days(60)));
    assert_eq!(store.company(company).await.unwrap().credit, Micros::ZERO);
    assert_eq!((do_due(&store, 60).await, do_due(&store, 73).await, do_due(&store, 74).await), (1, 0, 1));
    assert_eq!((store.numbers().await.unwrap().len(), on_offer(&store).await), (0, 1));
}

#[tokio::test]
async fn an_unpaid_number_can_be_given_up_and_is_not_charged_again() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, 10).await;
    let number = store.buy_number(start(), company, NUMBER).await.unwrap().id;
    assert_eq!(do_due(&store, 30).await, 1);
    let gone = store.cancel_number(start().plus_days(31), number).await.unwrap();
    assert_eq!((gone.target, gone.lease.unwrap().renewal), (NumberTarget::Nobody, Renewal::Cancelled));
    assert_eq!((store.numbers().await.unwrap().len(), on_offer(&store).await), (0, 1));
    store.top_up(start().plus_days(32), company, Micros::from_units(20), "").await.unwrap();
    assert_eq!(do_due(&store, 90).await, 0);
    assert_eq!(store.company(company).await.unwrap().credit, Micros::from_units(24));
}

#[tokio::test]
async fn a_deleted_profile_leaves_its_numbers_and_accounts_to_the_company() {
    let home = Home::new();
    let store = home.open().await;
    let company = company(&store, 100).await;
    let sales = profile(&store, company, "Sales").await;
    let order = Order { channels: 1, bundles: 0 };
    store.subscribe(start(), sales, order, &PriceList::default()).await.unwrap();
    store.allocate(start(), sales, Micros::from_units(10)).await.unwrap();
    let number = store.add_number(company, NUMBER, "US").await.unwrap().id;
    store.assign_number(number, NumberTarget::Profile(sales)).await.unwrap();
    store.set_caller_id(sales, None, Some(&CallerId::OnlineNumber(NUMBER.into()))).await.unwrap();
    let account = store.create_business_account(company, "architects.sales", None).await.unwrap();
    store.attach_business_account(account.id, sales, None).await.unwrap();
    let rule = NewIpRule::new("192.0.2.0/24".parse().unwrap(), Transport::Udp);
    store.add_ip_rule(sales, &rule).await.unwrap();
    let record = Box::new(CallRecord { profile: Some(sales), ..record(None, None) });
    store.apply_one(start(), LedgerOp::Settle { call: call("a"), record }).await.unwrap();
    let revision = store.revision().await.unwrap();

    store.delete_profile(start(), sales).await.unwrap();
    assert!(store.revision().await.unwrap() > revision, "the directory notices");
    assert!(matches!(store.profile(sales).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.delete_profile(start(), sales).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.number(number).await.unwrap().target, NumberTarget::Nobody);
    assert_eq!(store.business_accounts().await.unwrap()[0].profile, None);
    assert_eq!((store.caller_ids().await.unwrap(), store.ip_rules().await.unwrap()), (vec![], vec![]));
    assert_eq!(store.cdr(&call("a")).await.unwrap(), None, "its history goes");
    assert_eq!(store.company(company).await.unwrap().credit, Micros::from_cents(10_000 - 695));
    assert_eq!(store.verify().await.unwrap(), []);

    let next = profile(&store, company, "Sales again").await;
    assert_ne!(next, sales, "the ledger remembers the deleted one");
    assert_eq!(store.profile(next).await.unwrap().credit, Micros::ZERO);
}

#[tokio::test]
async fn the_database_bills_terms_as_the_oracle_does() {
    let mut both = Both::with_credit(13).await;
    let lease =
        |fee| LedgerOp::LeaseNumber { number: NumberId(1), company: COMPANY, offer: Box::new(offer(fee)) };
    both.done(start(), lease(6)).await;
    assert_eq!(both.apply(start(), lease(6)).await, Err(Refusal::AlreadyOpen));
    assert_eq!(both.do_due(start().plus_days(65)).await, 2, "one term is paid, the next is not");
    assert_eq!(both.credit(), Micros::from_units(1));
    both.pay_in(start().plus_days(70), 6).await;
    assert_eq!(both.do_due(start().plus_days(70)).await, 1, "within its grace there is credit again");
    assert_eq!((both.do_due(start().plus_days(90)).await, both.do_due(start().plus_days(104)).await), (1, 1));
    let gone = both.apply(start(), LedgerOp::KeepNumber { number: NumberId(1) }).await;
    assert_eq!(gone, Err(Refusal::NotLeased(NumberId(1))));
}
