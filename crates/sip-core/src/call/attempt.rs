//! One try to reach the callee: prepare the offer, send the INVITE, read its refusal. Where the call is tried next,
//! `failover` says.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;

use super::failover::Try;
use super::identity::{Presentation, Reader};
use super::leg::Phase;
use super::media::{Then, secure_by_policy};
use super::plan::Target;
use super::reliable;
use super::{Call, CallLeg, CallTimer, Context, LegId, Purpose, Stage};
use crate::dialog::{Dialog, NextHop, Outset, contact_of, flow_to};
use crate::directory::{Authentication, Carrier, Peer, Profile};
use crate::message::{Message, MessageWriter, Method, Name, Room, Uri};
use crate::number;
use crate::privacy;
use crate::refusal::Refusal;
use crate::respond::ALLOW;
use crate::types::{AttemptResult, Event, Flow, Leg, SdpRole, SecureMedia, Trouble};

/// What is being tried.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(super) target: Target,
    /// Addresses of the carrier not tried yet.
    pub(super) addresses: VecDeque<SocketAddr>,
    /// Addresses that are down, and that another call may find up again.
    pub(super) passed_over: Vec<SocketAddr>,
    /// Whether the carrier is tried although it is down, because no other is left.
    pub(super) is_last_resort: bool,
    /// What is being tried at this moment.
    pub(super) current: Option<Try>,
    pub(super) is_resolving: bool,
    pub(super) secure: SecureMedia,
    /// Whether the target has refused the kind of media that was supposed, and is offered the other one.
    is_other_media: bool,
    body: Body,
    presentation: Option<Presentation>,
    is_sent: bool,
    has_progressed: bool,
    /// The target takes no call without reliable provisional responses.
    requires_reliable: bool,
}

/// The body of an INVITE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// The relay has not described our media yet.
    Pending,
    /// There is none: the callee makes the offer.
    Late,
    /// Our offer.
    Ready(Bytes),
}

impl Attempt {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            addresses: VecDeque::new(),
            passed_over: Vec::new(),
            is_last_resort: false,
            current: None,
            is_resolving: false,
            secure: SecureMedia::Off,
            is_other_media: false,
            body: Body::Pending,
            presentation: None,
            is_sent: false,
            has_progressed: false,
            requires_reliable: false,
        }
    }

    /// An attempt at a carrier that is down, at these of its addresses if it was looked up.
    pub(super) fn last_resort(target: Target, addresses: Vec<SocketAddr>) -> Self {
        Self { addresses: VecDeque::from(addresses), is_last_resort: true, ..Self::new(target) }
    }

    pub(crate) fn is_resolving(&self) -> bool {
        self.is_resolving
    }

    /// A new leg begins at the next address.
    fn begin(&mut self) {
        self.is_other_media = false;
        self.body = Body::Pending;
        self.is_sent = false;
        self.has_progressed = false;
    }

    pub(super) fn body_is_ready(&mut self, body: Body) {
        self.body = body;
    }

    /// The callee shows signs of life beyond 100: from now on another target must not be tried.
    pub(super) fn progressed(&mut self) {
        self.has_progressed = true;
    }
}

impl Call {
    pub(super) fn call_pbx(&mut self, ctx: &mut Context<'_>, profile: &Profile, user: &str) {
        match pbx_address(ctx, profile, user) {
            Ok((flow, uri)) => self.prepare_invite(ctx, flow, uri),
            Err(why) => self.give_up(ctx, why),
        }
    }

    pub(super) fn invite_carrier(
        &mut self,
        ctx: &mut Context<'_>,
        carrier: &Carrier,
        digits: &str,
        flow: Flow,
    ) {
        let number = as_dialled(carrier, digits);
        let port = carrier.port.map(|port| format!(":{port}")).unwrap_or_default();
        let transport = match carrier.transport {
            crate::types::Transport::Udp => String::new(),
            other => format!(";transport={}", other.param()),
        };
        self.prepare_invite(ctx, flow, format!("sip:{number}@{}{port}{transport}", carrier.host));
    }

    /// The callee's leg begins; its offer is asked for.
    fn prepare_invite(&mut self, ctx: &mut Context<'_>, flow: Flow, request_uri: String) {
        let Some(attempt) = &mut self.attempt else { return };
        let (peer, reader, to, next_hop) = match &attempt.target {
            Target::Pbx { profile, user } => {
                let to = format!("<sip:{user}@{}>", ctx.settings.domain);
                (Peer::Profile(profile.id), Reader::pbx(profile), to, NextHop::Flow)
            }
            Target::Carrier { carrier, .. } => {
                let to = format!("<{}>", request_uri.split(';').next().unwrap_or_default());
                (Peer::Carrier(carrier.id), Reader::carrier(carrier), to, NextHop::Target)
            }
            Target::Echo => return,
        };
        let path =
            peer.profile().and_then(|profile| ctx.registrar.binding(profile)).map(|it| it.path.clone());
        let presentation = Presentation::new(&self.plan.caller, reader, &ctx.settings.domain);
        attempt.secure = secure_by_policy(ctx, peer, flow.transport);
        attempt.begin();
        self.callees += 1;
        let id = LegId::Callee(self.callees);
        let dialog = Dialog::of_callee(Outset {
            call_id: format!("{}@{}", ctx.rng.token(), ctx.settings.domain),
            local_tag: ctx.rng.token(),
            from: presentation.from.clone(),
            to,
            target: request_uri,
            path: path.unwrap_or_default(),
            flow,
            next_hop,
            contact: contact_of(ctx.settings, &flow, &presentation.user),
            max_forwards: self.max_forwards,
        });
        attempt.presentation = Some(presentation);
        ctx.index.insert(&dialog.call_id, &dialog.local_tag, (self.uid, id));
        self.callee_call_id = Some(dialog.call_id.clone());
        self.callee = Some(CallLeg::new(ctx, id, peer, dialog));
        self.prepare_body(ctx);
    }

    fn prepare_body(&mut self, ctx: &mut Context<'_>) {
        match self.exchange.as_ref().and_then(|exchange| exchange.offer.clone()) {
            Some(offer) => self.describe(ctx, Leg::Caller, SdpRole::Offer, offer, Then::Offer),
            None => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.body_is_ready(Body::Late);
                }
                self.launch(ctx);
            }
        }
    }

    /// Sends the INVITE if the leases are granted and the body is ready.
    pub(super) fn launch(&mut self, ctx: &mut Context<'_>) {
        if self.stage != Stage::Setup || !self.shares.iter().all(super::Share::is_granted) {
            return;
        }
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| !attempt.is_sent) else { return };
        let sdp = match attempt.body.clone() {
            Body::Pending => return,
            Body::Late => None,
            Body::Ready(sdp) => Some(sdp),
        };
        attempt.is_sent = true;
        if matches!(attempt.target, Target::Echo) {
            return self.on_echo_ready(ctx, sdp.as_ref());
        }
        self.send_invite(ctx);
        // The caller waits for the call, not for an attempt: the time goes on when the next target is tried.
        if !self.is_timed(CallTimer::NoAnswer) {
            self.start_timer(ctx, CallTimer::NoAnswer, ctx.settings.calls.no_answer);
        }
    }

    fn on_echo_ready(&mut self, ctx: &mut Context<'_>, sdp: Option<&Bytes>) {
        self.stage = Stage::Running;
        self.send_2xx(ctx, sdp);
    }

    pub(super) fn carrier_is_tried(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| matches!(attempt.target, Target::Carrier { .. }))
    }

    /// Who is called. A refusal closes the callee's leg before it is passed on, and then the attempt still knows.
    pub(super) fn callee_peer(&self) -> Option<Peer> {
        if let Some(leg) = &self.callee {
            return Some(leg.peer);
        }
        match &self.attempt.as_ref()?.target {
            Target::Echo => None,
            Target::Pbx { profile, .. } => Some(Peer::Profile(profile.id)),
            Target::Carrier { carrier, .. } => Some(Peer::Carrier(carrier.id)),
        }
    }

    /// Writes and sends the INVITE, with credentials if it has been challenged. Sent anew it keeps its Call-ID, rises
    /// in number and forgets what was answered (RFC 3261 section 8.1.3.5).
    pub(super) fn send_invite(&mut self, ctx: &mut Context<'_>) {
        let (Some(attempt), Some(leg)) = (&mut self.attempt, &mut self.callee) else { return };
        leg.early.clear();
        let mut draft = leg.begin(ctx, Method::Invite);
        let is_first = leg.invite.is_none();
        if is_first {
            let flow = leg.dialog.flow_out(ctx.settings);
            ctx.out.tell(Event::Invited {
                call: self.uid,
                request_uri: leg.dialog.remote_target().to_owned(),
                target: flow.peer,
                carrier: self.carrier.clone().filter(|_| matches!(leg.peer, Peer::Carrier(_))),
            });
        }
        draft.writer.header(Name::Allow, ALLOW);
        // An offer in a reliable response has to be answered in the PRACK (RFC 3262 section 5), best by the caller itself.
        // For one that cannot we would have to choose, so its callee is not told of it unless it insists.
        let may_be_reliable = self.caller.reliable.is_some() || attempt.body != Body::Late;
        draft.writer.header(Name::Supported, if may_be_reliable { "100rel, timer" } else { "timer" });
        if attempt.requires_reliable {
            draft.writer.header(Name::Require, reliable::TAG);
        }
        leg.session.write_request(&ctx.settings.calls, Stage::Setup, &mut draft.writer);
        if let Some(presentation) = &attempt.presentation {
            presentation.write(&mut draft.writer);
        }
        if let Some(exchange) = self.exchange.as_ref().filter(|_| self.caller.peer.profile().is_some()) {
            copy_diversion(&exchange.request, ctx.is_trusted(leg.peer), &mut draft.writer);
        }
        if matches!(leg.peer, Peer::Profile(_)) {
            draft.writer.header(Name::Trail, &self.trail);
        }
        let sdp = match &attempt.body {
            Body::Ready(sdp) => Some(sdp),
            Body::Pending | Body::Late => None,
        };
        leg.is_late = sdp.is_none();
        leg.invite = Some(leg.send(ctx, self.uid, Purpose::Invite, draft, sdp));
        if is_first {
            self.note_sent(ctx);
        }
        self.stop_attempt_timers(ctx);
        if self.carrier_is_tried() {
            let patience = self.patience(ctx);
            self.start_timer(ctx, CallTimer::Patience, patience);
        }
    }

    /// Stops what watches a single attempt: it has rung, was answered or is over.
    pub(super) fn stop_attempt_timers(&mut self, ctx: &mut Context<'_>) {
        self.stop_timer(ctx, CallTimer::Patience);
        self.stop_timer(ctx, CallTimer::Progress);
    }

    /// The target has the INVITE. A carrier must not sit on it for as long as a telephone may ring.
    pub(super) fn on_trying(&mut self, ctx: &mut Context<'_>) {
        self.stop_timer(ctx, CallTimer::Patience);
        let has_progressed = self.attempt.as_ref().is_none_or(|attempt| attempt.has_progressed);
        if self.carrier_is_tried() && !has_progressed && !self.is_timed(CallTimer::Progress) {
            self.start_timer(ctx, CallTimer::Progress, ctx.settings.calls.carrier_progress);
        }
    }

    /// The callee refused the INVITE.
    pub(super) fn on_invite_failed(&mut self, ctx: &mut Context<'_>, response: &Message) {
        let Some(attempt) = &self.attempt else { return };
        let (status, may_go_on) = (response.status(), !attempt.has_progressed);
        if matches!(status, 401 | 407) {
            return self.on_unanswerable_challenge(ctx, response);
        }
        if let (422, Some(leg)) = (status, &mut self.callee)
            && leg.session.on_too_small(response)
        {
            return self.send_invite(ctx);
        }
        if status == 421 && self.may_require_reliable(response) {
            return self.send_invite(ctx);
        }
        if self.may_retry_otherwise(ctx, response) {
            return self.retry_otherwise(ctx);
        }
        self.close_callee(ctx);
        // 408 and 5xx before any 18x are the trunk's trouble, which another may not have. Everything else is the callee's
        // word: tried elsewhere, a busy telephone would be rung again.
        let is_trunks_trouble = status == 408 || (500..600).contains(&status);
        let result = match is_trunks_trouble {
            true => AttemptResult::Failed(Trouble::Failing),
            false => AttemptResult::Refused,
        };
        self.conclude(ctx, result, Some(response));
        if self.carrier_is_tried() && may_go_on && is_trunks_trouble {
            self.forget_media_jobs();
            // RFC 3263 section 4.3: 503 speaks of one address of the carrier, any other answer of the carrier.
            return match status {
                503 => self.try_next_address(ctx),
                _ => self.try_next_target(ctx, Refusal::CarriersFailed),
            };
        }
        self.pass_failure(ctx, status, Some(response));
    }

    /// The INVITE had no answer, or could not be sent. RFC 3263 section 4.3: that speaks of one address.
    pub(super) fn on_invite_unanswered(&mut self, ctx: &mut Context<'_>, trouble: Trouble) {
        let Some(attempt) = &self.attempt else { return };
        let may_go_on = !attempt.has_progressed;
        self.close_callee(ctx);
        self.conclude(ctx, AttemptResult::Failed(trouble), None);
        if self.carrier_is_tried() && may_go_on {
            self.forget_media_jobs();
            return self.try_next_address(ctx);
        }
        // A PBX has one place. That nobody answered would not be true.
        if trouble == Trouble::Unreachable && !self.carrier_is_tried() {
            return self.end_refused(ctx, Refusal::PbxUnreachable);
        }
        self.pass_failure(ctx, 408, None);
    }

    /// The callee's leg has had its last word.
    pub(super) fn close_callee(&mut self, ctx: &mut Context<'_>) {
        if let Some(mut leg) = self.callee.take() {
            leg.phase = Phase::Closed;
            ctx.index.remove(&leg.dialog.call_id, &leg.dialog.local_tag);
        }
        self.stop_attempt_timers(ctx);
    }

    /// RFC 3262 section 3: who takes no call without reliable responses says 421, and is asked for them once.
    fn may_require_reliable(&mut self, refusal: &Message) -> bool {
        let Some(attempt) = &mut self.attempt else { return false };
        let is_asked = refusal.lists_tag(Name::Require, reliable::TAG);
        is_asked && !std::mem::replace(&mut attempt.requires_reliable, true)
    }

    /// A peer whose kind of media was only supposed is offered the other kind, once: RTP/AVP in the place of RTP/SAVP, or
    /// RTP/SAVP in the place of RTP/AVP.
    fn may_retry_otherwise(&self, ctx: &Context<'_>, response: &Message) -> bool {
        let has_offered = self.exchange.as_ref().is_some_and(|exchange| exchange.offer.is_some());
        let Some(attempt) = self.attempt.as_ref().filter(|it| has_offered && !it.is_other_media) else {
            return false;
        };
        let srtp = match &attempt.target {
            Target::Pbx { profile, .. } => ctx.directory.profile(profile.id).map(|p| p.srtp),
            Target::Carrier { carrier, .. } => Some(carrier.srtp),
            Target::Echo => None,
        };
        srtp == Some(crate::directory::SrtpPolicy::Auto) && refuses_media(response)
    }

    fn retry_otherwise(&mut self, ctx: &mut Context<'_>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.is_other_media = true;
            attempt.secure = match attempt.secure {
                SecureMedia::Off | SecureMedia::Optional => SecureMedia::Required,
                SecureMedia::Required => SecureMedia::Off,
            };
            attempt.body = Body::Pending;
            attempt.is_sent = false;
        }
        self.prepare_body(ctx);
    }

    /// The target has taken the call: what it was offered in the end is offered at once the next time.
    pub(super) fn learn_media(&mut self, ctx: &mut Context<'_>) {
        if let (Some(attempt), Some(leg)) = (&self.attempt, &self.callee)
            && attempt.is_other_media
        {
            ctx.registrar.note_media(leg.peer, attempt.secure, ctx.out);
        }
    }

    /// The target asks for a proof that we do not have, or does not take ours.
    fn on_unanswerable_challenge(&mut self, ctx: &mut Context<'_>, response: &Message) {
        self.close_callee(ctx);
        self.conclude(ctx, AttemptResult::Failed(Trouble::Credentials), Some(response));
        if self.carrier_is_tried() {
            self.forget_media_jobs();
            self.try_next_target(ctx, Refusal::CarrierAuthentication);
        } else {
            self.end_refused(ctx, Refusal::PbxDemandsCredentials);
        }
    }
}

/// Whether a refusal is about the kind of media: by its status, or by a Warning about the description (RFC 3261 sections
/// 20.43, 21.4.13, 21.4.26, 21.6.4).
fn refuses_media(response: &Message) -> bool {
    let is_about_media = |warning: &str| {
        let code = warning.trim_start().get(..3).and_then(|code| code.parse().ok());
        // Transport protocol, media type, media format, attribute, parameter.
        matches!(code, Some(302 | 304..=307))
    };
    matches!(response.status(), 415 | 488 | 606) || response.headers(Name::Warning).any(is_about_media)
}

/// How many octets of Diversion and History-Info together are passed on.
const PAST: usize = 4_096;

/// How the call came to a PBX that passes it on, as the PBX says it: octet by octet, since it is between the PBX and the
/// called side what is made of it. What asks not to be shown is for trusted carriers alone. A carrier's is kept back, for
/// it names hosts of the carrier's network.
fn copy_diversion(invite: &Message, is_trusted: bool, writer: &mut MessageWriter) {
    let mut room = Room::of(PAST);
    let mut is_shown = |entry: &str| (is_trusted || !privacy::hides_entry(entry)) && room.takes(entry);
    writer.copy_if(invite, Name::Diversion, &mut is_shown);
    if !privacy::hides_history(invite) {
        writer.copy_if(invite, Name::HistoryInfo, is_shown);
    }
}

/// A called number as a carrier wants it dialled: in its format, less what it strips, behind its prefix.
fn as_dialled(carrier: &Carrier, digits: &str) -> String {
    let number = number::present(digits, carrier.number_format, "");
    format!("{}{}", carrier.prefix, number.get(usize::from(carrier.strip)..).unwrap_or_default())
}

/// Where a profile's PBX is, and the Request-URI that tells it what was called: a PBX routes by it.
fn pbx_address(ctx: &Context<'_>, profile: &Profile, user: &str) -> Result<(Flow, String), Refusal> {
    match &profile.authentication {
        Authentication::Registration { .. } => {
            let binding = ctx.registrar.binding(profile.id).ok_or(Refusal::NotRegistered)?;
            let contact = Uri::parse_leniently(&binding.contact_uri).map_err(|_| Refusal::NotRegistered)?;
            // A phone knows no other name than the one that it has registered.
            let is_phone = profile.id.is_phone();
            let uri = if is_phone { contact.as_request_uri() } else { contact.with_user(user) };
            let flow = ctx.registrar.way_to(profile.id).ok_or(Refusal::NotRegistered)?;
            Ok((flow, uri))
        }
        Authentication::Ip { target, .. } => {
            // Without a listener of that transport and family nothing can be sent there.
            let opened = || target.and_then(|(peer, transport)| flow_to(ctx.settings, transport, peer));
            let flow = ctx.certified.way_to(profile.id).or_else(opened).ok_or(Refusal::NoAddressToCall)?;
            Ok((flow, format!("sip:{user}@{};transport={}", flow.peer, flow.transport.param())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{NumberFormat, carrier_of};

    #[test]
    fn a_carrier_gets_the_number_in_its_format_stripped_and_prefixed() {
        let carrier = |number_format, strip, prefix: &str| Carrier {
            strip,
            prefix: prefix.into(),
            ..carrier_of(None, number_format)
        };
        let dialled = |carrier| as_dialled(&carrier, "12025550123");
        assert_eq!(dialled(carrier(NumberFormat::E164, 0, "")), "+12025550123");
        assert_eq!(dialled(carrier(NumberFormat::Digits, 1, "9")), "92025550123");
        assert_eq!(dialled(carrier(NumberFormat::ZeroZero, 2, "77")), "7712025550123");
        assert_eq!(
            dialled(carrier(NumberFormat::Digits, 50, "9")),
            "9",
            "nothing is left, and nothing panics"
        );
    }
}
