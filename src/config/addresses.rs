//! Whether this machine has the addresses that a configuration names. `sipgw check` asks, since a file may be right and
//! still be another machine's, or the example that nobody has edited.

use std::net::{IpAddr, UdpSocket};

use super::Config;
use super::check::Found;

/// The networks that examples are written with (RFC 5737, RFC 3849, RFC 9637).
const OF_EXAMPLES: [&str; 5] =
    ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"];

/// What cannot be bound here, and what was never meant to be told to peers.
pub(super) fn faults(config: &Config, is_ours: impl Fn(IpAddr) -> bool) -> Vec<Found> {
    let mut faults = Vec::new();
    for (index, listener) in config.sip.listen.iter().enumerate() {
        let path = format!("sip.listen[{index}]");
        faults.extend(bound(format!("{path}.address"), listener.address.ip(), &is_ours));
        let told = listener.advertise.map(|advertise| advertise.host);
        faults.extend(told.and_then(|host| advertised(format!("{path}.advertise"), host, &is_ours)));
    }
    for (index, address) in config.media.addresses.iter().enumerate() {
        let path = format!("media.addresses[{index}]");
        faults.extend(bound(format!("{path}.bind"), address.bind, &is_ours));
        let told = address.advertise;
        faults.extend(told.and_then(|host| advertised(format!("{path}.advertise"), host, &is_ours)));
    }
    faults
}

fn bound(path: String, ip: IpAddr, is_ours: impl Fn(IpAddr) -> bool) -> Option<Found> {
    let cure = "Write one that it has, as `ip address` shows them, or 0.0.0.0 with advertise.".to_owned();
    let problem = format!("{ip} is no address of this machine");
    (!ip.is_unspecified() && !is_ours(ip)).then_some(Found { path, problem, cure })
}

/// Behind a NAT another machine has the address that peers see; one from an example nobody has.
fn advertised(path: String, ip: IpAddr, is_ours: impl Fn(IpAddr) -> bool) -> Option<Found> {
    let is_example = OF_EXAMPLES.iter().any(|network| {
        network.parse::<ipnet::IpNet>().is_ok_and(|network| network.contains(&ip.to_canonical()))
    });
    let cure = "Write the address at which PBXs and carriers reach this gateway.".to_owned();
    let problem = format!("{ip} is an address for examples, which no peer can reach");
    (is_example && !is_ours(ip)).then_some(Found { path, problem, cure })
}

/// Whether a socket can be bound to it. Only a clear no counts.
pub(super) fn can_bind(ip: IpAddr) -> bool {
    let denied = |error: std::io::Error| error.kind() == std::io::ErrorKind::AddrNotAvailable;
    !UdpSocket::bind((ip, 0)).is_err_and(denied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_untouched_example_is_told_from_a_configuration() {
        let example = include_str!("../../config/sipgw.yaml");
        let file = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/sipgw.yaml"));
        let config = crate::config::load::from_text(file, example, std::collections::HashMap::new()).unwrap();
        let nobodys: Vec<_> = faults(&config, |_| false).into_iter().map(|found| found.path).collect();
        assert_eq!(
            nobodys,
            ["sip.listen[0].advertise", "sip.listen[1].advertise", "media.addresses[0].advertise"]
        );
        assert!(faults(&config, |_| true).is_empty(), "a network of examples may be a laboratory's");
    }

    #[test]
    fn an_address_of_another_machine_cannot_be_bound() {
        assert!(can_bind("127.0.0.1".parse().unwrap()));
        assert!(!can_bind("192.0.2.77".parse().unwrap()));
        let found = bound("sip.listen[0].address".to_owned(), "192.0.2.77".parse().unwrap(), can_bind);
        assert!(found.is_some_and(|found| found.problem.contains("192.0.2.77")));
        assert!(bound(String::new(), "0.0.0.0".parse().unwrap(), |_| false).is_none());
        assert!(advertised(String::new(), "8.8.8.8".parse().unwrap(), |_| false).is_none(), "behind a NAT");
    }
}
