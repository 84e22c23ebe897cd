//! How refusals are brought about.

use sip_core::auth::digest::answer_challenge;
use sip_core::directory::Suspended;
use sip_core::gateway::Gateway;
use sip_core::message::{Method, Name};
use sip_core::refusal::Refusal;
use sip_core::settings::{CallSettings, HostPolicy, Tuning};
use sip_core::types::{CarrierId, Transport};

use crate::agent::Overheard;
use crate::agent::manner::{Act, Dial, Manner, ms, s};
use crate::provisioning::{ESTONIA, FAR_AWAY, Provisions, SALES_NUMBER, SALES_PASSWORD, SALES_USER};
use crate::world::{ALPHA, ENGINEERING, SALES, Setting, World};

/// Where a refusal is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// In the final answer to the INVITE, the log and the record.
    InAnswer,
    /// In BYE or CANCEL, the log and the record.
    InGoodbye,
    /// In the answer to a REGISTER, the log and on the profile's card.
    OnCard,
    /// The same where it is no profile's.
    InLog,
    /// In the answer to one INVITE among many, and in a log that counts them.
    InFlood,
    /// In the answer to a request of a call that goes on, or that is over for another reason.
    Within,
    /// In the answer to a request that belongs to no call.
    Request,
}

/// An INVITE of Engineering's PBX, which is known by its address.
pub(super) const INVITE: &str = "INVITE sip:12152751701@gw.example SIP/2.0\r\n\
    Via: SIP/2.0/UDP 198.51.100.12:5060;branch=z9hG4bKraw\r\nMax-Forwards: 70\r\n\
    From: <sip:+12025550199@pbx.example>;tag=1\r\nTo: <sip:12152751701@gw.example>\r\nCall-ID: raw@pbx.example\r\n\
    CSeq: 1 INVITE\r\nContact: <sip:pbx@198.51.100.12>\r\nSubject: x\r\nUser-Agent: PBX\r\nContent-Length: 0\r\n\r\n";

/// A PBX of no make.
const PADDING: usize = 700;

/// A call of an agent's, until its end.
pub(super) fn dialled(mut world: World, agent: usize, dial: Dial) -> (World, Told) {
    world.dial(agent, dial);
    world.run(s(130));
    (world, Told::InAnswer)
}

pub(super) fn calling(number: &str) -> (World, Told) {
    dialled(World::new(), SALES, Dial::to(number))
}

/// A call of Sales to the network, where it is treated so.
pub(super) fn outgoing(manner: Manner) -> (World, Told) {
    let mut world = World::new();
    world.teach(ALPHA, manner);
    dialled(world, SALES, Dial::to(FAR_AWAY))
}

/// A call to Sales, whose PBX treats it so.
pub(super) fn incoming(manner: Manner, change: impl FnOnce(&mut World)) -> (World, Told) {
    let mut world = World::new();
    world.teach(SALES, manner);
    change(&mut world);
    dialled(world, ALPHA, Dial::to(SALES_NUMBER))
}

/// A callee that asks for a password that nobody has.
pub(super) fn demanding() -> Manner {
    Manner { demands: Some(("nobody", "knows")), ..Manner::polite() }
}

pub(super) fn with_carriers(carriers: Vec<CarrierId>) -> World {
    let provisions = Provisions { carriers, ..Provisions::default() };
    World::of(Setting { provisions, ..Setting::clear(1) })
}

/// Where Sales makes and takes no calls for the time being.
pub(super) fn suspended(suspended: Suspended) -> World {
    let provisions = Provisions { sales_suspended: Some(suspended), ..Provisions::default() };
    World::of(Setting { provisions, ..Setting::clear(1) })
}

/// A call from Sales that runs.
pub(super) fn talking(manner: Manner) -> World {
    let mut world = World::new();
    world.teach(ALPHA, manner);
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(5));
    world
}

/// What is asked within a call ends it.
pub(super) fn running(manner: Manner, act: Act) -> (World, Told) {
    let (world, _) = within(talking(manner), SALES, act);
    (world, Told::InGoodbye)
}

/// What is asked within a call is refused.
pub(super) fn within(mut world: World, agent: usize, act: Act) -> (World, Told) {
    world.act(agent, 0, act);
    world.run(s(40));
    (world, Told::Within)
}

/// More calls in a second than a profile or its company may begin.
pub(super) fn too_fast(profile: Option<u32>, company: Option<u32>) -> (World, Told) {
    let provisions =
        Provisions { calls_per_second: profile, company_calls_per_second: company, ..Provisions::default() };
    let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
    for number in 0..30 {
        world.dial_at(ms(number), ENGINEERING, Dial::to("1234567"));
    }
    world.run(s(2));
    (world, Told::InFlood)
}

pub(super) fn refused_by_the_relay(why: Refusal) -> (World, Told) {
    let mut world = World::new();
    world.desk.media_refusals = vec![why];
    dialled(world, SALES, Dial::to(FAR_AWAY))
}

pub(super) fn refused_by_the_ledger(why: Refusal) -> (World, Told) {
    let mut world = World::new();
    world.desk.books.verdict = Some(why);
    dialled(world, SALES, Dial::to(FAR_AWAY))
}

/// A call that may not go on when what is paid has run out.
pub(super) fn cut_short(why: Refusal) -> (World, Told) {
    let mut world = World::new();
    world.dial(SALES, Dial::to(ESTONIA));
    world.run(s(2));
    world.desk.books.verdict = Some(why);
    world.run(s(600));
    (world, Told::InGoodbye)
}

/// What an agent says as it is written.
pub(super) fn said(agent: usize, text: &str, told: Told) -> (World, Told) {
    let mut world = World::new();
    let own = world.agents[agent].address.to_string();
    let padded = format!("User-Agent: {}", "x".repeat(PADDING));
    world.say(agent, &text.replace("198.51.100.12:5060", &own).replace("User-Agent: PBX", &padded));
    world.run(s(2));
    (world, told)
}

/// An INVITE of Engineering's PBX as it is written.
pub(super) fn invited(text: &str) -> (World, Told) {
    said(ENGINEERING, text, Told::InAnswer)
}

/// The same with a body.
pub(super) fn offered(kind: &str, fields: &str, body: &str) -> (World, Told) {
    let ending = format!("Content-Type: {kind}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len());
    invited(&INVITE.replace("Content-Length: 0\r\n\r\n", &ending))
}

/// A description with so many lines more than it needs.
pub(super) fn sdp(host: &str, port: &str, more: usize) -> String {
    let connection = if host.is_empty() { String::new() } else { format!("c=IN IP4 {host}\r\n") };
    let more = "a=x\r\n".repeat(more);
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.12\r\ns=-\r\n{connection}t=0 0\r\nm=audio {port} RTP/AVP 8\r\n{more}"
    )
}

/// A REGISTER of an agent, with these credentials if they are not its own.
pub(super) fn registering_as(
    agent: usize,
    provisions: Provisions,
    credentials: Option<(&str, &str)>,
) -> (World, Told) {
    let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
    if let Some((user, password)) = credentials {
        world.agents[agent].learn_credentials(user, password);
    }
    let now = world.now();
    world.agents[agent].start_registering(now, 3_600);
    world.flush();
    world.run(s(2));
    let is_profiles = world.gateway.refused_registrations(None, 1).len() == 1;
    (world, if is_profiles { Told::OnCard } else { Told::InLog })
}

fn register(number: u32, to: &str, contact: &str, more: &str) -> String {
    let padding = "x".repeat(PADDING);
    format!(
        "REGISTER sip:gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.11:5060;branch=z9hG4bKr{number}\r\n\
         Max-Forwards: 70\r\nFrom: <{to}>;tag=1\r\nTo: <{to}>\r\nCall-ID: raw\r\nCSeq: {number} REGISTER\r\n\
         Contact: {contact}\r\nUser-Agent: {padding}\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

pub(super) fn proof(asked: &str, user: &str, password: &str) -> String {
    answer_challenge(asked, "REGISTER", "sip:gw.example", user, password, "c0ffee", 1).expect("a challenge")
}

/// A REGISTER of Sales with the right password.
pub(super) fn registering(to: &str, contact: &str, edit: impl Fn(String) -> String) -> (World, Told) {
    let mut world = World::unregistered(Setting::clear(1));
    prove(&mut world, to, contact, |_, right| edit(right));
    (world, Told::OnCard)
}

/// A REGISTER of Sales with what is made of the challenge and of the right proof.
pub(super) fn registering_with(edit: impl Fn(&str, String) -> String) -> (World, Told) {
    let mut world = World::unregistered(Setting::clear(1));
    prove(&mut world, "sip:99050000000101@gw.example", "<sip:pbx@198.51.100.11>", edit);
    (world, Told::OnCard)
}

/// A PBX that answers the same challenge time and again.
pub(super) fn answering_an_old_challenge() -> (World, Told) {
    let mut world = World::unregistered(Setting::clear(1));
    let (to, contact) = ("sip:99050000000101@gw.example", "<sip:pbx@198.51.100.11>");
    let mut credentials = String::new();
    for number in 1..=12 {
        world.say(SALES, &register(number, to, contact, &credentials));
        world.run(s(1));
        if number == 1 {
            let challenge = world.agents[SALES].strays.last().expect("a challenge");
            let asked = challenge.header(Name::WwwAuthenticate).expect("a challenge");
            credentials = format!("Authorization: {}\r\n", proof(asked, SALES_USER, SALES_PASSWORD));
        }
    }
    (world, Told::OnCard)
}

fn prove(world: &mut World, to: &str, contact: &str, edit: impl Fn(&str, String) -> String) {
    world.say(SALES, &register(1, to, contact, ""));
    world.run(s(1));
    let challenge = world.agents[SALES].strays.last().expect("a challenge");
    let asked = challenge.header(Name::WwwAuthenticate).expect("a challenge").to_owned();
    let shown = edit(&asked, proof(&asked, SALES_USER, SALES_PASSWORD));
    world.say(SALES, &register(2, to, contact, &format!("Authorization: {shown}\r\n")));
    world.run(s(1));
}

/// Sales registered over a connection, behind a NAT: nobody can connect to it.
pub(super) fn connected() -> World {
    let mut world = World::unregistered(Setting::clear(1));
    world.agents[SALES].inside = Some(([10, 0, 0, 5], 5060).into());
    world.connect(SALES, Transport::Tls);
    world.register(SALES, 3_600);
    world
}

/// An INFO of the caller in its first call.
pub(super) fn info(world: &World, number: u32) -> String {
    let known = world.agents[SALES].overhear(0);
    info_of(&known, number)
}

fn info_of(known: &Overheard, number: u32) -> String {
    format!(
        "INFO sip:y@gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.11:5060;branch=z9hG4bKi{number}\r\n\
         From: <sip:x@x.example>;tag={}\r\nTo: <sip:y@gw.example>;tag={}\r\nCall-ID: {}\r\n\
         CSeq: {number} INFO\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        known.local_tag, known.remote_tag, known.call_id
    )
}

/// A call whose callee hears nothing any more, and an INFO that waits for its answer.
pub(super) fn cut_off_after_info() -> (World, Told) {
    let mut world = talking(Manner::polite());
    let address = world.agents[ALPHA].address.ip();
    world.network.cut(address);
    let text = info(&world, 900);
    world.say(SALES, &text);
    world.run(s(1));
    (world, Told::Within)
}

/// An INFO to a device that rings and does not take it.
pub(super) fn info_while_ringing() -> (World, Told) {
    let mut world = World::new();
    world.teach(ALPHA, Manner { info: Some(481), ..Manner::ringing() });
    world.dial(SALES, Dial::to(FAR_AWAY));
    world.run(s(2));
    let ringing = world.agents[SALES].responses(Method::Invite).find(|it| it.status() == 180);
    let remote_tag = ringing.and_then(|it| it.to()?.tag().map(str::to_owned)).expect("it rings");
    let text = info_of(&Overheard { remote_tag, ..world.agents[SALES].overhear(0) }, 900);
    world.say(SALES, &text);
    world.run(s(1));
    (world, Told::Within)
}

/// A callee whose answer is lost, and that hangs up at once.
pub(super) fn hung_up_unanswered() -> (World, Told) {
    let mut world = World::new();
    world.dial(SALES, Dial::to(FAR_AWAY));
    let is_answered =
        |world: &World| world.agents[ALPHA].calls.first().is_some_and(|call| call.answered.is_some());
    assert!(world.run_until(s(5), is_answered));
    world.lose_what_is_on_its_way();
    world.act(ALPHA, 0, Act::HangUpRudely);
    world.run(ms(50));
    let address = world.agents[ALPHA].address.ip();
    world.network.cut(address);
    world.run(s(5));
    (world, Told::InAnswer)
}

pub(super) fn too_long() -> (World, Told) {
    let mut world = World::new();
    let calls = CallSettings { longest: s(30), ..CallSettings::default() };
    world.gateway.set_tuning(Tuning { calls, ..Tuning::default() });
    let (world, _) = dialled(world, SALES, Dial::to(FAR_AWAY));
    (world, Told::InGoodbye)
}

/// A call to a host that is not this gateway, which takes its own names alone.
pub(super) fn elsewhere() -> (World, Told) {
    let mut world = World::new();
    world.settings.hosts = HostPolicy::Own;
    world.gateway = Gateway::new(world.settings.clone(), world.directory.clone(), [7; 32]);
    world.say(ENGINEERING, &INVITE.replacen("@gw.example", "@elsewhere.example", 1));
    world.run(s(2));
    (world, Told::InAnswer)
}
