//! Trunks to the telephone network.

use std::fmt;
use std::sync::Arc;

use super::{NumberFormat, SrtpPolicy};
use crate::auth::ip::Cidr;
use crate::types::{CarrierId, CarrierLabel, Transport};

/// A trunk to the telephone network.
#[derive(Clone, PartialEq, Eq)]
pub struct Carrier {
    /// The number in the store.
    pub id: CarrierId,
    /// A label.
    pub name: String,
    /// Domain name or address.
    pub host: String,
    /// `None`: by SRV records, or the transport's default.
    pub port: Option<u16>,
    /// Over which transport.
    pub transport: Transport,
    /// Lower is tried first.
    pub priority: u16,
    /// Share among those of the same priority.
    pub weight: u16,
    /// User name and password: what it challenges us for, and what it proves itself with when it calls from an
    /// address that no rule knows.
    pub credentials: Option<(String, String)>,
    /// How numbers are written towards it.
    pub number_format: NumberFormat,
    /// ISO 3166 alpha-2: the country whose national form its numbers may have.
    pub country: Option<String>,
    /// Leading characters taken off the called number, once it is written in the carrier's format.
    pub strip: u8,
    /// Put before what is left of it.
    pub prefix: String,
    /// How its media is protected.
    pub srtp: SrtpPolicy,
    /// Whether it is in our trust domain (RFC 3325): it learns who calls also where the callee must not.
    pub is_trusted: bool,
    /// Where its media may come from besides the hosts that it describes: the networks that its calls come from.
    pub media_networks: Arc<[Cidr]>,
    /// Whether calls are sent to it.
    pub is_active: bool,
}

impl Carrier {
    /// What a record says of it.
    pub(crate) fn label(&self) -> CarrierLabel {
        CarrierLabel { id: self.id, name: self.name.clone() }
    }
}

impl fmt::Debug for Carrier {
    /// All but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("transport", &self.transport)
            .field("user", &self.credentials.as_ref().map(|(user, _)| user))
            .finish_non_exhaustive()
    }
}

/// A carrier for tests, of this country and with this way to write numbers.
#[cfg(test)]
pub(crate) fn carrier_of(country: Option<&str>, number_format: NumberFormat) -> Carrier {
    Carrier {
        id: CarrierId(1),
        name: "wholesale".into(),
        host: "192.0.2.1".into(),
        port: None,
        transport: Transport::Udp,
        priority: 10,
        weight: 10,
        credentials: None,
        number_format,
        country: country.map(str::to_owned),
        strip: 0,
        prefix: String::new(),
        srtp: SrtpPolicy::Off,
        is_trusted: true,
        media_networks: Arc::default(),
        is_active: true,
    }
}
