//! A company with one of everything, and how each operation of the API is asked for upon it.

use serde_json::{Value, json};

use crate::description::{Description, Operation};
use crate::house::{Ask, House, Whose};

/// The roles that are limited to a company.
pub(crate) const LIMITED: [&str; 3] = ["administrator", "administrator_read_only", "billing"];

/// What operations need in their bodies; `{profile}` stands for an identity. Every operation with a body is here.
const BODIES: [(&str, &str); 40] = [
    ("POST /business-accounts", r#"{"company": "{company}", "name": "new-{serial}"}"#),
    ("PUT /business-accounts/{account}/attachment", r#"{"profile": "{profile}"}"#),
    ("POST /carriers", r#"{"name": "new-{serial}", "host": "203.0.113.9"}"#),
    ("PATCH /carriers/{carrier}", r#"{"priority": 3}"#),
    ("POST /companies", r#"{"name": "new-{serial}", "country": "US"}"#),
    ("PUT /companies/{company}/administrators/{email}", r#"{"name": "Ada", "account": "{account}"}"#),
    ("PATCH /companies/{company}", r#"{"name": "renamed-{serial}"}"#),
    ("PUT /companies/{company}/suspension", r#"{"reason": "unpaid"}"#),
    ("PUT /profiles/{profile}/suspension", r#"{"reason": "fraud"}"#),
    (
        "POST /companies/{company}/corrections",
        r#"{"amount": {"amount": "-5.00", "currency": "USD"}, "reason": "booked twice"}"#,
    ),
    (
        "POST /companies/{company}/credit-notes",
        r#"{"amount": {"amount": "5.00", "currency": "USD"}, "reason": "dropped calls"}"#,
    ),
    ("PUT /companies/{company}/calls-per-second", r#"{"calls_per_second": 1}"#),
    (
        "POST /companies/{company}/numbers",
        r#"{"number": "{offer}", "agreed": {"amount": "1.00", "currency": "USD"}}"#,
    ),
    ("POST /companies/{company}/payments", r#"{"amount": {"amount": "5.00", "currency": "USD"}}"#),
    ("PUT /companies/{company}/price-list", r#"{"price_list": "standard"}"#),
    (
        "PUT /companies/{company}/recharge",
        r#"{"threshold": {"amount": "1.00", "currency": "USD"}, "amount": {"amount": "5.00", "currency": "USD"}}"#,
    ),
    ("POST /companies/{company}/top-ups", r#"{"amount": {"amount": "5.00", "currency": "USD"}}"#),
    ("PUT /companies/{company}/verification", r#"{"by": "the register"}"#),
    ("POST /numbers", r#"{"company": "{company}", "number": "{fresh}", "country": "US"}"#),
    ("PUT /numbers/{number}/target", r#"{"to": "profile", "id": "{profile}"}"#),
    ("PUT /numbers/{number}/target", r#"{"to": "business_account", "id": "{account}"}"#),
    ("POST /payment-events", r#"{"payment": "{payment}", "state": "failed", "reference": "x"}"#),
    ("PUT /payments/{payment}/settlement", r#"{"state": "failed", "word": "it did not come"}"#),
    ("POST /profiles", r#"{"company": "{company}", "name": "new-{serial}"}"#),
    ("PATCH /profiles/{profile}", r#"{"name": "renamed-{serial}"}"#),
    ("POST /profiles/{profile}/addresses", r#"{"network": "198.51.100.{serial}"}"#),
    ("POST /profiles/{profile}/allocations", r#"{"amount": {"amount": "1.00", "currency": "USD"}}"#),
    ("PUT /profiles/{profile}/caller-ids/{country}", r#"{"choice": "online_number", "number": "{e164}"}"#),
    (
        "PUT /profiles/{profile}/recharge",
        r#"{"threshold": {"amount": "1.00", "currency": "USD"}, "amount": {"amount": "5.00", "currency": "USD"}}"#,
    ),
    ("POST /profiles/{profile}/returns", r#"{"amount": {"amount": "1.00", "currency": "USD"}}"#),
    ("PATCH /profiles/{profile}/spend-guard", r#"{"day_cap": {"amount": "50.00", "currency": "USD"}}"#),
    (
        "POST /profiles/{profile}/subscription",
        r#"{"channels": 3, "agreed": {"amount": "20.85", "currency": "USD"}}"#,
    ),
    ("PUT /stock/{number}", r#"{"country": "US", "fee": {"amount": "1.00", "currency": "USD"}}"#),
    ("POST /tokens", r#"{"name": "new", "role": "administrator", "company": "{company}"}"#),
    ("POST /tokens", r#"{"name": "new", "role": "administrator_read_only", "company": "{company}"}"#),
    ("POST /tokens", r#"{"name": "new", "role": "billing", "company": "{company}"}"#),
    // The last of each operation is asked for by whoever may.
    ("POST /schedule/confirmation", ""),
    ("POST /profiles/{profile}/spend-guard/release", ""),
    ("PUT /profiles/{profile}/subscription/cancellation", ""),
    ("PUT /numbers/{number}/cancellation", ""),
];

/// What has to be done before an operation can be.
const BEFORE: [(&str, &str); 9] = [
    (
        "DELETE /profiles/{profile}/subscription/cancellation",
        "PUT /profiles/{profile}/subscription/cancellation",
    ),
    ("DELETE /numbers/{number}/cancellation", "PUT /numbers/{number}/cancellation"),
    ("DELETE /profiles/{profile}/caller-ids/{country}", "PUT /profiles/{profile}/caller-ids/{country}"),
    ("DELETE /profiles/{profile}/recharge", "PUT /profiles/{profile}/recharge"),
    ("DELETE /companies/{company}/recharge", "PUT /companies/{company}/recharge"),
    ("DELETE /companies/{company}/verification", "PUT /companies/{company}/verification"),
    ("DELETE /business-accounts/{account}/attachment", "PUT /business-accounts/{account}/attachment"),
    ("DELETE /stock/{number}", "PUT /stock/{number}"),
    ("POST /profiles/{profile}/returns", "POST /profiles/{profile}/allocations"),
];

/// Where a request names something of a company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Path(String),
    Query(String),
    Body(String),
}

/// A company with one of everything.
pub(crate) struct Tenant {
    /// Stands in everything that is the company's, and in nothing else.
    pub(crate) word: String,
    pub(crate) company: i64,
    /// What there is, by the names that parameters have for it.
    things: Vec<(&'static str, Value)>,
    /// A token of each limited role.
    tokens: Vec<(&'static str, String)>,
}

impl Tenant {
    pub(crate) fn new(house: &House, word: &str, serial: u32) -> Self {
        let word = format!("{word}{serial}");
        let make = |path: &str, body: Value| house.operate("POST", path, body).expect(201);
        let company = make("/companies", json!({"name": word, "country": "US"}))["id"].as_i64().unwrap();
        let of_company = |rest: &str| format!("/companies/{company}/{rest}");
        make(&of_company("top-ups"), json!({"amount": {"amount": "900.00", "currency": "USD"}}));
        let profile = json!({"company": company, "name": word, "subscription": {"channels": 2, "agreed": {"amount": "13.90", "currency": "USD"}}});
        let profile = make("/profiles", profile)["id"].clone();
        let of_profile = |rest: &str| format!("/profiles/{profile}/{rest}");
        let account = json!({"company": company, "name": word.to_lowercase()});
        let account = make("/business-accounts", account)["id"].clone();
        house.operate("POST", &format!("/business-accounts/{account}/credentials"), Value::Null).expect(200);
        let numbers = [0, 1, 2, 3].map(|digit| format!("+1202555{:03}{digit}", serial));
        let [leased, hosted, offer, fresh] = numbers;
        let terms = json!({"country": "US", "fee": {"amount": "1.00", "currency": "USD"}});
        for number in [&leased, &offer] {
            house.operate("PUT", &format!("/stock/{number}"), terms.clone()).expect(200);
        }
        let number = make(
            &of_company("numbers"),
            json!({"number": leased, "agreed": {"amount": "1.00", "currency": "USD"}}),
        )["id"]
            .clone();
        let target = json!({"to": "profile", "id": profile});
        house.operate("PUT", &format!("/numbers/{number}/target"), target).expect(200);
        let hosted =
            make("/numbers", json!({"company": company, "number": hosted, "country": "US"}))["id"].clone();
        let landline = format!("+1202556{serial:04}");
        house.operate("PUT", &of_company(&format!("landlines/{landline}")), Value::Null).expect(200);
        let email = "ada@example.com";
        let person = json!({"name": word});
        house.operate("PUT", &of_company(&format!("administrators/{email}")), person).expect(200);
        let payment = json!({"amount": {"amount": "5.00", "currency": "USD"}});
        let payment = make(&of_company("payments"), payment)["id"].clone();
        let address = make(&of_profile("addresses"), json!({"network": format!("192.0.2.{}", serial % 250)}));
        let carrier = json!({"name": format!("carrier-{serial}"), "host": "203.0.113.7"});
        let carrier = make("/carriers", carrier)["id"].clone();
        let mut deck = Ask::new("PUT", &format!("/rates?price_list={word}&from=2099-01-01T00:00:00Z"))
            .token(crate::house::OPERATOR);
        deck.body = crate::business::RATES.into();
        let edition = house.send(&deck.header("content-type", "text/csv")).expect(200)["edition"].clone();
        let token =
            |role: &str, name: &str| make("/tokens", json!({"name": name, "role": role, "company": company}));
        let secret = |made: &Value| made["secret"].as_str().unwrap().to_owned();
        let tokens = LIMITED.map(|role| (role, secret(&token(role, &word)))).into();
        let call = format!("{company:032x}-caller");
        house.leave_record(&call, Whose::Profiles(profile.as_i64().unwrap()), &word);
        let things = vec![
            ("company", json!(company)),
            ("profile", profile),
            ("account", account.clone()),
            ("business_account", account),
            ("number", number),
            ("hosted", hosted),
            ("e164", json!(leased)),
            ("offer", json!(offer)),
            ("fresh", json!(fresh)),
            ("landline", json!(landline)),
            ("email", json!(email)),
            ("payment", payment),
            ("address", address["id"].clone()),
            ("carrier", carrier),
            ("price_list", json!(word)),
            ("edition", edition),
            ("token", token("administrator", &word)["token"]["id"].clone()),
            ("call", json!(call)),
            ("country", json!("US")),
            ("whom", json!("198.51.100.99")),
            ("serial", json!(serial)),
        ];
        Self { word, company, things, tokens }
    }

    /// The secret of the token of a role.
    pub(crate) fn token(&self, role: &str) -> &str {
        self.tokens.iter().find(|(of, _)| *of == role).map(|(_, token)| token.as_str()).unwrap()
    }

    /// What an operation means by a name.
    fn thing(&self, operation: &str, name: &str) -> &Value {
        let name = match name {
            "number" if operation.contains("landlines") => "landline",
            "number" if operation.contains("/stock/") => "offer",
            // A leased one is not taken away, but cancelled.
            "number" if operation == "DELETE /numbers/{number}" => "hosted",
            name => name,
        };
        let thing = self.things.iter().find(|(of, _)| *of == name);
        &thing.unwrap_or_else(|| panic!("{operation} asks for {name}, which this test does not know")).1
    }

    /// Does what an operation needs to be done before.
    pub(crate) fn prepare(&self, house: &House, description: &Description, operation: &Operation) {
        let before = BEFORE.iter().filter(|(of, _)| *of == operation.name());
        for (_, name) in before {
            let operation = description.operations().into_iter().find(|it| it.name() == *name).unwrap();
            let ask = requests(&operation, self, None).pop().unwrap();
            let said = house.send(&ask.token(crate::house::OPERATOR));
            assert!(said.status < 300, "{name}: {said:?}");
        }
    }
}

/// Names of what belongs to companies.
const TENANTS: [&str; 9] =
    ["company", "profile", "account", "business_account", "number", "payment", "address", "token", "call"];

/// The places of an operation's requests that name things of companies.
pub(crate) fn places(operation: &Operation) -> Vec<Place> {
    let name = operation.name();
    let is_of_company = |parameter: &str| {
        // A number on offer is nobody's yet, and a landline is named by its digits, whoever has it.
        TENANTS.contains(&parameter)
            && !(parameter == "number" && (name.contains("/stock/") || name.contains("landlines")))
    };
    let of = |place: &str| {
        let names = operation.parameters(place).into_iter().map(|it| it["name"].as_str().unwrap().to_owned());
        names.filter(|it| is_of_company(it)).collect::<Vec<_>>()
    };
    let mut places: Vec<Place> = of("path").into_iter().map(Place::Path).collect();
    // The text of a number is searched for, not a number's identity.
    places.extend(of("query").into_iter().filter(|it| it != "number").map(Place::Query));
    let bodies = BODIES.iter().filter(|(of, _)| *of == name);
    let named = bodies.flat_map(|(_, body)| TENANTS.iter().filter(|it| body.contains(&format!("{{{it}}}"))));
    places.extend(named.map(|it| Place::Body((*it).to_owned())));
    places
}

/// The requests by which an operation is asked for upon one company, with another one's thing at one place if wanted.
pub(crate) fn requests(operation: &Operation, own: &Tenant, other: Option<(&Place, &Tenant)>) -> Vec<Ask> {
    let name = operation.name();
    let whose = |place: Place| other.filter(|(at, _)| **at == place).map_or(own, |(_, other)| other);
    let mut path = operation.path.clone();
    for parameter in operation.parameters("path") {
        let parameter = parameter["name"].as_str().unwrap();
        let thing = whose(Place::Path(parameter.to_owned())).thing(&name, parameter);
        let text = thing.as_str().map_or_else(|| thing.to_string(), str::to_owned);
        path = path.replace(&format!("{{{parameter}}}"), &text.replace('+', "%2B").replace('@', "%40"));
    }
    let query = query(operation, other);
    let path = if query.is_empty() { path } else { format!("{path}?{query}") };
    let ask = Ask::new(&operation.method, &path);
    let Some((kind, _)) = operation.body() else { return vec![ask] };
    if kind == "text/csv" {
        let mut ask = ask.header("content-type", kind);
        ask.body = crate::business::RATES.into();
        return vec![ask];
    }
    let bodies: Vec<_> = BODIES.iter().filter(|(of, _)| *of == name).collect();
    assert!(!bodies.is_empty(), "{name} has a body: say in BODIES how it is asked for");
    let is_meant = |body: &&&(&str, &str)| match other {
        Some((Place::Body(name), _)) => body.1.contains(&format!("{{{name}}}")),
        _ => true,
    };
    let filled = |body: &&(&str, &str)| {
        let body: Value = serde_json::from_str(body.1).unwrap();
        filled(body, &|thing| whose(Place::Body(thing.to_owned())).thing(&name, thing).clone())
    };
    bodies.iter().filter(is_meant).map(|body| ask.clone().json(&filled(body))).collect()
}

/// Required parameters, and the one that names another's thing.
fn query(operation: &Operation, other: Option<(&Place, &Tenant)>) -> String {
    let mut pairs = Vec::new();
    for parameter in operation.parameters("query") {
        let name = parameter["name"].as_str().unwrap();
        let value = match (name, other) {
            (_, Some((Place::Query(at), other))) if at == name => {
                other.thing(&operation.name(), name).to_string()
            }
            ("month", _) => "2023-11".to_owned(),
            ("number", _) if parameter["required"] == true => "%2B3725550100".to_owned(),
            (_, _) if parameter["required"] == true => "2".to_owned(),
            _ => continue,
        };
        pairs.push(format!("{name}={value}"));
    }
    pairs.join("&")
}

/// A body with things in the place of their names.
fn filled(body: Value, thing: &dyn Fn(&str) -> Value) -> Value {
    match body {
        Value::String(text) => match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => thing(name),
            None if text.contains("{serial}") => {
                Value::String(text.replace("{serial}", &thing("serial").to_string()))
            }
            None => Value::String(text),
        },
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, filled(value, thing))).collect())
        }
        value => value,
    }
}
