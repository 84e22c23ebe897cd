//! Whose a call is that comes from a claimed address.

use sip_core::message::Method;
use sip_core::refusal::Refusal;
use sip_core::types::{CompanyId, Doubt, Ending, Event, ProfileId};

use crate::agent::manner::{Act, Dial, s};
use crate::faults::Fault;
use crate::provisioning::{
    COMPANY, ENGINEERING as ENGINEERING_ID, ENGINEERING_PASSWORD, ENGINEERING_USER, FAR_AWAY, Proof,
    Provisions, SALES as SALES_ID,
};
use crate::world::{ENGINEERING, SALES, Setting, World};

const ANOTHER_COMPANY: CompanyId = CompanyId(2);
/// What a PBX writes into From that shows its number there.
const NUMBER: &str = "+12025550199";

fn world(engineering: Proof) -> World {
    let provisions = Provisions { engineering, ..Provisions::default() };
    World::unregistered(Setting { provisions, ..Setting::clear(crate::seed().unwrap_or(1)) })
}

/// Engineering has claimed the address of Sales, in the name of a company, and the claim is confirmed.
fn claimed_by(company: CompanyId) -> World {
    world(Proof::SalesAddress(company))
}

fn showing_a_number() -> Dial {
    Dial::to(FAR_AWAY).from(NUMBER)
}

/// Whether a caller was asked for a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    ForAPassword,
    ForNothing,
}

/// Makes a call. Says whether its caller was asked for a password, what it was answered last, and whose record it left.
fn call(world: &mut World, agent: usize, dial: Dial) -> (Asked, u16, Option<ProfileId>) {
    let records = world.desk.books.records.len();
    let challenges =
        |world: &World| world.agents[agent].statuses(Method::Invite).iter().filter(|it| **it == 407).count();
    let before = challenges(world);
    let call = world.dial(agent, dial.then(s(5), Act::HangUp));
    world.settle();
    let asked = if challenges(world) > before { Asked::ForAPassword } else { Asked::ForNothing };
    let last = world.agents[agent].calls[call].statuses.last().copied().expect("it was answered");
    let record = world.desk.books.records.get(records);
    (asked, last, record.and_then(|record| record.profile))
}

/// Engineering's PBX moves to an address and learns the profile's password.
fn move_engineering(world: &mut World, address: &str) {
    world.agents[ENGINEERING].address = address.parse().expect("an address");
    world.agents[ENGINEERING].learn_credentials(ENGINEERING_USER, ENGINEERING_PASSWORD);
}

fn doubts(world: &World) -> Vec<Doubt> {
    let doubt = |event: &Event| match event {
        Event::OwnerDoubted { doubt, .. } => Some(*doubt),
        _ => None,
    };
    world.events.iter().filter_map(doubt).collect()
}

#[test]
fn an_address_is_its_claimants_where_nothing_speaks_for_another() {
    for company in [ANOTHER_COMPANY, COMPANY] {
        let outcome = call(&mut claimed_by(company), SALES, showing_a_number());
        assert_eq!(outcome, (Asked::ForNothing, 200, Some(ENGINEERING_ID)));
    }
}

#[test]
fn a_claimed_address_takes_no_calls_from_a_pbx_that_registers() {
    for company in [ANOTHER_COMPANY, COMPANY] {
        let mut world = claimed_by(company);
        world.register(SALES, 3_600);
        let outcome = call(&mut world, SALES, showing_a_number());
        assert_eq!(outcome, (Asked::ForAPassword, 200, Some(SALES_ID)));
        let (_, _, refused) = call(&mut world, SALES, showing_a_number().max_forwards(0));
        assert_eq!((refused, world.desk.books.records.len()), (Some(SALES_ID), 2));
        assert_eq!(doubts(&world), [Doubt::Flow; 2]);
    }
}

#[test]
fn a_from_that_names_another_user_is_asked_for_its_password() {
    for company in [ANOTHER_COMPANY, COMPANY] {
        let mut world = claimed_by(company);
        let outcome = call(&mut world, SALES, Dial::to(FAR_AWAY));
        assert_eq!(outcome, (Asked::ForAPassword, 200, Some(SALES_ID)));
        assert_eq!(doubts(&world), [Doubt::From]);
    }
    // Whether there is such a user is not told, and escapes hide no name.
    for user in ["99050000000999", "%39%3905000000010%31"] {
        let mut world = claimed_by(ANOTHER_COMPANY);
        world.agents[SALES].learn_credentials("nobody", "wrong");
        let (asked, _, whose) = call(&mut world, SALES, Dial::to(FAR_AWAY).from(user));
        assert_eq!((asked, whose), (Asked::ForAPassword, None), "{user}");
    }
}

#[test]
fn a_pbx_that_proves_its_password_without_registering_keeps_its_calls() {
    let mut world = claimed_by(ANOTHER_COMPANY);
    call(&mut world, SALES, Dial::to(FAR_AWAY));
    // From another port, as over a new connection.
    world.agents[SALES].address.set_port(7_777);
    let outcome = call(&mut world, SALES, showing_a_number());
    assert_eq!(outcome, (Asked::ForAPassword, 200, Some(SALES_ID)));
    assert_eq!(doubts(&world), [Doubt::From, Doubt::History]);
    // A restart forgets nothing.
    world.befall(Fault::GatewayDies);
    assert_eq!(call(&mut world, SALES, showing_a_number()).2, Some(SALES_ID));
    // A month later the address may be somebody else's.
    world.run(s(31 * 86_400));
    assert_eq!(call(&mut world, SALES, showing_a_number()).2, Some(ENGINEERING_ID));
}

#[test]
fn a_claimant_that_shares_its_address_tells_itself_apart_by_its_password() {
    let mut world = claimed_by(ANOTHER_COMPANY);
    call(&mut world, SALES, Dial::to(FAR_AWAY));
    world.agents[ENGINEERING].address = "198.51.100.11:7070".parse().unwrap();
    let outcome = call(&mut world, ENGINEERING, showing_a_number());
    assert_eq!(outcome, (Asked::ForAPassword, 407, None), "it has no password");
    move_engineering(&mut world, "198.51.100.11:7070");
    let outcome = call(&mut world, ENGINEERING, showing_a_number());
    assert_eq!(outcome, (Asked::ForAPassword, 200, Some(ENGINEERING_ID)));
}

#[test]
fn a_claim_that_waits_counts_where_the_password_was_proved() {
    let mut world = world(Proof::WaitingRange(ANOTHER_COMPANY));
    let outcome = call(&mut world, ENGINEERING, showing_a_number());
    assert_eq!(outcome, (Asked::ForAPassword, 407, None), "it waits");
    move_engineering(&mut world, "198.51.100.12:5060");
    let outcome = call(&mut world, ENGINEERING, showing_a_number());
    assert_eq!(outcome, (Asked::ForAPassword, 200, Some(ENGINEERING_ID)));
    let outcome = call(&mut world, ENGINEERING, showing_a_number());
    assert_eq!(outcome, (Asked::ForNothing, 200, Some(ENGINEERING_ID)), "the address is its own now");
    // Of the rest of the range it has proved nothing.
    world.agents[SALES].learn_credentials("nobody", "wrong");
    let (asked, _, whose) = call(&mut world, SALES, showing_a_number());
    assert_eq!((asked, whose), (Asked::ForAPassword, None));
}

#[test]
fn a_password_of_a_profile_that_is_known_by_address_counts_at_its_addresses_alone() {
    let mut world = world(Proof::Address);
    move_engineering(&mut world, "198.51.100.77:5060");
    let outcome = call(&mut world, ENGINEERING, showing_a_number());
    assert_eq!(outcome, (Asked::ForAPassword, 403, Some(ENGINEERING_ID)));
    let why = world.desk.books.records.last().map(|record| record.ending);
    assert_eq!(why, Some(Ending::Refused(Refusal::AddressNotAllowed)));
    // It does not register from anywhere.
    for address in ["198.51.100.77:5060", "198.51.100.12:5060"] {
        world.agents[ENGINEERING].address = address.parse().unwrap();
        let now = world.now();
        world.agents[ENGINEERING].start_registering(now, 3_600);
        world.flush();
        world.run(s(2));
        assert_eq!(world.agents[ENGINEERING].statuses(Method::Register).last(), Some(&503), "{address}");
        assert_eq!(world.gateway.bindings(None, 1).len(), 0);
    }
    let told =
        |event: &&Event| matches!(event, Event::RequestRefused { refusal: Refusal::KnownByAddress, .. });
    assert_eq!(world.events.iter().filter(told).count(), 2);
}
