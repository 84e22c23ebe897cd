//! What the agent asks for: REGISTER, INVITE, BYE, CANCEL, and what becomes of them.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use sip_core::auth::digest::Challenge;
use sip_core::message::{ContactValue, Message, MessageWriter, Method, Name, Transport, lex};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::actor::{Actor, Leg, Stage};
use super::audio::{Audio, AudioPort};
use super::description::Offer;
use super::dialog::{Dialog, beside};
use super::resend::{Pace, Unanswered};
use super::{Call, CallEvent, Refused, Registered, Side, random_token};

/// How long a called party may ring.
const RINGING: Duration = Duration::from_secs(180);
/// What is asked for in REGISTER, seconds; the gateway decides.
const WANTED_S: u32 = 3_600;
/// What is done where it says nothing.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS";

/// Whom a registration is reported to; nobody when it is a refresh.
type Reply = Option<oneshot::Sender<Result<Registered, Refused>>>;

/// What a request is for.
pub(super) enum Purpose {
    Register { reply: Reply, tries: Tries },
    Invite { call_id: String, tries: Tries },
    Bye { call_id: String },
    Cancel,
}

/// Whether a challenge has been answered already: a second one means that the password is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tries {
    First,
    WithProof,
}

/// The field that answers a challenge.
pub(super) struct Proof {
    name: Name,
    value: String,
}

impl Actor {
    pub(super) fn send_register(&mut self, proof: Option<Proof>, reply: Reply) {
        let (via, branch) = self.via();
        let tries = if proof.is_some() { Tries::WithProof } else { Tries::First };
        let mut writer = self.registration.request(&Method::Register, &via);
        writer.header(Name::Contact, self.contact()).header(Name::Expires, WANTED_S);
        let octets = self.finished(writer, proof, None);
        self.ask(branch, octets, Pace::Capped, Purpose::Register { reply, tries });
    }

    /// Sends an INVITE with an offer.
    pub(super) fn place(&mut self, from: Option<&str>, to: &str) -> io::Result<Call> {
        let port = AudioPort::open(self.link.local.ip())?;
        let offer = Offer::new(port.address, self.character.security);
        let user = from.unwrap_or(&self.character.user);
        let local = format!("sip:{user}@{}", self.character.domain);
        // A phone calls at its domain; whoever has no account there calls the gateway's address.
        let host = match self.character.password {
            Some(_) => self.character.domain.clone(),
            None => self.link.peer.to_string(),
        };
        let remote = format!("sip:{to}@{host}{}", self.link.contact_params());
        let dialog = Dialog::outgoing(&local, &remote, &self.host);
        let call_id = dialog.call_id.clone();
        let stage = Stage::Calling { offer, branch: String::new() };
        let (call, leg) = self
            .pair(dialog, stage, port)
            .ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?;
        self.legs.insert(call_id.clone(), leg);
        self.send_invite(&call_id, None);
        Ok(call)
    }

    fn send_invite(&mut self, call_id: &str, proof: Option<Proof>) {
        let (via, new_branch) = self.via();
        let contact = self.contact();
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        let Stage::Calling { offer, branch } = &mut leg.stage else { return };
        branch.clone_from(&new_branch);
        let body = offer.text.clone();
        let mut writer = leg.dialog.request(&Method::Invite, &via);
        writer.header(Name::Contact, contact).header(Name::Allow, ALLOW);
        let tries = if proof.is_some() { Tries::WithProof } else { Tries::First };
        let octets = self.finished(writer, proof, Some(&body));
        let purpose = Purpose::Invite { call_id: call_id.to_owned(), tries };
        self.ask(new_branch, octets, Pace::Doubling, purpose);
    }

    /// BYE, or CANCEL for a call that is not answered.
    pub(super) fn hang_up(&mut self, call_id: &str) {
        let (via, branch) = self.via();
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        match &leg.stage {
            Stage::Calling { branch, .. } => {
                let branch = branch.clone();
                let Some(invite) = self.requests.find(&branch).and_then(|one| read(&one.octets)) else {
                    return;
                };
                let cancel = beside(&invite, &Method::Cancel, None).finish();
                self.ask(format!("{branch} CANCEL"), cancel, Pace::Capped, Purpose::Cancel);
            }
            Stage::Ringing { .. } => self.refuse_ringing(call_id, 486, Side::Us, None),
            Stage::Talking => {
                leg.stage = Stage::Leaving;
                leg.audio = None;
                let writer = leg.dialog.request(&Method::Bye, &via);
                let octets = self.finished(writer, None, None);
                self.ask(branch, octets, Pace::Capped, Purpose::Bye { call_id: call_id.to_owned() });
            }
            Stage::Leaving => {}
        }
    }

    fn finished(&self, mut writer: MessageWriter, proof: Option<Proof>, sdp: Option<&Bytes>) -> Bytes {
        writer.header(Name::UserAgent, self.character.product);
        if let Some(Proof { name, value }) = proof {
            writer.header(name, value);
        }
        match sdp {
            Some(sdp) => writer.finish_with_body("application/sdp", sdp),
            None => writer.finish(),
        }
    }

    fn ask(&mut self, key: String, octets: Bytes, on_udp: Pace, purpose: Purpose) {
        self.out.push(octets.clone());
        let pace = self.pace(on_udp);
        self.requests.insert(key, octets, pace, purpose);
    }

    pub(super) fn take_response(&mut self, response: &Message) {
        let Some((_, method)) = response.cseq() else { return };
        let Some(branch) = response.top_via().and_then(|via| via.branch().map(str::to_owned)) else { return };
        let key = if method == Method::Cancel { format!("{branch} CANCEL") } else { branch };
        if response.status() < 200 {
            if method == Method::Invite {
                self.requests.calm(&key, RINGING);
            }
            return;
        }
        let Some(asked) = self.requests.remove(&key) else {
            // A final answer that comes again has missed its ACK (RFC 3261 13.2.2.4 and 17.1.1.2).
            self.out.extend(self.memory.recall(&key));
            return;
        };
        let Unanswered { octets, purpose, .. } = asked;
        match purpose {
            Purpose::Register { reply, tries } => self.register_answered(response, &octets, reply, tries),
            Purpose::Invite { call_id, .. } if response.status() < 300 => {
                self.invite_accepted(response, key, &call_id);
            }
            Purpose::Invite { call_id, tries } => {
                self.invite_refused(response, key, &octets, &call_id, tries);
            }
            Purpose::Bye { call_id } => self.left(&call_id),
            Purpose::Cancel => {}
        }
    }

    fn register_answered(&mut self, response: &Message, asked: &Bytes, reply: Reply, tries: Tries) {
        if let Some(proof) = self.proof(response, asked, tries) {
            return self.send_register(Some(proof), reply);
        }
        let outcome = match response.status() {
            200..300 => Ok(Registered { expires_s: self.granted_s(response) }),
            _ => Err(Refused::by(response)),
        };
        if let Ok(registered) = &outcome {
            // Two thirds leave time for a few lost datagrams.
            let ahead = Duration::from_secs(u64::from(registered.expires_s) * 2 / 3);
            self.refresh_at = Some(Instant::now() + ahead);
        }
        if let Some(reply) = reply {
            let _ = reply.send(outcome);
        }
    }

    /// The interval of our own Contact, or of the whole answer (RFC 3261 10.2.4).
    fn granted_s(&self, response: &Message) -> u32 {
        let ours = self.contact();
        let of_contact = response.contacts().find_map(|contact| match contact {
            ContactValue::Addr(address) if ours.contains(address.uri_raw()) => {
                address.params().value("expires")?.parse().ok()
            }
            _ => None,
        });
        of_contact.or_else(|| response.expires()).unwrap_or(0)
    }

    fn invite_accepted(&mut self, response: &Message, branch: String, call_id: &str) {
        let (via, _) = self.via();
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        leg.dialog.confirm(response);
        let ack = leg.dialog.ack(&via).finish();
        self.memory.keep(branch, ack.clone());
        self.out.push(ack);
        let Stage::Calling { offer, .. } = std::mem::replace(&mut leg.stage, Stage::Talking) else { return };
        match (offer.agreed(response.body()), leg.port.take()) {
            (Some(agreement), Some(port)) => {
                leg.audio = Some(Audio::start(port, agreement, self.character.tone_hz, leg.heard.clone()));
                leg.tell(CallEvent::Answered);
            }
            _ => {
                leg.tell(CallEvent::Refused(Refused::locally(488, "the answer's media is of no use")));
                self.hang_up(call_id);
            }
        }
    }

    fn invite_refused(
        &mut self,
        response: &Message,
        branch: String,
        asked: &Bytes,
        call_id: &str,
        tries: Tries,
    ) {
        if let Some(invite) = read(asked) {
            let ack = beside(&invite, &Method::Ack, response.header(Name::To)).finish();
            self.memory.keep(branch, ack.clone());
            self.out.push(ack);
        }
        if let Some(proof) = self.proof(response, asked, tries) {
            return self.send_invite(call_id, Some(proof));
        }
        if let Some(leg) = self.legs.remove(call_id) {
            leg.tell(CallEvent::Refused(Refused::by(response)));
        }
    }

    /// The answer to the first challenge that we understand; the gateway offers the strongest first (RFC 8760 2.4).
    fn proof(&self, response: &Message, asked: &Bytes, tries: Tries) -> Option<Proof> {
        let (challenge, answer) = match response.status() {
            401 => (Name::WwwAuthenticate, Name::Authorization),
            407 => (Name::ProxyAuthenticate, Name::ProxyAuthorization),
            _ => return None,
        };
        let password = self.character.password.as_ref()?;
        let challenge = response.headers(challenge).find_map(|value| Challenge::parse(value).ok())?;
        if tries == Tries::WithProof && !challenge.is_stale {
            return None;
        }
        let request = read(asked)?;
        let (method, uri) = (request.method().as_str(), request.request_uri());
        let value = challenge.answer(method, uri, &self.character.user, password, &random_token(), 1);
        Some(Proof { name: answer, value })
    }

    fn left(&mut self, call_id: &str) {
        if let Some(leg) = self.legs.remove(call_id) {
            leg.ended(Side::Us, None);
        }
    }

    /// Nobody has answered: as if 408 had come (RFC 3261 8.1.3.1).
    pub(super) fn unanswered(&mut self, purpose: Purpose) {
        let refused = Refused::locally(408, "nobody answers");
        match purpose {
            Purpose::Register { reply: Some(reply), .. } => drop(reply.send(Err(refused))),
            Purpose::Register { reply: None, .. } | Purpose::Cancel => {}
            Purpose::Invite { call_id, .. } => {
                let leg: Option<Leg> = self.legs.remove(&call_id);
                leg.iter().for_each(|leg| leg.tell(CallEvent::Refused(refused.clone())));
            }
            Purpose::Bye { call_id } => self.left(&call_id),
        }
    }
}

/// Reads a message of our own.
fn read(octets: &Bytes) -> Option<Message> {
    lex(octets.clone(), Transport::Datagram).ok()
}
