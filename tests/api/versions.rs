//! Entity tags: every GET has one, a change may be conditional on one, and no change undoes another of the same moment.

use std::thread;

use serde_json::{Value, json};

use crate::description::{Description, Operation};
use crate::house::{Ask, House, OPERATOR, Said};

/// Times that two changes are made at once.
const ROUNDS: usize = 25;
/// A tag that nothing ever had.
const STALE: &str = "\"0000000000000000.000000000000000000000000\"";
/// What is gone or another at the next look, so that a change of it cannot be conditional.
const LIVE: [&str; 3] = ["/calls", "/bans", "/schedule"];

fn tag(said: &Said) -> String {
    said.header("etag").unwrap_or_else(|| panic!("no tag: {said:?}")).to_owned()
}

/// A company with one thing of each kind, each under the name that it has in paths.
fn furnish(house: &House) -> Vec<(&'static str, String)> {
    let made = |path: &str, body: Value| house.operate("POST", path, body).expect(201)["id"].to_string();
    let company = made("/companies", json!({"name": "Ada's", "country": "US"}));
    let of = company.parse::<i64>().unwrap();
    let money = json!({"amount": {"amount": "500.00", "currency": "USD"}});
    house.operate("POST", &format!("/companies/{company}/top-ups"), money.clone()).expect(201);
    let profile = made(
        "/profiles",
        json!({"company": of, "name": "Sales", "subscription": {"channels": 2, "agreed": {"amount": "13.90", "currency": "USD"}}}),
    );
    let address = made(&format!("/profiles/{profile}/addresses"), json!({"network": "198.18.1.1"}));
    let number = made("/numbers", json!({"company": of, "number": "+12026843376", "country": "US"}));
    let account = made("/business-accounts", json!({"company": of, "name": "adas.sales"}));
    let carrier = made("/carriers", json!({"name": "North", "host": "north.example.com"}));
    let payment = made(&format!("/companies/{company}/payments"), money);
    let token = json!({"name": "reports", "role": "billing", "company": of});
    let token = house.operate("POST", "/tokens", token).expect(201)["token"]["id"].to_string();
    let mut deck = Ask::new("PUT", "/rates").token(OPERATOR).header("content-type", "text/csv");
    deck.body = "prefix,destination,country,rate_per_minute\n1,United States,US,0.008\n".into();
    assert!(house.send(&deck).status < 300);
    let names = [
        ("company", company),
        ("profile", profile),
        ("address", address),
        ("number", number),
        ("account", account),
        ("carrier", carrier),
        ("payment", payment),
        ("token", token),
        ("price_list", "standard".to_owned()),
        ("edition", "1".to_owned()),
        ("country", "US".to_owned()),
        ("email", "ada@example.com".to_owned()),
    ];
    names.into_iter().collect()
}

fn at(path: &str, names: &[(&str, String)]) -> String {
    let name = |(text, (name, value)): (String, &(&str, String))| text.replace(&format!("{{{name}}}"), value);
    names.iter().fold(path.to_owned(), |text, pair| name((text, pair)))
}

/// The request with a body that the operation takes.
fn with_body(mut ask: Ask, operation: &Operation, profile: i64) -> Ask {
    let Some((kind, _)) = operation.body() else { return ask };
    if kind == "text/csv" {
        ask.body = "prefix,destination,country,rate_per_minute\n1,United States,US,0.008\n".into();
        return ask.header("content-type", "text/csv");
    }
    let money = |amount: &str| json!({"amount": amount, "currency": "USD"});
    let last = operation.path.rsplit('/').find(|step| !step.starts_with('{')).unwrap();
    ask.json(&match last {
        "attachment" => json!({ "profile": profile }),
        "administrators" => json!({"name": "Ada"}),
        "calls-per-second" => json!({"calls_per_second": 10}),
        "carriers" => json!({"priority": 5}),
        "companies" => json!({"name": "Masons"}),
        "corrections" | "credit-notes" => json!({"amount": money("5.00"), "reason": "booked twice"}),
        "suspension" => json!({"reason": "unpaid"}),
        "numbers" => json!({"number": "+12025550100", "agreed": money("1.00")}),
        "payments" | "top-ups" | "allocations" => json!({"amount": money("5.00")}),
        "price-list" => json!({"price_list": "standard"}),
        "recharge" => json!({"threshold": money("2.00"), "amount": money("10.00")}),
        "target" => json!({"to": "nobody"}),
        "settlement" => json!({"state": "paid"}),
        "profiles" => json!({"name": "Sales"}),
        "addresses" => json!({"network": "198.18.2.2"}),
        "caller-ids" => json!({"choice": "online_number", "number": "+12026843376"}),
        "subscription" => json!({"channels": 4, "agreed": money("27.80")}),
        "stock" => json!({"country": "US", "fee": {"amount": "1.00", "currency": "USD"}}),
        _ => json!({}),
    })
}

/// The nearest path at or above a place that can be read.
fn reader<'a>(operations: &'a [Operation], path: &str) -> Option<&'a Operation> {
    let mut place = path;
    loop {
        let found = operations.iter().find(|it| it.method == "GET" && it.path == place);
        if found.is_some() {
            return found;
        }
        place = place.rsplit_once('/').map(|(above, _)| above).filter(|above| !above.is_empty())?;
    }
}

#[test]
fn every_thing_that_can_be_changed_has_a_tag_that_a_change_may_depend_on() {
    let house = House::new("42500-42509");
    let description = Description(house.send(&Ask::new("GET", "/openapi.json")).json());
    let operations = description.operations();
    let names = furnish(&house);
    let is_of_a_thing = |path: &str| path.contains('{') && !LIVE.iter().any(|live| path.starts_with(live));
    let mut changes = 0;
    for operation in operations.iter().filter(|it| it.method != "GET" && is_of_a_thing(&it.path)) {
        let name = operation.name();
        let has = |status: &str| operation.said["responses"].get(status).is_some();
        let parameters = operation.parameters("header");
        assert!(parameters.iter().any(|it| it["name"] == "If-Match") && has("412"), "{name}");
        let shown = reader(&operations, &operation.path).unwrap_or_else(|| panic!("{name} has no GET"));
        // Numbers on offer are told from others by themselves.
        let path = if operation.path.starts_with("/stock") || operation.path.contains("landlines") {
            operation.path.replace("{number}", "+12025550100")
        } else {
            operation.path.clone()
        };
        let ask = Ask::new(&operation.method, &at(&path, &names)).token(OPERATOR).header("if-match", STALE);
        let ask = with_body(ask, operation, names[1].1.parse().unwrap());
        let said = house.send(&ask);
        assert_eq!(said.status, 412, "{name} (read by {}): {said:?}", shown.name());
        assert!(said.json()["detail"].as_str().unwrap().contains("read it again"), "{said:?}");
        changes += 1;
    }
    assert!(changes > 25, "{changes}");
    for operation in operations.iter().filter(|it| it.method == "GET" && !it.is_public()) {
        if operation.path.contains("{call}") || operation.said["responses"]["200"]["headers"].is_null() {
            continue;
        }
        let path = at(&operation.path, &names);
        let said = house.send(&Ask::new("GET", &path).token(OPERATOR));
        if said.status != 200 {
            continue;
        }
        let again = Ask::new("GET", &path).token(OPERATOR).header("if-none-match", &tag(&said));
        let again = house.send(&again);
        let is_moving = ["/status", "/schedule"].contains(&path.as_str()) || path.ends_with("/quote");
        assert!(is_moving || (again.status == 304 && again.text.is_empty()), "{path}: {said:?} {again:?}");
    }
    house.stop();
}

#[test]
fn a_change_is_made_only_while_the_thing_is_as_it_was_read() {
    let house = House::new("42510-42519");
    let names = furnish(&house);
    for (path, change) in [
        ("/profiles/{profile}", json!({"name": "Sales 2"})),
        ("/profiles/{profile}/spend-guard", json!({"longest_call_s": 600})),
        ("/carriers/{carrier}", json!({"priority": 3})),
    ] {
        let path = at(path, &names);
        let send = |method: &str, tag: &str| {
            let ask = Ask::new(method, &path).token(OPERATOR).header("if-match", tag);
            house.send(&if method == "GET" { ask } else { ask.json(&change) })
        };
        let before = tag(&send("GET", "*"));
        send("PATCH", &before).expect(200);
        let said = send("PATCH", &before);
        assert_eq!((said.status, said.json()["code"].as_str().unwrap()), (412, "changed"), "{said:?}");
        let after = tag(&send("GET", "*"));
        assert_ne!(before, after);
        send("PATCH", &format!("\"x\", {after}")).expect(200);
        send("PATCH", "*").expect(200);
        assert_eq!(send("PATCH", &format!("W/{after}")).status, 412, "a weak tag never matches");
    }
    // Of two that have read the same, one is made.
    let path = at("/profiles/{profile}", &names);
    for round in 0..ROUNDS {
        let seen = tag(&house.send(&Ask::new("GET", &path).token(OPERATOR)));
        let rename = |name: String| {
            let ask = Ask::new("PATCH", &path).token(OPERATOR).header("if-match", &seen);
            house.send(&ask.json(&json!({ "name": name }))).status
        };
        let statuses = thread::scope(|scope| {
            let both = ["a", "b"].map(|name| scope.spawn(move || rename(format!("{name}{round}"))));
            both.map(|one| one.join().unwrap())
        });
        assert!(statuses.contains(&200) && statuses.contains(&412), "{statuses:?}");
    }
    house.stop();
}

/// Sends two changes at one moment.
fn both(house: &House, path: &str, changes: [Value; 2]) {
    thread::scope(|scope| {
        for change in changes {
            scope.spawn(move || house.operate("PATCH", path, change).expect(200));
        }
    });
}

#[test]
fn of_two_changes_of_different_fields_at_one_moment_none_is_lost() {
    let house = House::new("42520-42529");
    let names = furnish(&house);
    let shown = |path: &str| house.operate("GET", path, Value::Null).expect(200);
    for round in 0..ROUNDS {
        let (on, low) = (["on", "off"][round % 2], ["off", "required"][round % 2]);
        let profile = at("/profiles/{profile}", &names);
        both(
            &house,
            &profile,
            [json!({"settings": {"caller_name": on}}), json!({"settings": {"srtp": low}})],
        );
        let settings = &shown(&profile)["settings"];
        assert!(settings["caller_name"] == on && settings["srtp"] == low, "{round}: {settings}");
        let guard = at("/profiles/{profile}/spend-guard", &names);
        let limits = [300 + round, 2 + round];
        both(
            &house,
            &guard,
            [json!({"longest_call_s": limits[0]}), json!({"calls_to_one_country": limits[1]})],
        );
        let guard = &shown(&guard)["in_force"];
        let found = [&guard["longest_call_s"], &guard["calls_to_one_country"]];
        assert_eq!(found.map(|limit| limit.as_u64().unwrap() as usize), limits, "{round}");
        let carrier = at("/carriers/{carrier}", &names);
        both(&house, &carrier, [json!({"priority": round}), json!({"weight": round})]);
        let carrier = shown(&carrier);
        assert!(carrier["priority"] == round && carrier["weight"] == round, "{round}: {carrier}");
    }
    house.stop();
}
