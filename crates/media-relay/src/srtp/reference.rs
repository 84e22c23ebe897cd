//! webrtc-srtp behind guards: the only file that names it.
//!
//! Version 0.17.2 has defects an unguarded caller passes on to the network; each guard below says which,
//! and has a test that fails without it. The relay itself runs [`super::inplace`].

use super::keys::Keys;
use super::suite::Suite;
use super::{ENCRYPTED, INDEX_WORD, MAX_REMEMBERED, MAX_STREAMS, Srtp, SrtpError, rtcp_ssrc};
use crate::packet::{PacketBuf, RTCP_HEADER, RtpHeader};
use bytes::Bytes;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

/// Packets behind the newest that are still told apart.
const REPLAY_WINDOW: usize = 128;

/// One direction of an SRTP session on webrtc-srtp. It has no MKI.
pub struct Reference {
    context: Context,
    suite: Suite,
    rtp: Vec<u32>,
    rtcp: Vec<u32>,
}

impl Reference {
    /// A context for these keys; `None` if they carry an MKI, which webrtc-srtp does not know.
    #[must_use]
    pub fn new(keys: &Keys) -> Option<Self> {
        if keys.mki().is_some() {
            return None;
        }
        let profile = match keys.suite() {
            Suite::AesCm128Sha1Tag80 => ProtectionProfile::Aes128CmHmacSha1_80,
            Suite::AesCm128Sha1Tag32 => ProtectionProfile::Aes128CmHmacSha1_32,
            Suite::AesCm256Sha1Tag80 => ProtectionProfile::Aes256CmHmacSha1_80,
            Suite::AesCm256Sha1Tag32 => ProtectionProfile::Aes256CmHmacSha1_32,
            Suite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        };
        // Guard 5: without these options webrtc-srtp has no replay protection at all.
        let rtp_window = Some(srtp_replay_protection(REPLAY_WINDOW));
        let rtcp_window = Some(srtcp_replay_protection(REPLAY_WINDOW));
        let context = Context::new(keys.key(), keys.salt(), profile, rtp_window, rtcp_window).ok()?;
        Some(Self { context, suite: keys.suite(), rtp: Vec::new(), rtcp: Vec::new() })
    }

    /// Senders webrtc-srtp holds state for.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.rtp.len() + self.rtcp.len()
    }
}

/// Guard 4: webrtc-srtp keeps state for a sender before it has verified anything, so who may have state is
/// counted here, and a sender over the limit never reaches it.
fn admit(streams: &mut Vec<u32>, ssrc: u32) -> Result<(), SrtpError> {
    if streams.contains(&ssrc) {
        return Ok(());
    }
    if streams.len() >= MAX_STREAMS + MAX_REMEMBERED {
        return Err(SrtpError::TooManyStreams);
    }
    streams.push(ssrc);
    Ok(())
}

/// Guard 3: webrtc-rs parses the elements of a header extension before authentication and panics on a cut
/// one. This header has the same length for it, and nothing to parse.
fn opaque_header(header: &RtpHeader, packet: &[u8]) -> rtp::header::Header {
    let sources = usize::from(packet[0] & 0x0f);
    let extension = packet[0] & 0x10 != 0;
    let block = header.len - crate::packet::RTP_HEADER - sources * 4;
    rtp::header::Header {
        version: 2,
        ssrc: header.ssrc,
        sequence_number: header.sequence,
        csrc: vec![0; sources],
        extension,
        extension_profile: 0xbede,
        extensions_padding: block.saturating_sub(4),
        ..Default::default()
    }
}

fn replace(packet: &mut PacketBuf, by: &Bytes) -> Result<(), SrtpError> {
    packet.truncate(0);
    if packet.append(by) { Ok(()) } else { Err(SrtpError::TooLong) }
}

fn reason(error: webrtc_srtp::Error) -> SrtpError {
    use webrtc_srtp::Error;
    match error {
        Error::SrtpSsrcDuplicated(..) | Error::SrtcpSsrcDuplicated(..) => SrtpError::Replayed,
        Error::ErrExceededMaxPackets => SrtpError::Exhausted,
        _ => SrtpError::Unauthentic,
    }
}

impl Srtp for Reference {
    fn protect_rtp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError> {
        let header = RtpHeader::parse(packet.as_slice()).ok_or(SrtpError::Malformed)?;
        admit(&mut self.rtp, header.ssrc)?;
        let opaque = opaque_header(&header, packet.as_slice());
        let sealed = self.context.encrypt_rtp_with_header(packet.as_slice(), &opaque).map_err(reason)?;
        replace(packet, &sealed)
    }

    fn unprotect_rtp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError> {
        let header = RtpHeader::parse(packet.as_slice()).ok_or(SrtpError::Malformed)?;
        if packet.len() < header.len + self.suite.rtp_tag_len() {
            return Err(SrtpError::Unauthentic);
        }
        admit(&mut self.rtp, header.ssrc)?;
        let opaque = opaque_header(&header, packet.as_slice());
        let opened = self.context.decrypt_rtp_with_header(packet.as_slice(), &opaque).map_err(reason)?;
        replace(packet, &opened)
    }

    fn protect_rtcp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError> {
        let ssrc = rtcp_ssrc(packet.as_slice())?;
        admit(&mut self.rtcp, ssrc)?;
        let sealed = self.context.encrypt_rtcp(packet.as_slice()).map_err(reason)?;
        replace(packet, &sealed)
    }

    fn unprotect_rtcp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError> {
        let ssrc = rtcp_ssrc(packet.as_slice())?;
        // Guard 2: webrtc-srtp computes offsets from the end without checking that there is so much.
        if packet.len() < RTCP_HEADER + INDEX_WORD + self.suite.rtcp_tag_len() {
            return Err(SrtpError::Unauthentic);
        }
        // Guard 1: with the E bit cleared webrtc-srtp hands the packet out before it checks the tag.
        if index_word(packet.as_slice(), self.suite) & ENCRYPTED == 0 {
            return Err(SrtpError::Unencrypted);
        }
        admit(&mut self.rtcp, ssrc)?;
        let opened = self.context.decrypt_rtcp(packet.as_slice()).map_err(reason)?;
        replace(packet, &opened)
    }
}

/// E bit and index: before the tag in counter mode, at the end with GCM. The length was checked.
fn index_word(packet: &[u8], suite: Suite) -> u32 {
    let behind = match suite {
        Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 0,
        _ => suite.rtcp_tag_len(),
    };
    let at = packet.len() - behind - INDEX_WORD;
    u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::suite::MAX_MASTER;

    fn pair(suite: Suite) -> (Reference, Reference) {
        let keys = Keys::from_random(suite, &[7; MAX_MASTER]);
        (Reference::new(&keys).unwrap(), Reference::new(&keys).unwrap())
    }

    fn buf(octets: &[u8]) -> PacketBuf {
        let mut packet = PacketBuf::new();
        packet.fill(octets);
        packet
    }

    /// A receiver report with nothing in it, then `rest`.
    fn rtcp(rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
        packet.extend_from_slice(rest);
        packet
    }

    #[test]
    fn guard_1_an_unencrypted_control_packet_does_not_pass_unverified() {
        for suite in Suite::ALL {
            let (_, mut receiver) = pair(suite);
            let mut forged = rtcp(&[0; 4]);
            forged.extend_from_slice(&[0; 26]);
            assert_eq!(receiver.unprotect_rtcp(&mut buf(&forged)), Err(SrtpError::Unencrypted), "{suite}");
        }
    }

    #[test]
    fn guard_2_a_short_control_packet_is_refused_without_a_panic() {
        for suite in Suite::ALL {
            let (_, mut receiver) = pair(suite);
            for len in 0..8 + 4 + suite.rtcp_tag_len() {
                let mut short = rtcp(&[0xff; 40]);
                short.truncate(len);
                assert!(receiver.unprotect_rtcp(&mut buf(&short)).is_err(), "{suite} {len}");
            }
        }
    }

    #[test]
    fn guard_3_a_broken_extension_element_is_carried_as_it_is() {
        // Element 1 claims 16 octets where 3 are left; element 15 ends webrtc-rs's parse early.
        for elements in [[0x1f, 1, 2, 3], [0xf0, 1, 2, 3]] {
            let mut plain = vec![0x90, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0xbe, 0xde, 0, 1];
            plain.extend_from_slice(&elements);
            plain.extend_from_slice(b"voice");
            for suite in Suite::ALL {
                let (mut sender, mut receiver) = pair(suite);
                let mut packet = buf(&plain);
                sender.protect_rtp(&mut packet).unwrap();
                assert_eq!(packet.as_slice()[..20], plain[..20], "the extension stays in clear");
                receiver.unprotect_rtp(&mut packet).unwrap();
                assert_eq!(packet.as_slice(), plain);
            }
        }
    }

    #[test]
    fn guard_4_strangers_cannot_grow_the_tables() {
        let (_, mut receiver) = pair(Suite::AesCm128Sha1Tag80);
        let mut last = Ok(());
        for ssrc in 0..10_000u32 {
            let mut packet = vec![0x80, 0, 0, 1, 0, 0, 0, 0];
            packet.extend_from_slice(&ssrc.to_be_bytes());
            packet.extend_from_slice(&[0; 30]);
            last = receiver.unprotect_rtp(&mut buf(&packet));
        }
        assert_eq!(last, Err(SrtpError::TooManyStreams));
        assert_eq!(receiver.streams(), MAX_STREAMS + MAX_REMEMBERED);
    }

    #[test]
    fn guard_5_a_replayed_packet_is_refused() {
        for suite in Suite::ALL {
            let (mut sender, mut receiver) = pair(suite);
            let mut packet = buf(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3]);
            sender.protect_rtp(&mut packet).unwrap();
            let copy = packet.as_slice().to_vec();
            receiver.unprotect_rtp(&mut packet).unwrap();
            assert_eq!(receiver.unprotect_rtp(&mut buf(&copy)), Err(SrtpError::Replayed), "{suite}");
            let mut control = buf(&rtcp(&[]));
            sender.protect_rtcp(&mut control).unwrap();
            let copy = control.as_slice().to_vec();
            receiver.unprotect_rtcp(&mut control).unwrap();
            assert_eq!(receiver.unprotect_rtcp(&mut buf(&copy)), Err(SrtpError::Replayed), "{suite}");
        }
    }
}
