//! The whole engine on loopback: what a worker spends on a forwarded packet, SRTP on one side and RTP on the
//! other, 50 packets a second each way. `cargo bench --bench engine -- 500` is 500 calls.

use media_relay::engine::{AddressHint, Engine, EngineConfig, LegSetup, LocalAddress, MediaId};
use media_relay::packet::PacketBuf;
use media_relay::sdes::CryptoLine;
use media_relay::session::{Policy, Profile, RemoteDescription, Role, Side};
use media_relay::srtp::suite::MAX_MASTER;
use media_relay::srtp::{Context, Keys, Srtp, Suite};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const DURATION: Duration = Duration::from_secs(4);
const FRAME: Duration = Duration::from_millis(20);

/// Both ends of a call.
struct Ends {
    near: UdpSocket,
    far: UdpSocket,
    to_near: SocketAddr,
    to_far: SocketAddr,
    send: Context,
}

fn open(engine: &Engine, id: MediaId) -> Ends {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let bind = || UdpSocket::bind(SocketAddr::new(ip, 0)).expect("a free port");
    let (near, far) = (bind(), bind());
    let plain = |socket: &UdpSocket| RemoteDescription::plain(socket.local_addr().expect("it is bound"));
    let keys = Keys::from_random(Suite::AesCm128Sha1Tag80, &[id.0 as u8; MAX_MASTER]);
    let crypto = vec![CryptoLine { tag: 1, keys: keys.clone() }.to_string()];
    let offer = RemoteDescription { profile: Profile::Savp, crypto, ..plain(&near) };
    let leg = |policy| LegSetup { policy, address: AddressHint::Any };
    engine.open(id, leg(Policy::Required), Some(leg(Policy::Off))).wait().expect("ports are free");
    let to_far = engine.describe(id, Side::Near, Role::Offer, offer).wait().expect("a good offer");
    let to_near = engine.describe(id, Side::Far, Role::Answer, plain(&far)).wait().expect("a good answer");
    Ends {
        near,
        far,
        to_near: SocketAddr::new(ip, to_near.rtp_port),
        to_far: SocketAddr::new(ip, to_far.rtp_port),
        send: Context::new(keys),
    }
}

/// User and system time of the worker thread, in clock ticks of 10 ms.
fn worker_ticks() -> (u64, u64) {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this is Linux");
    for task in tasks.flatten() {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        if let Some((_, rest)) = stat.split_once("(media-0) ") {
            let fields: Vec<&str> = rest.split(' ').collect();
            let ticks = |place: usize| fields[place].parse().expect("a number");
            return (ticks(11), ticks(12));
        }
    }
    (0, 0)
}

/// Resident memory of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

fn main() {
    let calls = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(250u64);
    let address = LocalAddress::new(Ipv4Addr::LOCALHOST.into());
    let config = EngineConfig { workers: 1, ..EngineConfig::new(vec![address], 10_000..=30_000) };
    let (engine, _events) = Engine::start(config).expect("loopback is there");
    let memory = resident_kib();
    let begun = Instant::now();
    let mut ends: Vec<Ends> = (0..calls).map(|id| open(&engine, MediaId(id))).collect();
    let setup = begun.elapsed() / calls.max(1) as u32;

    let mut packet = PacketBuf::new();
    let mut plain = [0xd5; 172];
    plain[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let (user, system) = worker_ticks();
    let begun = Instant::now();
    let mut frame = 0u32;
    while begun.elapsed() < DURATION {
        plain[2..4].copy_from_slice(&(frame as u16).to_be_bytes());
        for (place, end) in ends.iter_mut().enumerate() {
            packet.fill(&plain);
            end.send.protect_rtp(&mut packet).expect("the sequence goes up");
            let _ = end.near.send_to(packet.as_slice(), end.to_near);
            let _ = end.far.send_to(&plain, end.to_far);
            // Spread over the frame as real calls are, not in one burst.
            if place % 25 == 24 {
                let due = FRAME * frame + FRAME * place as u32 / calls as u32;
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
        }
        frame += 1;
        std::thread::sleep((FRAME * frame).saturating_sub(begun.elapsed()));
    }
    let late = Instant::now();
    let sent = u64::from(frame) * calls * 2;
    while engine.gauges().forwarded_packets < sent && late.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let late = late.elapsed();
    let memory = resident_kib().saturating_sub(memory) as f64 / calls as f64;
    let (user_after, system_after) = worker_ticks();
    let gauges = engine.gauges();
    let micros = |ticks: u64| ticks as f64 * 10_000.0 / gauges.forwarded_packets.max(1) as f64;
    println!(
        "{calls} calls, {sent} packets sent, {} forwarded, the last {late:?} late, set-up {setup:?} a call",
        gauges.forwarded_packets
    );
    println!(
        "worker: {:.2} us a packet, of it user {:.2}; {memory:.1} KiB a call, both ends and their peers",
        micros(user_after - user + system_after - system),
        micros(user_after - user)
    );
}
