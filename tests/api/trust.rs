//! What an administrator may not do although the company is his own: harm others, or lift what guards against thieves.

use provisioning_store::cdr::Direction;
use serde_json::{Value, json};

use crate::business::Firm;
use crate::house::{House, Whose};

#[test]
fn an_address_rule_takes_nobody_elses_calls() {
    let house = House::new("34360-34379");
    let (own, other) = (Firm::new(&house, "Architects"), Firm::new(&house, "Builders"));
    let carrier =
        json!({"name": "up", "host": "203.0.113.7", "transport": "udp", "sources": ["198.51.100.0/28"]});
    house.operate("POST", "/carriers", carrier).expect(201);
    let rules = |firm: &Firm| format!("/profiles/{}/addresses", firm.profile);
    let made = house.operate("POST", &rules(&other), json!({"network": "192.0.2.16/28"})).expect(201);
    assert_eq!(made["state"], "confirmed", "an operator knows whose it is");

    let ourselves = json!({"name": "us", "host": "sip.test", "transport": "udp"});
    assert_eq!(house.operate("POST", "/carriers", ourselves).expect(422)["field"], "host");

    // What is known as somebody else's waits, and so does every range.
    for waits in [
        "203.0.113.7",
        "203.0.113.0/24",
        "198.51.100.3",
        "192.0.2.17",
        "192.0.2.0/24",
        "::ffff:192.0.2.17",
        "::ffff:203.0.113.0/120",
        "192.0.2.0/31",
    ] {
        let said = own.ask(&house, "POST", &rules(&own), json!({"network": waits, "transport": "tcp"}));
        assert_eq!(said.expect(201)["state"], "pending", "{waits}");
    }
    for nobodys in [
        "0.0.0.0/0",
        "192.0.0.0/16",
        "2001:db8::/32",
        "127.0.0.1",
        "::1",
        "169.254.0.1",
        "224.0.0.1",
        "::ffff:64.0.0.0/98",
        "::ffff:127.0.0.1",
        "::ffff:198.18.0.1/64",
    ] {
        let said = own.ask(&house, "POST", &rules(&own), json!({"network": nobodys}));
        assert_eq!(said.expect(422)["field"], "network", "{nobodys}");
    }
    let free = own.ask(&house, "POST", &rules(&own), json!({"network": "192.0.2.1"})).expect(201);
    assert_eq!(free["state"], "confirmed");
    house.operate("POST", &rules(&own), json!({"network": "203.0.0.0/16"})).expect(201);
    house.stop();
}

#[test]
fn a_claim_that_waits_is_confirmed_by_operators_alone() {
    let house = House::new("34700-34719");
    let (own, other) = (Firm::new(&house, "Architects"), Firm::new(&house, "Builders"));
    let by_ip = json!({"settings": {"authentication": "ip"}});
    own.ask(&house, "PATCH", &format!("/profiles/{}", own.profile), by_ip).expect(200);
    let rules = format!("/profiles/{}/addresses", own.profile);
    let claim = own.ask(&house, "POST", &rules, json!({"network": "192.0.2.0/28"})).expect(201);
    let confirmation = format!("{rules}/{}/confirmation", claim["id"]);
    let known_at = |source: &str| {
        house.directory_is_what_is_provisioned();
        let udp = sip_core::types::Transport::Udp;
        house.daemon.directory().peer_at(source.parse().unwrap(), udp).is_some()
    };
    assert!(!known_at("192.0.2.1:5060"), "a claim that waits counts");
    own.ask(&house, "PUT", &confirmation, Value::Null).expect(403);
    other.ask(&house, "PUT", &confirmation, Value::Null).expect(403);
    house.operate("PUT", &format!("{rules}/999/confirmation"), Value::Null).expect(404);
    house.operate("PUT", &confirmation, Value::Null).expect(204);
    assert!(known_at("192.0.2.1:5060"));
    let listed = own.ask(&house, "GET", &rules, Value::Null).expect(200);
    assert_eq!(listed["items"][0]["state"], "confirmed");
    house.stop();
}

#[test]
fn a_companys_tokens_create_no_more_than_the_quotas_allow() {
    let house = House::new("34720-34739");
    let firm = Firm::new(&house, "Architects");
    let rules = format!("/profiles/{}/addresses", firm.profile);
    let address = |n: usize| json!({"network": format!("192.0.2.{n}")});
    for n in 1..=32 {
        firm.ask(&house, "POST", &rules, address(n)).expect(201);
    }
    let refused = firm.ask(&house, "POST", &rules, address(33)).expect(409);
    assert_eq!(refused["code"], "quota_reached");
    assert!(refused["detail"].as_str().unwrap().contains("ask an operator"), "{refused}");
    house.operate("POST", &rules, address(33)).expect(201);
    house.stop();
}

#[test]
fn a_certificate_is_its_profiles_alone_and_from_anywhere_only_by_an_operator() {
    let house = House::new("34640-34659");
    let (own, other) = (Firm::new(&house, "Architects"), Firm::new(&house, "Builders"));
    let rules = |firm: &Firm| format!("/profiles/{}/addresses", firm.profile);
    let roaming = json!({"network": "0.0.0.0/0", "certificate": "PBX.Builders.example"});
    let said = other.ask(&house, "POST", &rules(&other), roaming.clone());
    assert_eq!(said.expect(422)["field"], "network");
    let made = house.operate("POST", &rules(&other), roaming).expect(201);
    let kept = json!({"id": made["id"], "network": "0.0.0.0/0", "port": null, "transport": "tls",
        "certificate": "pbx.builders.example", "state": "confirmed"});
    assert_eq!(made, kept);
    let listed = other.ask(&house, "GET", &rules(&other), Value::Null).expect(200);
    assert_eq!(listed["items"], json!([kept]));

    let claim = |certificate: &str| {
        let rule = json!({"network": "198.51.100.0/28", "certificate": certificate});
        own.ask(&house, "POST", &rules(&own), rule)
    };
    assert_eq!(claim("pbx.builders.example").expect(409)["code"], "taken");
    let problem = claim("*.architects.example").expect(422);
    assert_eq!(problem["field"], "certificate");
    assert!(problem["detail"].as_str().unwrap().contains("like pbx.example.com"), "{problem}");
    claim("pbx.architects.example").expect(201);
    let over_udp = json!({"network": "198.51.100.1", "certificate": "a.example", "transport": "udp"});
    assert_eq!(own.ask(&house, "POST", &rules(&own), over_udp).expect(422)["field"], "certificate");
    // Another's certificate from anywhere keeps nobody from naming an address of its own.
    let free = own.ask(&house, "POST", &rules(&own), json!({"network": "192.0.2.1"})).expect(201);
    assert_eq!(free["state"], "confirmed");
    house.stop();
}

#[test]
fn a_spend_guard_is_tightened_by_administrators_and_loosened_by_operators() {
    let house = House::new("34380-34399");
    let firm = Firm::new(&house, "Architects");
    let path = format!("/profiles/{}/spend-guard", firm.profile);
    let limits = json!({
        "hour_cap": {"amount": "5.00", "currency": "USD"}, "day_cap": {"amount": "50.00", "currency": "USD"}, "denied_countries": ["CU"], "longest_call_s": 3_600,
    });
    house.operate("PATCH", &path, limits).expect(200);
    for (loose, limit) in [
        (json!({"day_cap": {"amount": "50.01", "currency": "USD"}}), "day_cap"),
        (json!({"day_cap": "none"}), "day_cap"),
        (json!({"longest_call_s": null}), "longest_call_s"),
        (json!({"denied_countries": ["KP"]}), "denied_countries"),
        (
            json!({"hour_cap": {"amount": "1.00", "currency": "USD"}, "denied_countries": "none"}),
            "denied_countries",
        ),
    ] {
        let said = firm.ask(&house, "PATCH", &path, loose.clone()).expect(403);
        assert_eq!((&said["code"], &said["field"]), (&json!("operator_only"), &json!(limit)), "{loose}");
    }
    let tight = json!({"day_cap": {"amount": "10.00", "currency": "USD"}, "denied_countries": ["CU", "KP"], "allowed_countries": ["US", "EE"]});
    firm.ask(&house, "PATCH", &path, tight).expect(200);
    firm.ask(&house, "PATCH", &path, json!({"allowed_countries": ["US", "EE", "GB"]})).expect(403);
    firm.ask(&house, "POST", &format!("{path}/release"), Value::Null).expect(403);
    house.operate("POST", &format!("{path}/release"), Value::Null).expect(204);
    house.operate("PATCH", &path, json!({"day_cap": "none", "denied_countries": "none"})).expect(200);
    house.stop();
}

#[test]
fn new_profiles_and_companies_begin_with_limits() {
    let house = House::new("34420-34439");
    let firm = Firm::new(&house, "Architects");
    let profile = firm.ask(&house, "GET", &format!("/profiles/{}", firm.profile), Value::Null).expect(200);
    let limits = &profile["limits"];
    assert_eq!((&limits["calls_per_second"], &limits["premium"]), (&json!(5), &json!("deny")));
    assert_eq!(
        (&limits["hour_cap"], &limits["day_cap"]),
        (&json!({"amount": "20.00", "currency": "USD"}), &json!({"amount": "100.00", "currency": "USD"}))
    );
    let company = firm.ask(&house, "GET", &format!("/companies/{}", firm.company), Value::Null).expect(200);
    assert_eq!(company["calls_per_second"], 20);
    let path = format!("/companies/{}/calls-per-second", firm.company);
    for ask in [firm.ask(&house, "PUT", &path, json!({})), house.operate("PUT", &path, json!({}))] {
        assert_eq!(ask.expect(422)["field"], "calls_per_second", "what is left out lifts nothing");
    }
    firm.ask(&house, "PUT", &path, json!({"calls_per_second": 10})).expect(200);
    for loose in [json!(11), json!(0), Value::Null] {
        let said = firm.ask(&house, "PUT", &path, json!({"calls_per_second": loose})).expect(403);
        assert_eq!((&said["code"], &said["field"]), (&json!("operator_only"), &json!("calls_per_second")));
    }
    for loose in [json!(0), Value::Null] {
        let said = house.operate("PUT", &path, json!({"calls_per_second": loose})).expect(200);
        assert_eq!(said["calls_per_second"], Value::Null);
    }
    let path = format!("/profiles/{}/spend-guard", firm.profile);
    let open = json!({"premium": "allow"});
    assert_eq!(firm.ask(&house, "PATCH", &path, open.clone()).expect(403)["field"], "premium");
    assert_eq!(house.operate("PATCH", &path, open).expect(200)["in_force"]["premium"], "allow");
    let said = house.operate("PATCH", &path, json!({"calls_per_second": 0})).expect(200);
    assert_eq!(said["in_force"]["calls_per_second"], Value::Null);
    house.stop();
}

#[test]
fn who_was_called_does_not_read_who_withheld_its_number() {
    let house = House::new("34980-34999");
    let firm = Firm::new(&house, "Architects");
    let number = "+13125550123";
    house.leave_withheld("in", Whose::Profiles(firm.profile), Direction::Incoming, number);
    house.leave_withheld("out", Whose::Profiles(firm.profile), Direction::Outgoing, number);
    let (theirs, operators) = (["anonymous", number], [number, number]);
    for (said, from) in [("own", theirs), ("operator", operators)] {
        let read = |path: &str| match said {
            "own" => firm.ask(&house, "GET", path, Value::Null).expect(200),
            _ => house.operate("GET", path, Value::Null).expect(200),
        };
        for (call, from) in ["in", "out"].into_iter().zip(from) {
            let record = read(&format!("/cdrs/{call}"));
            assert_eq!((&record["from"], &record["is_withheld"]), (&json!(from), &json!(true)), "{said}");
        }
        let found = read("/cdrs?number=3125550123");
        let found = found["items"].as_array().unwrap().len();
        assert_eq!(found, from.iter().filter(|from| **from == number).count(), "{said}");
    }
    house.stop();
}

#[test]
fn an_administrator_reads_the_calls_of_own_phones_and_of_no_others() {
    let house = House::new("34660-34679");
    let (own, other) = (Firm::new(&house, "Architects"), Firm::new(&house, "Builders"));
    house.leave_record("own", Whose::Profiles(own.profile), "a");
    house.leave_record("own-phone", Whose::PhoneOf(own.company), "b");
    house.leave_record("other-phone", Whose::PhoneOf(other.company), "c");
    house.leave_record("nobodys", Whose::Nobodys, "d");
    let calls = |said: Value| {
        let calls =
            said["items"].as_array().unwrap().iter().map(|cdr| cdr["call"].as_str().unwrap().to_owned());
        let mut calls: Vec<_> = calls.collect();
        calls.sort_unstable();
        calls
    };
    let list = || own.ask(&house, "GET", "/cdrs", Value::Null).expect(200);
    assert_eq!(calls(list()), ["own", "own-phone"]);
    assert!(list()["items"].as_array().unwrap().iter().all(|cdr| cdr["company"] == own.company));
    let phones = own.ask(&house, "GET", "/cdrs/own-phone", Value::Null).expect(200);
    assert_eq!(
        (&phones["profile"], &phones["amount"], &phones["payer"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    for hidden in ["other-phone", "nobodys"] {
        own.ask(&house, "GET", &format!("/cdrs/{hidden}"), Value::Null).expect(404);
    }
    let all = house.operate("GET", &format!("/cdrs?company={}", other.company), Value::Null).expect(200);
    assert_eq!(calls(all), ["other-phone"]);
    let all = house.operate("GET", "/cdrs", Value::Null).expect(200);
    assert_eq!(calls(all), ["nobodys", "other-phone", "own", "own-phone"]);
    house.stop();
}
