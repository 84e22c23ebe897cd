//! What the agent is asked for: calls, their end, and whether it is there.

use sip_core::message::{Message, MessageWriter, Method, Name, reason_phrase, response_to};
use tokio::time::Instant;

use super::actor::{Actor, Stage};
use super::audio::{Audio, AudioPort};
use super::description;
use super::dialog::Dialog;
use super::resend::Pace;
use super::{CallEvent, Incoming, Side, random_token};

/// What is understood.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS";

impl Actor {
    pub(super) fn serve_request(&mut self, request: &Message) {
        if *request.method() == Method::Ack {
            if let Some(call_id) = request.call_id() {
                self.answers.remove(call_id);
            }
            return;
        }
        if let Some(said) = memory_key(request).and_then(|key| self.memory.recall(&key)) {
            return self.out.push(said);
        }
        let call_id = request.call_id().unwrap_or("");
        match request.method() {
            Method::Invite if is_within_dialog(request) => {
                // The call goes on as agreed (RFC 3261 14.2).
                let status = if self.legs.contains_key(call_id) { 488 } else { 481 };
                self.refuse(request, status);
            }
            Method::Invite => self.ring(request),
            Method::Bye => match self.legs.remove(call_id) {
                Some(leg) => {
                    self.respond(request, 200);
                    leg.ended(Side::Them, Some(request));
                }
                None => self.respond(request, 481),
            },
            Method::Cancel => {
                self.respond(request, if self.legs.contains_key(call_id) { 200 } else { 481 });
                self.refuse_ringing(call_id, 487, Side::Them, Some(request));
            }
            Method::Options => self.respond(request, 200),
            _ => self.respond(request, 405),
        }
    }

    /// Says 180 and sets the time of the answer.
    fn ring(&mut self, invite: &Message) {
        let tag = random_token();
        let (Some(dialog), Ok(port)) =
            (Dialog::incoming(invite, &tag), AudioPort::open(self.link.local.ip()))
        else {
            return self.refuse(invite, 500);
        };
        let stage = Stage::Ringing {
            invite: Box::new(invite.clone()),
            tag: tag.clone(),
            answers_at: Instant::now() + self.character.rings_for,
        };
        let call_id = dialog.call_id.clone();
        let Some((call, leg)) = self.pair(dialog, stage, port) else { return };
        self.legs.insert(call_id, leg);
        let mut writer = self.response(invite, 180, &tag);
        writer.header(Name::Contact, self.contact());
        self.say(invite, writer.finish());
        // Nobody may care for this call; it is answered all the same.
        let _ = self.arrivals.send(Incoming { invite: invite.clone(), call });
    }

    /// Says 200 until the ACK comes (RFC 3261 13.3.1.4), and begins to speak.
    pub(super) fn answer(&mut self, call_id: &str) {
        let Some(leg) = self.legs.get_mut(call_id) else { return };
        let Stage::Ringing { invite, tag, .. } = std::mem::replace(&mut leg.stage, Stage::Talking) else {
            return;
        };
        let Some(port) = leg.port.take() else { return };
        let Some((sdp, agreement)) =
            description::answer(invite.body(), port.address, self.character.security)
        else {
            leg.stage = Stage::Ringing { invite, tag, answers_at: Instant::now() };
            return self.refuse_ringing(call_id, 488, Side::Us, None);
        };
        leg.audio = Some(Audio::start(port, agreement, self.character.tone_hz, leg.heard.clone()));
        leg.tell(CallEvent::Answered);
        let mut writer = self.response(&invite, 200, &tag);
        writer.copy(&invite, Name::RecordRoute);
        writer.header(Name::Contact, self.contact()).header(Name::Allow, ALLOW);
        let octets = writer.finish_with_body("application/sdp", &sdp);
        // Even over TLS: a 2xx is sent again end to end until it is acknowledged.
        self.answers.insert(call_id.to_owned(), octets.clone(), Pace::Capped, ());
        self.say(&invite, octets);
    }

    /// Refuses a call that rings; another one is left alone.
    pub(super) fn refuse_ringing(&mut self, call_id: &str, status: u16, by: Side, request: Option<&Message>) {
        if !self.legs.get(call_id).is_some_and(|leg| matches!(leg.stage, Stage::Ringing { .. })) {
            return;
        }
        let Some(leg) = self.legs.remove(call_id) else { return };
        leg.ended(by, request);
        if let Stage::Ringing { invite, tag, .. } = &leg.stage {
            self.refuse_as(invite, status, tag);
        }
    }

    fn refuse(&mut self, invite: &Message, status: u16) {
        self.refuse_as(invite, status, &random_token());
    }

    /// Refuses an INVITE until its ACK comes (RFC 3261 17.2.1).
    fn refuse_as(&mut self, invite: &Message, status: u16, tag: &str) {
        let octets = self.response(invite, status, tag).finish();
        let pace = self.pace(Pace::Capped);
        self.answers.insert(invite.call_id().unwrap_or("").to_owned(), octets.clone(), pace, ());
        self.say(invite, octets);
    }

    fn respond(&mut self, request: &Message, status: u16) {
        let mut writer = self.response(request, status, &random_token());
        writer.header(Name::Allow, ALLOW);
        self.say(request, writer.finish());
    }

    fn response(&self, request: &Message, status: u16, tag: &str) -> MessageWriter {
        let mut writer = response_to(request, status, reason_phrase(status), Some(tag), self.link.peer);
        writer.header(Name::UserAgent, self.character.product);
        writer
    }

    /// Sends a response and keeps it for requests that come again.
    fn say(&mut self, request: &Message, octets: bytes::Bytes) {
        if let Some(key) = memory_key(request) {
            self.memory.keep(key, octets.clone());
        }
        self.out.push(octets);
    }
}

fn is_within_dialog(request: &Message) -> bool {
    request.to().is_some_and(|to| to.tag().is_some())
}

/// Which transaction a request belongs to (RFC 3261 17.2.3).
fn memory_key(request: &Message) -> Option<String> {
    let branch = request.top_via()?.branch()?.to_owned();
    Some(format!("{} {branch}", request.method()))
}
