//! The calls to play: one a line, as `benches/load` sets them up in the gateway or in rtpengine.
//!
//! `A_LOCAL A_REMOTE A_SEND A_RECEIVE B_LOCAL B_REMOTE B_SEND B_RECEIVE`, where a key is `-` or the base64 of
//! `a=crypto` for AES_CM_128_HMAC_SHA1_80.

use std::net::SocketAddrV4;

use media_relay::sdes::CryptoLine;
use media_relay::srtp::Keys;

use crate::Failure;

/// One side of a call, as the generator plays it.
pub(crate) struct Leg {
    /// Where it sends from and receives.
    pub(crate) local: SocketAddrV4,
    /// The relay's port for it.
    pub(crate) remote: SocketAddrV4,
    /// What it protects with.
    pub(crate) send: Option<Keys>,
    /// What the relay protects with.
    pub(crate) receive: Option<Keys>,
}

/// Both sides of a call.
pub(crate) type Call = [Leg; 2];

/// Reads a plan.
pub(crate) fn read(text: &str) -> Result<Vec<Call>, Failure> {
    text.lines().map(|line| call(line).map_err(|error| format!("{line}: {error}").into())).collect()
}

fn call(line: &str) -> Result<Call, Failure> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [a, b] = [0, 4].map(|first| words.get(first..first + 4));
    Ok([leg(a)?, leg(b)?])
}

fn leg(words: Option<&[&str]>) -> Result<Leg, Failure> {
    let Some([local, remote, send, receive]) = words else { return Err("a call is eight words".into()) };
    Ok(Leg { local: local.parse()?, remote: remote.parse()?, send: keys(send)?, receive: keys(receive)? })
}

fn keys(word: &str) -> Result<Option<Keys>, Failure> {
    if word == "-" {
        return Ok(None);
    }
    let line = CryptoLine::parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{word}"))?;
    Ok(Some(line.keys))
}
