//! Via (RFC 3261 20.42): where a request has been, and so where its responses go.

use std::net::IpAddr;

use super::{Host, Params, text, uri};

/// One Via value, as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    raw: &'a str,
    transport: &'a str,
    sent_by: &'a str,
    host: Host<'a>,
    port: Option<u16>,
    params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads `SIP/2.0/UDP host:port;params`; blanks may surround every separator.
    pub fn parse(raw: &'a str) -> Option<Self> {
        let raw = raw.trim();
        let (protocol, rest) = raw.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        let rest = rest.trim_start();
        let transport_end = rest.find(char::is_whitespace)?;
        let (transport, rest) = rest.split_at(transport_end);
        if !protocol.trim().eq_ignore_ascii_case("SIP") || version.trim().is_empty() {
            return None;
        }
        let end = rest.find(';').unwrap_or(rest.len());
        let sent_by = rest[..end].trim();
        // A comment behind it is of interest to people alone. Whatever else stands there is echoed: a response goes back
        // where its request came from.
        let named = sent_by.split('(').next().unwrap_or_default().trim_end();
        let odd = || (!sent_by.is_empty()).then_some((Host::Name(sent_by), None));
        let (host, port) = uri::host_port(named).or_else(odd)?;
        text::is_token(transport.as_bytes()).then_some(Self {
            raw,
            transport,
            sent_by,
            host,
            port,
            params: Params::new(&rest[end..]),
        })
    }

    /// Whether a value at least begins like a Via. Those below the topmost were read by others, and are only echoed.
    pub(super) fn is_like(raw: &str) -> bool {
        raw.split_once('/').is_some_and(|(protocol, _)| text::is_token(protocol.trim().as_bytes()))
    }

    /// The branch of a Via of ours that was sent back, whatever was done to the rest of it.
    pub(crate) fn branch_in(raw: &'a str) -> Option<&'a str> {
        let (_, params) = raw.split_once(';')?;
        Params::new(params).value("branch").filter(|branch| !branch.is_empty())
    }

    /// `UDP`, `TCP`, `TLS`... as written.
    pub fn transport(&self) -> &'a str {
        self.transport
    }

    /// The host of sent-by.
    pub fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port of sent-by, when written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Host and port as written.
    pub fn sent_by(&self) -> &'a str {
        self.sent_by
    }

    /// The branch parameter; requests of RFC 2543 may lack it.
    pub fn branch(&self) -> Option<&'a str> {
        self.params.value("branch").filter(|branch| !branch.is_empty())
    }

    /// Whether the response is asked to come back to the port the request came from (RFC 3581).
    pub fn rport_requested(&self) -> bool {
        self.params.has("rport")
    }

    /// The address a receiver has added.
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.value("received")?;
        value.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// The port a receiver has added (RFC 3581 4); `None` while it is only requested.
    pub fn rport(&self) -> Option<u16> {
        text::decimal(self.params.value("rport")?)
    }

    /// All parameters.
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// The whole value as received.
    pub fn raw(&self) -> &'a str {
        self.raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_parts() {
        let via = Via::parse(
            "SIP / 2.0 / UDP first.example.com : 4000;ttl=16 ;branch=z9hG4bK.a;rport;received=192.0.2.1",
        );
        let via = via.unwrap();
        assert_eq!(
            (via.transport(), via.host(), via.port()),
            ("UDP", Host::Name("first.example.com"), Some(4000))
        );
        assert_eq!(via.branch(), Some("z9hG4bK.a"));
        assert!(via.rport_requested());
        assert_eq!(via.rport(), None);
        assert_eq!(via.received(), Some("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn reads_ipv6() {
        let via =
            Via::parse("SIP/2.0/TLS [2001:db8::9]:5061;received=[2001:db8::1];rport=99;branch=b").unwrap();
        assert_eq!((via.port(), via.rport()), (Some(5061), Some(99)));
        assert_eq!(via.received(), Some("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_host_that_cannot_be_read_is_kept_as_it_is() {
        for (sent_by, host, port) in [
            ("[fe80::1%25eth0]:5070", Host::V6("fe80::1".parse().unwrap()), Some(5070)),
            ("pbx.example:5070 (a PBX)", Host::Name("pbx.example"), Some(5070)),
            ("büro.local", Host::Name("büro.local"), None),
            ("2001:db8::9", Host::Name("2001:db8::9"), None),
            ("a b", Host::Name("a b"), None),
            ("a:99999", Host::Name("a:99999"), None),
        ] {
            let text = format!("SIP/2.0/UDP {sent_by};branch=b");
            let via = Via::parse(&text).unwrap();
            assert_eq!((via.host(), via.port(), via.branch()), (host, port, Some("b")), "{sent_by}");
        }
    }

    #[test]
    fn our_branch_is_found_in_what_came_back() {
        for text in [
            "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
            "SIP/2.0/UDP 192 0 2 1 ; x=\"a;b\" ; received=[[ ;branch = z9hG4bK1;rport",
        ] {
            assert_eq!(Via::branch_in(text), Some("z9hG4bK1"), "{text}");
        }
        assert_eq!(Via::branch_in("SIP/2.0/UDP a;branch=;rport"), None);
        assert!(Via::is_like("SIP / 2.0/UDP ???") && !Via::is_like(";") && !Via::is_like("/"));
    }

    #[test]
    fn refuses_what_is_no_via() {
        for text in ["", "SIP/2.0/UDP", "SIP/2.0/UDP ;,", "HTTP/1.1/TCP a"] {
            assert!(Via::parse(text).is_none(), "{text}");
        }
    }
}
