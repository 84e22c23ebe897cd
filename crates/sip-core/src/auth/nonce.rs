//! Nonces that prove themselves: time, salt and a MAC over both and the source, so a challenge costs no memory.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Octets of time, salt and truncated MAC (RFC 2104 5 asks for at least half of the hash).
const TIME: usize = 8;
const SALT: usize = 8;
const MAC: usize = 16;

/// The key of one process, or of several that accept each other's nonces.
#[derive(Clone)]
pub struct NonceKey([u8; 32]);

/// What a nonce is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceState {
    /// Ours, for this source, in time.
    Fresh,
    /// Ours, for this source, too old: challenge again with `stale=true`.
    Stale,
    /// Not ours, or not for this source: challenge again. After a restart this happens to every PBX.
    Foreign,
}

impl std::fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NonceKey(..)")
    }
}

impl NonceKey {
    /// Takes 32 random octets.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// A nonce for this source, from now on. `salt` makes two nonces of one second differ.
    pub fn issue(&self, now_unix_s: u64, source: IpAddr, salt: u64) -> String {
        let mut octets = [0; TIME + SALT + MAC];
        octets[..TIME].copy_from_slice(&now_unix_s.to_be_bytes());
        octets[TIME..TIME + SALT].copy_from_slice(&salt.to_be_bytes());
        let tag = self.mac(&octets[..TIME + SALT], source).finalize().into_bytes();
        octets[TIME + SALT..].copy_from_slice(&tag[..MAC]);
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// 16 hex digits that are the same for the same content and source, and that nobody else can work out.
    pub fn token(&self, content: &str, source: IpAddr) -> String {
        let mac = self.mac(content.as_bytes(), source).finalize().into_bytes();
        mac.iter().take(8).map(|octet| format!("{octet:02x}")).collect()
    }

    /// A number that is the same for the same content, and that nobody else can work out.
    pub fn lot(&self, content: &str) -> u64 {
        let mac =
            self.mac(content.as_bytes(), std::net::Ipv6Addr::UNSPECIFIED.into()).finalize().into_bytes();
        mac.iter().take(8).fold(0, |number, &octet| number << 8 | u64::from(octet))
    }

    /// Whether the nonce is ours and no older than `lifetime_s`.
    pub fn check(&self, nonce: &str, now_unix_s: u64, source: IpAddr, lifetime_s: u64) -> NonceState {
        let mut octets = [0; TIME + SALT + MAC];
        if !matches!(URL_SAFE_NO_PAD.decode_slice(nonce, &mut octets), Ok(length) if length == octets.len()) {
            return NonceState::Foreign;
        }
        let (content, tag) = octets.split_at(TIME + SALT);
        if self.mac(content, source).verify_truncated_left(tag).is_err() {
            return NonceState::Foreign;
        }
        let issued = content[..TIME].iter().fold(0, |time, &octet| time << 8 | u64::from(octet));
        // A nonce from the future was issued before the clock was set back.
        match now_unix_s.checked_sub(issued) {
            Some(age) if age <= lifetime_s => NonceState::Fresh,
            _ => NonceState::Stale,
        }
    }

    fn mac(&self, content: &[u8], source: IpAddr) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(content);
        match source.to_canonical() {
            IpAddr::V4(address) => mac.update(&address.octets()),
            IpAddr::V6(address) => mac.update(&address.octets()),
        }
        mac
    }
}

/// Whether a nonce count is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountVerdict {
    /// Higher than all before it.
    New,
    /// Seen before, or lower: a replay, or a client that does not count. Challenge again with `stale=true`.
    Used,
}

/// The highest count seen of each nonce (RFC 7616 3.4.5), so that a request overheard cannot be sent again. Ask only
/// after the digest has been verified: then nobody without a password can fill it.
#[derive(Debug)]
pub struct NonceCounts {
    highest: HashMap<Box<str>, u32>,
    /// Nonces by the time they are forgotten, the earliest first.
    expiry: VecDeque<(u64, Box<str>)>,
    max: usize,
}

impl NonceCounts {
    /// Remembers at most `max` nonces; the oldest are forgotten first.
    pub fn new(max: usize) -> Self {
        Self { highest: HashMap::new(), expiry: VecDeque::new(), max: max.max(1) }
    }

    /// Notes a count of a verified response. `None` is RFC 2069, which does not count: its nonces serve once.
    /// `lifetime_s` is that of the nonces, after which they are stale anyway.
    pub fn note(
        &mut self,
        nonce: &str,
        count: Option<u32>,
        now_unix_s: u64,
        lifetime_s: u64,
    ) -> CountVerdict {
        self.forget(now_unix_s);
        let count = count.unwrap_or(0);
        match self.highest.get_mut(nonce) {
            Some(highest) if count <= *highest => CountVerdict::Used,
            Some(highest) => {
                *highest = count;
                CountVerdict::New
            }
            None => {
                if self.highest.len() == self.max
                    && let Some((_, oldest)) = self.expiry.pop_front()
                {
                    self.highest.remove(&oldest);
                }
                self.highest.insert(nonce.into(), count);
                self.expiry.push_back((now_unix_s.saturating_add(lifetime_s), nonce.into()));
                CountVerdict::New
            }
        }
    }

    /// How many nonces are remembered.
    pub fn len(&self) -> usize {
        self.highest.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.highest.is_empty()
    }

    fn forget(&mut self, now_unix_s: u64) {
        while let Some((until, _)) = self.expiry.front()
            && *until < now_unix_s
            && let Some((_, nonce)) = self.expiry.pop_front()
        {
            self.highest.remove(&nonce);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn a_nonce_is_bound_to_source_time_and_key() {
        let key = NonceKey::new([7; 32]);
        let nonce = key.issue(1000, SOURCE, 5);
        assert_eq!(key.check(&nonce, 1000, SOURCE, 60), NonceState::Fresh);
        assert_eq!(key.check(&nonce, 1060, SOURCE, 60), NonceState::Fresh);
        assert_eq!(key.check(&nonce, 1061, SOURCE, 60), NonceState::Stale);
        assert_eq!(key.check(&nonce, 999, SOURCE, 60), NonceState::Stale);
        assert_eq!(key.check(&nonce, 1000, "::ffff:192.0.2.1".parse().unwrap(), 60), NonceState::Fresh);
        assert_eq!(key.check(&nonce, 1000, "192.0.2.2".parse().unwrap(), 60), NonceState::Foreign);
        assert_eq!(NonceKey::new([8; 32]).check(&nonce, 1000, SOURCE, 60), NonceState::Foreign);
        assert_ne!(nonce, key.issue(1000, SOURCE, 6));
    }

    #[test]
    fn a_changed_nonce_is_foreign() {
        let key = NonceKey::new([7; 32]);
        let nonce = key.issue(1000, SOURCE, 5);
        for at in 0..nonce.len() {
            let mut changed = nonce.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(key.check(&changed, 1000, SOURCE, 60), NonceState::Foreign, "at {at}");
        }
        for text in ["", "A", &"A".repeat(500), "not base64!"] {
            assert_eq!(key.check(text, 1000, SOURCE, 60), NonceState::Foreign);
        }
    }

    #[test]
    fn counts_only_rise() {
        let mut counts = NonceCounts::new(10);
        assert_eq!(counts.note("a", Some(1), 0, 60), CountVerdict::New);
        assert_eq!(counts.note("a", Some(1), 0, 60), CountVerdict::Used);
        assert_eq!(counts.note("a", Some(9), 0, 60), CountVerdict::New);
        assert_eq!(counts.note("a", Some(8), 0, 60), CountVerdict::Used);
        assert_eq!(counts.note("old", None, 0, 60), CountVerdict::New);
        assert_eq!(counts.note("old", None, 0, 60), CountVerdict::Used);
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let mut counts = NonceCounts::new(3);
        for number in 0..100 {
            counts.note(&format!("n{number}"), Some(1), 0, 60);
        }
        assert_eq!(counts.len(), 3);
        assert_eq!(counts.note("n99", Some(1), 0, 60), CountVerdict::Used);
        counts.note("late", Some(1), 61, 60);
        assert_eq!(counts.len(), 1);
        assert_eq!(counts.expiry.len(), 1);
    }
}
