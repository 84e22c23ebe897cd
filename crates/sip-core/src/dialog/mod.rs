//! One dialog of ours with a peer (RFC 3261 section 12): what its requests carry and where they go.

mod again;
mod contact;
mod hop;
mod route;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

pub(crate) use self::again::again;
pub(crate) use self::contact::{OurContact, contact_of, flow_to, via};
use self::hop::Hop;
pub(crate) use self::route::as_meant;
use self::route::{Addressing, RouteSet, is_sips};
use crate::message::{Message, MessageWriter, Method, Name, Uri};
use crate::settings::Settings;
use crate::types::Flow;

/// How requests within the dialog find their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextHop {
    /// Back to where the peer's packets come from: right for a PBX, which may stand behind a NAT.
    Flow,
    /// To the route set or the remote target (section 12.2.1.1): right for a carrier's cluster.
    Target,
}

/// Our end of a dialog, and the far end.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    /// From of our requests, tag included.
    local: String,
    /// Where the peer was last heard.
    pub(crate) flow: Flow,
    next_hop: NextHop,
    contact: OurContact,
    /// Whether the request that began the dialog asks for a SIPS Contact (section 12.1.1).
    is_secure: bool,
    max_forwards: u8,
    pub(crate) far: FarEnd,
}

/// The far end of a dialog. An INVITE of ours that forks has several, one for each To tag; what we send to one of
/// them carries nothing of the others.
#[derive(Clone, Debug)]
pub(crate) struct FarEnd {
    tag: Option<String>,
    /// To of our requests, tag included once it is known.
    to: String,
    target: String,
    routes: RouteSet,
    our_cseq: u32,
    their_cseq: Option<u32>,
}

/// What a dialog of ours as the caller begins with.
pub(crate) struct Outset {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    /// From without tag.
    pub(crate) from: String,
    /// To without tag.
    pub(crate) to: String,
    pub(crate) target: String,
    /// The proxies before the target, the nearest first.
    pub(crate) path: Vec<String>,
    pub(crate) flow: Flow,
    pub(crate) next_hop: NextHop,
    pub(crate) contact: OurContact,
    pub(crate) max_forwards: u8,
}

impl FarEnd {
    /// The far end that a response to our INVITE names. What it does not say stays as it was.
    pub(crate) fn learned(&self, response: &Message) -> Self {
        let mut far = self.clone();
        far.learn(response);
        far
    }

    /// Takes over what a response says that creates or confirms the dialog. A 2xx says anew which way requests take
    /// (section 13.2.2.4).
    pub(crate) fn learn(&mut self, response: &Message) {
        if let Some(tag) = response.to().and_then(|to| to.tag().map(str::to_owned)) {
            self.tag = Some(tag);
            response.header(Name::To).unwrap_or_default().clone_into(&mut self.to);
        }
        self.routes = RouteSet::of_response(response);
        self.refresh_target(response);
    }

    /// A target refresh request (section 12.2.2) or its response may move the peer.
    pub(crate) fn refresh_target(&mut self, message: &Message) {
        if let Some(target) = message.target() {
            self.target = target;
        }
    }

    /// Whether a request is the next one in order; remembers its number (section 12.2.2).
    pub(crate) fn accepts_cseq(&mut self, request: &Message) -> bool {
        let Some((number, _)) = request.cseq() else { return false };
        let is_next = self.their_cseq.is_none_or(|last| number >= last);
        if is_next {
            self.their_cseq = Some(number);
        }
        is_next
    }

    /// The number of our next request.
    pub(crate) fn next_cseq(&mut self) -> u32 {
        self.our_cseq += 1;
        self.our_cseq
    }

    pub(crate) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    fn addressing(&self) -> Addressing<'_> {
        self.routes.address(&self.target)
    }

    /// The Request-URI of our next request.
    pub(crate) fn request_uri(&self) -> Cow<'_, str> {
        self.addressing().request_uri
    }
}

impl Dialog {
    /// The dialog that an INVITE to us will create (section 12.1.1).
    pub(crate) fn of_caller(
        invite: &Message,
        flow: Flow,
        next_hop: NextHop,
        local_tag: String,
        contact: OurContact,
        max_forwards: u8,
    ) -> Self {
        let to = invite.to().map(|to| to.untagged().collect::<String>());
        Self {
            call_id: invite.call_id().unwrap_or_default().to_owned(),
            local: format!("{};tag={local_tag}", to.unwrap_or_default()),
            local_tag,
            flow,
            next_hop,
            contact,
            is_secure: asks_for_sips(invite),
            max_forwards,
            far: FarEnd {
                tag: invite.from().and_then(|from| from.tag().map(str::to_owned)),
                to: invite.header(Name::From).unwrap_or_default().to_owned(),
                target: invite.target().unwrap_or_else(|| contact::source_uri(invite.from(), &flow)),
                routes: RouteSet::of_request(invite),
                our_cseq: 0,
                their_cseq: invite.cseq().map(|(number, _)| number),
            },
        }
    }

    /// The dialog that our INVITE will create (section 12.1.2).
    pub(crate) fn of_callee(outset: Outset) -> Self {
        Self {
            call_id: outset.call_id,
            local: format!("{};tag={}", outset.from, outset.local_tag),
            local_tag: outset.local_tag,
            flow: outset.flow,
            next_hop: outset.next_hop,
            contact: outset.contact,
            is_secure: is_sips(&outset.target),
            max_forwards: outset.max_forwards,
            far: FarEnd {
                tag: None,
                to: outset.to,
                target: outset.target,
                routes: RouteSet::of_path(outset.path),
                our_cseq: 0,
                their_cseq: None,
            },
        }
    }

    /// The dialog that a 2xx says there is, when nothing is known of its INVITE any more. Without a usable Contact,
    /// requests name the URI in To; `None` if there is no such URI either.
    pub(crate) fn of_stray_answer(response: &Message, flow: Flow, max_forwards: u8) -> Option<Self> {
        let field = |name| response.header(name).unwrap_or_default().to_owned();
        let mut far = FarEnd {
            tag: None,
            to: field(Name::To),
            target: response.target().or_else(|| response.request_uri_of(&response.to()?))?,
            routes: RouteSet::default(),
            our_cseq: response.cseq()?.0,
            their_cseq: None,
        };
        far.learn(response);
        Some(Self {
            call_id: field(Name::CallId),
            local_tag: response.from()?.tag()?.to_owned(),
            local: field(Name::From),
            flow,
            next_hop: NextHop::Flow,
            contact: OurContact::default(),
            is_secure: false,
            max_forwards,
            far,
        })
    }

    /// The dialog with another far end of the same INVITE (section 13.2.2.4).
    pub(crate) fn with(&self, far: FarEnd) -> Self {
        Self { far, ..self.clone() }
    }

    /// Our Contact, for responses.
    pub(crate) fn contact(&self) -> &str {
        self.contact.shown(self.is_secure || is_sips(&self.far.target))
    }

    /// Whether `tag` is the peer's, as far as that is known.
    pub(crate) fn is_remote_tag(&self, tag: Option<&str>) -> bool {
        self.far.tag.is_none() || self.far.tag() == tag
    }

    /// The peer's tag, once it is known.
    pub(crate) fn remote_tag(&self) -> Option<&str> {
        self.far.tag()
    }

    /// Begins a request within the dialog; the caller adds what is particular and finishes it.
    pub(crate) fn request(&mut self, method: &Method, branch: &str, settings: &Settings) -> MessageWriter {
        let cseq = self.far.next_cseq();
        self.write(&self.far, method, cseq, branch, settings)
    }

    /// Begins a request to another far end of our INVITE than the dialog's own.
    pub(crate) fn request_to(
        &self,
        far: &mut FarEnd,
        method: &Method,
        branch: &str,
        settings: &Settings,
    ) -> MessageWriter {
        let cseq = far.next_cseq();
        self.write(far, method, cseq, branch, settings)
    }

    /// Begins the ACK to the 2xx of the INVITE numbered `cseq` (section 13.2.2.4).
    pub(crate) fn ack(&self, cseq: u32, branch: &str, settings: &Settings) -> MessageWriter {
        self.write(&self.far, &Method::Ack, cseq, branch, settings)
    }

    fn write(
        &self,
        far: &FarEnd,
        method: &Method,
        cseq: u32,
        branch: &str,
        settings: &Settings,
    ) -> MessageWriter {
        let flow = self.flow_out_to(far, settings);
        let addressing = far.addressing();
        let mut writer = MessageWriter::request(method, &addressing.request_uri);
        writer.header(Name::Via, via(settings, &flow, branch));
        writer.header(Name::MaxForwards, self.max_forwards);
        for route in &addressing.routes {
            writer.header(Name::Route, route);
        }
        writer.header(Name::From, &self.local);
        writer.header(Name::To, &far.to);
        writer.header(Name::CallId, &self.call_id);
        writer.header(Name::CSeq, format_args!("{cseq} {}", method.as_str()));
        if !matches!(method, Method::Ack | Method::Bye | Method::Prack) {
            writer.header(Name::Contact, self.contact.shown(self.is_secure || addressing.is_secure()));
        }
        writer.header(Name::UserAgent, &settings.product);
        writer
    }

    /// Where the peer wants to be addressed.
    pub(crate) fn remote_target(&self) -> &str {
        &self.far.target
    }

    /// Whether the peer's Contact names the host that its packets come from.
    pub(crate) fn names_its_host(&self) -> bool {
        Uri::parse(&self.far.target).is_ok_and(|uri| uri.host().ip() == Some(self.flow.peer.ip()))
    }

    /// Where a new connection to the peer is to be opened. The port that it spoke from was chosen for its connection; a
    /// name in the middle of a dialog is not worth a look-up.
    pub(crate) fn listening_at(&self) -> SocketAddr {
        let addressing = self.far.addressing();
        let uri = Uri::parse(addressing.next_hop).ok();
        let is_usable =
            |ip: &IpAddr| self.next_hop == NextHop::Target && ip.is_ipv4() == self.flow.peer.is_ipv4();
        let host = uri.as_ref().and_then(|uri| uri.host().ip()).filter(is_usable);
        let port = uri.as_ref().and_then(Uri::port);
        SocketAddr::new(
            host.unwrap_or_else(|| self.flow.peer.ip()),
            port.unwrap_or_else(|| self.flow.transport.default_port()),
        )
    }

    /// Where the next request goes.
    pub(crate) fn flow_out(&self, settings: &Settings) -> Flow {
        self.flow_out_to(&self.far, settings)
    }

    /// The same for another far end of our INVITE.
    pub(crate) fn flow_out_to(&self, far: &FarEnd, settings: &Settings) -> Flow {
        let hop = match self.next_hop {
            NextHop::Flow => None,
            NextHop::Target => Hop::of(far.addressing().next_hop),
        };
        // Where the next hop names no way of its own the peer is where it was heard.
        hop.and_then(|hop| hop.way_from(settings, self.flow)).unwrap_or(self.flow)
    }
}

/// Whether the INVITE that creates a dialog with us asks for a SIPS Contact (section 12.1.1): by its Request-URI, by
/// the nearest proxy, or without one by its own Contact.
fn asks_for_sips(invite: &Message) -> bool {
    let nearest = RouteSet::of_request(invite).is_first_secure();
    let nearest = nearest.unwrap_or_else(|| invite.target().is_some_and(|contact| is_sips(&contact)));
    nearest || is_sips(invite.request_uri())
}
