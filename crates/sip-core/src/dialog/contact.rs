//! How we say where we are: Via, Contact, and the flows that our requests take.

use std::net::SocketAddr;

use crate::message::{NameAddr, Uri};
use crate::settings::Settings;
use crate::types::{Flow, Transport};

/// Our Contact in one dialog, in angle brackets. Which scheme is shown depends on the other side (RFC 3261 sections
/// 8.1.1.8 and 12.1.1): a peer that uses SIPS URIs takes nothing else, and many others do not take them.
#[derive(Clone, Debug, Default)]
pub(crate) struct OurContact {
    plain: String,
    /// `None` where nothing of ours listens for TLS.
    secure: Option<String>,
}

impl OurContact {
    pub(crate) fn shown(&self, is_secure: bool) -> &str {
        self.secure.as_deref().filter(|_| is_secure).unwrap_or(&self.plain)
    }
}

/// Our Contact for requests and responses over `flow`, with `user` as its user part.
pub(crate) fn contact_of(settings: &Settings, flow: &Flow, user: &str) -> OurContact {
    let at = if user.is_empty() { "" } else { "@" };
    let host = sent_by(settings, flow);
    let secure_host = match flow.transport {
        Transport::Tls => Some(host.clone()),
        _ => settings.listener_toward(Transport::Tls, flow.peer).map(|secure| {
            settings.host_port(Transport::Tls, SocketAddr::new(flow.local.ip(), secure.local.port()))
        }),
    };
    OurContact {
        plain: format!("<sip:{user}{at}{host};transport={}>", flow.transport.param()),
        // RFC 5630 section 3.1.4: `transport=tls` has no place in a SIPS URI, which says as much by itself.
        secure: secure_host.map(|host| format!("<sips:{user}{at}{host}>")),
    }
}

/// Where a party is reached that names no Contact: where its message came from. RFC 2543 had none.
pub(super) fn source_uri(party: Option<NameAddr<'_>>, flow: &Flow) -> String {
    let uri = party.as_ref().and_then(|party| party.uri().ok());
    let user = uri.and_then(|uri| uri.user()).map(|user| format!("{user}@")).unwrap_or_default();
    let uri = format!("sip:{user}{};transport={}", flow.peer, flow.transport.param());
    Uri::parse_leniently(&uri).map_or_else(|_| uri.clone(), |uri| uri.as_request_uri())
}

/// The Via of a request of ours over `flow`.
pub(crate) fn via(settings: &Settings, flow: &Flow, branch: &str) -> String {
    // rport (RFC 3581) even though we know our port: some peers answer it with `received`, which helps in traces.
    let sent_by = sent_by(settings, flow);
    format!("SIP/2.0/{} {sent_by};branch={branch};rport", flow.transport.via_token())
}

fn sent_by(settings: &Settings, flow: &Flow) -> String {
    settings.host_port(flow.transport, flow.local)
}

/// A flow to a peer that has no connection yet: from the listener of that transport. None leads to ourselves.
pub(crate) fn flow_to(settings: &Settings, transport: Transport, peer: SocketAddr) -> Option<Flow> {
    if settings.is_own_address(transport, peer) {
        return None;
    }
    let listener = settings.listener_toward(transport, peer)?;
    Some(Flow { transport, local: listener.local, peer, connection: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Listener;

    fn settings(transports: &[Transport]) -> Settings {
        let listener = |transport: &Transport| Listener {
            transport: *transport,
            local: SocketAddr::new("192.0.2.1".parse().unwrap(), transport.default_port()),
            advertised_host: "203.0.113.10".parse().unwrap(),
            advertised_port: transport.default_port(),
        };
        Settings::new("gw.example", transports.iter().map(listener).collect())
    }

    fn contact(settings: &Settings, transport: Transport) -> OurContact {
        let peer = "198.51.100.7:5060".parse().unwrap();
        contact_of(settings, &flow_to(settings, transport, peer).unwrap(), "12")
    }

    #[test]
    fn a_contact_is_shown_in_the_scheme_that_the_peer_uses() {
        let over_tls = contact(&settings(&[Transport::Tls]), Transport::Tls);
        assert_eq!(over_tls.shown(false), "<sip:12@203.0.113.10:5061;transport=tls>");
        assert_eq!(over_tls.shown(true), "<sips:12@203.0.113.10:5061>");
    }

    #[test]
    fn over_another_transport_the_secure_contact_names_the_tls_listener_if_there_is_one() {
        let both = contact(&settings(&[Transport::Udp, Transport::Tls]), Transport::Udp);
        assert_eq!(both.shown(false), "<sip:12@203.0.113.10:5060;transport=udp>");
        assert_eq!(both.shown(true), "<sips:12@203.0.113.10:5061>");
        let alone = contact(&settings(&[Transport::Udp]), Transport::Udp);
        assert_eq!(alone.shown(true), alone.shown(false));
    }
}
