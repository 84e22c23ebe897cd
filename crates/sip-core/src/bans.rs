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

mod homes;
mod table;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use self::homes::Homes;
use self::table::{Answer, Row, Table};
use crate::directory::Peer;
use crate::guard::network;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::settings::BanSettings;
use crate::types::Event;

/// The interval before the first guess of a source that is slowed; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Doublings of it after which no pause grows.
const DOUBLINGS: u32 = 32;
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

/// How many bans are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BanCounts {
    /// Sources that are not heard.
    pub sources: usize,
    /// User names that are heard only from where their passwords were proved.
    pub users: usize,
}

/// A source by what it counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Suspect {
    Network(IpAddr),
    /// Somebody at the home of a peer, trying for that peer: slowed, but never banned.
    AtHome(Peer),
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
            homes: Homes::new(limits.bindings),
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
        row.keep_latest(settings.most_guesses());
        if let Suspect::Network(source) = suspect
            && row.guesses.len() >= settings.ban_after as usize
        {
            sources.close(suspect, now + settings.ban);
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
            let user = row.user.to_string();
            users.close(name_of(claim), now + settings.guard);
            out.tell(Event::UserGuarded { user, lasts: settings.guard });
        }
    }

    /// The next bans in force behind `after`, in order, `most` of them.
    pub(crate) fn in_force(&mut self, now: Instant, after: Option<&Banned>, most: usize) -> Vec<Ban> {
        let sources = match after {
            None => self.sources.closed(now, None, most),
            Some(Banned::Source(source)) => {
                self.sources.closed(now, Some(&Suspect::Network(network(*source))), most)
            }
            Some(Banned::User(_)) => Vec::new(),
        };
        let source = |(suspect, row): (&Suspect, &Row)| match suspect {
            Suspect::Network(source) => row.ban(now, Banned::Source(*source)),
            Suspect::AtHome(_) => None,
        };
        let mut bans: Vec<_> = sources.into_iter().filter_map(source).collect();
        let behind = match after {
            Some(Banned::User(name)) => Some(cut(name)),
            Some(Banned::Source(_)) | None => None,
        };
        let users = self.users.closed(now, behind.as_ref(), most.saturating_sub(bans.len()));
        bans.extend(users.into_iter().filter_map(|(name, row)| row.ban(now, Banned::User(name.to_string()))));
        bans
    }

    /// How many sources are banned, and how many users are guarded.
    pub(crate) fn count(&mut self, now: Instant) -> BanCounts {
        BanCounts { sources: self.sources.count_closed(now), users: self.users.count_closed(now) }
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

    /// With so many guesses a source is banned, or waits as long as it ever does.
    fn most_guesses(&self) -> usize {
        self.slow_after.saturating_add(DOUBLINGS).max(self.ban_after) as usize
    }
}

fn name_of(claim: &Claim) -> Box<str> {
    cut(&claim.user)
}

fn cut(name: &str) -> Box<str> {
    name[..name.floor_char_boundary(USER_OCTETS)].into()
}

#[cfg(test)]
mod tests;
