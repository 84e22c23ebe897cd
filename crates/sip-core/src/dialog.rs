//! One dialog of ours with a peer (RFC 3261 section 12): what its requests carry and where they go.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::message::{Message, MessageWriter, Method, Name, Uri};
use crate::settings::{Listener, Settings};
use crate::types::{Flow, Transport};

/// How requests within the dialog find their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextHop {
    /// Back to where the peer's packets come from: right for a PBX, which may stand behind a NAT.
    Flow,
    /// To the route set or the remote target (section 12.2.1.1): right for a carrier's cluster.
    Target,
}

/// Both ends' identifiers and the state that orders and addresses requests.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: Option<String>,
    /// From of our requests, tag included.
    local: String,
    /// To of our requests, tag included once it is known.
    remote: String,
    pub(crate) local_cseq: u32,
    remote_cseq: Option<u32>,
    remote_target: String,
    route_set: Vec<String>,
    /// Where the peer was last heard.
    pub(crate) flow: Flow,
    next_hop: NextHop,
    /// Our Contact, in angle brackets.
    contact: String,
    max_forwards: u8,
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
    pub(crate) flow: Flow,
    pub(crate) next_hop: NextHop,
    pub(crate) contact: String,
    pub(crate) max_forwards: u8,
}

impl Dialog {
    /// The dialog that an INVITE to us will create (section 12.1.1).
    pub(crate) fn of_caller(
        invite: &Message,
        flow: Flow,
        next_hop: NextHop,
        local_tag: String,
        contact: String,
        max_forwards: u8,
    ) -> Self {
        let to = invite.header(Name::To).unwrap_or_default();
        Self {
            call_id: invite.call_id().unwrap_or_default().to_owned(),
            local: format!("{to};tag={local_tag}"),
            local_tag,
            remote_tag: invite.from().and_then(|from| from.tag().map(str::to_owned)),
            remote: invite.header(Name::From).unwrap_or_default().to_owned(),
            local_cseq: 0,
            remote_cseq: invite.cseq().map(|(number, _)| number),
            remote_target: contact_uri(invite).unwrap_or_default(),
            route_set: invite.headers(Name::RecordRoute).map(str::to_owned).collect(),
            flow,
            next_hop,
            contact,
            max_forwards,
        }
    }

    /// The dialog that our INVITE will create (section 12.1.2).
    pub(crate) fn of_callee(outset: Outset) -> Self {
        let local = format!("{};tag={}", outset.from, outset.local_tag);
        Self {
            call_id: outset.call_id,
            local_tag: outset.local_tag,
            remote_tag: None,
            local,
            remote: outset.to,
            local_cseq: 0,
            remote_cseq: None,
            remote_target: outset.target,
            route_set: Vec::new(),
            flow: outset.flow,
            next_hop: outset.next_hop,
            contact: outset.contact,
            max_forwards: outset.max_forwards,
        }
    }

    /// Our Contact, for responses.
    pub(crate) fn contact(&self) -> &str {
        &self.contact
    }

    /// Takes over what a response that creates or confirms the dialog says of the peer.
    pub(crate) fn learn(&mut self, response: &Message) {
        if let Some(to) = response.to()
            && let Some(tag) = to.tag()
        {
            self.remote_tag = Some(tag.to_owned());
            self.remote = response.header(Name::To).unwrap_or_default().to_owned();
        }
        if let Some(target) = contact_uri(response) {
            self.remote_target = target;
        }
        // Section 12.1.2: the route set is the Record-Route of the response in reverse.
        let mut routes: Vec<_> = response.headers(Name::RecordRoute).map(str::to_owned).collect();
        if !routes.is_empty() {
            routes.reverse();
            self.route_set = routes;
        }
    }

    /// The INVITE that would have created the dialog was refused and goes out once more: nothing that was answered to
    /// it holds (section 8.1.3.5).
    pub(crate) fn start_over(&mut self, to: &str, target: &str) {
        self.remote_tag = None;
        to.clone_into(&mut self.remote);
        target.clone_into(&mut self.remote_target);
        self.route_set.clear();
    }

    /// A target refresh request (section 12.2.2) or its response may move the peer.
    pub(crate) fn refresh_target(&mut self, message: &Message) {
        if let Some(target) = contact_uri(message) {
            self.remote_target = target;
        }
    }

    /// Whether a request is the next one in order; remembers its number (section 12.2.2).
    pub(crate) fn accepts_cseq(&mut self, request: &Message) -> bool {
        let Some((number, _)) = request.cseq() else { return false };
        let is_next = self.remote_cseq.is_none_or(|last| number > last);
        if is_next {
            self.remote_cseq = Some(number);
        }
        is_next
    }

    /// Whether `tag` is the peer's, as far as that is known.
    pub(crate) fn is_remote_tag(&self, tag: Option<&str>) -> bool {
        self.remote_tag.is_none() || self.remote_tag.as_deref() == tag
    }

    /// Begins a request within the dialog; the caller adds what is particular and finishes it.
    pub(crate) fn request(&mut self, method: &Method, branch: &str, settings: &Settings) -> MessageWriter {
        self.local_cseq += 1;
        self.write(method, self.local_cseq, branch, settings)
    }

    /// Begins the ACK to the 2xx of the INVITE numbered `cseq` (section 13.2.2.4).
    pub(crate) fn ack(&self, cseq: u32, branch: &str, settings: &Settings) -> MessageWriter {
        self.write(&Method::Ack, cseq, branch, settings)
    }

    fn write(&self, method: &Method, cseq: u32, branch: &str, settings: &Settings) -> MessageWriter {
        let flow = self.flow_out();
        let mut writer = MessageWriter::request(method, &self.remote_target);
        writer.header(Name::Via, via(settings, &flow, branch));
        writer.header(Name::MaxForwards, self.max_forwards);
        for route in &self.route_set {
            writer.header(Name::Route, route);
        }
        writer.header(Name::From, &self.local);
        writer.header(Name::To, &self.remote);
        writer.header(Name::CallId, &self.call_id);
        writer.header(Name::CSeq, format_args!("{cseq} {}", method.as_str()));
        if *method != Method::Ack && *method != Method::Bye {
            writer.header(Name::Contact, &self.contact);
        }
        writer.header(Name::UserAgent, &settings.product);
        writer
    }

    /// Where the peer wants to be addressed.
    pub(crate) fn remote_target(&self) -> &str {
        &self.remote_target
    }

    /// The dialog of another answer to the same INVITE (section 13.2.2.4).
    pub(crate) fn fork(&self, response: &Message) -> Self {
        let mut fork = self.clone();
        fork.learn(response);
        fork
    }

    /// The dialog that a 2xx says there is, when nothing is known of its INVITE any more; `None` if it names no Contact.
    pub(crate) fn of_stray_answer(response: &Message, flow: Flow, max_forwards: u8) -> Option<Self> {
        let field = |name| response.header(name).unwrap_or_default().to_owned();
        let mut dialog = Self {
            call_id: field(Name::CallId),
            local_tag: response.from()?.tag()?.to_owned(),
            remote_tag: None,
            local: field(Name::From),
            remote: field(Name::To),
            local_cseq: response.cseq()?.0,
            remote_cseq: None,
            remote_target: contact_uri(response)?,
            route_set: Vec::new(),
            flow,
            next_hop: NextHop::Flow,
            contact: String::new(),
            max_forwards,
        };
        dialog.learn(response);
        Some(dialog)
    }

    /// The URI whose host the next request goes to (section 12.2.1.1).
    fn next_uri(&self) -> &str {
        let first = self.route_set.first().map(|route| route.trim_start_matches('<'));
        first.map_or(self.remote_target.as_str(), |r| r.split('>').next().unwrap_or_default())
    }

    /// Whether the peer's Contact names the host that its packets come from.
    pub(crate) fn names_its_host(&self) -> bool {
        Uri::parse(&self.remote_target).is_ok_and(|uri| uri.host().ip() == Some(self.flow.peer.ip()))
    }

    /// Where a new connection to the peer is to be opened. The port that it spoke from was chosen for its connection; a
    /// name in the middle of a dialog is not worth a look-up.
    pub(crate) fn listening_at(&self) -> SocketAddr {
        let uri = Uri::parse(self.next_uri()).ok();
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
    pub(crate) fn flow_out(&self) -> Flow {
        if self.next_hop == NextHop::Flow || self.flow.transport.is_reliable() {
            return self.flow;
        }
        match address_of(self.next_uri()) {
            Some(peer) if peer.is_ipv4() == self.flow.peer.is_ipv4() => Flow { peer, ..self.flow },
            // A name in the middle of a dialog is not worth a look-up: the peer is where it was heard.
            _ => self.flow,
        }
    }
}

/// The address in a URI, if its host is one.
fn address_of(uri: &str) -> Option<SocketAddr> {
    let uri = Uri::parse(uri).ok()?;
    Some(SocketAddr::new(uri.host().ip()?, uri.port().unwrap_or(5060)))
}

/// The URI of the first Contact.
pub(crate) fn contact_uri(message: &Message) -> Option<String> {
    message.contacts().find_map(|contact| match contact {
        crate::message::ContactValue::Addr(addr) => Some(addr.uri_raw().to_owned()),
        crate::message::ContactValue::Star => None,
    })
}

/// The Via of a request of ours over `flow`.
pub(crate) fn via(settings: &Settings, flow: &Flow, branch: &str) -> String {
    let sent_by = settings
        .listener(flow.transport, flow.local)
        .map_or_else(|| flow.local.to_string(), Listener::host_port);
    // rport (RFC 3581) even though we know our port: some peers answer it with `received`, which helps in traces.
    format!("SIP/2.0/{} {sent_by};branch={branch};rport", flow.transport.via_token())
}

/// Our Contact for requests and responses over `flow`, with `user` as its user part.
pub(crate) fn contact_of(settings: &Settings, flow: &Flow, user: &str) -> String {
    let host = settings
        .listener(flow.transport, flow.local)
        .map_or_else(|| flow.local.to_string(), Listener::host_port);
    let at = if user.is_empty() { "" } else { "@" };
    format!("<sip:{user}{at}{host};transport={}>", flow.transport.param())
}

impl Listener {
    /// `host:port` as advertised, IPv6 in brackets.
    pub fn host_port(&self) -> String {
        SocketAddr::new(self.advertised_host, self.advertised_port).to_string()
    }
}

/// A flow to a peer that has no connection yet: from the listener of that transport.
pub(crate) fn flow_to(settings: &Settings, transport: Transport, peer: SocketAddr) -> Option<Flow> {
    let listener = settings.listener_toward(transport, peer)?;
    Some(Flow { transport, local: listener.local, peer, connection: None })
}

/// What was sent to acknowledge a 2xx, kept for its retransmissions.
#[derive(Clone, Debug)]
pub(crate) struct SentAck {
    pub(crate) cseq: u32,
    pub(crate) bytes: Bytes,
    pub(crate) flow: Flow,
}
