//! SRTP and SRTCP: suites, keys, replay protection and two implementations of one contract.
//!
//! [`inplace`] is what the relay runs. [`mod@reference`] is webrtc-srtp behind guards; it serves as the oracle
//! the fast path is held against, and as an independent peer in tests and demonstrations.

pub mod inplace;
pub mod keys;
pub mod reference;
pub mod replay;
pub mod suite;

mod cm;
mod gcm;
mod streams;

pub use inplace::Context;
pub use keys::{Keys, Mki};
pub use suite::Suite;

use crate::packet::PacketBuf;

/// Different senders that one context keeps whole windows for; the longest idle makes room for one more.
pub const MAX_STREAMS: usize = 64;

/// Senders that made room and of which the highest index is kept. More than that under one key is an attack or a fault, and
/// to forget one would open the key to replays, or use an index twice.
pub const MAX_REMEMBERED: usize = 4096;

/// Why a packet could not be protected or unprotected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// The packet number space of this key is used up (RFC 3711, 9.2).
    #[error("the key has protected as many packets as it may")]
    Exhausted,
    /// The header is not RTP's or RTCP's, or is longer than the packet.
    #[error("the packet has no valid header")]
    Malformed,
    /// The index was seen before, or is too old to tell.
    #[error("the packet was seen before or is too old")]
    Replayed,
    /// There is no room for the trailer.
    #[error("the packet is too long to be protected")]
    TooLong,
    /// More senders under one key than are kept apart: [`MAX_STREAMS`] and [`MAX_REMEMBERED`].
    #[error("too many different senders under one key")]
    TooManyStreams,
    /// The tag is missing or wrong.
    #[error("the packet is not authentic")]
    Unauthentic,
    /// SRTCP with a cleared E bit, though UNENCRYPTED_SRTCP was not agreed.
    #[error("the control packet is not encrypted")]
    Unencrypted,
    /// The master key identifier is not the agreed one.
    #[error("the packet names another master key")]
    UnknownMki,
}

/// One direction of an SRTP session: use a value either only to protect or only to unprotect.
/// On an error the packet's octets are unspecified and it must be dropped.
pub trait Srtp {
    /// Encrypts and authenticates an RTP packet.
    ///
    /// # Errors
    /// Says why the packet must not be sent.
    fn protect_rtp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError>;

    /// Verifies and decrypts an SRTP packet.
    ///
    /// # Errors
    /// Says why the packet must not be used.
    fn unprotect_rtp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError>;

    /// Encrypts and authenticates a compound RTCP packet.
    ///
    /// # Errors
    /// Says why the packet must not be sent.
    fn protect_rtcp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError>;

    /// Verifies and decrypts a compound SRTCP packet.
    ///
    /// # Errors
    /// Says why the packet must not be used.
    fn unprotect_rtcp(&mut self, packet: &mut PacketBuf) -> Result<(), SrtpError>;
}

/// The word behind an SRTCP payload: E bit and index (RFC 3711, 3.4).
const ENCRYPTED: u32 = 1 << 31;

/// Octets of that word.
const INDEX_WORD: usize = 4;

/// The SSRC of a compound RTCP packet, if it has the header every one begins with (RFC 3550, 6.1).
fn rtcp_ssrc(packet: &[u8]) -> Result<u32, SrtpError> {
    match packet {
        [first, _, _, _, a, b, c, d, ..] if first >> 6 == 2 => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err(SrtpError::Malformed),
    }
}
