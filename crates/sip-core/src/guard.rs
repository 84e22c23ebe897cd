//! Before anything is parsed: what the first octets are, who is a scanner, and how fast a source may speak.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// What a datagram looks like from its first octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// May be a SIP message; the lexer decides.
    Sip,
    /// Nothing but line ends: keeps a NAT binding open. Ignored over UDP (RFC 5626 3.5.1 answers it over TCP).
    KeepaliveCrlf,
    /// Nothing but zero octets, or nothing at all: the same, from other makers.
    KeepaliveZeros,
    /// STUN (RFC 5389 6), which shares the port with SIP in RFC 5626.
    Stun,
    /// Anything else; met with silence.
    Junk,
}

/// The magic cookie of STUN (RFC 5389 6).
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Looks at a datagram, cheaply: every SIP message begins with a letter or another token character, perhaps after
/// line ends, and is longer than a keepalive.
pub fn classify(bytes: &[u8]) -> Guard {
    let start = bytes.trim_ascii_start();
    match (bytes, start) {
        _ if bytes.iter().all(|&octet| octet == 0) => Guard::KeepaliveZeros,
        (_, []) => Guard::KeepaliveCrlf,
        ([0..=3, _, _, _, cookie @ ..], _) if cookie.starts_with(&STUN_COOKIE) => Guard::Stun,
        (_, [first, ..])
            if start.len() > 4 && (first.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(first)) =>
        {
            Guard::Sip
        }
        // jaK and the like: a few letters as keepalive are seen in the field, and are no message.
        _ => Guard::Junk,
    }
}

/// How the User-Agent of tools begins that only ever look for gateways to abuse. The list stops nobody who means
/// harm; it keeps the noise of the rest out of logs and statistics.
const SCANNERS: [&str; 11] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sip-scan",
    "sipcli/",
    "sundayddr",
    "pplsip",
    "sipsak",
    "vaxsipuseragent",
    "scan-me",
    "siparmyknife",
];

/// Whether a User-Agent is that of a known scanner, in any case.
pub fn is_scanner(user_agent: &str) -> bool {
    let agent = user_agent.trim().as_bytes();
    SCANNERS.iter().any(|known| {
        agent.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known.as_bytes()))
    })
}

/// Whether a source may speak now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Within its rate.
    Within,
    /// Faster than its rate: drop and count.
    Exceeded,
}

/// Buckets that a full table looks at for one that is idle, before it lets a new key in: an attack by many addresses must
/// not make a datagram pay for a walk through all of them.
const LOOKS: usize = 4;

/// A token bucket for each key: a bounded number of them, and one common bucket for whatever does not fit.
#[derive(Debug)]
pub struct Rates<K> {
    buckets: HashMap<K, Bucket>,
    /// Their keys; those at the front are looked at next.
    round: VecDeque<K>,
    overflow: Option<Bucket>,
    per_second: f64,
    burst: f64,
    max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl<K: Copy + Eq + Hash> Rates<K> {
    /// One token each `every`, and `burst` of them at once, for each of at most `max` keys.
    pub fn new(every: Duration, burst: u32, max: usize) -> Self {
        let (per_second, burst) = (every.as_secs_f64().recip(), f64::from(burst.max(1)));
        Self { buckets: HashMap::new(), round: VecDeque::new(), overflow: None, per_second, burst, max }
    }

    /// Takes a token.
    pub fn take(&mut self, now: Instant, key: K) -> Pace {
        let full = Bucket { tokens: self.burst, filled: now };
        let is_known = self.buckets.contains_key(&key);
        let bucket = if is_known || self.has_room(now) {
            if !is_known {
                self.round.push_back(key);
            }
            self.buckets.entry(key).or_insert(full)
        } else {
            self.overflow.get_or_insert(full)
        };
        bucket.fill(now, self.per_second, self.burst);
        if bucket.tokens < 1.0 {
            return Pace::Exceeded;
        }
        bucket.tokens -= 1.0;
        Pace::Within
    }

    /// Puts back a token that was taken for nothing.
    pub fn give_back(&mut self, key: K) {
        let burst = self.burst;
        let bucket = match self.buckets.get_mut(&key) {
            None => self.overflow.as_mut(),
            own => own,
        };
        if let Some(bucket) = bucket {
            bucket.tokens = (bucket.tokens + 1.0).min(burst);
        }
    }

    /// Whether no token was ever taken.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Puts all of a key's tokens back.
    pub fn forget(&mut self, key: K) {
        if let Some(bucket) = self.buckets.get_mut(&key) {
            bucket.tokens = self.burst;
        }
    }

    /// Whether there is no token to take.
    pub fn is_exhausted(&self, now: Instant, key: K) -> bool {
        let common = || self.overflow.as_ref().filter(|_| self.buckets.len() >= self.max);
        let bucket = self.buckets.get(&key).or_else(common);
        bucket.is_some_and(|bucket| {
            let mut bucket = *bucket;
            bucket.fill(now, self.per_second, self.burst);
            bucket.tokens < 1.0
        })
    }

    /// Whether there is room for another key. A full bucket is the same as none.
    fn has_room(&mut self, now: Instant) -> bool {
        let looks = if self.buckets.len() < self.max { 0 } else { LOOKS.min(self.round.len()) };
        for _ in 0..looks {
            let Some(key) = self.round.pop_front() else { break };
            let Some(bucket) = self.buckets.get_mut(&key) else { continue };
            bucket.fill(now, self.per_second, self.burst);
            if bucket.tokens >= self.burst {
                self.buckets.remove(&key);
                break;
            }
            self.round.push_back(key);
        }
        self.buckets.len() < self.max
    }
}

/// How fast each source may speak. IPv6 sources count by their /64, since whoever has one address of it has them all.
#[derive(Debug)]
pub struct SourceRates(Rates<IpAddr>);

impl SourceRates {
    /// `per_second` messages on average and `burst` at once for each of at most `max` sources.
    pub fn new(per_second: u32, burst: u32, max: usize) -> Self {
        Self(Rates::new(Duration::from_secs(1) / per_second.max(1), burst, max))
    }

    /// Counts one message of a source.
    pub fn take(&mut self, now: Instant, source: IpAddr) -> Pace {
        self.0.take(now, network(source))
    }

    /// How many sources are tracked.
    pub fn tracked(&self) -> usize {
        self.0.buckets.len()
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant, per_second: f64, burst: f64) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * per_second).min(burst);
        self.filled = now.max(self.filled);
    }
}

/// What counts as one source: an IPv4 address, or the /64 of an IPv6 address.
pub fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_octets_tell() {
        for (bytes, guard) in [
            (&b""[..], Guard::KeepaliveZeros),
            (b"\0\0\0\0", Guard::KeepaliveZeros),
            (b"\0\0", Guard::KeepaliveZeros),
            (b"\r\n\r\n", Guard::KeepaliveCrlf),
            (b"\r\n", Guard::KeepaliveCrlf),
            (b"\0\x01\0\0\x21\x12\xa4\x42aaaaaaaaaaaa", Guard::Stun),
            (b"\r\nINVITE sip:a SIP/2.0\r\n", Guard::Sip),
            (b"SIP/2.0 200 OK", Guard::Sip),
            (b"jaK\0", Guard::Junk),
            (b"\x16\x03\x01hello", Guard::Junk),
            (b"<xml>", Guard::Junk),
        ] {
            assert_eq!(classify(bytes), guard, "{bytes:?}");
        }
    }

    #[test]
    fn scanners_are_known_by_name() {
        for agent in ["friendly-scanner", "SIPVicious", "sipcli/v1.8", "VaxSIPUserAgent/3.1", "sipsak 0.9.6"]
        {
            assert!(is_scanner(agent), "{agent}");
        }
        for agent in ["", "Asterisk PBX 20", "3CXPhoneSystem", "my sipsak", "sipgo"] {
            assert!(!is_scanner(agent), "{agent}");
        }
    }

    /// A starting point in time without asking a clock.
    fn start() -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "an Instant has no other constructor; only differences matter"
        )]
        *START.get_or_init(Instant::now)
    }

    #[test]
    fn a_source_may_burst_and_then_waits() {
        let mut rates = SourceRates::new(10, 3, 100);
        let one = "192.0.2.1".parse().unwrap();
        assert_eq!(
            [(); 4].map(|()| rates.take(start(), one)),
            [Pace::Within, Pace::Within, Pace::Within, Pace::Exceeded]
        );
        assert_eq!(rates.take(start(), "192.0.2.2".parse().unwrap()), Pace::Within);
        let later = start() + Duration::from_millis(100);
        assert_eq!([(); 2].map(|()| rates.take(later, one)), [Pace::Within, Pace::Exceeded]);
    }

    #[test]
    fn a_token_that_was_taken_for_nothing_is_put_back() {
        let mut rates = Rates::new(Duration::from_secs(1), 2, 1);
        assert!(!rates.is_exhausted(start(), "one"));
        assert_eq!(
            [(); 3].map(|()| rates.take(start(), "one")),
            [Pace::Within, Pace::Within, Pace::Exceeded]
        );
        assert!(rates.is_exhausted(start(), "one") && !rates.is_exhausted(start(), "other"));
        rates.give_back("one");
        assert!(!rates.is_exhausted(start(), "one"));
        rates.take(start(), "one");
        assert!(!rates.is_exhausted(start() + Duration::from_secs(1), "one"));
    }

    #[test]
    fn strangers_beyond_the_limit_share_one_bucket() {
        let mut rates = SourceRates::new(1, 1, 2);
        let source = |last: u8| IpAddr::from([192, 0, 2, last]);
        assert_eq!(
            [1, 2, 3, 4].map(|last| rates.take(start(), source(last))),
            [Pace::Within, Pace::Within, Pace::Within, Pace::Exceeded]
        );
        assert_eq!(rates.tracked(), 2);
        // Two seconds later the first two are idle, so there is room again.
        let later = start() + Duration::from_secs(2);
        assert_eq!([5, 6].map(|last| rates.take(later, source(last))), [Pace::Within, Pace::Within]);
        assert_eq!(rates.tracked(), 2);
        assert_eq!(rates.0.round.len(), 2);
    }

    #[test]
    fn many_strangers_find_the_places_of_those_that_are_idle() {
        let mut rates = SourceRates::new(1, 1, 100);
        let source = |number: u16| IpAddr::from([10, 0, number.to_be_bytes()[0], number.to_be_bytes()[1]]);
        for number in 0..1_000 {
            rates.take(start(), source(number));
        }
        assert_eq!((rates.tracked(), rates.0.round.len()), (100, 100));
        // A second later all are idle but one: with each newcomer one of them goes.
        let later = start() + Duration::from_secs(1);
        rates.take(later, source(0));
        let within = (2_000..2_099).filter(|number| rates.take(later, source(*number)) == Pace::Within);
        assert_eq!(within.count(), 99);
        assert_eq!(rates.take(later, source(0)), Pace::Exceeded, "who is active is remembered");
        assert_eq!((rates.tracked(), rates.0.round.len()), (100, 100));
    }

    #[test]
    fn ipv6_counts_by_network() {
        let mut rates = SourceRates::new(1, 1, 10);
        assert_eq!(rates.take(start(), "2001:db8::1".parse().unwrap()), Pace::Within);
        assert_eq!(rates.take(start(), "2001:db8::2".parse().unwrap()), Pace::Exceeded);
        assert_eq!(rates.take(start(), "2001:db8:0:1::1".parse().unwrap()), Pace::Within);
    }
}
