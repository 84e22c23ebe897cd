//! What both sides of a call or a registration repeat in every request (RFC 3261, section 12).

use sip_core::message::{ContactValue, Message, MessageWriter, Method, Name};

use super::random_token;

/// One side's view.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    pub(super) call_id: String,
    /// Our From in requests, with our tag.
    local: String,
    /// Their To in requests, with their tag as soon as it is known.
    remote: String,
    /// Where requests go: the peer's Contact.
    target: String,
    routes: Vec<String>,
    cseq: u32,
}

impl Dialog {
    /// Begins one: `local` and `remote` are URIs.
    pub(super) fn outgoing(local: &str, remote: &str, host: &str) -> Self {
        Self {
            call_id: format!("{}@{host}", random_token()),
            local: format!("<{local}>;tag={}", random_token()),
            remote: format!("<{remote}>"),
            target: remote.to_owned(),
            routes: Vec::new(),
            cseq: 0,
        }
    }

    /// A registration: not a dialog, but its requests share a Call-ID and count on (RFC 3261 10.2).
    pub(super) fn registration(address: &str, registrar: &str, host: &str) -> Self {
        Self { target: registrar.to_owned(), ..Self::outgoing(address, address, host) }
    }

    /// The called side of an INVITE (RFC 3261 12.1.1); `None` if it lacks what a dialog needs.
    pub(super) fn incoming(invite: &Message, tag: &str) -> Option<Self> {
        Some(Self {
            call_id: invite.call_id()?.to_owned(),
            local: format!("{};tag={tag}", invite.header(Name::To)?),
            remote: invite.header(Name::From)?.to_owned(),
            target: contact(invite)?,
            routes: invite.headers(Name::RecordRoute).map(str::to_owned).collect(),
            cseq: 0,
        })
    }

    /// Takes over what a 2xx says (RFC 3261 12.1.2).
    pub(super) fn confirm(&mut self, response: &Message) {
        if let Some(to) = response.header(Name::To) {
            self.remote = to.to_owned();
        }
        if let Some(target) = contact(response) {
            self.target = target;
        }
        self.routes = response.headers(Name::RecordRoute).map(str::to_owned).collect();
        self.routes.reverse();
    }

    /// The next request, as far as the dialog decides it. `via` ends in its branch.
    pub(super) fn request(&mut self, method: &Method, via: &str) -> MessageWriter {
        self.cseq += 1;
        self.numbered(method, via, self.cseq)
    }

    /// The ACK for the last INVITE's 2xx (RFC 3261 13.2.2.4).
    pub(super) fn ack(&self, via: &str) -> MessageWriter {
        self.numbered(&Method::Ack, via, self.cseq)
    }

    fn numbered(&self, method: &Method, via: &str, cseq: u32) -> MessageWriter {
        let mut writer = MessageWriter::request(method, &self.target);
        writer.header(Name::Via, via);
        for route in &self.routes {
            writer.header(Name::Route, route);
        }
        writer
            .header(Name::MaxForwards, 70)
            .header(Name::From, &self.local)
            .header(Name::To, &self.remote)
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format_args!("{cseq} {method}"));
        writer
    }
}

/// The URI of the first Contact.
fn contact(message: &Message) -> Option<String> {
    message.contacts().find_map(|contact| match contact {
        ContactValue::Addr(address) => Some(address.uri_raw().to_owned()),
        ContactValue::Star => None,
    })
}

/// A request within the transaction of an INVITE we have sent: its CANCEL, or the ACK for its refusal, which are made
/// of the INVITE's own fields (RFC 3261 9.1 and 17.1.1.3). `to` is the answer's.
pub(super) fn beside(invite: &Message, method: &Method, to: Option<&str>) -> MessageWriter {
    let mut writer = MessageWriter::request(method, invite.request_uri());
    writer.header(Name::Via, invite.header(Name::Via).unwrap_or(""));
    writer.copy(invite, Name::Route).header(Name::MaxForwards, 70).copy(invite, Name::From);
    match to {
        Some(to) => writer.header(Name::To, to),
        None => writer.copy(invite, Name::To),
    };
    let number = invite.cseq().map_or(1, |(number, _)| number);
    writer.copy(invite, Name::CallId).header(Name::CSeq, format_args!("{number} {method}"));
    writer
}
