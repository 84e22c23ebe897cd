//! Challenges of the agent's own, and the proofs that it takes.

use std::time::Instant;

use sip_core::auth::digest::{self, Algorithm, DigestResponse, Staleness};
use sip_core::message::{Message, Method, Name, reason_phrase, response_to};

use super::manner::{Asked, Manner};
use super::{Agent, Call};

const REALM: &str = "carrier";

impl Agent {
    /// From now on a call's requests have to prove this password.
    pub(crate) fn demand(&mut self, call: usize, password: (&'static str, &'static str)) {
        let manner = self.calls[call].manner.as_mut().expect("the agent was taught");
        manner.demands = Some(password);
    }

    /// Whether a request within a call lacks a proof, and was told so. An ACK and a CANCEL cannot be challenged
    /// (RFC 3261 section 22.1).
    pub(super) fn challenges(&mut self, now: Instant, request: &Message) -> bool {
        let tag = request.to().and_then(|to| to.tag().map(str::to_owned));
        if tag.is_none() || matches!(request.method(), Method::Ack | Method::Cancel) {
            return false;
        }
        let is_of_call = |call: &&Call| Some(call.call_id.as_str()) == request.call_id();
        let manner = self.calls.iter().find(is_of_call).and_then(|call| call.manner.clone());
        let Some(manner) = manner.filter(|manner| manner.asked != Asked::FirstInvite) else { return false };
        let Some(staleness) = self.what_is_missing(request, &manner) else { return false };
        self.challenge(now, request, staleness);
        true
    }

    /// Why a request is to be challenged, if it is.
    pub(super) fn what_is_missing(&mut self, request: &Message, manner: &Manner) -> Option<Staleness> {
        let (user, password) = manner.demands?;
        let Some(value) = request.header(Name::ProxyAuthorization) else { return Some(Staleness::Fresh) };
        let proof = DigestResponse::parse(value).expect("the gateway writes proofs");
        let ha1 = digest::ha1(Algorithm::Md5, user, REALM, password);
        let is_right = proof.username == user && digest::verify(&proof, request.method().as_str(), &ha1);
        let is_known = match manner.asked {
            Asked::EveryRequestAnew => self.nonces.remove(proof.nonce),
            Asked::FirstInvite | Asked::EveryRequest => self.nonces.contains(proof.nonce),
        };
        match (is_right, is_known) {
            (true, true) => None,
            (true, false) => Some(Staleness::Stale),
            (false, _) => Some(Staleness::Fresh),
        }
    }

    pub(super) fn challenge(&mut self, now: Instant, request: &Message, staleness: Staleness) {
        let key = self.start_server(request, None);
        let (tag, nonce) = (self.dice.token(), self.dice.token());
        let mut writer = response_to(request, 407, reason_phrase(407), Some(&tag), self.gateway);
        let challenge = digest::challenge_value(REALM, &nonce, Algorithm::Md5, staleness);
        writer.header(Name::ProxyAuthenticate, challenge);
        self.nonces.insert(nonce);
        self.respond(now, &key, 407, writer.finish());
    }
}
