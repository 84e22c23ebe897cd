//! From the telephone network to a PBX.

use sip_core::message::{Method, Name};

use crate::agent::manner::{Act, Dial, Last, Manner, ms, s};
use crate::provisioning::{self, ENGINEERING_NUMBER, SALES_NUMBER};
use crate::world::{ALPHA, ENGINEERING, SALES, STRANGER, Setting, World};

#[test]
fn the_called_number_stands_at_the_registered_contact_with_its_parameters() {
    let mut world = World::new();
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER).from("442079460123").then(s(30), Act::HangUp));
    world.run(s(5));
    let invite = world.agents[SALES].requests(Method::Invite).next().unwrap();
    assert_eq!(invite.request_uri(), "sip:12026843376@198.51.100.11:5060;rinstance=0a1b2c");
    assert_eq!(invite.to().unwrap().uri_raw(), "sip:12026843376@gw.example");
    assert_eq!(invite.from().unwrap().uri_raw(), "sip:442079460123@gw.example");
    assert_eq!(invite.header(Name::Contact), Some("<sip:442079460123@192.0.2.10:5060;transport=udp>"));
    assert!(invite.max_forwards().unwrap() <= 30);
    for method in [Method::Invite, Method::Ack, Method::Cancel, Method::Options, Method::Bye] {
        assert_eq!(invite.allows(&method), Some(true), "{method}");
    }
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180, 200]);
    assert_eq!(world.speak(ALPHA, call), Some(world.agents[SALES].media_address(0)));
    assert_eq!(world.desk.books.channels_in_use(provisioning::SALES), 1);
    world.settle();
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000, "incoming calls are free");
    let record = &world.desk.books.records[0];
    // The carrier gave digits and no country to read them by: they stand as they came.
    assert_eq!((record.from.as_str(), record.to.as_str()), ("442079460123", "+12026843376"));
}

#[test]
fn a_business_account_is_reached_by_its_name_or_its_extension() {
    let mut world = World::new();
    world.dial(ALPHA, Dial::to("Architects.Sales").then(s(2), Act::HangUp));
    world.dial(ALPHA, Dial::to("architects.engineering").then(s(2), Act::HangUp));
    world.run(s(1));
    let to =
        |agent: usize| world.agents[agent].requests(Method::Invite).next().unwrap().request_uri().to_owned();
    assert!(to(SALES).starts_with("sip:architects.sales@"));
    assert!(to(ENGINEERING).starts_with("sip:200@"));
    world.settle();
    let mut called: Vec<_> = world.desk.books.records.iter().map(|record| record.to.as_str()).collect();
    called.sort_unstable();
    assert_eq!(called, ["Architects.Sales", "architects.engineering"]);
}

#[test]
fn each_reason_not_to_take_a_call_has_its_own_answer() {
    let mut world = World::of(Setting { channels: 1, ..Setting::clear(1) });
    let mut answer = |manner: Manner| {
        world.teach(SALES, manner);
        let call = world.dial(ALPHA, Dial::to(SALES_NUMBER));
        world.run(s(10));
        *world.agents[ALPHA].calls[call].statuses.last().unwrap()
    };
    assert_eq!(answer(Manner::refusing(486)), 486);
    assert_eq!(answer(Manner::refusing(603)), 603);
    assert_eq!(answer(Manner::refusing(404)), 404);
    assert_eq!(answer(Manner::refusing(302)), 480, "redirections are not followed");
    assert_eq!(answer(Manner::refusing(401)), 480, "a PBX must not demand credentials of us");
    assert_eq!(answer(Manner::refusing(488)), 488);
    let unknown = world.dial(ALPHA, Dial::to("12025550000"));
    world.run(s(1));
    assert_eq!(world.agents[ALPHA].calls[unknown].statuses, [100, 404]);
    world.teach(SALES, Manner::polite());
    world.dial(ALPHA, Dial::to(SALES_NUMBER).then(s(20), Act::HangUp));
    let second = world.dial(ALPHA, Dial::to(SALES_NUMBER));
    world.run(s(2));
    assert_eq!(world.agents[ALPHA].calls[second].statuses, [100, 486], "all channels are in use");
    world.settle();
}

#[test]
fn a_pbx_that_does_not_answer_in_time_is_given_up() {
    let mut world = World::new();
    world.teach(SALES, Manner::ringing());
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER));
    world.run(s(119));
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180]);
    world.run(s(2));
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 180, 480]);
    assert_eq!(world.agents[SALES].requests(Method::Cancel).count(), 1);
    world.settle();
}

#[test]
fn a_pbx_that_has_vanished_is_given_up_after_32_seconds() {
    let mut world = World::new();
    let address = world.agents[SALES].address.ip();
    world.network.cut(address);
    let call = world.dial(ALPHA, Dial::to(SALES_NUMBER));
    world.run(s(31));
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100]);
    world.run(s(2));
    assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 480]);
    world.settle();
}

#[test]
fn a_late_offer_of_the_network_is_made_by_the_pbx() {
    let mut world = World::new();
    world.teach(ENGINEERING, Manner { last: Last::Answer(ms(300)), ..Manner::polite() });
    let call = world.dial(ALPHA, Dial::to(ENGINEERING_NUMBER).late().then(s(10), Act::HangUp));
    world.run(s(5));
    assert_eq!(world.speak(ALPHA, call), Some(world.agents[ENGINEERING].media_address(0)));
    assert_eq!(world.speak(ENGINEERING, 0), Some(world.agents[ALPHA].media_address(call)));
    world.settle();
}

#[test]
fn a_carrier_may_call_from_anywhere_if_it_proves_itself() {
    let mut world = World::new();
    let (user, password) = provisioning::BETA_CREDENTIALS;
    world.agents[STRANGER].learn_credentials(user, password);
    let call = world.dial(STRANGER, Dial::to(SALES_NUMBER).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[STRANGER].calls[call].statuses, [100, 180, 200]);
    assert_eq!(world.desk.books.records[0].carrier.as_ref().map(|it| it.id), Some(provisioning::BETA));
    world.agents[STRANGER].learn_credentials(user, "guessed");
    let refused = world.dial(STRANGER, Dial::to(SALES_NUMBER));
    world.settle();
    assert_eq!(world.agents[STRANGER].calls[refused].statuses, [403]);
    assert_eq!(world.agents[SALES].calls.len(), 1);
}
