//! Where a request within a dialog is sent: to the address that the next hop's URI names (RFC 3261 section 19.1.1, RFC 3263
//! section 4). A name in the middle of a dialog is not worth a look-up.

use std::net::{IpAddr, SocketAddr};

use super::flow_to;
use crate::message::{Scheme, Uri};
use crate::settings::Settings;
use crate::types::{Flow, Transport};

/// What the URI of the next hop says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    ip: IpAddr,
    port: Option<u16>,
    transport: Option<Transport>,
}

impl Hop {
    /// `None` if the URI names no address.
    pub(super) fn of(uri: &str) -> Option<Self> {
        let uri = Uri::parse_leniently(uri).ok()?;
        let params = uri.params();
        let named = params.value("transport").and_then(|named| {
            let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
            all.into_iter().find(|it| it.param().eq_ignore_ascii_case(named))
        });
        let transport = if uri.scheme() == Scheme::Sips { Some(Transport::Tls) } else { named };
        // `maddr` goes before the host. A group of hosts is no next hop of a call.
        let maddr = params.value("maddr").and_then(|it| it.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        let ip = maddr.filter(|ip| !ip.is_multicast() && !ip.is_unspecified()).or_else(|| uri.host().ip())?;
        Some(Self { ip, port: uri.port(), transport })
    }

    /// The way to it for a dialog that was begun over `flow`; `None` if that is the way.
    pub(super) fn way_from(self, settings: &Settings, flow: Flow) -> Option<Flow> {
        if self.ip.is_ipv4() != flow.peer.is_ipv4() {
            return None;
        }
        match flow.transport {
            Transport::Udp => {
                let by_datagram = || Flow { peer: self.address(Transport::Udp), ..flow };
                let wanted = self.transport.unwrap_or(Transport::Udp);
                if settings.is_own_address(wanted, self.address(wanted)) {
                    return None;
                }
                let way = match wanted {
                    Transport::Udp => by_datagram(),
                    Transport::Tcp => flow_to(settings, Transport::Tcp, self.address(Transport::Tcp))
                        .unwrap_or_else(by_datagram),
                    // Its port hears no datagrams, and an address alone does not tell whose certificate is to be shown there.
                    Transport::Tls => Flow { peer: SocketAddr::new(self.ip, flow.peer.port()), ..flow },
                };
                Some(way).filter(|way| !settings.is_own_address(way.transport, way.peer))
            }
            // The connection that stands leads to the host. To another host of the peer's there is none yet.
            Transport::Tcp if self.ip == flow.peer.ip() || is_hidden(self.ip, flow.peer.ip()) => None,
            Transport::Tcp => flow_to(settings, Transport::Tcp, self.address(Transport::Tcp)),
            Transport::Tls => None,
        }
    }

    fn address(self, transport: Transport) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or_else(|| transport.default_port()))
    }
}

/// Whether a peer at a public address names one that only its own network can reach.
fn is_hidden(named: IpAddr, peer: IpAddr) -> bool {
    is_local(named) && !is_local(peer)
}

fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => {
            ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Listener;
    use crate::types::ConnectionId;

    fn settings() -> Settings {
        let listener = |transport: Transport| Listener {
            transport,
            local: SocketAddr::new("192.0.2.1".parse().unwrap(), transport.default_port()),
            advertised_host: "192.0.2.1".parse().unwrap(),
            advertised_port: transport.default_port(),
        };
        Settings::new("gw.example", [Transport::Udp, Transport::Tcp, Transport::Tls].map(listener).into())
    }

    /// Where a request goes to that has this next hop, and over what, in a dialog begun over `transport`.
    fn way(transport: Transport, uri: &str) -> Option<(Transport, String)> {
        let connection = transport.is_reliable().then_some(ConnectionId(1));
        let (local, peer) = ("192.0.2.1:5060".parse().unwrap(), "203.0.113.1:5060".parse().unwrap());
        let flow = Flow { transport, local, peer, connection };
        let way = Hop::of(uri)?.way_from(&settings(), flow)?;
        assert_eq!(way.connection, None);
        Some((way.transport, way.peer.to_string()))
    }

    #[test]
    fn a_datagram_goes_to_the_address_and_over_the_transport_that_the_uri_names() {
        use Transport::{Tcp, Udp};
        for (uri, transport, peer) in [
            ("sip:x@203.0.113.2:5070", Udp, "203.0.113.2:5070"),
            ("sip:x@203.0.113.2;transport=udp", Udp, "203.0.113.2:5060"),
            ("sip:203.0.113.2;transport=tcp;lr", Tcp, "203.0.113.2:5060"),
            ("sip:x@203.0.113.2:5080;transport=TCP", Tcp, "203.0.113.2:5080"),
            ("sip:x@carrier.example:5070;maddr=203.0.113.3", Udp, "203.0.113.3:5070"),
            ("sip:x@203.0.113.2;maddr=224.0.1.75", Udp, "203.0.113.2:5060"),
            ("sip:x@203.0.113.2;transport=tls", Udp, "203.0.113.2:5060"),
            ("sips:x@203.0.113.2:5061", Udp, "203.0.113.2:5060"),
            // We have no listener for anything else that there may be.
            ("sip:x@203.0.113.2;transport=sctp", Udp, "203.0.113.2:5060"),
        ] {
            assert_eq!(way(Udp, uri), Some((transport, peer.to_owned())), "{uri}");
        }
        // Our own address leads back to us.
        for nowhere in [
            "sip:x@192.0.2.1",
            "sip:x@192.0.2.1;transport=tcp",
            "sips:x@192.0.2.1",
            "sip:x@carrier.example",
            "sip:x@[2001:db8::1]",
            "tel:+12025550123",
            "",
        ] {
            assert_eq!(way(Udp, nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn a_connection_is_kept_but_to_another_host_of_the_peers() {
        let peer = way(Transport::Tcp, "sip:x@203.0.113.2:5070;transport=tcp");
        assert_eq!(peer, Some((Transport::Tcp, "203.0.113.2:5070".to_owned())));
        for uri in ["sip:x@203.0.113.1:5070", "sip:x@10.0.0.1", "sip:x@carrier.example"] {
            assert_eq!(way(Transport::Tcp, uri), None, "{uri}");
        }
        assert_eq!(way(Transport::Tls, "sips:x@203.0.113.2"), None);
    }
}
