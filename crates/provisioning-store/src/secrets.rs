//! Passwords at rest: XChaCha20-Poly1305 with a key that the database never sees.
//!
//! Each record has a nonce of its own and is bound to its identity (`profile:7`), so a sealed password copied
//! into another row does not open there. A check value stored at the first opening tells a wrong key at once,
//! before it could seal a record that the right key cannot read.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

/// Octets of an XChaCha20 nonce: long enough to be drawn at random for every record.
const NONCE_LENGTH: usize = 24;
/// Characters of a generated password.
const PASSWORD_LENGTH: usize = 14;
/// Letters and digits less those that are taken for each other (0 O, 1 I l): people type passwords into PBXs.
const PASSWORD_ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// What every SIP user begins with.
const SIP_USER_PREFIX: &str = "990500";
/// Digits drawn after [`SIP_USER_PREFIX`], 14 in all.
const SIP_USER_RANDOM_DIGITS: usize = 8;

/// What every token begins with.
const TOKEN_PREFIX: &str = "sipgw_";
/// Characters drawn after [`TOKEN_PREFIX`].
const TOKEN_LENGTH: usize = 44;

/// A password in clear. Its `Debug` shows nothing and it has no serde form, so it cannot slip into a log or a page.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Wraps a password that came from outside, such as a carrier's.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password in clear, for a digest or for an administrator's eyes.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What can go wrong with secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The key's text is not 32 octets.
    #[error("the secret key must be 64 hexadecimal digits (32 octets); this one is {0}")]
    BadKey(&'static str),
    /// The key is a good key, but not the one that sealed this database.
    #[error("the secret key is not the one this database was made with; give the key that it had then")]
    WrongKey,
    /// A record is damaged, or was moved from another row.
    #[error("the stored secret of {0} does not open; it is damaged or belongs to another record")]
    Damaged(String),
    /// The operating system gave no random octets.
    #[error("the operating system gave no random numbers: {0}")]
    NoEntropy(String),
}

/// Where random octets come from; tests and simulations give their own.
pub trait Entropy {
    /// Fills the whole slice.
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), SecretError>;
}

/// The operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), SecretError> {
        getrandom::fill(octets).map_err(|error| SecretError::NoEntropy(error.to_string()))
    }
}

/// The 32-octet key that is kept in a file or the environment, outside the database.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// A key from its octets.
    pub fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// Draws a new key.
    pub fn generate(entropy: &mut impl Entropy) -> Result<Self, SecretError> {
        let mut octets = [0; 32];
        entropy.fill(&mut octets)?;
        Ok(Self(octets))
    }

    /// Reads 64 hexadecimal digits; white space around them, as a file's last line end, is no matter.
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        let octets = unhex(text.trim()).ok_or(SecretError::BadKey("not hexadecimal"))?;
        let octets = octets.try_into().map_err(|_| SecretError::BadKey("of another length"))?;
        Ok(Self(octets))
    }

    /// The key as 64 hexadecimal digits, to be written to its file.
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Seals and opens records with one key.
#[derive(Clone)]
pub struct Vault {
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

impl Vault {
    /// A vault for this key.
    pub fn new(key: &SecretKey) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&Key::from(key.0)) }
    }

    /// Seals `secret` for the record called `identity`: hexadecimal nonce and ciphertext.
    pub fn seal(
        &self,
        identity: &str,
        secret: &Password,
        entropy: &mut impl Entropy,
    ) -> Result<String, SecretError> {
        let mut nonce = [0; NONCE_LENGTH];
        entropy.fill(&mut nonce)?;
        let payload = Payload { msg: secret.0.as_bytes(), aad: identity.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a password is far shorter than the cipher's limit of 256 GiB");
        Ok(hex(&nonce) + &hex(&sealed))
    }

    /// Opens what [`Vault::seal`] made for the same record.
    pub fn open(&self, identity: &str, sealed: &str) -> Result<Password, SecretError> {
        self.try_open(identity, sealed).ok_or_else(|| SecretError::Damaged(identity.to_owned()))
    }

    fn try_open(&self, identity: &str, sealed: &str) -> Option<Password> {
        let octets = unhex(sealed)?;
        let (nonce, ciphertext) = octets.split_first_chunk::<NONCE_LENGTH>()?;
        let payload = Payload { msg: ciphertext, aad: identity.as_bytes() };
        let clear = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(clear).ok().map(Password)
    }
}

/// A new password of 14 characters, about 81 bits.
pub fn generate_password(entropy: &mut impl Entropy) -> Result<Password, SecretError> {
    draw(entropy, PASSWORD_ALPHABET, PASSWORD_LENGTH).map(Password)
}

/// A new SIP user: `990500` and eight random digits. The store draws again when it is taken.
pub fn generate_sip_user(entropy: &mut impl Entropy) -> Result<String, SecretError> {
    Ok(SIP_USER_PREFIX.to_owned() + &draw(entropy, b"0123456789", SIP_USER_RANDOM_DIGITS)?)
}

/// The secret of a new token for the HTTP API: `sipgw_` and 44 letters and digits, about 255 bits. The beginning tells
/// whoever finds it in a log or a repository what it opens.
pub fn generate_token(entropy: &mut impl Entropy) -> Result<Password, SecretError> {
    Ok(Password(TOKEN_PREFIX.to_owned() + &draw(entropy, PASSWORD_ALPHABET, TOKEN_LENGTH)?))
}

/// Draws characters evenly: octets at or above the largest multiple of the alphabet's length are thrown away.
fn draw(entropy: &mut impl Entropy, alphabet: &[u8], length: usize) -> Result<String, SecretError> {
    let even = 256 - 256 % alphabet.len();
    let mut drawn = String::with_capacity(length);
    while drawn.len() < length {
        let mut octets = [0; 32];
        entropy.fill(&mut octets)?;
        let fair = octets.iter().map(|&octet| usize::from(octet)).filter(|&octet| octet < even);
        drawn.extend(
            fair.take(length - drawn.len()).map(|octet| char::from(alphabet[octet % alphabet.len()])),
        );
    }
    Ok(drawn)
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets
        .iter()
        .flat_map(|octet| [octet >> 4, octet & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(octet: u8) -> Vault {
        Vault::new(&SecretKey::new([octet; 32]))
    }

    #[test]
    fn opens_only_with_the_same_key_in_the_same_record() {
        let secret = Password::new("DxmUHe7Uu7nfwU");
        let sealed = vault(1).seal("profile:7", &secret, &mut OsEntropy).unwrap();
        assert!(!sealed.contains("DxmUHe7Uu7nfwU"));
        assert_eq!(vault(1).open("profile:7", &sealed), Ok(secret.clone()));
        assert_eq!(vault(1).open("profile:8", &sealed), Err(SecretError::Damaged("profile:8".into())));
        assert!(vault(2).open("profile:7", &sealed).is_err());
        for broken in ["", "00", "zz", &sealed[..sealed.len() - 2], &sealed.replace(&sealed[60..62], "é")] {
            assert!(vault(1).open("profile:7", broken).is_err());
        }
        let again = vault(1).seal("profile:7", &secret, &mut OsEntropy).unwrap();
        assert_ne!(again, sealed, "every record has its own nonce");
    }

    #[test]
    fn a_key_reads_back_and_a_bad_one_says_why() {
        let key = SecretKey::generate(&mut OsEntropy).unwrap();
        assert_eq!(SecretKey::from_hex(&format!("{}\n", key.to_hex())), Ok(key));
        assert_eq!(SecretKey::from_hex("00"), Err(SecretError::BadKey("of another length")));
        assert_eq!(SecretKey::from_hex("köy"), Err(SecretError::BadKey("not hexadecimal")));
    }

    #[test]
    fn credentials_have_the_shape_of_the_guide() {
        for _ in 0..100 {
            let user = generate_sip_user(&mut OsEntropy).unwrap();
            assert!(
                user.len() == 14 && user.starts_with("990500") && user.bytes().all(|b| b.is_ascii_digit())
            );
            let password = generate_password(&mut OsEntropy).unwrap();
            assert_eq!(password.reveal().len(), 14);
            assert!(password.reveal().bytes().all(|b| PASSWORD_ALPHABET.contains(&b)));
            assert_eq!(format!("{password:?}"), "Password(..)");
        }
    }
}
