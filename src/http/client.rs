//! Determines the client's address: the peer of the connection, or the address that a trusted proxy reports.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::FORWARDED;
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// What a proxy adds to what it passes on, one or another of them. Only two of them are read; the others tell that there is a
/// proxy.
const SAID_BY_PROXIES: [&str; 6] =
    [X_FORWARDED_FOR, "forwarded", "via", "x-real-ip", "x-forwarded-host", "x-forwarded-proto"];
/// Proxies in a row, and so entries that are read.
const MOST_HOPS: usize = 32;

/// Whom a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    /// Whether it came through a trusted proxy.
    pub(super) is_proxied: bool,
}

/// The proxies whose word counts: `http.trusted_proxies`.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(super) fn new(networks: &[IpNet]) -> Self {
        Self(networks.to_vec())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }

    /// The client of a request. Every proxy writes down whom it heard the request from, so the last one whom no trusted
    /// proxy is wrote the request; what stands before that is its own word. Some proxies keep one of the two header fields
    /// and hand the other on as it came: where the two differ, neither is believed.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let peer = peer.to_canonical();
        let direct = Client { address: peer, is_proxied: false };
        if !self.trusts(peer) {
            return direct;
        }
        let said = [x_forwarded_for(headers), forwarded(headers)].map(|hops| {
            let hops = hops?;
            Some(self.first_untrusted(peer, hops))
        });
        match said {
            [None, None] => direct,
            [Some(address), None] | [None, Some(address)] => Client { address, is_proxied: true },
            [Some(one), Some(other)] => {
                Client { address: if one == other { one } else { peer }, is_proxied: true }
            }
        }
    }

    /// From the nearest hop back to the first that is none of ours, or of whom nothing is known.
    fn first_untrusted(&self, peer: IpAddr, hops: Vec<Option<IpAddr>>) -> IpAddr {
        let mut nearest = peer;
        for hop in hops.into_iter().rev().take(MOST_HOPS) {
            let Some(hop) = hop else { break };
            nearest = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        nearest
    }
}

/// Whether a request says that it was passed on, by a trusted proxy or not.
pub(super) fn is_passed_on(headers: &HeaderMap) -> bool {
    SAID_BY_PROXIES.iter().any(|name| headers.contains_key(*name))
}

/// The hops of `X-Forwarded-For`, the client first; `None` where one cannot be read.
fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    elements(headers, X_FORWARDED_FOR).map(|hops| hops.iter().map(|hop| node(hop)).collect())
}

/// The hops of `Forwarded` (RFC 7239 section 4): the parameter `for` of each element.
fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let of = |element: &String| {
        let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
        values.next().and_then(|(_, value)| node(value))
    };
    elements(headers, FORWARDED.as_str()).map(|hops| hops.iter().map(of).collect())
}

/// The elements of a field's lists, all of its lines one after the other.
fn elements(headers: &HeaderMap, name: &str) -> Option<Vec<String>> {
    let lines = headers.get_all(name);
    let text: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    let elements = text.iter().flat_map(|line| line.split(',')).map(|element| element.trim().to_owned());
    (!text.is_empty()).then(|| elements.collect())
}

/// An address, perhaps in quotes, in brackets, or with a port (RFC 7239 section 6).
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> Proxies {
        Proxies::new(&["127.0.0.1/32", "10.0.0.0/8", "2001:db8:1::/48"].map(|text| text.parse().unwrap()))
    }

    fn client(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let client = proxies().client(peer.parse().unwrap(), &headers);
        format!("{}{}", client.address, if client.is_proxied { " by proxy" } else { "" })
    }

    #[test]
    fn a_trusted_proxys_word_counts_and_nobody_elses() {
        const XFF: &str = "x-forwarded-for";
        for (peer, lines, wanted) in [
            ("192.0.2.1", &[(XFF, "198.51.100.1")][..], "192.0.2.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("::ffff:127.0.0.1", &[(XFF, "198.51.100.1")], "198.51.100.1 by proxy"),
            ("127.0.0.1", &[(XFF, "198.51.100.1:4711")], "198.51.100.1 by proxy"),
            ("127.0.0.1", &[(XFF, "[2001:db8::7]:4711")], "2001:db8::7 by proxy"),
            ("127.0.0.1", &[(XFF, "2001:db8::7")], "2001:db8::7 by proxy"),
            // What the client wrote itself stands before what the proxy added.
            ("127.0.0.1", &[(XFF, "203.0.113.9, 198.51.100.1")], "198.51.100.1 by proxy"),
            ("127.0.0.1", &[(XFF, "203.0.113.9"), (XFF, "198.51.100.1")], "198.51.100.1 by proxy"),
            ("127.0.0.1", &[(XFF, "203.0.113.9, 198.51.100.1, 10.0.0.2, 10.0.0.3")], "198.51.100.1 by proxy"),
            ("127.0.0.1", &[(XFF, "10.0.0.9, 10.0.0.2")], "10.0.0.9 by proxy"),
            ("127.0.0.1", &[(XFF, "198.51.100.1, unknown, 10.0.0.3")], "10.0.0.3 by proxy"),
            ("127.0.0.1", &[(XFF, "nonsense")], "127.0.0.1 by proxy"),
            ("127.0.0.1", &[("forwarded", "for=198.51.100.1;proto=https")], "198.51.100.1 by proxy"),
            (
                "127.0.0.1",
                &[("forwarded", "for=203.0.113.9, proto=https; For=\"[2001:db8::7]:4711\"")],
                "2001:db8::7 by proxy",
            ),
            ("127.0.0.1", &[("forwarded", "for=_hidden")], "127.0.0.1 by proxy"),
            ("127.0.0.1", &[("forwarded", "for=1.2.3.4"), (XFF, "1.2.3.4")], "1.2.3.4 by proxy"),
            // The proxy writes one of them, and the client wrote the other.
            ("127.0.0.1", &[("forwarded", "for=203.0.113.9"), (XFF, "198.51.100.1")], "127.0.0.1 by proxy"),
        ] {
            assert_eq!(client(peer, lines), wanted, "{peer} {lines:?}");
        }
    }
}
