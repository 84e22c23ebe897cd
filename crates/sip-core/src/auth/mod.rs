//! Who is speaking: digest (RFC 8760), nonces that need no memory, addresses, certificates.
//!
//! Nothing here knows a password store: hashes, keys, times and salts come in as arguments.

pub mod certificate;
pub mod digest;
pub mod ip;
pub mod nonce;

pub use certificate::CertificateNames;
pub use digest::{
    Algorithm, Challenge, DigestError, DigestResponse, Staleness, answer_challenge, challenge_value, ha1,
    verify,
};
pub use ip::{Cidr, IpRule};
pub use nonce::{CountVerdict, NonceCounts, NonceKey, NonceState};
