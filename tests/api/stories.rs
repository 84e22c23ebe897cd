//! What clients of the API live through.

use std::time::Duration;

use provisioning_store::money::Micros;
use serde_json::{Value, json};

use crate::house::{Ask, House, OPERATOR};

pub(crate) fn company(house: &House, name: &str) -> i64 {
    let body = json!({"name": name, "country": "US", "currency": "USD"});
    house.operate("POST", "/companies", body).expect(201)["id"].as_i64().unwrap()
}

pub(crate) fn dollars(amount: &str) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

pub(crate) fn administrator(house: &House, company: i64) -> String {
    let body = json!({"name": "Claude Morel", "role": "administrator", "company": company});
    house.operate("POST", "/tokens", body).expect(201)["secret"].as_str().unwrap().to_owned()
}

#[test]
fn a_profile_comes_with_its_channels_and_credit_or_not_at_all() {
    let house = House::new("34900-34919");
    let id = company(&house, "Architects");
    let path = format!("/companies/{id}");
    house.operate("POST", &format!("{path}/top-ups"), json!({"amount": dollars("50.00")})).expect(201);
    let wanted = |credit: Value| json!({"company": id, "name": "Sales", "subscription": {"channels": 2, "agreed": {"amount": "13.90", "currency": "USD"}}, "credit": credit});
    let create = |credit: Value| house.operate("POST", "/profiles", wanted(credit));
    assert_eq!(create(dollars("40.00")).expect(409)["code"], "insufficient_company_credit");
    let euros = json!({"amount": "1.00", "currency": "EUR"});
    assert_eq!(create(euros).expect(422)["field"], "credit.currency");
    let none = house.operate("GET", "/profiles", Value::Null).expect(200);
    assert_eq!(none["items"], json!([]));
    let profile = create(dollars("10.00")).expect(201);
    assert_eq!((&profile["credit"], &profile["state"]), (&dollars("10.00"), &json!("active")));
    // Two channels at 6.95.
    let left = house.operate("GET", &path, Value::Null).expect(200);
    assert_eq!(left["credit"], dollars("26.10"));

    let verification = format!("{path}/verification");
    let by = |body: Value| house.operate("PUT", &verification, body).expect(200)["verified_by"].clone();
    assert_eq!(by(json!({"by": "Ms Morel"})), "Ms Morel");
    assert_eq!(by(Value::Null), "http.token");
    house.stop();
}

#[test]
fn an_administrator_runs_one_company_and_finds_nothing_of_others() {
    let house = House::new("34000-34019");
    let (own, other) = (company(&house, "Architects"), company(&house, "Builders"));
    for id in [own, other] {
        house
            .operate("POST", &format!("/companies/{id}/top-ups"), json!({"amount": dollars("100.00")}))
            .expect(201);
    }
    let token = administrator(&house, own);
    let theirs = house.operate("POST", "/profiles", json!({"company": other, "name": "Site"})).expect(201);
    let order = json!({"channels": 4, "bundles": 1, "agreed": dollars("57.80")});
    let new = json!({"company": own, "name": "Sales", "subscription": order});
    let said = house.ask(&token, "POST", "/profiles", new);
    assert!(said.header("location").is_some_and(|at| at.starts_with("/api/v1/profiles/")), "{said:?}");
    let profile = said.expect(201);
    // Four channels at 6.95 and one bundle at 30.00.
    assert_eq!(profile["subscription"]["price"], dollars("57.80"));

    let id = &profile["id"];
    let body = json!({"amount": dollars("10.00")});
    let after = house.ask(&token, "POST", &format!("/profiles/{id}/allocations"), body).expect(201);
    assert_eq!(after["credit"], dollars("10.00"));
    let left = house.ask(&token, "GET", &format!("/companies/{own}"), Value::Null).expect(200);
    assert_eq!(left["credit"], dollars("32.20"));
    let secret = house.ask(&token, "GET", &format!("/profiles/{id}/credentials"), Value::Null).expect(200);
    assert_eq!(secret["sip_user"], profile["sip_user"]);

    let theirs = &theirs["id"];
    for (method, path, body) in [
        ("GET", format!("/companies/{other}"), Value::Null),
        ("GET", format!("/profiles/{theirs}"), Value::Null),
        ("GET", format!("/profiles/{theirs}/credentials"), Value::Null),
        ("PATCH", format!("/profiles/{theirs}"), json!({"name": "Mine"})),
        ("GET", format!("/profiles?company={other}"), Value::Null),
        ("GET", format!("/audit?company={other}"), Value::Null),
    ] {
        let there = house.ask(&token, method, &path, body.clone()).expect(404);
        let nowhere = path.replace(&other.to_string(), "987654").replace(&theirs.to_string(), "987654");
        let nothing = house.ask(&token, method, &nowhere, body).expect(404);
        let masked =
            |problem: &Value| problem.to_string().replace(&other.to_string(), "X").replace("987654", "X");
        assert_eq!(masked(&there).len(), masked(&nothing).len(), "another's thing looks like no thing");
    }
    let profiles = house.ask(&token, "GET", "/profiles", Value::Null).expect(200);
    assert_eq!(profiles["items"].as_array().unwrap().len(), 1);
    let problem =
        house.ask(&token, "POST", &format!("/companies/{own}/top-ups"), json!({"amount": dollars("1")}));
    assert_eq!(problem.expect(403)["code"], "operator_only");
    let body = json!({"name": "me", "role": "operator"});
    house.ask(&token, "POST", "/tokens", body).expect(403);
    house.stop();
}

#[test]
fn nobody_comes_in_without_a_valid_token() {
    let house = House::new("34020-34039");
    let said = house.send(&Ask::new("GET", "/companies"));
    assert_eq!(said.header("www-authenticate"), Some("Bearer"));
    assert_eq!(said.kind, "application/problem+json");
    assert_eq!(said.expect(401)["code"], "no_token");
    house.ask("sipgw_guess", "GET", "/companies", Value::Null).expect(401);
    let made = house.operate("POST", "/tokens", json!({"name": "console", "role": "operator"})).expect(201);
    let token = made["secret"].as_str().unwrap().to_owned();
    house.ask(&token, "GET", "/companies", Value::Null).expect(200);
    house.operate("DELETE", &format!("/tokens/{}", made["token"]["id"]), Value::Null).expect(204);
    house.ask(&token, "GET", "/companies", Value::Null).expect(401);
    let description = house.send(&Ask::new("GET", "/openapi.json")).expect(200);
    assert_eq!(description["openapi"], "3.1.0");
    assert_eq!(
        description.to_string(),
        serde_json::from_str::<Value>(sipgw::http::api::description()).unwrap().to_string()
    );
    house.stop();
}

#[test]
fn what_costs_money_is_done_once_however_often_it_is_sent() {
    let house = House::new("34040-34059");
    let id = company(&house, "Architects");
    let top_up = |key: &str, amount: &str| {
        let ask = Ask::new("POST", &format!("/companies/{id}/top-ups")).token(OPERATOR);
        house.send(&ask.header("Idempotency-Key", key).json(&json!({"amount": dollars(amount)})))
    };
    let first = top_up("a", "5.00").expect(201);
    assert_eq!(top_up("a", "5.00").expect(201), first);
    assert_eq!(top_up("a", "6.00").expect(422)["code"], "key_reused");
    assert_eq!(top_up("b", "5.00").expect(201)["credit"], dollars("10.00"));
    assert_eq!(top_up("", "5.00").expect(400)["field"], "Idempotency-Key");
    // What was refused is not kept: the cure may come meanwhile.
    assert_eq!(top_up("c", "0.00").expect(422)["code"], "bad_amount");
    assert_eq!(top_up("c", "1.00").expect(201)["credit"], dollars("11.00"));
    let balance = house.runtime.block_on(house.daemon.store().companies()).unwrap()[0].credit;
    assert_eq!(balance, Micros::from_units(11));
    house.stop();
}

#[test]
fn a_mistake_is_answered_with_the_field_and_the_cure() {
    let house = House::new("34060-34079");
    let id = company(&house, "Architects");
    for (method, path, body, status, field, words) in [
        (
            "POST",
            "/companies".to_owned(),
            json!({"nme": "x", "country": "US", "currency": "USD"}),
            422,
            "nme",
            "Did you mean `name`?",
        ),
        (
            "POST",
            "/companies".to_owned(),
            json!({"name": "x", "country": "USA", "currency": "USD"}),
            422,
            "country",
            "code of 2 letters",
        ),
        ("GET", "/companies?limt=5".to_owned(), Value::Null, 400, "limt", "Did you mean `limit`?"),
        ("GET", "/companies?limit=0".to_owned(), Value::Null, 400, "limit", "write 1 to 200"),
        ("GET", "/companies?cursor=x".to_owned(), Value::Null, 400, "cursor", "take `next`"),
        (
            "POST",
            format!("/companies/{id}/top-ups"),
            json!({"amount": {"amount": "1", "currency": "EUR"}}),
            422,
            "amount.currency",
            "currency is USD",
        ),
        (
            "POST",
            format!("/companies/{id}/top-ups"),
            json!({"amount": {"amount": 1, "currency": "USD"}}),
            422,
            "amount.amount",
            "text",
        ),
        (
            "POST",
            "/profiles".to_owned(),
            json!({"company": 99, "name": "x"}),
            422,
            "company",
            "no company 99",
        ),
        (
            "POST",
            "/profiles".to_owned(),
            json!({"company": id, "name": "x", "settings": {"srtp": "requird"}}),
            422,
            "settings.srtp",
            "Did you mean `required`?",
        ),
    ] {
        let said = house.operate(method, &path, body);
        assert_eq!(said.kind, "application/problem+json", "{said:?}");
        let problem = said.expect(status);
        assert_eq!(problem["field"], field, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    let order = json!({"company": id, "name": "x", "subscription": {"channels": 4, "agreed": {"amount": "27.80", "currency": "USD"}}});
    let problem = house.operate("POST", "/profiles", order).expect(409);
    assert_eq!(problem["code"], "insufficient_company_credit");
    assert_eq!(problem["detail"], "The company's credit of 0.00 does not pay 27.80; top it up.");
    assert_eq!(house.operate("PUT", "/companies", json!({})).expect(405)["code"], "no_such_method");
    house.operate("GET", "/nothing", Value::Null).expect(404);
    let long = Ask::new("POST", "/companies").token(OPERATOR).json(&json!({"name": "x".repeat(70_000)}));
    assert_eq!(house.send(&long).expect(413)["code"], "body_too_long");
    let plain = Ask {
        body: b"x".to_vec(),
        ..Ask::new("POST", "/companies").token(OPERATOR).header("content-type", "text/plain")
    };
    assert_eq!(house.send(&plain).expect(415)["field"], "Content-Type");
    house.stop();
}

#[test]
fn lists_come_in_pages_and_changes_are_on_the_trail() {
    let house = House::new("34080-34099");
    let ids: Vec<i64> = ["One", "Two", "Three"].iter().map(|name| company(&house, name)).collect();
    let mut seen = Vec::new();
    let mut path = "/companies?limit=2".to_owned();
    loop {
        let page = house.operate("GET", &path, Value::Null).expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|company| company["id"].as_i64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/companies?limit=2&cursor={next}");
    }
    assert_eq!(seen, ids);
    let found = house.operate("GET", "/companies?name=TW", Value::Null).expect(200);
    assert_eq!(found["items"][0]["name"], "Two");

    house.operate("PUT", &format!("/companies/{}/verification", ids[1]), Value::Null).expect(200);
    house.operate("PUT", "/companies/99/verification", Value::Null).expect(404);
    let password = json!({"user": "us", "password": "hunter2"});
    house
        .operate("POST", "/carriers", json!({"name": "up", "host": "127.0.0.1", "authentication": password}))
        .expect(201);
    let trail = house.operate("GET", "/audit?limit=2", Value::Null).expect(200);
    let entry = |index: usize, key: &str| trail["items"][index][key].clone();
    assert_eq!(entry(1, "action"), json!(format!("PUT /api/v1/companies/{}/verification", ids[1])));
    assert_eq!((entry(1, "actor"), entry(1, "origin")), (json!("http.token"), json!("127.0.0.1")));
    assert_eq!((entry(1, "company"), entry(1, "detail")), (json!(ids[1]), Value::Null));
    assert_eq!(entry(0, "detail")["authentication"], json!({"user": "us", "password": "(not shown)"}));
    let own = house.ask(&administrator(&house, ids[1]), "GET", "/audit", Value::Null).expect(200);
    // What happened to the company, and the making of this token.
    assert_eq!(own["items"].as_array().unwrap().len(), 2);
    house.stop();
}

#[test]
fn calls_feel_a_change_as_soon_as_it_is_made() {
    let house = House::new("34100-34119");
    let id = company(&house, "Architects");
    house.operate("POST", "/profiles", json!({"company": id, "name": "Sales"})).expect(201);
    let revision = house.runtime.block_on(house.daemon.store().revision()).unwrap();
    let in_force = || house.daemon.metrics().directory_revision.get();
    for _ in 0..6_000 {
        if in_force() >= revision {
            return house.stop();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("revision {revision} is not in force, but {}", in_force());
}
