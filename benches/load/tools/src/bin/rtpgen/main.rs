//! Plays the media of many calls through a relay: 50 packets a second each way, and counts what comes through.
//!
//! `rtpgen PLAN SECONDS` prints one JSON object; `plan.rs` says what a plan is. It runs for SECONDS after one more
//! second in which the relay gets to know the sources; a line `started` on the standard output marks the beginning,
//! a line `ended` the end, so that whoever measures the relay reads its clock at these moments.

mod batch;
mod plan;

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use media_relay::packet::PacketBuf;
use media_relay::srtp::{Context, Srtp};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use batch::Lines;
use plan::{Call, Leg};

type Failure = Box<dyn std::error::Error>;

const FRAME: Duration = Duration::from_millis(20);
/// Calls are spread over a frame as real ones are.
const SLOTS: u32 = 20;
const WARM_UP_FRAMES: u32 = 50;
const HEADER: usize = 12;
/// A 20 ms G.711 packet.
const PACKET: usize = HEADER + 160;
/// Of the encrypted packets that come back, one in so many is decrypted: enough to know that they are right, and
/// cheap enough not to slow the generator.
const CHECKED: u16 = 16;

/// One direction of a call at its sender.
struct Stream {
    local: SocketAddrV4,
    remote: SocketAddrV4,
    protect: Option<Context>,
    packet: [u8; PACKET],
}

/// One direction of a call at its receiver.
struct Sink {
    unprotect: Option<Context>,
}

#[derive(Default)]
struct Tally {
    received: u64,
    forged: u64,
    delays_us: Vec<u32>,
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [plan, seconds] = words.as_slice() else { return Err("usage: rtpgen PLAN SECONDS".into()) };
    let calls = plan::read(&std::fs::read_to_string(plan)?)?;
    let mut generator = Generator::new(&calls)?;
    // Sequence numbers must not begin anew.
    let frames = seconds.parse::<u32>()?.min(1200) * 50;

    generator.play(0..WARM_UP_FRAMES)?;
    println!("started");
    let sent = generator.play(WARM_UP_FRAMES..WARM_UP_FRAMES + frames)?;
    println!("ended");
    generator.wait(Instant::now() + Duration::from_millis(300))?;
    generator.report(calls.len(), sent);
    Ok(())
}

struct Generator {
    begun: Instant,
    lines: Lines,
    streams: Vec<Stream>,
    sinks: HashMap<SocketAddrV4, Sink>,
    tally: Tally,
    /// Slots that began more than a frame late: then the generator is the bottleneck.
    late_slots: u32,
}

impl Generator {
    fn new(calls: &[Call]) -> Result<Self, Failure> {
        let mut lines = Lines::default();
        let (mut streams, mut sinks) = (Vec::new(), HashMap::new());
        for leg in calls.iter().flatten() {
            lines.open(leg.local)?;
            sinks.insert(leg.remote, Sink { unprotect: leg.receive.clone().map(Context::new) });
            streams.push(stream(leg, streams.len() as u32 + 1));
        }
        Ok(Self { begun: Instant::now(), lines, streams, sinks, tally: Tally::default(), late_slots: 0 })
    }

    /// Sends these frames of every stream; returns how many packets the kernel took.
    fn play(&mut self, frames: std::ops::Range<u32>) -> Result<u64, Failure> {
        let mut sent = 0;
        for frame in frames {
            for slot in 0..SLOTS {
                let due = self.begun + FRAME * frame + FRAME * slot / SLOTS;
                self.wait(due)?;
                self.late_slots += u32::from(due.elapsed() > FRAME);
                self.fill(frame, slot)?;
                sent += self.lines.send()?;
            }
        }
        Ok(sent)
    }

    /// Prepares the packets of the streams whose turn it is. Both streams of a call share a slot.
    fn fill(&mut self, frame: u32, slot: u32) -> Result<(), Failure> {
        let now = self.begun.elapsed().as_nanos() as u64;
        let is_due = |place: usize| place as u32 / 2 % SLOTS == slot;
        for (_, stream) in self.streams.iter_mut().enumerate().filter(|(place, _)| is_due(*place)) {
            stream.packet[2..4].copy_from_slice(&(frame as u16).to_be_bytes());
            stream.packet[4..8].copy_from_slice(&(frame * 160).to_be_bytes());
            stream.packet[HEADER..HEADER + 8].copy_from_slice(&now.to_be_bytes());
            let mut packet = PacketBuf::new();
            packet.fill(&stream.packet);
            if let Some(context) = &mut stream.protect {
                context.protect_rtp(&mut packet)?;
            }
            self.lines.push(stream.local, packet, stream.remote);
        }
        Ok(())
    }

    /// Takes in what arrives until `due`.
    fn wait(&mut self, due: Instant) -> Result<(), Failure> {
        loop {
            self.lines.receive(|from, packet| {
                let now = self.begun.elapsed().as_nanos() as u64;
                if let Some(sink) = self.sinks.get_mut(&from) {
                    self.tally.take(sink, packet, now);
                }
            })?;
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let mut sockets: Vec<_> =
                self.lines.sockets().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)).collect();
            ppoll(&mut sockets, Some(TimeSpec::from_duration(left)), None)?;
        }
    }

    fn report(&mut self, calls: usize, sent: u64) {
        let Tally { received, forged, delays_us } = &mut self.tally;
        delays_us.sort_unstable();
        let percentile = |percent: usize| match delays_us.len() {
            0 => 0,
            count => delays_us[(count - 1) * percent / 100],
        };
        let (p50, p99, late) = (percentile(50), percentile(99), self.late_slots);
        println!(
            "{{\"calls\": {calls}, \"sent\": {sent}, \"received\": {received}, \"forged\": {forged}, \
             \"p50_us\": {p50}, \"p99_us\": {p99}, \"late_slots\": {late}}}"
        );
    }
}

fn stream(leg: &Leg, ssrc: u32) -> Stream {
    let mut packet = [0xd5; PACKET];
    // Version 2, PCMA.
    packet[..2].copy_from_slice(&[0x80, 8]);
    packet[8..HEADER].copy_from_slice(&ssrc.to_be_bytes());
    Stream { local: leg.local, remote: leg.remote, protect: leg.send.clone().map(Context::new), packet }
}

impl Tally {
    fn take(&mut self, sink: &mut Sink, octets: &[u8], now: u64) {
        let Some(sequence) = octets.get(2..4) else { return };
        let sequence = u16::from_be_bytes([sequence[0], sequence[1]]);
        // What is left of the warming up was not counted when it was sent.
        if u32::from(sequence) < WARM_UP_FRAMES {
            return;
        }
        self.received += 1;
        let is_checked = sequence % CHECKED == 0;
        let Some(context) = &mut sink.unprotect else { return self.time(octets, now) };
        if is_checked {
            let mut packet = PacketBuf::new();
            packet.fill(octets);
            match context.unprotect_rtp(&mut packet) {
                Ok(()) => self.time(packet.as_slice(), now),
                Err(_) => self.forged += 1,
            }
        }
    }

    /// The sender's clock is in the payload's first octets.
    fn time(&mut self, packet: &[u8], now: u64) {
        if let Some(Ok(sent)) = packet.get(HEADER..HEADER + 8).map(<[u8; 8]>::try_from) {
            self.delays_us.push((now.saturating_sub(u64::from_be_bytes(sent)) / 1000) as u32);
        }
    }
}
