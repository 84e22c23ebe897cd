//! `sip:`, `sips:` and `tel:` URIs (RFC 3261 19.1, RFC 3966), read in place with escapes kept.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use super::{Params, text};

/// What comes before the first colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Anything else; only [`Uri::raw`] is of use then.
    Other,
}

/// A host as written: a name, or a literal address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name to be resolved, or nothing (a `tel:` URI).
    Name(&'a str),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; written in brackets.
    V6(Ipv6Addr),
}

/// Why a text is no URI we can use.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum UriError {
    /// No colon, so no scheme.
    #[error("the URI has no scheme")]
    NoScheme,
    /// Blanks, quotes, brackets or control characters.
    #[error("the URI has a character that no URI has")]
    Character,
    /// The host is missing or is neither name nor address.
    #[error("the URI has no valid host")]
    Host,
    /// The port is no number from 0 to 65535.
    #[error("the URI has no valid port")]
    Port,
    /// A `tel:` URI without a number.
    #[error("the tel URI has no number")]
    Number,
}

/// A URI, as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    raw: &'a str,
    scheme: Scheme,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: Host<'a>,
    port: Option<u16>,
    params: Params<'a>,
    headers: Option<&'a str>,
    after_user: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a URI that holds only what a URI may. One of an unknown scheme is read as far as its scheme.
    pub fn parse(raw: &'a str) -> Result<Self, UriError> {
        if raw.contains(':') && raw.bytes().any(is_foreign) {
            return Err(UriError::Character);
        }
        Self::read(raw)
    }

    /// Reads a URI as far as it is needed: blanks, quotes and other characters that no URI has are allowed wherever
    /// host and port can be told all the same. [`Uri::as_request_uri`] writes it as it should have been.
    pub fn parse_leniently(raw: &'a str) -> Result<Self, UriError> {
        Self::read(raw.trim())
    }

    fn read(raw: &'a str) -> Result<Self, UriError> {
        let (scheme, rest) = raw.split_once(':').ok_or(UriError::NoScheme)?;
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("sip") => Scheme::Sip,
            _ if scheme.eq_ignore_ascii_case("sips") => Scheme::Sips,
            _ if scheme.eq_ignore_ascii_case("tel") => Scheme::Tel,
            _ if is_scheme(scheme) => Scheme::Other,
            _ => return Err(UriError::NoScheme),
        };
        match scheme {
            Scheme::Sip | Scheme::Sips => Self::sip(raw, scheme, rest),
            Scheme::Tel => Self::tel(raw, rest),
            Scheme::Other => Ok(Self::opaque(raw, scheme, rest)),
        }
    }

    fn opaque(raw: &'a str, scheme: Scheme, after_user: &'a str) -> Self {
        let (user, password, port, headers) = (None, None, None, None);
        Self {
            raw,
            scheme,
            user,
            password,
            host: Host::Name(""),
            port,
            params: Params::default(),
            headers,
            after_user,
        }
    }

    fn tel(raw: &'a str, rest: &'a str) -> Result<Self, UriError> {
        let end = rest.find(';').unwrap_or(rest.len());
        if end == 0 {
            return Err(UriError::Number);
        }
        let params = Params::new(&rest[end..]);
        Ok(Self { user: Some(&rest[..end]), params, ..Self::opaque(raw, Scheme::Tel, &rest[end..]) })
    }

    fn sip(raw: &'a str, scheme: Scheme, rest: &'a str) -> Result<Self, UriError> {
        let (userinfo, after_user) = split_userinfo(rest);
        let (before_headers, headers) = split_headers(after_user);
        let host_end = before_headers.find(';').unwrap_or(before_headers.len());
        let (host, port) = host_port_or(before_headers[..host_end].trim())?;
        let (user, password) = match userinfo.map(|info| info.split_once(':').ok_or(info)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
        };
        let params = Params::new(&before_headers[host_end..]);
        Ok(Self {
            raw,
            scheme,
            user: user.filter(|user| !user.is_empty()),
            password,
            host,
            port,
            params,
            headers,
            after_user,
        })
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user part with its `%` escapes and its own parameters (`;npdi;rn=`); of a `tel:` URI the number.
    pub fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// The user part with its escapes resolved.
    pub fn user_decoded(&self) -> Option<Cow<'a, str>> {
        self.user.map(text::unescape_percent)
    }

    /// The password, which nobody should send (RFC 3261 19.1.1).
    pub fn password(&self) -> Option<&'a str> {
        self.password
    }

    /// The host; an empty name for schemes without one.
    pub fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port, when written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The parameters of the URI.
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// What stands after the `?`.
    pub fn headers(&self) -> Option<&'a str> {
        self.headers
    }

    /// The whole URI as received.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// Everything after the user's `@` as received: host, port, parameters, headers.
    pub fn host_port_params(&self) -> &'a str {
        self.after_user
    }

    /// This URI with another user part (already escaped): host, port and parameters stay, `?headers` go.
    pub fn with_user(&self, user: &str) -> String {
        let scheme = if self.scheme == Scheme::Sips { "sips" } else { "sip" };
        format!("{scheme}:{user}@{}", conforming(split_headers(self.after_user).0))
    }

    /// This URI as the Request-URI of a request to it: without `?headers` (RFC 3261 19.1.5), and with what no URI may
    /// hold escaped, so that the request line has one blank on each side of it.
    pub fn as_request_uri(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
            Scheme::Tel | Scheme::Other => return conforming(self.raw),
        };
        let (target, _) = split_headers(self.after_user);
        let before_target = self.raw.len() - self.after_user.len();
        let user = self.raw[scheme.len() + 1..before_target].strip_suffix('@');
        match user.map(str::trim).filter(|user| !user.is_empty()) {
            Some(user) => format!("{scheme}:{}@{}", escaped(user), conforming(target)),
            None => format!("{scheme}:{}", conforming(target)),
        }
    }

    /// Whether both mean the same (RFC 3261 19.1.4).
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        if self.scheme != other.scheme {
            return false;
        }
        if self.scheme == Scheme::Other {
            return self.raw == other.raw;
        }
        decoded(self.user) == decoded(other.user)
            && decoded(self.password) == decoded(other.password)
            && self.host.is_same(other.host)
            && self.port == other.port
            && params_agree(self.params, other.params)
            && params_agree(other.params, self.params)
            && headers_agree(self.headers, other.headers)
    }
}

/// What no URI holds (RFC 3261 25.1).
fn is_foreign(octet: u8) -> bool {
    matches!(octet, 0..=b' ' | 0x7f | b'<' | b'>' | b'"')
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if is_foreign(octet) || !octet.is_ascii() {
            write!(out, "%{octet:02X}").expect("writing to memory cannot fail");
        } else {
            out.push(char::from(octet));
        }
    }
    out
}

/// Host, port and parameters with what a URI does not hold: blanks around the delimiters go, everything else is escaped.
fn conforming(text: &str) -> String {
    if text.bytes().all(|octet| octet.is_ascii() && !is_foreign(octet)) {
        return text.to_owned();
    }
    let mut pieces = text::split_outside_quotes(text, b';');
    let host: String = pieces.next().unwrap_or_default().split_ascii_whitespace().collect();
    let mut out = escaped(&host);
    for piece in pieces {
        let (name, value) = piece.split_once('=').map_or((piece, None), |(name, value)| (name, Some(value)));
        out.extend([";", &escaped(name.trim())]);
        if let Some(value) = value {
            out.extend(["=", &escaped(value.trim())]);
        }
    }
    out
}

/// The `?headers` behind host and parameters.
fn split_headers(after_user: &str) -> (&str, Option<&str>) {
    match find_delimiter(after_user, b'?') {
        Some(at) => (&after_user[..at], Some(&after_user[at + 1..])),
        None => (after_user, None),
    }
}

/// A delimiter of the URI's own, which is none within a quoted parameter.
fn find_delimiter(text: &str, wanted: u8) -> Option<usize> {
    text::find_outside_quotes(text, wanted)
        .or_else(|| text.find(char::from(wanted)).filter(|_| !text::quotes_close(text)))
}

fn decoded(part: Option<&str>) -> Option<Cow<'_, str>> {
    part.map(text::unescape_percent)
}

/// Every parameter of `one` has its equal in `other`, or may be missing there.
fn params_agree(one: Params<'_>, other: Params<'_>) -> bool {
    one.iter().all(|(name, value)| match other.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some((_, theirs)) => match (decoded(value), decoded(theirs)) {
            (Some(ours), Some(theirs)) => ours.eq_ignore_ascii_case(&theirs),
            (ours, theirs) => ours == theirs,
        },
        // RFC 3261 19.1.4: these never match a URI that lacks them; all others are ignored when only one has them.
        None => !["user", "ttl", "method", "maddr", "transport"]
            .iter()
            .any(|must| must.eq_ignore_ascii_case(name)),
    })
}

fn headers_agree(one: Option<&str>, other: Option<&str>) -> bool {
    let sorted = |headers: Option<&str>| {
        let mut all: Vec<String> = headers
            .unwrap_or("")
            .split('&')
            .map(|header| text::unescape_percent(header).to_ascii_lowercase())
            .collect();
        all.sort_unstable();
        all
    };
    one == other || sorted(one) == sorted(other)
}

impl Host<'_> {
    /// The address, when the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match *self {
            Self::Name(_) => None,
            Self::V4(ip) => Some(ip.into()),
            Self::V6(ip) => Some(ip.into()),
        }
    }

    /// Names compare without case, addresses by value.
    pub fn is_same(&self, other: Host<'_>) -> bool {
        match (*self, other) {
            (Self::Name(ours), Host::Name(theirs)) => ours.eq_ignore_ascii_case(theirs),
            (ours, theirs) => ours.ip().is_some() && ours.ip() == theirs.ip(),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(ip) => ip.fmt(f),
            Self::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw)
    }
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The user part may hold `;`, `?` and `:`, so the `@` is looked for first. Some PBXs send `user@domain@host`
/// unescaped: an `@` before the host's end still belongs to the user.
fn split_userinfo(rest: &str) -> (Option<&str>, &str) {
    let Some(first) = find_delimiter(rest, b'@') else { return (None, rest) };
    let host_end = rest[first..].find([';', '?']).map_or(rest.len(), |length| first + length);
    let at = rest[first..host_end].rfind('@').map_or(first, |last| first + last);
    (Some(&rest[..at]), &rest[at + 1..])
}

/// Reads `host`, `host:port`, `[v6]:port`; `None` when it is none of them.
pub(crate) fn host_port(text: &str) -> Option<(Host<'_>, Option<u16>)> {
    host_port_or(text).ok()
}

fn host_port_or(text: &str) -> Result<(Host<'_>, Option<u16>), UriError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']').ok_or(UriError::Host)?;
            // The zone of a link-local address (RFC 6874) means something on its sender's machine alone.
            let address = inside.split('%').next().unwrap_or_default().parse().map_err(|_| UriError::Host)?;
            let after = after.trim_start();
            (
                Host::V6(address),
                if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(UriError::Host)?) },
            )
        }
        None => {
            let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
            (named_host(name.trim()).ok_or(UriError::Host)?, port)
        }
    };
    let port = port.map(|port| text::decimal(port.trim()).ok_or(UriError::Port)).transpose()?;
    Ok((host, port))
}

fn named_host(name: &str) -> Option<Host<'_>> {
    match name.parse() {
        Ok(address) => Some(Host::V4(address)),
        Err(_) => (HOST_NAME.holds(name.as_bytes()) || is_foreign_name(name)).then_some(Host::Name(name)),
    }
}

/// A name in another script than DNS has, as it is or escaped: of no use to us, but perhaps to who wrote it.
fn is_foreign_name(name: &str) -> bool {
    let is_of_name =
        |octet: u8| !octet.is_ascii() || octet.is_ascii_alphanumeric() || b"-._%".contains(&octet);
    !name.is_empty() && name.bytes().all(is_of_name)
}

/// Underscores are in no host name, but installations have them.
static HOST_NAME: text::OctetSet = text::OctetSet::alphanumeric_and(b"-._");

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text).unwrap()
    }

    #[test]
    fn a_host_that_only_its_sender_can_reach_is_kept() {
        for (raw, host, written) in [
            (
                "sip:u@[fe80::1%25eth0]:5060",
                Host::V6("fe80::1".parse().unwrap()),
                "sip:u@[fe80::1%25eth0]:5060",
            ),
            ("sip:u@büro.local", Host::Name("büro.local"), "sip:u@b%C3%BCro.local"),
            ("sip:u@b%C3%BCro.local", Host::Name("b%C3%BCro.local"), "sip:u@b%C3%BCro.local"),
        ] {
            let uri = Uri::parse_leniently(raw).unwrap();
            assert_eq!((uri.host(), uri.as_request_uri().as_str()), (host, written));
        }
    }

    #[test]
    fn reads_what_rsip_loses() {
        assert_eq!(uri("sip:john.doe@example.com").user(), Some("john.doe"));
        let six = uri("sip:x@[2001:db8::1]:5060;transport=tcp");
        assert_eq!((six.host().to_string().as_str(), six.port()), ("[2001:db8::1]", Some(5060)));
        let tel = uri("tel:+1-555-123;phone-context=example.com");
        assert_eq!((tel.scheme(), tel.user()), (Scheme::Tel, Some("+1-555-123")));
        assert_eq!(tel.params().value("phone-context"), Some("example.com"));
        assert_eq!(uri("sip:a@b?Replaces=1%40x").headers(), Some("Replaces=1%40x"));
    }

    #[test]
    fn the_user_part_keeps_its_own_parameters() {
        let ported = uri("sip:+14085551212;npdi;rn=+14085550000:pw@gw.example:5070;user=phone");
        assert_eq!(ported.user(), Some("+14085551212;npdi;rn=+14085550000"));
        assert_eq!(ported.password(), Some("pw"));
        assert_eq!(ported.host_port_params(), "gw.example:5070;user=phone");
        assert_eq!(uri("sip:%2B49@h").user_decoded().as_deref(), Some("+49"));
        assert_eq!(uri("sip:me@example.org@10.0.0.1").host(), Host::V4(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(uri("sip:h;maddr=1").user(), None);
    }

    #[test]
    fn another_user_keeps_the_target() {
        let contact = uri("sip:gw+1@10.0.0.9:5080;transport=udp;gw=1?X=y");
        assert_eq!(contact.with_user("+4930123"), "sip:+4930123@10.0.0.9:5080;transport=udp;gw=1");
        assert_eq!(uri("sips:[::1]").with_user("5"), "sips:5@[::1]");
    }

    #[test]
    fn what_no_uri_holds_is_read_and_written_as_it_should_be() {
        for (text, host, written) in [
            (r#"sip:a@b;thinfo="x y""#, "b", "sip:a@b;thinfo=%22x%20y%22"),
            (r#"sip:b;thinfo="x@y?z;u""#, "b", "sip:b;thinfo=%22x@y?z;u%22"),
            ("sip:a b@c:5060;line=1?X=y", "c", "sip:a%20b@c:5060;line=1"),
            ("sips: a@ c : 5061 ; transport = tcp", "c", "sips:a@c:5061;transport=tcp"),
            ("sip:m\u{fc}ller@c;x=\u{e9}", "c", "sip:m%C3%BCller@c;x=%C3%A9"),
            (r#"sip:a"b@c"#, "c", "sip:a%22b@c"),
            ("sip:a@b", "b", "sip:a@b"),
        ] {
            let read = Uri::parse_leniently(text).unwrap();
            assert_eq!(read.host().to_string(), host, "{text}");
            assert_eq!(read.as_request_uri(), written, "{text}");
            assert!(Uri::parse(written).is_ok(), "{text}");
        }
        let contact = Uri::parse_leniently(r#"sip:a@b ;thinfo="x y""#).unwrap();
        assert_eq!(contact.with_user("5"), "sip:5@b;thinfo=%22x%20y%22");
        for text in ["sip:a@b c", "sip:a@", "nothing", "sip: "] {
            assert!(Uri::parse_leniently(text).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_uri() {
        for (text, fault) in [
            ("nothing", UriError::NoScheme),
            ("<sip:a@b>", UriError::Character),
            ("sip:a b@c", UriError::Character),
            ("sip:", UriError::Host),
            ("sip:a@", UriError::Host),
            ("sip:a@[::1", UriError::Host),
            ("sip:a@b:x", UriError::Port),
            ("sip:a@b:70000", UriError::Port),
            ("tel:", UriError::Number),
        ] {
            assert_eq!(Uri::parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn equivalence_of_rfc_3261_19_1_4() {
        for (one, other) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
        ] {
            assert!(uri(one).equivalent(&uri(other)), "{one} {other}");
        }
        for (one, other) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com;transport=udp", "sip:bob@biloxi.com;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ] {
            assert!(!uri(one).equivalent(&uri(other)), "{one} {other}");
        }
    }
}
