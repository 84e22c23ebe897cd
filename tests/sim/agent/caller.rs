//! Requests of the agent's own, and what their answers lead to.

use std::time::{Duration, Instant};

use sip_core::auth::digest;
use sip_core::message::{Message, MessageWriter, Method, Name};

use super::manner::{Act, Change, Dial, Duty, Offer, s};
use super::transactions::Sent;
use super::wire::{FIRST_MEDIA_PORT, finish};
use super::{Agent, Call, End, Outcome, State, Step};

/// How often a re-INVITE that met another is tried again.
const GLARE_RETRIES: u8 = 3;

impl Agent {
    /// Calls; gives the call's place in `calls`.
    pub(crate) fn dial(&mut self, now: Instant, dial: Dial) -> usize {
        let index = self.calls.len();
        let from = dial.from.as_deref().unwrap_or(&self.user);
        self.calls.push(Call {
            end: End::Caller,
            state: State::Early,
            call_id: format!("{}@{}", self.dice.token(), self.address.ip()),
            local_tag: self.dice.token(),
            remote_tag: None,
            local: if from.contains('<') {
                from.to_owned()
            } else {
                format!("<{}:{from}@{}>", self.scheme, self.address.ip())
            },
            remote: format!("<{}:{}@gw.example>", self.scheme, dial.to),
            target: format!("{}:{}@gw.example", self.scheme, dial.to),
            cseq: 0,
            statuses: Vec::new(),
            reinvites: Vec::new(),
            others: Vec::new(),
            bye_reason: None,
            refusal_reason: None,
            answered: None,
            ended: None,
            remote_media: None,
            media_port: FIRST_MEDIA_PORT + 2 * (index as u16 % 500),
            sdp_version: 0,
            keys_changed: 0,
            own_crypto: None,
            their_crypto: None,
            second_answer: None,
            unconfirmed: None,
            serial: 0,
            is_agreed: false,
            is_excused: false,
            manner: dial.manner.clone(),
            has_shown_credentials: false,
            is_cancelled: false,
            inviting: None,
            changing: None,
            updating: None,
            retries: 0,
            dial: Some(dial.clone()),
        });
        self.invite(now, index, None);
        if let Some(after) = dial.cancel_after {
            self.plan(now + after, Step::Act(index, Act::Cancel));
        }
        index
    }

    /// Sends an INVITE: the first one, with credentials if it was challenged, or a later one.
    fn invite(&mut self, now: Instant, call: usize, credentials: Option<(Name, String)>) {
        let change = self.calls[call].changing;
        let is_late = match (self.calls[call].state, change) {
            (State::Early, _) => self.calls[call].dial.as_ref().is_some_and(|dial| dial.offer == Offer::Late),
            (_, change) => matches!(change, Some(Change::Late | Change::LateUnanswered)),
        };
        let odd = self.calls[call].dial.as_ref().and_then(|dial| dial.change);
        let change = change.or_else(|| odd.filter(|_| self.calls[call].state == State::Early));
        let sdp = (!is_late).then(|| self.describe(call, change));
        let branch = self.branch();
        let number = self.next_number(call);
        let mut writer = self.request(call, &Method::Invite, number, &branch);
        for (name, value) in self.calls[call].dial.iter().flat_map(|dial| &dial.headers) {
            writer.header_raw(name, value);
        }
        if let Some((name, value)) = credentials {
            writer.header(name, value);
        }
        self.calls[call].inviting = Some(branch.clone());
        let call_id = self.calls[call].call_id.clone();
        self.outcomes.insert(branch.clone(), Outcome { call_id, ..Outcome::default() });
        let bytes = finish(writer, sdp.as_deref());
        self.start_client(now, &branch, Method::Invite, bytes, Some(call));
    }

    pub(super) fn next_number(&mut self, call: usize) -> u32 {
        self.calls[call].cseq += 1;
        self.calls[call].cseq
    }

    pub(super) fn cancel(&mut self, now: Instant, call: usize) {
        let Some(branch) = self.calls[call].inviting.clone() else { return };
        self.calls[call].is_cancelled |= self.calls[call].state == State::Early;
        let number = self.calls[call].cseq;
        let mut writer = self.request(call, &Method::Cancel, number, &branch);
        self.give_reasons(&mut writer);
        self.start_client(now, &branch, Method::Cancel, writer.finish(), Some(call));
    }

    pub(super) fn hang_up(&mut self, now: Instant, call: usize) {
        self.is_over(now, call);
        if let Some(outcome) = self.calls[call].inviting.as_ref().and_then(|it| self.outcomes.get_mut(it)) {
            outcome.is_waived = true;
        }
        self.send_within(now, call, Method::Bye, None);
        self.refuse_what_is_open(now, call);
    }

    pub(super) fn give_reasons(&self, writer: &mut MessageWriter) {
        for reason in &self.reasons {
            writer.header(Name::Reason, reason);
        }
    }

    pub(super) fn info(&mut self, now: Instant, call: usize) {
        self.send_within(now, call, Method::Info, Some("Signal=5\r\nDuration=160\r\n"));
    }

    /// Refreshes the session.
    pub(super) fn update(&mut self, now: Instant, call: usize, refresher: &str) {
        let (branch, number) = (self.branch(), self.next_number(call));
        let mut writer = self.request(call, &Method::Update, number, &branch);
        writer.header(Name::Supported, "timer");
        writer.header(Name::SessionExpires, format_args!("90;refresher={refresher}"));
        self.start_client(now, &branch, Method::Update, writer.finish(), Some(call));
    }

    /// Makes an offer by UPDATE (RFC 3311 section 5.1), unless an INVITE is on its way in either direction.
    pub(super) fn offer_by_update(&mut self, now: Instant, call: usize, change: Change) {
        if self.calls[call].inviting.is_none() && !self.has_open_invite(call) {
            self.offer_early(now, call, change);
        }
    }

    /// The same beside the first INVITE.
    pub(super) fn offer_early(&mut self, now: Instant, call: usize, change: Change) {
        let sdp = self.describe(call, Some(change));
        let (branch, number) = (self.branch(), self.next_number(call));
        let writer = self.request(call, &Method::Update, number, &branch);
        self.calls[call].updating = Some((branch.clone(), change));
        self.start_client(now, &branch, Method::Update, finish(writer, Some(&sdp)), Some(call));
    }

    fn on_update_answered(&mut self, now: Instant, call: usize, branch: &str, response: &Message) {
        let is_current = |(current, _): &mut (String, Change)| current == branch;
        let Some((_, change)) = self.calls[call].updating.take_if(is_current) else { return };
        match (response.status(), response.retry_after()) {
            (200, _) => {
                if let Some(answer) = self.calls[call].hear_media(response) {
                    self.calls[call].learn_keys(&answer);
                }
            }
            (491, _) => {
                let wait = self.glare_pause(call);
                self.plan(now + wait, Step::Act(call, Act::Update(change)));
            }
            (500, Some(after_s)) => self.plan(now + s(after_s.into()), Step::Act(call, Act::Update(change))),
            _ => {}
        }
    }

    /// RFC 3261 section 14.1: who owns the Call-ID waits 2.1 to 4 s, the other 0 to 2 s.
    fn glare_pause(&mut self, call: usize) -> Duration {
        let (least, most) = if self.calls[call].end == End::Caller { (2_100, 4_000) } else { (0, 2_000) };
        self.dice.between_ms(least, most)
    }

    /// The ACK to the 2xx of the first INVITE, as if the 2xx had come again.
    pub(super) fn acknowledge_again(&mut self, call: usize) {
        let acks =
            self.clients.iter().filter(|client| client.call == Some(call)).flat_map(|client| &client.acks);
        let acks: Vec<_> = acks.map(|(_, ack)| ack.clone()).collect();
        acks.into_iter().for_each(|ack| self.send(ack));
    }

    fn send_within(&mut self, now: Instant, call: usize, method: Method, body: Option<&str>) {
        let (branch, number) = (self.branch(), self.next_number(call));
        let mut writer = self.request(call, &method, number, &branch);
        if method == Method::Bye {
            self.give_reasons(&mut writer);
        }
        let bytes = match body {
            Some(body) => writer.finish_with_body("application/dtmf-relay", body.as_bytes()),
            None => writer.finish(),
        };
        self.start_client(now, &branch, method, bytes, Some(call));
    }

    /// Sends a re-INVITE, unless one is on its way in either direction (RFC 3261 section 14.1).
    pub(super) fn reinvite(&mut self, now: Instant, call: usize, change: Change) {
        if self.calls[call].inviting.is_some() || self.has_open_invite(call) {
            return;
        }
        self.calls[call].changing = Some(change);
        self.invite(now, call, None);
    }

    pub(super) fn on_response(&mut self, now: Instant, response: &Message) {
        let branch = response.top_via().and_then(|via| via.branch().map(str::to_owned)).unwrap_or_default();
        let method = response.method().clone();
        let Some(client) = self.client(&branch, &method) else {
            if response.status() >= 200 && self.outcomes.contains_key(&branch) {
                // It came, though nobody waits for it any more.
                let tag = response.to().and_then(|to| to.tag().map(str::to_owned)).unwrap_or_default();
                self.note_final(&branch, response.status(), tag);
            }
            self.strays.push(response.clone());
            return self.stray_responses.push(response.status());
        };
        if method == Method::Invite {
            return self.on_invite_response(now, &branch, response);
        }
        if client.state == Sent::Done {
            return;
        }
        if response.status() < 200 {
            return client.proceed();
        }
        client.finish(now);
        let call = client.call;
        self.heard.push(response.clone());
        match call {
            None => self.on_registered(now, response),
            Some(call) => {
                self.calls[call].others.push((method, response.status()));
                self.on_update_answered(now, call, &branch, response);
            }
        }
    }

    fn on_invite_response(&mut self, now: Instant, branch: &str, response: &Message) {
        let status = response.status();
        let tag = response.to().and_then(|to| to.tag().map(str::to_owned)).unwrap_or_default();
        let Some(client) = self.client(branch, &Method::Invite) else { return };
        let Some(call) = client.call else { return };
        if status < 200 {
            if client.state != Sent::Done {
                client.proceed();
                self.heard.push(response.clone());
                self.on_provisional(call, branch, response);
                if self.calls[call].inviting.as_deref() == Some(branch) {
                    self.confirm(now, call, response);
                }
            }
            return;
        }
        if let Some((_, ack)) = client.acks.iter().find(|(known, _)| *known == tag) {
            let ack = ack.clone();
            self.note_final(branch, status, tag);
            return self.send(ack);
        }
        let is_first = client.state != Sent::Done;
        client.finish(now);
        self.note_final(branch, status, tag.clone());
        if !is_first {
            return;
        }
        self.heard.push(response.clone());
        let is_current = self.calls[call].inviting.as_deref() == Some(branch);
        if is_current {
            self.calls[call].inviting = None;
        }
        if status < 300 {
            self.on_accepted(now, call, branch, tag, response);
        } else {
            self.acknowledge_refusal(call, branch, tag, response);
            self.on_refused(now, call, response);
        }
    }

    fn note_final(&mut self, branch: &str, status: u16, tag: String) {
        let outcome = self.outcomes.entry(branch.to_owned()).or_default();
        if !outcome.finals.contains(&(status, tag.clone())) {
            outcome.finals.push((status, tag));
        }
    }

    fn on_provisional(&mut self, call: usize, branch: &str, response: &Message) {
        let call = &mut self.calls[call];
        if call.state != State::Early || call.inviting.as_deref() != Some(branch) {
            return;
        }
        if call.statuses.last() != Some(&response.status()) {
            call.statuses.push(response.status());
        }
        if let Some(answer) = call.hear_media(response) {
            call.learn_keys(&answer);
        }
    }

    fn on_accepted(&mut self, now: Instant, call: usize, branch: &str, tag: String, response: &Message) {
        let is_reinvite = self.calls[call].answered.is_some();
        let was_late = match is_reinvite {
            true => matches!(self.calls[call].changing, Some(Change::Late | Change::LateUnanswered)),
            false => self.calls[call].dial.as_ref().is_some_and(|dial| dial.offer == Offer::Late),
        };
        self.calls[call].learn(response);
        let offer = self.calls[call].hear_media(response);
        if let Some(answer) = offer.as_ref().filter(|_| !was_late) {
            self.calls[call].learn_keys(answer);
        }
        let is_acked =
            self.calls[call].dial.as_ref().is_none_or(|dial| dial.ack == Duty::Done) || is_reinvite;
        if is_acked {
            let is_mute = match is_reinvite {
                true => self.calls[call].changing == Some(Change::LateUnanswered),
                false => {
                    self.calls[call].dial.as_ref().is_some_and(|dial| dial.late_answer == Duty::Neglected)
                }
            };
            let offer = offer.filter(|_| was_late && !is_mute);
            let sdp = offer.map(|offer| self.describe_answer(call, &offer));
            let number = response.cseq().map_or(0, |(number, _)| number);
            let ack_branch = self.branch();
            let ack = finish(self.request(call, &Method::Ack, number, &ack_branch), sdp.as_deref());
            self.send(ack.clone());
            if let Some(client) = self.client(branch, &Method::Invite) {
                client.acks.push((tag, ack));
            }
        }
        if is_reinvite {
            self.calls[call].changing = None;
            self.calls[call].reinvites.push(response.status());
            return;
        }
        self.calls[call].statuses.push(response.status());
        self.is_up(now, call);
        if self.calls[call].is_cancelled {
            // The CANCEL crossed the 200.
            self.hang_up(now, call);
        }
    }

    /// The call is answered; the script goes on from here.
    pub(super) fn is_up(&mut self, now: Instant, call: usize) {
        self.calls[call].answered = Some(now);
        self.calls[call].state = State::Up;
        let of_dial = self.calls[call].dial.iter().flat_map(|dial| dial.then.clone());
        let of_manner = self.calls[call].manner.iter().flat_map(|manner| manner.then.clone());
        let script: Vec<_> = of_dial.chain(of_manner).collect();
        for (after, act) in script {
            self.plan(now + after, Step::Act(call, act));
        }
    }

    /// RFC 3261 section 17.1.1.3: the ACK to a refusal has the INVITE's branch.
    fn acknowledge_refusal(&mut self, call: usize, branch: &str, tag: String, response: &Message) {
        let number = response.cseq().map_or(0, |(number, _)| number);
        let before = self.calls[call].remote_tag.clone();
        self.calls[call].remote_tag = Some(tag.clone()).filter(|tag| !tag.is_empty());
        let ack = self.request(call, &Method::Ack, number, branch).finish();
        self.calls[call].remote_tag = before;
        self.send(ack.clone());
        if let Some(client) = self.client(branch, &Method::Invite) {
            client.acks.push((tag, ack));
        }
    }

    fn on_refused(&mut self, now: Instant, call: usize, response: &Message) {
        let status = response.status();
        if self.calls[call].answered.is_some() {
            return self.on_reinvite_refused(now, call, status);
        }
        let may_prove = matches!(status, 401 | 407) && !self.calls[call].has_shown_credentials;
        if may_prove && self.password.is_some() && !self.calls[call].is_cancelled {
            self.calls[call].has_shown_credentials = true;
            let (asks, answers) = match status {
                401 => (Name::WwwAuthenticate, Name::Authorization),
                _ => (Name::ProxyAuthenticate, Name::ProxyAuthorization),
            };
            let target = self.calls[call].target.clone();
            let proof = self.prove(response, asks, "INVITE", &target);
            return self.invite(now, call, proof.map(|proof| (answers, proof)));
        }
        self.calls[call].statuses.push(status);
        self.calls[call].refusal_reason = response.header(Name::Reason).map(str::to_owned);
        self.is_over(now, call);
    }

    fn on_reinvite_refused(&mut self, now: Instant, call: usize, status: u16) {
        self.calls[call].reinvites.push(status);
        let change = self.calls[call].changing.take();
        let is_up = self.calls[call].state == State::Up;
        match (status, change) {
            (491, Some(change)) if is_up && self.calls[call].retries < GLARE_RETRIES => {
                self.calls[call].retries += 1;
                let wait = self.glare_pause(call);
                self.plan(now + wait, Step::Act(call, Act::Reinvite(change)));
            }
            (408 | 481, _) if is_up => self.hang_up(now, call),
            _ => {}
        }
    }

    pub(super) fn prove(
        &mut self,
        response: &Message,
        asks: Name,
        method: &str,
        uri: &str,
    ) -> Option<String> {
        let challenge = response.header(asks)?;
        let cnonce = self.dice.token();
        let password = self.password.as_deref().unwrap_or_default();
        digest::answer_challenge(challenge, method, uri, &self.user, password, &cnonce, 1).ok()
    }

    /// Asks whether the gateway lives.
    pub(crate) fn ask_options(&mut self, now: Instant) {
        let branch = self.branch();
        let mut writer = MessageWriter::request(&Method::Options, "sip:gw.example");
        writer.header(Name::Via, self.via(&branch));
        writer.header(Name::MaxForwards, 70);
        writer.header(Name::From, format_args!("<sip:{}@gw.example>;tag={}", self.user, self.dice.token()));
        writer.header(Name::To, "<sip:gw.example>");
        writer.header(Name::CallId, format_args!("{}@{}", self.dice.token(), self.address.ip()));
        writer.header(Name::CSeq, "1 OPTIONS");
        // As PBXs write it: a stranger whose request is shorter than an answer gets none.
        writer.header(Name::Contact, format_args!("<sip:{}@{}>", self.user, self.address));
        writer.header(Name::UserAgent, "Asterisk PBX 20.5.0");
        writer.header(Name::Allow, "INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, NOTIFY");
        self.start_client(now, &branch, Method::Options, writer.finish(), None);
    }
}
