//! An upstream SIP trunk to the telephone network.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{CarrierId, NumberFormat, Srtp, Switch, Transport, Trust};
use crate::secrets::Password;

/// A carrier as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Carrier {
    /// Identity.
    pub id: CarrierId,
    /// What it is and how it is reached.
    #[serde(flatten)]
    pub settings: NewCarrier,
}

/// A carrier's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewCarrier {
    /// Name, unique.
    pub name: String,
    /// Host name or address; a name is resolved after RFC 3263.
    pub host: String,
    /// Port; `None` leaves it to RFC 3263.
    pub port: Option<u16>,
    /// Transport.
    pub transport: Transport,
    /// Lower is tried first, 0 to 65,535.
    pub priority: u16,
    /// Share among carriers of one priority, 0 to 65,535.
    pub weight: u16,
    /// How we prove ourselves to it.
    pub authentication: CarrierAuthentication,
    /// Where its incoming calls come from.
    pub sources: Vec<IpNet>,
    /// How numbers are written.
    pub number_format: NumberFormat,
    /// ISO 3166 alpha-2: the country whose national form its callers and called numbers may have; `None` if it writes
    /// all numbers in full.
    pub country: Option<String>,
    /// Leading characters taken off the formatted called number.
    pub strip: u8,
    /// Put before the called number after stripping.
    pub prefix: String,
    /// Whether media is encrypted.
    pub srtp: Srtp,
    /// Whether it is told who calls where the number is withheld.
    pub trust: Trust,
    /// Whether calls are sent to it and taken from it.
    pub active: Switch,
}

impl NewCarrier {
    /// A carrier known by its address, on UDP, in use, numbers in E.164 with `+`; trusted, since a telephone network needs
    /// to know who calls, and a contract binds it to keep that to itself.
    pub fn new(name: impl Into<String>, host: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            host: host.into(),
            port: None,
            transport: Transport::Udp,
            priority: 10,
            weight: 10,
            authentication: CarrierAuthentication::Ip,
            sources: Vec::new(),
            number_format: NumberFormat::E164,
            country: None,
            strip: 0,
            prefix: String::new(),
            srtp: Srtp::Off,
            trust: Trust::Trusted,
            active: Switch::On,
        }
    }
}

/// How we prove ourselves to a carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CarrierAuthentication {
    /// It knows our address.
    Ip,
    /// It challenges us.
    Digest {
        /// User name.
        user: String,
        /// Password, never part of the JSON form.
        #[serde(skip, default = "no_password")]
        password: Password,
    },
}

fn no_password() -> Password {
    Password::new("")
}
