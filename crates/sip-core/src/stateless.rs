//! Answers that keep no state (RFC 3261 section 8.2.7), and how long they may be.
//!
//! The source of a datagram may be forged, and the host that is written there gets the answer. So a stranger is sent no more
//! octets over UDP than it has sent: the words that explain an answer are left out if need be, the names of its fields are
//! written in short, and an answer that would still be longer is not sent. Only a challenge may be longer, since the first
//! REGISTER of many PBXs is leaner than the challenge to it, but no more than [`CHALLENGE_FACTOR`] times its request.

use crate::auth::Staleness;
use crate::authenticator::{self, Party};
use crate::directory::{DigestPolicy, is_user_name};
use crate::gateway::Gateway;
use crate::guard::Pace;
use crate::message::{self, Fault, Message, MessageWriter, Method, Name};
use crate::refusal::Refusal;
use crate::register::Refused;
use crate::respond::{self, ALLOW, Length};
use crate::settings::Settings;
use crate::types::{Flow, Now, Transport};

/// Why a stranger's request is met with silence.
pub(crate) const TOO_FAST: &str = "too many unproved requests from this source";
const TOO_SHORT: &str = "a stranger's request that is shorter than its answer";
const NAMELESS: &str = "a stranger's request without Via, From or Call-ID";

/// How many times as long as its request a challenge may be.
const CHALLENGE_FACTOR: usize = 2;
/// The same for the 200 to a CANCEL. A sender that names an INVITE that waits here is no stranger, and gets one answer.
const CANCEL_FACTOR: usize = 8;

impl Gateway {
    /// Sends an answer without state; `add` writes what is particular of it, at any length. `factor` is how many times
    /// as long as a stranger's request it may be.
    fn answer_unkept(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        (status, factor): (u16, usize),
        add: impl Fn(&Settings, &mut MessageWriter, Length),
    ) {
        let tag = self.authenticator.stateless_tag(request, flow.peer.ip());
        let written = |length| {
            let mut writer = respond::begin(&self.settings, request, (status, length), &tag, flow.peer);
            add(&self.settings, &mut writer, length);
            writer.finish()
        };
        let full = written(Length::Full);
        let room = request.bytes().len() * factor;
        if full.len() <= room || flow.transport != Transport::Udp || !self.is_stranger(now, flow) {
            return self.out.send(flow, full);
        }
        let bare = || message::compact(&written(Length::Bare));
        let mut shorter =
            [Length::Plain, Length::Bare].into_iter().map(&written).chain(std::iter::once_with(bare));
        let fitting = shorter.find(|bytes| bytes.len() <= room);
        match fitting {
            Some(bytes) => self.out.send(flow, bytes),
            None => self.drop_message(flow, TOO_SHORT),
        }
    }

    /// Refuses without state, so that whoever proves nothing costs no memory; a stranger who asks too fast gets
    /// silence.
    pub(crate) fn refuse(&mut self, now: Now, flow: Flow, request: &Message, why: Refusal) {
        if !self.may_speak(now, flow) {
            return self.drop_message(flow, TOO_FAST);
        }
        self.refuse_at_once(now, flow, request, why);
    }

    /// The same for somebody who may be answered.
    pub(crate) fn refuse_at_once(&mut self, now: Now, flow: Flow, request: &Message, why: Refusal) {
        self.answer_unkept(now, flow, request, (why.status(), 1), |settings, writer, length| {
            respond::explain_in(writer, settings, request, why, length);
        });
    }

    /// Says what is wrong with a malformed request. One that lacks what every response repeats is answered to those we
    /// know alone: RFC 4475 section 3.3.1 would have it answered to everybody.
    pub(crate) fn refuse_faulty(&mut self, now: Now, flow: Flow, request: &Message, fault: Fault) {
        let is_nameless =
            [Name::Via, Name::From, Name::CallId].iter().any(|name| request.header(*name).is_none());
        if is_nameless && flow.transport == Transport::Udp && self.is_stranger(now, flow) {
            return self.drop_message(flow, NAMELESS);
        }
        if !self.may_speak(now, flow) {
            return self.drop_message(flow, TOO_FAST);
        }
        let why = Refusal::of(fault);
        self.answer_unkept(now, flow, request, (why.status(), 1), |settings, writer, length| {
            respond::explain_in(writer, settings, request, why, length);
            if length != Length::Bare {
                respond::warn(writer, &settings.domain, fault.sentence());
            }
        });
        match request.method() {
            Method::Invite => self.record_faulty(now, flow, request, why),
            Method::Register => {
                let detail = Some(fault.sentence());
                let bound = self.registrar.profiles_at(flow).next();
                let bound = bound.and_then(|id| self.directory.profile(id)).cloned();
                self.note_refused(
                    now,
                    flow,
                    request,
                    &Refused { detail, ..Refused::of(bound.as_ref(), why) },
                );
            }
            _ => {}
        }
    }

    /// 200 without state: a repeated request gets the same answer again.
    pub(crate) fn confirm(&mut self, now: Now, flow: Flow, request: &Message) {
        self.answer_unkept(now, flow, request, (200, 1), |_, writer, length| {
            if length != Length::Bare {
                writer.header(Name::Allow, ALLOW);
                writer.header(Name::Accept, "application/sdp");
                writer.header(Name::Supported, respond::supported());
            }
        });
    }

    /// 200 to a CANCEL for an INVITE that waits.
    pub(crate) fn confirm_cancel(&mut self, now: Now, flow: Flow, cancel: &Message) {
        self.answer_unkept(now, flow, cancel, (200, CANCEL_FACTOR), |_, _, _| {});
    }

    /// Challenges without state: a request that brings no proof costs no memory. `why` says what is wrong with the
    /// credentials that it brings, if it brings any that are no guess.
    pub(crate) fn challenge(
        &mut self,
        now: Now,
        flow: Flow,
        request: &Message,
        party: Party,
        (staleness, why): (Staleness, Option<Refusal>),
    ) {
        if self.rates.take(now.monotonic, flow.peer.ip()) != Pace::Within {
            return self.drop_message(flow, TOO_FAST);
        }
        let steady = self.steady(now);
        let policy = self.policy_for(now, flow, request);
        let (realm, salt, source) = (&self.settings.realm, self.rng.next_u64(), flow.peer.ip());
        let asked: Vec<_> =
            self.authenticator.challenges(steady, realm, policy, staleness, source, salt).collect();
        let answer = (party.status(), CHALLENGE_FACTOR);
        self.answer_unkept(now, flow, request, answer, |settings, writer, length| {
            for value in &asked {
                writer.header(party.challenge_header(), value);
            }
            if let Some(why) = why.filter(|_| length != Length::Bare) {
                respond::explain_in(writer, settings, request, why, length);
            }
        });
    }

    /// What a request is challenged with: as the user that it names, or whose PBX has registered over the flow, or has
    /// proved its password from there.
    /// Which of the names counts depends on their shape alone, so that the choice tells nobody which users exist.
    fn policy_for(&self, now: Now, flow: Flow, request: &Message) -> DigestPolicy {
        let names: Vec<_> = authenticator::claimed_users(request, &self.settings.realm).collect();
        let user_of = |profile| self.directory.profile(profile).map(|profile| &profile.user);
        let bound = || user_of(self.registrar.profiles_at(flow).next()?);
        let proved = || user_of(self.history.at(now.monotonic, flow).next()?.profile);
        let shaped = names.iter().find(|name| is_user_name(name));
        let named = shaped.or_else(bound).or_else(proved).or_else(|| names.first());
        self.authenticator.policy(&self.directory, named.map_or("", String::as_str))
    }
}
