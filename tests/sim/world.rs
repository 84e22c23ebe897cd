//! The world: one queue of what is going to happen, ordered by (time, serial), and everybody to whom it happens.
//!
//! A run is a function of its seed: the clock is virtual, the network and the agents throw seeded dice, the gateway
//! draws its tags from a seeded generator.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use provisioning_store::money::Micros;
use sip_core::directory::{Directory, Succession};
use sip_core::gateway::{Counts, Gateway};
use sip_core::message::{self, Message, lex};
use sip_core::refusal::Refusal;
use sip_core::settings::Settings;
use sip_core::types::{Binding, ConnectionId, Event, Flow, Now, ProfileId, Reply, Transmit, Transport};

use crate::agent::Agent;
use crate::agent::manner::{Act, Dial, Manner, s};
use crate::books::{Books, Means};
use crate::checks::Checks;
use crate::desk::Desk;
use crate::dice::Dice;
use crate::faults::Fault;
use crate::lines::Line;
use crate::network::{Network, Weather};
use crate::provisioning::{self, BASE_UNIX_S, GATEWAY};
use crate::studio::Studio;

/// After this long without anything new, every transaction has ended: a goodbye that waits for an ACK that never
/// comes (64*T1), is then never answered (64*T1), and lingers (64*T1), with some time to spare.
const QUIET: Duration = Duration::from_secs(110);
/// Lines of the story kept for a failure's report.
const STORY_LINES: usize = 400;
/// Octets of the longest datagram over IPv4.
const LONGEST_DATAGRAM: usize = 65_507;

/// The agents, by their place in `World::agents`.
pub(crate) const SALES: usize = 0;
pub(crate) const ENGINEERING: usize = 1;
pub(crate) const ALPHA: usize = 2;
pub(crate) const BETA: usize = 3;
pub(crate) const GAMMA_ONE: usize = 4;
pub(crate) const GAMMA_TWO: usize = 5;
pub(crate) const STRANGER: usize = 6;
pub(crate) const PHONE: usize = 7;

/// Something on its way.
#[derive(Debug)]
pub(crate) enum Arrival {
    AtGateway {
        from: SocketAddr,
        bytes: Bytes,
    },
    /// At the gateway, over a connection.
    OverLine {
        line: ConnectionId,
        bytes: Bytes,
    },
    AtAgent {
        agent: usize,
        line: Option<ConnectionId>,
        bytes: Bytes,
    },
    /// At the gateway: a datagram to there has reached nobody, and this is what it began with.
    Unreachable {
        flow: Flow,
        quoted: Bytes,
    },
    Fault(Fault),
    Reply(Reply),
    Command {
        agent: usize,
        call: usize,
        act: Act,
    },
    Dial {
        agent: usize,
        dial: Box<Dial>,
    },
}

/// Everything.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) gateway: Gateway,
    pub(crate) agents: Vec<Agent>,
    pub(crate) desk: Desk,
    pub(crate) network: Network,
    pub(crate) events: Vec<Event>,
    /// Every datagram that was sent to an agent, whether it arrived or not.
    sent: Vec<(usize, Bytes)>,
    pub(crate) checks: Checks,
    pub(crate) steps: u64,
    pub(crate) settings: Settings,
    pub(crate) directory: Arc<Directory>,
    /// Connections that stand.
    pub(crate) lines: BTreeMap<ConnectionId, Line>,
    /// Connections made so far.
    pub(crate) connections: u64,
    /// Bindings as the store keeps them over a restart.
    pub(crate) kept_bindings: BTreeMap<ProfileId, Binding>,
    /// Where passwords were proved, and when, as the store keeps it over a restart.
    pub(crate) kept_proofs: BTreeMap<(ProfileId, IpAddr), Instant>,
    /// How far the wall clock is off, seconds.
    pub(crate) clock_jump_s: i64,
    pub(crate) dice: Dice,
    /// How long the gateway may take to find out that both ends of a call are gone.
    oblivion: Duration,
    /// Packets of media sent so far: no number is used twice.
    pub(crate) packets: u16,
    now: Instant,
    base: Instant,
    queue: BTreeMap<(Instant, u64), Arrival>,
    serial: u64,
    story: VecDeque<String>,
}

/// What differs from run to run.
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) weather: Weather,
    pub(crate) provisions: provisioning::Provisions,
    /// Credit of either profile.
    pub(crate) credit: Micros,
    pub(crate) channels: u32,
    /// How often sessions are refreshed, seconds; `None` is the default.
    pub(crate) session_s: Option<u32>,
}

impl Setting {
    pub(crate) fn clear(seed: u64) -> Self {
        Self {
            seed,
            weather: Weather::clear(),
            provisions: provisioning::Provisions::default(),
            credit: Micros::from_units(10),
            channels: 4,
            session_s: None,
        }
    }
}

impl World {
    /// A world in fair weather with both PBXs known: Sales has registered, Engineering is known by its address.
    pub(crate) fn new() -> Self {
        Self::of(Setting::clear(crate::seed().unwrap_or(1)))
    }

    pub(crate) fn of(setting: Setting) -> Self {
        let mut world = Self::unregistered(setting);
        world.register(SALES, 3_600);
        world
    }

    /// The same before any PBX has registered.
    pub(crate) fn unregistered(setting: Setting) -> Self {
        let Setting { seed, weather, provisions, credit, channels, session_s } = setting;
        let mut dice = Dice::new(seed);
        // The only look at a real clock: where virtual time begins does not matter, only that it goes on from there.
        let base = Instant::now();
        let mut books = Books::new(base, BASE_UNIX_S);
        for (profile, bundles) in [(provisioning::SALES, 0), (provisioning::ENGINEERING, 1)] {
            books.open_profile(Means { profile, channels, bundles, bundle_minutes: 2, credit });
        }
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&dice.next().to_le_bytes());
        let directory = Arc::new(provisioning::directory(&provisions));
        let studio = Studio::new(GATEWAY.ip(), dice.split());
        let mut desk = Desk::new(books, studio, dice.split());
        desk.names = provisioning::names();
        let mut settings = provisioning::settings(&provisions);
        settings.calls.session_expires_s = session_s.unwrap_or(settings.calls.session_expires_s);
        Self {
            seed,
            gateway: Gateway::new(settings.clone(), directory.clone(), secret),
            settings,
            directory,
            lines: BTreeMap::new(),
            connections: 0,
            kept_bindings: BTreeMap::new(),
            kept_proofs: BTreeMap::new(),
            clock_jump_s: 0,
            oblivion: Duration::from_secs(session_s.unwrap_or(0).into()),
            packets: 0,
            agents: provisioning::agents(&mut dice),
            desk,
            network: Network::new(weather, dice.split()),
            dice: dice.split(),
            events: Vec::new(),
            sent: Vec::new(),
            checks: Checks::default(),
            steps: 0,
            now: base,
            base,
            queue: BTreeMap::new(),
            serial: 0,
            story: VecDeque::new(),
        }
    }

    /// Since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.base
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn present(&self) -> Now {
        let unix_s = (BASE_UNIX_S + self.elapsed().as_secs()).saturating_add_signed(self.clock_jump_s);
        Now { monotonic: self.now, unix_s }
    }

    /// The operator has changed what is provisioned.
    pub(crate) fn provide(&mut self, provisions: provisioning::Provisions) {
        self.put_in_force(&provisions);
        self.flush();
    }

    fn put_in_force(&mut self, provisions: &provisioning::Provisions) {
        let directory = Arc::new(provisioning::directory(provisions));
        let now = self.present();
        self.gateway.set_directory(now, Succession::new(&self.directory, Arc::clone(&directory)));
        self.directory = directory;
    }

    /// Registers a PBX and waits until it is bound.
    pub(crate) fn register(&mut self, agent: usize, expires_s: u32) {
        let now = self.now;
        self.agents[agent].start_registering(now, expires_s);
        self.flush_agents();
        let is_bound = |world: &Self| {
            world.agents[agent].registration.as_ref().is_some_and(|known| known.granted_s.is_some())
        };
        assert!(self.run_until(s(40), is_bound), "the PBX could not register");
    }

    /// Calls now; gives the call's place in the agent's list.
    pub(crate) fn dial(&mut self, agent: usize, dial: Dial) -> usize {
        let now = self.now;
        let call = self.agents[agent].dial(now, dial);
        self.flush_agents();
        call
    }

    /// Calls later.
    pub(crate) fn dial_at(&mut self, after: Duration, agent: usize, dial: Dial) {
        let at = self.now + after;
        self.expect(at, Arrival::Dial { agent, dial: Box::new(dial) });
    }

    /// Does something in a call now.
    pub(crate) fn act(&mut self, agent: usize, call: usize, act: Act) {
        let now = self.now;
        self.agents[agent].act(now, call, act);
        self.flush_agents();
    }

    /// Does something in a call later.
    pub(crate) fn act_at(&mut self, after: Duration, agent: usize, call: usize, act: Act) {
        let at = self.now + after;
        self.expect(at, Arrival::Command { agent, call, act });
    }

    /// Sends octets from an agent's address.
    pub(crate) fn say(&mut self, agent: usize, text: &str) {
        self.agents[agent].say(text);
        self.flush_agents();
    }

    /// Puts other provisioning in force, as when the store has changed.
    pub(crate) fn provision(&mut self, provisions: &provisioning::Provisions) {
        self.put_in_force(provisions);
        self.flush_gateway();
    }

    /// Tells the gateway how long inputs wait for their turn.
    pub(crate) fn note_waited(&mut self, waited: Duration) {
        let now = self.present();
        self.gateway.note_waited(now, waited);
        self.flush_gateway();
    }

    /// Tells an agent how to treat calls from now on.
    pub(crate) fn teach(&mut self, agent: usize, manner: Manner) {
        self.agents[agent].manners = vec![manner];
    }

    pub(crate) fn expect(&mut self, at: Instant, what: Arrival) {
        self.serial += 1;
        self.queue.insert((at, self.serial), what);
    }

    fn next_time(&self) -> Option<Instant> {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let agents = self.agents.iter().filter_map(Agent::next_timeout).min();
        [queued, agents, self.gateway.poll_timeout()].into_iter().flatten().min()
    }

    /// Lets the next thing happen, unless that is later than `until`.
    fn step(&mut self, until: Instant) -> bool {
        let Some(at) = self.next_time().filter(|at| *at <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(at);
        self.steps += 1;
        let now = self.present();
        if let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= at) {
            let arrival = entry.remove();
            self.arrive(now, arrival);
        } else if self.gateway.poll_timeout().is_some_and(|due| due <= at) {
            self.gateway.handle_timeout(now);
        } else {
            for agent in
                self.agents.iter_mut().filter(|agent| agent.next_timeout().is_some_and(|due| due <= at))
            {
                agent.handle_timeout(self.now);
            }
        }
        self.flush();
        Checks::after_step(self);
        true
    }

    /// Carries away what was said and asked.
    pub(crate) fn flush(&mut self) {
        self.flush_agents();
        self.flush_gateway();
    }

    fn arrive(&mut self, now: Now, arrival: Arrival) {
        match arrival {
            Arrival::AtGateway { from, bytes } => {
                self.checks.note_arrival(&bytes);
                let flow = Flow { transport: Transport::Udp, local: GATEWAY, peer: from, connection: None };
                self.gateway.handle_datagram(now, flow, bytes);
            }
            Arrival::OverLine { line, bytes } => self.arrive_over(now, line, bytes),
            Arrival::AtAgent { line: Some(line), .. } if !self.lines.contains_key(&line) => {}
            Arrival::AtAgent { agent, bytes, .. } => self.agents[agent].receive(self.now, bytes),
            Arrival::Unreachable { flow, quoted } => self.gateway.handle_unreachable(now, flow, &quoted),
            Arrival::Fault(fault) => self.befall(fault),
            Arrival::Reply(reply) => self.gateway.handle_reply(now, reply),
            Arrival::Command { agent, call, act } => self.agents[agent].act(self.now, call, act),
            Arrival::Dial { agent, dial } => {
                self.agents[agent].dial(self.now, *dial);
            }
        }
    }

    fn flush_agents(&mut self) {
        for index in 0..self.agents.len() {
            let from = self.agents[index].address;
            for bytes in self.agents[index].take_out() {
                if self.agents[index].transport.is_reliable() {
                    self.send_over_line(index, bytes);
                    continue;
                }
                let ways = self.network.carry(from.ip());
                self.tell(self.agents[index].name, "gateway", &bytes, ways.len());
                for way in ways {
                    let bytes = bytes.clone();
                    self.expect(self.now + way, Arrival::AtGateway { from, bytes });
                }
            }
        }
    }

    fn flush_gateway(&mut self) {
        while let Some(transmit) = self.gateway.poll_transmit() {
            if transmit.flow.transport.is_reliable() {
                self.transmit_over_line(transmit);
            } else {
                self.transmit(transmit);
            }
        }
        while let Some(question) = self.gateway.poll_question() {
            self.checks.note_question(&question);
            if let Some((after, reply)) = self.desk.ask(self.now, question) {
                self.expect(self.now + after, Arrival::Reply(reply));
            }
        }
        while let Some(event) = self.gateway.poll_event() {
            match &event {
                Event::Registered(binding) | Event::MediaShown(binding) => {
                    self.kept_bindings.insert(binding.profile, binding.clone());
                }
                Event::Unregistered { profile, .. } => {
                    self.kept_bindings.remove(profile);
                }
                Event::PasswordProved { profile, address, .. } => {
                    self.kept_proofs.insert((*profile, *address), self.now);
                }
                _ => {}
            }
            self.events.push(event);
        }
    }

    /// A datagram of the gateway's.
    fn transmit(&mut self, transmit: Transmit) {
        let peer = transmit.flow.peer;
        if transmit.bytes.len() > LONGEST_DATAGRAM {
            let now = self.present();
            return self.gateway.handle_unsent(now, &transmit);
        }
        let agent = self.agents.iter().position(|agent| agent.address == peer);
        let ways = self.network.carry(peer.ip());
        let name = agent.map_or("nobody", |agent| self.agents[agent].name);
        self.tell("gateway", name, &transmit.bytes, ways.len());
        self.checks.after_transmit(&self.agents, agent, &transmit.bytes, ways.len());
        let Some(agent) = agent else { return };
        self.sent.push((agent, transmit.bytes.clone()));
        for way in ways {
            if self.agents[agent].is_down {
                let (flow, quoted) = (transmit.flow, transmit.bytes.slice(..transmit.bytes.len().min(500)));
                self.expect(self.now + 2 * way, Arrival::Unreachable { flow, quoted });
                continue;
            }
            let bytes = transmit.bytes.clone();
            self.expect(self.now + way, Arrival::AtAgent { agent, line: None, bytes });
        }
    }

    /// What was sent to an agent by datagrams, whether it arrived or not.
    pub(crate) fn sent_to(&self, agent: usize) -> impl Iterator<Item = Message> {
        let sent = self.sent.iter().filter(move |(to, _)| *to == agent);
        sent.map(|(_, bytes)| {
            lex(bytes.clone(), message::Transport::Datagram).expect("the gateway writes SIP")
        })
    }

    /// Adds a line to the story.
    pub(crate) fn tell(&mut self, from: &str, to: &str, bytes: &[u8], copies: usize) {
        let text = String::from_utf8_lossy(bytes);
        let line =
            |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
        let fate = match copies {
            0 => "  (lost)",
            1 => "",
            _ => "  (twice)",
        };
        let first = text.lines().next().unwrap_or_default();
        let elapsed = self.elapsed().as_secs_f64();
        let (number, call_id) = (line("CSeq"), line("Call-ID"));
        let told = format!("{elapsed:9.3} {from:>11} > {to:<11} {first} | {number} | {call_id}{fate}");
        self.add_line(told);
    }

    /// Adds to the story what is no message.
    pub(crate) fn note(&mut self, what: &str) {
        let told = format!("{:9.3} {what}", self.elapsed().as_secs_f64());
        self.add_line(told);
    }

    fn add_line(&mut self, told: String) {
        if self.story.len() == STORY_LINES {
            self.story.pop_front();
        }
        self.story.push_back(told);
    }

    /// Loses every packet that is on its way.
    pub(crate) fn lose_what_is_on_its_way(&mut self) {
        self.retain_arrivals(|arrival| {
            !matches!(arrival, Arrival::AtGateway { .. } | Arrival::AtAgent { .. })
        });
    }

    /// Octets that are on their way to agents, each with its agent.
    pub(crate) fn on_their_way(&self) -> Vec<(usize, Bytes)> {
        let to_agent = |arrival: &Arrival| match arrival {
            Arrival::AtAgent { agent, bytes, .. } => Some((*agent, bytes.clone())),
            _ => None,
        };
        self.queue.values().filter_map(to_agent).collect()
    }

    pub(crate) fn retain_arrivals(&mut self, is_kept: impl Fn(&Arrival) -> bool) {
        self.take_arrivals(|arrival| !is_kept(arrival));
    }

    /// Takes out of the queue what is meant, each with its time.
    pub(crate) fn take_arrivals(&mut self, is_meant: impl Fn(&Arrival) -> bool) -> Vec<(Instant, Arrival)> {
        let taken = self.queue.extract_if(.., |_, arrival| is_meant(arrival));
        taken.map(|((at, _), arrival)| (at, arrival)).collect()
    }

    /// Goes on for a while.
    pub(crate) fn run(&mut self, span: Duration) {
        let until = self.now + span;
        while self.step(until) {}
    }

    /// Goes on until something is so; `false` if it is not so within the time.
    pub(crate) fn run_until(&mut self, span: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let until = self.now + span;
        while !is_so(self) {
            if !self.step(until) {
                return is_so(self);
            }
        }
        true
    }

    /// Goes on until every call is over and every transaction has ended, and checks that nothing is left.
    pub(crate) fn settle(&mut self) {
        for agent in &mut self.agents {
            if let Some(registration) = &mut agent.registration {
                registration.is_kept = false;
            }
        }
        let is_idle = |world: &Self| world.queue.is_empty() && world.agents.iter().all(Agent::is_idle);
        assert!(self.run_until(s(600), is_idle), "calls go on after ten minutes");
        self.run(QUIET + self.oblivion);
        Checks::at_the_end(self);
    }

    /// A packet of RTP from an agent's call, to wherever it was told; gives the address it is relayed to. Whoever it
    /// is for must be able to read it.
    pub(crate) fn speak(&mut self, agent: usize, call: usize) -> Option<SocketAddr> {
        let told = self.agents[agent].calls[call].remote_media.clone()?;
        let source = self.agents[agent].media_address(call);
        self.packets += 1;
        let packet = self.agents[agent].calls[call].protect(rtp(self.packets));
        let (destination, packet) = self.receive_media(told.rtp_port, source, &packet)?;
        if let Some((listener, call)) = self.listener_at(destination) {
            let heard = self.agents[listener].calls[call].unprotect(packet);
            assert_eq!(heard[12..], rtp(self.packets)[12..], "{} hears noise", self.agents[listener].name);
        }
        Some(destination)
    }

    /// The relay looks for calls that have been silent for so long, and the gateway ends them.
    pub(crate) fn end_silent_calls(&mut self, limit: Duration) {
        let now = self.present();
        for call in self.desk.studio.silent(self.now, limit) {
            self.gateway.end_call(now, call, Refusal::MediaSilent);
        }
        self.flush_gateway();
    }

    /// A packet of RTP from anywhere to a port of the gateway's; gives the address it is relayed to.
    pub(crate) fn spray(&mut self, source: SocketAddr, port: u16) -> Option<SocketAddr> {
        self.packets += 1;
        let packet = rtp(self.packets);
        self.receive_media(port, source, &packet).map(|(destination, _)| destination)
    }

    /// Lets a packet arrive at one of our media ports, and the gateway hear of it.
    fn receive_media(
        &mut self,
        port: u16,
        source: SocketAddr,
        packet: &[u8],
    ) -> Option<(SocketAddr, Vec<u8>)> {
        let now = self.present();
        let passed = self.desk.studio.pass(self.now, port, source, packet);
        for (call, leg) in self.desk.studio.located() {
            self.gateway.handle_media_located(now, call, leg);
        }
        self.flush_gateway();
        passed
    }

    fn listener_at(&self, address: SocketAddr) -> Option<(usize, usize)> {
        let calls = |agent: usize| (0..self.agents[agent].calls.len()).map(move |call| (agent, call));
        (0..self.agents.len())
            .flat_map(calls)
            .find(|(agent, call)| self.agents[*agent].media_address(*call) == address)
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { bindings: 0, sources: 0, certified: 0, ..self.gateway.counts() }
    }

    pub(crate) fn credit(&self, profile: ProfileId) -> Micros {
        self.desk.books.credit(profile)
    }
}

/// 20 ms of silence in A-law.
fn rtp(number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 8, 0, 0, 0, 0, 0, 160, 0, 0, 0, 9];
    packet[2..4].copy_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(&[0xd5; 160]);
    packet
}

impl Drop for World {
    /// A failure tells its story and how to see it again.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.story.iter().for_each(|line| eprintln!("{line}"));
            eprintln!("SEED={} cargo test --test sim   replays this run, step {}", self.seed, self.steps);
        }
    }
}
