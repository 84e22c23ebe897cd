//! What the engine is started with, and what a leg is opened with.

use super::error::StartError;
use crate::ports::Rest;
use crate::session::{Policy, Suites};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// More workers than this do not help any machine.
const MAX_WORKERS: usize = 256;

/// The longest queue that may be asked for.
const MAX_QUEUE: usize = 1 << 20;

/// An address of this machine for media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// Where sockets are bound.
    pub bind: IpAddr,
    /// What peers are told: the same, or the public address of a one-to-one NAT.
    pub advertise: IpAddr,
}

impl LocalAddress {
    /// An address that is advertised as it is.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        Self { bind: ip, advertise: ip }
    }
}

/// The engine's configuration.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Addresses for media; the first of a family is that family's default.
    pub addresses: Vec<LocalAddress>,
    /// Ports, used in pairs of an even and the next odd one. A call takes two pairs.
    pub ports: RangeInclusive<u16>,
    /// Worker threads, 1 to 256. One carries about a thousand calls.
    pub workers: usize,
    /// How long an answered call may be silent before it is told.
    pub media_silence: Duration,
    /// How long a port rests after a call before another gets it.
    pub port_rest: Rest,
    /// The DSCP of outgoing packets, 0 to 63.
    pub dscp: u8,
    /// Commands that may wait for one worker.
    pub command_queue: usize,
    /// Events that may wait to be taken.
    pub event_queue: usize,
    /// The crypto suites offered and accepted.
    pub suites: Suites,
}

impl EngineConfig {
    /// Sensible values for everything but the addresses and ports.
    #[must_use]
    pub fn new(addresses: Vec<LocalAddress>, ports: RangeInclusive<u16>) -> Self {
        Self {
            addresses,
            ports,
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get()).min(MAX_WORKERS),
            media_silence: Duration::from_secs(30),
            port_rest: Rest { enough: Duration::from_secs(10), least: Duration::from_secs(1) },
            // RFC 4594: expedited forwarding is for telephony.
            dscp: 46,
            command_queue: 4096,
            event_queue: 4096,
            suites: Suites::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), StartError> {
        if self.addresses.is_empty() {
            return Err(StartError::NoAddresses);
        }
        for (place, address) in self.addresses.iter().enumerate() {
            if self.addresses[..place].iter().any(|other| other.bind == address.bind) {
                return Err(StartError::DuplicateAddress(address.bind));
            }
            if address.bind.is_ipv4() != address.advertise.is_ipv4() {
                let LocalAddress { bind, advertise } = *address;
                return Err(StartError::MixedFamily { bind, advertise });
            }
        }
        for (what, value, most) in [
            ("the number of media workers", self.workers, MAX_WORKERS),
            ("the media command queue", self.command_queue, MAX_QUEUE),
            ("the media event queue", self.event_queue, MAX_QUEUE),
        ] {
            if !(1..=most).contains(&value) {
                return Err(StartError::OutOfRange { what, most });
            }
        }
        if self.dscp > 63 {
            return Err(StartError::OutOfRange { what: "the media DSCP", most: 63 });
        }
        Ok(())
    }

    /// The place of the address that suits a hint best.
    pub(super) fn choose(&self, hint: AddressHint) -> Option<usize> {
        let first = (!self.addresses.is_empty()).then_some(0);
        let like = |ip: IpAddr| {
            let is_same = |address: &LocalAddress| address.bind == ip || address.advertise == ip;
            let is_kin = |address: &LocalAddress| address.bind.is_ipv4() == ip.is_ipv4();
            self.addresses.iter().position(is_same).or_else(|| self.addresses.iter().position(is_kin))
        };
        match hint {
            AddressHint::Any => first,
            AddressHint::Like(ip) => like(ip),
            AddressHint::Prefer(ip) => like(ip).or(first),
        }
    }
}

/// Which of the local addresses a leg should use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressHint {
    /// The first one.
    Any,
    /// This very address if it is one of ours, otherwise the first of its family: pass the local address on
    /// which the leg's signalling came, or the address in the peer's description.
    Like(IpAddr),
    /// The same, and the first one if there is none of that family: pass the address of a peer that has described
    /// nothing yet, and may have media of both.
    Prefer(IpAddr),
}

/// What a leg is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegSetup {
    /// May, must or must not its media be encrypted?
    pub policy: Policy,
    /// Which local address.
    pub address: AddressHint,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn config() -> EngineConfig {
        let ips = [
            IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
        ];
        EngineConfig::new(ips.map(LocalAddress::new).to_vec(), 10_000..=10_100)
    }

    #[test]
    fn a_hint_finds_the_address_or_its_family() {
        let config = config();
        assert_eq!(config.choose(AddressHint::Any), Some(0));
        assert_eq!(config.choose(AddressHint::Like(Ipv4Addr::new(10, 0, 0, 2).into())), Some(2));
        assert_eq!(config.choose(AddressHint::Like(Ipv4Addr::new(192, 0, 2, 1).into())), Some(0));
        assert_eq!(config.choose(AddressHint::Like(Ipv6Addr::UNSPECIFIED.into())), Some(1));
        let v4_only = EngineConfig { addresses: vec![config.addresses[0]], ..config };
        assert_eq!(v4_only.choose(AddressHint::Like(Ipv6Addr::LOCALHOST.into())), None);
        assert_eq!(v4_only.choose(AddressHint::Prefer(Ipv6Addr::LOCALHOST.into())), Some(0));
    }

    #[test]
    fn contradictions_are_refused_by_name() {
        assert!(config().check().is_ok());
        let twice = EngineConfig { addresses: vec![config().addresses[0]; 2], ..config() };
        assert!(matches!(twice.check(), Err(StartError::DuplicateAddress(_))));
        let mut mixed = config();
        mixed.addresses[0].advertise = Ipv6Addr::LOCALHOST.into();
        assert!(matches!(mixed.check(), Err(StartError::MixedFamily { .. })));
        let idle = EngineConfig { workers: 0, ..config() };
        assert!(matches!(idle.check(), Err(StartError::OutOfRange { .. })));
        let coloured = EngineConfig { dscp: 64, ..config() };
        assert!(matches!(coloured.check(), Err(StartError::OutOfRange { .. })));
    }
}
