//! Bindings of registered PBXs, kept so that those on UDP survive a restart, and where passwords were proved.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::{ProfileId, Srtp, Timestamp, Transport};

/// Where a profile's PBX was last registered from. One for each profile: the newest wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The profile.
    pub profile: ProfileId,
    /// The Contact as it was sent, with its parameters.
    pub contact: String,
    /// The proxies on the way to it, the nearest first, as its Path names them.
    pub path: Vec<String>,
    /// Address and port that the REGISTER came from: the flow that reaches the PBX.
    pub source: String,
    /// Our address and port that it came to.
    pub local: String,
    /// Transport.
    pub transport: Transport,
    /// The PBX's User-Agent, or empty.
    pub user_agent: String,
    /// Call-ID of the registration.
    pub call_id: String,
    /// Its latest CSeq.
    pub cseq: u32,
    /// How the PBX has shown that it protects its media; `auto` if it has shown nothing yet.
    pub media: Srtp,
    /// When it was last refreshed.
    #[serde(rename = "registered_at_micros")]
    pub registered_at: Timestamp,
    /// When it ends unless it is refreshed.
    #[serde(rename = "expires_at_micros")]
    pub expires_at: Timestamp,
}

/// Where a profile has proved its password: the address is known as its own for a while, whoever claims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The profile.
    pub profile: ProfileId,
    /// Where the proof came from.
    pub address: IpAddr,
    /// Over which transport.
    pub transport: Transport,
    /// When; the latest one there.
    pub at: Timestamp,
}

impl Proof {
    /// How long a proof speaks for its address, in seconds.
    pub const REMEMBERED_S: i64 = 30 * 86_400;
    /// How many of a profile's addresses are kept, the latest.
    pub const ADDRESSES_PER_PROFILE: i64 = 8;
}
