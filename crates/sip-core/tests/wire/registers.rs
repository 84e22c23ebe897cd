//! REGISTER: every refusal has its own cause, in the response, in the log and on the profile's card.

use sip_core::auth::digest::answer_challenge;
use sip_core::message::{Message, Name};
use sip_core::refusal::Refusal;
use sip_core::types::Event;

use crate::bench::{Bench, PASSWORD, PROFILE, USER};

const PBX: &str = "198.51.100.7:5060";

/// What is particular of a REGISTER.
struct Request<'a> {
    uri: &'a str,
    to: &'a str,
    contact: &'a str,
    more: &'a str,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            uri: "sip:gw.example",
            to: "sip:99050000000101@gw.example",
            contact: "<sip:pbx@198.51.100.7>",
            more: "",
        }
    }
}

impl Request<'_> {
    fn write(&self, number: u32, credentials: &str) -> String {
        let Self { uri, to, contact, more } = self;
        format!(
            "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {PBX};branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\n\
             From: <{to}>;tag=1\r\nTo: <{to}>\r\nCall-ID: c\r\nCSeq: {number} REGISTER\r\nContact: {contact}\r\n\
             User-Agent: Asterisk PBX 20.5.0\r\nAllow: INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, NOTIFY, REFER\r\n\
             {more}{credentials}Content-Length: 0\r\n\r\n"
        )
    }

    /// Registers with credentials that `prove` makes of the challenge.
    fn sent(&self, bench: &mut Bench, prove: impl Fn(&str) -> String) -> Message {
        let number = bench.events.len() as u32 * 2 + 1;
        let challenge = bench.ask(PBX, &self.write(number, ""));
        let asked = challenge.header(Name::WwwAuthenticate).expect("a challenge").to_owned();
        bench.ask(PBX, &self.write(number + 1, &format!("Authorization: {}\r\n", prove(&asked))))
    }

    fn proved(&self) -> (Message, Bench) {
        let mut bench = Bench::new();
        let answer = self.sent(&mut bench, |asked| right(asked, USER));
        (answer, bench)
    }
}

fn right(asked: &str, user: &str) -> String {
    answer_challenge(asked, "REGISTER", "sip:gw.example", user, PASSWORD, "c0ffee", 1).unwrap()
}

/// That the response, the log and the card tell the same.
fn tells(answer: &Message, bench: &Bench, why: Refusal) {
    assert_eq!(answer.header_named("X-Sipgw-Reason"), Some(why.code()));
    assert!(answer.headers(Name::Warning).any(|warning| warning.contains(why.sentence())), "{why:?}");
    let logged = bench.events.iter().rev().find_map(|event| match event {
        Event::RequestRefused { refusal, .. } => Some(*refusal),
        _ => None,
    });
    assert_eq!(logged, Some(why));
    let card = bench.gateway.refused_registrations_of(&[PROFILE]);
    assert_eq!(card.iter().map(|refused| refused.why).collect::<Vec<_>>(), [why]);
}

#[test]
fn a_profiles_own_address_of_record_has_many_forms() {
    for to in [
        "sip:99050000000101@gw.example",
        "sip:99050000000101@my.domain@gw.example",
        "sip:99050000000101%40my.domain@gw.example",
        "sip:%3990500000001%301@gw.example",
        "sip:99050000000101;phone-context=+1@gw.example",
        "sip:99050000000101:secret@gw.example;user=phone",
        "sip:+12026843376@gw.example",
        "sip:12026843376@gw.example",
        "sip:2026843376@gw.example;user=phone",
        "tel:+1-202-684-3376",
        "sip:architects.sales@gw.example",
    ] {
        let (answer, bench) = Request { to, ..Request::default() }.proved();
        assert_eq!(answer.status(), 200, "{to}");
        assert!(bench.gateway.refused_registrations(None, 9).is_empty());
    }
}

#[test]
fn every_refusal_of_a_proved_register_has_its_own_cause() {
    for (request, status, why) in [
        (Request { to: "sip:12026555376@gw.example", ..Request::default() }, 404, Refusal::AddressOfAnother),
        (Request { to: "sip:gw.example", ..Request::default() }, 404, Refusal::AddressOfAnother),
        (Request { uri: "sip:elsewhere.example", ..Request::default() }, 404, Refusal::UnknownHost),
        (Request { contact: "<mailto:a@b>", ..Request::default() }, 400, Refusal::BadContact),
        (Request { contact: "<sip:a@b>;expires=1", ..Request::default() }, 423, Refusal::IntervalTooBrief),
    ] {
        let (answer, bench) = request.proved();
        assert_eq!(answer.status(), status, "{why:?}");
        tells(&answer, &bench, why);
    }
}

#[test]
fn a_wrong_password_alone_is_403() {
    let mut bench = Bench::new();
    let wrong = |asked: &str| answer_challenge(asked, "REGISTER", "sip:x", USER, "wrong", "c", 1).unwrap();
    let answer = Request::default().sent(&mut bench, wrong);
    assert_eq!(answer.status(), 403);
    tells(&answer, &bench, Refusal::BadCredentials);
    let answer = Request::default().sent(&mut bench, |asked| right(asked, USER));
    assert_eq!(answer.status(), 200);
    assert!(bench.gateway.refused_registrations(None, 9).is_empty(), "what went well is no trouble any more");
    for why in Refusal::ALL.iter().filter(|why| why.code().starts_with("credentials")) {
        assert_eq!(why.status(), 401, "{why:?}");
    }
}

#[test]
fn credentials_that_can_never_be_right_are_challenged_again_and_told_why() {
    for (edit, why) in [
        (("realm=\"gw.example\"", "realm=\"asterisk\""), Refusal::CredentialsRealm),
        (("qop=auth", "qop=auth-int"), Refusal::CredentialsProtection),
        ((", nc=00000001", ""), Refusal::CredentialsIncomplete),
        ((", cnonce=\"c0ffee\"", ""), Refusal::CredentialsIncomplete),
        (("nc=00000001", "nc=one"), Refusal::CredentialsUnreadable),
        (("algorithm=MD5", "algorithm=SHA-256"), Refusal::CredentialsAlgorithm),
        (("algorithm=MD5", "algorithm=SHA-512-256"), Refusal::CredentialsAlgorithm),
    ] {
        let mut bench = Bench::new();
        let answer = Request::default().sent(&mut bench, |asked| {
            let value = right(asked, USER);
            assert!(value.contains(edit.0), "{value}");
            value.replace(edit.0, edit.1)
        });
        assert_eq!(answer.status(), 401, "{why:?}");
        assert!(answer.header(Name::WwwAuthenticate).is_some());
        tells(&answer, &bench, why);
    }
    let mut bench = Bench::new();
    let basic = Request::default().sent(&mut bench, |_| "Basic dTpw".to_owned());
    assert_eq!(basic.header_named("X-Sipgw-Reason"), Some("credentials_scheme"));
    assert!(bench.gateway.refused_registrations(None, 9).is_empty(), "nobody knows whose they are");
}

#[test]
fn whoever_answers_no_nonce_of_ours_writes_on_no_card() {
    let mut bench = Bench::new();
    let forged =
        format!("Digest username=\"{USER}\", realm=\"other\", nonce=\"x\", uri=\"sip:x\", response=\"x\"");
    let answer = bench.ask(PBX, &Request::default().write(1, &format!("Authorization: {forged}\r\n")));
    assert_eq!(answer.header_named("X-Sipgw-Reason"), Some("credentials_realm"));
    assert!(bench.gateway.refused_registrations(None, 9).is_empty());
}

#[test]
fn a_user_name_may_have_a_domain_that_is_hashed_with_it() {
    for user in ["99050000000101@gw.example", "99050000000101@192.0.2.10", "99050000000101%40my.domain"] {
        let mut bench = Bench::new();
        assert_eq!(Request::default().sent(&mut bench, |asked| right(asked, user)).status(), 200, "{user}");
        // Some send the one and hash the other.
        let hashed_without =
            |asked: &str| right(asked, USER).replace(&format!("\"{USER}\""), &format!("\"{user}\""));
        assert_eq!(Request::default().sent(&mut bench, hashed_without).status(), 200, "{user}");
        let wrong =
            |asked: &str| answer_challenge(asked, "REGISTER", "sip:x", user, "wrong", "c", 1).unwrap();
        assert_eq!(Request::default().sent(&mut bench, wrong).status(), 403, "{user}");
    }
}

#[test]
fn our_credentials_are_found_among_others() {
    let foreign = "Digest username=\"x\", realm=\"other\", nonce=\"n\", uri=\"sip:x\", response=\"r\"";
    let one = |asked: &str| format!("{foreign}, {}", right(asked, USER));
    assert_eq!(Request::default().sent(&mut Bench::new(), one).status(), 200, "in one field");
    let two = |asked: &str| format!("{}\r\nAuthorization: {foreign}", right(asked, USER));
    assert_eq!(Request::default().sent(&mut Bench::new(), two).status(), 200, "in two");
}

#[test]
fn a_malformed_register_is_noted_with_what_is_wrong() {
    let mut bench = Bench::new();
    let answer =
        bench.ask(PBX, &Request { contact: "*", more: "Expires: 60\r\n", ..Request::default() }.write(1, ""));
    assert_eq!(answer.status(), 400);
    let details: Vec<_> = bench
        .events
        .iter()
        .filter_map(|event| match event {
            Event::RequestRefused { refusal, detail, .. } => Some((*refusal, *detail)),
            _ => None,
        })
        .collect();
    assert_eq!(details, [(Refusal::BadRequest, Some("A Contact of * stands alone, and with Expires: 0."))]);
}

#[test]
fn a_contact_is_echoed_octet_by_octet() {
    for contact in [
        "<sip:pbx@198.51.100.7;line=\"x y\">;+x.y=\"a;expires=7;b\"",
        "\"P ; B\" <sip:pbx@198.51.100.7> ; q = 0.5 ;  z",
        "sip:pbx@198.51.100.7;+sip.instance=\"<urn:uuid:1>\"",
    ] {
        let (answer, _) =
            Request { contact: &format!("{contact};expires=60"), ..Request::default() }.proved();
        // Behind no NAT: what was asked for is granted.
        assert_eq!(answer.header(Name::Contact), Some(format!("{contact};expires=60").as_str()));
    }
    let mut bench = Bench::new();
    let challenge = bench.ask(PBX, &Request::default().write(1, ""));
    let proof = right(challenge.header(Name::WwwAuthenticate).unwrap(), USER);
    let text = Request { contact: "\"P@X\" <sip:pbx@198.51.100.7>", ..Request::default() }
        .write(2, &format!("Authorization: {proof}\r\n"));
    let at = text.find("\"P@X\"").unwrap() + 2;
    let mut octets = text.into_bytes();
    octets[at] = 0xfc;
    let answers = bench.send(PBX, octets);
    let is_echoed = |answer: &bytes::Bytes| answer.windows(9).any(|part| part == b": \"P\xfcX\" <");
    assert!(answers.iter().any(is_echoed));
}

#[test]
fn who_answers_nothing_but_old_challenges_is_told_so_from_the_ninth_time_on() {
    let mut bench = Bench::new();
    let challenge = bench.ask(PBX, &Request::default().write(1, ""));
    let asked = challenge.header(Name::WwwAuthenticate).expect("a challenge").to_owned();
    let credentials = format!("Authorization: {}\r\n", right(&asked, USER));
    let mut answers = (2..=12).map(|number| bench.ask(PBX, &Request::default().write(number, &credentials)));
    let statuses: Vec<_> =
        answers.by_ref().take(9).map(|it| (it.status(), it.headers(Name::Warning).count())).collect();
    assert_eq!(statuses[0], (200, 0));
    assert_eq!(statuses[1..], [(401, 0); 8]);
    let told = answers.next_back().expect("an answer");
    assert!(told.header(Name::WwwAuthenticate).is_some_and(|it| it.contains("stale=true")));
    tells(&told, &bench, Refusal::CredentialsStale);
}
