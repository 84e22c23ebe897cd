//! How requests reach a registered PBX.

use std::net::SocketAddr;

use crate::message::Uri;
use crate::types::{Binding, Flow};

/// The way of requests to a registered PBX: back over the flow that it registered by, or once its connection has ended
/// over a new one to where it listens. `None` if nothing leads to it any more.
pub(super) fn way_to(binding: &Binding) -> Option<Flow> {
    let flow = binding.flow;
    if !flow.transport.is_reliable() || flow.connection.is_some() {
        return Some(flow);
    }
    Some(Flow { peer: listens_at(binding)?, ..flow })
}

/// Where a PBX can be connected to: at the Contact that it has registered, if no NAT stands between (RFC 3261 section
/// 18.1.1 opens a connection to where the request is to go).
fn listens_at(binding: &Binding) -> Option<SocketAddr> {
    let source = binding.flow.peer;
    let contact = Uri::parse_leniently(&binding.contact_uri).ok().filter(|_| !binding.behind_nat)?;
    let host = contact.host().ip().filter(|host| *host == source.ip())?;
    let port = contact.port().unwrap_or_else(|| binding.flow.transport.default_port());
    // The port that a connection comes from was chosen for it alone: nobody listens there.
    (port != 0 && port != source.port()).then_some(SocketAddr::new(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ConnectionId, ProfileId, Transport};

    fn binding(contact: &str, transport: Transport, connection: Option<u64>) -> Binding {
        Binding {
            profile: ProfileId(7),
            contact_uri: contact.to_owned(),
            contact: format!("<{contact}>"),
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
            "sip:u@pbx.example.com",
            "sip:u@198.51.100.9:0",
        ] {
            assert_eq!(peer(nowhere, Tcp), None, "{nowhere}");
        }
        let mut natted = binding("sip:u@198.51.100.9:5070", Tcp, None);
        natted.behind_nat = true;
        assert_eq!(way_to(&natted), None);
        let connected = binding("sip:u@198.51.100.9:5070", Tcp, Some(3));
        assert_eq!(way_to(&connected), Some(connected.flow));
    }
}
