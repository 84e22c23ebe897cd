//! The descriptions we write on one leg, and what must be remembered between them (RFC 3264 8).

use std::fmt::Write;
use std::net::IpAddr;

use bytes::Bytes;

use super::media::{self, MediaLine};
use super::{Direction, MediaProfile, SessionDescription, attribute};

/// Our own end of the audio, as the relay has opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// The address to be told.
    pub ip: IpAddr,
    /// Where we take RTP.
    pub rtp_port: u16,
    /// Where we take RTCP.
    pub rtcp_port: u16,
    /// Whether we offer, or accept, RTCP on RTP's port.
    pub rtcp_mux: bool,
    /// The transport of an offer; an answer repeats the one offered.
    pub profile: MediaProfile,
    /// What follows `a=crypto:`: all of ours in an offer, the chosen one in an answer.
    pub crypto: Vec<String>,
}

/// One leg's memory of descriptions.
#[derive(Clone, Debug)]
pub struct LegSdp {
    session_id: u64,
    /// Of the description written last; it rises for as long as the leg lasts.
    version: u64,
    said: Said,
    /// What was said when the running exchange began.
    before: Option<Box<Said>>,
}

/// What has been said on a leg.
#[derive(Clone, Debug)]
struct Said {
    /// What was written last, and its version.
    last: Bytes,
    version: u64,
    /// Every media line this leg has seen; they are never fewer again.
    slots: Vec<Slot>,
    /// Which of them carries the audio.
    active: usize,
    /// What the peer said last about the way of its audio.
    offered: Direction,
    /// Whether the peer's audio line was off: then so is our answer's (RFC 3264 6).
    is_off: bool,
}

/// A media line as far as an answer repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    kind: String,
    proto: String,
    /// The first format: enough for a line that is off.
    format: String,
}

/// The attributes that describe the payload itself and so pass from one leg to the other.
const KEPT: [&str; 6] = ["rtpmap", "fmtp", "ptime", "maxptime", "silenceSupp", "ecan"];

impl LegSdp {
    /// Begins a leg. `session_id` is the number of its `o=` lines, best random.
    pub fn new(session_id: u64) -> Self {
        let said = Said {
            last: Bytes::new(),
            version: 0,
            slots: Vec::new(),
            active: 0,
            offered: Direction::SendRecv,
            is_off: false,
        };
        Self { session_id, version: 0, said, before: None }
    }

    /// What was written last; empty if nothing was.
    pub fn last(&self) -> &Bytes {
        &self.said.last
    }

    /// Another offer is about to be made, by either side: if it is refused, what was said before holds.
    pub fn begin_exchange(&mut self) {
        self.before = Some(Box::new(self.said.clone()));
    }

    /// The offer was refused: the session is as it was (RFC 3264 8), with its media lines and what was written last. Only
    /// the version does not come back.
    pub fn roll_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.said = *before;
        }
    }

    /// Remembers what the peer of this leg has said, offer or answer. `active` is the line its audio is on.
    pub fn received(&mut self, sdp: &SessionDescription, active: usize) {
        for at in 0..sdp.media_count() {
            let line = MediaLine::of(sdp.section(at));
            let slot = Slot {
                kind: line.kind.to_owned(),
                proto: line.proto.to_owned(),
                format: line.formats().next().unwrap_or("0").to_owned(),
            };
            match self.said.slots.get_mut(at) {
                Some(known) => *known = slot,
                None => self.said.slots.push(slot),
            }
        }
        if active < self.said.slots.len() {
            self.said.active = active;
        }
        self.said.offered = media::direction(sdp, active);
        self.said.is_off = MediaLine::of(sdp.section(active)).is_off();
    }

    /// An offer for this leg's peer: the audio that the other leg's peer describes, at our address.
    pub fn write_offer(
        &mut self,
        source: &SessionDescription,
        source_audio: usize,
        local: &LocalMedia,
    ) -> Bytes {
        let audio = Audio::of(source, source_audio, media::direction(source, source_audio));
        let slot = Slot {
            kind: "audio".to_owned(),
            proto: local.profile.as_str().to_owned(),
            format: audio.formats.first().copied().unwrap_or("0").to_owned(),
        };
        match self.said.slots.get_mut(self.said.active) {
            Some(known) => *known = slot,
            None => self.said.slots.push(slot),
        }
        self.write(&audio, local, local.rtp_port)
    }

    /// An answer to the last offer received on this leg: its lines, all off but the audio's, which is what the other
    /// leg's peer has answered. A direction that the offer does not allow is narrowed (RFC 3264 6.1).
    pub fn write_answer(
        &mut self,
        source: &SessionDescription,
        source_audio: usize,
        local: &LocalMedia,
    ) -> Bytes {
        let way = media::direction(source, source_audio).limited_to(self.said.offered.mirrored());
        self.answer(&Audio::of(source, source_audio, way), local)
    }

    /// An answer of our own making, for the echo test: G.711 and DTMF of what is offered, or the first codec, since
    /// an echo understands every one. Nobody is held: each way is the offer's, mirrored.
    pub fn write_echo_answer(
        &mut self,
        offer: &SessionDescription,
        offer_audio: usize,
        local: &LocalMedia,
    ) -> Bytes {
        let mut audio = Audio::of(offer, offer_audio, media::direction(offer, offer_audio).mirrored());
        audio.keep_simple_codecs();
        self.answer(&audio, local)
    }

    fn answer(&mut self, audio: &Audio<'_>, local: &LocalMedia) -> Bytes {
        if self.said.slots.is_empty() {
            let (kind, proto) = ("audio".to_owned(), local.profile.as_str().to_owned());
            self.said.slots.push(Slot { kind, proto, format: "0".to_owned() });
        }
        self.write(audio, local, if self.said.is_off { 0 } else { local.rtp_port })
    }

    /// Writes all lines; the version rises when anything has changed since the last time (RFC 3264 8).
    fn write(&mut self, audio: &Audio<'_>, local: &LocalMedia, port: u16) -> Bytes {
        let same = self.render(self.said.version, audio, local, port);
        if same == self.said.last {
            return self.said.last.clone();
        }
        self.version += 1;
        self.said.version = self.version;
        self.said.last = self.render(self.version, audio, local, port).into();
        self.said.last.clone()
    }

    fn render(&self, version: u64, audio: &Audio<'_>, local: &LocalMedia, port: u16) -> String {
        let mut text = String::with_capacity(1024);
        self.render_into(&mut text, version, audio, (local, port)).expect("writing to memory cannot fail");
        text
    }

    fn render_into(
        &self,
        text: &mut String,
        version: u64,
        audio: &Audio<'_>,
        (local, port): (&LocalMedia, u16),
    ) -> std::fmt::Result {
        let ip = local.ip.to_canonical();
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let session_id = self.session_id;
        write!(text, "v=0\r\no=- {session_id} {version} IN {family} {ip}\r\ns=-\r\n")?;
        write!(text, "c=IN {family} {ip}\r\nt=0 0\r\n")?;
        for (at, slot) in self.said.slots.iter().enumerate() {
            if at == self.said.active {
                write!(text, "m={} {port} {} {}\r\n", slot.kind, slot.proto, audio.formats.join(" "))?;
                audio.render_into(text, local)?;
            } else {
                write!(text, "m={} 0 {} {}\r\n", slot.kind, slot.proto, slot.format)?;
            }
        }
        Ok(())
    }
}

/// The audio of a description, as it passes to the other leg.
struct Audio<'a> {
    section: &'a [String],
    formats: Vec<&'a str>,
    way: Direction,
}

impl<'a> Audio<'a> {
    fn of(sdp: &'a SessionDescription, at: usize, way: Direction) -> Self {
        let section = sdp.section(at);
        Self { section, formats: MediaLine::of(section).formats().collect(), way }
    }

    fn keep_simple_codecs(&mut self) {
        let section = self.section;
        let is = |format: &str, names: &[&str]| {
            names.iter().any(|name| media::codec(section, format).eq_ignore_ascii_case(name))
        };
        let first = self.formats.first().copied();
        let has_g711 = self.formats.iter().any(|format| is(format, &["PCMU", "PCMA"]));
        self.formats.retain(|format| {
            is(format, &["PCMU", "PCMA", "telephone-event"]) || (!has_g711 && Some(*format) == first)
        });
    }

    fn render_into(&self, text: &mut String, local: &LocalMedia) -> std::fmt::Result {
        for line in self.section.iter().filter(|line| self.keeps(line)) {
            write!(text, "{line}\r\n")?;
        }
        write!(text, "a=rtcp:{}\r\n", local.rtcp_port)?;
        if local.rtcp_mux {
            text.write_str("a=rtcp-mux\r\n")?;
        }
        for crypto in &local.crypto {
            write!(text, "a=crypto:{crypto}\r\n")?;
        }
        write!(text, "a={}\r\n", self.way.as_str())
    }

    /// Payload attributes pass, if their payload does.
    fn keeps(&self, line: &str) -> bool {
        let Some((name, value)) = KEPT.iter().find_map(|name| Some((*name, attribute(line, name)?))) else {
            return false;
        };
        let payload = value.split_ascii_whitespace().next().unwrap_or("");
        !matches!(name, "rtpmap" | "fmtp") || self.formats.contains(&payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sdp(text: &str) -> SessionDescription {
        SessionDescription::parse(text.as_bytes()).unwrap()
    }

    fn local() -> LocalMedia {
        LocalMedia {
            ip: "198.51.100.1".parse().unwrap(),
            rtp_port: 20000,
            rtcp_port: 20001,
            rtcp_mux: false,
            profile: MediaProfile::Avp,
            crypto: Vec::new(),
        }
    }

    const OFFER: &str = "v=0\r\no=x 1 1 IN IP4 10.0.0.1\r\ns=pbx\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\na=sendonly\r\n\
        m=audio 4000 RTP/SAVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
        a=ptime:20\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:k\r\na=rtcp:4001\r\na=candidate:1 1 UDP 1 10.0.0.1 4000 typ host\r\n\
        a=fingerprint:sha-1 00\r\na=setup:actpass\r\na=ice-ufrag:x\r\na=silenceSupp:off - - - -\r\n\
        m=video 4002 RTP/AVP 96 97\r\na=rtpmap:96 H264/90000\r\n";

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_offer_carries_only_the_audio_to_our_address() {
        let mut leg = LegSdp::new(77);
        assert_eq!(
            text(&leg.write_offer(&sdp(OFFER), 0, &local())),
            "v=0\r\no=- 77 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
             m=audio 20000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
             a=fmtp:101 0-16\r\na=ptime:20\r\na=silenceSupp:off - - - -\r\na=rtcp:20001\r\na=sendonly\r\n"
        );
    }

    #[test]
    fn an_answer_has_the_lines_of_the_offer() {
        let mut leg = LegSdp::new(5);
        leg.received(&sdp(OFFER), 0);
        let answer = sdp("v=0\nc=IN IP4 10.9.9.9\nm=audio 6000 RTP/AVP 8\na=sendrecv\n");
        let secure = LocalMedia {
            crypto: vec!["1 AES_CM_128_HMAC_SHA1_80 inline:ours".into()],
            rtcp_mux: true,
            ..local()
        };
        let written = leg.write_answer(&answer, 0, &secure);
        let lines: Vec<&str> = text(&written).lines().skip(5).collect();
        assert_eq!(
            lines,
            [
                "m=audio 20000 RTP/SAVP 8",
                "a=rtcp:20001",
                "a=rtcp-mux",
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:ours",
                // The offer is sendonly, so sendrecv is narrowed.
                "a=recvonly",
                "m=video 0 RTP/AVP 96",
            ]
        );
    }

    #[test]
    fn the_number_of_lines_never_shrinks() {
        let mut leg = LegSdp::new(5);
        leg.received(&sdp(OFFER), 0);
        leg.received(&sdp("v=0\nc=IN IP4 10.9.9.9\nm=audio 6000 RTP/AVP 8\n"), 0);
        let offer = leg.write_offer(&sdp("v=0\nc=IN IP4 1.1.1.1\nm=audio 6 RTP/AVP 0\n"), 0, &local());
        assert!(text(&offer).contains("m=audio 20000 RTP/AVP 0\r\n"));
        assert!(text(&offer).ends_with("m=video 0 RTP/AVP 96\r\n"));
    }

    #[test]
    fn the_version_rises_with_each_change_only() {
        let mut leg = LegSdp::new(5);
        let first = leg.write_offer(&sdp(OFFER), 0, &local());
        assert_eq!(leg.write_offer(&sdp(OFFER), 0, &local()), first);
        let moved = leg.write_offer(&sdp(OFFER), 0, &LocalMedia { rtp_port: 30000, ..local() });
        assert!(text(&first).contains("o=- 5 1 "));
        assert!(text(&moved).contains("o=- 5 2 "));
    }

    #[test]
    fn what_is_no_payload_type_is_not_passed_on() {
        let mut leg = LegSdp::new(5);
        let odd = sdp("v=0\nc=IN IP4 1.1.1.1\nm=audio 6 RTP/AVP 128 8 PCMU 300 -1 +3 08 127 101\n");
        assert!(text(&leg.write_offer(&odd, 0, &local())).contains("m=audio 20000 RTP/AVP 8 127 101\r\n"));
        let none = sdp("v=0\nc=IN IP4 1.1.1.1\nm=audio 6 RTP/AVP 128 PCMU\n");
        assert_eq!(none.audio(), Err(crate::sdp::SdpError::NoAudio));
    }

    #[test]
    fn a_refused_offer_leaves_no_line_and_no_hold_behind() {
        let mut leg = LegSdp::new(5);
        let agreed = leg.write_offer(&sdp(OFFER), 0, &local());
        leg.begin_exchange();
        leg.received(
            &sdp("v=0\nc=IN IP4 1.1.1.1\nm=audio 6 RTP/AVP 0\na=sendonly\nm=image 8 udptl t38\n"),
            0,
        );
        let held = leg.write_offer(&sdp("v=0\nc=IN IP4 0.0.0.0\nm=audio 6 RTP/AVP 0\n"), 0, &local());
        assert_ne!(held, agreed);
        leg.roll_back();
        assert_eq!(*leg.last(), agreed, "what is refreshed is what was agreed");
        assert_eq!(leg.write_offer(&sdp(OFFER), 0, &local()), agreed);
        leg.roll_back();
        assert_eq!(*leg.last(), agreed, "nothing is taken back twice");
        let moved = leg.write_offer(&sdp(OFFER), 0, &LocalMedia { rtp_port: 30000, ..local() });
        assert!(text(&moved).contains("o=- 5 3 "), "no version is used twice");
        assert!(!text(&moved).contains("image"));
    }

    #[test]
    fn a_hold_by_zeros_passes_as_sendonly_with_our_address() {
        let mut leg = LegSdp::new(5);
        let held = sdp("v=0\nc=IN IP4 0.0.0.0\nm=audio 6000 RTP/AVP 8\n");
        let written = leg.write_offer(&held, 0, &local());
        assert!(text(&written).contains("c=IN IP4 198.51.100.1\r\n"));
        assert!(text(&written).ends_with("a=sendonly\r\n"));
    }

    #[test]
    fn a_line_that_is_off_is_answered_off_and_offered_on() {
        let mut leg = LegSdp::new(5);
        let off = sdp("v=0\nc=IN IP4 10.0.0.1\nm=audio 0 RTP/AVP 8\n");
        leg.received(&off, 0);
        let source = sdp("v=0\nc=IN IP4 10.0.0.2\nm=audio 6 RTP/AVP 8\n");
        assert!(text(&leg.write_answer(&source, 0, &local())).contains("m=audio 0 RTP/AVP 8\r\n"));
        let mut other = LegSdp::new(6);
        let passed = other.write_offer(&off, 0, &local());
        assert!(text(&passed).contains("m=audio 20000 RTP/AVP 8\r\n"));
        assert!(text(&passed).ends_with("a=inactive\r\n"));
    }

    #[test]
    fn the_echo_takes_g711_and_dtmf_or_the_first_codec() {
        let echo = |formats: &str| {
            let offer = sdp(&format!(
                "v=0\nc=IN IP6 ::1\nm=audio 4 RTP/AVP {formats}\na=rtpmap:101 telephone-event/8000\na=rtpmap:96 opus/48000\na=sendonly\n"
            ));
            let mut leg = LegSdp::new(1);
            leg.received(&offer, 0);
            text(&leg.write_echo_answer(&offer, 0, &local()))
                .lines()
                .skip(5)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            echo("9 0 96 101"),
            [
                "m=audio 20000 RTP/AVP 0 101",
                "a=rtpmap:101 telephone-event/8000",
                "a=rtcp:20001",
                "a=recvonly"
            ]
        );
        assert_eq!(
            echo("96 101")[..3],
            ["m=audio 20000 RTP/AVP 96 101", "a=rtpmap:101 telephone-event/8000", "a=rtpmap:96 opus/48000"]
        );
    }
}
