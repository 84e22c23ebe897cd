//! What is known before anything is bought, and what an installation asks of companies.

use std::time::Duration;

use provisioning_store::model::Timestamp;
use serde_json::{Value, json};

use crate::business::Firm;
use crate::house::House;
use crate::stories::dollars;

#[test]
fn an_order_is_priced_and_an_office_sized_before_anything_is_bought() {
    let house = House::new("34500-34519");
    let firm = Firm::new(&house, "Architects");
    let show = |path: &str| firm.ask(&house, "GET", path, Value::Null);
    let quote = show("/subscription-quote?channels=4&bundles=1").expect(200);
    assert_eq!((&quote["price"], &quote["bundle_minutes"]), (&dollars("57.80"), &json!(5_000)));
    let large = show("/subscription-quote?channels=105&bundles=21").expect(200);
    assert_eq!((&large["channels"], &large["channels_price"]), (&json!(110), &dollars("764.50")));
    assert_eq!(large["bundles_price"], dollars("535.50"), "21 bundles, 15 % off");
    let refused = show("/subscription-quote?channels=1&bundles=2").expect(422);
    assert_eq!(refused["code"], "more_bundles_than_channels");
    assert_eq!(show("/channel-sizing?people=9").expect(200)["channels"], 5);
    for (load, field) in
        [("calls_an_hour=-2&minutes_a_call=-3", "calls_an_hour"), ("minutes_a_call=NaN", "minutes_a_call")]
    {
        let refused = show(&format!("/channel-sizing?people=9&{load}")).expect(422);
        assert_eq!(refused["field"], field, "{refused}");
    }
    assert_eq!(show("/channel-sizing?people=1000000").expect(422)["code"], "too_many_channels");
    house.stop();
}

#[test]
fn a_company_counts_in_the_installations_currency() {
    let house = House::new("34520-34539");
    let company = |currency: Option<&str>| {
        let mut body = json!({"name": "Architects", "country": "DE"});
        if let Some(currency) = currency {
            body["currency"] = json!(currency);
        }
        house.operate("POST", "/companies", body)
    };
    assert_eq!(company(None).expect(201)["currency"], "USD");
    let named = json!({"name": "Masons", "country": "DE", "currency": "usd"});
    assert_eq!(house.operate("POST", "/companies", named).expect(201)["currency"], "USD");
    let refused = company(Some("EUR")).expect(422);
    assert_eq!((&refused["code"], &refused["field"]), (&json!("other_currency"), &json!("currency")));
    house.stop();
}

#[test]
fn a_landline_number_is_shown_only_when_an_operator_has_made_sure_of_it() {
    let house = House::new("34540-34559");
    let (firm, other) = (Firm::new(&house, "Architects"), Firm::new(&house, "Builders"));
    let at = |company: i64| format!("/companies/{company}/landlines/+12025550100");
    let stored = firm.ask(&house, "PUT", &at(firm.company), Value::Null).expect(200);
    assert_eq!((&stored["is_verified"], &stored["verified_by"]), (&json!(false), &Value::Null));
    let verified = house.operate("PUT", &at(firm.company), Value::Null).expect(200);
    assert_eq!(verified["is_verified"], true);
    assert!(verified["verified_by"].is_string() && verified["verified_at"].is_string(), "{verified}");
    other.ask(&house, "PUT", &at(other.company), Value::Null).expect(409);
    let listed = firm.ask(&house, "GET", &format!("/companies/{}/landlines", firm.company), Value::Null);
    assert_eq!(listed.expect(200)["items"], json!([verified]));
    house.stop();
}

#[test]
fn an_operator_sees_the_schedule_and_confirms_the_clock() {
    let house = House::new("34560-34579");
    let firm = Firm::new(&house, "Architects");
    firm.ask(&house, "POST", "/schedule/confirmation", Value::Null).expect(403);
    let schedule = || house.operate("GET", "/schedule", Value::Null).expect(200);
    let becomes = |is_in_doubt: bool| {
        for _ in 0..600 {
            if schedule()["is_clock_in_doubt"] == is_in_doubt {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{} though it should be in doubt: {is_in_doubt}", schedule());
    };
    assert_eq!(schedule()["is_clock_in_doubt"], false);
    assert!(schedule()["last_look"].is_string(), "it is looked before any call");
    // To the gateway it is the same whether the clock has jumped ahead or the last look was long ago.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let long_ago = Timestamp::from_unix_s(i64::try_from(now).unwrap()).plus_days(-200);
    house.runtime.block_on(house.daemon.store().note_look(long_ago)).unwrap();
    becomes(true);
    let trouble = house.operate("GET", "/status", Value::Null).expect(200)["trouble"].to_string();
    assert!(trouble.contains("sipgw schedule"), "{trouble}");
    house.operate("POST", "/schedule/confirmation", Value::Null).expect(200);
    becomes(false);
    // The scheduler is of the same opinion: it would doubt again within seconds.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(schedule()["is_clock_in_doubt"], false);
    house.stop();
}

#[test]
fn what_an_order_leaves_out_stays_and_another_price_than_agreed_buys_nothing() {
    let house = House::new("34580-34599");
    let firm = Firm::new(&house, "Architects");
    let path = format!("/companies/{}/top-ups", firm.company);
    house.operate("POST", &path, json!({"amount": dollars("500.00")})).expect(201);
    let new = |agreed: &str| {
        let order = json!({"channels": 3, "bundles": 2, "agreed": dollars(agreed)});
        firm.ask(
            &house,
            "POST",
            "/profiles",
            json!({"company": firm.company, "name": "Sales", "subscription": order}),
        )
    };
    let refused = new("80.84").expect(409);
    assert_eq!((&refused["code"], &refused["field"]), (&json!("other_price"), &json!("subscription.agreed")));
    let profile = new("80.85").expect(201);
    let at = format!("/profiles/{}/subscription", profile["id"]);
    let quote = firm.ask(&house, "GET", &format!("{at}/quote?channels=4"), Value::Null).expect(200);
    assert_eq!((&quote["channels"], &quote["bundles"]), (&json!(4), &json!(2)));
    assert_eq!((&quote["price"], &quote["next_payment"]["amount"]), (&dollars("87.80"), &dollars("87.80")));
    assert!(quote["billing_day"].is_string() && quote["refund"]["amount"] != "0.00", "{quote}");
    let before = firm.credit(&house);
    let order =
        |agreed: &str| firm.ask(&house, "POST", &at, json!({"channels": 4, "agreed": dollars(agreed)}));
    let refused = order("27.80").expect(409);
    assert!(refused["detail"].as_str().unwrap().contains("nothing was bought"), "{refused}");
    assert_eq!(firm.credit(&house), before);
    let bought = order("87.80").expect(201);
    assert_eq!(
        (&bought["subscription"]["channels"], &bought["subscription"]["bundles"]),
        (&json!(4), &json!(2))
    );
    // A number is bought for the fee that was seen.
    house.operate("PUT", "/stock/+12026843377", json!({"country": "US", "fee": dollars("2.50")})).expect(200);
    let offer = firm.ask(&house, "GET", "/stock/+12026843377", Value::Null).expect(200);
    house.operate("PUT", "/stock/+12026843377", json!({"country": "US", "fee": dollars("9.00")})).expect(200);
    let purchase = json!({"number": offer["number"], "agreed": offer["fee"]});
    let path = format!("/companies/{}/numbers", firm.company);
    assert_eq!(firm.ask(&house, "POST", &path, purchase).expect(409)["code"], "other_price");
    house.stop();
}

#[test]
fn what_a_change_takes_from_others_is_said() {
    let house = House::new("34600-34619");
    let firm = Firm::new(&house, "Architects");
    let number = json!({"company": firm.company, "number": "+12026843376", "country": "US"});
    let number = house.operate("POST", "/numbers", number).expect(201)["id"].clone();
    let target = format!("/numbers/{number}/target");
    let given = firm.ask(&house, "PUT", &target, json!({"to": "profile", "id": firm.profile})).expect(200);
    assert_eq!(given["warnings"], Value::Null);
    let shown = json!({"choice": "online_number", "number": "+12026843376"});
    let path = format!("/profiles/{}/caller-ids/default", firm.profile);
    firm.ask(&house, "PUT", &path, shown).expect(200);
    let taken = firm.ask(&house, "PUT", &target, json!({"to": "nobody"})).expect(200);
    assert!(taken["warnings"][0].as_str().unwrap().contains("anonymous"), "{taken}");
    let account = json!({"company": firm.company, "name": "ada"});
    let account = firm.ask(&house, "POST", "/business-accounts", account).expect(201)["id"].clone();
    let path = format!("/companies/{}/administrators/ada@example.com", firm.company);
    firm.ask(&house, "PUT", &path, json!({"name": "Ada", "account": account})).expect(200);
    let path = format!("/business-accounts/{account}/attachment");
    let attached = firm.ask(&house, "PUT", &path, json!({"profile": firm.profile})).expect(200);
    assert_eq!(attached["warnings"], json!(["Ada can no longer sign in with ada."]));
    house.stop();
}
