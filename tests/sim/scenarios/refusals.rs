//! Every reason to refuse: provoked on the wire, and told in the same words in the answer, the log, the record and the card.
//!
//! A new reason does not compile until `provoke` says how it comes about. One that cannot come about has no place in the
//! table.

mod scenes;

use sip_core::directory::Suspended;
use sip_core::message::{Message, Name};
use sip_core::refusal::Refusal;
use sip_core::types::{Ending, Event};
use sipgw::observe::ending_told;

use self::scenes::{
    INVITE, Told, calling, cut_short, demanding, dialled, incoming, invited, offered, outgoing,
    refused_by_the_ledger, refused_by_the_relay, registering, registering_as, registering_with, running,
    said, sdp, with_carriers, within,
};
use crate::agent::mangle::Mangling;
use crate::agent::manner::{Act, Change, Dial, Duty, Manner, s};
use crate::provisioning::{self, ENGINEERING_NUMBER, FAR_AWAY, Proof, Provisions, SALES_NUMBER, Vanessa};
use crate::world::{ALPHA, ENGINEERING, PHONE, SALES, STRANGER, Setting, World};

#[test]
fn every_reason_is_told_in_its_own_words_wherever_it_is_told() {
    for &why in Refusal::ALL {
        let (world, told) = provoke(why);
        is_told(&world, why, told);
    }
}

/// Brings a refusal about.
fn provoke(why: Refusal) -> (World, Told) {
    match why {
        Refusal::AccountAttached => {
            let provisions = Provisions { vanessa: Vanessa::Attached, ..Provisions::default() };
            registering_as(PHONE, provisions, None)
        }
        // What the relay says of descriptions and of itself.
        Refusal::AddressFamilyChanged
        | Refusal::AddressFamilyUnsupported
        | Refusal::AnswerWithoutOffer
        | Refusal::CryptoNotOffered
        | Refusal::CryptoUnusable
        | Refusal::MediaOutOfStep
        | Refusal::MediaOverloaded
        | Refusal::MediaStopped
        | Refusal::MediaUnavailable
        | Refusal::MediaWithoutSocket
        | Refusal::SecureMediaForbidden
        | Refusal::SecureMediaRequired
        | Refusal::SecureMediaWithoutKey => refused_by_the_relay(why),
        Refusal::AddressIncomplete => calling("1234567"),
        Refusal::AddressNotAllowed => {
            let mut world = World::new();
            world.agents[ENGINEERING].address = "198.51.100.77:5060".parse().expect("an address");
            let (user, password) = (provisioning::ENGINEERING_USER, provisioning::ENGINEERING_PASSWORD);
            world.agents[ENGINEERING].learn_credentials(user, password);
            dialled(world, ENGINEERING, Dial::to(FAR_AWAY).from("+12025550199"))
        }
        Refusal::AddressOfAnother => {
            registering("sip:12026555376@gw.example", "<sip:pbx@198.51.100.11>", |it| it)
        }
        Refusal::AnswerMissing => outgoing(Manner { answer_sdp: Duty::Neglected, ..Manner::polite() }),
        Refusal::AnswerUnconfirmed => {
            let dial = Dial::to(FAR_AWAY).from("+12025550199").never_acknowledged();
            let (world, _) = dialled(World::new(), ENGINEERING, dial);
            (world, Told::InGoodbye)
        }
        Refusal::AnswerUnreadable => {
            let mut world = World::new();
            world.teach(ALPHA, Manner { early: Vec::new(), ..Manner::polite() });
            world.agents[ALPHA].mangling = Mangling::Statusless;
            dialled(world, SALES, Dial::to(FAR_AWAY))
        }
        Refusal::AnswerUnusable => outgoing(Manner { answer_port: Some("99999"), ..Manner::polite() }),
        Refusal::BadContact => registering("sip:99050000000101@gw.example", "<mailto:a@b>", |it| it),
        Refusal::BadCredentials => {
            registering_with(|asked, _| scenes::proof(asked, provisioning::SALES_USER, "wrong"))
        }
        Refusal::BadPath => with_path("<tel:+12025550123>"),
        Refusal::BadRequest => invited(&INVITE.replace("CSeq: 1 INVITE", "CSeq: one INVITE")),
        Refusal::BodyNotUnderstood => offered("text/plain", "", "hello"),
        Refusal::BodyTooLong => invited(&INVITE.replace("Content-Length: 0", "Content-Length: 99999")),
        Refusal::CallForgotten => running(Manner { reinvite: 481, ..Manner::polite() }, hold()),
        Refusal::CallOver => {
            let (mut world, _) = scenes::cut_off_after_info();
            world.act(SALES, 0, Act::HangUp);
            world.run(s(1));
            (world, Told::Within)
        }
        Refusal::CalledProfileInactive => {
            incoming(Manner::polite(), |world| world.desk.books.verdict = Some(Refusal::ProfileInactive))
        }
        Refusal::CalledSuspended => {
            dialled(scenes::suspended(Suspended::Company), ALPHA, Dial::to(SALES_NUMBER))
        }
        Refusal::CalleeAmbiguous => outgoing(Manner::refusing(485)),
        Refusal::CalleeBusy => outgoing(Manner::refusing(486)),
        Refusal::CalleeDeclined => outgoing(Manner::refusing(603)),
        Refusal::CalleeFailed => outgoing(Manner::refusing(494)),
        Refusal::CalleeForbids => outgoing(Manner::refusing(403)),
        Refusal::CalleeIncomplete => outgoing(Manner::refusing(484)),
        Refusal::CalleeLacksExtension => outgoing(Manner::refusing(420)),
        Refusal::CalleeLoop => outgoing(Manner::refusing(482)),
        Refusal::CalleeMoved => outgoing(Manner::refusing(410)),
        Refusal::CalleeNeedsExtension => outgoing(Manner::refusing(421)),
        Refusal::CalleeRedirected => outgoing(Manner::refusing(302)),
        Refusal::CalleeUnavailable => outgoing(Manner::refusing(480)),
        Refusal::CalleeUnknown => outgoing(Manner::refusing(404)),
        Refusal::CalleeWantsCaller => outgoing(Manner::refusing(433)),
        Refusal::CallerGone => {
            let mut world = scenes::connected();
            world.teach(ALPHA, Manner::ringing());
            world.dial(SALES, Dial::to(FAR_AWAY));
            world.run(s(2));
            world.agents[SALES].break_down();
            world.break_connections(SALES);
            world.run(s(60));
            (world, Told::InGoodbye)
        }
        Refusal::Cancelled => {
            let mut world = World::new();
            world.teach(ALPHA, Manner::ringing());
            dialled(world, SALES, Dial::to(FAR_AWAY).cancelled_after(s(2)))
        }
        Refusal::CarrierAuthentication => {
            let mut world = with_carriers(vec![provisioning::ALPHA]);
            world.teach(ALPHA, demanding());
            dialled(world, SALES, Dial::to(FAR_AWAY))
        }
        Refusal::CarrierRegisters => {
            registering_as(STRANGER, Provisions::default(), Some(provisioning::BETA_CREDENTIALS))
        }
        Refusal::CarriersFailed => {
            let mut world = with_carriers(vec![provisioning::ALPHA]);
            world.teach(ALPHA, Manner::refusing(503));
            dialled(world, SALES, Dial::to(FAR_AWAY))
        }
        Refusal::CompanySuspended => {
            dialled(scenes::suspended(Suspended::Company), SALES, Dial::to(FAR_AWAY))
        }
        Refusal::ProfileSuspended => {
            dialled(scenes::suspended(Suspended::Profile), SALES, Dial::to(FAR_AWAY))
        }
        Refusal::CompanyTooFast => scenes::too_fast(None, Some(2)),
        Refusal::CompanyCreditExhausted
        | Refusal::CreditExhausted
        | Refusal::LongestCall
        | Refusal::SpendCapExhausted => cut_short(why),
        Refusal::ConnectionLost => {
            let mut world = scenes::connected();
            world.dial(SALES, Dial::to(FAR_AWAY));
            world.run(s(5));
            world.break_connections(SALES);
            world.run(s(120));
            (world, Told::InGoodbye)
        }
        // What the ledger says before the call.
        Refusal::CountryBusy
        | Refusal::CountryDenied
        | Refusal::NoChannel
        | Refusal::NoCompanyCredit
        | Refusal::NoCredit
        | Refusal::NoRate
        | Refusal::NothingOnHand
        | Refusal::PremiumDenied
        | Refusal::PriceTooHigh
        | Refusal::ProfileInactive
        | Refusal::SpendCapReached
        | Refusal::StoreUnavailable => refused_by_the_ledger(why),
        Refusal::CredentialsAlgorithm => {
            registering_with(|_, it| it.replace("algorithm=MD5", "algorithm=SHA-256"))
        }
        Refusal::CredentialsIncomplete => registering_with(|_, it| it.replace(", nc=00000001", "")),
        Refusal::CredentialsProtection => registering_with(|_, it| it.replace("qop=auth", "qop=auth-int")),
        Refusal::CredentialsRealm => {
            registering_with(|_, it| it.replace("realm=\"gw.example\"", "realm=\"pbx\""))
        }
        Refusal::CredentialsScheme => {
            let (world, _) = registering_with(|_, _| "Basic dTpw".to_owned());
            (world, Told::InLog)
        }
        Refusal::CredentialsStale => scenes::answering_an_old_challenge(),
        Refusal::CredentialsUnreadable => registering_with(|_, it| it.replace("nc=00000001", "nc=one")),
        Refusal::DescriptionNotUnicast => offered("application/sdp", "", &sdp("224.2.0.1", "4000", 0)),
        Refusal::DescriptionTooLong => offered("application/sdp", "", &sdp("198.51.100.12", "4000", 1_100)),
        Refusal::DescriptionUnreadable => offered("application/sdp", "", "hello"),
        Refusal::DescriptionWithoutAddress => offered("application/sdp", "", &sdp("", "4000", 0)),
        Refusal::DescriptionWithoutPort => offered("application/sdp", "", &sdp("198.51.100.12", "99999", 0)),
        Refusal::Emergency => calling("911"),
        Refusal::EncodingNotUnderstood => offered("application/sdp", "Content-Encoding: gzip\r\n", "x"),
        Refusal::EndedByOperator | Refusal::MediaSilent => {
            let mut world = World::new();
            world.dial(SALES, Dial::to(FAR_AWAY));
            world.run(s(5));
            let (now, call) = (world.present(), world.gateway.live_calls()[0].call);
            world.gateway.end_call(now, call, why);
            world.flush();
            world.run(s(5));
            (world, Told::InGoodbye)
        }
        Refusal::ExtensionUnsupported => {
            dialled(World::new(), SALES, Dial::to(FAR_AWAY).header("Require", "foo"))
        }
        Refusal::ForwardedInCircle => {
            let value = format!("<sip:{SALES_NUMBER}@pbx.example>;reason=unconditional");
            dialled(World::new(), ENGINEERING, Dial::to(SALES_NUMBER).header("Diversion", &value))
        }
        Refusal::HeaderTooLong => {
            invited(&INVITE.replace("Subject: x", &format!("Supported: {}", "x".repeat(20_000))))
        }
        Refusal::HungUpUnanswered => scenes::hung_up_unanswered(),
        Refusal::InternalFault => {
            let mut world = World::new();
            world.desk.studio_pace = crate::desk::Pace::Mute;
            dialled(world, SALES, Dial::to(FAR_AWAY))
        }
        Refusal::IntervalTooBrief => {
            registering("sip:99050000000101@gw.example", "<sip:pbx@198.51.100.11>;expires=1", |it| it)
        }
        Refusal::InvitationExpired => {
            let mut world = World::new();
            world.teach(ALPHA, Manner::ringing());
            dialled(world, SALES, Dial::to(FAR_AWAY).header("Expires", "5"))
        }
        Refusal::KnownByAddress => {
            let credentials = (provisioning::ENGINEERING_USER, provisioning::ENGINEERING_PASSWORD);
            registering_as(ENGINEERING, Provisions::default(), Some(credentials))
        }
        Refusal::LoopDetected => dialled(World::new(), SALES, Dial::to(FAR_AWAY).max_forwards(0)),
        Refusal::MediaOff => dialled(World::new(), SALES, Dial::to(FAR_AWAY).offering(Change::HoldByPort)),
        Refusal::MediaRefused => outgoing(Manner::refusing(488)),
        Refusal::MethodNotAllowed => said(ALPHA, &INVITE.replace("INVITE", "PUBLISH"), Told::Request),
        Refusal::NoAck => {
            let (world, _) = dialled(World::new(), SALES, Dial::to(FAR_AWAY).never_acknowledged());
            (world, Told::InGoodbye)
        }
        Refusal::NoAddressToCall => {
            let provisions = Provisions { engineering: Proof::Certificate, ..Provisions::default() };
            let world = World::of(Setting { provisions, ..Setting::clear(1) });
            dialled(world, ALPHA, Dial::to(ENGINEERING_NUMBER))
        }
        Refusal::NoAnswer => outgoing(Manner::ringing()),
        Refusal::NoCarrier => dialled(with_carriers(Vec::new()), SALES, Dial::to(FAR_AWAY)),
        Refusal::NoChannelIncoming => {
            incoming(Manner::polite(), |world| world.desk.books.verdict = Some(Refusal::NoChannel))
        }
        Refusal::NoLateAnswer => {
            let (world, _) = dialled(World::new(), SALES, Dial::to(FAR_AWAY).late_without_answer());
            (world, Told::InGoodbye)
        }
        Refusal::NoMediaInCommon => {
            let fax =
                sdp("198.51.100.12", "4000", 0).replace("m=audio 4000 RTP/AVP 8", "m=image 4000 udptl t38");
            offered("application/sdp", "", &fax)
        }
        Refusal::NoPrack => {
            let mut world = World::new();
            world.teach(ALPHA, Manner::ringing());
            dialled(world, SALES, Dial::to(FAR_AWAY).header("Require", "100rel"))
        }
        Refusal::NoSuchDialog => {
            let bye =
                INVITE.replace("INVITE", "BYE").replace("@gw.example>\r\nCall", "@gw.example>;tag=9\r\nCall");
            said(ALPHA, &bye, Told::Request)
        }
        Refusal::NotAnsweredYet => scenes::info_while_ringing(),
        Refusal::NotRegistered => {
            dialled(World::unregistered(Setting::clear(1)), ALPHA, Dial::to(SALES_NUMBER))
        }
        Refusal::NumberNotAssigned => dialled(World::new(), ALPHA, Dial::to("12025550000")),
        Refusal::OtherSideLost => {
            let mut world = scenes::connected();
            world.dial(SALES, Dial::to(FAR_AWAY));
            world.run(s(5));
            world.break_connections(SALES);
            world.run(s(3));
            within(world, ALPHA, hold())
        }
        Refusal::OtherSideNeedsExtension => refused_within(421),
        Refusal::OtherSideRedirects => refused_within(302),
        Refusal::OtherSideRefuses => refused_within(420),
        Refusal::OtherSideSlow => {
            let world = scenes::talking(Manner { reinvite_after: s(100_000), ..Manner::polite() });
            within(world, SALES, Act::Update(Change::Hold))
        }
        Refusal::Overloaded => {
            let mut provisions = Provisions::default();
            provisions.limits.calls = 0;
            let world = World::of(Setting { provisions, ..Setting::clear(1) });
            dialled(world, SALES, Dial::to(FAR_AWAY))
        }
        Refusal::PathTooLong => with_path(&["<sip:edge.example;lr>"; 9].join(", ")),
        Refusal::PbxDemandsCredentials => incoming(demanding(), |_| {}),
        Refusal::PbxFailed => incoming(Manner::refusing(500), |_| {}),
        Refusal::PbxUnreachable => incoming(Manner::polite(), |world| world.agents[SALES].is_down = true),
        Refusal::PhoneCannotCall => {
            let provisions = Provisions { vanessa: Vanessa::Detached, ..Provisions::default() };
            let mut world = World::of(Setting { provisions, ..Setting::clear(1) });
            world.register(PHONE, 3_600);
            dialled(world, PHONE, Dial::to(FAR_AWAY))
        }
        Refusal::ProfileDeleted => {
            let mut world = World::new();
            world.dial(SALES, Dial::to(FAR_AWAY));
            world.run(s(5));
            let profiles = vec![provisioning::ENGINEERING];
            world.provision(&Provisions { profiles, ..Provisions::default() });
            world.run(s(5));
            (world, Told::InGoodbye)
        }
        Refusal::ProfileTooFast => scenes::too_fast(Some(2), None),
        Refusal::RequestOutOfOrder => {
            let mut world = scenes::talking(Manner::polite());
            let text = scenes::info(&world, 0);
            world.say(SALES, &text);
            world.run(s(1));
            (world, Told::Within)
        }
        Refusal::RequestPending => {
            let (mut world, _) = scenes::cut_off_after_info();
            for number in 901..909 {
                let text = scenes::info(&world, number);
                world.say(SALES, &text);
            }
            world.run(s(1));
            (world, Told::Within)
        }
        Refusal::RequestWithdrawn => {
            let mut world = scenes::talking(Manner { reinvite_after: s(100), ..Manner::polite() });
            world.act(SALES, 0, hold());
            world.run(s(1));
            within(world, SALES, Act::Cancel)
        }
        Refusal::SchemeUnsupported => invited(&INVITE.replacen("sip:", "sips:", 1)),
        Refusal::SessionExpired => {
            let mut world = World::of(Setting { session_s: Some(90), ..Setting::clear(1) });
            let session = Some("90;refresher=uac");
            world.teach(ALPHA, Manner { update: Some(408), session, ..Manner::polite() });
            let (world, _) = dialled(world, SALES, Dial::to(FAR_AWAY));
            (world, Told::InGoodbye)
        }
        Refusal::SessionIntervalTooSmall => dialled(World::new(), SALES, Dial::to(FAR_AWAY).timed("30")),
        Refusal::ShuttingDown => {
            let mut world = World::new();
            world.gateway.refuse_new_calls();
            dialled(world, SALES, Dial::to(FAR_AWAY))
        }
        Refusal::SideSilent => running(Manner { reinvite: 408, ..Manner::polite() }, hold()),
        Refusal::TooLong => scenes::too_long(),
        Refusal::UnknownHost => scenes::elsewhere(),
        Refusal::UnknownPeer => said(STRANGER, &INVITE.replace("INVITE", "OPTIONS"), Told::Request),
        Refusal::UnknownUser => {
            let (world, _) = registering_with(|asked, _| scenes::proof(asked, "99050000000999", "wrong"));
            (world, Told::InLog)
        }
        Refusal::UriTooLong => {
            invited(&INVITE.replacen("sip:12", &format!("sip:{}12", "x".repeat(5_000)), 1))
        }
        Refusal::VersionUnsupported => invited(&INVITE.replacen("SIP/2.0\r\n", "SIP/3.0\r\n", 1)),
    }
}

fn hold() -> Act {
    Act::Reinvite(Change::Hold)
}

/// A re-INVITE that the other side refuses with a status of its own.
fn refused_within(status: u16) -> (World, Told) {
    within(scenes::talking(Manner { reinvite: status, ..Manner::polite() }), SALES, hold())
}

/// Whether it is told in the same words everywhere.
fn is_told(world: &World, why: Refusal, told: Told) {
    let heard = world.agents.iter().flat_map(|agent| agent.heard.iter().chain(&agent.strays));
    // Whether the user name or the password was wrong is told in the log alone.
    let shown = if why == Refusal::UnknownUser { Refusal::BadCredentials } else { why };
    let message = match told {
        Told::InGoodbye => heard.into_iter().find(|it| it.is_request() && is_reason(it, shown)),
        _ => heard.into_iter().find(|it| it.header_named("X-Sipgw-Reason") == Some(shown.code())),
    };
    let message = message.unwrap_or_else(|| panic!("{why:?} is told nobody"));
    assert!(is_reason(message, shown), "{why:?}: {:?}", fields(message));
    if !message.is_request() {
        assert_eq!(message.status(), shown.status(), "{why:?}");
        let warning = format!("399 gw.example \"{}\"", shown.sentence());
        assert!(message.headers(Name::Warning).any(|it| it == warning), "{why:?}: {warning}");
    }
    let ending = if why == Refusal::Cancelled { Ending::Cancelled } else { Ending::Refused(why) };
    match told {
        Told::InAnswer | Told::InGoodbye => {
            let records = &world.desk.books.records;
            let record = records.iter().find(|it| it.ending == ending);
            let record = record.unwrap_or_else(|| panic!("{why:?} is in no record"));
            assert!(ending_told(&record.ending, record.detail.as_deref()).starts_with(why.sentence()));
            let is_logged = |event: &Event| matches!(event, Event::Ended { ending: it, .. } if *it == ending);
            assert!(world.events.iter().any(is_logged), "{why:?} is not in the log");
        }
        Told::OnCard | Told::InLog => {
            let is_logged =
                |event: &Event| matches!(event, Event::RequestRefused { refusal, .. } if *refusal == why);
            assert!(world.events.iter().any(is_logged), "{why:?} is not in the log");
            let cards = world.gateway.refused_registrations(None, 9);
            assert_eq!(cards.iter().any(|it| it.why == why), told == Told::OnCard, "{why:?}: {cards:?}");
        }
        Told::InFlood => {
            let is_logged = |event: &Event| matches!(event, Event::CallTooFast { why: it, .. } if *it == why);
            assert!(world.events.iter().any(is_logged), "{why:?} is not in the log");
        }
        Told::Within | Told::Request => {}
    }
}

/// Whether a message has our two Reasons; the cause may be a carrier's own.
fn is_reason(message: &Message, why: Refusal) -> bool {
    let (row, said) = (why.row(), why.sentence());
    let ours = [
        format!("Q.850;cause={};text=\"{said}\"", row.cause),
        format!("SIP;cause={};text=\"{said}\"", row.status),
    ];
    let fields = fields(message);
    match fields.as_slice() {
        [first, second] if why == Refusal::CarriersFailed => {
            first.ends_with(&said_in(said)) && *second == ours[1]
        }
        [first, second] => [first, second] == [&ours[0], &ours[1]],
        _ => false,
    }
}

fn said_in(sentence: &str) -> String {
    format!(";text=\"{sentence}\"")
}

/// The Reason fields as they stand on the wire.
fn fields(message: &Message) -> Vec<String> {
    let text = String::from_utf8_lossy(message.bytes());
    text.lines().filter_map(|line| line.strip_prefix("Reason: ")).map(str::to_owned).collect()
}

/// A REGISTER that came through these proxies.
fn with_path(path: &str) -> (World, Told) {
    let add = |credentials: String| format!("{credentials}\r\nPath: {path}");
    registering("sip:99050000000101@gw.example", "<sip:pbx@198.51.100.11>", add)
}
