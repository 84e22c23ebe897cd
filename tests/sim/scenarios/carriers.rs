//! Carriers that fail are remembered: the next calls pass them over, and a trickle of calls finds them up again.

use std::time::Duration;

use sip_core::message::Method;
use sip_core::refusal::Refusal;
use sip_core::types::{AttemptResult, Availability, CarrierId, Ending, Event, Trouble};

use crate::agent::manner::{Act, Dial, Duty, Early, EarlyMedia, Last, Manner, ms, s};
use crate::faults::Fault;
use crate::provisioning::{self, FAR_AWAY, GATEWAY, Provisions};
use crate::world::{ALPHA, BETA, GAMMA_ONE, GAMMA_TWO, SALES, Setting, World};

fn hanging_up() -> Dial {
    Dial::to(FAR_AWAY).then(s(1), Act::HangUp)
}

fn over(carriers: &[CarrierId]) -> World {
    let provisions = Provisions { carriers: carriers.to_vec(), ..Provisions::default() };
    World::of(Setting { provisions, ..Setting::clear(1) })
}

fn invites(world: &World, agent: usize) -> usize {
    world.agents[agent].requests(Method::Invite).count()
}

/// Calls, waits until the call is over, and says what the caller was told.
fn call(world: &mut World) -> Vec<u16> {
    let call = world.dial(SALES, hanging_up());
    let is_over = |world: &World| {
        let call = &world.agents[SALES].calls[call];
        call.ended.is_some() && world.gateway.live_calls().iter().all(|it| it.stage == sip_core::Stage::Over)
    };
    assert!(world.run_until(s(60), is_over), "the call goes on for ever");
    world.agents[SALES].calls[call].statuses.clone()
}

/// How long a call takes to reach a carrier.
fn time_to_invite(world: &mut World, carrier: usize) -> Duration {
    let (before, begun) = (invites(world, carrier), world.now());
    world.dial(SALES, hanging_up());
    assert!(world.run_until(s(30), |world| invites(world, carrier) > before), "the carrier was not invited");
    let took = world.now() - begun;
    world.run(s(3));
    took
}

fn availability(world: &World, carrier: CarrierId) -> Vec<Availability> {
    let carriers = world.gateway.carriers(world.present());
    let found = carriers.into_iter().find(|it| it.carrier.id == carrier).expect("the carrier is there");
    found.addresses.iter().map(|it| it.availability).collect()
}

fn is_down(world: &World, carrier: CarrierId, why: Trouble) -> bool {
    matches!(availability(world, carrier)[..], [Availability::Down { why: found, .. }] if found == why)
}

#[test]
fn a_silent_carrier_costs_one_call_its_patience_and_the_next_ones_nothing() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::silent());
    let begun = world.now();
    let first = world.dial(SALES, hanging_up());
    assert!(world.run_until(s(20), |world| invites(world, BETA) == 1));
    assert!(world.now() - begun >= s(8));
    world.run(s(3));
    assert_eq!(world.agents[SALES].calls[first].statuses, [100, 180, 200]);
    assert!(is_down(&world, provisioning::ALPHA, Trouble::Silent));
    for _ in 0..3 {
        let second = world.dial(SALES, hanging_up());
        world.run(ms(600));
        assert_eq!(world.agents[SALES].calls[second].statuses, [100, 180]);
        assert_eq!(invites(&world, ALPHA), 1, "not a packet");
    }
    world.settle();
}

#[test]
fn one_call_at_a_time_tries_it_with_little_patience_and_less_and_less_often() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::silent());
    call(&mut world);
    let mut trials = Vec::new();
    for second in 0..300 {
        let before = invites(&world, ALPHA);
        for _ in 0..2 {
            world.dial(SALES, Dial::to(FAR_AWAY).then(ms(100), Act::HangUp));
        }
        world.run(s(5));
        match invites(&world, ALPHA) - before {
            0 => {}
            1 => trials.push(second * 5),
            more => panic!("{more} calls at once tried a carrier that is down"),
        }
    }
    assert!((10..=18).contains(&trials.len()), "{trials:?}");
    let gaps: Vec<_> = trials.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] <= 15 && gaps.iter().all(|gap| *gap <= 130), "{gaps:?}");
    assert!(gaps[gaps.len() - 3..].iter().all(|gap| *gap >= 120), "{gaps:?}");
    let later = world.desk.books.records.iter().skip(1).flat_map(|record| &record.attempts);
    assert!(later.filter(|it| it.status.is_none()).all(|attempt| attempt.took <= ms(2_300)));
    world.settle();
}

#[test]
fn a_carrier_that_is_back_is_found_by_the_next_trial() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::silent());
    call(&mut world);
    world.teach(ALPHA, Manner::polite());
    world.run(s(10));
    assert!(time_to_invite(&mut world, ALPHA) < ms(100));
    assert_eq!(availability(&world, provisioning::ALPHA), [Availability::Up]);
    let downs = world.events.iter().filter(|event| matches!(event, Event::CarrierDown { .. })).count();
    let ups = world.events.iter().filter(|event| matches!(event, Event::CarrierUp { .. })).count();
    assert_eq!((downs, ups), (1, 1));
    world.settle();
}

#[test]
fn where_all_are_down_the_least_bad_is_tried_and_no_call_fails_that_could_be_carried() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::silent());
    world.teach(BETA, Manner::silent());
    assert_eq!(call(&mut world), [100, 503]);
    let (alpha, beta) = (invites(&world, ALPHA), invites(&world, BETA));
    world.teach(BETA, Manner::polite());
    // Whichever is tried first: the call is taken to the other one as well, and soon.
    let next = world.dial(SALES, hanging_up());
    world.run(s(5));
    assert_eq!(world.agents[SALES].calls[next].statuses, [100, 180, 200]);
    assert!(invites(&world, ALPHA) - alpha <= 1 && invites(&world, BETA) - beta == 1);
    world.settle();
}

#[test]
fn the_only_carrier_is_given_all_the_patience_however_often_it_was_silent() {
    let mut world = over(&[provisioning::ALPHA]);
    world.teach(ALPHA, Manner::silent());
    for _ in 0..3 {
        let begun = world.now();
        assert_eq!(call(&mut world), [100, 503]);
        assert!(world.now() - begun >= s(8));
    }
    let slow = Early::new(s(6), 180, EarlyMedia::None);
    let last = Last::Answer(s(7));
    world.teach(ALPHA, Manner { trying: Duty::Neglected, early: vec![slow], last, ..Manner::polite() });
    assert_eq!(call(&mut world), [100, 180, 200]);
    world.settle();
}

#[test]
fn retry_after_is_obeyed_even_where_another_carrier_refuses() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::refusing_with(503, "Retry-After", "120 (maintenance);duration=60"));
    call(&mut world);
    assert_eq!(invites(&world, ALPHA), 1);
    assert!(is_down(&world, provisioning::ALPHA, Trouble::AsksToWait));
    world.teach(BETA, Manner::refusing(503));
    assert_eq!(call(&mut world), [100, 503]);
    assert_eq!(invites(&world, ALPHA), 1, "it asked for two minutes");
    world.teach(ALPHA, Manner::polite());
    world.run(s(120));
    assert!(time_to_invite(&mut world, ALPHA) < ms(100));
    world.settle();
}

#[test]
fn a_carrier_that_asks_to_wait_is_tried_where_there_is_no_other() {
    let mut world = over(&[provisioning::ALPHA]);
    world.teach(ALPHA, Manner::refusing_with(503, "Retry-After", "120"));
    assert_eq!(call(&mut world), [100, 503]);
    world.teach(ALPHA, Manner::polite());
    assert_eq!(call(&mut world), [100, 180, 200]);
    assert_eq!(availability(&world, provisioning::ALPHA), [Availability::Up]);
    world.settle();
}

#[test]
fn retry_after_of_a_called_party_says_nothing_of_the_carrier() {
    for status in [404, 480, 486, 600, 603] {
        let mut world = World::new();
        world.teach(ALPHA, Manner::refusing_with(status, "Retry-After", "120"));
        let told = call(&mut world);
        assert_eq!(told.first(), Some(&100), "{status}");
        assert_eq!(availability(&world, provisioning::ALPHA), [Availability::Up], "{status}");
        assert_eq!(invites(&world, BETA), 0, "{status}");
        world.settle();
    }
}

#[test]
fn a_carrier_that_takes_calls_and_does_nothing_with_them_is_passed_over_too() {
    let mut world = World::new();
    world.teach(ALPHA, Manner { early: Vec::new(), last: Last::Never, ..Manner::polite() });
    let first = world.dial(SALES, hanging_up());
    world.run(s(22));
    assert_eq!(world.agents[SALES].calls[first].statuses, [100, 180, 200]);
    world.dial(SALES, hanging_up());
    world.run(s(2));
    assert_eq!((invites(&world, ALPHA), invites(&world, BETA)), (1, 2));
    world.settle();
}

#[test]
fn a_carrier_that_fails_now_and_then_stays_in_use_and_one_that_fails_always_does_not() {
    let mut world = World::new();
    let mut tried = 0;
    for statuses in [[500, 500, 500, 500, 404], [500, 502, 503, 504, 486]] {
        for status in statuses {
            world.teach(ALPHA, Manner::refusing(status));
            call(&mut world);
            tried += 1;
            assert_eq!(invites(&world, ALPHA), tried);
        }
    }
    world.teach(ALPHA, Manner::refusing(500));
    for _ in 0..5 {
        call(&mut world);
    }
    assert!(is_down(&world, provisioning::ALPHA, Trouble::Failing));
    world.dial(SALES, hanging_up());
    world.run(s(1));
    assert_eq!(invites(&world, ALPHA), tried + 5);
    world.settle();
}

#[test]
fn the_address_that_is_dead_is_passed_over_and_the_other_one_is_not() {
    let mut world = over(&[provisioning::GAMMA]);
    world.teach(GAMMA_ONE, Manner::silent());
    assert_eq!(call(&mut world), [100, 180, 200]);
    assert_eq!((invites(&world, GAMMA_ONE), invites(&world, GAMMA_TWO)), (1, 1));
    assert!(time_to_invite(&mut world, GAMMA_TWO) < ms(100));
    assert_eq!(invites(&world, GAMMA_ONE), 1);
    world.settle();
}

#[test]
fn a_name_that_leads_nowhere_is_remembered_like_silence() {
    let provisions =
        Provisions { carriers: vec![provisioning::ALPHA, provisioning::GAMMA], ..Provisions::default() };
    let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
    world.desk.names.clear();
    world.teach(ALPHA, Manner::refusing(503));
    assert_eq!(call(&mut world), [100, 503]);
    assert!(is_down(&world, provisioning::GAMMA, Trouble::Unresolved));
    let attempts = world.desk.books.records.last().unwrap().attempts.clone();
    let told: Vec<_> = attempts.iter().map(|it| (it.address.is_some(), it.result)).collect();
    let failed = AttemptResult::Failed;
    assert_eq!(told, [(true, failed(Trouble::Failing)), (false, failed(Trouble::Unresolved))]);
    world.desk.names = provisioning::names();
    world.run(s(6));
    assert_eq!(call(&mut world), [100, 180, 200]);
    assert_eq!(availability(&world, provisioning::GAMMA), [Availability::Up; 2]);
    world.settle();
}

#[test]
fn every_attempt_is_in_the_record_with_what_the_carrier_said() {
    let carriers = vec![provisioning::ALPHA, provisioning::BETA, provisioning::GAMMA];
    let provisions = Provisions { carriers, ..Provisions::default() };
    let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
    world.teach(ALPHA, Manner::silent());
    world.teach(BETA, Manner::refusing_with(503, "Reason", "Q.850;cause=34;text=\"beta has no circuit\""));
    assert_eq!(call(&mut world), [100, 180, 200]);
    let record = world.desk.books.records.last().unwrap().clone();
    let told = record.attempts.iter().map(|it| {
        (it.carrier.name.as_str(), it.address.unwrap().to_string(), it.status, it.cause, it.result.code())
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("alpha", "203.0.113.21:5060".to_owned(), None, None, "silent"),
            ("beta", "203.0.113.22:5060".to_owned(), Some(503), Some(34), "failing"),
            ("gamma", "203.0.113.23:5060".to_owned(), Some(200), None, "answered"),
        ]
    );
    assert!((ms(8_000)..ms(8_100)).contains(&record.attempts[0].took));
    assert!(record.attempts[2].took >= s(1));
    let tried = world.events.iter().filter(|event| matches!(event, Event::CarrierTried { .. })).count();
    assert_eq!(tried, 3);
    world.settle();
}

#[test]
fn the_carriers_own_cause_reaches_the_caller_and_the_record() {
    let no_circuit = "SIP;cause=503, Q.850;cause=34;text=\"alpha has none\"";
    for (manner, cause) in [
        (Manner::refusing_with(503, "Reason", no_circuit), 34),
        (Manner::refusing(500), 41),
        (Manner::refusing(502), 38),
        (Manner::refusing(408), 102),
        (Manner::silent(), 38),
    ] {
        let mut world = over(&[provisioning::ALPHA]);
        world.teach(ALPHA, manner);
        assert_eq!(call(&mut world), [100, 503]);
        let reason = world.agents[SALES].last_call().refusal_reason.clone().unwrap();
        assert!(
            reason.starts_with(&format!("Q.850;cause={cause};")) && !reason.contains("alpha"),
            "{reason}"
        );
        let record = world.desk.books.records.last().unwrap();
        assert_eq!((record.status, record.cause), (503, Some(cause)));
        assert_eq!(record.ending, Ending::Refused(Refusal::CarriersFailed));
        world.settle();
    }
}

#[test]
fn a_silence_after_an_answer_hides_no_cause() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::refusing_with(503, "Reason", "Q.850;cause=34"));
    world.teach(BETA, Manner::silent());
    assert_eq!(call(&mut world), [100, 503]);
    assert_eq!(world.desk.books.records.last().unwrap().cause, Some(34));
    world.settle();
}

#[test]
fn a_carrier_that_is_removed_or_renamed_keeps_its_name_in_the_records_of_running_calls() {
    let removed = Provisions { carriers: vec![provisioning::BETA], ..Provisions::default() };
    let renamed = Provisions { alpha: "omega", ..Provisions::default() };
    for provisions in [removed, renamed] {
        let mut world = World::new();
        world.dial(SALES, Dial::to(FAR_AWAY).then(s(20), Act::HangUp));
        world.run(s(5));
        world.provide(provisions);
        let live = world.gateway.live_calls();
        assert_eq!(live[0].carrier.as_ref().map(|it| it.name.as_str()), Some("alpha"));
        world.settle();
        let record = world.desk.books.records.last().unwrap();
        let carrier = record.carrier.as_ref().unwrap();
        assert_eq!((carrier.id, carrier.name.as_str()), (provisioning::ALPHA, "alpha"));
        assert_eq!(record.attempts[0].carrier.name, "alpha");
    }
}

#[test]
fn a_caller_who_gives_up_says_nothing_of_the_carrier() {
    let mut world = World::new();
    world.teach(ALPHA, Manner::silent());
    world.dial(SALES, hanging_up().cancelled_after(s(3)));
    world.run(s(5));
    assert_eq!(availability(&world, provisioning::ALPHA), [Availability::Up]);
    let record = world.desk.books.records.last().unwrap();
    assert_eq!(record.attempts[0].result, AttemptResult::Withdrawn);
    world.settle();
}

#[test]
fn when_our_own_line_was_cut_the_first_call_after_it_goes_through() {
    let mut world = World::new();
    for agent in [ALPHA, BETA] {
        world.befall_at(Duration::ZERO, Fault::CutOff(agent, s(25)));
    }
    world.run(ms(1));
    assert_eq!(call(&mut world), [100, 503]);
    world.run(s(10));
    let begun = world.now();
    let after = world.dial(SALES, hanging_up());
    assert!(world.run_until(s(10), |world| world.agents[SALES].calls[after].statuses.contains(&180)));
    assert!(world.now() - begun < ms(400), "{:?}", world.now() - begun);
    world.settle();
}

#[test]
fn a_carrier_whose_name_leads_to_ourselves_is_passed_over() {
    for (carriers, status) in
        [(vec![provisioning::GAMMA, provisioning::ALPHA], 200), (vec![provisioning::GAMMA], 503)]
    {
        let mut world = over(&carriers);
        world.desk.names.insert("gamma.example".to_owned(), vec![GATEWAY]);
        let call = world.dial(SALES, Dial::to(FAR_AWAY).then(s(1), Act::HangUp));
        world.run(ms(1_500));
        // One call, and no other that has begun with it.
        assert_eq!(world.gateway.live_calls().len(), usize::from(status == 200));
        assert_eq!(world.agents[SALES].calls[call].statuses.last(), Some(&status));
        world.settle();
        assert_eq!(world.desk.books.records.len(), 1);
    }
}
