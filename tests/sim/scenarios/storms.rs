//! Everything at once, in foul weather: calls of every kind, treated in every manner, over a network that loses,
//! repeats and reorders, while machines break down, the store fails and the clock jumps. Nothing is expected of a single
//! call; the checks must hold at every step.

use std::time::Duration;

use provisioning_store::money::Micros;

use crate::agent::mangle::Mangling;
use crate::agent::manner::{
    Act, Arrival, Asked, Change, Devices, Dial, Duty, Early, EarlyMedia, Hurdle, Last, Manner, OnCancel,
    Proxy, ms, s,
};
use crate::agent::secure::Protection;
use crate::desk::Pace;
use crate::dice::Dice;
use crate::faults::Fault;
use crate::network::Weather;
use crate::provisioning::{
    self, BETA_CREDENTIALS, ECHO, ENGINEERING_NUMBER, ESTONIA, FAR_AWAY, Provisions, SALES_NUMBER,
};
use crate::world::{ALPHA, BETA, ENGINEERING, GAMMA_ONE, GAMMA_TWO, SALES, STRANGER, Setting, World};

/// Calls in each storm.
const CALLS: u64 = 12;
/// Storms in a usual run whose seeds nobody has seen before.
const FRESH: u64 = 20;
/// How often sessions are refreshed where anybody may break down, seconds: both ends of a call may.
const SESSION_S: u32 = 90;

fn change(dice: &mut Dice) -> Change {
    *dice.pick(&[
        Change::Hold,
        Change::Mute,
        Change::HoldByZeros,
        Change::HoldByRecvOnly,
        Change::HoldBySession,
        Change::HoldByPort,
        Change::Resume,
        Change::ResumeBySilence,
        Change::Rekey,
        Change::Move,
        Change::Late,
        Change::LateUnanswered,
    ])
}

/// What somebody does during a call; in the end he hangs up, or leaves it to the other side or to the money.
fn script(dice: &mut Dice) -> Vec<(Duration, Act)> {
    let mut acts = Vec::new();
    for _ in 0..dice.below(4) {
        let after = dice.between_ms(0, 25_000);
        let act = match dice.below(7) {
            0 => Act::Info,
            6 => Act::Update(change(dice)),
            1 => Act::Refresh(if dice.hits(50) { "uac" } else { "uas" }),
            _ => Act::Reinvite(change(dice)),
        };
        acts.push((after, act));
        if dice.hits(15) {
            acts.push((after + dice.between_ms(1, 300), Act::Cancel));
        }
    }
    acts.push((dice.between_ms(0, 90_000), Act::HangUp));
    acts
}

fn early(dice: &mut Dice) -> Vec<Early> {
    let provisional = |dice: &mut Dice| Early {
        after: dice.between_ms(0, 3_000),
        status: *dice.pick(&[180, 183, 181]),
        media: *dice.pick(&[EarlyMedia::None, EarlyMedia::Described]),
        arrival: *dice.pick(&[Arrival::Hoped, Arrival::Hoped, Arrival::Sure]),
    };
    (0..dice.below(4)).map(|_| provisional(dice)).collect()
}

fn manner(dice: &mut Dice, demands: Option<(&'static str, &'static str)>) -> Manner {
    let last = match dice.below(10) {
        0 => Last::Never,
        1 | 2 => {
            let status = *dice.pick(&[302, 404, 408, 480, 486, 487, 488, 500, 503, 603]);
            Last::Refuse(dice.between_ms(0, 10_000), status)
        }
        _ => Last::Answer(dice.between_ms(0, 15_000)),
    };
    Manner {
        trying: if dice.hits(80) { Duty::Done } else { Duty::Neglected },
        early: early(dice),
        last,
        answer_port: None,
        answer_sdp: if dice.hits(90) { Duty::Done } else { Duty::Neglected },
        then: script(dice),
        reinvite: *dice.pick(&[200, 200, 200, 200, 488, 491, 500, 481]),
        reinvite_sdp: if dice.hits(95) { Duty::Done } else { Duty::Neglected },
        info: Some(*dice.pick(&[200, 200, 200, 200, 415, 481])),
        reinvite_after: dice.between_ms(0, 2_000),
        on_cancel: *dice.pick(&[
            OnCancel::Obey,
            OnCancel::Obey,
            OnCancel::AnswerNevertheless,
            OnCancel::AcceptReinvite,
            OnCancel::Forget,
        ]),
        devices: *dice.pick(&[
            Devices::One,
            Devices::One,
            Devices::RingsHereAnswersThere,
            Devices::TwoAnswer,
        ]),
        session: *dice.pick(&[None, None, Some("90;refresher=uac"), Some("90;refresher=uas")]),
        update: *dice.pick(&[None, None, Some(200), Some(405)]),
        answers_bye: if dice.hits(95) { Duty::Done } else { Duty::Neglected },
        demands: demands.filter(|_| dice.hits(70)),
        asked: *dice.pick(&[Asked::FirstInvite, Asked::EveryRequest, Asked::EveryRequestAnew]),
        proxy: *dice.pick(&[Proxy::None, Proxy::None, Proxy::Loose, Proxy::Strict]),
        hurdles: if dice.hits(10) {
            vec![Hurdle::TooBrief(2_000 + dice.below(2_000) as u32)]
        } else {
            Vec::new()
        },
        refusal_fields: if dice.hits(10) { vec![("Retry-After", "5")] } else { Vec::new() },
    }
}

fn dial(dice: &mut Dice, to: &str) -> Dial {
    let mut dial = Dial::to(to);
    // Without an ACK a late offer stays unanswered, and the callee is right to complain of the ACK it never got.
    match dice.below(100) {
        0..20 => dial = dial.late(),
        20..25 => dial = dial.never_acknowledged(),
        _ => {}
    }
    if dice.hits(20) {
        let field = *dice.pick(&["Require", "Supported"]);
        dial = dial.confirming(field);
    }
    if dice.hits(20) {
        dial = dial.cancelled_after(dice.between_ms(0, 12_000));
    }
    dial.then = script(dice);
    dial
}

/// One storm from its seed to the last linger.
fn storm(seed: u64) {
    let dice = &mut Dice::new(seed ^ 0x5eed);
    let carriers = match dice.below(3) {
        0 => vec![provisioning::ALPHA, provisioning::BETA],
        1 => vec![provisioning::GAMMA, provisioning::ALPHA],
        _ => vec![provisioning::ALPHA, provisioning::BETA, provisioning::GAMMA],
    };
    let has_faults = dice.hits(60);
    let mut world = World::of(Setting {
        seed,
        weather: Weather::foul(dice),
        provisions: Provisions { carriers, ..Provisions::default() },
        credit: Micros(*dice.pick(&[100_000, 1_000_000, 3_000_000, 10_000_000])),
        channels: 2 + dice.below(4) as u32,
        session_s: has_faults.then_some(SESSION_S),
    });
    world.desk.books_pace = Pace::Within(*dice.pick(&[0, 3, 50, 400]));
    world.desk.studio_pace = Pace::Within(*dice.pick(&[0, 3, 50, 400]));
    for agent in [SALES, ENGINEERING, ALPHA, BETA, GAMMA_ONE, GAMMA_TWO] {
        let demands = (agent == BETA).then_some(BETA_CREDENTIALS);
        world.agents[agent].protection =
            *dice.pick(&[Protection::None, Protection::None, Protection::Optional]);
        world.agents[agent].manners = (0..4).map(|_| manner(dice, demands)).collect();
    }
    // Dice of their own, so that the storms that found something once stay what they were.
    let odd = &mut Dice::new(seed ^ 0x0dd);
    for agent in [ENGINEERING, ALPHA, BETA, GAMMA_ONE, GAMMA_TWO] {
        world.agents[agent].mangling = *odd.pick(&[Mangling::None, Mangling::None, Mangling::Oddities]);
    }
    // Some take no call without reliable provisional responses, whether its caller makes an offer or not.
    for agent in [SALES, ENGINEERING, ALPHA, BETA, GAMMA_ONE, GAMMA_TWO] {
        let insistent = world.agents[agent].manners.iter_mut().filter(|it| it.hurdles.is_empty());
        insistent.filter(|_| odd.hits(10)).for_each(|manner| manner.hurdles.push(Hurdle::Unreliable));
    }
    let numbers = [FAR_AWAY, ESTONIA, ECHO, SALES_NUMBER, ENGINEERING_NUMBER, "911", "architects.sales"];
    for _ in 0..CALLS {
        let caller = *dice.pick(&[SALES, SALES, ENGINEERING, ENGINEERING, ALPHA, BETA, GAMMA_TWO, STRANGER]);
        let to = *dice.pick(&numbers);
        world.dial_at(dice.between_ms(0, 60_000), caller, dial(dice, to));
    }
    for _ in 0..if has_faults { 1 + dice.below(4) } else { 0 } {
        world.befall_at(dice.between_ms(0, 90_000), Fault::any(dice));
    }
    world.run(s(61));
    world.run(ms(dice.below(5_000)));
    world.settle();
}

/// The storms of every fourth seed, so that four tests share them and run side by side.
fn storms(quarter: u64) {
    let is_ours = |seed: &u64| seed % 4 == quarter;
    match crate::seed() {
        Some(seed) => Some(seed).filter(is_ours).into_iter().for_each(storm),
        None => (1..=crate::seeds()).filter(is_ours).for_each(storm),
    }
}

#[test]
fn storms_of_the_first_quarter() {
    storms(1);
}

#[test]
fn storms_of_the_second_quarter() {
    storms(2);
}

#[test]
fn storms_of_the_third_quarter() {
    storms(3);
}

#[test]
fn storms_of_the_fourth_quarter() {
    storms(0);
}

/// Seeds that found something once; each is kept.
const KEPT: [u64; 3] = [
    // A second 2xx to an INVITE that was taken for refused lacked its Call-ID, and so did its ACK.
    385,
    // A second device's 2xx without a Contact came when its call was forgotten, and was left unacknowledged.
    1_918,
    // A gateway died with a re-INVITE on its way: the PBX, which had hung up meanwhile, refused it to nobody.
    6_744,
];

#[test]
fn storms_that_found_something_once() {
    if crate::seed().is_none() {
        KEPT.into_iter().for_each(storm);
    }
}

#[test]
fn storms_that_nobody_has_seen_before() {
    if crate::seed().is_some() {
        return;
    }
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    // Six digits are enough to be new, and short enough to be typed.
    let first = 1_000_000 + (since_1970.as_millis() % 1_000_000_000) as u64;
    println!("fresh seeds: {first} and the {} after it", FRESH - 1);
    (first..first + FRESH).for_each(storm);
}
