//! The fuzzer: whatever is sent to whatever operation by whomever, the answer is one that the description documents, no
//! change is without its line in the audit trail, nobody sees what is another's, and the books are sound.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fastrand::Rng;
use provisioning_store::audit::AuditFilter;
use serde_json::{Value, json};

use crate::description::{Description, Operation};
use crate::generator::{Generator, Manner};
use crate::house::{Ask, House, OPERATOR, Said, Whose};

/// Requests of a run, unless `API_REQUESTS` says otherwise.
const REQUESTS: usize = 3_000;
/// A run ends after this time, however many requests there were.
const LONGEST: Duration = Duration::from_secs(6);
/// Careful tries until an operation is done; some need things that others make first.
const TRIES: usize = 60;
/// What goes on in calls and bans is not there without calls, and nobody here can sign what a payment provider says.
const NEVER_DONE: [&str; 4] =
    ["GET /calls/{call}", "DELETE /calls/{call}", "DELETE /bans/{whom}", "POST /payment-events"];

/// Somebody who asks.
struct Asker {
    token: Option<String>,
    /// A word that only the things of other companies have.
    taboo: Option<&'static str>,
}

struct Fuzzer<'a> {
    house: &'a House,
    generator: Generator<'a>,
    askers: Vec<Asker>,
    /// Tokens that the askers use: to end them would end the run.
    kept_tokens: BTreeSet<String>,
    /// How often each operation was answered with each status.
    answers: BTreeMap<String, BTreeMap<u16, usize>>,
    sent: usize,
}

/// How many requests did what they asked.
fn done(answers: &BTreeMap<u16, usize>) -> usize {
    answers.range(200..300).map(|(_, count)| count).sum()
}

/// Two companies, each with an administrator and a name that stands in all that is theirs.
fn furnish(house: &House, name: &'static str) -> (i64, String, i64) {
    let body = json!({"name": name, "country": "US", "currency": "USD"});
    let company = house.operate("POST", "/companies", body).expect(201)["id"].as_i64().unwrap();
    let much = json!({"amount": {"amount": "100000.00", "currency": "USD"}});
    house.operate("POST", &format!("/companies/{company}/top-ups"), much).expect(201);
    let body = json!({"name": name, "role": "administrator", "company": company});
    let made = house.operate("POST", "/tokens", body).expect(201);
    let profile = json!({"company": company, "name": name, "subscription": {"channels": 2, "agreed": {"amount": "13.90", "currency": "USD"}}});
    let profile = house.operate("POST", "/profiles", profile).expect(201);
    let (profile, caller) = (profile["id"].as_i64().unwrap(), name.to_lowercase());
    house.leave_record(&format!("{profile:032x}-caller"), Whose::Profiles(profile), &caller);
    house.leave_record(&format!("{company:032x}-callee"), Whose::PhoneOf(company), &caller);
    let account = json!({"company": company, "name": name.to_lowercase()});
    house.operate("POST", "/business-accounts", account).expect(201);
    (company, made["secret"].as_str().unwrap().to_owned(), made["token"]["id"].as_i64().unwrap())
}

impl Fuzzer<'_> {
    fn newest_entry(&self) -> i64 {
        let filter = AuditFilter::default();
        let entries = self.house.runtime.block_on(self.house.daemon.store().audit(&filter, None, 1)).unwrap();
        entries.first().map_or(0, |entry| entry.id)
    }

    /// Asks carefully for every operation until it is done, and takes nothing away before all else is, the parts of a thing
    /// before the thing; gives those that never were done.
    fn do_each_once(&mut self, operations: &[Operation]) -> Vec<String> {
        let wanted = || operations.iter().filter(|it| !NEVER_DONE.contains(&&*it.name()));
        let makers: Vec<&Operation> = wanted().filter(|it| ["POST", "PUT"].contains(&&*it.method)).collect();
        let mut ranks: BTreeMap<usize, Vec<&Operation>> = BTreeMap::new();
        for operation in wanted() {
            let depth = operation.path.matches('/').count();
            let rank = if operation.method == "DELETE" { usize::MAX - depth } else { 0 };
            ranks.entry(rank).or_default().push(operation);
        }
        ranks.into_values().flat_map(|rank| self.do_all_once(rank, &makers)).collect()
    }

    fn do_all_once(&mut self, mut missing: Vec<&Operation>, makers: &[&Operation]) -> Vec<String> {
        for _ in 0..TRIES {
            for operation in &missing {
                self.step(operation);
            }
            missing.retain(|operation| self.answers.get(&operation.name()).is_none_or(|it| done(it) == 0));
            if missing.is_empty() {
                break;
            }
            // What is missing may need something that is there no more, or not as it has to be.
            for maker in makers {
                self.step(maker);
            }
        }
        missing.into_iter().map(Operation::name).collect()
    }

    /// Sends one request and looks at what comes back.
    fn step(&mut self, operation: &Operation) {
        let mut ask = self.generator.ask(operation);
        let place = ask.path.split('?').next().unwrap_or_default();
        let is_kept = self.kept_tokens.iter().any(|id| place == format!("/tokens/{id}"));
        if operation.method == "DELETE" && is_kept {
            return;
        }
        let asker = match self.generator.rng.u32(0..20) {
            _ if self.generator.manner == Manner::Careful => 0,
            0 => self.askers.len() - 1,
            1..6 => 1,
            6..10 => 2,
            _ => 0,
        };
        if let Some(token) = &self.askers[asker].token {
            ask = ask.token(token);
        }
        let before = self.newest_entry();
        let said = self.house.send(&ask);
        self.sent += 1;
        *self.answers.entry(operation.name()).or_default().entry(said.status).or_default() += 1;
        self.judge(operation, &ask, &said, asker);
        self.judge_trail(&ask, &said, before);
        if said.status < 300 && said.kind == "application/json" {
            self.learn(operation, &ask.path, &said.json());
        }
    }

    fn judge(&self, operation: &Operation, ask: &Ask, said: &Said, asker: usize) {
        let shown =
            || format!("{} {}\n{}\n{said:?}", ask.method, ask.path, String::from_utf8_lossy(&ask.body));
        assert!(said.status < 500, "{}", shown());
        let answer = (said.status, said.kind.as_str(), said.text.as_str());
        if let Some(fault) = self.generator.description.undocumented(operation, answer) {
            panic!("{fault}\n{}", shown());
        }
        let is_known = operation.is_public() || asker + 1 < self.askers.len();
        assert_eq!(said.status == 401, !is_known, "{}", shown());
        if said.status >= 400 {
            let problem = said.json();
            assert_eq!(problem["status"], said.status, "{}", shown());
            assert!(
                problem["detail"].as_str().is_some_and(|it| it.ends_with(['.', '?', '!'])),
                "{}",
                shown()
            );
        }
        if let Some(taboo) = self.askers[asker].taboo {
            let is_seen = said.text.contains(taboo) || said.text.contains(&taboo.to_lowercase());
            assert!(!is_seen || operation.is_public(), "another's things are seen: {}", shown());
        }
    }

    /// A change has its line, and what is no change has none.
    fn judge_trail(&self, ask: &Ask, said: &Said, before: i64) {
        let has_line = self.newest_entry() > before;
        let is_repeatable = ask.headers.iter().any(|(name, _)| name == "Idempotency-Key");
        let changes: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
        let is_idle = ask.method == "PATCH"
            && changes.as_object().is_some_and(|changes| changes.values().all(Value::is_null));
        let is_rehearsal = ask.path.contains("dry_run=true");
        let is_change = said.status < 300 && ask.method != "GET" && !is_rehearsal;
        let place = ask.path.split('?').next().unwrap_or_default();
        let is_look = said.status == 200 && ask.method == "GET" && place.ends_with("/credentials");
        assert!(!has_line || is_change || is_look, "a line without a change: {ask:?} {said:?}");
        assert!(has_line || !is_look, "a password was shown without a line: {ask:?} {said:?}");
        assert!(
            has_line || !is_change || is_repeatable || is_idle,
            "a change without a line: {ask:?} {said:?}"
        );
    }

    /// Takes the identities out of an answer, by the names that parameters have for them.
    fn learn(&mut self, operation: &Operation, path: &str, answer: &Value) {
        let kind = match operation.path.split('/').nth(1).unwrap_or_default() {
            "companies" if operation.path.ends_with("/numbers") => "number",
            "companies" if operation.path.ends_with("/payments") => "payment",
            "companies" if operation.path.matches('/').count() <= 2 => "company",
            "profiles" if operation.path.contains("addresses") => "address",
            "profiles" if operation.path.matches('/').count() <= 2 => "profile",
            "numbers" => "number",
            "payments" => "payment",
            "stock" => "offer",
            "business-accounts" => "account",
            "carriers" => "carrier",
            // What was put into another list is found there only.
            "rates" if !path.contains("price_list=") => "edition",
            "tokens" => "token",
            "cdrs" => "call",
            _ => return,
        };
        let items = answer["items"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
        for item in &items {
            let id = [&item["id"], &item["token"]["id"], &item["call"], &item["number"], &item["edition"]]
                .into_iter()
                .find(|id| !id.is_null());
            match (id, path.split('/').nth(2)) {
                // An address is found at its profile only.
                (Some(id), Some(profile)) if kind == "address" => {
                    self.generator.see(kind, &json!(format!("{profile}/{id}")));
                }
                (Some(id), _) => self.generator.see(kind, id),
                (None, _) => {}
            }
            for (terms, kept) in [("lease", "leased number"), ("subscription", "subscribed profile")] {
                if !item[terms].is_null() {
                    self.generator.see(kept, &item["id"]);
                }
            }
        }
    }
}

#[test]
fn whatever_is_asked_is_answered_as_the_description_says() {
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    let requests = std::env::var("API_REQUESTS").ok().and_then(|most| most.parse().ok());
    let (requests, longest) = requests.map_or((REQUESTS, LONGEST), |requests| (requests, Duration::MAX));
    println!("SEED={seed}");
    let house = House::new("34120-34139");
    let description = Description(house.send(&Ask::new("GET", "/openapi.json")).expect(200));
    let (own, one, one_id) = furnish(&house, "Zanzibar");
    let (_, other, other_id) = furnish(&house, "Quetzal");
    let asker = |token: Option<&str>, taboo| Asker { token: token.map(str::to_owned), taboo };
    let mut fuzzer = Fuzzer {
        house: &house,
        generator: Generator {
            description: &description,
            rng: Rng::with_seed(seed),
            manner: Manner::Careful,
            seen: BTreeMap::new(),
            anchors: BTreeMap::from([
                ("company", own.to_string()),
                ("profile", "1".to_owned()),
                ("number that is dialled", "+12025550100".to_owned()),
            ]),
        },
        askers: vec![
            asker(Some(OPERATOR), None),
            asker(Some(&one), Some("Quetzal")),
            asker(Some(&other), Some("Zanzibar")),
            asker(None, Some("Zanzibar")),
        ],
        kept_tokens: [one_id, other_id].iter().map(i64::to_string).collect(),
        answers: BTreeMap::new(),
        sent: 0,
    };
    fuzzer.generator.see("company", &json!(own));
    fuzzer.generator.see("call", &json!(format!("{:032x}-caller", 1)));
    let operations = description.operations();
    let begun = Instant::now();
    let missed = fuzzer.do_each_once(&operations);
    assert!(missed.is_empty(), "never done: {missed:?}\n{:#?}", fuzzer.answers);
    fuzzer.generator.manner = Manner::Careless;
    while fuzzer.sent < requests && begun.elapsed() < longest {
        let index = fuzzer.generator.rng.usize(0..operations.len());
        fuzzer.step(&operations[index]);
    }
    let (sent, done) = (fuzzer.sent, fuzzer.answers.values().map(done).sum::<usize>());
    println!(
        "{} operations, {sent} requests in {:.1} s: {done} done, {} refused, none undocumented",
        operations.len(),
        begun.elapsed().as_secs_f64(),
        sent - done
    );
    let wrong = house.runtime.block_on(house.daemon.store().verify()).unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
    house.directory_is_what_is_provisioned();
    house.stop();
}
