//! Session descriptions (RFC 8866): read as the field sends them, rewritten to our relay for the other leg.
//!
//! [`SessionDescription`] keeps lines and gives views. [`LegSdp`] remembers what has been said on one leg, so that
//! what we write there obeys RFC 3264: the number of media lines never shrinks, the version rises with each change.
//! Payloads, codecs and timing pass through; only address, ports, keys and direction are ours.

mod body;
mod leg;
mod media;

use bytes::Bytes;
use thiserror::Error;

pub use body::{BodyFault, sdp_body};
pub use leg::{LegSdp, LocalMedia};
pub use media::{Direction, MediaProfile, Payload, RemoteMedia};

/// The most lines we read. A long offer has about a hundred.
const MAX_LINES: usize = 1000;
/// The most media lines we read: each is remembered and answered for as long as the call lasts (RFC 3264 8).
const MAX_MEDIA: usize = 32;

/// Why a description is of no use.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SdpError {
    /// It does not begin with `v=`.
    #[error("the body is no session description")]
    NotSdp,
    /// More than 1000 lines, or more than 32 media lines.
    #[error("the session description is too long")]
    TooLong,
    /// No audio line, or none over RTP that we can carry.
    #[error("the session description has no audio over RTP")]
    NoAudio,
    /// The audio's port is no number from 0 to 65535.
    #[error("the session description has no port for its audio")]
    BadPort,
    /// Neither the session nor the audio line says an address.
    #[error("the session description has no address for its audio")]
    NoConnection,
    /// A call has one other end (RFC 3264 section 5.2 is for conferences).
    #[error("the session description has an address of many hosts for its audio")]
    NotUnicast,
}

/// A description as received: its lines, without their ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription {
    lines: Vec<String>,
    /// Where in `lines` each media section begins.
    media: Vec<usize>,
}

impl SessionDescription {
    /// Reads a description. Lines may end with LF alone; what is no `x=` line is skipped, so blank lines and garbage
    /// at the end do no harm; no line but the first is missed.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        let text = String::from_utf8_lossy(body);
        // A lone CR ends a line too: a peer that takes it for one must not read lines we have not seen.
        let lines = text.split(['\n', '\r', '\0']).map(|line| line.trim_start_matches('\u{feff}').trim_end());
        let lines: Vec<String> =
            lines.filter(|line| is_line(line)).take(MAX_LINES + 1).map(str::to_owned).collect();
        if lines.len() > MAX_LINES {
            return Err(SdpError::TooLong);
        }
        if !lines.first().is_some_and(|line| line.starts_with("v=")) {
            return Err(SdpError::NotSdp);
        }
        let media: Vec<usize> =
            lines.iter().enumerate().filter(|(_, line)| line.starts_with("m=")).map(|(at, _)| at).collect();
        if media.len() > MAX_MEDIA {
            return Err(SdpError::TooLong);
        }
        Ok(Self { lines, media })
    }

    /// The first usable audio line and what it says. Where a peer offers the same audio with and without SRTP on two
    /// lines, the one with SRTP is taken if we may know one of its suites, otherwise the plain one.
    pub fn audio(&self) -> Result<(usize, RemoteMedia), SdpError> {
        let at = media::choose_audio(self)?;
        Ok((at, media::remote(self, at)?))
    }

    /// How many media lines there are.
    pub fn media_count(&self) -> usize {
        self.media.len()
    }

    /// An answer that takes none of what is offered: each line with port 0 (RFC 3264 6).
    pub(crate) fn declined(&self) -> Bytes {
        let mut text = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n".to_owned();
        for at in 0..self.media_count() {
            let line = media::MediaLine::of(self.section(at));
            let format = line.formats().next().unwrap_or("0");
            text.push_str(&format!("m={} 0 {} {format}\r\n", line.kind, line.proto));
        }
        Bytes::from(text)
    }

    /// The lines with their ends restored.
    pub fn to_bytes(&self) -> Bytes {
        let mut text = String::with_capacity(self.lines.iter().map(|line| line.len() + 2).sum());
        for line in &self.lines {
            text.push_str(line);
            text.push_str("\r\n");
        }
        Bytes::from(text)
    }

    /// Whether a media line has this format.
    pub(crate) fn has_format(&self, at: usize, format: &str) -> bool {
        media::MediaLine::of(self.section(at)).formats().any(|known| known == format)
    }

    /// Leaves only those formats of a media line, by number and codec, that are wanted.
    pub(crate) fn keep_formats(&mut self, at: usize, is_wanted: impl Fn(&str, &str) -> bool) {
        let section = self.section(at);
        let line = media::MediaLine::of(section);
        let is_kept = |format: &&str| is_wanted(format, media::codec(section, format));
        let head = section.first().map_or("", String::as_str).split_ascii_whitespace().take(3);
        let kept = head.chain(line.formats().filter(is_kept)).collect::<Vec<_>>().join(" ");
        if let Some(place) = self.media.get(at) {
            self.lines[*place] = kept;
        }
    }

    /// The lines before the first media line.
    fn session(&self) -> &[String] {
        &self.lines[..self.media.first().copied().unwrap_or(self.lines.len())]
    }

    /// The lines of a media section, its `m=` line first; none when there is no such section.
    fn section(&self, at: usize) -> &[String] {
        let end = self.media.get(at + 1).copied().unwrap_or(self.lines.len());
        self.media.get(at).map_or(&[], |&start| &self.lines[start..end])
    }
}

fn is_line(line: &str) -> bool {
    matches!(line.as_bytes(), [kind, b'=', ..] if kind.is_ascii_lowercase())
}

/// The value of an attribute line, `Some("")` for a flag.
fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix("a=")?;
    let (known, value) = rest.split_once(':').unwrap_or((rest, ""));
    known.trim_end().eq_ignore_ascii_case(name).then_some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_field_sends() {
        let sdp = SessionDescription::parse(
            b"v=0\no=- 99999999999999999999999 1 IN IP4 1.2.3.4\ns= \n\nm=audio 4000 RTP/AVP 0 8\nc=IN IP4 1.2.3.4\n\x00garbage",
        )
        .unwrap();
        let (at, audio) = sdp.audio().unwrap();
        assert_eq!((at, audio.rtp_port, audio.host.as_str()), (0, 4000, "1.2.3.4"));
        assert_eq!(SessionDescription::parse(&sdp.to_bytes()), Ok(sdp));
    }

    #[test]
    fn an_offer_is_declined_line_by_line() {
        let offer = SessionDescription::parse(
            b"v=0\nc=IN IP4 1.2.3.4\nm=audio 4000 RTP/SAVP 8 0\na=sendonly\nm=image 5 udptl t38\n",
        );
        assert_eq!(
            offer.unwrap().declined(),
            "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
             m=audio 0 RTP/SAVP 8\r\nm=image 0 udptl t38\r\n"
        );
    }

    #[test]
    fn refuses_what_is_no_description() {
        assert_eq!(SessionDescription::parse(b""), Err(SdpError::NotSdp));
        assert_eq!(SessionDescription::parse(b"s=x\r\nv=0"), Err(SdpError::NotSdp));
        assert_eq!(SessionDescription::parse(&b"v=0\n".repeat(1001)), Err(SdpError::TooLong));
        let with_media = |count| [&b"v=0\n"[..], &b"m=video 0 RTP/AVP 96\n".repeat(count)].concat();
        assert_eq!(SessionDescription::parse(&with_media(MAX_MEDIA)).unwrap().media_count(), MAX_MEDIA);
        assert_eq!(SessionDescription::parse(&with_media(MAX_MEDIA + 1)), Err(SdpError::TooLong));
    }
}
