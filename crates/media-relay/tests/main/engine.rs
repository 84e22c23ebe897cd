//! The engine on loopback: real sockets, real threads, every wait bounded.

use media_relay::engine::{
    AddressHint, Engine, EngineConfig, Events, LegSetup, LocalAddress, MediaError, MediaEvent, MediaId,
};
use media_relay::packet::PacketBuf;
use media_relay::sdes::CryptoLine;
use media_relay::session::{
    DropReason, Flow, Hosts, LocalDescription, NegotiationError, Policy, Profile, RemoteDescription, Role,
    SessionEvent, Side,
};
use media_relay::srtp::reference::Reference;
use media_relay::srtp::suite::MAX_MASTER;
use media_relay::srtp::{Keys, Srtp, Suite};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

const CALL: MediaId = MediaId(1);
const WAIT: Duration = Duration::from_secs(20);

/// Each test has ports of its own, below the range from which the kernel gives ephemeral ones, and each process
/// others, so that two runs do not meet.
fn base() -> u16 {
    12_000 + (std::process::id() % 20) as u16 * 1000
}

fn engine(ports: RangeInclusive<u16>) -> (Engine, Events) {
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let config = EngineConfig {
        workers: 2,
        media_silence: Duration::from_millis(200),
        ..EngineConfig::new(addresses.map(LocalAddress::new).to_vec(), ports)
    };
    Engine::start(config).expect("loopback is there")
}

fn leg(policy: Policy) -> LegSetup {
    LegSetup { policy, address: AddressHint::Like(Ipv4Addr::LOCALHOST.into()) }
}

/// A phone or PBX: a socket and, if its leg is encrypted, the reference implementation.
struct Peer {
    socket: UdpSocket,
    secure: Option<(Reference, Reference)>,
    target: Option<SocketAddr>,
}

fn own_keys() -> Keys {
    Keys::from_random(Suite::AesCm128Sha1Tag80, &[9; MAX_MASTER])
}

impl Peer {
    fn new(ip: IpAddr) -> Self {
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).expect("a free port");
        socket.set_read_timeout(Some(WAIT)).expect("a timeout may be set");
        Self { socket, secure: None, target: None }
    }

    fn v4() -> Self {
        Self::new(Ipv4Addr::LOCALHOST.into())
    }

    fn plain(&self) -> RemoteDescription {
        let address = self.socket.local_addr().expect("it is bound");
        RemoteDescription { hosts: Hosts::signalling(address.ip()), ..RemoteDescription::plain(address) }
    }

    fn secured(&self, profile: Profile) -> RemoteDescription {
        let crypto = vec![CryptoLine { tag: 1, keys: own_keys() }.to_string()];
        RemoteDescription { profile, crypto, ..self.plain() }
    }

    /// Takes what the gateway wrote: where to send, and its key.
    fn learn(&mut self, told: &LocalDescription) {
        self.target = Some(SocketAddr::new(told.ip, told.rtp_port));
        self.secure = told.crypto.first().map(|line| {
            let theirs = CryptoLine::parse(line).expect("the gateway writes what it reads").keys;
            let new = |keys: &Keys| Reference::new(keys).expect("there is no MKI");
            (new(&own_keys()), new(&theirs))
        });
    }

    fn send(&mut self, sequence: u16) {
        let mut packet = PacketBuf::new();
        packet.fill(&rtp(sequence));
        if let Some((send, _)) = &mut self.secure {
            send.protect_rtp(&mut packet).expect("a fresh sequence number");
        }
        self.socket.send_to(packet.as_slice(), self.target.expect("learnt")).expect("loopback takes it");
    }

    /// The next packet, decrypted.
    fn hear(&mut self) -> Vec<u8> {
        let mut packet = PacketBuf::new();
        let (len, source) = self.socket.recv_from(packet.receive_area()).expect("a packet arrives in time");
        assert_eq!(Some(source), self.target, "media comes from where it is to be sent");
        packet.set_len(len);
        if let Some((_, receive)) = &mut self.secure {
            receive.unprotect_rtp(&mut packet).expect("it is authentic");
        }
        packet.as_slice().to_vec()
    }
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 9]);
    packet.extend_from_slice(&[sequence as u8; 160]);
    packet
}

fn event(events: &mut Events) -> SessionEvent {
    let deadline = Instant::now() + WAIT;
    while Instant::now() < deadline {
        if let Ok(MediaEvent { id: CALL, event }) = events.try_recv() {
            return event;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("no event in time");
}

/// The first packet of a side, from the address that its description names.
fn is_heard_from(side: Side, events: &mut Events) {
    assert_eq!(event(events), SessionEvent::FirstPacket { side });
    assert_eq!(event(events), SessionEvent::Located { side });
}

/// Media both ways, a few packets each.
fn talk(near: &mut Peer, far: &mut Peer, from: u16) {
    for sequence in from..from + 5 {
        near.send(sequence);
        assert_eq!(far.hear(), rtp(sequence));
        far.send(sequence);
        assert_eq!(near.hear(), rtp(sequence));
    }
}

#[test]
fn plain_media_passes_both_ways_and_closing_frees_the_ports() {
    let (engine, mut events) = engine(base()..=base() + 19);
    let (mut near, mut far) = (Peer::v4(), Peer::new(Ipv6Addr::LOCALHOST.into()));
    let v6 = LegSetup { policy: Policy::Off, address: AddressHint::Like(Ipv6Addr::LOCALHOST.into()) };
    engine.open(CALL, leg(Policy::Off), Some(v6)).wait().expect("ports are free");
    assert_eq!(engine.open(CALL, leg(Policy::Off), None).wait(), Err(MediaError::DuplicateCall));
    far.learn(&engine.describe(CALL, Side::Near, Role::Offer, near.plain()).wait().expect("a good offer"));
    near.learn(&engine.describe(CALL, Side::Far, Role::Answer, far.plain()).wait().expect("a good answer"));
    talk(&mut near, &mut far, 1);
    for side in [Side::Near, Side::Far] {
        is_heard_from(side, &mut events);
    }
    // The worker counts after it sent; once it answers, it has counted.
    assert_eq!(engine.stats(CALL).wait().expect("it is open").far.packets, 5);
    let gauges = engine.gauges();
    assert_eq!((gauges.calls, gauges.ports_in_use, gauges.ports_total), (1, 2, 20));
    assert_eq!((gauges.forwarded_packets, gauges.forwarded_octets), (10, 1720));

    let ports = [near.target.expect("learnt"), far.target.expect("learnt")];
    assert!(UdpSocket::bind(ports[0]).is_err(), "the port is ours while the call lives");
    let stats = engine.close(CALL).wait().expect("it was open");
    assert_eq!((stats.near.packets, stats.far.packets, stats.near.lost()), (5, 5, 0));
    for port in ports {
        UdpSocket::bind(port).expect("the port is free again");
    }
    assert_eq!((engine.gauges().calls, engine.gauges().ports_in_use), (0, 0));
    assert_eq!(engine.close(CALL).wait().err(), Some(MediaError::UnknownCall));
}

#[test]
fn encrypted_and_plain_legs_meet_with_the_reference_as_peer() {
    let (engine, _events) = engine(base() + 100..=base() + 119);
    for (number, (profile, policy)) in
        [(Profile::Savp, Policy::Required), (Profile::Avp, Policy::Optional)].into_iter().enumerate()
    {
        let id = MediaId(number as u64);
        let (mut near, mut far) = (Peer::v4(), Peer::v4());
        engine.open(id, leg(policy), Some(leg(Policy::Off))).wait().expect("ports are free");
        let offer = near.secured(profile);
        far.learn(&engine.describe(id, Side::Near, Role::Offer, offer.clone()).wait().expect("a good offer"));
        let answer = engine.describe(id, Side::Far, Role::Answer, far.plain()).wait().expect("a good answer");
        assert_eq!((answer.profile, answer.crypto.len()), (profile, 1));
        near.learn(&answer);
        assert!(far.secure.is_none());
        talk(&mut near, &mut far, 1);
        // A refresh changes no key, so both ends' state goes on.
        engine.describe(id, Side::Near, Role::Offer, offer).wait().expect("a good refresh");
        let again = engine.describe(id, Side::Far, Role::Answer, far.plain()).wait().expect("a good answer");
        assert_eq!(again, answer);
        talk(&mut near, &mut far, 10);
        assert_eq!(engine.stats(id).wait().expect("it is open").near.dropped(DropReason::Unauthentic), 0);
    }
}

#[test]
fn control_packets_have_their_own_ports_or_share_the_media_ports() {
    let (engine, _events) = engine(base() + 900..=base() + 919);
    let (mut near, mut far) = (Peer::v4(), Peer::v4());
    let control = Peer::v4();
    engine.open(CALL, leg(Policy::Off), Some(leg(Policy::Off))).wait().expect("ports are free");
    let separate = RemoteDescription { rtcp: control.socket.local_addr().ok(), ..near.plain() };
    let offer =
        engine.describe(CALL, Side::Near, Role::Offer, RemoteDescription { is_mux: true, ..separate });
    let offer = offer.wait().expect("a good offer");
    far.learn(&offer);
    assert!(offer.is_mux && offer.rtcp_port == offer.rtp_port + 1);
    let answer = RemoteDescription { is_mux: false, rtcp: control.socket.local_addr().ok(), ..far.plain() };
    let answer = engine.describe(CALL, Side::Far, Role::Answer, answer).wait().expect("a good answer");
    near.learn(&answer);
    assert!(answer.is_mux && answer.rtcp_port == answer.rtp_port);
    talk(&mut near, &mut far, 1);

    let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    near.socket.send_to(&report, near.target.expect("learnt")).expect("loopback takes it");
    let mut heard = [0; 100];
    let (len, source) = control.socket.recv_from(&mut heard).expect("a packet arrives in time");
    assert_eq!((&heard[..len], source.port()), (&report[..], offer.rtcp_port));
    control.socket.send_to(&report, (offer.ip, offer.rtcp_port)).expect("loopback takes it");
    let (len, source) = near.socket.recv_from(&mut heard).expect("a packet arrives in time");
    assert_eq!((&heard[..len], source.port()), (&report[..], answer.rtp_port));
}

#[test]
fn many_calls_come_and_go_from_many_threads() {
    let (engine, _events) = engine(base() + 920..=base() + 999);
    let threads: Vec<_> = (0..4u64)
        .map(|thread| {
            let engine = engine.clone();
            std::thread::spawn(move || {
                for round in 0..5 {
                    let id = MediaId(thread << 32 | round);
                    let phone = Peer::v4();
                    engine.open(id, leg(Policy::Optional), None).wait().expect("ports are free");
                    engine.echo(id, phone.plain()).wait().expect("a good offer");
                    engine.close(id).wait().expect("it was open");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no assertion failed");
    }
    assert_eq!((engine.gauges().calls, engine.gauges().ports_in_use), (0, 0));
}

#[test]
fn two_encrypted_legs_have_different_keys() {
    let (engine, _events) = engine(base() + 200..=base() + 219);
    let (mut near, mut far) = (Peer::v4(), Peer::v4());
    engine.open(CALL, leg(Policy::Optional), Some(leg(Policy::Required))).wait().expect("ports are free");
    let offer = near.secured(Profile::Savp);
    far.learn(&engine.describe(CALL, Side::Near, Role::Offer, offer).wait().expect("a good offer"));
    let answer = far.secured(Profile::Savp);
    near.learn(&engine.describe(CALL, Side::Far, Role::Answer, answer).wait().expect("a good answer"));
    talk(&mut near, &mut far, 65_530 - 10);
}

#[test]
fn a_refused_re_offer_is_taken_back() {
    let (engine, _events) = engine(base() + 300..=base() + 319);
    let (mut near, mut far) = (Peer::v4(), Peer::v4());
    engine.open(CALL, leg(Policy::Off), Some(leg(Policy::Off))).wait().expect("ports are free");
    far.learn(&engine.describe(CALL, Side::Near, Role::Offer, near.plain()).wait().expect("a good offer"));
    near.learn(&engine.describe(CALL, Side::Far, Role::Answer, far.plain()).wait().expect("a good answer"));
    talk(&mut near, &mut far, 1);
    let elsewhere = Peer::v4();
    engine.describe(CALL, Side::Far, Role::Offer, elsewhere.plain()).wait().expect("a good offer");
    engine.rollback(CALL).wait().expect("there is something to take back");
    talk(&mut near, &mut far, 10);
    let savp = RemoteDescription { policy: Policy::Off, ..near.secured(Profile::Savp) };
    assert_eq!(
        engine.describe(CALL, Side::Near, Role::Offer, savp).wait().err(),
        Some(MediaError::Negotiation(NegotiationError::SecureRefused))
    );
    talk(&mut near, &mut far, 20);
}

#[test]
fn the_next_carrier_gets_new_ports_and_takes_the_place_of_the_last() {
    let (engine, _events) = engine(base() + 400..=base() + 419);
    let (mut near, mut first, mut second) = (Peer::v4(), Peer::v4(), Peer::v4());
    engine.open(CALL, leg(Policy::Off), Some(leg(Policy::Off))).wait().expect("ports are free");
    first.learn(&engine.describe(CALL, Side::Near, Role::Offer, near.plain()).wait().expect("a good offer"));
    let early = engine.describe(CALL, Side::Far, Role::EarlyAnswer, first.plain()).wait();
    near.learn(&early.expect("a good answer"));
    talk(&mut near, &mut first, 1);
    engine.replace(CALL, Side::Far, leg(Policy::Off)).wait().expect("ports are free");
    second.learn(&engine.describe(CALL, Side::Near, Role::Offer, near.plain()).wait().expect("a good offer"));
    assert_ne!(first.target, second.target);
    near.learn(
        &engine.describe(CALL, Side::Far, Role::Answer, second.plain()).wait().expect("a good answer"),
    );
    first.target = second.target;
    first.send(900);
    assert_eq!(near.hear(), rtp(900), "on loopback both carriers are one host, which may change its port");
    second.send(19);
    assert_eq!(near.hear(), rtp(19), "the port that was signalled comes before any other");
    talk(&mut near, &mut second, 20);
    first.send(901);
    talk(&mut near, &mut second, 30);
}

#[test]
fn the_echo_answers_and_tells_of_silence() {
    let (engine, mut events) = engine(base() + 500..=base() + 519);
    let mut phone = Peer::new(Ipv6Addr::LOCALHOST.into());
    // The hint is wrong: the phone turns out to speak IPv6, and nothing was told to it yet.
    engine.open(CALL, leg(Policy::Optional), None).wait().expect("ports are free");
    let answer = engine.echo(CALL, phone.secured(Profile::Savp)).wait().expect("a good offer");
    phone.learn(&answer);
    engine.watch(CALL).wait().expect("the call is open");
    for sequence in 1..5 {
        phone.send(sequence);
        assert_eq!(phone.hear()[12..], rtp(sequence)[12..]);
    }
    is_heard_from(Side::Near, &mut events);
    assert!(matches!(event(&mut events), SessionEvent::Silent { .. }));
    let held = RemoteDescription { flow: Flow::Inactive, ..phone.secured(Profile::Savp) };
    assert_eq!(engine.echo(CALL, held).wait().expect("a good re-offer"), answer);
    let moved = Peer::v4().secured(Profile::Savp);
    assert_eq!(engine.echo(CALL, moved).wait().err(), Some(MediaError::WrongFamily));
    assert_eq!(engine.gauges().ports_in_use, 1);
}

#[test]
fn the_echo_may_be_the_one_that_offers() {
    let (engine, _events) = engine(base() + 600..=base() + 619);
    let mut phone = Peer::v4();
    engine.open(CALL, leg(Policy::Off), None).wait().expect("ports are free");
    phone.learn(&engine.echo_offer(CALL).wait().expect("the call is open"));
    engine.echo_answer(CALL, phone.plain()).wait().expect("a good answer");
    phone.send(1);
    assert_eq!(phone.hear()[12..], rtp(1)[12..]);
}

#[test]
fn a_range_that_is_used_up_or_taken_by_others_is_said_so() {
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, base() + 700)).expect("a free port");
    let (engine, _events) = engine(base() + 700..=base() + 705);
    let one = || leg(Policy::Off);
    engine.open(MediaId(1), one(), Some(one())).wait().expect("two pairs are left");
    assert_eq!(engine.open(MediaId(2), one(), None).wait(), Err(MediaError::NoPorts));
    drop(taken);
    engine.close(MediaId(1)).wait().expect("it was open");
    assert_eq!(engine.open(MediaId(3), one(), None).wait(), Err(MediaError::NoPorts), "they rest");
    assert_eq!(engine.gauges().calls, 0, "a call that could not open leaves nothing");
    let v6 = LegSetup { policy: Policy::Off, address: AddressHint::Like(Ipv6Addr::LOCALHOST.into()) };
    engine.open(MediaId(4), v6, Some(v6)).wait().expect("the other address has its own ports");
}

#[test]
fn dropping_the_engine_closes_everything() {
    let (engine, _events) = engine(base() + 800..=base() + 819);
    engine.open(CALL, leg(Policy::Off), None).wait().expect("ports are free");
    let told = engine.echo(CALL, Peer::v4().plain()).wait().expect("a good offer");
    drop(engine);
    UdpSocket::bind((told.ip, told.rtp_port)).expect("the port is free");
}
