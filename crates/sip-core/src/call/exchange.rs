//! An INVITE that is being passed from one leg to the other, the first one or a later one, until its ACK.

use std::net::SocketAddr;

use bytes::Bytes;

use super::acks::{AfterAck, AwaitsAck, Repetition};
use super::early::Rack;
use super::leg::{Phase, finish};
use super::{Call, CallTimer, Context};
use crate::message::{Message, MessageWriter, Method, Name};
use crate::refusal::Refusal;
use crate::respond::{self, ALLOW};
use crate::sdp::{BodyFault, RemoteMedia, SdpError, SessionDescription, sdp_body};
use crate::transaction::{ClientKey, ServerKey};
use crate::types::Leg;

/// A description as a message carried it, and the audio in it that will be relayed.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) sdp: SessionDescription,
    pub(crate) audio: usize,
    pub(crate) remote: RemoteMedia,
}

/// What the device that answers has said of its media before.
#[derive(Debug)]
pub(crate) enum Earlier {
    Nothing,
    /// A description that it may still change.
    Heard(Description),
    /// One that was confirmed, and holds.
    Agreed(Description),
}

/// What the echo test offers where it is called without an offer; it understands whatever is chosen. Address and port
/// are the relay's to say.
const ECHO_OFFER: &[u8] = b"v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 9 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";

impl Description {
    /// Whether an answer to another offer is one to this offer as well: it has every codec that was chosen.
    pub(crate) fn agrees_with(&self, offer: &Self) -> bool {
        self.remote.codecs.iter().all(|codec| offer.remote.codecs.contains(codec))
            && self.remote.profile.is_secure() == offer.remote.profile.is_secure()
    }

    /// This description as the answer to an offer (RFC 3264 section 6.1): without the formats that were never offered,
    /// which nobody could play; `None` if nothing is left to hear.
    pub(crate) fn into_answer_to(mut self, offer: &Self) -> Option<Self> {
        if self.is_off() {
            return Some(self);
        }
        let is_offered = |format: &str, codec: &str| {
            offer.remote.codecs.iter().any(|offered| offered.eq_ignore_ascii_case(codec))
                || codec == format && offer.sdp.has_format(offer.audio, format)
        };
        self.sdp.keep_formats(self.audio, is_offered);
        let (audio, remote) = self.sdp.audio().ok().filter(|(audio, _)| *audio == self.audio)?;
        let is_sound = |codec: &String| !is_signal(codec);
        let has_sound = remote.codecs.iter().any(is_sound) || !offer.remote.codecs.iter().any(is_sound);
        has_sound.then_some(Self { sdp: self.sdp, audio, remote })
    }

    /// This offer with one codec, and what belongs to it: the one that every user agent has, or else the one that is
    /// preferred. `None` if it offers nothing to hear.
    pub(crate) fn with_one_codec(mut self) -> Option<Self> {
        let codecs = &self.remote.codecs;
        let is_sound = |codec: &&String| !is_signal(codec);
        let is_common =
            |codec: &&String| COMMON_CODECS.iter().any(|common| common.eq_ignore_ascii_case(codec));
        let chosen = codecs.iter().find(is_common).or_else(|| codecs.iter().find(is_sound))?.clone();
        self.sdp.keep_formats(self.audio, |_, codec| codec == chosen || is_signal(codec));
        let (audio, remote) = self.sdp.audio().ok().filter(|(audio, _)| *audio == self.audio)?;
        (!self.is_off()).then_some(Self { sdp: self.sdp, audio, remote })
    }

    /// The echo test's own offer.
    pub(crate) fn of_echo() -> Option<Self> {
        let sdp = SessionDescription::parse(ECHO_OFFER).ok()?;
        let (audio, remote) = sdp.audio().ok()?;
        Some(Self { sdp, audio, remote })
    }

    /// Reads a message's description: `Ok(None)` if it has none, `Err` if we can make nothing of it.
    pub(crate) fn of(message: &Message) -> Result<Option<Self>, Refusal> {
        let body = sdp_body(message).map_err(|fault| match fault {
            BodyFault::Encoding => Refusal::EncodingNotUnderstood,
            BodyFault::Type => Refusal::BodyNotUnderstood,
        })?;
        let Some(body) = body.filter(|body| !body.is_empty()) else { return Ok(None) };
        let sdp = SessionDescription::parse(&body).map_err(refusal)?;
        let (audio, remote) = sdp.audio().map_err(refusal)?;
        Ok(Some(Self { sdp, audio, remote }))
    }

    /// Whether no media can flow at all, not even later without another offer: every stream has port 0. In a running
    /// call that is a hold; a call must not begin like this (RFC 3264 5.1, 6).
    pub(crate) fn is_off(&self) -> bool {
        self.remote.rtp_port == 0
    }
}

fn refusal(error: SdpError) -> Refusal {
    match error {
        SdpError::BadPort => Refusal::DescriptionWithoutPort,
        SdpError::NoAudio => Refusal::NoMediaInCommon,
        SdpError::NoConnection => Refusal::DescriptionWithoutAddress,
        SdpError::NotUnicast => Refusal::DescriptionNotUnicast,
        SdpError::NotSdp => Refusal::DescriptionUnreadable,
        SdpError::TooLong => Refusal::DescriptionTooLong,
    }
}

/// G.711, which every telephone has (RFC 3551 section 6; RFC 7874 section 3 for browsers).
const COMMON_CODECS: [&str; 2] = ["PCMA", "PCMU"];

/// Formats that carry no sound of their own.
fn is_signal(codec: &str) -> bool {
    ["telephone-event", "CN"].iter().any(|signal| signal.eq_ignore_ascii_case(codec))
}

/// An INVITE on its way from one leg to the other.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The leg it came from.
    pub(crate) from: Leg,
    pub(crate) server: ServerKey,
    pub(crate) request: Message,
    pub(super) received: SocketAddr,
    /// What it offers; `None` for a late offer, which the other leg's 2xx will make.
    pub(crate) offer: Option<Description>,
    pub(crate) client: Option<ClientKey>,
    /// The answer that came with a provisional response; it holds for a 2xx that brings none.
    pub(crate) early_answer: Option<Description>,
    /// The late offer that was passed on.
    pub(crate) passed_offer: Option<Description>,
    /// The PRACK that its answer is owed in, if a provisional response made it.
    pub(crate) owed_prack: Option<Rack>,
    /// That answer, once it was passed on.
    pub(crate) agreed: Option<Description>,
    /// The 2xx has been passed on; only the ACK is outstanding.
    pub(crate) is_answered: bool,
    /// The asker has taken it back, and the other leg was told.
    pub(crate) is_cancelled: bool,
}

impl Exchange {
    /// Whether it is the call's first.
    pub(crate) fn is_first(&self) -> bool {
        self.request.to().is_some_and(|to| to.tag().is_none())
    }

    pub(crate) fn new(
        from: Leg,
        server: ServerKey,
        request: Message,
        received: SocketAddr,
        offer: Option<Description>,
    ) -> Self {
        Self {
            from,
            server,
            request,
            received,
            offer,
            client: None,
            early_answer: None,
            passed_offer: None,
            owed_prack: None,
            agreed: None,
            is_answered: false,
            is_cancelled: false,
        }
    }
}

impl Call {
    /// Accepts the exchange's INVITE and repeats the 2xx until its ACK (RFC 3261 section 13.3.1.4); an UPDATE's 2xx
    /// needs none.
    pub(super) fn send_2xx(&mut self, ctx: &mut Context<'_>, sdp: Option<&Bytes>) {
        if self.awaits_prack(sdp) {
            return;
        }
        if self.answered.is_none() {
            self.start_clock(ctx);
        }
        let Some(exchange) = &mut self.exchange else { return };
        exchange.is_answered = true;
        if exchange.is_first() {
            // So is what the callee has sent since its own 2xx, which the caller may have got before ours.
            self.early_forwards = self.forward_serial;
        }
        let (half, server, received) = (exchange.from, exchange.server, exchange.received);
        let request = exchange.request.clone();
        let t1 = ctx.settings.timers.t1;
        self.stop_timer(ctx, CallTimer::Reprovision);
        self.stop_timer(ctx, CallTimer::Reinvite);
        let Some(leg) = self.half(half) else { return };
        leg.phase = Phase::Confirmed;
        let mut writer =
            respond::response(ctx.settings, &request, 200, Some(&leg.dialog.local_tag), received);
        writer.copy(&request, Name::RecordRoute);
        writer.header(Name::Contact, leg.dialog.contact());
        writer.header(Name::Allow, ALLOW);
        // RFC 3261 section 13.3.1.4.
        writer.header(Name::Supported, respond::supported());
        leg.session.write_answer(&request, &mut writer);
        let bytes = finish(writer, sdp);
        if *request.method() == Method::Update {
            ctx.transactions.answer(ctx.now.monotonic, server, 200, bytes, ctx.out);
            self.exchange = None;
            return self.watch_session(ctx, half);
        }
        let flow = leg.dialog.flow;
        let cseq = request.cseq().map_or(0, |(number, _)| number);
        let (repetition, after_ack) = (Repetition::default(), AfterAck::default());
        leg.our_2xx =
            Some(AwaitsAck { cseq, bytes: bytes.clone(), flow, interval: t1, repetition, after_ack });
        ctx.transactions.answer(ctx.now.monotonic, server, 200, bytes, ctx.out);
        self.start_timer(ctx, CallTimer::Resend(half), t1);
        self.start_timer(ctx, CallTimer::AckWait(half), ctx.settings.timers.give_up());
        self.watch_session(ctx, half);
        self.conclude_parting(ctx);
    }

    /// Refuses the exchange's INVITE and forgets it; `add` writes what explains the status.
    pub(super) fn refuse_exchange(
        &mut self,
        ctx: &mut Context<'_>,
        status: u16,
        add: impl FnOnce(&mut MessageWriter),
    ) {
        let Some(exchange) = self.exchange.take() else { return };
        self.stop_timer(ctx, CallTimer::Reinvite);
        if exchange.is_answered {
            return;
        }
        let leg = if exchange.from == Leg::Caller { Some(&self.caller) } else { self.callee.as_ref() };
        let tag = leg.map(|leg| leg.dialog.local_tag.as_str());
        let mut writer = respond::response(ctx.settings, &exchange.request, status, tag, exchange.received);
        add(&mut writer);
        ctx.transactions.answer(ctx.now.monotonic, exchange.server, status, writer.finish(), ctx.out);
    }

    /// Sends our 2xx again.
    pub(super) fn resend_2xx(&mut self, ctx: &mut Context<'_>, half: Leg) {
        let t2 = ctx.settings.timers.t2;
        let Some(answer) = self.half(half).and_then(|leg| leg.our_2xx.as_mut()) else { return };
        answer.interval = answer.repetition.after(answer.interval, t2);
        let interval = answer.interval;
        ctx.out.send(answer.flow, answer.bytes.clone());
        self.start_timer(ctx, CallTimer::Resend(half), interval);
    }

    /// An ACK to a 2xx of ours has come.
    pub(crate) fn on_ack(&mut self, ctx: &mut Context<'_>, half: Leg, ack: &Message) {
        let number = ack.cseq().map(|(number, _)| number);
        let uid = self.uid;
        let Some(leg) = self.half(half) else { return };
        let Some(answer) = leg.our_2xx.take_if(|answer| Some(answer.cseq) == number) else { return };
        if let AfterAck::Bye { reasons } = answer.after_ack {
            leg.send_bye(ctx, uid, reasons);
        }
        self.stop_timer(ctx, CallTimer::Resend(half));
        self.stop_timer(ctx, CallTimer::AckWait(half));
        if let Some(exchange) = self.exchange.as_ref().filter(|e| e.is_answered && e.from == half) {
            if exchange.offer.is_some() || exchange.agreed.is_some() {
                self.exchange = None;
            } else {
                self.on_late_answer(ctx, ack);
            }
        }
        self.release(ctx);
    }

    /// Our 2xx was never acknowledged: the call has no second half (RFC 3261 section 13.3.1.4).
    pub(super) fn on_ack_missing(&mut self, ctx: &mut Context<'_>, half: Leg) {
        self.stop_timer(ctx, CallTimer::Resend(half));
        let (uid, is_unconfirmed) = (self.uid, half == Leg::Caller && self.is_unconfirmed());
        let Some(leg) = self.half(half) else { return };
        match leg.our_2xx.take().map(|answer| answer.after_ack) {
            Some(AfterAck::Bye { reasons }) if is_unconfirmed => leg.send_bye_once(ctx, reasons),
            Some(AfterAck::Bye { reasons }) => leg.send_bye(ctx, uid, reasons),
            Some(AfterAck::Nothing) | None => self.end_refused(ctx, Refusal::NoAck),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(formats: &str, maps: &[&str]) -> Description {
        let maps: String = maps.iter().map(|map| format!("a=rtpmap:{map}\r\n")).collect();
        let text = format!("v=0\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP {formats}\r\n{maps}");
        let sdp = SessionDescription::parse(text.as_bytes()).unwrap();
        let (audio, remote) = sdp.audio().unwrap();
        Description { sdp, audio, remote }
    }

    #[test]
    fn one_codec_is_the_one_that_everybody_has() {
        let codecs = |formats, maps: &[&str]| {
            described(formats, maps).with_one_codec().map(|chosen| chosen.remote.codecs)
        };
        assert_eq!(codecs("9 0 8", &[]).unwrap(), ["PCMU"]);
        let signals = &["96 opus/48000/2", "101 telephone-event/8000"];
        assert_eq!(codecs("96 18 8 101", signals).unwrap(), ["PCMA", "telephone-event"]);
        assert_eq!(codecs("96 18 101", signals).unwrap(), ["opus", "telephone-event"]);
        assert!(codecs("101", signals).is_none(), "there is nothing to hear");
    }

    #[test]
    fn an_answer_keeps_what_was_offered_under_whatever_number() {
        let offer = described("8 96", &["96 telephone-event/8000"]);
        let answer = described("8 18 101", &["101 telephone-event/8000"]).into_answer_to(&offer).unwrap();
        assert_eq!(answer.remote.codecs, ["PCMA", "telephone-event"]);
        assert!(answer.sdp.has_format(answer.audio, "101") && !answer.sdp.has_format(answer.audio, "18"));
        let bare = described("8 96", &[]).into_answer_to(&offer).unwrap();
        assert!(bare.sdp.has_format(bare.audio, "96"), "the number that was offered needs no name");
        assert!(described("18 101", &["101 telephone-event/8000"]).into_answer_to(&offer).is_none());
        assert!(described("0", &[]).into_answer_to(&offer).is_none());
    }
}
