//! Who is slowed, banned and at home.

use super::*;
use crate::timers::testing::start;
use crate::types::ProfileId;

const THIEF: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 66));
const PBX: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 11));
const SALES: Peer = Peer::Profile(ProfileId(1));

fn at(ms: u64) -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(start) + Duration::from_millis(ms)
}

fn claim(user: &str, print: u64) -> Claim {
    Claim { user: user.to_owned(), peer: Some(SALES), print }
}

fn bans() -> Bans {
    Bans::new(BanSettings::default(), &Limits::default())
}

/// A wrong guess; whether it was heard.
fn guess(bans: &mut Bans, now: Instant, place: Place, user: &str, print: u64) -> Hearing {
    let mut out = Outbox::default();
    let hearing = bans.hear(now, &claim(user, print), place, &mut out);
    if hearing == Hearing::Heard {
        bans.note_wrong(now, &claim(user, print), place, &mut out);
    }
    hearing
}

/// Guesses every so many milliseconds; how many were heard before the ban, and when it came.
fn guess_every(bans: &mut Bans, every_ms: u64, for_ms: u64) -> (usize, Option<u64>) {
    let mut heard = 0;
    for (print, ms) in (1..).zip((0..for_ms).step_by(usize::try_from(every_ms).unwrap())) {
        match guess(bans, at(ms), Place::Elsewhere(THIEF), "u", print) {
            Hearing::Heard => heard += 1,
            Hearing::SourceBanned => return (heard, Some(ms)),
            _ => {}
        }
    }
    (heard, None)
}

#[test]
fn the_faster_the_guesses_the_fewer_are_heard() {
    // Every 5 ms: ten, and the other thirty only count.
    assert_eq!(guess_every(&mut bans(), 5, 60_000), (10, Some(200)));
    // As fast as is heard: ten at once, then after 1, 2, 4, 8, 8, 8... s.
    let (heard, banned) = guess_every(&mut bans(), 500, 3_600_000);
    assert!((10..16).contains(&heard) && banned.unwrap() < 30_000, "{heard} {banned:?}");
    let (heard, banned) = guess_every(&mut bans(), 7_000, 3_600_000);
    assert!(heard <= 40 && banned.unwrap() < 300_000, "{heard} {banned:?}");
}

#[test]
fn a_pbx_that_retries_with_a_wrong_password_is_never_banned() {
    for every_s in [10, 30, 60] {
        let (heard, banned) = guess_every(&mut bans(), every_s * 1_000, 86_400_000);
        assert_eq!(banned, None, "every {every_s} s");
        assert_eq!(heard as u64, 86_400 / every_s, "and each time is told that it is wrong");
    }
}

#[test]
fn changed_settings_hold_for_the_next_guess_and_leave_bans_as_they_are() {
    let (mut bans, at_0) = (bans(), at(0));
    let ban_s = |bans: &mut Bans| {
        bans.in_force(at_0, None, 10).iter().map(|ban| ban.left.as_secs()).collect::<Vec<_>>()
    };
    for print in 1..4 {
        guess(&mut bans, at_0, Place::Elsewhere(THIEF), "u", print);
    }
    assert!(ban_s(&mut bans).is_empty());
    let brief = Duration::from_secs(60);
    bans.set(BanSettings { ban_after: 4, ban: brief, ..BanSettings::default() });
    guess(&mut bans, at_0, Place::Elsewhere(THIEF), "u", 4);
    assert_eq!(ban_s(&mut bans), [60]);
    bans.set(BanSettings::default());
    assert_eq!(ban_s(&mut bans), [60]);
}

#[test]
fn a_repeated_message_is_no_new_guess() {
    let mut bans = bans();
    for print in 0..10 {
        guess(&mut bans, at(0), Place::Elsewhere(THIEF), "u", print);
    }
    for _ in 0..100 {
        assert_eq!(guess(&mut bans, at(500), Place::Elsewhere(THIEF), "u", 10), Hearing::TooSoon);
    }
    assert_eq!(guess(&mut bans, at(2_000), Place::Elsewhere(THIEF), "u", 10), Hearing::Heard);
}

#[test]
fn a_ban_is_told_of_once_and_ends() {
    let mut bans = bans();
    let mut out = Outbox::default();
    for print in 0..100 {
        let claim = claim("u", print);
        if bans.hear(at(0), &claim, Place::Elsewhere(THIEF), &mut out) == Hearing::Heard {
            bans.note_wrong(at(0), &claim, Place::Elsewhere(THIEF), &mut out);
        }
    }
    assert_eq!(out.events.len(), 1, "{:?}", out.events);
    assert!(bans.is_banned(at(0), THIEF) && !bans.is_banned(at(0), PBX));
    let [ban] = &bans.in_force(at(1_000), None, 10)[..] else { panic!() };
    assert_eq!((&ban.whom, ban.left), (&Banned::Source(THIEF), Duration::from_secs(599)));
    assert!(!bans.is_banned(at(600_000), THIEF));
    assert_eq!(bans.in_force(at(600_000), None, 10), []);
    assert_eq!(guess(&mut bans, at(600_000), Place::Elsewhere(THIEF), "u", 1), Hearing::Heard);
}

#[test]
fn bans_are_listed_in_parts_and_counted_while_they_last() {
    let mut bans =
        Bans::new(BanSettings { ban_after: 2, slow_after: 1, ..BanSettings::default() }, &Limits::default());
    let source = |last: u8| IpAddr::from([198, 18, 0, last]);
    for last in 0..5 {
        for print in 0..2 {
            guess(&mut bans, at(u64::from(last) * 1_000), Place::Elsewhere(source(last)), "u", print);
        }
    }
    guard(&mut bans, "v");
    let mut listed = Vec::new();
    loop {
        let part = bans.in_force(at(5_000), listed.last(), 2);
        assert!(part.len() <= 2);
        if part.is_empty() {
            break;
        }
        listed.extend(part.into_iter().map(|ban| ban.whom));
    }
    let sources = (0..5).map(|last| Banned::Source(source(last)));
    assert_eq!(listed, sources.chain([Banned::User("v".to_owned())]).collect::<Vec<_>>());
    assert_eq!(bans.count(at(5_000)), BanCounts { sources: 5, users: 1 });
    assert_eq!(bans.count(at(602_500)), BanCounts { sources: 2, users: 0 }, "the others have ended");
    assert!(bans.release(at(602_500), &Banned::Source(source(3))));
    assert_eq!(bans.in_force(at(602_500), None, 10).len(), 1);
}

#[test]
fn the_operator_releases_a_source_and_a_user() {
    let mut bans = bans();
    let whom = Banned::Source(THIEF);
    assert!(!bans.release(at(0), &whom));
    guess_every(&mut bans, 5, 1_000);
    assert!(bans.release(at(1_000), &whom) && !bans.is_banned(at(1_000), THIEF));
    assert!(!bans.release(at(1_000), &whom));
    guard(&mut bans, "v");
    let whom = Banned::User("v".to_owned());
    assert_eq!(bans.in_force(at(0), None, 10).pop().map(|ban| ban.whom), Some(whom.clone()));
    assert!(bans.release(at(0), &whom) && bans.in_force(at(0), None, 10).is_empty());
}

/// Guesses for a user from so many sources that it is guarded.
fn guard(bans: &mut Bans, user: &str) {
    for number in 0..100u64 {
        let source = IpAddr::from([192, 0, 2, u8::try_from(number).unwrap()]);
        assert_eq!(guess(bans, at(0), Place::Elsewhere(source), user, number), Hearing::Heard);
    }
}

#[test]
fn a_guarded_user_is_heard_at_home_only_whether_or_not_it_exists() {
    for user in ["99050000000101", "nobody"] {
        let mut bans = bans();
        guard(&mut bans, user);
        assert_eq!(guess(&mut bans, at(0), Place::Elsewhere(THIEF), "another", 1), Hearing::Heard);
        assert_eq!(guess(&mut bans, at(0), Place::Elsewhere(THIEF), user, 1), Hearing::UserGuarded);
        assert_eq!(guess(&mut bans, at(0), Place::Home(SALES), user, 1), Hearing::Heard);
        assert_eq!(guess(&mut bans, at(0), Place::Binding, user, 1), Hearing::Heard);
        assert_eq!(guess(&mut bans, at(300_000), Place::Elsewhere(THIEF), user, 1), Hearing::Heard);
    }
}

#[test]
fn at_home_guesses_are_slowed_and_never_banned_and_the_binding_not_even_slowed() {
    let mut bans = bans();
    for print in 0..1_000 {
        assert_eq!(guess(&mut bans, at(print), Place::Binding, "u", print), Hearing::Heard);
    }
    let heard = (0..1_000)
        .filter(|print| guess(&mut bans, at(*print), Place::Home(SALES), "u", *print) == Hearing::Heard);
    assert_eq!(heard.count(), 10);
    let remembered = bans.sources.rows[&Suspect::AtHome(SALES)].guesses.len();
    assert_eq!(remembered, 42, "more than lead to anything are forgotten");
    let pause = bans.settings.pause_after(remembered);
    assert_eq!(pause, bans.settings.longest_pause, "and it waits as long as it ever does");
    assert_eq!(guess(&mut bans, at(60_000), Place::Home(SALES), "u", 7), Hearing::Heard);
    assert!(bans.in_force(at(60_000), None, 10).is_empty());
}

#[test]
fn a_home_is_a_network_of_a_peer_until_its_password_changes() {
    let mut bans = bans();
    let other = Peer::Profile(ProfileId(2));
    let six = |text: &str| text.parse::<IpAddr>().unwrap();
    bans.note_right(at(0), PBX, SALES);
    bans.note_right(at(1), PBX, SALES);
    bans.note_right(at(2), six("2001:db8::1"), other);
    assert!(bans.is_home(PBX, SALES) && !bans.is_home(PBX, other) && !bans.is_home(THIEF, SALES));
    assert!(bans.is_home(six("2001:db8::ffff"), other) && !bans.is_home(six("2001:db8:0:1::1"), other));
    assert!(bans.is_anybodys_home(PBX) && !bans.is_anybodys_home(THIEF));
    bans.forget_homes(&BTreeSet::from([SALES]));
    assert!(!bans.is_home(PBX, SALES) && !bans.is_anybodys_home(PBX));
    assert_eq!((bans.homes.since.len(), bans.homes.by_age.len(), bans.homes.by_peer.len()), (1, 1, 1));
}

#[test]
fn memory_is_bounded_and_given_back() {
    let limits = Limits { suspects: 3, bindings: 3, ..Limits::default() };
    let mut bans = Bans::new(BanSettings::default(), &limits);
    for number in 0..200u8 {
        let (now, source) = (at(number.into()), IpAddr::from([192, 0, 2, number]));
        let name = format!("{number}{}", "ü".repeat(1_000));
        guess(&mut bans, now, Place::Elsewhere(source), &name, number.into());
        bans.note_right(now, source, SALES);
    }
    assert_eq!((bans.sources.rows.len(), bans.sources.by_age.len()), (3, 3));
    assert_eq!((bans.users.rows.len(), bans.users.by_age.len()), (3, 3));
    assert_eq!((bans.homes.since.len(), bans.homes.by_age.len(), bans.homes.by_peer.len()), (3, 3, 3));
    assert!(bans.users.rows.keys().all(|name| name.len() <= USER_OCTETS));
    assert!(bans.is_home(IpAddr::from([192, 0, 2, 199]), SALES));
    guess(&mut bans, at(400_000), Place::Elsewhere(THIEF), "u", 1);
    assert_eq!((bans.sources.rows.len(), bans.users.rows.len()), (1, 1), "idle rows are forgotten");
}
