//! Who guesses passwords: slowed, then banned, without harm to whoever has proved to know one.
//!
//! A guess is a fresh nonce answered wrongly. Nonces are bound to their source, so guesses cannot be forged in
//! somebody else's name, and a PBX that answers a nonce of another time has guessed nothing.
//!
//! - By source (an address, or a /64 of IPv6): after some guesses only one more is heard in a growing interval, and
//!   guesses made meanwhile count without being looked at. After many, nothing from there is heard for a while.
//! - By user name, whether or not there is such a user: after many guesses from anywhere only those are heard who
//!   have proved the password before.
//! - Whoever has proved a password is at home with that user: what others do at the same address, behind the same
//!   NAT, or with the same user name elsewhere, does not count against it.
//!
//! A PBX with a wrong password that tries every ten seconds or more seldom stays below what leads to a ban.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::directory::Peer;
use crate::guard::network;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::settings::BanSettings;
use crate::types::Event;

/// The interval before the first guess of a source that is slowed; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Octets of a user name that are remembered: ours have 14, and nobody may fill the memory with long ones.
const USER_OCTETS: usize = 64;

/// Whom an answer to a challenge claims to be from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The user name.
    pub(crate) user: String,
    /// Who has that name, if anybody.
    pub(crate) peer: Option<Peer>,
    /// The same for the same answer to the same nonce: a message that was repeated is no new guess.
    pub(crate) print: u64,
}

/// Where a claim comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The very flow that the user's PBX has registered over.
    Binding,
    /// A host where this user's password was proved.
    Home(Peer),
    /// Anywhere else.
    Elsewhere(IpAddr),
}

/// Whether a claim's proof is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    Heard,
    /// The source has to wait before its next guess.
    TooSoon,
    SourceBanned,
    /// Too many guesses were made for this user, and this source never proved its password.
    UserGuarded,
}

impl Hearing {
    /// Why there is no answer.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Heard => "heard",
            Self::TooSoon => "a guess too soon after wrong ones",
            Self::SourceBanned => BANNED,
            Self::UserGuarded => "a guess for a guarded user",
        }
    }
}

/// Why nothing is heard from a banned source.
pub(crate) const BANNED: &str = "a banned source";

/// Who is not heard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Banned {
    /// A source: an IPv4 address, or the first address of an IPv6 /64.
    Source(IpAddr),
    /// A user name, for those who never proved its password.
    User(String),
}

/// A ban in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who is not heard.
    pub whom: Banned,
    /// The user name tried last.
    pub user: String,
    /// How long it goes on.
    pub left: Duration,
}

/// A source by what it counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Suspect {
    Network(IpAddr),
    /// Somebody at the home of a peer, trying for that peer: slowed, but never banned.
    AtHome(Peer),
}

/// The guesses of one suspect, or for one user.
#[derive(Debug)]
struct Row {
    /// When they were made, oldest first; only those within the window.
    guesses: VecDeque<Instant>,
    /// When the last one was answered.
    answered: Instant,
    touched: Instant,
    closed_until: Option<Instant>,
    user: Box<str>,
    print: u64,
}

/// A bounded number of rows; the one untouched for longest makes room.
#[derive(Debug)]
struct Table<K> {
    rows: HashMap<K, Row>,
    by_age: BTreeSet<(Instant, K)>,
    max: usize,
}

/// Guesses, bans, and who is at home where.
#[derive(Debug)]
pub(crate) struct Bans {
    settings: BanSettings,
    sources: Table<Suspect>,
    users: Table<Box<str>>,
    homes: Homes,
}

impl Bans {
    pub(crate) fn new(settings: BanSettings, limits: &Limits) -> Self {
        Self {
            settings,
            sources: Table::new(limits.suspects),
            users: Table::new(limits.suspects),
            homes: Homes { since: BTreeMap::new(), by_age: BTreeSet::new(), max: limits.bindings },
        }
    }

    /// From now on guesses lead to this; bans in force last as long as they were to.
    pub(crate) fn set(&mut self, settings: BanSettings) {
        self.settings = settings;
    }

    /// Whether nothing is heard from this source.
    pub(crate) fn is_banned(&self, now: Instant, source: IpAddr) -> bool {
        !self.sources.rows.is_empty() && self.sources.is_closed(now, &Suspect::Network(network(source)))
    }

    /// Whether somebody proved a password at this source.
    pub(crate) fn is_anybodys_home(&self, source: IpAddr) -> bool {
        self.homes.is_anybodys(network(source))
    }

    /// Whether this peer proved its password at this source.
    pub(crate) fn is_home(&self, source: IpAddr, peer: Peer) -> bool {
        self.homes.since.contains_key(&(network(source), peer))
    }

    /// Whether the proof of a claim is looked at. Until then nothing says whether it is right, so a guess that is
    /// not heard teaches its maker nothing.
    pub(crate) fn hear(&mut self, now: Instant, claim: &Claim, place: Place, out: &mut Outbox) -> Hearing {
        let suspect = match place {
            Place::Binding => return Hearing::Heard,
            Place::Home(peer) => Suspect::AtHome(peer),
            Place::Elsewhere(source) => Suspect::Network(network(source)),
        };
        if self.sources.is_closed(now, &suspect) {
            return Hearing::SourceBanned;
        }
        if let Some(row) = self.sources.rows.get_mut(&suspect) {
            let pause = self.settings.pause_after(row.guesses_within(now, self.settings.window));
            if now < row.answered + pause {
                if row.print != claim.print {
                    self.count_source(now, suspect, claim, Answer::None, out);
                }
                return Hearing::TooSoon;
            }
        }
        let is_stranger = matches!(place, Place::Elsewhere(_));
        if is_stranger && self.users.is_closed(now, &*name_of(claim)) {
            return Hearing::UserGuarded;
        }
        Hearing::Heard
    }

    /// A claim that was heard was wrong.
    pub(crate) fn note_wrong(&mut self, now: Instant, claim: &Claim, place: Place, out: &mut Outbox) {
        match place {
            Place::Binding => {}
            Place::Home(peer) => self.count_source(now, Suspect::AtHome(peer), claim, Answer::Given, out),
            Place::Elsewhere(source) => {
                self.count_source(now, Suspect::Network(network(source)), claim, Answer::Given, out);
                self.count_user(now, claim, out);
            }
        }
    }

    /// A claim was right: whoever made it is at home where it came from.
    pub(crate) fn note_right(&mut self, now: Instant, source: IpAddr, peer: Peer) {
        self.homes.note(now, network(source), peer);
    }

    /// The peers' passwords have changed, so nobody has proved them yet.
    pub(crate) fn forget_homes(&mut self, peers: &BTreeSet<Peer>) {
        self.homes.forget(peers);
    }

    fn count_source(
        &mut self,
        now: Instant,
        suspect: Suspect,
        claim: &Claim,
        answer: Answer,
        out: &mut Outbox,
    ) {
        let Self { settings, sources, .. } = self;
        sources.forget_idle(now, settings.window);
        let row = sources.touch(now, suspect);
        row.note(now, settings.window, claim, answer);
        if let Suspect::Network(source) = suspect
            && row.guesses.len() >= settings.ban_after as usize
        {
            row.close(now + settings.ban);
            let user = claim.user.clone();
            out.tell(Event::SourceBanned { source, user, lasts: settings.ban });
        }
    }

    fn count_user(&mut self, now: Instant, claim: &Claim, out: &mut Outbox) {
        let Self { settings, users, .. } = self;
        users.forget_idle(now, settings.window);
        let row = users.touch(now, name_of(claim));
        row.note(now, settings.window, claim, Answer::Given);
        if row.guesses.len() >= settings.guard_after as usize {
            row.close(now + settings.guard);
            let user = row.user.to_string();
            out.tell(Event::UserGuarded { user, lasts: settings.guard });
        }
    }

    /// The bans in force, sources first.
    pub(crate) fn in_force(&self, now: Instant) -> Vec<Ban> {
        let sources = self.sources.rows.iter().filter_map(|(suspect, row)| match suspect {
            Suspect::Network(source) => row.ban(now, Banned::Source(*source)),
            Suspect::AtHome(_) => None,
        });
        let users =
            self.users.rows.iter().filter_map(|(name, row)| row.ban(now, Banned::User(name.to_string())));
        let mut bans: Vec<_> = sources.chain(users).collect();
        bans.sort_by(|one, other| one.whom.cmp(&other.whom));
        bans
    }

    /// Ends a ban before its time, and forgets what led to it; `false` if there is none.
    pub(crate) fn release(&mut self, now: Instant, whom: &Banned) -> bool {
        match whom {
            Banned::Source(source) => {
                let suspect = Suspect::Network(network(*source));
                self.sources.is_closed(now, &suspect) && self.sources.remove(&suspect)
            }
            Banned::User(name) => {
                let name = cut(name);
                self.users.is_closed(now, &*name) && self.users.remove(&name)
            }
        }
    }
}

impl BanSettings {
    /// How long a source has to wait after its last answer, which was the `guesses`th within the window.
    fn pause_after(&self, guesses: usize) -> Duration {
        let Some(beyond) = guesses.checked_sub(self.slow_after as usize) else { return Duration::ZERO };
        let doublings = u32::try_from(beyond).unwrap_or(u32::MAX);
        let factor = 2u32.checked_pow(doublings).unwrap_or(u32::MAX);
        FIRST_PAUSE.saturating_mul(factor).min(self.longest_pause)
    }
}

/// Whether a guess was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Given,
    None,
}

impl Row {
    fn guesses_within(&mut self, now: Instant, window: Duration) -> usize {
        while self.guesses.front().is_some_and(|at| now.saturating_duration_since(*at) >= window) {
            self.guesses.pop_front();
        }
        self.guesses.len()
    }

    fn note(&mut self, now: Instant, window: Duration, claim: &Claim, answer: Answer) {
        self.guesses_within(now, window);
        self.guesses.push_back(now);
        self.user = name_of(claim);
        self.print = claim.print;
        if answer == Answer::Given {
            self.answered = now;
        }
    }

    /// What comes after the ban counts anew.
    fn close(&mut self, until: Instant) {
        self.guesses = VecDeque::new();
        self.closed_until = Some(until);
    }

    fn ban(&self, now: Instant, whom: Banned) -> Option<Ban> {
        let left = self.closed_until?.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(Ban { whom, user: self.user.to_string(), left })
    }

    fn is_closed(&self, now: Instant) -> bool {
        self.closed_until.is_some_and(|until| now < until)
    }
}

impl<K: Clone + Ord + Hash> Table<K> {
    fn new(max: usize) -> Self {
        Self { rows: HashMap::new(), by_age: BTreeSet::new(), max: max.max(1) }
    }

    fn is_closed<Q: Hash + Eq + ?Sized>(&self, now: Instant, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
    {
        self.rows.get(key).is_some_and(|row| row.is_closed(now))
    }

    /// The row of a key, new if need be.
    fn touch(&mut self, now: Instant, key: K) -> &mut Row {
        match self.rows.get(&key) {
            Some(row) => {
                self.by_age.remove(&(row.touched, key.clone()));
            }
            None if self.rows.len() >= self.max => {
                if let Some((_, oldest)) = self.by_age.pop_first() {
                    self.rows.remove(&oldest);
                }
            }
            None => {}
        }
        self.by_age.insert((now, key.clone()));
        let row = self.rows.entry(key).or_insert_with(|| Row {
            guesses: VecDeque::new(),
            answered: now,
            touched: now,
            closed_until: None,
            user: Box::default(),
            print: 0,
        });
        row.touched = now;
        row
    }

    /// Forgets what has no consequences any more.
    fn forget_idle(&mut self, now: Instant, window: Duration) {
        while let Some((touched, key)) = self.by_age.first() {
            let is_recent = now.saturating_duration_since(*touched) < window;
            if is_recent || self.rows.get(key).is_some_and(|row| row.is_closed(now)) {
                return;
            }
            let key = key.clone();
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &K) -> bool {
        let Some(row) = self.rows.remove(key) else { return false };
        self.by_age.remove(&(row.touched, key.clone()));
        true
    }
}

/// Where which peer proved its password; the proof that lies back longest makes room.
#[derive(Debug)]
struct Homes {
    since: BTreeMap<(IpAddr, Peer), Instant>,
    by_age: BTreeSet<(Instant, IpAddr, Peer)>,
    max: usize,
}

impl Homes {
    fn note(&mut self, now: Instant, network: IpAddr, peer: Peer) {
        match self.since.insert((network, peer), now) {
            Some(before) => {
                self.by_age.remove(&(before, network, peer));
            }
            None if self.since.len() > self.max => {
                if let Some((_, network, peer)) = self.by_age.pop_first() {
                    self.since.remove(&(network, peer));
                }
            }
            None => {}
        }
        self.by_age.insert((now, network, peer));
    }

    fn is_anybodys(&self, network: IpAddr) -> bool {
        let first = (network, Peer::LEAST);
        self.since.range(first..).next().is_some_and(|((home, _), _)| *home == network)
    }

    /// Looks at every home, once for all of them.
    fn forget(&mut self, peers: &BTreeSet<Peer>) {
        if !peers.is_empty() {
            self.since.retain(|(_, peer), _| !peers.contains(peer));
            self.by_age.retain(|(_, _, peer)| !peers.contains(peer));
        }
    }
}

fn name_of(claim: &Claim) -> Box<str> {
    cut(&claim.user)
}

fn cut(name: &str) -> Box<str> {
    name[..name.floor_char_boundary(USER_OCTETS)].into()
}

#[cfg(test)]
mod tests {
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
        let ban_s =
            |bans: &Bans| bans.in_force(at_0).iter().map(|ban| ban.left.as_secs()).collect::<Vec<_>>();
        for print in 1..4 {
            guess(&mut bans, at_0, Place::Elsewhere(THIEF), "u", print);
        }
        assert!(ban_s(&bans).is_empty());
        let brief = Duration::from_secs(60);
        bans.set(BanSettings { ban_after: 4, ban: brief, ..BanSettings::default() });
        guess(&mut bans, at_0, Place::Elsewhere(THIEF), "u", 4);
        assert_eq!(ban_s(&bans), [60]);
        bans.set(BanSettings::default());
        assert_eq!(ban_s(&bans), [60]);
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
        let [ban] = &bans.in_force(at(1_000))[..] else { panic!() };
        assert_eq!((&ban.whom, ban.left), (&Banned::Source(THIEF), Duration::from_secs(599)));
        assert!(!bans.is_banned(at(600_000), THIEF));
        assert_eq!(bans.in_force(at(600_000)), []);
        assert_eq!(guess(&mut bans, at(600_000), Place::Elsewhere(THIEF), "u", 1), Hearing::Heard);
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
        assert_eq!(bans.in_force(at(0)).pop().map(|ban| ban.whom), Some(whom.clone()));
        assert!(bans.release(at(0), &whom) && bans.in_force(at(0)).is_empty());
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
        assert_eq!(guess(&mut bans, at(60_000), Place::Home(SALES), "u", 7), Hearing::Heard);
        assert!(bans.in_force(at(60_000)).is_empty());
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
        assert_eq!((bans.homes.since.len(), bans.homes.by_age.len()), (1, 1));
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
        assert_eq!((bans.homes.since.len(), bans.homes.by_age.len()), (3, 3));
        assert!(bans.users.rows.keys().all(|name| name.len() <= USER_OCTETS));
        assert!(bans.is_home(IpAddr::from([192, 0, 2, 199]), SALES));
        guess(&mut bans, at(400_000), Place::Elsewhere(THIEF), "u", 1);
        assert_eq!((bans.sources.rows.len(), bans.users.rows.len()), (1, 1), "idle rows are forgotten");
    }
}
