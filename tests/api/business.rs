//! The service behind the trunk: numbers from the stock, payments, cancellations, reports, rehearsals; and that nobody
//! sees or does what is another company's.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::house::{Ask, House, OPERATOR, PAYMENT_SECRET, Said};
use crate::stories::{administrator, company, dollars};

pub(crate) const RATES: &str = "prefix,destination,country,rate_per_minute,connection_fee,minimum_s,increment_s\n\
    1,United States,US,0.008,0,30,6\n372,Estonia,EE,0.02,0.01,60,30\n";

/// A company with credit and a profile with channels, for an administrator of its own.
pub(crate) struct Firm {
    pub(crate) company: i64,
    pub(crate) token: String,
    pub(crate) profile: i64,
}

impl Firm {
    pub(crate) fn new(house: &House, name: &str) -> Self {
        let company = company(house, name);
        let path = format!("/companies/{company}/top-ups");
        house.operate("POST", &path, json!({"amount": dollars("100.00")})).expect(201);
        let token = administrator(house, company);
        let new = json!({"company": company, "name": name, "subscription": {"channels": 2, "agreed": {"amount": "13.90", "currency": "USD"}}});
        let profile = house.ask(&token, "POST", "/profiles", new).expect(201)["id"].as_i64().unwrap();
        Self { company, token, profile }
    }

    pub(crate) fn ask(&self, house: &House, method: &str, path: &str, body: Value) -> Said {
        house.ask(&self.token, method, path, body)
    }

    pub(crate) fn credit(&self, house: &House) -> Value {
        self.ask(house, "GET", &format!("/companies/{}", self.company), Value::Null).expect(200)["credit"]
            .clone()
    }
}

pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// An event as the provider's adapter sends it, signed at a time.
pub(crate) fn event(body: &Value, at: u64) -> Ask {
    let ask = Ask::new("POST", "/payment-events").json(body);
    let mut mac = Hmac::<Sha256>::new_from_slice(PAYMENT_SECRET.as_bytes()).unwrap();
    mac.update(format!("{at}.").as_bytes());
    mac.update(&ask.body);
    let hex: String = mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
    ask.header("Sipgw-Signature", &format!("t={at},v1={hex}"))
}

#[test]
fn a_payment_is_booked_once_when_its_provider_says_so_in_its_own_hand() {
    let house = House::new("34200-34219");
    let firm = Firm::new(&house, "Architects");
    assert_eq!(firm.credit(&house), dollars("86.10"));
    let path = format!("/companies/{}/payments", firm.company);
    let payment = firm.ask(&house, "POST", &path, json!({"amount": dollars("50.00")})).expect(201);
    assert_eq!((&payment["state"], &payment["cause"]), (&json!("pending"), &json!("asked")));
    let id = payment["id"].as_i64().unwrap();
    let pending = firm.ask(&house, "GET", "/payments", Value::Null).expect(200);
    assert_eq!(pending["items"][0]["id"], payment["id"]);
    assert_eq!(firm.credit(&house), dollars("86.10"), "nothing is booked before it is paid");

    let paid = json!({"payment": id, "state": "paid", "amount": dollars("50.00"), "reference": "ch_1"});
    for (ask, why) in [
        (Ask::new("POST", "/payment-events").json(&paid), "not signed"),
        (event(&paid, now() - 301), "too old"),
        (event(&json!({"payment": id}), now()).json(&paid), "another body"),
    ] {
        assert_eq!(house.send(&ask).expect(403)["code"], "bad_signature", "{why}");
    }
    assert_eq!(firm.credit(&house), dollars("86.10"));
    let mut other = paid.clone();
    for amount in [dollars("49.99"), json!({"amount": "50.00", "currency": "EUR"})] {
        other["amount"] = amount;
        assert_eq!(house.send(&event(&other, now())).expect(409)["code"], "other_amount");
    }
    other["amount"] = Value::Null;
    assert_eq!(house.send(&event(&other, now())).expect(422)["field"], "amount");
    let failed = json!({"payment": id, "state": "failed", "reference": "expired"});
    house.send(&event(&failed, now())).expect(204);
    assert_eq!(firm.credit(&house), dollars("86.10"));
    // The money may still come.
    for _ in 0..3 {
        house.send(&event(&paid, now())).expect(204);
        assert_eq!(firm.credit(&house), dollars("136.10"), "booked once, however often it is said");
    }
    other = paid;
    other["reference"] = json!("ch_2");
    assert_eq!(house.send(&event(&other, now())).expect(409)["code"], "settled_already");
    let failed = json!({"payment": id, "state": "failed", "reference": "ch_1"});
    house.send(&event(&failed, now())).expect(409);
    let unknown = json!({"payment": 987_654, "state": "failed", "reference": "ch_3"});
    house.send(&event(&unknown, now())).expect(404);
    house.send(&event(&json!({"payment": id}), now())).expect(422);
    assert_eq!(firm.credit(&house), dollars("136.10"));

    let trail = firm.ask(&house, "GET", "/audit", Value::Null).expect(200);
    let told: Vec<&Value> =
        trail["items"].as_array().unwrap().iter().filter(|line| line["actor"] == "payment source").collect();
    assert_eq!(told.len(), 2, "one line for each of two changes: {told:?}");
    assert!(house.runtime.block_on(house.daemon.store().verify()).unwrap().is_empty());
    house.stop();
}

#[test]
fn a_number_is_bought_cancelled_and_kept() {
    let house = House::new("34220-34239");
    let firm = Firm::new(&house, "Architects");
    let offer = json!({"country": "US", "fee": dollars("2.50"), "term_days": 30});
    firm.ask(&house, "PUT", "/stock/+12026843376", offer.clone()).expect(403);
    house.operate("PUT", "/stock/+12026843376", offer).expect(200);
    let stock = firm.ask(&house, "GET", "/stock?country=US", Value::Null).expect(200);
    assert_eq!(stock["items"][0]["fee"], dollars("2.50"));
    let path = format!("/companies/{}/numbers", firm.company);
    let wanted = json!({"number": "+12026843376", "agreed": dollars("2.50")});
    let number = firm.ask(&house, "POST", &path, wanted.clone()).expect(201);
    assert_eq!(
        (&number["lease"]["fee"], &number["lease"]["renewal"]),
        (&dollars("2.50"), &json!("automatic"))
    );
    assert_eq!(firm.credit(&house), dollars("83.60"));
    assert_eq!(firm.ask(&house, "GET", "/stock", Value::Null).expect(200)["items"], json!([]));
    firm.ask(&house, "POST", &path, wanted).expect(409);

    let at = format!("/numbers/{}/cancellation", number["id"]);
    assert_eq!(firm.ask(&house, "PUT", &at, Value::Null).expect(200)["lease"]["renewal"], "cancelled");
    assert_eq!(firm.ask(&house, "DELETE", &at, Value::Null).expect(200)["lease"]["renewal"], "automatic");
    house.stop();
}

#[test]
fn a_profile_is_cancelled_extended_and_deleted() {
    let house = House::new("34240-34259");
    let firm = Firm::new(&house, "Architects");
    let profile = format!("/profiles/{}", firm.profile);
    let at = format!("{profile}/subscription/cancellation");
    assert_eq!(firm.ask(&house, "PUT", &at, Value::Null).expect(200)["renews"], false);
    assert_eq!(firm.ask(&house, "DELETE", &at, Value::Null).expect(200)["renews"], true);
    let amount = json!({"amount": dollars("10.00")});
    firm.ask(&house, "POST", &format!("{profile}/allocations"), amount).expect(201);
    assert_eq!(firm.credit(&house), dollars("76.10"));
    firm.ask(&house, "DELETE", &profile, Value::Null).expect(204);
    firm.ask(&house, "GET", &profile, Value::Null).expect(404);
    assert_eq!(firm.credit(&house), dollars("86.10"), "its credit came back");
    house.stop();
}

#[test]
fn reports_come_as_json_and_as_files() {
    let house = House::new("34260-34279");
    let firm = Firm::new(&house, "Architects");
    let (year, month, _) = sipgw::storage::now().date();
    let month = format!("{year:04}-{month:02}");
    let get = |path: String| firm.ask(&house, "GET", &path, Value::Null);
    let profile = format!("/profiles/{}/reports", firm.profile);
    let company = format!("/companies/{}/reports", firm.company);
    let usage = get(format!("{profile}/usage?month={month}")).expect(200);
    assert_eq!((&usage["is_proved"], &usage["total"]["amount"]), (&json!(true), &dollars("0.00")));
    let bought = get(format!("{profile}/allocations?month={month}")).expect(200);
    assert_eq!(bought["rows"][0]["kind"], "subscription");
    let statement = get(format!("{company}/statement?month={month}")).expect(200);
    assert_eq!((&statement["opening"], &statement["closing"]), (&dollars("0.00"), &dollars("86.10")));
    assert_eq!(statement["upcoming"][0]["profile"], firm.profile);
    for (path, head) in [
        (format!("{profile}/usage.csv?month={month}"), "began,direction,from,to,"),
        (format!("{profile}/allocations.csv?month={month}"), "at,kind,amount,note\n"),
        (format!("{company}/statement.csv?month={month}"), "at,kind,amount,balance,profile,note\n"),
    ] {
        let said = get(path);
        assert_eq!((said.status, said.kind.as_str()), (200, "text/csv"));
        assert!(said.text.contains(head), "{said:?}");
        assert!(said.header("content-disposition").is_some_and(|it| it.contains(&month)), "{said:?}");
    }
    assert_eq!(get(format!("{profile}/usage?month=march")).expect(400)["field"], "month");
    house.stop();
}

#[test]
fn a_rehearsal_says_what_a_call_would_do_and_why() {
    let house = House::new("34280-34299");
    let firm = Firm::new(&house, "Architects");
    let said = house.send(&{
        let mut ask = Ask::new("PUT", "/rates").token(OPERATOR).header("content-type", "text/csv");
        ask.body = RATES.into();
        ask
    });
    assert_eq!(said.status, 200, "{said:?}");
    let amount = json!({"amount": dollars("5.00")});
    firm.ask(&house, "POST", &format!("/profiles/{}/allocations", firm.profile), amount).expect(201);
    let rehearse = |number: &str| {
        let path = format!("/profiles/{}/rehearsal?number={number}", firm.profile);
        firm.ask(&house, "GET", &path, Value::Null).expect(200)
    };
    // The directory follows a change at once, but not within it.
    let rehearse_until = |number: &str, is_in_force: fn(&Value) -> bool| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let said = rehearse(number);
            if is_in_force(&said["reason_code"]) || std::time::Instant::now() > deadline {
                break said;
            }
        }
    };
    assert_eq!(rehearse_until("911", |reason| reason == "emergency")["reason_code"], "emergency");
    assert_eq!(rehearse("12")["reason_code"], "address_incomplete");
    assert_eq!(rehearse("%2B3728800814")["reason_code"], "no_carrier");
    let carrier = json!({"name": "upstream", "host": "127.0.0.1", "transport": "udp"});
    house.operate("POST", "/carriers", carrier).expect(201);
    let granted = rehearse_until("%2B3728800814", |reason| reason != "no_carrier");
    assert_eq!((&granted["is_granted"], &granted["kind"]), (&json!(true), &json!("outgoing")), "{granted}");
    // A minute at least, and the fee: 0.02 + 0.01.
    assert_eq!(granted["price"]["shortest"], dollars("0.03"));
    assert_eq!(granted["carriers"], Value::Null, "carriers are the operator's business");
    assert_eq!(rehearse("%2B81312345678")["reason_code"], "no_rate");
    assert_eq!(rehearse("17606604690")["kind"], "echo");
    assert!(house.runtime.block_on(house.daemon.store().live_calls()).unwrap().is_empty());
    house.stop();
}

#[test]
fn an_account_signs_in_by_itself_or_is_attached_and_has_a_button() {
    let house = House::new("34300-34319");
    let firm = Firm::new(&house, "Architects");
    let new = json!({"company": firm.company, "name": "architects.sales"});
    let account = firm.ask(&house, "POST", "/business-accounts", new).expect(201);
    let at = format!("/business-accounts/{}", account["id"]);
    firm.ask(&house, "GET", &format!("{at}/credentials"), Value::Null).expect(404);
    let made = firm.ask(&house, "POST", &format!("{at}/credentials"), Value::Null).expect(200);
    assert_eq!(firm.ask(&house, "GET", &format!("{at}/credentials"), Value::Null).expect(200), made);
    let button = firm.ask(&house, "GET", &format!("{at}/call-button?label=%3Cb%3E"), Value::Null).expect(200);
    let html = button["html"].as_str().unwrap();
    assert!(html.contains("sip:architects.sales@sip.test") && html.contains("&lt;b&gt;"), "{html}");
    let attachment = json!({"profile": firm.profile});
    firm.ask(&house, "PUT", &format!("{at}/attachment"), attachment).expect(200);
    let refused = firm.ask(&house, "POST", &format!("{at}/credentials"), Value::Null).expect(409);
    assert!(refused["detail"].as_str().unwrap().contains("Architects"), "it names the profile: {refused}");
    house.stop();
}

#[test]
fn nobody_sees_or_does_what_is_another_companys() {
    let house = House::new("34320-34339");
    let (own, other) = (Firm::new(&house, "Architects"), Firm::new(&house, "Builders"));
    house.operate("PUT", "/stock/+12026843376", json!({"country": "US", "fee": dollars("1.00")})).expect(200);
    let path = format!("/companies/{}/numbers", other.company);
    let number = other
        .ask(&house, "POST", &path, json!({"number": "+12026843376", "agreed": dollars("1.00")}))
        .expect(201)["id"]
        .clone();
    let path = format!("/companies/{}/payments", other.company);
    let payment =
        other.ask(&house, "POST", &path, json!({"amount": dollars("5.00")})).expect(201)["id"].clone();
    let new = json!({"company": other.company, "name": "builders.site"});
    let account = other.ask(&house, "POST", "/business-accounts", new).expect(201)["id"].clone();
    let people = format!("/companies/{}/administrators", other.company);
    let claude = json!({"name": "Claude Morel"});
    other.ask(&house, "PUT", &format!("{people}/claude@example.com"), claude.clone()).expect(200);
    let shown = other.ask(&house, "GET", &people, Value::Null).expect(200);
    assert_eq!(shown["items"][0]["email"], "claude@example.com");

    let (company, profile) = (other.company, other.profile);
    let recharge = json!({"threshold": dollars("2.00"), "amount": dollars("10.00")});
    let purchase = json!({"number": "+12025550100", "agreed": dollars("1.00")});
    for (method, path, body) in [
        ("GET", people.clone(), Value::Null),
        ("PUT", format!("{people}/mallory@example.com"), claude),
        ("DELETE", format!("{people}/claude@example.com"), Value::Null),
        ("GET", format!("/companies/{company}/recharge"), Value::Null),
        ("PUT", format!("/companies/{company}/recharge"), recharge),
        ("DELETE", format!("/companies/{company}/recharge"), Value::Null),
        ("POST", format!("/companies/{company}/payments"), json!({"amount": dollars("1.00")})),
        ("POST", format!("/companies/{company}/numbers"), purchase),
        ("GET", format!("/companies/{company}/reports/statement?month=2026-03"), Value::Null),
        ("GET", format!("/companies/{company}/reports/statement.csv?month=2026-03"), Value::Null),
        ("GET", format!("/payments?company={company}"), Value::Null),
        ("GET", format!("/payments/{payment}"), Value::Null),
        ("PUT", format!("/numbers/{number}/cancellation"), Value::Null),
        ("DELETE", format!("/numbers/{number}/cancellation"), Value::Null),
        ("DELETE", format!("/profiles/{profile}"), Value::Null),
        ("PUT", format!("/profiles/{profile}/subscription/cancellation"), Value::Null),
        ("DELETE", format!("/profiles/{profile}/subscription/cancellation"), Value::Null),
        ("GET", format!("/profiles/{profile}/reports/usage?month=2026-03"), Value::Null),
        ("GET", format!("/profiles/{profile}/reports/usage.csv?month=2026-03"), Value::Null),
        ("GET", format!("/profiles/{profile}/reports/allocations?month=2026-03"), Value::Null),
        ("GET", format!("/profiles/{profile}/reports/allocations.csv?month=2026-03"), Value::Null),
        ("GET", format!("/profiles/{profile}/rehearsal?number=911"), Value::Null),
        ("GET", format!("/business-accounts/{account}/credentials"), Value::Null),
        ("POST", format!("/business-accounts/{account}/credentials"), Value::Null),
        ("GET", format!("/business-accounts/{account}/call-button"), Value::Null),
    ] {
        let said = own.ask(&house, method, &path, body);
        assert_eq!(said.status, 404, "{method} {path}: {said:?}");
    }
    assert_eq!(own.ask(&house, "GET", "/payments", Value::Null).expect(200)["items"], json!([]));
    let settlement = json!({"state": "paid"});
    for token in [&own.token, &other.token] {
        let path = format!("/payments/{payment}/settlement");
        house.ask(token, "PUT", &path, settlement.clone()).expect(403);
    }
    assert_eq!(other.credit(&house), dollars("85.10"), "nothing was done");
    house.stop();
}

/// Sends a deck as an operator.
fn send_deck(house: &House, query: &str, deck: impl Into<Vec<u8>>) -> Said {
    let mut ask = Ask::new("PUT", &format!("/rates{query}")).token(OPERATOR);
    ask.body = deck.into();
    house.send(&ask.header("content-type", "text/csv"))
}

#[test]
fn a_deck_is_looked_at_imported_and_taken_back() {
    let house = House::new("34900-34919");
    send_deck(&house, "", "prefix,destination,rate_per_minute\n372,Estonia,0.02\n44,UK,0.01\n").expect(200);
    let new = "Destination;Code;Rate\nEstonia;00372;0,025\nGermany;+49;0,01\n";
    let rehearsed = send_deck(&house, "?dry_run=true", new).expect(200);
    let changes = &rehearsed["changes"];
    let counts = ["new", "gone", "dearer", "cheaper", "unchanged"]
        .map(|field| changes["prefixes"][field].as_i64().unwrap());
    assert_eq!(
        (counts, &rehearsed["edition"], &rehearsed["layout"]),
        ([1, 1, 1, 0, 0], &Value::Null, &json!("A-Z"))
    );
    let estonia =
        changes["destinations"].as_array().unwrap().iter().find(|it| it["destination"] == "Estonia");
    assert_eq!(estonia.unwrap()["highest_after"], "0.025");
    let rate = || {
        house.operate("GET", "/rates?prefix=372", Value::Null).expect(200)["items"][0]["rate_per_minute"]
            .clone()
    };
    assert_eq!(rate(), "0.02");
    let imported = send_deck(&house, "", new).expect(200);
    assert_eq!((rate(), &imported["changes"]), (json!("0.025"), changes));
    let trail = house.operate("GET", "/audit?limit=1", Value::Null).expect(200);
    assert!(trail["items"][0]["detail"].to_string().contains("sha256"), "{trail}");
    let lists = house.operate("GET", "/price-lists", Value::Null).expect(200);
    let states: Vec<_> = lists["items"].as_array().unwrap().iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states, ["replaced", "in_force"], "{lists}");
    let path = format!("/price-lists/standard/editions/{}", imported["edition"]);
    let left = house.operate("DELETE", &path, Value::Null).expect(200);
    assert_eq!((rate(), left["items"].as_array().unwrap().len()), (json!("0.02"), 1));
    assert_eq!(house.operate("DELETE", &path, Value::Null).expect(409)["code"], "not_newest_edition");
    let first = format!("/price-lists/standard/editions/{}", left["items"][0]["id"]);
    assert_eq!(house.operate("DELETE", &first, Value::Null).expect(409)["code"], "no_earlier_edition");
    assert_eq!(house.operate("GET", "/rates/import", Value::Null).expect(200)["is_running"], false);
    house.stop();
}

#[test]
fn a_long_deck_is_not_cut_and_its_mistakes_are_listed() {
    let house = House::new("34920-34939");
    let deck = |wrong: bool| {
        let mut deck = "prefix,destination,rate_per_minute\n".to_owned();
        for prefix in 1_000_000..1_100_000 {
            let sign = if wrong && prefix % 500 == 0 { "x" } else { "" };
            deck += &format!("{prefix}{sign},Somewhere in the world that has a long name,0.0123\n");
        }
        deck
    };
    assert!(deck(false).len() > 5_000_000, "longer than the limit of two million octets that there was");
    let problem = send_deck(&house, "", deck(true)).expect(422);
    assert_eq!((&problem["code"], &problem["mistakes"]["total"]), (&json!("bad_rates"), &json!(200)));
    let mistakes = problem["mistakes"]["items"].as_array().unwrap();
    assert_eq!(
        (mistakes.len(), &mistakes[0]["line"], &mistakes[0]["column"]),
        (100, &json!(2), &json!("prefix"))
    );
    assert!(mistakes[0]["detail"].as_str().unwrap().contains("write 1 to 15 digits"), "{problem}");
    let lists = house.operate("GET", "/price-lists", Value::Null).expect(200);
    assert_eq!(lists["items"], json!([]), "nothing of it was taken");
    assert_eq!(send_deck(&house, "", deck(false)).expect(200)["rates"], 100_000);
    house.stop();
}

#[test]
fn a_companys_calls_are_rated_by_its_own_price_list() {
    let house = House::new("34340-34359");
    let (own, other) = (Firm::new(&house, "Architects"), Firm::new(&house, "Builders"));
    for (list, price) in [("standard", "0.02"), ("wholesale", "0.01")] {
        let mut ask = Ask::new("PUT", &format!("/rates?price_list={list}")).token(OPERATOR);
        ask.body = format!("prefix,destination,rate_per_minute\n372,Estonia,{price}\n").into_bytes();
        house.send(&ask.header("content-type", "text/csv")).expect(200);
    }
    let mut ask = Ask::new("PUT", "/rates?price_list=wholesale&from=2099-01-01T00:00:00Z").token(OPERATOR);
    ask.body = b"prefix,destination,rate_per_minute\n372,Estonia,0.05\n".to_vec();
    house.send(&ask.header("content-type", "text/csv")).expect(200);
    let lists = house.operate("GET", "/price-lists", Value::Null).expect(200);
    assert_eq!(lists["items"].as_array().unwrap().len(), 3, "{lists}");
    house
        .operate("POST", "/carriers", json!({"name": "up", "host": "127.0.0.1", "transport": "udp"}))
        .expect(201);

    let path = format!("/companies/{}/price-list", own.company);
    own.ask(&house, "PUT", &path, json!({"price_list": "wholesale"})).expect(403);
    house.operate("PUT", &path, json!({"price_list": "retail"})).expect(422);
    let company = house.operate("PUT", &path, json!({"price_list": "wholesale"})).expect(200);
    assert_eq!(company["price_list"], "wholesale");
    let rate = |firm: &Firm| {
        let path = format!("/profiles/{}/rehearsal?number=%2B3728800814", firm.profile);
        firm.ask(&house, "GET", &path, Value::Null).expect(200)["price"]["rate_per_minute"].clone()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while rate(&own) != dollars("0.01") {
        // The tariffs follow a change at once, but not within it.
        assert!(std::time::Instant::now() < deadline, "{}", rate(&own));
    }
    assert_eq!(rate(&other), dollars("0.02"));

    let quote = |firm: &Firm, list: &str| {
        let path = format!("/rates/quote?number=%2B3728800814{list}");
        firm.ask(&house, "GET", &path, Value::Null)
    };
    assert_eq!(quote(&own, "").expect(200)["rate_per_minute"], "0.01");
    assert_eq!(quote(&other, "").expect(200)["rate_per_minute"], "0.02");
    for list in ["wholesale", "no-such-list"] {
        quote(&other, &format!("&price_list={list}")).expect(404);
        let path = format!("/rates?price_list={list}");
        other.ask(&house, "GET", &path, Value::Null).expect(404);
    }
    let rates = own.ask(&house, "GET", "/rates", Value::Null).expect(200);
    assert_eq!(rates["items"][0]["rate_per_minute"], "0.01");
    house.stop();
}
