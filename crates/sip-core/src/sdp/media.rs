//! What one media line says, session-level lines included.

use std::net::{IpAddr, Ipv4Addr};

use super::{SdpError, SessionDescription, attribute};

/// Which way media flows, seen from whoever says it (RFC 3264 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways; also where nothing is said.
    #[default]
    SendRecv,
    /// From the speaker only: the usual hold.
    SendOnly,
    /// To the speaker only.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Direction {
    const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    /// The attribute's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// Whether the speaker means to send.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the speaker means to receive.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same seen from the other side.
    pub fn mirrored(self) -> Self {
        Self::of(self.receives(), self.sends())
    }

    /// What is left of this direction where only `other` is allowed.
    pub fn limited_to(self, other: Self) -> Self {
        Self::of(self.sends() && other.sends(), self.receives() && other.receives())
    }

    fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    fn among(lines: &[String]) -> Option<Self> {
        Self::ALL.into_iter().find(|way| lines.iter().any(|line| attribute(line, way.as_str()).is_some()))
    }
}

/// The transport of a media line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaProfile {
    /// `RTP/AVP`; with keys it is optional SRTP (RFC 8643).
    Avp,
    /// `RTP/SAVP`
    Savp,
    /// `RTP/AVPF`
    Avpf,
    /// `RTP/SAVPF`
    Savpf,
    /// Anything else: DTLS, T.38, TCP.
    Other,
}

impl MediaProfile {
    /// Reads the third word of a media line, in any case.
    pub fn parse(text: &str) -> Self {
        [Self::Avp, Self::Savp, Self::Avpf, Self::Savpf]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
            .unwrap_or(Self::Other)
    }

    /// The spelling in a media line; `Other` has none of its own.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Avp => "RTP/AVP",
            Self::Savp => "RTP/SAVP",
            Self::Avpf => "RTP/AVPF",
            Self::Savpf => "RTP/SAVPF",
            Self::Other => "",
        }
    }

    /// Whether the profile itself demands SRTP.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Savp | Self::Savpf)
    }
}

/// A payload type of a media line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// 0 to 127.
    pub number: u8,
    /// Its rtpmap in lower case, such as `telephone-event/8000`; a static one without has a name of its own.
    pub encoding: String,
}

/// The other side's audio: where to send, with which keys, which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteMedia {
    /// Address or name of the `c=` line that counts.
    pub host: String,
    /// The same when it is an address.
    pub ip: Option<IpAddr>,
    /// Where RTP goes; 0 when the line is off.
    pub rtp_port: u16,
    /// Where RTCP goes when said (RFC 3605); otherwise it is the port after RTP's.
    pub rtcp_port: Option<u16>,
    /// Whether RTCP may share RTP's port (RFC 5761).
    pub rtcp_mux: bool,
    /// The transport.
    pub profile: MediaProfile,
    /// What follows `a=crypto:`, in the sender's order of preference (RFC 4568).
    pub crypto: Vec<String>,
    /// Which way, as said, with hold by `0.0.0.0` or port 0 understood.
    pub direction: Direction,
    /// Whether the sender does not want to hear us: sendonly, inactive, address 0.0.0.0 or port 0.
    pub on_hold: bool,
    /// Its payload types, in the sender's order.
    pub payloads: Vec<Payload>,
    /// Names of the codecs for records, in order of preference.
    pub codecs: Vec<String>,
}

/// There are no more payload types than this (RFC 3550 5.1), so more formats are no offer.
const MAX_FORMATS: usize = 128;

/// The most keys of one media line we look at; nobody has so many suites.
const MAX_CRYPTO: usize = 32;

/// An `m=` line in words.
#[derive(Clone, Copy, Debug)]
pub(super) struct MediaLine<'a> {
    pub(super) kind: &'a str,
    /// 0 where the line is off; `None` where it is no port.
    pub(super) port: Option<u16>,
    pub(super) proto: &'a str,
    pub(super) formats: &'a str,
}

impl<'a> MediaLine<'a> {
    /// Never fails: a line that makes no sense is one that cannot be carried, but still counts as a line.
    pub(super) fn of(section: &'a [String]) -> Self {
        let line = section.first().and_then(|line| line.strip_prefix("m=")).unwrap_or("");
        let mut words = line.trim_start().splitn(4, [' ', '\t']);
        let mut word = || words.next().unwrap_or("");
        let (kind, port, proto, formats) = (word(), word(), word(), word());
        // `49170/2` counts ports, which nobody does for audio.
        let port = port.split('/').next().filter(|port| port.bytes().all(|octet| octet.is_ascii_digit()));
        let port = port.and_then(|port| port.parse().ok());
        Self { kind, port, proto, formats: formats.trim() }
    }

    pub(super) fn profile(&self) -> MediaProfile {
        MediaProfile::parse(self.proto)
    }

    /// Over RTP payload types alone: what is none must not be passed on as one.
    pub(super) fn formats(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let is_rtp = self.profile() != MediaProfile::Other;
        let formats = self.formats.split_ascii_whitespace().take(MAX_FORMATS);
        formats.filter(move |format| !is_rtp || is_payload_type(format))
    }

    pub(super) fn is_off(&self) -> bool {
        self.port == Some(0)
    }

    fn is_rtp_audio(&self) -> bool {
        self.kind.eq_ignore_ascii_case("audio")
            && self.profile() != MediaProfile::Other
            && self.formats().next().is_some()
    }
}

/// 0 to 127 (RFC 3551 6), in its one spelling.
fn is_payload_type(format: &str) -> bool {
    format.parse::<u8>().is_ok_and(|number| number < 128 && number.to_string() == format)
}

pub(super) fn choose_audio(sdp: &SessionDescription) -> Result<usize, SdpError> {
    let lines = || (0..sdp.media_count()).map(|at| (at, MediaLine::of(sdp.section(at))));
    let audio = || lines().filter(|(_, line)| line.is_rtp_audio());
    let on = || audio().filter(|(_, line)| line.port.is_some_and(|port| port != 0));
    let secure =
        on().find(|(at, line)| line.profile().is_secure() && crypto(sdp.section(*at)).any(names_known_suite));
    let plain = || on().find(|(_, line)| !line.profile().is_secure());
    // Where everything is off, it is a hold in the manner of some PBXs. Audio that is off beside something that is on has
    // been replaced by it, such as by a fax, and of that we can accept nothing (RFC 3264 6).
    let held = || audio().next().filter(|_| lines().all(|(_, line)| line.is_off()));
    match secure.or_else(plain).or_else(|| on().next()).or_else(held) {
        Some((at, _)) => Ok(at),
        None if audio().any(|(_, line)| line.port.is_none()) => Err(SdpError::BadPort),
        None => Err(SdpError::NoAudio),
    }
}

fn crypto(section: &[String]) -> impl Iterator<Item = &str> {
    section.iter().filter_map(|line| attribute(line, "crypto")).take(MAX_CRYPTO)
}

/// Whether the suite sounds like one that SRTP stacks have: whoever holds the keys decides in the end.
fn names_known_suite(crypto: &str) -> bool {
    let suite = crypto.split_ascii_whitespace().nth(1).unwrap_or("").to_ascii_uppercase();
    ["AES_CM_128_", "AES_CM_256_", "AES_256_CM_", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM"]
        .iter()
        .any(|known| suite.starts_with(known))
}

pub(super) fn remote(sdp: &SessionDescription, at: usize) -> Result<RemoteMedia, SdpError> {
    let section = sdp.section(at);
    let line = MediaLine::of(section);
    let host = connection(section).or_else(|| connection(sdp.session()));
    let host = match host {
        Some(host) => host,
        None if line.is_off() => "",
        None => return Err(SdpError::NoConnection),
    };
    // IPv4 written as IPv6 (`::ffff:192.0.2.5`) is reached over IPv4.
    let ip = host.parse().ok().map(|ip: IpAddr| ip.to_canonical());
    if ip.is_some_and(|ip| ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)) {
        return Err(SdpError::NotUnicast);
    }
    let direction = direction(sdp, at);
    let flag = |name| section.iter().find_map(|line| attribute(line, name));
    Ok(RemoteMedia {
        host: host.to_owned(),
        ip,
        rtp_port: line.port.ok_or(SdpError::BadPort)?,
        rtcp_port: flag("rtcp").and_then(|value| value.split_ascii_whitespace().next()?.parse().ok()),
        rtcp_mux: flag("rtcp-mux").is_some(),
        profile: line.profile(),
        crypto: crypto(section).map(str::to_owned).collect(),
        direction,
        on_hold: !direction.receives(),
        payloads: line.formats().filter_map(|format| payload(section, format)).collect(),
        codecs: line.formats().map(|format| codec(section, format).to_owned()).collect(),
    })
}

/// Which way the sender means, with the older ways of saying hold understood: an address of all zeros says "do not
/// send to me" (RFC 3264 8.4), a port of zero says that nothing flows.
pub(super) fn direction(sdp: &SessionDescription, at: usize) -> Direction {
    let section = sdp.section(at);
    let said = Direction::among(section).or_else(|| Direction::among(sdp.session())).unwrap_or_default();
    let host = connection(section).or_else(|| connection(sdp.session())).unwrap_or("");
    let is_nowhere = host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_unspecified());
    match MediaLine::of(section).port {
        Some(0) => Direction::Inactive,
        _ if is_nowhere => said.limited_to(Direction::SendOnly),
        _ => said,
    }
}

/// The host of a `c=IN IP4 host/ttl` line.
fn connection(lines: &[String]) -> Option<&str> {
    let value = lines.iter().find_map(|line| line.strip_prefix("c="))?;
    let host = value.split_ascii_whitespace().nth(2)?;
    host.split('/').next().filter(|host| !host.is_empty())
}

fn payload(section: &[String], format: &str) -> Option<Payload> {
    let number = format.parse().ok().filter(|number| *number < 128)?;
    let mut maps = section.iter().filter_map(|line| attribute(line, "rtpmap"));
    let map = maps.find_map(|map| {
        let (mapped, encoding) = map.split_once(|c: char| c.is_ascii_whitespace())?;
        (mapped == format).then(|| encoding.trim().to_ascii_lowercase())
    });
    // One channel is what is meant where none is named (RFC 8866 6.6).
    let encoding = map.map(|map| map.strip_suffix("/1").unwrap_or(&map).to_owned());
    Some(Payload { number, encoding: encoding.unwrap_or_else(|| format!("#{number}")) })
}

/// The name of a payload type: from its rtpmap, or the static one of RFC 3551 6.
pub(super) fn codec<'a>(section: &'a [String], format: &'a str) -> &'a str {
    let mapped = section.iter().filter_map(|line| attribute(line, "rtpmap")).find_map(|map| {
        let (number, encoding) = map.split_once(|c: char| c.is_ascii_whitespace())?;
        (number == format).then(|| encoding.trim().split('/').next().unwrap_or(""))
    });
    mapped.filter(|name| !name.is_empty()).unwrap_or(match format {
        "0" => "PCMU",
        "3" => "GSM",
        "4" => "G723",
        "8" => "PCMA",
        "9" => "G722",
        "13" => "CN",
        "15" => "G728",
        "18" => "G729",
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sdp(lines: &[&str]) -> SessionDescription {
        SessionDescription::parse([&["v=0"], lines].concat().join("\r\n").as_bytes()).unwrap()
    }

    fn audio(lines: &[&str]) -> (usize, RemoteMedia) {
        sdp(lines).audio().unwrap()
    }

    #[test]
    fn ipv4_written_as_ipv6_is_ipv4() {
        let (_, media) = audio(&["c=IN IP6 ::ffff:192.0.2.5", "m=audio 4000 RTP/AVP 0"]);
        assert_eq!(media.ip, Some(Ipv4Addr::new(192, 0, 2, 5).into()));
        let (_, held) = audio(&["c=IN IP6 ::ffff:0.0.0.0", "m=audio 4000 RTP/AVP 0"]);
        assert_eq!(held.direction, Direction::SendOnly);
    }

    #[test]
    fn reads_one_line() {
        let (at, media) = audio(&[
            "c=IN IP4 192.0.2.1",
            "a=sendonly",
            "m=video 1 RTP/AVP 96",
            "m=audio 4000/2 rtp/savp 0 96 18",
            "c=IN IP4 pbx.example/127",
            "a=rtpmap:96 telephone-event/8000",
            "a=rtcp:5001 IN IP4 192.0.2.2",
            "a=rtcp-mux",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x|2^31",
            "a=crypto:2 F8_128_HMAC_SHA1_80 inline:y",
        ]);
        assert_eq!(at, 1);
        assert_eq!((media.host.as_str(), media.ip, media.rtp_port), ("pbx.example", None, 4000));
        assert_eq!((media.rtcp_port, media.rtcp_mux, media.profile), (Some(5001), true, MediaProfile::Savp));
        assert_eq!(
            media.crypto,
            ["1 AES_CM_128_HMAC_SHA1_80 inline:x|2^31", "2 F8_128_HMAC_SHA1_80 inline:y"]
        );
        assert_eq!((media.direction, media.on_hold), (Direction::SendOnly, true));
        assert_eq!(media.codecs, ["PCMU", "telephone-event", "G729"]);
        let payloads: Vec<_> = media.payloads.iter().map(|it| (it.number, it.encoding.as_str())).collect();
        assert_eq!(payloads, [(0, "#0"), (96, "telephone-event/8000"), (18, "#18")]);
    }

    #[test]
    fn every_form_of_hold_is_one() {
        for (lines, direction) in [
            (["c=IN IP4 0.0.0.0", "m=audio 4 RTP/AVP 0", ""], Direction::SendOnly),
            (["c=IN IP6 ::", "m=audio 4 RTP/AVP 0", "a=recvonly"], Direction::Inactive),
            (["c=IN IP4 192.0.2.1", "m=audio 4 RTP/AVP 0", "a=sendonly"], Direction::SendOnly),
            (["c=IN IP4 192.0.2.1", "m=audio 4 RTP/AVP 0", "a=inactive"], Direction::Inactive),
            (["c=IN IP4 192.0.2.1", "m=audio 0 RTP/AVP 0", ""], Direction::Inactive),
        ] {
            let (_, media) = audio(&lines);
            assert_eq!((media.direction, media.on_hold), (direction, true), "{lines:?}");
        }
        let (_, open) = audio(&["c=IN IP4 1.1.1.1", "a=inactive", "m=audio 4 RTP/AVP 0", "a=sendrecv"]);
        assert!(!open.on_hold);
    }

    #[test]
    fn of_twins_the_secure_one_is_taken_if_its_suite_is_known() {
        let twins = |suite: &str| {
            let crypto = format!("a=crypto:1 {suite} inline:x");
            audio(&["c=IN IP4 1.1.1.1", "m=audio 4 RTP/AVP 0", "m=audio 6 RTP/SAVP 0", &crypto]).0
        };
        assert_eq!(twins("AES_CM_128_HMAC_SHA1_80"), 1);
        assert_eq!(twins("AES_256_CM_HMAC_SHA1_80"), 1);
        assert_eq!(twins("F8_128_HMAC_SHA1_80"), 0);
        assert_eq!(audio(&["c=IN IP4 1.1.1.1", "m=audio 0 RTP/AVP 0", "m=audio 6 RTP/SAVP 0"]).0, 1);
    }

    #[test]
    fn says_why_there_is_no_audio() {
        assert_eq!(sdp(&["m=image 4 udptl t38"]).audio(), Err(SdpError::NoAudio));
        assert_eq!(
            sdp(&["c=IN IP4 1.1.1.1", "m=audio 4 UDP/TLS/RTP/SAVP 0"]).audio(),
            Err(SdpError::NoAudio)
        );
        assert_eq!(sdp(&["m=audio 4 RTP/AVP 0"]).audio(), Err(SdpError::NoConnection));
        for port in ["99999", "65536", "-1", "+4", "x", "0x10", "4.5"] {
            let line = format!("m=audio {port} RTP/AVP 0");
            assert_eq!(sdp(&["c=IN IP4 1.1.1.1", &line]).audio(), Err(SdpError::BadPort), "{port}");
        }
        assert_eq!(sdp(&["c=IN IP4 1.1.1.1", "m=audio 4 RTP/AVP"]).audio(), Err(SdpError::NoAudio));
        for many in ["IP4 239.1.2.3/127", "IP4 255.255.255.255", "IP6 ff02::1"] {
            let connection = format!("c=IN {many}");
            assert_eq!(
                sdp(&[&connection, "m=audio 4 RTP/AVP 0"]).audio(),
                Err(SdpError::NotUnicast),
                "{many}"
            );
        }
    }

    #[test]
    fn a_fax_that_takes_the_audios_place_is_nothing_that_we_accept() {
        let offer = |lines: &[&str]| sdp(&[&["c=IN IP4 1.1.1.1"], lines].concat()).audio().map(|(at, _)| at);
        let (fax, audio_off) = ("m=image 4002 udptl t38", "m=audio 0 RTP/AVP 8");
        assert_eq!(offer(&[audio_off, fax]), Err(SdpError::NoAudio));
        assert_eq!(offer(&[fax, audio_off]), Err(SdpError::NoAudio));
        assert_eq!(offer(&[fax]), Err(SdpError::NoAudio));
        assert_eq!(offer(&["m=audio 4 RTP/AVP 8", fax]), Ok(0));
        assert_eq!(offer(&[fax, "m=audio 4 RTP/AVP 8"]), Ok(1));
        assert_eq!(offer(&[audio_off, "m=image 0 udptl t38"]), Ok(0), "all that is off is held");
        assert_eq!(offer(&["m=audio 99999 RTP/AVP 8", "m=audio 4 RTP/AVP 8"]), Ok(1));
    }

    #[test]
    fn directions_mirror_and_limit() {
        for way in Direction::ALL {
            assert_eq!(way.mirrored().mirrored(), way);
            assert_eq!(way.limited_to(Direction::SendRecv), way);
            assert_eq!(way.limited_to(Direction::Inactive), Direction::Inactive);
        }
        assert_eq!(Direction::SendOnly.mirrored(), Direction::RecvOnly);
        assert_eq!(Direction::SendRecv.limited_to(Direction::RecvOnly), Direction::RecvOnly);
    }
}
