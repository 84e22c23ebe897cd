//! Descriptions wait for the relay one after the other, and what depends on each goes on when its reply comes.

use bytes::Bytes;

use super::exchange::Description;
use super::{Call, CallTimer, Context, Stage};
use crate::directory::{Peer, SrtpPolicy};
use crate::message::Message;
use crate::refusal::Refusal;
use crate::sdp::LocalMedia;
use crate::types::{Leg, Question, SdpRole, SecureMedia, Transport};

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
    /// Pass it on with this provisional status.
    Provisional(u16),
    /// Pass it on with the 2xx.
    Final,
    /// Pass it on with the ACK to the other leg's 2xx, which was held back for it.
    Ack,
    /// The asker is gone: drop it.
    Nothing,
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
        if let Some(leg) = self.half(from) {
            leg.sdp.received(&description.sdp, description.audio);
        }
        let secure =
            if role == SdpRole::Offer { self.secure_toward(ctx, from.other()) } else { SecureMedia::Off };
        self.media.push_back(MediaJob { from, role, description, secure, then });
        if self.media.len() == 1 {
            self.ask_media(ctx);
        } else {
            // The one before it may never be answered.
            self.start_timer(ctx, CallTimer::Question, ctx.settings.calls.question_patience);
        }
    }

    fn ask_media(&mut self, ctx: &mut Context<'_>) {
        let Some(job) = self.media.front() else { return };
        let address = |leg: Option<&super::CallLeg>| leg.unwrap_or(&self.caller).dialog.flow.peer.ip();
        let near = address((job.from == Leg::Callee).then_some(self.callee.as_ref()).flatten());
        let toward = address((job.from == Leg::Caller).then_some(self.callee.as_ref()).flatten());
        let remote = job.description.remote.clone();
        let question = match job.then {
            Then::Echo => Question::EchoMedia { call: self.uid, remote, toward: near },
            _ => Question::Media {
                call: self.uid,
                from: job.from,
                role: job.role,
                remote,
                secure: job.secure,
                near,
                toward,
            },
        };
        self.has_media = true;
        ctx.out.ask(question);
        self.start_timer(ctx, CallTimer::Question, ctx.settings.calls.question_patience);
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
        let told = if matches!(job.then, Then::Echo) { Leg::Caller } else { job.from.other() };
        let Some(leg) = self.half(told) else { return };
        let (source, audio) = (&job.description.sdp, job.description.audio);
        let sdp = match (&job.then, job.role) {
            (Then::Echo, _) => leg.sdp.write_echo_answer(source, audio, local),
            (_, SdpRole::Offer) => leg.sdp.write_offer(source, audio, local),
            (_, SdpRole::EarlyAnswer | SdpRole::Answer) => leg.sdp.write_answer(source, audio, local),
        };
        match job.then {
            Then::Offer => self.on_offer_ready(ctx, sdp),
            Then::Echo => self.answer_echo(ctx, &sdp),
            Then::Provisional(status) => self.send_provisional(ctx, status, Some(&sdp)),
            Then::Final => self.send_2xx(ctx, Some(&sdp)),
            Then::Ack => self.acknowledge_late(ctx, told, &sdp),
            Then::Nothing => {}
        }
    }

    fn media_refused(&mut self, ctx: &mut Context<'_>, job: &MediaJob, why: Refusal) {
        match job.then {
            Then::Nothing => {}
            // Ringing is worth passing on even if its early media cannot be.
            Then::Provisional(status) => self.send_provisional(ctx, status, None),
            // A re-INVITE that cannot be passed on leaves the call as it was.
            Then::Offer if self.stage == Stage::Running => {
                ctx.out.ask(Question::RollbackMedia { call: self.uid });
                self.refuse_exchange(ctx, why.status(), |w| crate::respond::explain(w, ctx.settings, why));
            }
            Then::Offer | Then::Echo | Then::Final | Then::Ack => self.end_refused(ctx, why),
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
        match Description::of(ack) {
            Ok(Some(description)) => {
                self.describe(ctx, exchange.from, SdpRole::Answer, description, Then::Ack)
            }
            Ok(None) | Err(_) => self.end_refused(ctx, Refusal::NoMediaInCommon),
        }
    }

    fn acknowledge_late(&mut self, ctx: &mut Context<'_>, half: Leg, sdp: &Bytes) {
        if let Some(leg) = self.half(half)
            && let Some(response) = leg.unacknowledged.take()
        {
            leg.ack(ctx, &response, Some(sdp));
        }
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

/// What a peer's policy means over this transport. `Auto`: SRTP belongs to TLS, where keys cannot be read on the way.
pub(super) fn secure_by_policy(ctx: &Context<'_>, peer: Peer, transport: Transport) -> SecureMedia {
    match policy_of(ctx, peer) {
        SrtpPolicy::Off => SecureMedia::Off,
        SrtpPolicy::Optional => SecureMedia::Optional,
        SrtpPolicy::Required => SecureMedia::Required,
        SrtpPolicy::Auto if transport == Transport::Tls => SecureMedia::Required,
        SrtpPolicy::Auto => SecureMedia::Off,
    }
}
