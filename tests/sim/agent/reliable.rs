//! Reliable provisional responses (RFC 3262), of the agent's own and of the gateway's.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_core::message::{Message, Method, Name, reason_phrase, response_to};

use super::manner::{Early, Offer};
use super::wire::{finish, media_of};
use super::{Agent, GIVE_UP, State, Step, T1};

/// A provisional response that is repeated until its PRACK.
#[derive(Clone, Debug)]
pub(super) struct Unconfirmed {
    serial: u32,
    bytes: Bytes,
    interval: Duration,
    until: Instant,
    has_sdp: bool,
}

impl Agent {
    /// Rings, and insists on being heard. One response at a time: another is left out.
    pub(super) fn ring_surely(
        &mut self,
        now: Instant,
        call: usize,
        invite: &Message,
        early: Early,
        sdp: Option<&str>,
    ) {
        if self.calls[call].unconfirmed.is_some() {
            return;
        }
        self.calls[call].serial += 1;
        let serial = self.calls[call].serial;
        let tag = self.ringing_tag(call);
        let mut writer =
            response_to(invite, early.status, reason_phrase(early.status), Some(&tag), self.gateway);
        self.write_dialog(&mut writer, invite, &tag);
        writer.header(Name::Require, "100rel");
        writer.header(Name::RSeq, serial);
        let bytes = finish(writer, sdp);
        self.send(bytes.clone());
        let has_sdp = sdp.is_some();
        self.calls[call].unconfirmed =
            Some(Unconfirmed { serial, bytes, interval: T1, until: now + GIVE_UP, has_sdp });
        self.plan(now + T1, Step::RingAgain(call, serial));
    }

    pub(super) fn ring_again(&mut self, now: Instant, call: usize, serial: u32) {
        if self.calls[call].state != State::Early {
            return;
        }
        let Some(unconfirmed) = self.calls[call].unconfirmed.as_mut().filter(|it| it.serial == serial) else {
            return;
        };
        unconfirmed.interval *= 2;
        let (bytes, interval, until) = (unconfirmed.bytes.clone(), unconfirmed.interval, unconfirmed.until);
        if now < until {
            self.send(bytes);
            self.plan(now + interval, Step::RingAgain(call, serial));
        }
    }

    /// Whether a description waits for its PRACK: until then there is no answer (section 3).
    pub(super) fn waits_for_prack(&self, call: usize) -> bool {
        self.calls[call].unconfirmed.as_ref().is_some_and(|unconfirmed| unconfirmed.has_sdp)
    }

    pub(super) fn on_prack(&mut self, now: Instant, prack: &Message) {
        let is_of = |call: &super::Call| Some(call.call_id.as_str()) == prack.call_id();
        let Some(call) = self.calls.iter().position(is_of) else { return self.reply(now, prack, 481) };
        let named = prack.header(Name::RAck).and_then(|value| value.split(' ').next()?.parse().ok());
        let unconfirmed = self.calls[call].unconfirmed.as_ref();
        if unconfirmed.map(|unconfirmed| unconfirmed.serial) != named {
            return self.reply(now, prack, 481);
        }
        self.calls[call].unconfirmed = None;
        if let Some(answer) = self.calls[call].hear_media(prack) {
            self.calls[call].learn_keys(&answer);
            self.calls[call].is_agreed = true;
        }
        self.reply(now, prack, 200);
    }

    /// Confirms a response of the gateway's, with the answer to its offer if it makes one.
    pub(super) fn confirm(&mut self, now: Instant, call: usize, response: &Message) {
        let pracks = self.calls[call].dial.as_ref().is_some_and(|dial| dial.pracks);
        let serial = response.header(Name::RSeq).and_then(|serial| serial.parse().ok());
        let (Some(serial), Some((cseq, _))) = (serial.filter(|_| pracks), response.cseq()) else { return };
        if self.calls[call].serial >= serial {
            return;
        }
        self.calls[call].serial = serial;
        self.calls[call].learn(response);
        let is_late = self.calls[call].dial.as_ref().is_some_and(|dial| dial.offer == Offer::Late);
        let offer = media_of(response).filter(|_| is_late);
        let sdp = offer.map(|offer| self.describe_answer(call, &offer));
        let (branch, number) = (self.branch(), self.next_number(call));
        let mut writer = self.request(call, &Method::Prack, number, &branch);
        writer.header(Name::RAck, format_args!("{serial} {cseq} INVITE"));
        let bytes = finish(writer, sdp.as_deref());
        self.start_client(now, &branch, Method::Prack, bytes, Some(call));
    }
}
