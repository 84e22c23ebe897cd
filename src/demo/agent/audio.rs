//! Real RTP over a UDP socket: says a tone, and tells which one is heard.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use media_relay::packet::{Kind, PacketBuf, RtpHeader, classify};
use media_relay::srtp::{Context, Keys, Srtp};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use super::tone::{Codec, FRAME, Tone, WINDOW, recognise};

/// Sockets tried for an even port (RFC 3550, section 11). Each try has an even chance.
const TRIES: usize = 64;

/// How long a tone must sound to be sure of it.
const STEADY: Duration = Duration::from_secs(1);
/// How long one window sounds.
const WINDOW_TIME: Duration = Duration::from_millis(100);

/// What has come in so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// RTP packets that were understood.
    pub(crate) packets: u64,
    /// Packets that were not: damaged, not authentic, or in another codec.
    pub(crate) rejected: u64,
    /// The tone of the last 100 ms, Hz.
    pub(crate) tone_hz: Option<u16>,
    /// How long it has sounded without a break.
    pub(crate) steady: Duration,
}

impl Heard {
    /// Whether that tone has sounded for a second without a break: a lost or doubled packet would have broken it.
    pub(crate) fn is_steady(&self, tone_hz: u16) -> bool {
        self.tone_hz == Some(tone_hz) && self.steady >= STEADY
    }

    fn window(&mut self, tone_hz: Option<u16>) {
        let before = if self.tone_hz == tone_hz { self.steady } else { Duration::ZERO };
        (self.tone_hz, self.steady) = (tone_hz, before + WINDOW_TIME);
    }
}

/// An open socket that no media flows over yet.
pub(super) struct AudioPort {
    socket: UdpSocket,
    pub(super) address: SocketAddr,
}

impl AudioPort {
    /// Opens an even port, free by the system's word.
    pub(super) fn open(ip: IpAddr) -> io::Result<Self> {
        for _ in 0..TRIES {
            let socket = std::net::UdpSocket::bind((ip, 0))?;
            let address = socket.local_addr()?;
            if address.port() % 2 == 0 {
                socket.set_nonblocking(true)?;
                return Ok(Self { socket: UdpSocket::from_std(socket)?, address });
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "the system gives no even port"))
    }
}

/// What both sides have agreed on.
pub(super) struct Agreement {
    pub(super) to: SocketAddr,
    pub(super) codec: Codec,
    /// Ours to send with and theirs to receive with; `None` is plain RTP.
    pub(super) keys: Option<(Keys, Keys)>,
}

/// Running audio; it stops when dropped.
pub(super) struct Audio {
    _task: AbortOnDropHandle<()>,
}

impl Audio {
    /// Begins to say `tone_hz` and to listen. What is heard is published every 100 ms of sound.
    pub(super) fn start(
        port: AudioPort,
        agreement: Agreement,
        tone_hz: u16,
        heard: watch::Sender<Heard>,
    ) -> Self {
        let (mine, theirs) = agreement
            .keys
            .map_or((None, None), |(mine, theirs)| (Some(Context::new(mine)), Some(Context::new(theirs))));
        let mouth = Mouth::new(agreement.codec, tone_hz, mine);
        let ears = Ears { unprotect: theirs, heard, window: Vec::with_capacity(WINDOW) };
        let task = tokio::spawn(talk(port.socket, agreement.to, mouth, ears));
        Self { _task: AbortOnDropHandle::new(task) }
    }
}

async fn talk(socket: UdpSocket, to: SocketAddr, mut mouth: Mouth, mut ears: Ears) {
    let mut clock = interval(Duration::from_millis(20));
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut packet = PacketBuf::new();
    loop {
        tokio::select! {
            _ = clock.tick() => {
                // A refused packet is one lost packet: the other side may not listen yet, or not any more.
                let _ = socket.send_to(mouth.say(), to).await;
            }
            received = socket.recv_from(packet.receive_area()) => {
                if let Ok((len, _)) = received {
                    packet.set_len(len);
                    ears.hear(&mut packet);
                }
            }
        }
    }
}

/// Makes packets.
struct Mouth {
    tone: Tone,
    codec: Codec,
    protect: Option<Context>,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    packet: PacketBuf,
}

impl Mouth {
    fn new(codec: Codec, tone_hz: u16, protect: Option<Context>) -> Self {
        let random = super::random();
        Self {
            tone: Tone::new(tone_hz),
            codec,
            protect,
            // RFC 3711, 3.3.1: begin in the lower half, so that a lost start does not hide a rollover.
            sequence: (random >> 48) as u16 & 0x7fff,
            timestamp: (random >> 32) as u32,
            ssrc: random as u32,
            packet: PacketBuf::new(),
        }
    }

    /// The next packet, ready to be sent.
    fn say(&mut self) -> &[u8] {
        let mut octets = Vec::with_capacity(12 + FRAME);
        octets.extend_from_slice(&[0x80, self.codec.payload_type()]);
        octets.extend_from_slice(&self.sequence.to_be_bytes());
        octets.extend_from_slice(&self.timestamp.to_be_bytes());
        octets.extend_from_slice(&self.ssrc.to_be_bytes());
        octets.extend_from_slice(&self.tone.frame(self.codec));
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        self.packet.fill(&octets);
        if let Some(protect) = &mut self.protect {
            protect
                .protect_rtp(&mut self.packet)
                .expect("sequence numbers rise, and 20 ms of G.711 leave room");
        }
        self.packet.as_slice()
    }
}

/// Reads packets.
struct Ears {
    unprotect: Option<Context>,
    heard: watch::Sender<Heard>,
    window: Vec<i16>,
}

impl Ears {
    fn hear(&mut self, packet: &mut PacketBuf) {
        if classify(packet.as_slice()) != Kind::Rtp {
            return;
        }
        if self.understand(packet).is_none() {
            self.heard.send_modify(|heard| heard.rejected += 1);
            return;
        }
        let tone = self.window.first_chunk::<WINDOW>().map(recognise);
        if tone.is_some() {
            self.window.drain(..WINDOW);
        }
        self.heard.send_modify(|heard| {
            heard.packets += 1;
            if let Some(tone) = tone {
                heard.window(tone);
            }
        });
    }

    fn understand(&mut self, packet: &mut PacketBuf) -> Option<()> {
        if let Some(unprotect) = &mut self.unprotect {
            unprotect.unprotect_rtp(packet).ok()?;
        }
        let header = RtpHeader::parse(packet.as_slice())?;
        let codec = Codec::of_payload_type(header.payload_type)?;
        let payload = &packet.as_slice()[header.len..];
        self.window.extend(payload.iter().map(|&octet| codec.decode(octet)));
        Some(())
    }
}
