//! AES in counter mode with HMAC-SHA1 (RFC 3711, 4.1.1 and 4.2.1; RFC 6188), in place.
//!
//! The key schedule and the two keyed halves of HMAC are computed once; a packet clones the latter.

use super::keys::{Keys, Label, keystream};
use super::{ENCRYPTED, INDEX_WORD, SrtpError};
use crate::packet::{PacketBuf, RTCP_HEADER};
use aes::cipher::consts::U16;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockCipher, BlockEncrypt, BlockSizeUser, KeyInit, KeySizeUser};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// HMAC-SHA1's key, in octets (RFC 3711, 5.2: n_a = 160 bits).
const TAG_KEY: usize = 20;

/// The session keys for RTP or for RTCP.
struct Session<C> {
    cipher: C,
    tag: Hmac<Sha1>,
    /// 14 octets of salt and two zeroes that the block counter uses.
    salt: [u8; 16],
}

impl<C> Session<C>
where
    C: BlockEncrypt + BlockCipher + BlockSizeUser<BlockSize = U16> + KeyInit + KeySizeUser,
{
    fn new(keys: &Keys, cipher: Label, tag: Label, salt: Label) -> Self {
        let mut key = GenericArray::<u8, C::KeySize>::default();
        keys.derive(cipher, &mut key);
        let mut tag_key = GenericArray::<u8, <Hmac<Sha1> as KeySizeUser>::KeySize>::default();
        keys.derive(tag, &mut tag_key[..TAG_KEY]);
        let mut salt_octets = [0; 16];
        keys.derive(salt, &mut salt_octets[..14]);
        // HMAC pads a short key with zeroes to a block, which is what the rest of tag_key is (RFC 2104, 2).
        Self { cipher: C::new(&key), tag: <Hmac<Sha1> as KeyInit>::new(&tag_key), salt: salt_octets }
    }

    /// IV = salt * 2^16 XOR SSRC * 2^64 XOR index * 2^16 (RFC 3711, 4.1.1).
    fn apply(&self, ssrc: u32, index: u64, payload: &mut [u8]) {
        let mut iv = self.salt;
        for (octet, part) in iv[4..8].iter_mut().zip(ssrc.to_be_bytes()) {
            *octet ^= part;
        }
        for (octet, part) in iv[8..14].iter_mut().zip(&index.to_be_bytes()[2..]) {
            *octet ^= part;
        }
        keystream(&self.cipher, &iv, payload);
    }

    fn hashed(&self, signed: &[u8]) -> Hmac<Sha1> {
        let mut tag = self.tag.clone();
        tag.update(signed);
        tag
    }
}

/// The RTP tag covers the packet and then the rollover counter, which is not sent (RFC 3711, 4.2).
fn rtp_tag(mut hashed: Hmac<Sha1>, index: u64) -> [u8; TAG_KEY] {
    hashed.update(&((index >> 16) as u32).to_be_bytes());
    hashed.finalize().into_bytes().into()
}

/// Both sessions of one master key.
pub(super) struct CounterMode<C> {
    rtp: Session<C>,
    rtcp: Session<C>,
    rtp_tag_len: usize,
    rtcp_tag_len: usize,
}

impl<C> CounterMode<C>
where
    C: BlockEncrypt + BlockCipher + BlockSizeUser<BlockSize = U16> + KeyInit + KeySizeUser,
{
    pub(super) fn new(keys: &Keys) -> Self {
        Self {
            rtp: Session::new(keys, Label::RtpCipher, Label::RtpTag, Label::RtpSalt),
            rtcp: Session::new(keys, Label::RtcpCipher, Label::RtcpTag, Label::RtcpSalt),
            rtp_tag_len: keys.suite().rtp_tag_len(),
            rtcp_tag_len: keys.suite().rtcp_tag_len(),
        }
    }

    /// header | encrypted payload | MKI | tag
    pub(super) fn seal_rtp(
        &self,
        packet: &mut PacketBuf,
        header: usize,
        ssrc: u32,
        index: u64,
        mki: &[u8],
    ) -> Result<(), SrtpError> {
        self.rtp.apply(ssrc, index, &mut packet.as_mut_slice()[header..]);
        let tag = rtp_tag(self.rtp.hashed(packet.as_slice()), index);
        let fits = packet.append(mki) && packet.append(&tag[..self.rtp_tag_len]);
        if fits { Ok(()) } else { Err(SrtpError::TooLong) }
    }

    /// Tries the candidate indices in turn; the packet is hashed once and decrypted only after a match.
    pub(super) fn open_rtp(
        &self,
        packet: &mut PacketBuf,
        header: usize,
        ssrc: u32,
        candidates: impl Iterator<Item = u64>,
        mki: &[u8],
    ) -> Result<u64, SrtpError> {
        let octets = packet.as_slice();
        let end = octets.len().checked_sub(self.rtp_tag_len + mki.len()).ok_or(SrtpError::Unauthentic)?;
        if end < header {
            return Err(SrtpError::Unauthentic);
        }
        if octets[end..end + mki.len()] != *mki {
            return Err(SrtpError::UnknownMki);
        }
        let sent = &octets[end + mki.len()..];
        let hashed = self.rtp.hashed(&octets[..end]);
        let authentic =
            |index: &u64| bool::from(rtp_tag(hashed.clone(), *index)[..self.rtp_tag_len].ct_eq(sent));
        let mut candidates = candidates;
        let index = candidates.find(authentic).ok_or(SrtpError::Unauthentic)?;
        packet.truncate(end);
        self.rtp.apply(ssrc, index, &mut packet.as_mut_slice()[header..]);
        Ok(index)
    }

    /// header | encrypted rest | E and index | MKI | tag
    pub(super) fn seal_rtcp(
        &self,
        packet: &mut PacketBuf,
        ssrc: u32,
        index: u32,
        mki: &[u8],
    ) -> Result<(), SrtpError> {
        self.rtcp.apply(ssrc, u64::from(index), &mut packet.as_mut_slice()[RTCP_HEADER..]);
        if !packet.append(&(index | ENCRYPTED).to_be_bytes()) {
            return Err(SrtpError::TooLong);
        }
        let tag = self.rtcp.hashed(packet.as_slice()).finalize().into_bytes();
        let fits = packet.append(mki) && packet.append(&tag[..self.rtcp_tag_len]);
        if fits { Ok(()) } else { Err(SrtpError::TooLong) }
    }

    /// Verifies before it looks at the E bit: an unencrypted packet is no less to be authenticated.
    pub(super) fn open_rtcp(
        &self,
        packet: &mut PacketBuf,
        ssrc: u32,
        is_replay: impl FnOnce(u32) -> bool,
        mki: &[u8],
    ) -> Result<u32, SrtpError> {
        let octets = packet.as_slice();
        let trailer = INDEX_WORD + mki.len() + self.rtcp_tag_len;
        let end = octets.len().checked_sub(trailer).ok_or(SrtpError::Unauthentic)?;
        if end < RTCP_HEADER {
            return Err(SrtpError::Unauthentic);
        }
        let signed = end + INDEX_WORD;
        let word = u32::from_be_bytes([octets[end], octets[end + 1], octets[end + 2], octets[end + 3]]);
        if octets[signed..signed + mki.len()] != *mki {
            return Err(SrtpError::UnknownMki);
        }
        if is_replay(word & !ENCRYPTED) {
            return Err(SrtpError::Replayed);
        }
        let tag = self.rtcp.hashed(&octets[..signed]).finalize().into_bytes();
        if !bool::from(tag[..self.rtcp_tag_len].ct_eq(&octets[signed + mki.len()..])) {
            return Err(SrtpError::Unauthentic);
        }
        if word & ENCRYPTED == 0 {
            return Err(SrtpError::Unencrypted);
        }
        let index = word & !ENCRYPTED;
        packet.truncate(end);
        self.rtcp.apply(ssrc, u64::from(index), &mut packet.as_mut_slice()[RTCP_HEADER..]);
        Ok(index)
    }
}
