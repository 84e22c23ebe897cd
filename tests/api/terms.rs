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
    assert_eq!((&quote["total"], &quote["bundle_minutes"]), (&dollars("57.80"), &json!(5_000)));
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
