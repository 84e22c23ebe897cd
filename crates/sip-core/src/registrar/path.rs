//! The proxies between a PBX and us, as the Path of its REGISTER names them (RFC 3327).
//!
//! A proxy adds itself so that requests to the PBX come by it: they carry the Path as their Route, in the same order, and
//! go to the first proxy, which is the one that we speak to.

use std::net::SocketAddr;

use crate::message::{Message, Name, NameAddr, Uri};
use crate::refusal::Refusal;
use crate::types::Flow;

/// Proxies that a binding is kept with.
const MOST_PROXIES: usize = 8;
/// Octets of the value that names one of them.
const LONGEST: usize = 512;

/// The Path of a REGISTER, the nearest proxy first, each value as it was received. That the PBX supports Path is not asked
/// for: section 5.3 leaves it to the registrar, and few PBXs know of the proxy that they stand behind.
pub(super) fn path_of(request: &Message) -> Result<Vec<String>, Refusal> {
    let mut path = Vec::new();
    for value in request.headers(Name::Path) {
        if path.len() == MOST_PROXIES || value.len() > LONGEST {
            return Err(Refusal::PathTooLong);
        }
        let is_usable = NameAddr::parse(value).is_ok_and(|addr| request.request_uri_of(&addr).is_some());
        if !is_usable {
            return Err(Refusal::BadPath);
        }
        path.push(value.to_owned());
    }
    Ok(path)
}

/// Where the nearest proxy listens, if that is on the host that its packets come from: a PBX can name any host in a Path of
/// its own making.
pub(super) fn proxy_listens_at(first: &str, flow: Flow) -> Option<SocketAddr> {
    let addr = NameAddr::parse(first).ok()?;
    let uri = Uri::parse_leniently(addr.uri_raw()).ok()?;
    let host = uri.host().ip().filter(|host| *host == flow.peer.ip())?;
    // A port of another transport is none of this one.
    let transport = uri.params().value("transport");
    if transport.is_some_and(|named| !named.eq_ignore_ascii_case(flow.transport.param())) {
        return None;
    }
    let port = uri.port().unwrap_or_else(|| flow.transport.default_port());
    (port != 0).then_some(SocketAddr::new(host, port))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::lex;
    use crate::types::Transport;

    fn read(fields: &str) -> Result<Vec<String>, Refusal> {
        let text = format!("REGISTER sip:gw SIP/2.0\r\n{fields}\r\n");
        path_of(&lex(Bytes::from(text), crate::message::Transport::Datagram).unwrap())
    }

    #[test]
    fn the_proxies_are_kept_in_order_as_they_are_written() {
        let fields = "Path: <sip:edge.example;lr>, \"P, 2\" <sips:p2.example:5061;lr;ob>;x=\"a,b\"\r\nPath: <sip:p3>\r\n";
        let kept = ["<sip:edge.example;lr>", "\"P, 2\" <sips:p2.example:5061;lr;ob>;x=\"a,b\"", "<sip:p3>"];
        assert_eq!(read(fields).unwrap(), kept);
        assert_eq!(read("").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_no_request_can_take_is_refused() {
        for path in ["<mailto:a@b>", "<tel:+12025550123>", "<sip:>", "<sip:edge;lr>, <urn:x>"] {
            assert_eq!(read(&format!("Path: {path}\r\n")), Err(Refusal::BadPath), "{path}");
        }
    }

    #[test]
    fn so_many_proxies_and_octets_and_no_more() {
        let proxies = |count: usize| vec!["<sip:p;lr>"; count].join(", ");
        assert!(read(&format!("Path: {}\r\n", proxies(MOST_PROXIES))).is_ok());
        assert_eq!(read(&format!("Path: {}\r\n", proxies(MOST_PROXIES + 1))), Err(Refusal::PathTooLong));
        let long = format!("Path: <sip:edge;lr;x={}>\r\n", "a".repeat(LONGEST));
        assert_eq!(read(&long), Err(Refusal::PathTooLong));
    }

    #[test]
    fn the_nearest_proxy_listens_where_it_says_if_that_is_its_host() {
        let flow = Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            peer: "198.51.100.9:41234".parse().unwrap(),
            connection: None,
        };
        let port =
            |first: &str, transport| proxy_listens_at(first, Flow { transport, ..flow }).map(|it| it.port());
        assert_eq!(port("<sip:198.51.100.9:5080;lr>", Transport::Udp), Some(5080));
        assert_eq!(port("\"Edge\" <sip:token@198.51.100.9;lr>", Transport::Tcp), Some(5060));
        assert_eq!(port("<sip:198.51.100.9;transport=TLS;lr>", Transport::Tls), Some(5061));
        assert_eq!(port("<sip:198.51.100.9;transport=tcp;lr>", Transport::Udp), None);
        for elsewhere in ["<sip:198.51.100.10;lr>", "<sip:edge.example;lr>", "<sip:198.51.100.9:0;lr>"] {
            assert_eq!(port(elsewhere, Transport::Udp), None, "{elsewhere}");
        }
    }
}
