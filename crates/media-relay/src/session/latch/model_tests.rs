//! A small world around a latch, searched exhaustively: every short story of packets, signalling and silence, in each
//! kind of network. Whatever happens, a stranger never owns the leg, a place that was left does not take it back, and the
//! honest party has it in the end.

use super::*;
use crate::session::hosts::Network;
use std::net::IpAddr;

/// Steps of a story. Each has as many continuations as there are [`Step`]s.
const DEPTH: usize = 4;

/// Where the honest party is, and what it says of it.
struct Setup {
    name: &'static str,
    /// What it describes, and what it describes when it moves.
    signalled: [SocketAddr; 2],
    /// Where its packets come from in either case.
    source: [SocketAddr; 2],
    hosts: Hosts,
    /// Has it a key?
    is_secure: bool,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The honest party sends from its first or its second place.
    Speaks(usize),
    /// It sends control packets from there.
    Reports(usize),
    /// It sends from another port of its host.
    Strays,
    /// A stranger sends a whole stream, and control packets.
    Spray,
    /// The signalling names the first or the second place.
    Signal(usize),
    Hold,
    /// Nothing, for as long as frees a leg.
    Silence,
}

const STEPS: [Step; 10] = [
    Step::Speaks(0),
    Step::Speaks(1),
    Step::Reports(0),
    Step::Reports(1),
    Step::Strays,
    Step::Spray,
    Step::Signal(0),
    Step::Signal(1),
    Step::Hold,
    Step::Silence,
];

fn at(address: &str) -> SocketAddr {
    address.parse().expect("an address")
}

/// The stranger's addresses: some host, and one beside the honest party's that shares no port with it.
fn strangers() -> [SocketAddr; 2] {
    [at("203.0.113.66:666"), at("198.51.100.8:30000")]
}

fn setups() -> Vec<Setup> {
    let signalling = |host: &str| Hosts::signalling(host.parse::<IpAddr>().expect("a host"));
    let networks = [Network::new(at("192.0.2.0:0").ip(), 28)].into();
    let carrier = Hosts { networks, ..signalling("198.51.100.7") };
    let [one, other] = [at("192.0.2.1:4000"), at("192.0.2.1:4002")];
    let elsewhere = at("192.0.2.9:5000");
    let [private, moved] = [at("10.0.0.5:4000"), at("10.0.0.5:4002")];
    let mapped = [at("198.51.100.7:30000"), at("198.51.100.7:30001")];
    let setup = |name, signalled, source, hosts: &Hosts, is_secure| {
        let hosts = hosts.clone();
        Setup { name, signalled, source, hosts, is_secure }
    };
    let mut all = Vec::new();
    for is_secure in [false, true] {
        all.extend([
            setup("public", [one, other], [one, other], &signalling("192.0.2.1"), is_secure),
            setup(
                "public, another host",
                [one, elsewhere],
                [one, elsewhere],
                &signalling("192.0.2.1"),
                is_secure,
            ),
            setup("media apart", [one, other], [one, other], &signalling("198.51.100.7"), is_secure),
            setup("behind a NAT", [private, moved], mapped, &signalling("198.51.100.7"), is_secure),
            setup("one mapping", [private, moved], [mapped[0]; 2], &signalling("198.51.100.7"), is_secure),
            setup("networks", [private, elsewhere], [one, elsewhere], &carrier, is_secure),
        ]);
    }
    all
}

/// The latch and what is known of its story without it.
#[derive(Clone)]
struct World {
    latch: Latch,
    now: Instant,
    sequence: u16,
    /// Which place is signalled.
    signalled: usize,
    /// Which places held the leg while they were signalled. Of others nobody can tell which port of a NAT is theirs.
    is_known: [bool; 2],
    has_moved: bool,
    is_on_hold: bool,
    /// When anything but the left place was last admitted, or the signalling moved.
    stirred: Instant,
}

impl World {
    fn new(setup: &Setup, start: Instant) -> Self {
        let mut latch = Latch::default();
        latch.signal(start, Some(setup.signalled[0]), &setup.hosts);
        Self {
            latch,
            now: start,
            sequence: 0,
            signalled: 0,
            is_known: [false; 2],
            has_moved: false,
            is_on_hold: false,
            stirred: start,
        }
    }

    fn evidence(&mut self, is_secure: bool, ssrc: u32) -> Evidence {
        self.now += Duration::from_millis(20);
        self.sequence += 1;
        match is_secure {
            true => Evidence::Authentic,
            false => Evidence::Stream { ssrc, sequence: self.sequence },
        }
    }

    /// As many packets as any trial asks for; was the last one admitted?
    fn sends(&mut self, setup: &Setup, source: SocketAddr) -> bool {
        let mut is_admitted = false;
        for _ in 0..TRIAL_PACKETS {
            let evidence = self.evidence(setup.is_secure, 1);
            is_admitted = self.latch.admits(self.now, source, evidence);
        }
        is_admitted
    }

    fn take(&mut self, setup: &Setup, step: Step) {
        match step {
            Step::Speaks(place) => self.heard(setup, setup.source[place], Self::sends),
            Step::Reports(place) => self.heard(setup, setup.source[place], Self::reports),
            Step::Strays => {
                let source = SocketAddr::new(setup.source[self.signalled].ip(), 7777);
                self.heard(setup, source, Self::sends);
            }
            Step::Spray => self.spray(),
            Step::Signal(place) => self.signal(setup, place),
            Step::Hold => {
                self.latch.signal(self.now, None, &setup.hosts);
                self.is_on_hold = true;
            }
            Step::Silence => self.now += RELATCH_SILENCE,
        }
        self.check(setup);
    }

    fn reports(&mut self, setup: &Setup, source: SocketAddr) -> bool {
        self.now += Duration::from_millis(20);
        let companion = self.latch.source();
        let evidence = if setup.is_secure { Evidence::Authentic } else { Evidence::Control { companion } };
        self.latch.admits(self.now, source, evidence)
    }

    /// The honest party sends. From a place that was left it is admitted only after silence.
    fn heard(&mut self, setup: &Setup, source: SocketAddr, sends: fn(&mut Self, &Setup, SocketAddr) -> bool) {
        let is_silent = self.now.saturating_duration_since(self.stirred) >= RELATCH_SILENCE;
        let must_wait = self.is_left(setup, source) && !is_silent && self.latch.source() != Some(source);
        let is_admitted = sends(self, setup, source);
        assert!(!(must_wait && is_admitted), "a place that was left took the leg back");
        if is_admitted {
            self.stirred = self.now;
            self.is_known[self.signalled] |= source == setup.source[self.signalled];
        }
    }

    fn is_left(&self, setup: &Setup, source: SocketAddr) -> bool {
        let other = 1 - self.signalled;
        let is_told = setup.source[other] == setup.signalled[other] || self.is_known[other];
        self.has_moved && is_told && source == setup.source[other] && source != setup.source[self.signalled]
    }

    fn signal(&mut self, setup: &Setup, place: usize) {
        self.latch.signal(self.now, Some(setup.signalled[place]), &setup.hosts);
        self.is_on_hold = false;
        if self.signalled != place {
            (self.signalled, self.has_moved, self.stirred) = (place, true, self.now);
        }
    }

    fn spray(&mut self) {
        for stranger in strangers() {
            for _ in 0..TRIAL_PACKETS {
                let stream = self.evidence(false, 9);
                let report = Evidence::Control { companion: self.latch.source() };
                for evidence in [stream, report, Evidence::Control { companion: Some(stranger) }] {
                    assert!(!self.latch.admits(self.now, stranger, evidence), "a stranger was admitted");
                }
            }
        }
    }

    /// Media goes to the honest party's addresses and to no other.
    fn check(&self, setup: &Setup) {
        assert_eq!(self.latch.target().is_none(), self.is_on_hold);
        if let Some(target) = self.latch.target() {
            let is_honest =
                setup.source.iter().chain(&setup.signalled).any(|known| known.ip() == target.ip());
            assert!(is_honest, "media goes to {target}");
        }
    }

    /// Whatever has happened: when the honest party goes on sending from the place that is signalled, and a stranger
    /// as well, the leg is the honest party's before long.
    fn ends_well(mut self, setup: &Setup) {
        let source = setup.source[self.signalled];
        self.signal(setup, self.signalled);
        let most = RELATCH_SILENCE.as_millis() / (20 * u128::from(TRIAL_PACKETS)) + 2;
        for _ in 0..most {
            if self.sends(setup, source) {
                break;
            }
            // The spray takes no time away from the honest party's.
            let now = self.now;
            self.spray();
            self.now = now;
        }
        assert_eq!(self.latch.target(), Some(source), "the honest party is left out");
        self.spray();
        assert!(self.sends(setup, source));
    }
}

fn search(setup: &Setup, world: &World, story: &mut Vec<Step>) {
    for step in STEPS {
        let mut next = world.clone();
        story.push(step);
        let told = Told { setup, story };
        next.take(setup, step);
        next.clone().ends_well(setup);
        drop(told);
        if story.len() < DEPTH {
            search(setup, &next, story);
        }
        story.pop();
    }
}

/// Tells the story of a failure.
struct Told<'a> {
    setup: &'a Setup,
    story: &'a [Step],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let protection = if self.setup.is_secure { "SRTP" } else { "RTP" };
            eprintln!("{}, {protection}: {:?}", self.setup.name, self.story);
        }
    }
}

#[test]
fn every_short_story_ends_well_and_no_stranger_owns_a_leg() {
    let start = Instant::now();
    for setup in setups() {
        search(&setup, &World::new(&setup, start), &mut Vec::new());
    }
}

#[test]
fn a_story_without_the_honest_party_goes_where_the_signalling_says() {
    let start = Instant::now();
    for setup in setups() {
        let mut world = World::new(&setup, start);
        for _ in 0..10 {
            world.take(&setup, Step::Spray);
            world.take(&setup, Step::Silence);
            assert_eq!(world.latch.target(), Some(setup.signalled[world.signalled]));
        }
    }
}
