//! AES-GCM (RFC 7714), in place.

use super::keys::{Keys, Label};
use super::{ENCRYPTED, INDEX_WORD, SrtpError};
use crate::packet::{PacketBuf, RTCP_HEADER};
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aes::cipher::{BlockCipher, BlockEncrypt, BlockSizeUser, KeySizeUser};
use aes_gcm::{AeadInPlace, AesGcm, KeyInit};

/// GCM's tag, in octets; no suite of RFC 7714 shortens it.
const TAG: usize = 16;

struct Session<C> {
    aead: AesGcm<C, U12>,
    salt: [u8; 12],
}

impl<C> Session<C>
where
    C: BlockCipher + BlockEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + KeySizeUser,
{
    fn new(keys: &Keys, cipher: Label, salt: Label) -> Self {
        let mut key = GenericArray::<u8, C::KeySize>::default();
        keys.derive(cipher, &mut key);
        let mut salt_octets = [0; 12];
        keys.derive(salt, &mut salt_octets);
        Self { aead: AesGcm::new(&key), salt: salt_octets }
    }

    /// 00 00 | SSRC | index in 48 bits, XOR salt: RFC 7714, 8.1 for RTP. An SRTCP index has 31 bits, so the
    /// two octets before its word are the zeroes of 9.1.
    fn nonce(&self, ssrc: u32, index: u64) -> GenericArray<u8, U12> {
        let mut nonce = self.salt;
        for (octet, part) in nonce[2..6].iter_mut().zip(ssrc.to_be_bytes()) {
            *octet ^= part;
        }
        for (octet, part) in nonce[6..].iter_mut().zip(&index.to_be_bytes()[2..]) {
            *octet ^= part;
        }
        nonce.into()
    }
}

/// Both sessions of one master key.
pub(super) struct Gcm<C> {
    rtp: Session<C>,
    rtcp: Session<C>,
}

impl<C> Gcm<C>
where
    C: BlockCipher + BlockEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + KeySizeUser,
{
    pub(super) fn new(keys: &Keys) -> Self {
        Self {
            rtp: Session::new(keys, Label::RtpCipher, Label::RtpSalt),
            rtcp: Session::new(keys, Label::RtcpCipher, Label::RtcpSalt),
        }
    }

    /// header | encrypted payload | GCM tag | MKI
    pub(super) fn seal_rtp(
        &self,
        packet: &mut PacketBuf,
        header: usize,
        ssrc: u32,
        index: u64,
        mki: &[u8],
    ) -> Result<(), SrtpError> {
        let (aad, payload) = packet.as_mut_slice().split_at_mut(header);
        let tag = self
            .rtp
            .aead
            .encrypt_in_place_detached(&self.rtp.nonce(ssrc, index), aad, payload)
            .map_err(|_| SrtpError::TooLong)?;
        let fits = packet.append(&tag) && packet.append(mki);
        if fits { Ok(()) } else { Err(SrtpError::TooLong) }
    }

    /// Tries the candidate indices in turn; the payload is decrypted only where the tag matches.
    pub(super) fn open_rtp(
        &self,
        packet: &mut PacketBuf,
        header: usize,
        ssrc: u32,
        candidates: impl Iterator<Item = u64>,
        mki: &[u8],
    ) -> Result<u64, SrtpError> {
        let end = packet.len().checked_sub(TAG + mki.len()).ok_or(SrtpError::Unauthentic)?;
        if end < header {
            return Err(SrtpError::Unauthentic);
        }
        let (sealed, trailer) = packet.as_mut_slice().split_at_mut(end);
        if trailer[TAG..] != *mki {
            return Err(SrtpError::UnknownMki);
        }
        let tag = *GenericArray::from_slice(&trailer[..TAG]);
        let (aad, payload) = sealed.split_at_mut(header);
        let opens = |index: &u64| {
            self.rtp.aead.decrypt_in_place_detached(&self.rtp.nonce(ssrc, *index), aad, payload, &tag).is_ok()
        };
        let mut candidates = candidates;
        let index = candidates.find(opens).ok_or(SrtpError::Unauthentic)?;
        packet.truncate(end);
        Ok(index)
    }

    /// header | encrypted rest | GCM tag | E and index | MKI (RFC 7714, 9.2)
    pub(super) fn seal_rtcp(
        &self,
        packet: &mut PacketBuf,
        ssrc: u32,
        index: u32,
        mki: &[u8],
    ) -> Result<(), SrtpError> {
        let word = index | ENCRYPTED;
        let (header, rest) = packet.as_mut_slice().split_at_mut(RTCP_HEADER);
        let tag = self
            .rtcp
            .aead
            .encrypt_in_place_detached(
                &self.rtcp.nonce(ssrc, u64::from(index)),
                &rtcp_aad(header, word),
                rest,
            )
            .map_err(|_| SrtpError::TooLong)?;
        let fits = packet.append(&tag) && packet.append(&word.to_be_bytes()) && packet.append(mki);
        if fits { Ok(()) } else { Err(SrtpError::TooLong) }
    }

    pub(super) fn open_rtcp(
        &self,
        packet: &mut PacketBuf,
        ssrc: u32,
        is_replay: impl FnOnce(u32) -> bool,
        mki: &[u8],
    ) -> Result<u32, SrtpError> {
        let end = packet.len().checked_sub(TAG + INDEX_WORD + mki.len()).ok_or(SrtpError::Unauthentic)?;
        if end < RTCP_HEADER {
            return Err(SrtpError::Unauthentic);
        }
        let (sealed, trailer) = packet.as_mut_slice().split_at_mut(end);
        let word = u32::from_be_bytes([trailer[TAG], trailer[TAG + 1], trailer[TAG + 2], trailer[TAG + 3]]);
        if trailer[TAG + INDEX_WORD..] != *mki {
            return Err(SrtpError::UnknownMki);
        }
        // With E cleared the whole packet is associated data (RFC 7714, 9.3). It was not agreed, so there is
        // no need to verify it first: it is dropped either way.
        if word & ENCRYPTED == 0 {
            return Err(SrtpError::Unencrypted);
        }
        let index = word & !ENCRYPTED;
        if is_replay(index) {
            return Err(SrtpError::Replayed);
        }
        let (header, rest) = sealed.split_at_mut(RTCP_HEADER);
        let tag = GenericArray::from_slice(&trailer[..TAG]);
        self.rtcp
            .aead
            .decrypt_in_place_detached(
                &self.rtcp.nonce(ssrc, u64::from(index)),
                &rtcp_aad(header, word),
                rest,
                tag,
            )
            .map_err(|_| SrtpError::Unauthentic)?;
        packet.truncate(end);
        Ok(index)
    }
}

/// The first eight octets and the word with E and index (RFC 7714, 9.2).
fn rtcp_aad(header: &[u8], word: u32) -> [u8; RTCP_HEADER + INDEX_WORD] {
    let mut aad = [0; RTCP_HEADER + INDEX_WORD];
    aad[..RTCP_HEADER].copy_from_slice(&header[..RTCP_HEADER]);
    aad[RTCP_HEADER..].copy_from_slice(&word.to_be_bytes());
    aad
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::Aes128;

    fn hex(text: &str) -> Vec<u8> {
        let text: String = text.split_whitespace().collect();
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// The session key and salt of RFC 7714, 16 and 17, which are used as they are, not derived.
    fn session() -> Session<Aes128> {
        Session {
            aead: AesGcm::new(GenericArray::from_slice(&hex("000102030405060708090a0b0c0d0e0f"))),
            salt: hex("517569642070726f2071756f").try_into().unwrap(),
        }
    }

    /// RFC 7714, 16.1.1.
    #[test]
    fn an_rtp_packet_is_sealed_as_in_rfc_7714() {
        let gcm = Gcm { rtp: session(), rtcp: session() };
        let plain = hex("8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
            69736120 696e2070 61727465 73207472 6573");
        let mut packet = PacketBuf::new();
        packet.fill(&plain);
        gcm.seal_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b, &[]).unwrap();
        let sealed = hex("8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
            0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce");
        assert_eq!(packet.as_slice(), sealed);
        assert_eq!(gcm.open_rtp(&mut packet, 12, 0x5501_a0b2, [0xf17b].into_iter(), &[]), Ok(0xf17b));
        assert_eq!(packet.as_slice(), plain);
    }

    /// RFC 7714, 17.1.
    #[test]
    fn an_rtcp_packet_is_sealed_as_in_rfc_7714() {
        let gcm = Gcm { rtp: session(), rtcp: session() };
        let plain = hex("81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
            deadbeef deadbeef deadbeef deadbeef deadbeef");
        let mut packet = PacketBuf::new();
        packet.fill(&plain);
        gcm.seal_rtcp(&mut packet, 0x4d61_7273, 0x5d4, &[]).unwrap();
        let sealed = hex("81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
            c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4");
        assert_eq!(packet.as_slice(), sealed);
        assert_eq!(gcm.open_rtcp(&mut packet, 0x4d61_7273, |_| false, &[]), Ok(0x5d4));
        assert_eq!(packet.as_slice(), plain);
    }
}
