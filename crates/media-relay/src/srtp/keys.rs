//! Master keys, the master key identifier, and the key derivation of RFC 3711, 4.3.

use super::suite::{MAX_MASTER, Suite};
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockCipher, BlockEncrypt, InnerIvInit, KeyInit, StreamCipher};
use aes::{Aes128Enc, Aes256Enc};
use std::fmt;

/// The longest master key identifier accepted, in octets. RFC 4568 allows 128; peers use one or four.
pub const MAX_MKI: usize = 16;

/// A master key identifier as it stands in every packet (RFC 3711, 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mki {
    octets: [u8; MAX_MKI],
    len: u8,
}

impl Mki {
    /// An identifier of `len` octets, 1 to [`MAX_MKI`]. `None` if the value does not fit into them.
    #[must_use]
    pub fn new(value: u128, len: usize) -> Option<Self> {
        if !(1..=MAX_MKI).contains(&len) || (len < MAX_MKI && value >> (len * 8) != 0) {
            return None;
        }
        let mut octets = [0; MAX_MKI];
        octets[..len].copy_from_slice(&value.to_be_bytes()[MAX_MKI - len..]);
        Some(Self { octets, len: len as u8 })
    }

    /// The octets sent.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }

    /// The number those octets make, as `a=crypto` writes it.
    #[must_use]
    pub fn value(&self) -> u128 {
        self.octets().iter().fold(0, |value, octet| value << 8 | u128::from(*octet))
    }
}

/// One direction's keying material: suite, master key, master salt and, if agreed, the MKI.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    suite: Suite,
    master: [u8; MAX_MASTER],
    mki: Option<Mki>,
}

impl Keys {
    /// Key followed by salt, exactly [`Suite::master_len`] octets; `None` if there are more or fewer.
    #[must_use]
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<Self> {
        if key_and_salt.len() != suite.master_len() {
            return None;
        }
        let mut master = [0; MAX_MASTER];
        master[..key_and_salt.len()].copy_from_slice(key_and_salt);
        Some(Self { suite, master, mki: None })
    }

    /// Takes from random octets as many as the suite needs.
    #[must_use]
    pub fn from_random(suite: Suite, random: &[u8; MAX_MASTER]) -> Self {
        let mut master = [0; MAX_MASTER];
        master[..suite.master_len()].copy_from_slice(&random[..suite.master_len()]);
        Self { suite, master, mki: None }
    }

    /// The same key, marked in every packet by `mki`.
    #[must_use]
    pub fn with_mki(mut self, mki: Option<Mki>) -> Self {
        self.mki = mki;
        self
    }

    /// The suite these keys are for.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The identifier sent with every packet, if one was agreed.
    #[must_use]
    pub fn mki(&self) -> Option<&Mki> {
        self.mki.as_ref()
    }

    /// Key and salt together, as `inline:` carries them.
    #[must_use]
    pub fn key_and_salt(&self) -> &[u8] {
        &self.master[..self.suite.master_len()]
    }

    /// The master key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.master[..self.suite.key_len()]
    }

    /// The master salt.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.key_and_salt()[self.suite.key_len()..]
    }

    /// Derives `out.len()` octets for `label`, with a key derivation rate of 0 (RFC 3711, 4.3.1).
    pub(super) fn derive(&self, label: Label, out: &mut [u8]) {
        // RFC 7714, 11: a 12 octet salt counts as if two zero octets followed it.
        let mut iv = [0u8; 16];
        iv[..self.salt().len()].copy_from_slice(self.salt());
        iv[7] ^= label as u8;
        out.fill(0);
        match self.suite.key_len() {
            16 => keystream(&Aes128Enc::new(GenericArray::from_slice(self.key())), &iv, out),
            _ => keystream(&Aes256Enc::new(GenericArray::from_slice(self.key())), &iv, out),
        }
    }
}

/// Keys never reach a log.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("suite", &self.suite).field("mki", &self.mki).finish_non_exhaustive()
    }
}

/// What a derived key is for (RFC 3711, 4.3.1 and 4.3.2).
#[derive(Clone, Copy)]
pub(super) enum Label {
    RtpCipher = 0,
    RtpTag = 1,
    RtpSalt = 2,
    RtcpCipher = 3,
    RtcpTag = 4,
    RtcpSalt = 5,
}

/// XORs AES counter mode's keystream over `data`; the cipher keeps its expanded key.
#[inline]
pub(super) fn keystream<C>(cipher: &C, iv: &[u8; 16], data: &mut [u8])
where
    C: BlockEncrypt + BlockCipher + aes::cipher::BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    let core =
        ctr::CtrCore::<&C, ctr::flavors::Ctr128BE>::inner_iv_init(cipher, GenericArray::from_slice(iv));
    aes::cipher::StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 3711, appendix B.2.
    #[test]
    fn counter_mode_yields_the_keystream_of_rfc_3711() {
        let key = hex("2B7E151628AED2A6ABF7158809CF4F3C");
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"));
        let mut stream = [0; 48];
        keystream(&Aes128Enc::new(GenericArray::from_slice(&key)), &iv, &mut stream);
        assert_eq!(
            stream.to_vec(),
            hex(
                "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"
            )
        );
    }

    /// RFC 3711, appendix B.3.
    #[test]
    fn derived_keys_are_those_of_rfc_3711() {
        let master = hex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6");
        let keys = Keys::new(Suite::AesCm128Sha1Tag80, &master).unwrap();
        let mut cipher = [0; 16];
        keys.derive(Label::RtpCipher, &mut cipher);
        assert_eq!(cipher.to_vec(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        let mut salt = [0; 14];
        keys.derive(Label::RtpSalt, &mut salt);
        assert_eq!(salt.to_vec(), hex("30CBBC08863D8C85D49DB34A9AE1"));
        let mut tag = [0; 94];
        keys.derive(Label::RtpTag, &mut tag);
        assert_eq!(
            tag.to_vec(),
            hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2DC68")[..94].to_vec()
        );
    }

    /// RFC 6188, section 7.2 (AES-256).
    #[test]
    fn derived_keys_are_those_of_rfc_6188() {
        let master = hex(
            "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6 3b04803de51ee7c96423ab5b78d2"
                .replace(' ', "")
                .as_str(),
        );
        let keys = Keys::new(Suite::AesCm256Sha1Tag80, &master).unwrap();
        let mut cipher = [0; 32];
        keys.derive(Label::RtpCipher, &mut cipher);
        assert_eq!(cipher.to_vec(), hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"));
        let mut salt = [0; 14];
        keys.derive(Label::RtpSalt, &mut salt);
        assert_eq!(salt.to_vec(), hex("fa31791685ca444a9e07c6c64e93"));
    }

    #[test]
    fn an_mki_must_fit_into_its_length() {
        assert_eq!(Mki::new(1, 4).unwrap().octets(), [0, 0, 0, 1]);
        assert_eq!(Mki::new(1, 4).unwrap().value(), 1);
        assert_eq!(Mki::new(256, 1), None);
        assert_eq!(Mki::new(1, 0), None);
        assert_eq!(Mki::new(1, MAX_MKI + 1), None);
    }

    #[test]
    fn keys_do_not_show_themselves() {
        let keys = Keys::from_random(Suite::AeadAes128Gcm, &[0x41; MAX_MASTER]);
        assert!(!format!("{keys:?}").contains("41") && !format!("{keys:?}").contains("65"));
    }
}
