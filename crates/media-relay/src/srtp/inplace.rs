//! The production path: no allocation per packet, keys expanded once, state changed only after the tag.
//!
//! A packet's sender gets a place in the tables only when its first packet proved authentic, so nobody can
//! fill them from outside; and a rollover counter moves only with an authentic packet.

use super::cm::CounterMode;
use super::gcm::Gcm;
use super::keys::Keys;
use super::replay::{MAX_RTCP_INDEX, MAX_RTP_INDEX, ReplayWindow, WINDOW, estimate};
use super::streams::Streams;
use super::suite::Suite;
use super::{Srtp, SrtpError, rtcp_ssrc};
use crate::packet::{PacketBuf, RtpHeader};
use aes::{Aes128, Aes128Enc, Aes256, Aes256Enc};

#[expect(clippy::large_enum_variant, reason = "a context is made once a call and boxed as a whole")]
enum Transform {
    Cm128(CounterMode<Aes128Enc>),
    Cm256(CounterMode<Aes256Enc>),
    Gcm128(Gcm<Aes128>),
    Gcm256(Gcm<Aes256>),
}

/// Runs the same expression on whichever transform is in use.
macro_rules! with_transform {
    ($transform:expr, $it:ident => $body:expr) => {
        match $transform {
            Transform::Cm128($it) => $body,
            Transform::Cm256($it) => $body,
            Transform::Gcm128($it) => $body,
            Transform::Gcm256($it) => $body,
        }
    };
}

/// One direction of an SRTP session. See [`Srtp`] for what it does.
pub struct Context {
    keys: Keys,
    transform: Transform,
    rtp: Streams,
    rtcp: Streams,
}

impl Context {
    /// Derives the session keys and expands them.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        let transform = match keys.suite() {
            Suite::AesCm128Sha1Tag80 | Suite::AesCm128Sha1Tag32 => Transform::Cm128(CounterMode::new(&keys)),
            Suite::AesCm256Sha1Tag80 | Suite::AesCm256Sha1Tag32 => Transform::Cm256(CounterMode::new(&keys)),
            Suite::AeadAes128Gcm => Transform::Gcm128(Gcm::new(&keys)),
            Suite::AeadAes256Gcm => Transform::Gcm256(Gcm::new(&keys)),
        };
        Self { keys, transform, rtp: Streams::default(), rtcp: Streams::default() }
    }

    /// The keys it was made from.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The rollover counter of a sender that was heard or sent.
    #[must_use]
    pub fn rollover(&self, ssrc: u32) -> Option<u32> {
        self.rtp.window(ssrc).map(|window| (window.highest() >> 16) as u32)
    }
}

impl Context {
    /// The number that follows a sender's highest one, if `sequence` is too far behind that to be sent.
    #[must_use]
    pub(crate) fn next_if_behind(&self, ssrc: u32, sequence: u16) -> Option<u16> {
        let highest = self.rtp.window(ssrc)?.highest();
        let is_behind = estimate(highest, sequence) + WINDOW <= highest;
        is_behind.then_some((highest as u16).wrapping_add(1))
    }
}

/// The likely index of a packet, then its neighbours one rollover away: a peer that lost more than half the
/// number space, or that we joined late, is found again instead of staying mute.
fn candidates(window: Option<ReplayWindow>, sequence: u16) -> impl Iterator<Item = u64> {
    let likely = window.map_or_else(|| u64::from(sequence), |window| estimate(window.highest(), sequence));
    [Some(likely), likely.checked_add(1 << 16), likely.checked_sub(1 << 16)].into_iter().flatten().filter(
        move |index| *index <= MAX_RTP_INDEX && !window.is_some_and(|window| window.is_replay(*index)),
    )
}

impl Srtp for Context {
    fn protect_rtp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError> {
        let header = RtpHeader::parse(packet.as_slice()).ok_or(SrtpError::Malformed)?;
        if !self.rtp.has_room_for(header.ssrc) {
            return Err(SrtpError::TooManyStreams);
        }
        let window = self.rtp.window(header.ssrc);
        let index = window
            .map_or_else(|| u64::from(header.sequence), |window| estimate(window.highest(), header.sequence));
        // The same index twice under one key would give the keystream away (RFC 3711, 9.1).
        if window.is_some_and(|window| window.is_replay(index)) {
            return Err(SrtpError::Replayed);
        }
        if index > MAX_RTP_INDEX {
            return Err(SrtpError::Exhausted);
        }
        let mki = self.keys.mki().map_or(&[][..], |mki| mki.octets());
        with_transform!(&self.transform, it => it.seal_rtp(packet, header.len, header.ssrc, index, mki))?;
        self.rtp.accept(header.ssrc, index);
        Ok(())
    }

    fn unprotect_rtp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError> {
        let header = RtpHeader::parse(packet.as_slice()).ok_or(SrtpError::Malformed)?;
        if !self.rtp.has_room_for(header.ssrc) {
            return Err(SrtpError::TooManyStreams);
        }
        let window = self.rtp.window(header.ssrc);
        let mki = self.keys.mki().map_or(&[][..], |mki| mki.octets());
        let opened = with_transform!(&self.transform, it => {
            it.open_rtp(packet, header.len, header.ssrc, candidates(window, header.sequence), mki)
        });
        match opened {
            Ok(index) => {
                self.rtp.accept(header.ssrc, index);
                Ok(())
            }
            Err(SrtpError::Unauthentic) if window.is_some_and(|it| is_known(&it, header.sequence)) => {
                Err(SrtpError::Replayed)
            }
            Err(error) => Err(error),
        }
    }

    fn protect_rtcp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError> {
        let ssrc = rtcp_ssrc(packet.as_slice())?;
        if !self.rtcp.has_room_for(ssrc) {
            return Err(SrtpError::TooManyStreams);
        }
        // The first index is 1, as libsrtp and webrtc-srtp count.
        let index = self.rtcp.window(ssrc).map_or(1, |window| window.highest() + 1);
        if index > MAX_RTCP_INDEX {
            return Err(SrtpError::Exhausted);
        }
        let mki = self.keys.mki().map_or(&[][..], |mki| mki.octets());
        with_transform!(&self.transform, it => it.seal_rtcp(packet, ssrc, index as u32, mki))?;
        self.rtcp.accept(ssrc, index);
        Ok(())
    }

    fn unprotect_rtcp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError> {
        let ssrc = rtcp_ssrc(packet.as_slice())?;
        if !self.rtcp.has_room_for(ssrc) {
            return Err(SrtpError::TooManyStreams);
        }
        let window = self.rtcp.window(ssrc);
        let is_replay = |index: u32| window.is_some_and(|window| window.is_replay(u64::from(index)));
        let mki = self.keys.mki().map_or(&[][..], |mki| mki.octets());
        let index = with_transform!(&self.transform, it => it.open_rtcp(packet, ssrc, is_replay, mki))?;
        self.rtcp.accept(ssrc, u64::from(index));
        Ok(())
    }
}

/// Was a packet with this sequence number seen where it most likely belongs?
fn is_known(window: &ReplayWindow, sequence: u16) -> bool {
    window.is_replay(estimate(window.highest(), sequence))
}
