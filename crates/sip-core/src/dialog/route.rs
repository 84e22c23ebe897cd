//! Where a request within a dialog goes: its Request-URI, its Route and the next hop (RFC 3261 section 12.2.1.1).

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::message::{Message, Method, Name, NameAddr, Uri};

/// A dialog's route set, the nearest proxy first; each value as the Record-Route wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteSet(Vec<String>);

/// What a request is addressed with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Addressing<'a> {
    pub(crate) request_uri: Cow<'a, str>,
    /// The values of its Route.
    pub(crate) routes: SmallVec<[Cow<'a, str>; 4]>,
    /// The URI whose host it is sent to.
    pub(crate) next_hop: &'a str,
}

impl RouteSet {
    /// The route set of the dialog that a request to us creates (section 12.1.1): in order.
    pub(crate) fn of_request(request: &Message) -> Self {
        Self(request.headers(Name::RecordRoute).map(str::to_owned).collect())
    }

    /// The route set of the dialog that a response to a request of ours creates (section 12.1.2): in reverse.
    pub(crate) fn of_response(response: &Message) -> Self {
        let mut routes = Self::of_request(response);
        routes.0.reverse();
        routes
    }

    /// The proxies before the first request of a dialog of ours, as a Path names them (RFC 3327 section 5.3).
    pub(crate) fn of_path(path: Vec<String>) -> Self {
        Self(path)
    }

    /// Whether the nearest proxy has a SIPS URI; `None` without a proxy.
    pub(crate) fn is_first_secure(&self) -> Option<bool> {
        self.0.first().map(|route| is_sips(uri_of(route)))
    }

    /// Addresses a request to `target`. A first proxy whose URI has no `lr` is a strict router of RFC 2543: it expects
    /// itself in the Request-URI, and the target at the end of the route.
    pub(crate) fn address<'a>(&'a self, target: &'a str) -> Addressing<'a> {
        let Some((first, rest)) = self.0.split_first() else {
            return Addressing {
                request_uri: as_request_uri(target),
                routes: SmallVec::new(),
                next_hop: target,
            };
        };
        let next_hop = uri_of(first);
        if is_strict(next_hop) {
            let mut routes: SmallVec<[_; 4]> = rest.iter().map(|route| Cow::Borrowed(&**route)).collect();
            routes.push(Cow::Owned(format!("<{target}>")));
            Addressing { request_uri: as_request_uri(next_hop), routes, next_hop }
        } else {
            let routes = self.0.iter().map(|route| Cow::Borrowed(&**route)).collect();
            Addressing { request_uri: as_request_uri(target), routes, next_hop }
        }
    }
}

impl Addressing<'_> {
    /// Whether the request is for a SIPS URI, now or at its next hop (section 8.1.1.8).
    pub(crate) fn is_secure(&self) -> bool {
        is_sips(&self.request_uri) || self.routes.first().is_some_and(|route| is_sips(uri_of(route)))
    }
}

/// A request as its sender means it, if a strict router has sent it to us (section 16.4): it has put us into the
/// Request-URI, and what stood there before at the end of the Route. No number is called "nothing", so a Request-URI
/// without a user can only mean the hop.
pub(crate) fn as_meant(request: &Message) -> Option<Message> {
    if !matches!(request.method(), Method::Invite | Method::Ack | Method::Cancel) {
        return None;
    }
    let last = request.headers(Name::Route).last()?;
    let has_user = |uri: &str| Uri::parse(uri).is_ok_and(|uri| uri.user().is_some());
    let target = uri_of(last);
    let is_meant = has_user(target) && !has_user(request.request_uri());
    is_meant.then(|| request.with_request_uri(target)).flatten()
}

/// The URI of a route. Without its brackets, which it must have, all of it is taken.
fn uri_of(route: &str) -> &str {
    if !route.contains('<') {
        return route.trim();
    }
    NameAddr::parse(route).map_or(route, |addr| addr.uri_raw())
}

/// What cannot be read is passed on as it is, and left to whoever wrote it.
fn is_strict(route: &str) -> bool {
    Uri::parse_leniently(route).is_ok_and(|uri| !uri.params().has("lr"))
}

pub(crate) fn is_sips(uri: &str) -> bool {
    uri.trim_start().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"))
}

/// A URI without what no Request-URI may have (section 19.1.1, table 1): header fields and `method`.
fn as_request_uri(uri: &str) -> Cow<'_, str> {
    let Ok(read) = Uri::parse(uri) else {
        let odd = Uri::parse_leniently(uri).map(|odd| odd.as_request_uri());
        return odd.map_or(Cow::Borrowed(uri), Cow::Owned);
    };
    if read.headers().is_none() && !read.params().has("method") {
        return Cow::Borrowed(uri);
    }
    let params = read.params();
    let rest = read.host_port_params();
    let host_end = rest.find([';', '?']).unwrap_or(rest.len());
    let start = uri.len() - rest.len();
    let mut written = uri[..start + host_end].to_owned();
    for (name, value) in params.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("method")) {
        written.push(';');
        written.push_str(name);
        if let Some(value) = value {
            written.push('=');
            written.push_str(value);
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::lex;

    fn addressed(routes: &[&str], target: &str) -> (String, Vec<String>, String) {
        let routes = RouteSet(routes.iter().map(|&route| route.to_owned()).collect());
        let addressing = routes.address(target);
        let written = addressing.routes.iter().map(|route| route.clone().into_owned()).collect();
        (addressing.request_uri.clone().into_owned(), written, addressing.next_hop.to_owned())
    }

    #[test]
    fn without_a_route_the_target_is_addressed_itself() {
        let (uri, routes, hop) = addressed(&[], "sip:x@192.0.2.9:5080;transport=udp");
        assert_eq!((uri.as_str(), hop.as_str()), ("sip:x@192.0.2.9:5080;transport=udp", uri.as_str()));
        assert!(routes.is_empty());
    }

    #[test]
    fn a_loose_router_stands_in_the_route_and_the_target_in_the_request_uri() {
        let (uri, routes, hop) =
            addressed(&["<sip:p1.example;LR=on>", "\"P 2\" <sip:p2.example>;x=y"], "sip:x@t");
        assert_eq!((uri.as_str(), hop.as_str()), ("sip:x@t", "sip:p1.example;LR=on"));
        assert_eq!(routes, ["<sip:p1.example;LR=on>", "\"P 2\" <sip:p2.example>;x=y"]);
    }

    #[test]
    fn a_strict_router_stands_in_the_request_uri_and_the_target_ends_the_route() {
        let (uri, routes, hop) =
            addressed(&["<sip:p1.example:5070;a=b>", "<sip:p2.example;lr>"], "sip:x@t;user=phone");
        assert_eq!((uri.as_str(), hop.as_str()), ("sip:p1.example:5070;a=b", uri.as_str()));
        assert_eq!(routes, ["<sip:p2.example;lr>", "<sip:x@t;user=phone>"]);
        // Without brackets, as some proxies of that age write it.
        let (uri, routes, _) = addressed(&["sip:p1.example"], "sip:x@t");
        assert_eq!((uri.as_str(), routes), ("sip:p1.example", vec!["<sip:x@t>".to_owned()]));
    }

    #[test]
    fn what_no_request_uri_may_have_is_left_out() {
        let (uri, _, hop) = addressed(&[], "sip:x@t:5070;method=INVITE;ob?Replaces=1");
        assert_eq!(
            (uri.as_str(), hop.as_str()),
            ("sip:x@t:5070;ob", "sip:x@t:5070;method=INVITE;ob?Replaces=1")
        );
        let (uri, routes, _) = addressed(&["<sip:p1;method=BYE;q=1>"], "sip:x@t?a=b");
        assert_eq!((uri.as_str(), routes), ("sip:p1;q=1", vec!["<sip:x@t?a=b>".to_owned()]));
    }

    #[test]
    fn what_a_strict_router_sends_is_read_as_it_was_before() {
        let request = |method: &str, uri: &str, route: &str| {
            let text =
                format!("{method} {uri} SIP/2.0\r\n{route}CSeq: 1 {method}\r\nContent-Length: 2\r\n\r\nhi");
            lex(bytes::Bytes::from(text), crate::message::Transport::Stream).unwrap()
        };
        let route = "Route: <sip:edge;lr>, <sip:+1202@gw.example;user=phone>\r\n";
        for method in ["INVITE", "ACK", "CANCEL"] {
            let meant = as_meant(&request(method, "sip:gw.example;lr", route)).unwrap();
            assert_eq!(meant.request_uri(), "sip:+1202@gw.example;user=phone");
            assert_eq!((meant.method().as_str(), meant.body()), (method, &b"hi"[..]));
        }
        let as_it_is = |method, uri, route| as_meant(&request(method, uri, route)).is_none();
        assert!(as_it_is("INVITE", "sip:5@gw.example", route), "it has a called number");
        assert!(as_it_is("INVITE", "sip:gw.example", "Route: <sip:gw.example;lr>\r\n"));
        assert!(as_it_is("INVITE", "sip:gw.example", ""));
        assert!(as_it_is("REGISTER", "sip:gw.example", route));
    }

    #[test]
    fn a_secure_uri_is_seen_where_it_counts() {
        let secure = |routes: &[&str], target| {
            RouteSet(routes.iter().map(|&route| route.to_owned()).collect()).address(target).is_secure()
        };
        assert!(secure(&[], "SIPS:x@t"));
        assert!(secure(&["<sips:p;lr>"], "sip:x@t"));
        assert!(secure(&["<sips:p>"], "sip:x@t"), "a strict router's URI is the Request-URI");
        assert!(!secure(&["<sip:p;lr>", "<sips:q;lr>"], "sip:x@t"));
    }
}
