//! The core's only source of unpredictable values: a ChaCha generator seeded from outside.
//!
//! A run is a function of its seed, so the simulation can replay it; with a secret seed, tags, branches and
//! session identifiers cannot be guessed.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::types::CallUid;

/// Random values for tags, branches, Call-IDs, keys.
#[derive(Debug)]
pub(crate) struct Rng(ChaCha12Rng);

impl Rng {
    /// Starts from 32 octets that nobody else knows.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// 64 random bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, which must not be zero; the bias of the modulus is harmless for our small bounds.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }

    /// 16 hex digits: a tag or the body of a Call-ID.
    pub(crate) fn token(&mut self) -> String {
        format!("{:016x}", self.next_u64())
    }

    /// A branch with the magic cookie of RFC 3261 section 8.1.1.7.
    pub(crate) fn branch(&mut self) -> String {
        format!("z9hG4bK{:016x}", self.next_u64())
    }

    /// A new call's identity.
    pub(crate) fn call_uid(&mut self) -> CallUid {
        CallUid((u128::from(self.next_u64()) << 64) | u128::from(self.next_u64()))
    }

    /// 32 random octets.
    pub(crate) fn key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        self.0.fill_bytes(&mut key);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything() {
        let (mut a, mut b, mut c) = (Rng::new([1; 32]), Rng::new([1; 32]), Rng::new([2; 32]));
        assert_eq!(a.branch(), b.branch());
        assert_ne!(a.branch(), c.branch());
        assert!(a.branch().starts_with("z9hG4bK"));
    }
}
