//! Who may do what, and upon whose things: every operation of the description, by every role, with the company's own
//! identities and with those of another one at each place that takes one.

use std::collections::BTreeMap;

use provisioning_store::audit::AuditFilter;
use provisioning_store::model::CompanyId;
use serde_json::{Value, json};

use crate::description::{Description, Operation};
use crate::house::{Ask, House, OPERATOR, Said};
use crate::tenant::{LIMITED, Place, Tenant, places, requests};

/// There is no call and no ban here, and nobody signs what a payment provider says.
const NEVER_DONE: [&str; 4] =
    ["GET /calls/{call}", "DELETE /calls/{call}", "DELETE /bans/{whom}", "POST /payment-events"];
/// The roles that are limited to no company.
const UNLIMITED: [&str; 3] = ["operator", "operator_read_only", "billing"];

struct Tenancy<'a> {
    house: &'a House,
    description: &'a Description,
    /// Somebody else, to whom nothing may happen.
    other: Tenant,
    /// Tokens of the unlimited roles.
    unlimited: BTreeMap<&'static str, String>,
    serial: u32,
    own: Option<Tenant>,
}

/// What a role may do, as the description has it.
fn allows(description: &Description, role: &str, place: &str, operation: &Operation) -> bool {
    let kinds = description.0["x-roles"][role][place].as_array();
    let scopes = operation.said["security"][0]["token"].as_array().expect("an operation has its kind");
    assert_eq!(scopes.len(), 1, "{} has one kind", operation.name());
    kinds.unwrap_or_else(|| panic!("x-roles says nothing of {role} {place}")).contains(&scopes[0])
}

impl Tenancy<'_> {
    /// A company of which nothing has been taken away yet.
    fn own(&mut self) -> Tenant {
        self.own.take().unwrap_or_else(|| {
            self.serial += 1;
            Tenant::new(self.house, "Zanzibar", self.serial)
        })
    }

    /// Lines of the trail about the other company.
    fn done_to_other(&self) -> usize {
        let filter = AuditFilter { company: Some(CompanyId(self.other.company)), ..AuditFilter::default() };
        let store = self.house.daemon.store();
        self.house.runtime.block_on(store.audit(&filter, None, 10_000)).unwrap().len()
    }

    fn send(&self, ask: &Ask, token: &str) -> Said {
        self.house.send(&ask.clone().token(token))
    }

    fn try_operation(&mut self, operation: &Operation) {
        if operation.is_public() {
            return;
        }
        let own = self.own();
        own.prepare(self.house, self.description, operation);
        self.other.prepare(self.house, self.description, operation);
        self.refuse_roles(operation, &own);
        for role in
            LIMITED.into_iter().filter(|role| allows(self.description, role, "in_a_company", operation))
        {
            for place in places(operation) {
                self.refuse_others_things(operation, &own, role, &place);
            }
        }
        if !NEVER_DONE.contains(&&*operation.name()) {
            self.do_it(operation, &own);
        }
        if operation.method == "GET" {
            self.own = Some(own);
        }
    }

    /// Whoever may not do it is told so, whatever is named.
    fn refuse_roles(&self, operation: &Operation, own: &Tenant) {
        let limited = LIMITED.map(|role| (role, "in_a_company", own.token(role)));
        let unlimited = UNLIMITED.map(|role| (role, "everywhere", self.unlimited[role].as_str()));
        for ask in requests(operation, own, None) {
            assert_eq!(self.house.send(&ask).status, 401, "without a token: {ask:?}");
            for (role, place, token) in limited.into_iter().chain(unlimited) {
                if !allows(self.description, role, place, operation) {
                    let said = self.send(&ask, token);
                    assert_eq!(said.status, 403, "{role} {place}: {} {ask:?} {said:?}", operation.name());
                }
            }
        }
    }

    /// What is another's is not there, and nothing happens to it.
    fn refuse_others_things(&self, operation: &Operation, own: &Tenant, role: &str, place: &Place) {
        let before = self.done_to_other();
        for ask in requests(operation, own, Some((place, &self.other))) {
            let said = self.send(&ask, own.token(role));
            let shown = || format!("{role} at {place:?}: {} {ask:?} {said:?}", operation.name());
            let is_refused = match place {
                Place::Path(_) => said.status == 404,
                // A filter may find nothing.
                Place::Query(_) => said.status == 404 || said.json()["items"] == json!([]),
                Place::Body(_) => [403, 404, 409, 422].contains(&said.status),
            };
            assert!(is_refused, "{}", shown());
            assert!(!self.is_told_of(&said), "{}", shown());
        }
        assert_eq!(self.done_to_other(), before, "{} did something to another company", operation.name());
    }

    fn is_told_of(&self, said: &Said) -> bool {
        let word = &self.other.word;
        said.text.contains(word) || said.text.contains(&word.to_lowercase())
    }

    /// The request is a good one: somebody who may gets what is asked for. So what was refused was refused for whose it is.
    fn do_it(&self, operation: &Operation, own: &Tenant) {
        let limited = LIMITED.iter().find(|role| allows(self.description, role, "in_a_company", operation));
        let token = limited.map_or(OPERATOR, |role| own.token(role));
        for ask in requests(operation, own, None) {
            let said = self.send(&ask, token);
            assert!(said.status < 300, "{limited:?} {} {ask:?} {said:?}", operation.name());
            assert!(token == OPERATOR || !self.is_told_of(&said), "{} {said:?}", operation.name());
            if operation.method != "GET" {
                continue;
            }
            let unlimited =
                UNLIMITED.iter().filter(|role| allows(self.description, role, "everywhere", operation));
            for role in unlimited {
                let said = self.send(&ask, &self.unlimited[role]);
                assert_eq!(said.status, 200, "{role} {} {said:?}", operation.name());
            }
        }
    }
}

#[test]
fn nobody_does_more_than_the_role_or_anything_to_another_company() {
    let house = House::new("34780-34799");
    let rates = Ask::new("PUT", "/rates").token(OPERATOR).header("content-type", "text/csv");
    assert!(house.send(&Ask { body: crate::business::RATES.into(), ..rates }).status < 300);
    let description = Description(house.send(&Ask::new("GET", "/openapi.json")).expect(200));
    let unlimited = UNLIMITED.map(|role| {
        let made = house.operate("POST", "/tokens", json!({"name": role, "role": role})).expect(201);
        (role, made["secret"].as_str().unwrap().to_owned())
    });
    let other = Tenant::new(&house, "Quetzal", 900);
    let mut tenancy = Tenancy {
        house: &house,
        description: &description,
        other,
        unlimited: unlimited.into(),
        serial: 0,
        own: None,
    };
    let operations = description.operations();
    operations.iter().for_each(|operation| tenancy.try_operation(operation));
    assert!(operations.len() > 90, "the description is not read");
    house.stop();
}

#[test]
fn a_token_makes_none_that_does_more_or_lasts_longer() {
    let house = House::new("34800-34819");
    let own = Tenant::new(&house, "Architects", 1);
    let make = |token: &str, more: Value| {
        let mut body = json!({"name": "new", "role": "administrator", "company": own.company});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        house.ask(token, "POST", "/tokens", body)
    };
    let days = |said: &Value| {
        let end = said["token"]["expires_at"].as_str().expect("it ends").parse::<jiff::Timestamp>().unwrap();
        end.duration_since(jiff::Timestamp::now()).as_hours() / 24 + 1
    };
    let in_days = |days: i64| {
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        json!({"expires_at": end.to_string()})
    };
    // An operator may say never. Every token ends after http.token_days unless another time is given.
    let never = make(OPERATOR, json!({"expires_at": "never"})).expect(201);
    assert_eq!(never["token"]["expires_at"], Value::Null);
    assert_eq!(days(&make(OPERATOR, json!({})).expect(201)), 90);
    let short = make(OPERATOR, in_days(7)).expect(201);
    let short = short["secret"].as_str().unwrap();
    assert_eq!(days(&make(short, json!({})).expect(201)), 7);
    make(short, in_days(6)).expect(201);
    for longer in [in_days(8), json!({"expires_at": "never"})] {
        assert_eq!(make(short, longer).expect(422)["field"], "expires_at");
    }
    // One that never ends makes none like itself.
    let endless = never["secret"].as_str().unwrap();
    assert_eq!(make(endless, json!({"expires_at": "never"})).expect(422)["field"], "expires_at");
    assert_eq!(days(&make(endless, json!({})).expect(201)), 90);
    for role in ["operator", "operator_read_only", "billing"] {
        let more = json!({"role": role, "company": null});
        assert_eq!(make(endless, more).expect(403)["code"], "operator_only", "{role}");
    }
    assert_eq!(
        make(OPERATOR, json!({"role": "administrator", "company": null})).expect(422)["field"],
        "company"
    );
    assert_eq!(make(OPERATOR, json!({"role": "operator"})).expect(422)["field"], "company");
    house.stop();
}

#[test]
fn whoever_looks_at_a_password_is_on_the_trail() {
    let house = House::new("34820-34839");
    let own = Tenant::new(&house, "Architects", 1);
    let token = own.token("administrator");
    let newest = || {
        let trail = house.ask(token, "GET", "/audit?limit=1", Value::Null).expect(200);
        trail["items"][0].clone()
    };
    let description = Description(house.send(&Ask::new("GET", "/openapi.json")).expect(200));
    let shows =
        description.operations().into_iter().filter(|it| it.said["security"][0]["token"][0] == "secrets");
    let shows: Vec<_> = shows.collect();
    assert_eq!(shows.len(), 2, "a profile's password and a business account's");
    for operation in shows {
        let before = newest()["id"].as_i64().unwrap();
        let ask = requests(&operation, &own, None).pop().unwrap();
        assert!(house.send(&ask.clone().token(token)).expect(200)["password"].is_string());
        let line = newest();
        assert_eq!(line["id"], before + 1);
        assert_eq!(line["action"], format!("GET /api/v1{}", ask.path));
        assert_eq!(line["company"], own.company);
        // Whoever may not see it leaves no line.
        house.send(&ask.token(own.token("administrator_read_only"))).expect(403);
        assert_eq!(newest(), line);
    }
    house.stop();
}
