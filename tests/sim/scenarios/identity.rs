//! Who calls, as each side is told: shown, withheld, named.

use sip_core::message::{Message, Method, Name};

use crate::agent::manner::{Act, Change, Dial, s};
use crate::provisioning::{ENGINEERING_NUMBER, FAR_AWAY, Provisions, SALES_NUMBER};
use crate::world::{ALPHA, ENGINEERING, SALES, Setting, World};

const CALLER: &str = "13125550123";

/// What From and the header fields beside it say when a caller is withheld.
const WITHHELD: [(&str, &[(&str, &str)]); 12] = [
    ("<sip:+13125550123@net.example>", &[("Privacy", "id")]),
    ("<sip:+13125550123@net.example>", &[("Privacy", "id, header")]),
    ("<sip:+13125550123@net.example>", &[("Privacy", "Header;User;Critical")]),
    ("<sip:+13125550123@net.example>", &[("Privacy", "session")]),
    ("<sip:+13125550123@net.example>", &[("Privacy", "none"), ("Privacy", "user")]),
    ("\"J. Smith\" <sip:+13125550123@anonymous.invalid>", &[]),
    (
        "<sip:+13125550123@net.example>",
        &[("Remote-Party-ID", "\"Smith\" <sip:+13125550123@net.example>;party=calling;privacy=full")],
    ),
    (
        "<sip:+13125550123@net.example>",
        &[("Remote-Party-ID", "<sip:+13125550123@net.example>;privacy=\"full\";screen=yes")],
    ),
    ("<sip:+13125550123@net.example>", &[("Remote-Party-ID", "sip:+13125550123@net.example;privacy=uri")]),
    ("<sip:+13125550123@net.example>", &[("Remote-Party-ID", "<sip:+13125550123@net.example>;privacy=name")]),
    (
        "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
        &[("P-Asserted-Identity", "\"Smith\" <sip:+13125550123@net.example>"), ("Privacy", "id")],
    ),
    (
        "<sip:+13125550123@net.example>",
        &[("P-Preferred-Identity", "<sip:+13125550123@net.example>"), ("Privacy", "user;id")],
    ),
];

fn withheld(dial: Dial, (from, headers): (&str, &'static [(&'static str, &str)])) -> Dial {
    headers.iter().fold(dial.from(from), |dial, (name, value)| dial.header(name, value))
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.bytes()).into_owned()
}

fn invited(world: &World, agent: usize) -> Message {
    world.agents[agent].requests(Method::Invite).next().expect("an INVITE").clone()
}

#[test]
fn a_pbx_is_told_nothing_of_a_withheld_caller_and_the_record_names_it() {
    for case in WITHHELD {
        let mut world = World::new();
        let dial = withheld(Dial::to(SALES_NUMBER), case).then(s(2), Act::Reinvite(Change::Hold));
        world.dial(ALPHA, dial.then(s(4), Act::HangUp));
        world.settle();
        for message in world.agents[SALES].heard.iter().map(text) {
            assert!(!message.contains("3125550123") && !message.contains("Smith"), "{case:?}:\n{message}");
        }
        let invite = invited(&world, SALES);
        assert_eq!(invite.from().unwrap().uri_raw(), "sip:anonymous@anonymous.invalid");
        assert_eq!(invite.header(Name::Privacy), Some("id"));
        let record = &world.desk.books.records[0];
        assert_eq!((record.from.as_str(), record.is_withheld), ("+13125550123", true), "{case:?}");
    }
}

#[test]
fn a_carrier_that_calls_somebody_anonymous_withholds_it() {
    for from in
        ["\"Anonymous\" <sip:+13125550123@net.example>", "<sip:anonymous@net.example>", "<sip:Restricted@c>"]
    {
        let mut world = World::new();
        let dial = Dial::to(SALES_NUMBER).from(from).header("P-Asserted-Identity", "<tel:+13125550123>");
        world.dial(ALPHA, dial.then(s(2), Act::HangUp));
        world.settle();
        assert!(!text(&invited(&world, SALES)).contains("3125550123"), "{from}");
        assert_eq!(world.desk.books.records[0].from, format!("+{CALLER}"));
    }
}

#[test]
fn a_carrier_is_told_of_a_withheld_caller_only_if_it_is_trusted() {
    for case in WITHHELD {
        for is_trusted in [true, false] {
            let provisions = Provisions { carriers_are_trusted: is_trusted, ..Provisions::default() };
            let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
            world.dial(SALES, withheld(Dial::to(FAR_AWAY), case).then(s(2), Act::HangUp));
            world.settle();
            let invite = invited(&world, ALPHA);
            assert_eq!(invite.from().unwrap().uri_raw(), "sip:anonymous@anonymous.invalid", "{case:?}");
            assert_eq!(invite.header(Name::Privacy), Some("id"));
            assert!(invite.header(Name::Contact).unwrap().starts_with("<sip:anonymous@"));
            let asserted = format!("<sip:+{SALES_NUMBER}@gw.example>");
            let told = invite.header(Name::PAssertedIdentity);
            assert_eq!(told, is_trusted.then_some(asserted.as_str()), "{case:?}");
            assert_eq!(text(&invite).matches(SALES_NUMBER).count(), usize::from(is_trusted));
            assert!(!text(&invite).contains(CALLER));
            let record = &world.desk.books.records[0];
            assert_eq!(record.from, format!("+{SALES_NUMBER}"), "{case:?}");
        }
    }
}

/// Asterisk without a caller ID.
#[test]
fn a_pbx_that_has_no_name_for_its_caller_shows_the_profiles_caller_id() {
    for from in [
        "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
        "<sip:Anonymous@198.51.100.11>",
        "\"Unknown\" <sip:unknown@unknown.invalid>",
    ] {
        for headers in [&[][..], &[("Privacy", "none")]] {
            let mut world = World::new();
            world.dial(SALES, withheld(Dial::to(FAR_AWAY), (from, headers)).then(s(2), Act::HangUp));
            world.dial(SALES, withheld(Dial::to("12"), (from, headers)));
            world.settle();
            let invite = invited(&world, ALPHA);
            assert_eq!(invite.from().unwrap().uri_raw(), format!("sip:+{SALES_NUMBER}@gw.example"), "{from}");
            let asserted = format!("<sip:+{SALES_NUMBER}@gw.example>");
            assert_eq!(invite.header(Name::PAssertedIdentity), Some(asserted.as_str()));
            assert_eq!(invite.header(Name::Privacy), None);
            for record in &world.desk.books.records {
                assert_eq!((record.from.as_str(), record.is_withheld), ("+12026843376", false), "{from}");
            }
        }
    }
}

#[test]
fn a_caller_withheld_from_another_profile_is_in_both_records() {
    let mut world = World::new();
    let dial = Dial::to(SALES_NUMBER).header("Privacy", "id").then(s(2), Act::HangUp);
    world.dial(ENGINEERING, dial);
    world.settle();
    assert!(!text(&invited(&world, SALES)).contains(ENGINEERING_NUMBER));
    assert_eq!(world.desk.books.records.len(), 2);
    for record in &world.desk.books.records {
        assert_eq!((record.from.as_str(), record.is_withheld), ("+12026555376", true));
    }
}

#[test]
fn a_name_passes_with_its_number_to_a_profile_that_wants_it() {
    let name = "\"Zoë \\\"Z\\\" Smith\"";
    for takes_names in [true, false] {
        let provisions = Provisions { sales_takes_names: takes_names, ..Provisions::default() };
        let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
        let from = format!("{name} <sip:+{CALLER}@net.example>");
        world.dial(ALPHA, Dial::to(SALES_NUMBER).from(&from).then(s(2), Act::HangUp));
        world.dial(ALPHA, Dial::to(SALES_NUMBER).from(&from).header("Privacy", "id").then(s(2), Act::HangUp));
        world.settle();
        let from: Vec<_> = world.agents[SALES]
            .requests(Method::Invite)
            .map(|invite| invite.header(Name::From).unwrap().split(";tag").next().unwrap().to_owned())
            .collect();
        let shown = format!("<sip:{CALLER}@gw.example>");
        let shown = if takes_names { format!("{name} {shown}") } else { shown };
        assert_eq!(from, [shown.as_str(), "\"Anonymous\" <sip:anonymous@anonymous.invalid>"]);
    }
}
