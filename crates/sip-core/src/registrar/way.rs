//! How requests reach a registered PBX.

use std::net::SocketAddr;

use super::path;
use crate::message::{Host, Uri};
use crate::types::{Binding, Flow};

/// The way of requests to a registered PBX: back over the flow that it registered by, or once its connection has ended
/// over a new one to where it listens. `None` if nothing leads to it any more.
pub(super) fn way_to(binding: &Binding) -> Option<Flow> {
    let flow = binding.flow;
    if flow.transport.is_reliable() {
        return match flow.connection {
            Some(_) => Some(flow),
            None => Some(Flow { peer: listens_at(binding)?, ..flow }),
        };
    }
    // A NAT has an open port for answers alone; a proxy without one takes requests at the port that its Path names.
    let proxy = binding.path.first().filter(|_| !binding.behind_nat);
    let peer = proxy.and_then(|first| path::proxy_listens_at(first, flow)).unwrap_or(flow.peer);
    Some(Flow { peer, ..flow })
}

/// Where a PBX can be connected to: at the Contact that it has registered, or at the proxy before it, if no NAT stands
/// between (RFC 3261 section 18.1.1 opens a connection to where the request is to go).
fn listens_at(binding: &Binding) -> Option<SocketAddr> {
    let source = binding.flow.peer;
    let listener = match binding.path.first() {
        Some(proxy) => path::proxy_listens_at(proxy, binding.flow).filter(|_| !binding.behind_nat),
        None => contact_at(binding),
    };
    // A port that the system chose for the connection alone leads to nothing. A proxy that reuses its connections comes
    // from the very port that it listens on.
    let is_chosen = |port| port == source.port() && port >= DYNAMIC_PORTS;
    listener.filter(|listener| !is_chosen(listener.port()))
}

/// Where the Contact leads. A name is taken for that of the host that the PBX registers from: only an attempt to connect
/// tells whether a NAT stands before it.
fn contact_at(binding: &Binding) -> Option<SocketAddr> {
    let source = binding.flow.peer;
    let contact = Uri::parse_leniently(&binding.contact_uri).ok()?;
    let is_there = match contact.host() {
        Host::Name(name) => is_domain_name(name),
        address => address.ip() == Some(source.ip()) && !binding.behind_nat,
    };
    let port = contact.port().unwrap_or_else(|| binding.flow.transport.default_port());
    (is_there && port != 0).then_some(SocketAddr::new(source.ip(), port))
}

/// Whether a name may be a public domain name. The names of a site, and placeholders such as `.invalid`, lead nowhere.
fn is_domain_name(name: &str) -> bool {
    let last = name.trim_end_matches('.').rsplit_once('.').map(|(_, last)| last.to_ascii_lowercase());
    let is_local =
        |last: &str| ["invalid", "local", "localdomain", "lan", "internal", "home"].contains(&last);
    last.is_some_and(|last| !is_local(&last) && !last.is_empty())
}

/// From here on systems choose ports for connections: Linux from 32768, most others from 49152 (RFC 6335 section 6).
const DYNAMIC_PORTS: u16 = 32_768;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ConnectionId, ProfileId, Transport};

    fn binding(contact: &str, transport: Transport, connection: Option<u64>) -> Binding {
        Binding {
            profile: ProfileId(7),
            contact_uri: contact.to_owned(),
            contact: format!("<{contact}>"),
            path: Vec::new(),
            flow: Flow {
                transport,
                local: "192.0.2.1:5060".parse().unwrap(),
                peer: "198.51.100.9:41234".parse().unwrap(),
                connection: connection.map(ConnectionId),
            },
            user_agent: None,
            call_id: "x".into(),
            cseq: 1,
            media: None,
            behind_nat: false,
            expires_unix_s: 0,
        }
    }

    #[test]
    fn a_pbx_behind_a_proxy_is_reached_where_the_proxy_listens() {
        use Transport::{Tcp, Udp};
        let peer = |first: &str, transport, connection| {
            let path = vec![first.to_owned(), "<sip:198.51.100.9:7000;lr>".to_owned()];
            let bound = Binding { path, ..binding("sip:u@10.1.1.1:5080", transport, connection) };
            way_to(&bound).map(|way| way.peer.port())
        };
        assert_eq!(peer("<sip:198.51.100.9:5070;lr>", Udp, None), Some(5070));
        assert_eq!(peer("<sip:edge.example;lr>", Udp, None), Some(41234), "a name is not looked up");
        assert_eq!(peer("<sip:192.0.2.77;lr>", Udp, None), Some(41234), "nor is another host written to");
        assert_eq!(peer("<sip:198.51.100.9:5070;transport=tcp;lr>", Tcp, None), Some(5070));
        assert_eq!(peer("<sip:198.51.100.9:5070;transport=tcp;lr>", Tcp, Some(3)), Some(41234));
        assert_eq!(peer("<sip:edge.example;lr>", Tcp, None), None);
    }

    #[test]
    fn a_pbx_is_connected_to_where_it_listens() {
        use Transport::{Tcp, Tls, Udp};
        let peer =
            |contact: &str, transport| way_to(&binding(contact, transport, None)).map(|way| way.peer.port());
        assert_eq!(peer("sip:u@198.51.100.9:5070;transport=tcp", Tcp), Some(5070));
        assert_eq!(peer("sip:u@198.51.100.9;transport=tcp", Tcp), Some(5060));
        assert_eq!(peer("sips:u@198.51.100.9", Tls), Some(5061));
        assert_eq!(peer("sip:u@198.51.100.9:5070", Udp), Some(41234), "datagrams go to where they come from");
        for nowhere in [
            "sip:u@198.51.100.9:41234",
            "sip:u@198.51.100.10:5060",
            "sip:u@pbx.local:5070",
            "sip:u@df7jal23ls0d.invalid;transport=tcp",
            "sip:u@asterisk",
            "sip:u@198.51.100.9:0",
        ] {
            assert_eq!(peer(nowhere, Tcp), None, "{nowhere}");
        }
        let mut reused = binding("sip:u@198.51.100.9:5060", Tcp, None);
        for port in [5060, 5080] {
            reused.flow.peer.set_port(port);
            reused.contact_uri = format!("sip:u@198.51.100.9:{port}");
            assert_eq!(
                way_to(&reused).map(|way| way.peer.port()),
                Some(port),
                "it comes from where it listens"
            );
        }
        let mut named = binding("sips:u@pbx.example.com:5071", Tls, None);
        // A name in Contact counts as a NAT.
        named.behind_nat = true;
        assert_eq!(way_to(&named).map(|way| way.peer), Some("198.51.100.9:5071".parse().unwrap()));
        let mut natted = binding("sip:u@198.51.100.9:5070", Tcp, None);
        natted.behind_nat = true;
        assert_eq!(way_to(&natted), None);
        let connected = binding("sip:u@198.51.100.9:5070", Tcp, Some(3));
        assert_eq!(way_to(&connected), Some(connected.flow));
    }
}
