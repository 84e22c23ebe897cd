//! Descriptions wait for the relay one after the other, and what depends on each goes on when its reply comes.

use std::net::IpAddr;

use bytes::Bytes;

use super::early::Rack;
use super::exchange::Description;
use super::forward::Pending;
use super::reliable::Said;
use super::{Call, CallTimer, Context, Stage};
use crate::directory::{Peer, SrtpPolicy};
use crate::limits::DESCRIPTIONS_PER_CALL;
use crate::message::Message;
use crate::refusal::Refusal;
use crate::sdp::LocalMedia;
use crate::types::{Leg, Question, SdpRole, SecureMedia, Speaker, Transport};

/// One description on its way through the relay.
#[derive(Debug)]
pub(crate) struct MediaJob {
    /// Whose description it is.
    from: Leg,
    role: SdpRole,
    description: Description,
    secure: SecureMedia,
    then: Then,
}

/// What to do with our own description once the relay has made it.
#[derive(Debug)]
pub(crate) enum Then {
    /// Offer it to the other leg: in the first INVITE, or in a re-INVITE.
    Offer,
    /// Answer the caller ourselves: the echo test.
    Echo,
    /// Make the caller an offer ourselves: the echo test, called without one.
    EchoOffer,
    /// The caller has answered that offer: nobody has to be told.
    EchoAnswer,
    /// Answer it for the other half, which has said `answered` and is not asked again.
    Alone { asker: Alone, answered: Box<Description> },
    /// The caller has answered the offer of the callee's reliable response: pass the answer on in our PRACK.
    Prack,
    /// Pass it on with this provisional status.
    Provisional(u16),
    /// Pass it on with the 2xx.
    Final,
    /// Pass it on with the ACK to the other leg's 2xx, which was held back for it: that made this offer.
    Ack(Box<Description>),
    /// The asker is gone: drop it.
    Nothing,
}

/// How an offer that concerns one half alone was made, and is answered.
#[derive(Debug)]
pub(crate) enum Alone {
    /// In a PRACK or UPDATE: in its 2xx.
    Request(Box<Pending>),
    /// In a reliable response of the callee: in our PRACK.
    Callee(Rack),
    /// It was answered before, and its device gets the call.
    Final,
}

impl Call {
    /// Queues a description; the relay sees them one at a time and in order.
    pub(super) fn describe(
        &mut self,
        ctx: &mut Context<'_>,
        from: Leg,
        role: SdpRole,
        description: Description,
        then: Then,
    ) {
        // What the echo offers is nobody's but ours.
        let is_received = !matches!(then, Then::EchoOffer);
        if let Some(leg) = self.half(from).filter(|_| is_received) {
            leg.sdp.received(&description.sdp, description.audio);
        }
        let secure =
            if role == SdpRole::Offer { self.secure_toward(ctx, from.other()) } else { SecureMedia::Off };
        let job = MediaJob { from, role, description, secure, then };
        // Of these a peer may send as many as it likes; all else comes one after the other.
        let is_repeatable = matches!(job.then, Then::Provisional(_) | Then::Alone { .. });
        if is_repeatable && self.media.len() >= DESCRIPTIONS_PER_CALL {
            return self.media_refused(ctx, &job, Refusal::Overloaded);
        }
        self.media.push_back(job);
        if self.media.len() == 1 {
            self.ask_media(ctx);
        } else {
            // The one before it may never be answered.
            self.start_timer(ctx, CallTimer::Question, ctx.settings.calls.question_patience);
        }
    }

    fn ask_media(&mut self, ctx: &mut Context<'_>) {
        let Some(job) = self.media.front() else { return };
        let (call, remote) = (self.uid, job.description.remote.clone());
        let question = match job.then {
            Then::Echo => Question::EchoMedia { call, remote, speaker: self.speaker(ctx, Leg::Caller) },
            Then::EchoOffer => {
                let secure = self.secure_toward(ctx, Leg::Caller);
                Question::EchoOffer { call, secure, toward: self.signalling(Leg::Caller) }
            }
            Then::EchoAnswer => {
                Question::EchoAnswer { call, remote, speaker: self.speaker(ctx, Leg::Caller) }
            }
            Then::Alone { .. } => {
                let (from, speaker) = (job.from, self.speaker(ctx, job.from));
                Question::AnswerMedia { call, from, remote, speaker }
            }
            _ => Question::Media {
                call,
                from: job.from,
                role: job.role,
                remote,
                secure: job.secure,
                speaker: self.speaker(ctx, job.from),
                toward: self.signalling(job.from.other()),
            },
        };
        self.has_media = true;
        ctx.out.ask(question);
        self.start_timer(ctx, CallTimer::Question, ctx.settings.calls.question_patience);
    }

    /// Where a half's signalling comes from.
    fn signalling(&self, half: Leg) -> IpAddr {
        let callee = (half == Leg::Callee).then_some(self.callee.as_ref()).flatten();
        callee.unwrap_or(&self.caller).dialog.flow.peer.ip()
    }

    /// What is known of a half whose description the relay is to take in.
    fn speaker(&self, ctx: &Context<'_>, half: Leg) -> Speaker {
        let callee = (half == Leg::Callee).then_some(self.callee.as_ref()).flatten();
        let peer = callee.unwrap_or(&self.caller).peer;
        let may_secure = match policy_of(ctx, peer) {
            SrtpPolicy::Off => SecureMedia::Off,
            SrtpPolicy::Auto | SrtpPolicy::Optional => SecureMedia::Optional,
            SrtpPolicy::Required => SecureMedia::Required,
        };
        let networks = match peer {
            Peer::Carrier(id) => ctx.directory.carrier(id).map(|carrier| carrier.media_networks.clone()),
            Peer::Profile(_) => None,
        };
        Speaker { signalling: self.signalling(half), networks: networks.unwrap_or_default(), may_secure }
    }

    /// The relay has replied to the oldest question.
    pub(crate) fn on_media(&mut self, ctx: &mut Context<'_>, result: Result<LocalMedia, Refusal>) {
        let Some(job) = self.media.pop_front() else { return };
        if self.media.is_empty() {
            self.question_answered(ctx);
        } else {
            self.ask_media(ctx);
        }
        if self.stage == Stage::Over {
            return;
        }
        match result {
            Ok(local) => self.go_on(ctx, job, &local),
            Err(why) => self.media_refused(ctx, &job, why),
        }
    }

    fn go_on(&mut self, ctx: &mut Context<'_>, job: MediaJob, local: &LocalMedia) {
        if !job.description.remote.codecs.is_empty() && job.role != SdpRole::Offer {
            self.codecs.clone_from(&job.description.remote.codecs);
        }
        let told = match job.then {
            Then::Echo | Then::EchoOffer | Then::EchoAnswer => Leg::Caller,
            Then::Alone { .. } => job.from,
            _ => job.from.other(),
        };
        let Some(leg) = self.half(told) else { return };
        let (source, audio) = (&job.description.sdp, job.description.audio);
        let before = leg.sdp.last().clone();
        let sdp = match (&job.then, job.role) {
            (Then::EchoAnswer, _) => return self.agree(job.from, job.description, None),
            (Then::Echo, _) => leg.sdp.write_echo_answer(source, audio, local),
            (Then::Alone { answered, .. }, _) => leg.sdp.write_answer(&answered.sdp, answered.audio, local),
            (_, SdpRole::Offer) => leg.sdp.write_offer(source, audio, local),
            (_, SdpRole::EarlyAnswer | SdpRole::Answer) => leg.sdp.write_answer(source, audio, local),
        };
        match job.then {
            Then::Offer => match self.standing_answer(told, &job.description).filter(|_| sdp == before) {
                Some(answer) => self.describe(ctx, told, SdpRole::Answer, answer, Then::Final),
                None => self.on_offer_ready(ctx, sdp),
            },
            Then::Echo => {
                self.agree(job.from, job.description, None);
                self.answer_echo(ctx, &sdp);
            }
            Then::EchoOffer => self.answer_echo(ctx, &sdp),
            Then::EchoAnswer => {}
            Then::Alone { asker, answered } => {
                self.agree_alone(&asker, job.from, job.description, *answered);
                self.answer_alone(ctx, asker, &sdp);
            }
            Then::Prack => self.answer_reliable_offer(ctx, job.description, &sdp),
            Then::Provisional(status) if job.role == SdpRole::Offer => {
                self.send_provisional(ctx, status, Said::Offer(sdp));
            }
            Then::Provisional(status) => self.send_provisional(ctx, status, Said::Answer(sdp)),
            Then::Final => {
                if let Some(offer) = self.exchange.as_ref().and_then(|exchange| exchange.offer.clone()) {
                    self.agree(job.from, job.description, Some(offer));
                }
                self.send_2xx(ctx, Some(&sdp));
            }
            Then::Ack(offer) => {
                self.acknowledge_late(ctx, told, &sdp);
                self.agree(job.from, job.description, Some(*offer));
            }
            Then::Nothing => {}
        }
    }

    fn media_refused(&mut self, ctx: &mut Context<'_>, job: &MediaJob, why: Refusal) {
        match &job.then {
            Then::Nothing => {}
            // Ringing is worth passing on even if its early media cannot be.
            Then::Provisional(status) => self.send_provisional(ctx, *status, Said::Nothing),
            // What was agreed before stands.
            Then::Alone { asker: Alone::Request(request), .. } => self.refuse(ctx, request.asked(), why),
            Then::Alone { asker: Alone::Callee(_), .. } => {}
            // A re-INVITE that cannot be passed on, or whose answer cannot, leaves the call as it was.
            Then::Offer | Then::Echo | Then::EchoOffer | Then::Final if self.answered.is_some() => {
                self.abandon_exchange(ctx, why);
            }
            Then::Offer
            | Then::Echo
            | Then::EchoOffer
            | Then::EchoAnswer
            | Then::Final
            | Then::Ack(_)
            | Then::Prack
            | Then::Alone { asker: Alone::Final, .. } => self.end_refused(ctx, why),
        }
    }

    /// The offer within the call was refused: descriptions and media are as they were, on both sides.
    pub(super) fn roll_back_media(&mut self, ctx: &mut Context<'_>) {
        ctx.out.ask(Question::RollbackMedia { call: self.uid });
        for leg in std::iter::once(&mut self.caller).chain(&mut self.callee) {
            leg.sdp.roll_back();
        }
    }

    /// The legs that asked are gone; replies still to come mean nothing.
    pub(super) fn forget_media_jobs(&mut self) {
        self.media.truncate(1);
        if let Some(job) = self.media.front_mut() {
            job.then = Then::Nothing;
        }
    }

    /// How an offer to this half is to be protected: as its policy says, or as its transport suggests.
    fn secure_toward(&self, ctx: &Context<'_>, half: Leg) -> SecureMedia {
        if let (Leg::Callee, Some(attempt), Stage::Setup) = (half, &self.attempt, self.stage) {
            return attempt.secure;
        }
        let leg = if half == Leg::Caller { Some(&self.caller) } else { self.callee.as_ref() };
        leg.map_or(SecureMedia::Off, |leg| secure_by_policy(ctx, leg.peer, leg.dialog.flow.transport))
    }

    /// The late offer's answer came with the ACK.
    pub(super) fn on_late_answer(&mut self, ctx: &mut Context<'_>, ack: &Message) {
        let Some(exchange) = self.exchange.take() else { return };
        let (half, is_first, is_echo) = (exchange.from, exchange.is_first(), self.is_echo());
        match (Description::of(ack), exchange.passed_offer) {
            (Ok(Some(answer)), _) if is_first && answer.is_off() => self.end_refused(ctx, Refusal::MediaOff),
            (Ok(Some(answer)), _) if is_echo => {
                self.describe(ctx, half, SdpRole::Answer, answer, Then::EchoAnswer);
            }
            (Ok(Some(answer)), Some(offer)) => self.pass_late_answer(ctx, half, answer, offer),
            (Ok(None), offer) if self.has_agreed() => self.keep_session(ctx, half, offer),
            _ => self.end_refused(ctx, Refusal::NoLateAnswer),
        }
    }

    /// A re-INVITE without an offer whose ACK has no answer: a way to refresh the session, of Polycom's among others. It
    /// stays as it was, so the answer that our own ACK must carry (RFC 3261 section 13.2.2.4) is what the asker has said last.
    fn keep_session(&mut self, ctx: &mut Context<'_>, half: Leg, offer: Option<Description>) {
        let Some(offer) = offer else {
            // The echo test's own offer.
            return self.roll_back_media(ctx);
        };
        match self.half(half).and_then(|leg| leg.said.clone()) {
            Some(said) => self.pass_late_answer(ctx, half, said, offer),
            None => self.end_refused(ctx, Refusal::NoLateAnswer),
        }
    }

    fn pass_late_answer(
        &mut self,
        ctx: &mut Context<'_>,
        half: Leg,
        answer: Description,
        offer: Description,
    ) {
        match answer.into_answer_to(&offer) {
            Some(answer) => self.describe(ctx, half, SdpRole::Answer, answer, Then::Ack(Box::new(offer))),
            None => self.end_refused(ctx, Refusal::NoLateAnswer),
        }
    }

    /// What this half has said last, as far as it answers this offer. Where only the asker's end has moved, nothing is new
    /// for this half, and it need not be asked.
    fn standing_answer(&mut self, half: Leg, offer: &Description) -> Option<Description> {
        self.half(half)?.said.clone()?.into_answer_to(offer)
    }

    /// Both halves have agreed, or one with the echo test: what each has said stands, whatever is refused later.
    fn agree(&mut self, half: Leg, said: Description, others: Option<Description>) {
        for (half, said) in [(half, Some(said)), (half.other(), others)] {
            if let (Some(leg), Some(said)) = (self.half(half), said) {
                leg.said = Some(said);
            }
        }
    }

    /// An offer that was answered for the other half: before the call is answered, what a caller has said last waits with its
    /// INVITE, and what a device has said in its early dialog.
    fn agree_alone(&mut self, asker: &Alone, half: Leg, said: Description, others: Description) {
        match (asker, half, &mut self.exchange) {
            (Alone::Final, ..) => self.agree(half, said, Some(others)),
            (Alone::Request(_), Leg::Caller, Some(exchange)) if exchange.agreed.is_some() => {
                exchange.agreed = Some(said);
            }
            (Alone::Request(_), Leg::Caller, Some(exchange)) => exchange.offer = Some(said),
            (Alone::Request(_) | Alone::Callee(_), ..) => {}
        }
    }

    fn has_agreed(&self) -> bool {
        self.caller.said.is_some()
    }

    fn acknowledge_late(&mut self, ctx: &mut Context<'_>, half: Leg, sdp: &Bytes) {
        if let Some(leg) = self.half(half)
            && let Some(response) = leg.their_2xx.take_owed()
        {
            leg.ack(ctx, &response, Some(sdp));
        }
        self.release(ctx);
    }
}

/// Reads the offer that a call begins with. One in which every stream is off is refused before anybody is called.
pub(super) fn read_first_offer(
    ctx: &Context<'_>,
    peer: Peer,
    invite: &Message,
) -> Result<Option<Description>, Refusal> {
    match read_offer(ctx, peer, invite)? {
        Some(offer) if offer.is_off() => Err(Refusal::MediaOff),
        offer => Ok(offer),
    }
}

/// Reads a peer's offer, if it makes one, and holds it against its policy: SRTP where that demands it, and none
/// where it forbids it.
pub(super) fn read_offer(
    ctx: &Context<'_>,
    peer: Peer,
    request: &Message,
) -> Result<Option<Description>, Refusal> {
    let offer = Description::of(request)?;
    let Some(remote) = offer.as_ref().map(|offer| &offer.remote) else { return Ok(None) };
    match policy_of(ctx, peer) {
        SrtpPolicy::Required if !remote.profile.is_secure() && remote.crypto.is_empty() => {
            Err(Refusal::SecureMediaRequired)
        }
        SrtpPolicy::Off if remote.profile.is_secure() => Err(Refusal::SecureMediaForbidden),
        SrtpPolicy::Auto | SrtpPolicy::Off | SrtpPolicy::Optional | SrtpPolicy::Required => Ok(offer),
    }
}

fn policy_of(ctx: &Context<'_>, peer: Peer) -> SrtpPolicy {
    let policy = match peer {
        Peer::Profile(id) => ctx.directory.profile(id).map(|profile| profile.srtp),
        Peer::Carrier(id) => ctx.directory.carrier(id).map(|carrier| carrier.srtp),
    };
    policy.unwrap_or_default()
}

/// What a peer's policy means over this transport. `Auto`: as the peer itself has shown last, or else as its make
/// does over TLS; without TLS, where keys could be read on the way, in clear.
pub(super) fn secure_by_policy(ctx: &Context<'_>, peer: Peer, transport: Transport) -> SecureMedia {
    match policy_of(ctx, peer) {
        SrtpPolicy::Off => SecureMedia::Off,
        SrtpPolicy::Optional => SecureMedia::Optional,
        SrtpPolicy::Required => SecureMedia::Required,
        SrtpPolicy::Auto => supposed(ctx.registrar.media_shown(peer), media_of_make(ctx, peer), transport),
    }
}

/// How media towards a peer is best protected, by what it has shown itself, by what its make does, and by the way.
fn supposed(shown: Option<SecureMedia>, make: Option<SecureMedia>, transport: Transport) -> SecureMedia {
    match (shown, transport) {
        (Some(shown), _) => shown,
        (None, Transport::Tls) => make.unwrap_or(SecureMedia::Required),
        (None, Transport::Udp | Transport::Tcp) => SecureMedia::Off,
    }
}

fn media_of_make(ctx: &Context<'_>, peer: Peer) -> Option<SecureMedia> {
    match peer {
        Peer::Profile(profile) => {
            let binding = ctx.registrar.binding(profile)?;
            ctx.settings.makes.secure(binding.user_agent.as_deref()?)
        }
        Peer::Carrier(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pbx_has_shown_counts_more_than_its_make_and_its_make_more_than_nothing() {
        use SecureMedia::{Off, Optional, Required};
        assert_eq!(supposed(None, None, Transport::Tls), Required);
        assert_eq!(supposed(None, Some(Optional), Transport::Tls), Optional);
        assert_eq!(supposed(Some(Off), Some(Optional), Transport::Tls), Off);
        assert_eq!(supposed(None, Some(Required), Transport::Udp), Off, "keys can be read on the way");
        assert_eq!(supposed(Some(Optional), None, Transport::Udp), Optional);
    }
}
