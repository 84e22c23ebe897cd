//! Requests that come to the agent: calls taken in the manner it was told, and requests within them.

use std::time::Instant;

use sip_core::auth::digest::Staleness;
use sip_core::message::{Message, Method, Name, reason_phrase, response_to};

use super::manner::{Arrival, Devices, Duty, Early, EarlyMedia, Hurdle, Last, Manner, OnCancel};
use super::secure::Protection;
use super::transactions::{Taken, key_of};
use super::wire::{FIRST_MEDIA_PORT, media_of, target_of};
use super::{Agent, Call, End, State, Step, T1};

impl Agent {
    pub(super) fn on_request(&mut self, now: Instant, request: &Message) {
        if self.absorb(now, request) {
            return;
        }
        self.heard.push(request.clone());
        let to_tag = request.to().and_then(|to| to.tag().map(str::to_owned));
        let call = to_tag.as_deref().and_then(|tag| self.call_of(request.call_id()?, tag));
        if self.challenges(now, request) {
            return;
        }
        match (request.method(), call) {
            (Method::Ack, Some(call)) => self.on_ack(now, call, request),
            (Method::Ack, None) => {}
            (Method::Cancel, _) => self.on_cancelled(now, request),
            (Method::Invite, None) if to_tag.is_none() => self.on_invited(now, request),
            (Method::Invite, Some(call)) if self.calls[call].state == State::Up => {
                self.on_reinvited(now, call, request)
            }
            (Method::Bye, Some(call)) => self.on_bye(now, call, request),
            (Method::Info, Some(call)) if self.calls[call].state != State::Over => {
                // None: it does not answer.
                match self.manner(call).info {
                    Some(status @ ..=299) => self.reply(now, request, status),
                    Some(status) => {
                        let key = self.start_server(request, Some(call));
                        self.refuse(now, call, &key, status);
                    }
                    None => {}
                }
            }
            (Method::Update, Some(call)) if self.calls[call].state == State::Up => {
                self.on_update(now, call, request);
            }
            (Method::Prack, _) => self.on_prack(now, request),
            (Method::Options, _) => self.reply(now, request, 200),
            // The BYE to a second device's answer has that device's tag.
            (Method::Bye, None) if self.is_of_second_device(request) => self.reply(now, request, 200),
            _ => self.reply(now, request, 481),
        }
    }

    pub(super) fn is_of_second_device(&self, request: &Message) -> bool {
        let call_id = request.call_id();
        self.calls.iter().any(|call| Some(call.call_id.as_str()) == call_id && call.manner.is_some())
    }

    /// Answers a request with nothing but a status.
    pub(super) fn reply(&mut self, now: Instant, request: &Message, status: u16) {
        let key = self.start_server(request, None);
        let tag = self.dice.token();
        let bytes = self.response(request, status, Some(&tag), None);
        self.respond(now, &key, status, bytes);
    }

    fn on_invited(&mut self, now: Instant, invite: &Message) {
        let manner = self.dice.pick(&self.manners).clone();
        let is_same =
            |other: &&Message| *other.method() == Method::Invite && other.call_id() == invite.call_id();
        let earlier = self.heard.iter().filter(is_same).count() - 1;
        if let Some(hurdle) = manner.hurdles.get(earlier) {
            return self.send_back(now, invite, *hurdle);
        }
        if let Some(staleness) = self.what_is_missing(invite, &manner) {
            return self.challenge(now, invite, staleness);
        }
        let call = self.calls.len();
        let from = invite.from().expect("the gateway writes From");
        self.calls.push(Call {
            end: End::Callee,
            state: State::Early,
            call_id: invite.call_id().unwrap_or_default().to_owned(),
            local_tag: self.dice.token(),
            remote_tag: from.tag().map(str::to_owned),
            local: invite.header(Name::To).unwrap_or_default().to_owned(),
            remote: format!("<{}>", from.uri_raw()),
            target: target_of(invite).expect("the gateway writes Contact"),
            // Begins elsewhere than the other side's numbers, which are apart from ours.
            cseq: 100,
            statuses: Vec::new(),
            reinvites: Vec::new(),
            others: Vec::new(),
            bye_reason: None,
            refusal_reason: None,
            answered: None,
            ended: None,
            remote_media: None,
            media_port: FIRST_MEDIA_PORT + 2 * (call as u16 % 500),
            sdp_version: 0,
            keys_changed: 0,
            own_crypto: None,
            their_crypto: None,
            second_answer: None,
            unconfirmed: None,
            // Another beginning than the other side's.
            serial: 700,
            is_agreed: false,
            is_excused: false,
            dial: None,
            manner: Some(manner.clone()),
            has_shown_credentials: false,
            is_cancelled: false,
            inviting: None,
            changing: None,
            updating: None,
            retries: 0,
        });
        self.calls[call].hear_media(invite);
        let key = self.start_server(invite, Some(call));
        let is_refused = |offer: sip_core::sdp::RemoteMedia| match self.protection {
            Protection::None => offer.profile.is_secure(),
            Protection::Optional => false,
            Protection::Required => !offer.profile.is_secure() && offer.crypto.is_empty(),
        };
        if media_of(invite).is_some_and(is_refused) {
            return self.refuse(now, call, &key, 488);
        }
        self.follow(now, call, &key, manner);
    }

    /// Sets out what the manner says.
    fn follow(&mut self, now: Instant, call: usize, key: &str, manner: Manner) {
        if manner.trying == Duty::Done
            && let Some(invite) = self.server(key).map(|server| server.request.clone())
        {
            let trying = self.response(&invite, 100, None, None);
            self.respond(now, key, 100, trying);
        }
        for early in manner.early {
            self.plan(now + early.after, Step::Early(call, key.to_owned(), early));
        }
        match manner.last {
            Last::Answer(after) | Last::Refuse(after, _) => {
                self.plan(now + after, Step::Final(call, key.to_owned()));
            }
            Last::Never => {}
        }
    }

    fn send_back(&mut self, now: Instant, invite: &Message, hurdle: Hurdle) {
        let least_s = match hurdle {
            Hurdle::Demand => return self.challenge(now, invite, Staleness::Fresh),
            Hurdle::Stale => return self.challenge(now, invite, Staleness::Stale),
            Hurdle::Unreliable => return self.require_reliable(now, invite),
            Hurdle::TooBrief(least_s) => least_s,
        };
        let key = self.start_server(invite, None);
        let tag = self.dice.token();
        // What was said before the refusal is void with it.
        let early = self.response(invite, 183, Some(&tag), None);
        self.respond(now, &key, 183, early);
        let mut writer = response_to(invite, 422, reason_phrase(422), Some(&tag), self.gateway);
        writer.header(Name::MinSe, least_s);
        self.respond(now, &key, 422, writer.finish());
    }

    fn require_reliable(&mut self, now: Instant, invite: &Message) {
        let key = self.start_server(invite, None);
        let tag = self.dice.token();
        let mut writer = response_to(invite, 421, reason_phrase(421), Some(&tag), self.gateway);
        writer.header(Name::Require, "100rel");
        self.respond(now, &key, 421, writer.finish());
    }

    /// The INVITE behind `key`, while it is unanswered.
    fn open_invite(&mut self, key: &str) -> Option<Message> {
        let server = self.server(key).filter(|server| server.state == Taken::Proceeding)?;
        Some(server.request.clone())
    }

    /// Whether the other side's INVITE within this call is not done with.
    pub(super) fn has_open_invite(&self, call: usize) -> bool {
        self.servers.iter().any(|server| {
            server.call == Some(call) && matches!(server.state, Taken::Proceeding | Taken::Accepted)
        })
    }

    /// Whether a 2xx of ours within this call is not acknowledged yet.
    pub(crate) fn waits_for_ack(&self, call: usize) -> bool {
        self.servers.iter().any(|server| server.call == Some(call) && server.state == Taken::Accepted)
    }

    fn manner(&self, call: usize) -> Manner {
        self.calls[call].manner.clone().unwrap_or_else(Manner::polite)
    }

    /// The tag of whichever device rings.
    pub(super) fn ringing_tag(&self, call: usize) -> String {
        let tag = &self.calls[call].local_tag;
        match self.manner(call).devices {
            Devices::RingsHereAnswersThere => format!("{tag}-rings"),
            Devices::One | Devices::TwoAnswer => tag.clone(),
        }
    }

    pub(super) fn ring(&mut self, now: Instant, call: usize, key: &str, early: Early) {
        let Some(invite) = self.open_invite(key) else { return };
        let tag = self.ringing_tag(call);
        let is_sure = early.arrival == Arrival::Sure;
        let is_described = early.media == EarlyMedia::Described && !self.waits_for_prack(call);
        let sdp = match media_of(&invite) {
            Some(offer) if is_described => Some(self.describe_answer(call, &offer)),
            // An offer of our own has to be answered.
            None if is_described && is_sure && !self.calls[call].is_agreed => Some(self.describe(call, None)),
            _ => None,
        };
        if is_sure {
            return self.ring_surely(now, call, &invite, early, sdp.as_deref());
        }
        let bytes = self.response(&invite, early.status, Some(&tag), sdp.as_deref());
        let bytes = self.mangled(bytes);
        self.send(bytes.clone());
        if let Some(server) = self.server(key) {
            server.remember(bytes);
        }
    }

    pub(super) fn conclude(&mut self, now: Instant, call: usize, key: &str) {
        match self.manner(call).last {
            Last::Answer(_) => self.answer(now, call, key),
            Last::Refuse(_, status) => self.refuse(now, call, key, status),
            Last::Never => {}
        }
    }

    fn refuse(&mut self, now: Instant, call: usize, key: &str, status: u16) {
        let Some(invite) = self.open_invite(key) else { return };
        let tag = self.calls[call].local_tag.clone();
        let bytes = self.refusal(call, &invite, status, &tag);
        self.respond(now, key, status, bytes);
        if self.calls[call].answered.is_none() {
            self.is_over(now, call);
        }
    }

    fn answer(&mut self, now: Instant, call: usize, key: &str) {
        let Some(invite) = self.open_invite(key) else { return };
        let is_first = self.calls[call].answered.is_none();
        if is_first && self.waits_for_prack(call) {
            return self.plan(now + T1, Step::Final(call, key.to_owned()));
        }
        let sdp = match media_of(&invite) {
            Some(offer) => self.describe_answer(call, &offer),
            None => self.describe(call, None),
        };
        let manner = self.manner(call);
        let describes = if is_first { manner.answer_sdp } else { manner.reinvite_sdp } == Duty::Done;
        let is_told = describes && !(is_first && self.calls[call].is_agreed);
        let tag = self.calls[call].local_tag.clone();
        let bytes = self.acceptance(call, &invite, &tag, Some(sdp.as_str()).filter(|_| is_told));
        self.respond(now, key, 200, bytes);
        if self.manner(call).devices == Devices::TwoAnswer {
            self.plan(now + super::manner::ms(30), Step::SecondDevice(call, key.to_owned()));
        }
        if self.calls[call].answered.is_none() {
            self.is_up(now, call);
        }
    }

    pub(super) fn second_device_answers(&mut self, call: usize, key: &str) {
        let Some(invite) = self.server(key).map(|server| server.request.clone()) else { return };
        let tag = format!("{}-second", self.calls[call].local_tag);
        let sdp = self.describe(call, None);
        let bytes = self.acceptance(call, &invite, &tag, Some(&sdp));
        let bytes = self.mangled(bytes);
        self.calls[call].second_answer = Some(bytes.clone());
        self.send(bytes);
    }

    /// The second device's answer comes again.
    pub(super) fn second_answer_again(&mut self, call: usize) {
        let answer = self.calls[call].second_answer.clone();
        self.send(answer.expect("the second device has answered"));
    }

    fn on_ack(&mut self, now: Instant, call: usize, ack: &Message) {
        if self.accept_ack(now, call, ack)
            && let Some(answer) = self.calls[call].hear_media(ack)
        {
            self.calls[call].learn_keys(&answer);
        }
    }

    fn on_cancelled(&mut self, now: Instant, cancel: &Message) {
        let key = key_of(cancel).replace("|CANCEL", "|INVITE");
        let Some((call, is_open)) =
            self.server(&key).map(|server| (server.call, server.state == Taken::Proceeding))
        else {
            return self.reply(now, cancel, 481);
        };
        self.reply(now, cancel, 200);
        let Some(call) = call.filter(|_| is_open) else { return };
        match self.manner(call).on_cancel {
            OnCancel::Obey => self.refuse(now, call, &key, 487),
            OnCancel::AnswerNevertheless if self.calls[call].answered.is_none() => {
                self.answer(now, call, &key)
            }
            OnCancel::AcceptReinvite if self.calls[call].answered.is_some() => self.answer(now, call, &key),
            OnCancel::AnswerNevertheless | OnCancel::AcceptReinvite => self.refuse(now, call, &key, 487),
            OnCancel::Forget => self.is_over(now, call),
        }
    }

    fn on_reinvited(&mut self, now: Instant, call: usize, invite: &Message) {
        let has_offered = self.calls[call].inviting.is_some() || self.calls[call].updating.is_some();
        if has_offered || self.has_open_invite(call) {
            return self.reply(now, invite, 491);
        }
        let key = self.start_server(invite, Some(call));
        if let Some(target) = target_of(invite) {
            self.calls[call].target = target;
        }
        self.calls[call].hear_media(invite);
        let trying = self.response(invite, 100, None, None);
        self.respond(now, &key, 100, trying);
        let after = self.manner(call).reinvite_after;
        self.plan(now + after, Step::AnswerReinvite(call, key));
    }

    pub(super) fn answer_reinvite(&mut self, now: Instant, call: usize, key: &str) {
        match self.manner(call).reinvite {
            200 => self.answer(now, call, key),
            status => self.refuse(now, call, key, status),
        }
    }

    fn on_update(&mut self, now: Instant, call: usize, update: &Message) {
        let key = self.start_server(update, Some(call));
        let status = self.manner(call).update.unwrap_or(405);
        let tag = self.calls[call].local_tag.clone();
        let bytes = match status {
            200 => self.acceptance(call, update, &tag, None),
            _ => self.response(update, status, Some(&tag), None),
        };
        self.respond(now, &key, status, bytes);
    }

    fn on_bye(&mut self, now: Instant, call: usize, bye: &Message) {
        if self.manner(call).answers_bye == Duty::Done {
            self.reply(now, bye, 200);
        }
        let reasons: Vec<_> = bye.headers(Name::Reason).collect();
        self.calls[call].bye_reason = Some(reasons.join(", ")).filter(|reasons| !reasons.is_empty());
        self.is_over(now, call);
        self.stop_repeating(now, call);
        self.refuse_what_is_open(now, call);
    }

    /// The call is over: RFC 3261 section 15.1.2 has pending requests answered 487.
    pub(super) fn refuse_what_is_open(&mut self, now: Instant, call: usize) {
        let open: Vec<_> = self
            .servers
            .iter()
            .filter(|server| server.call == Some(call) && server.state == Taken::Proceeding)
            .map(|server| server.key.clone())
            .collect();
        open.iter().for_each(|key| self.refuse(now, call, key, 487));
    }
}
