//! Requests made of the API's description: mostly such as a client would send, and some that no client should.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::description::{Description, Operation, types};
use crate::house::Ask;

/// Makes requests.
pub(crate) struct Generator<'a> {
    pub(crate) description: &'a Description,
    pub(crate) rng: Rng,
    /// How requests are made at this time.
    pub(crate) manner: Manner,
    /// Identities that were seen, by the names that parameters have for them.
    pub(crate) seen: BTreeMap<String, Vec<String>>,
    /// Identities of things that belong together.
    pub(crate) anchors: BTreeMap<&'static str, String>,
}

/// How requests are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As a client would that has read the description.
    Careful,
    /// Now and then as no client should.
    Careless,
}

/// A landline number of a company, and so no Online Number.
const LANDLINE: &str = "+12025550199";
/// Identities kept of each kind; the latest, because they are likely to be there still.
const SEEN_MOST: usize = 12;
/// Texts for names that say what has to stand there.
const RATES: &str =
    "prefix,destination,country,rate_per_minute\n1,United States,US,0.008\n372,Estonia,EE,0.02\n";

impl Generator<'_> {
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// Whether something is to be wrong this time.
    fn slips(&mut self, percent: u32) -> bool {
        self.manner == Manner::Careless && self.chance(percent)
    }

    fn pick<'t>(&mut self, words: &[&'t str]) -> &'t str {
        words[self.rng.usize(0..words.len())]
    }

    /// Remembers an identity.
    pub(crate) fn see(&mut self, name: &str, id: &Value) {
        let text = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let kept = self.seen.entry(name.to_owned()).or_default();
        if !kept.contains(&text) {
            kept.push(text);
            if kept.len() > SEEN_MOST {
                kept.remove(0);
            }
        }
    }

    fn known(&mut self, name: &str) -> Option<String> {
        if let Some(anchor) = self.anchor(name) {
            return Some(anchor);
        }
        let kept = self.seen.get(name).filter(|kept| !kept.is_empty())?;
        Some(kept[self.rng.usize(0..kept.len())].clone())
    }

    /// Every other careful word is of one company with one profile: what belongs together must meet in one request.
    fn anchor(&mut self, name: &str) -> Option<String> {
        let anchor = self.anchors.get(name).filter(|_| self.manner == Manner::Careful)?.clone();
        self.chance(50).then_some(anchor)
    }

    /// A request for an operation, without a token.
    pub(crate) fn ask(&mut self, operation: &Operation) -> Ask {
        let mut path = operation.path.clone();
        let address =
            Some("address").filter(|_| path.contains("{address}")).and_then(|kind| self.known(kind));
        for parameter in operation.parameters("path") {
            let name = parameter["name"].as_str().unwrap();
            let value = match address.as_deref().and_then(|pair| pair.split_once('/')) {
                Some((profile, _)) if name == "profile" && !self.slips(8) => profile.to_owned(),
                Some((_, address)) if name == "address" && !self.slips(8) => address.to_owned(),
                _ => self.path_word(operation, name),
            };
            path = path.replace(&format!("{{{name}}}"), &escaped(&value));
        }
        let query = self.query(operation);
        if !query.is_empty() {
            path = format!("{path}?{query}");
        }
        let mut ask = Ask::new(&operation.method, &path);
        let takes_key = operation.parameters("header").iter().any(|it| it["name"] == "Idempotency-Key");
        if takes_key && self.chance(50) {
            let fresh = self.rng.u64(..).to_string();
            let key = if !self.slips(10) { fresh } else { self.pick(&["k", "", " ", "again"]).to_owned() };
            ask = ask.header("Idempotency-Key", &key);
        }
        match operation.body() {
            Some((kind, _)) if kind == "text/csv" => {
                ask.body = if !self.slips(30) { RATES.into() } else { self.text().into_bytes() };
                ask.header("content-type", "text/csv; charset=utf-8")
            }
            Some((_, schema)) => {
                let mut ask = self.with_json(ask, schema);
                let is_purchase = operation.path == "/companies/{company}/numbers" && !self.slips(30);
                if operation.path.contains("caller-ids") && self.rng.bool() && !self.slips(30) {
                    ask.body = json!({ "choice": "landline", "number": LANDLINE }).to_string().into_bytes();
                }
                if let Some(offer) = self.known("offer").filter(|_| is_purchase) {
                    ask.body = json!({ "number": offer, "agreed": {"amount": "0", "currency": "USD"} })
                        .to_string()
                        .into_bytes();
                }
                ask
            }
            None => ask,
        }
    }

    fn with_json(&mut self, ask: Ask, schema: &Value) -> Ask {
        let mut body = self.value(schema, "");
        agree(&mut body);
        while self.slips(25) {
            self.damage(&mut body);
        }
        let mut ask = ask.json(&body);
        if self.slips(3) {
            ask.body = self.pick(&["", "{", "[]", "null", "\u{0}", "{\"a\":1}x", "\"\\ud800\""]).into();
        }
        if self.slips(2) {
            ask.headers.retain(|(name, _)| name != "content-type");
        }
        ask
    }

    fn path_word(&mut self, operation: &Operation, name: &str) -> String {
        if self.slips(8) {
            let odd = ["0", "-1", "99999999999999999999", "x", "%00", "..", "a/b", "ü", " ", "1 OR 1=1"];
            return self.pick(&odd).to_owned();
        }
        let known = match name {
            // Here the number itself is meant, not its identity.
            "number" if operation.path.contains("landlines") => Some(LANDLINE.to_owned()),
            // Whoever has it verified first keeps it.
            "company" if operation.path.contains("landlines") => self.anchors.get(name).cloned(),
            "number" if operation.path.contains("stock") => self.anchor("number that is dialled"),
            // Only what was bought can be cancelled.
            "number" if operation.path.contains("cancellation") => self.known("leased number"),
            "profile" if operation.path.contains("cancellation") => self.known("subscribed profile"),
            // Only the newest can be taken back.
            "edition" if !self.slips(20) => self.seen.get(name).and_then(|editions| editions.last().cloned()),
            name => self.known(name),
        };
        match name {
            "country" => self.pick(&["default", "US", "ee", "GB"]).to_owned(),
            "price_list" => self.pick(&["standard", "standard", "standard", "wholesale"]).to_owned(),
            "number" if operation.path.contains("stock") => format!("+1202556{:04}", self.rng.u32(0..40)),
            "email" => self.pick(&["claude@example.com", "Ann@Example.org", "nobody"]).to_owned(),
            _ => known.unwrap_or_else(|| self.pick(&["1", "2", "+12025550100", "+3725550100"]).to_owned()),
        }
    }

    fn query(&mut self, operation: &Operation) -> String {
        let mut pairs = Vec::new();
        for parameter in operation.parameters("query") {
            let is_required = parameter["required"] == true;
            let is_left_out = if is_required { self.slips(5) } else { !self.chance(20) };
            if is_left_out {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let value =
                if self.chance(85) { self.value(&parameter["schema"], name) } else { json!(self.text()) };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            pairs.push(format!("{name}={}", escaped(&text)));
        }
        if self.slips(2) {
            pairs.push("unheard_of=1".to_owned());
        }
        pairs.join("&")
    }

    /// A value that keeps to a schema, as far as the name tells what has to stand there.
    fn value(&mut self, schema: &Value, name: &str) -> Value {
        let schema = self.description.resolved(schema).clone();
        if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            let choice = choices[self.rng.usize(0..choices.len())].clone();
            return self.value(&choice, name);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in parts {
                if let Value::Object(fields) = self.value(part, name) {
                    whole.extend(fields);
                }
            }
            return Value::Object(whole);
        }
        if let Some(words) = schema["enum"].as_array() {
            return words[self.rng.usize(0..words.len())].clone();
        }
        let kinds = types(&schema);
        let kind = if kinds.is_empty() { "object" } else { kinds[self.rng.usize(0..kinds.len())] };
        match kind {
            "integer" | "number" => self.integer(&schema, name),
            "boolean" => Value::Bool(self.rng.bool()),
            "array" => (0..self.rng.usize(0..3)).map(|_| self.value(&schema["items"], name)).collect(),
            "string" => Value::String(self.word(&schema, name)),
            "object" => self.object(&schema),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value) -> Value {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let mut fields = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            // A carrier's are needed although its description, which serves for changes too, does not say so.
            let is_needed = self.manner == Manner::Careful && ["name", "host"].contains(&name.as_str());
            if is_needed || required.contains(&json!(name)) || self.chance(50) {
                let value = self.value(property, name);
                fields.insert(name.clone(), value);
            }
        }
        Value::Object(fields)
    }

    fn integer(&mut self, schema: &Value, name: &str) -> Value {
        if let Some(known) = self.known(name).filter(|_| name != "number")
            && let Ok(id) = known.parse::<i64>()
        {
            return json!(id);
        }
        if name == "id" {
            let of = self.pick(&["profile", "account"]);
            let known = self.known(of).and_then(|id| id.parse::<i64>().ok());
            return json!(known.unwrap_or(1));
        }
        let least = schema["minimum"].as_i64().unwrap_or(0);
        let most = schema["maximum"].as_i64().unwrap_or(least + 100);
        // Small orders can be paid.
        let most = if self.chance(80) { most.min(least + 4) } else { most };
        json!(self.rng.i64(least..=most.max(least)))
    }

    fn word(&mut self, schema: &Value, name: &str) -> String {
        if schema["format"] == "date-time" {
            return self
                .pick(&["2026-03-01T08:00:00Z", "2099-01-01T00:00:00+02:00", "1970-01-01T00:00:00Z"])
                .to_owned();
        }
        if let Some(number) =
            Some("number that is dialled").filter(|_| name == "number").and_then(|it| self.anchor(it))
        {
            return number;
        }
        let of = |words: &[&str], rng: &mut Rng| words[rng.usize(0..words.len())].to_owned();
        let rng = &mut self.rng;
        match name {
            "amount" | "threshold" | "hour_cap" | "day_cap" | "highest_rate" => {
                of(&["5.00", "0.000001", "10", "100.00", "0", "-1", "999999999999.999999", "none"], rng)
            }
            "currency" => of(&["USD", "USD", "USD", "EUR"], rng),
            "country" | "allowed_countries" | "denied_countries" => of(&["US", "EE", "GB", "ee"], rng),
            // The one that is put on offer among them.
            "number" if rng.u32(0..3) == 0 => of(&["+12025550100", "+3725550100", "911"], rng),
            "number" => format!("+1202555{:04}", rng.u32(0..40)),
            "month" => of(&["2026-03", "2023-11", "1970-01", "2026-13"], rng),
            "fee" => of(&["0", "0", "0", "2.50", "-1", "999999"], rng),
            // Mostly one that nobody has yet: administrators may name no other.
            "network" if rng.u32(0..4) > 0 => format!("198.18.{}.{}", rng.u32(0..256), rng.u32(0..256)),
            "network" | "sources" => of(&["203.0.113.7", "2001:db8::/32", "198.51.100.0/24"], rng),
            "host" => of(&["127.0.0.1", "sip.carrier.example"], rng),
            "prefix" => of(&["", "9", "00"], rng),
            "extension" | "user" => of(&["204", "us"], rng),
            "price_list" => of(&["standard", "standard", "wholesale"], rng),
            "cursor" => of(&["1", "0", "99", "x", "1.2"], rng),
            "name" => format!("name-{}", rng.u32(0..500)),
            _ => self.text(),
        }
    }

    fn text(&mut self) -> String {
        match self.rng.u32(0..8) {
            0 => String::new(),
            1 => "x".repeat(self.rng.usize(1..3_000)),
            2 => "line\nline\u{0}\u{7f}".to_owned(),
            3 => "ü€😀\u{202e}".to_owned(),
            4 => "'; DROP TABLE companies; --".to_owned(),
            5 => "%_!\\\"".to_owned(),
            _ => (0..self.rng.usize(1..12)).map(|_| self.rng.alphanumeric()).collect(),
        }
    }

    /// Makes one thing about a body wrong.
    fn damage(&mut self, body: &mut Value) {
        let odd = self.odd();
        let Value::Object(fields) = body else {
            *body = odd;
            return;
        };
        let names: Vec<String> = fields.keys().cloned().collect();
        if names.is_empty() || self.chance(20) {
            fields.insert("unheard_of".to_owned(), odd);
            return;
        }
        let name = &names[self.rng.usize(0..names.len())];
        match self.rng.u32(0..4) {
            0 => drop(fields.remove(name)),
            1 => {
                if let Some(inner @ Value::Object(_)) = fields.get_mut(name) {
                    self.damage(inner);
                }
            }
            _ => drop(fields.insert(name.clone(), odd)),
        }
    }

    fn odd(&mut self) -> Value {
        match self.rng.u32(0..10) {
            0 => Value::Null,
            1 => json!(i64::MAX),
            2 => json!(-1),
            3 => json!(0),
            4 => json!(4_294_967_296_u64),
            5 => json!(1.5e300),
            6 => json!(true),
            7 => json!([[]]),
            8 => json!({"a": {}}),
            _ => json!(self.text()),
        }
    }
}

/// Orders are for what they cost: what they would be refused for otherwise says nothing more.
fn agree(body: &mut Value) {
    let Value::Object(fields) = body else { return };
    fields.values_mut().for_each(agree);
    if !fields.contains_key("agreed") {
        return;
    }
    let count = |name: &str| fields.get(name).and_then(Value::as_i64).unwrap_or(0);
    let cents = 695 * count("channels") + 3_000 * count("bundles");
    let amount = format!("{}.{:02}", cents / 100, cents % 100);
    fields.insert("agreed".to_owned(), json!({ "amount": amount, "currency": "USD" }));
}

/// One step of a path or one word of a query.
fn escaped(text: &str) -> String {
    let escape = |octet: u8| match octet {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(escape).collect()
}
