//! From a PBX: to the telephone network, to another PBX here, to the echo test.

use sip_core::directory::NumberFormat;
use sip_core::message::{Method, Name};
use sip_core::refusal::Refusal;
use sip_core::types::Ending;

use crate::agent::manner::{Act, Dial, Duty, Early, EarlyMedia, Last, Manner, ms, s};
use crate::provisioning::{self, ECHO, ENGINEERING_NUMBER, FAR_AWAY, Provisions, SALES_NUMBER};
use crate::world::{ALPHA, ENGINEERING, SALES, Setting, World};

/// The 8,000 millionths a minute of a call to the US, for so many billed seconds.
fn us_price(seconds: i64) -> i64 {
    seconds * 8_000 / 60 + i64::from(seconds * 8_000 % 60 > 0)
}

#[test]
fn a_call_by_digest_reaches_the_carrier_and_is_charged() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(40), Act::HangUp));
    world.run(s(10));
    let invite = world.agents[ALPHA].requests(Method::Invite).next().unwrap().clone();
    assert_eq!(invite.request_uri(), "sip:+12152751701@203.0.113.21");
    assert_eq!(invite.to().unwrap().uri_raw(), "sip:+12152751701@203.0.113.21");
    assert_eq!(invite.from().unwrap().uri_raw(), format!("sip:+{SALES_NUMBER}@gw.example"));
    assert_eq!(
        invite.header(Name::PAssertedIdentity),
        Some(format!("<sip:+{SALES_NUMBER}@gw.example>").as_str())
    );
    assert!(invite.max_forwards().unwrap() <= 30);
    assert!(invite.header(Name::UserAgent).unwrap().starts_with("sipgw/"));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    // Both hear each other through the relay, which knows where each really is.
    assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
    assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(call)));
    world.settle();
    // 40 s and the way of the BYE: the step of six after 36 s and the next.
    let paid = 10_000_000 - world.credit(provisioning::SALES).0;
    assert_eq!(paid, us_price(42));
    let record = &world.desk.books.records[0];
    assert_eq!(record.ending, Ending::HungUp(sip_core::types::Leg::Caller));
    assert_eq!((record.from.as_str(), record.to.as_str()), ("+12026843376", "+12152751701"));
}

#[test]
fn the_callee_may_hang_up_too_and_his_reason_is_passed_on() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::polite().then(s(5), Act::HangUp));
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].bye_reason, None);
    assert_eq!(world.desk.books.records[0].ending, Ending::HungUp(sip_core::types::Leg::Callee));
    let paid = 10_000_000 - world.credit(provisioning::SALES).0;
    assert_eq!(paid, us_price(30), "the shortest billed duration");
}

#[test]
fn calls_between_pbxs_here_take_a_channel_of_each_and_cost_nothing() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(ENGINEERING_NUMBER).then(s(90), Act::HangUp));
    world.run(s(5));
    let invite = world.agents[ENGINEERING].requests(Method::Invite).next().unwrap().clone();
    assert_eq!(invite.request_uri(), "sip:12026555376@198.51.100.12:5060;transport=udp");
    assert_eq!(world.desk.books.channels_in_use(provisioning::SALES), 1);
    assert_eq!(world.desk.books.channels_in_use(provisioning::ENGINEERING), 1);
    assert_eq!(world.speak(SALES, call), Some(world.agents[ENGINEERING].media_address(0)));
    world.settle();
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000);
    assert_eq!(world.desk.books.records.len(), 2, "one record for each profile");
}

#[test]
fn the_echo_test_answers_costs_nothing_and_gives_back_what_it_hears() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(ECHO).then(s(20), Act::HangUp));
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 200]);
    let own = world.agents[SALES].media_address(call);
    assert_eq!(world.speak(SALES, call), Some(own));
    assert_eq!(world.desk.books.channels_in_use(provisioning::SALES), 1);
    world.settle();
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000);
}

#[test]
fn a_profile_without_credit_calls_nobody_but_those_who_are_free() {
    let mut world =
        World::of(Setting { credit: provisioning_store::money::Micros(3_999), ..Setting::clear(1) });
    let dear = world.dial(SALES, Dial::to(FAR_AWAY));
    let free = world.dial(SALES, Dial::to(ECHO).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[SALES].calls[dear].statuses, [100, 402]);
    assert_eq!(world.agents[SALES].calls[free].statuses, [100, 200]);
    assert_eq!(world.agents[ALPHA].calls.len(), 0, "the carrier heard of a call that nobody pays");
}

#[test]
fn the_call_over_the_channels_is_refused_and_the_channel_is_free_again_afterwards() {
    let mut world = World::of(Setting { channels: 2, ..Setting::clear(1) });
    for _ in 0..2 {
        world.dial(SALES, Dial::to(ECHO).then(s(20), Act::HangUp));
    }
    let refused = world.dial(SALES, Dial::to(ECHO));
    world.run(s(5));
    assert_eq!(world.agents[SALES].calls[refused].statuses, [100, 503]);
    world.run(s(30));
    let again = world.dial(SALES, Dial::to(ECHO).then(s(5), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[SALES].calls[again].statuses, [100, 200]);
    assert_eq!(world.desk.books.records[0].ending, Ending::Refused(Refusal::NoChannel));
}

#[test]
fn emergency_calls_and_gibberish_are_refused_at_once() {
    let mut world = World::new();
    let emergency = world.dial(SALES, Dial::to("911"));
    let gibberish = world.dial(SALES, Dial::to("no-number"));
    world.settle();
    assert_eq!(world.agents[SALES].calls[emergency].statuses, [100, 403]);
    assert_eq!(world.agents[SALES].calls[gibberish].statuses, [100, 484]);
}

#[test]
fn early_media_is_passed_on_and_flows_before_the_answer() {
    let mut world = World::new();
    let early = Early::new;
    world.teach(
        ALPHA,
        Manner {
            early: vec![
                early(ms(100), 180, EarlyMedia::None),
                early(ms(300), 183, EarlyMedia::Described),
                early(ms(600), 180, EarlyMedia::None),
                early(ms(900), 183, EarlyMedia::Described),
            ],
            last: Last::Answer(s(3)),
            ..Manner::polite()
        },
    );
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(3), Act::HangUp));
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 183, 180, 183]);
    assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(call)));
    assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
    world.settle();
}

#[test]
fn a_200_without_a_description_after_an_early_answer_is_complete() {
    let mut world = World::new();
    let early = Early::new(ms(100), 183, EarlyMedia::Described);
    let told_in_183 = Manner { early: vec![early], answer_sdp: Duty::Neglected, ..Manner::polite() };
    world.teach(ALPHA, told_in_183.clone());
    let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(3), Act::HangUp));
    world.run(s(2));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 183, 200]);
    // The 200 may come before the relay has dealt with the 183.
    world.teach(ALPHA, Manner { last: Last::Answer(ms(101)), ..told_in_183 });
    let at_once = world.dial(SALES, Dial::to(FAR_AWAY).then(s(3), Act::HangUp));
    world.settle();
    assert_eq!(world.agents[SALES].calls[at_once].statuses.last(), Some(&200));
}

#[test]
fn a_200_without_any_description_ends_the_call_unbilled() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { answer_sdp: Duty::Neglected, ..Manner::polite() });
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 502]);
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000);
}

#[test]
fn media_that_the_relay_refuses_ends_the_call_unbilled() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(ms(500));
    world.desk.media_refusals = vec![Refusal::NoMediaInCommon];
    world.settle();
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 488]);
    assert_eq!(world.credit(provisioning::SALES).0, 10_000_000);
}

#[test]
fn a_late_offer_is_made_by_the_callee_and_answered_in_the_ack() {
    let mut world = World::new();
    let call = world.dial(SALES, Dial::to(FAR_AWAY).late().then(s(20), Act::HangUp));
    world.run(s(5));
    assert_eq!(world.agents[SALES].calls[call].statuses, [100, 180, 200]);
    assert_eq!(world.speak(SALES, call), Some(world.agents[ALPHA].media_address(0)));
    assert_eq!(world.speak(ALPHA, 0), Some(world.agents[SALES].media_address(call)));
    world.settle();
}

#[test]
fn each_peer_has_numbers_written_its_own_way() {
    let provisions = Provisions { sales_format: NumberFormat::E164, ..Provisions::default() };
    let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
    world.dial(ENGINEERING, Dial::to(SALES_NUMBER).then(s(2), Act::HangUp));
    world.run(s(1));
    let invite = world.agents[SALES].requests(Method::Invite).next().unwrap();
    assert!(invite.request_uri().starts_with("sip:+12026843376@"));
    assert!(invite.header(Name::From).unwrap().contains("<sip:+12026555376@gw.example>"));
    world.settle();
}

#[test]
fn a_prefix_withholds_the_caller_for_one_call_and_is_not_dialled() {
    for prefix in ["*67", "*31#", "%2A31%23", "#31#"] {
        let mut world = World::new();
        world.dial(SALES, Dial::to(&format!("{prefix}{FAR_AWAY}")).then(s(2), Act::HangUp));
        world.dial(SALES, Dial::to(FAR_AWAY).then(s(2), Act::HangUp));
        world.run(s(1));
        let invites: Vec<_> = world.agents[ALPHA].requests(Method::Invite).collect();
        assert!(invites[0].header(Name::From).unwrap().contains("anonymous.invalid"), "{prefix}");
        assert_eq!(invites[0].header(Name::Privacy), Some("id"));
        assert!(invites[1].header(Name::From).unwrap().contains(SALES_NUMBER));
        for invite in invites {
            assert_eq!(invite.request_uri(), format!("sip:+{FAR_AWAY}@203.0.113.21"));
        }
        world.settle();
    }
}

/// Digits alone make no telephone number: a service code and the trunk's own user stay as they were written.
#[test]
fn what_is_no_number_is_recorded_as_it_was_written() {
    let mut world = World::new();
    world.dial(SALES, Dial::to("6843376").from("99050053520744"));
    world.settle();
    let record = &world.desk.books.records[0];
    assert_eq!(record.ending, Ending::Refused(Refusal::AddressIncomplete));
    assert_eq!((record.from.as_str(), record.to.as_str()), ("99050053520744", "6843376"));
}
