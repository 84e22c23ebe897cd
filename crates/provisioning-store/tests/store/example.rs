//! The guide's own company, "Architects", through the store's verbs to its July report.

use provisioning_store::cdr::{Attempt, CallId, CallKind, CallRecord, CdrFilter, Direction, Ending};
use provisioning_store::ledger::LedgerOp;
use provisioning_store::lifecycle::{Order, PriceList};
use provisioning_store::model::{
    CallerId, Company, NewCompany, NumberTarget, Profile, ProfileId, ProfileSettings, Recharge, Timestamp,
};
use provisioning_store::money::Micros;
use provisioning_store::rating::{RateTable, UsBundle};
use provisioning_store::store::{NewProfile, STANDARD_PRICE_LIST, Store};

use crate::world::*;

const RATES: &str = "prefix,destination,country,rate_per_minute\n1,USA,US,0.008\n372,Estonia,EE,0.04\n";

async fn architects(store: &Store) -> (Company, Profile, Profile) {
    let new = NewCompany { name: "Architects".into(), country: "us".into(), currency: "USD".into() };
    let company = store.create_company(start(), &new).await.unwrap();
    store.top_up(start(), company.id, Micros::from_units(500), "card").await.unwrap();
    let mut profiles = Vec::new();
    for (name, bundles) in [("Sales Architects", 0), ("Engineering Architects", 1)] {
        let order = Some((Order { channels: 4, bundles }, PriceList::default()));
        let new = NewProfile {
            company: company.id,
            name: name.into(),
            settings: ProfileSettings::default(),
            order,
        };
        let (profile, credentials) = store.create_profile(start(), new).await.unwrap();
        assert_eq!(credentials, store.credentials(profile.id).await.unwrap());
        store.set_recharge(start(), profile.id, Some(Recharge::RECOMMENDED)).await.unwrap();
        profiles.push(store.allocate(start(), profile.id, Micros::from_units(10)).await.unwrap());
    }
    let engineering = profiles.pop().unwrap();
    (company, profiles.pop().unwrap(), engineering)
}

/// A whole call, from reservation to record.
async fn make_call(
    store: &Store,
    rates: &RateTable,
    profile: ProfileId,
    to: &str,
    at: Timestamp,
    talk_s: u64,
) {
    let call = CallId::new(format!("{to} at {}", at.0));
    let quote = rates.quote(to, &UsBundle::standard()).unwrap();
    let attempt = Attempt {
        direction: Direction::Outgoing,
        kind: CallKind::Telephone,
        from: "+12026843376".into(),
        is_withheld: false,
        to: to.into(),
        destination: quote.destination,
        country: quote.country,
        tariff: Some(quote.tariff),
        started_at: at,
    };
    let reserve = LedgerOp::Reserve { call: call.clone(), profile, attempt: Box::new(attempt.clone()) };
    paid_s(Ok(store.apply_one(at, reserve).await.unwrap()));
    store.apply_one(at, LedgerOp::Answer { call: call.clone(), at, known: None }).await.unwrap();
    let ending = Ending {
        answered_at: Some(at),
        ended_at: at.plus_s(talk_s as i64),
        talk_ms: talk_s * 1_000,
        reason_code: "completed".into(),
        ..Ending::default()
    };
    let record = Box::new(CallRecord { profile: Some(profile), phone_of: None, attempt, ending });
    store.apply_one(at, LedgerOp::Settle { call, record }).await.unwrap();
}

#[tokio::test]
async fn two_calls_to_estonia_and_three_on_the_bundle() {
    let home = Home::new();
    let store = home.open().await;
    let (company, sales, engineering) = architects(&store).await;
    // 500.00 less four channels, four channels and a bundle, and twice 10.00.
    assert_eq!(
        store.company(company.id).await.unwrap().credit,
        Micros::from_cents(50_000 - 2_780 - 5_780 - 2_000)
    );

    let number = store.add_number(company.id, "+1 202 684 3376", "US").await.unwrap();
    store.assign_number(number.id, NumberTarget::Profile(sales.id)).await.unwrap();
    store.set_caller_id(sales.id, None, Some(&CallerId::OnlineNumber(number.number))).await.unwrap();
    for name in ["architects.sales", "vanessa.lombardi"] {
        let account = store.create_business_account(company.id, name, None).await.unwrap();
        store.attach_business_account(account.id, sales.id, None).await.unwrap();
    }
    let account = store.create_business_account(company.id, "architects.engineering", None).await.unwrap();
    store.attach_business_account(account.id, engineering.id, Some("4521")).await.unwrap();

    assert_eq!(store.import_rates(start(), STANDARD_PRICE_LIST, None, RATES).await.unwrap(), 2);
    let rates = store.rates(STANDARD_PRICE_LIST, start()).await.unwrap();
    let july = Timestamp::month_start(2011, 7).plus_days(6);
    for (minute, to) in
        ["+3728800814", "+3728800814", "+12152751701", "+12152751701", "+12152751701"].iter().enumerate()
    {
        make_call(&store, &rates, engineering.id, to, july.plus_s(60 * minute as i64), 20).await;
    }
    let filter = CdrFilter { profile: Some(engineering.id), ..CdrFilter::default() };
    let page = store.cdrs(&filter, 1).await.unwrap();
    let mut lines: Vec<_> = page
        .rows
        .iter()
        .map(|cdr| {
            let (attempt, settlement) = (&cdr.record.attempt, &cdr.settlement);
            (
                attempt.to.as_str(),
                attempt.destination.as_str(),
                settlement.billed_s,
                settlement.amount.to_string(),
            )
        })
        .collect();
    lines.sort();
    let usa = ("+12152751701", "USA", 30, "0.00".to_owned());
    let estonia = ("+3728800814", "Estonia", 30, "0.02".to_owned());
    assert_eq!(lines, [usa.clone(), usa.clone(), usa, estonia.clone(), estonia]);
    assert_eq!(page.rows.iter().map(|cdr| cdr.settlement.bundle_s).sum::<u32>(), 90);

    let engineering = store.profile(engineering.id).await.unwrap();
    assert_eq!((engineering.credit, engineering.bundle_left_s), (Micros::from_cents(996), 300_000 - 90));
    assert_eq!(store.verify().await.unwrap(), []);
}
