//! Keys for media (RFC 4568), and what they do to it.

use media_relay::packet::PacketBuf;
use media_relay::sdes::CryptoLine;
use media_relay::srtp::{Context, Srtp};
use sip_core::sdp::RemoteMedia;

use super::Call;

/// How an agent wants its media protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Not at all; nor are keys taken.
    None,
    /// RTP/AVP with keys, as of RFC 8643.
    Optional,
    /// RTP/SAVP.
    Required,
}

/// The suite that every stack has.
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

/// What a description says of protection.
pub(super) struct Secured {
    pub(super) profile: &'static str,
    /// The attribute's line, or nothing.
    pub(super) line: String,
}

impl Call {
    /// 30 octets that are this call's own, in base64; hexadecimal digits are all within that alphabet.
    fn key(&self) -> String {
        format!("{tag}{tag}{:08}", self.keys_changed, tag = self.local_tag)
    }

    fn take_own(&mut self, tag: &str, profile: &'static str) -> Secured {
        let crypto = format!("{tag} {SUITE} inline:{}", self.key());
        let line = format!("a=crypto:{crypto}\r\n");
        self.own_crypto = Some(crypto);
        Secured { profile, line }
    }

    /// Our media is plain.
    fn go_plain(&mut self) -> Secured {
        (self.own_crypto, self.their_crypto) = (None, None);
        Secured { profile: "RTP/AVP", line: String::new() }
    }

    /// What we say of keys in an offer.
    pub(super) fn offer_keys(&mut self, protection: Protection) -> Secured {
        match protection {
            Protection::None => self.go_plain(),
            Protection::Optional => self.take_own("1", "RTP/AVP"),
            Protection::Required => self.take_own("1", "RTP/SAVP"),
        }
    }

    /// What we say of keys in the answer to an offer.
    pub(super) fn answer_keys(&mut self, protection: Protection, offer: &RemoteMedia) -> Secured {
        let known = offer.crypto.iter().find(|line| line.split_whitespace().nth(1) == Some(SUITE));
        match known.filter(|_| protection != Protection::None) {
            Some(line) => {
                self.their_crypto = Some(line.clone());
                let tag = line.split_whitespace().next().unwrap_or_default().to_owned();
                self.take_own(&tag, if offer.profile.is_secure() { "RTP/SAVP" } else { "RTP/AVP" })
            }
            None => self.go_plain(),
        }
    }

    /// The other side has answered our offer: with a key, or in the clear.
    pub(super) fn learn_keys(&mut self, answer: &RemoteMedia) {
        match answer.crypto.first() {
            Some(line) => self.their_crypto = Some(line.clone()),
            None => (self.own_crypto, self.their_crypto) = (None, None),
        }
    }

    /// Whether what we send and hear is encrypted.
    pub(crate) fn is_protected(&self) -> bool {
        self.own_crypto.is_some() && self.their_crypto.is_some()
    }

    pub(crate) fn protect(&self, packet: Vec<u8>) -> Vec<u8> {
        let Some(line) = self.own_crypto.as_ref().filter(|_| self.is_protected()) else { return packet };
        with_key(line, &packet, |context, packet| context.protect_rtp(packet))
    }

    pub(crate) fn unprotect(&self, packet: Vec<u8>) -> Vec<u8> {
        let Some(line) = self.their_crypto.as_ref().filter(|_| self.is_protected()) else { return packet };
        with_key(line, &packet, |context, packet| context.unprotect_rtp(packet))
    }
}

fn with_key<E: std::fmt::Debug>(
    line: &str,
    packet: &[u8],
    work: impl FnOnce(&mut Context, &mut PacketBuf) -> Result<(), E>,
) -> Vec<u8> {
    let keys = CryptoLine::parse(line).expect("both sides write crypto lines").keys;
    let mut buffer = PacketBuf::new();
    buffer.fill(packet);
    work(&mut Context::new(keys), &mut buffer).expect("the packet fits the key");
    buffer.as_slice().to_vec()
}
