//! The agent's messages and descriptions.

use std::net::SocketAddr;

use bytes::Bytes;
use sip_core::message::{ContactValue, Message, MessageWriter, Method, Name, reason_phrase, response_to};
use sip_core::sdp::{Direction, RemoteMedia, SessionDescription};
use sip_core::types::Transport;

use super::manner::{Change, Proxy};
use super::secure::Secured;
use super::{Agent, Call};

/// Where an agent's RTP ports begin.
pub(super) const FIRST_MEDIA_PORT: u16 = 10_000;

impl Agent {
    pub(super) fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.dice.token())
    }

    /// Where the agent sends and takes RTP in a call.
    pub(crate) fn media_address(&self, call: usize) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.calls[call].media_port)
    }

    pub(super) fn contact(&self) -> String {
        let binding = self.registration.as_ref().map_or("", |registration| registration.contact_params);
        let transport = match self.transport {
            Transport::Udp => String::new(),
            _ if self.scheme == "sips" => String::new(),
            other => format!(";transport={}", other.param()),
        };
        let own = self.inside.unwrap_or(self.address);
        format!("<{}:{}@{own}{transport}{binding}>", self.scheme, self.user)
    }

    pub(super) fn via(&self, branch: &str) -> String {
        format!("SIP/2.0/{} {};branch={branch};rport", self.transport.via_token(), self.address)
    }

    /// Begins a request of a call.
    pub(super) fn request(&self, call: usize, method: &Method, number: u32, branch: &str) -> MessageWriter {
        let call = &self.calls[call];
        let to_tag = call.remote_tag.as_ref().map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let mut writer = MessageWriter::request(method, &call.target);
        writer.header(Name::Via, self.via(branch));
        writer.header(Name::MaxForwards, call.dial.as_ref().map_or(70, |dial| dial.max_forwards));
        writer.header(Name::From, format_args!("{};tag={}", call.local, call.local_tag));
        writer.header(Name::To, format_args!("{}{to_tag}", call.remote));
        writer.header(Name::CallId, &call.call_id);
        writer.header(Name::CSeq, format_args!("{number} {method}"));
        writer.header(Name::Contact, self.contact());
        writer.header(Name::UserAgent, format_args!("{}/1.0", self.name));
        writer
    }

    /// A response of ours; with a tag it has a Contact too.
    pub(super) fn response(
        &self,
        request: &Message,
        status: u16,
        tag: Option<&str>,
        sdp: Option<&str>,
    ) -> Bytes {
        let mut writer = response_to(request, status, reason_phrase(status), tag, self.gateway);
        if let Some(tag) = tag.filter(|_| status > 100) {
            self.write_dialog(&mut writer, request, tag);
        }
        finish(writer, sdp)
    }

    /// A refusal of a call's, with the header fields of its manner.
    pub(super) fn refusal(&self, call: usize, request: &Message, status: u16, tag: &str) -> Bytes {
        let mut writer = response_to(request, status, reason_phrase(status), Some(tag), self.gateway);
        self.write_dialog(&mut writer, request, tag);
        for (name, value) in self.calls[call].manner.iter().flat_map(|manner| &manner.refusal_fields) {
            writer.header_raw(name, value);
        }
        self.give_reasons(&mut writer);
        writer.finish()
    }

    /// What makes a dialog of a response: which device has answered, and the proxy in front of it.
    pub(super) fn write_dialog(&self, writer: &mut MessageWriter, request: &Message, tag: &str) {
        let device = tag.split_once('-').map_or(String::new(), |(_, device)| format!("{device}."));
        let call = self.calls.iter().find(|call| tag.starts_with(&call.local_tag));
        let proxy = call.and_then(|call| call.manner.as_ref()).map_or(Proxy::None, |manner| manner.proxy);
        match proxy {
            Proxy::None => writer.copy(request, Name::RecordRoute),
            Proxy::Loose => {
                writer.header(Name::RecordRoute, format_args!("<sip:{device}proxy@{};lr>", self.address))
            }
            Proxy::Strict => {
                writer.header(Name::RecordRoute, format_args!("<sip:{device}proxy@{}>", self.address))
            }
        };
        writer.header(Name::Contact, self.contact().replacen(':', &format!(":{device}"), 1));
    }

    /// A 2xx of a call's, with what its manner says of sessions.
    pub(super) fn acceptance(&self, call: usize, request: &Message, tag: &str, sdp: Option<&str>) -> Bytes {
        let mut writer = response_to(request, 200, reason_phrase(200), Some(tag), self.gateway);
        self.write_dialog(&mut writer, request, tag);
        let manner = self.calls[call].manner.as_ref();
        if let Some(session) = manner.and_then(|manner| manner.session) {
            writer.header(Name::Supported, "timer");
            writer.header(Name::SessionExpires, session);
        }
        if manner.is_some_and(|manner| manner.update.is_some()) {
            writer.header(Name::Allow, "INVITE, ACK, CANCEL, BYE, UPDATE");
        }
        finish(writer, sdp)
    }

    /// Describes our media as it is, or changed.
    pub(super) fn describe(&mut self, call: usize, change: Option<Change>) -> String {
        let (host, protection) = (self.address.ip(), self.protection);
        let call = &mut self.calls[call];
        if change == Some(Change::Rekey) {
            call.keys_changed += 1;
        }
        if change == Some(Change::Move) {
            call.media_port += 1_000;
        }
        call.sdp_version += 1;
        let secured = call.offer_keys(protection);
        Words::of(change).write(&host.to_string(), call, &secured)
    }

    /// Answers an offer: takes it, and says yes.
    pub(super) fn describe_answer(&mut self, call: usize, offer: &RemoteMedia) -> String {
        let (host, protection) = (self.address.ip().to_string(), self.protection);
        let call = &mut self.calls[call];
        call.sdp_version += 1;
        let secured = call.answer_keys(protection, offer);
        let direction = if offer.on_hold && offer.direction == Direction::SendRecv {
            Direction::RecvOnly
        } else {
            offer.direction.mirrored()
        };
        let media = format!("a={}\r\n", direction.as_str());
        let port = call.manner.as_ref().and_then(|manner| manner.answer_port);
        let words = Words { media, port, ..Words::of(None) };
        words.write(&host, call, &secured)
    }
}

/// What a description says besides the usual.
struct Words {
    is_zero: bool,
    /// The audio's port, if it is another than our own.
    port: Option<&'static str>,
    fax: Option<&'static str>,
    has_audio: bool,
    /// Lines of the session.
    session: String,
    /// Lines of the audio.
    media: String,
}

impl Words {
    fn of(change: Option<Change>) -> Self {
        let (session, media) = match change {
            Some(Change::Hold) => ("", "a=sendonly\r\n"),
            Some(Change::Mute) => ("", "a=inactive\r\n"),
            Some(Change::HoldByRecvOnly) => ("", "a=recvonly\r\n"),
            Some(Change::HoldBySession) => ("a=sendonly\r\n", ""),
            Some(Change::HoldByZeros | Change::HoldByPort | Change::ResumeBySilence) => ("", ""),
            _ => ("", "a=sendrecv\r\n"),
        };
        Self {
            is_zero: change == Some(Change::HoldByZeros),
            port: match change {
                Some(Change::HoldByPort | Change::FaxInstead) => Some("0"),
                Some(Change::BadPort(port)) => Some(port),
                _ => None,
            },
            fax: matches!(change, Some(Change::FaxInstead | Change::FaxAlone | Change::FaxBeside))
                .then_some("m=image 40002 udptl t38\r\na=T38FaxVersion:0\r\n"),
            has_audio: change != Some(Change::FaxAlone),
            session: session.to_owned(),
            media: media.to_owned(),
        }
    }

    fn write(&self, origin: &str, call: &Call, secured: &Secured) -> String {
        let Self { session, media, .. } = self;
        let connection = if self.is_zero { "0.0.0.0" } else { origin };
        let port = self.port.map_or_else(|| call.media_port.to_string(), str::to_owned);
        let (version, profile, crypto) = (call.sdp_version, secured.profile, &secured.line);
        let audio = format!(
            "m=audio {port} {profile} 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
             {crypto}{media}"
        );
        let (audio, fax) = (if self.has_audio { &audio } else { "" }, self.fax.unwrap_or_default());
        format!(
            "v=0\r\no=- 7 {version} IN IP4 {origin}\r\ns=-\r\nc=IN IP4 {connection}\r\nt=0 0\r\n{session}{audio}{fax}"
        )
    }
}

pub(super) fn finish(writer: MessageWriter, sdp: Option<&str>) -> Bytes {
    match sdp {
        Some(sdp) => writer.finish_with_body("application/sdp", sdp.as_bytes()),
        None => writer.finish(),
    }
}

/// The audio that a message describes.
pub(crate) fn media_of(message: &Message) -> Option<RemoteMedia> {
    let sdp = SessionDescription::parse(message.body()).ok()?;
    Some(sdp.audio().expect("the gateway describes audio").1)
}

/// The URI of a message's Contact.
pub(super) fn target_of(message: &Message) -> Option<String> {
    message.contacts().find_map(|contact| match contact {
        ContactValue::Addr(addr) => Some(addr.uri_raw().to_owned()),
        ContactValue::Star => None,
    })
}

impl Call {
    /// Takes over what a message says of the other side's media.
    pub(super) fn hear_media(&mut self, message: &Message) -> Option<RemoteMedia> {
        let media = media_of(message)?;
        self.remote_media = Some(media.clone());
        Some(media)
    }

    /// From now on the agent treats the call so.
    pub(crate) fn learn_manner(&mut self, manner: super::Manner) {
        self.manner = Some(manner);
    }

    /// Takes over the other side's tag and Contact.
    pub(super) fn learn(&mut self, response: &Message) {
        if let Some(tag) = response.to().and_then(|to| to.tag().map(str::to_owned)) {
            self.remote_tag = Some(tag);
        }
        if let Some(target) = target_of(response) {
            self.target = target;
        }
    }
}
