//! The agent's session descriptions: one audio line, G.711, with or without the keys of RFC 4568.

use std::fmt::Write;
use std::net::SocketAddr;

use bytes::Bytes;
use media_relay::sdes::{Choice, CryptoLine, choose};
use media_relay::srtp::suite::MAX_MASTER;
use media_relay::srtp::{Keys, Suite};
use sip_core::sdp::SessionDescription;

use super::audio::Agreement;
use super::tone::Codec;

/// The suite of our own offers: the one that every implementation has.
const SUITE: Suite = Suite::AesCm128Sha1Tag80;

/// How media is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// RTP.
    Plain,
    /// SRTP with keys in the session description; nothing else is accepted.
    Sdes,
}

/// An offer made, waiting for its answer.
pub(super) struct Offer {
    pub(super) text: Bytes,
    keys: Option<Keys>,
}

impl Offer {
    /// Offers both laws of G.711 at `media`.
    pub(super) fn new(media: SocketAddr, security: Security) -> Self {
        let keys = (security == Security::Sdes).then(fresh_keys);
        let crypto = keys.clone().map(|keys| CryptoLine { tag: 1, keys });
        Self { text: write(media, &[Codec::Pcmu, Codec::Pcma], crypto.as_ref()), keys }
    }

    /// What the answer comes to; `None` if it is of no use.
    pub(super) fn agreed(self, answer: &[u8]) -> Option<Agreement> {
        let theirs = Described::read(answer)?;
        let keys = match (self.keys, theirs.crypto) {
            (Some(mine), Some(line)) => Some((mine, line.keys)),
            (None, None) => None,
            _ => return None,
        };
        Some(Agreement { to: theirs.media, codec: theirs.codec, keys })
    }
}

/// Answers an offer; `None` if it is of no use.
pub(super) fn answer(offer: &[u8], media: SocketAddr, security: Security) -> Option<(Bytes, Agreement)> {
    let theirs = Described::read(offer)?;
    let (crypto, keys) = match (security, theirs.crypto) {
        (Security::Plain, None) => (None, None),
        (Security::Sdes, Some(line)) => {
            let mine = Keys::from_random(line.keys.suite(), &random_master());
            (Some(CryptoLine { tag: line.tag, keys: mine.clone() }), Some((mine, line.keys)))
        }
        _ => return None,
    };
    let text = write(media, &[theirs.codec], crypto.as_ref());
    Some((text, Agreement { to: theirs.media, codec: theirs.codec, keys }))
}

/// What the other side says.
struct Described {
    media: SocketAddr,
    codec: Codec,
    crypto: Option<CryptoLine>,
}

impl Described {
    fn read(text: &[u8]) -> Option<Self> {
        let (_, audio) = SessionDescription::parse(text).ok()?.audio().ok()?;
        let crypto = match choose(&audio.crypto, &Suite::ALL) {
            Choice::Taken(line) => Some(*line),
            Choice::Absent => None,
            Choice::Unusable(_) => return None,
        };
        Some(Self {
            media: SocketAddr::new(audio.ip?, audio.rtp_port),
            codec: audio.codecs.iter().find_map(|name| Codec::named(name))?,
            crypto,
        })
    }
}

fn write(media: SocketAddr, codecs: &[Codec], crypto: Option<&CryptoLine>) -> Bytes {
    let family = if media.is_ipv4() { "IP4" } else { "IP6" };
    let (ip, port) = (media.ip(), media.port());
    let profile = if crypto.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    let formats: String = codecs.iter().map(|codec| format!(" {}", codec.payload_type())).collect();
    let mut text = format!(
        "v=0\r\no=- {} 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} {profile}{formats}\r\na=ptime:20\r\n",
        super::random() >> 2
    );
    if let Some(line) = crypto {
        write!(text, "a=crypto:{line}\r\n").expect("writing to memory cannot fail");
    }
    text.push_str("a=sendrecv\r\n");
    text.into()
}

fn fresh_keys() -> Keys {
    Keys::from_random(SUITE, &random_master())
}

fn random_master() -> [u8; MAX_MASTER] {
    let mut master = [0; MAX_MASTER];
    getrandom::fill(&mut master).expect("the system has randomness");
    master
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn both_sides_agree_on_keys_and_addresses() {
        let offer = Offer::new(address("127.0.0.1:4000"), Security::Sdes);
        let (text, callee) = answer(&offer.text, address("127.0.0.1:5000"), Security::Sdes).unwrap();
        let caller = offer.agreed(&text).unwrap();
        assert_eq!((caller.to, callee.to), (address("127.0.0.1:5000"), address("127.0.0.1:4000")));
        let ((mine, theirs), (others, ours)) = (caller.keys.unwrap(), callee.keys.unwrap());
        assert!(mine == ours && theirs == others && mine != theirs);
    }

    #[test]
    fn who_demands_srtp_takes_nothing_else() {
        let plain = Offer::new(address("127.0.0.1:4000"), Security::Plain);
        assert!(answer(&plain.text, address("127.0.0.1:5000"), Security::Sdes).is_none());
        let (text, _) = answer(&plain.text, address("127.0.0.1:5000"), Security::Plain).unwrap();
        assert!(Offer::new(address("127.0.0.1:4000"), Security::Sdes).agreed(&text).is_none());
        assert_eq!(plain.agreed(&text).unwrap().codec, Codec::Pcmu);
    }
}
