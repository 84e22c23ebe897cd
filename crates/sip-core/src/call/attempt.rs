//! One try to reach the callee: find the address, prepare the offer, send the INVITE, and go to the next on failure.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::identity::{Presentation, Reader};
use super::leg::Phase;
use super::media::{Then, secure_by_policy};
use super::plan::Target;
use super::{Call, CallLeg, CallTimer, Context, LegId, Purpose, Stage};
use crate::dialog::{Dialog, NextHop, Outset, contact_of, flow_to};
use crate::directory::{Authentication, Carrier, Peer, Profile};
use crate::limits::ADDRESSES_PER_CARRIER;
use crate::message::{Message, MessageWriter, Method, Name, Uri};
use crate::number;
use crate::privacy;
use crate::refusal::Refusal;
use crate::respond::ALLOW;
use crate::types::{Event, Flow, Leg, Question, SdpRole, SecureMedia};

/// What is being tried.
#[derive(Debug)]
pub(crate) struct Attempt {
    target: Target,
    /// Addresses of the carrier not tried yet.
    addresses: VecDeque<SocketAddr>,
    is_resolving: bool,
    pub(super) secure: SecureMedia,
    body: Body,
    presentation: Option<Presentation>,
    is_sent: bool,
    has_progressed: bool,
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
    fn new(target: Target) -> Self {
        Self {
            target,
            addresses: VecDeque::new(),
            is_resolving: false,
            secure: SecureMedia::Off,
            body: Body::Pending,
            presentation: None,
            is_sent: false,
            has_progressed: false,
        }
    }

    pub(crate) fn is_resolving(&self) -> bool {
        self.is_resolving
    }

    /// A new leg begins at the next address.
    fn begin(&mut self) {
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
    /// Goes on to the next target; with none left the call ends for the reason given.
    pub(super) fn try_next_target(&mut self, ctx: &mut Context<'_>, why_not: Refusal) {
        let limit = ctx.settings.limits.attempts_per_call;
        let is_exhausted = usize::from(self.attempts) >= limit;
        let Some(target) = self.plan.targets.pop_front().filter(|_| !is_exhausted) else {
            return self.give_up(ctx, why_not);
        };
        self.attempts += 1;
        self.attempt = Some(Attempt::new(target.clone()));
        match target {
            Target::Echo => self.prepare_echo(ctx),
            Target::Pbx { profile, user } => match pbx_address(ctx, &profile, &user) {
                Ok((flow, uri)) => self.prepare_invite(ctx, flow, uri),
                Err(why) => self.give_up(ctx, why),
            },
            Target::Carrier { carrier, .. } => self.locate_carrier(ctx, &carrier),
        }
    }

    /// Nobody is left to try. The caller learns of it once the leases are decided: whoever may not call at all is told
    /// that, not of an address that never mattered.
    fn give_up(&mut self, ctx: &mut Context<'_>, why: Refusal) {
        if self.shares.iter().any(super::Share::is_asked) {
            self.attempt = None;
            self.obstacle = Some(why);
        } else {
            self.end_refused(ctx, why);
        }
    }

    fn locate_carrier(&mut self, ctx: &mut Context<'_>, carrier: &Carrier) {
        if let Ok(ip) = carrier.host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let port = carrier.port.unwrap_or_else(|| carrier.transport.default_port());
            return self.on_resolved(ctx, vec![SocketAddr::new(ip, port)]);
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.is_resolving = true;
        }
        self.start_timer(ctx, CallTimer::Question, ctx.settings.calls.question_patience);
        ctx.out.ask(Question::Resolve {
            call: self.uid,
            host: carrier.host.clone(),
            port: carrier.port,
            transport: carrier.transport,
        });
    }

    /// The carrier's addresses are known.
    pub(super) fn on_resolved(&mut self, ctx: &mut Context<'_>, addresses: Vec<SocketAddr>) {
        let Some(attempt) = self.attempt.as_mut().filter(|a| self.stage == Stage::Setup && !a.is_sent) else {
            return;
        };
        attempt.is_resolving = false;
        attempt.addresses = addresses.into_iter().take(ADDRESSES_PER_CARRIER).collect();
        self.question_answered(ctx);
        self.try_next_address(ctx);
    }

    fn try_next_address(&mut self, ctx: &mut Context<'_>) {
        let Some(attempt) = &mut self.attempt else { return };
        let Target::Carrier { carrier, digits } = attempt.target.clone() else { return };
        let Some(address) = attempt.addresses.pop_front() else {
            return self.try_next_target(ctx, Refusal::CarriersFailed);
        };
        let Some(flow) = flow_to(ctx.settings, carrier.transport, address) else {
            return self.try_next_address(ctx);
        };
        let number = as_dialled(&carrier, &digits);
        let port = carrier.port.map(|port| format!(":{port}")).unwrap_or_default();
        let transport = match carrier.transport {
            crate::types::Transport::Udp => String::new(),
            other => format!(";transport={}", other.param()),
        };
        let uri = format!("sip:{number}@{}{port}{transport}", carrier.host);
        self.carrier = Some(carrier.id);
        self.prepare_invite(ctx, flow, uri);
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

    /// Writes and sends the INVITE, with credentials if it has been challenged. Sent anew it keeps its Call-ID, rises
    /// in number and forgets what was answered (RFC 3261 section 8.1.3.5).
    pub(super) fn send_invite(&mut self, ctx: &mut Context<'_>) {
        let (Some(attempt), Some(leg)) = (&mut self.attempt, &mut self.callee) else { return };
        leg.early.clear();
        let mut draft = leg.begin(ctx, Method::Invite);
        if leg.invite.is_none() {
            let flow = leg.dialog.flow_out();
            ctx.out.tell(Event::Invited {
                call: self.uid,
                request_uri: leg.dialog.remote_target().to_owned(),
                target: flow.peer,
                carrier: match leg.peer {
                    Peer::Carrier(id) => Some(id),
                    Peer::Profile(_) => None,
                },
            });
        }
        draft.writer.header(Name::Allow, ALLOW);
        leg.session.write_request(&ctx.settings.calls, Stage::Setup, &mut draft.writer);
        if let Some(presentation) = &attempt.presentation {
            presentation.write(&mut draft.writer);
        }
        if let Some(exchange) = self.exchange.as_ref().filter(|_| self.caller.peer.profile().is_some()) {
            copy_diversion(&exchange.request, &mut draft.writer);
        }
        let sdp = match &attempt.body {
            Body::Ready(sdp) => Some(sdp),
            Body::Pending | Body::Late => None,
        };
        leg.invite = Some(leg.send(ctx, self.uid, Purpose::Invite, draft, sdp));
        self.stop_attempt_timers(ctx);
        if self.carrier_is_tried() {
            self.start_timer(ctx, CallTimer::Patience, ctx.settings.calls.carrier_patience);
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

    /// The callee refused the INVITE, or nobody was there (status 408).
    pub(super) fn on_invite_failed(
        &mut self,
        ctx: &mut Context<'_>,
        status: u16,
        response: Option<&Message>,
    ) {
        let Some(attempt) = &self.attempt else { return };
        let may_go_on = !attempt.has_progressed;
        if matches!(status, 401 | 407) {
            return self.on_unanswerable_challenge(ctx);
        }
        if let (422, Some(response), Some(leg)) = (status, response, &mut self.callee)
            && leg.session.on_too_small(response)
        {
            return self.send_invite(ctx);
        }
        if self.may_retry_plain(ctx, status) {
            return self.retry_plain(ctx);
        }
        self.close_callee(ctx);
        // No answer, 408 and 5xx before any 18x are the trunk's trouble, which another may not have. Everything else
        // is the callee's word: tried elsewhere, a busy telephone would be rung again.
        if self.carrier_is_tried() && may_go_on && (status == 408 || (500..600).contains(&status)) {
            self.forget_media_jobs();
            // RFC 3263 section 4.3: silence, a broken transport and 503 speak of one address of the carrier, any other
            // answer of the carrier.
            return match (status, response) {
                (503, _) | (_, None) => self.try_next_address(ctx),
                _ => self.try_next_target(ctx, Refusal::CarriersFailed),
            };
        }
        self.pass_failure(ctx, status, response);
    }

    /// The callee's leg has had its last word.
    pub(super) fn close_callee(&mut self, ctx: &mut Context<'_>) {
        if let Some(mut leg) = self.callee.take() {
            leg.phase = Phase::Closed;
            ctx.index.remove(&leg.dialog.call_id, &leg.dialog.local_tag);
        }
        self.stop_attempt_timers(ctx);
    }

    /// A peer whose SRTP was only supposed is tried once more with plain RTP.
    fn may_retry_plain(&self, ctx: &Context<'_>, status: u16) -> bool {
        let Some(attempt) = self
            .attempt
            .as_ref()
            .filter(|a| matches!(status, 415 | 488 | 606) && a.secure != SecureMedia::Off)
        else {
            return false;
        };
        let srtp = match &attempt.target {
            Target::Pbx { profile, .. } => ctx.directory.profile(profile.id).map(|p| p.srtp),
            Target::Carrier { carrier, .. } => Some(carrier.srtp),
            Target::Echo => None,
        };
        srtp == Some(crate::directory::SrtpPolicy::Auto)
    }

    fn retry_plain(&mut self, ctx: &mut Context<'_>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.secure = SecureMedia::Off;
            attempt.body = Body::Pending;
            attempt.is_sent = false;
        }
        self.prepare_body(ctx);
    }

    /// The target asks for a proof that we do not have, or does not take ours.
    fn on_unanswerable_challenge(&mut self, ctx: &mut Context<'_>) {
        self.close_callee(ctx);
        if self.carrier_is_tried() {
            self.forget_media_jobs();
            self.try_next_target(ctx, Refusal::CarrierAuthentication);
        } else {
            self.end_refused(ctx, Refusal::PbxDemandsCredentials);
        }
    }

    /// The target has shown no sign of life: leave it and try the next, but keep an ear open for a late 200.
    pub(super) fn on_patience_lost(&mut self, ctx: &mut Context<'_>) {
        self.abandon_callee(ctx);
        self.forget_media_jobs();
        self.try_next_address(ctx);
    }

    /// The target has the INVITE and does nothing with it: another carrier may do better.
    pub(super) fn on_progress_missing(&mut self, ctx: &mut Context<'_>) {
        self.abandon_callee(ctx);
        self.forget_media_jobs();
        self.try_next_target(ctx, Refusal::CarriersFailed);
    }

    /// The callee rang too long.
    pub(super) fn on_no_answer(&mut self, ctx: &mut Context<'_>) {
        if self.stage == Stage::Setup {
            self.end_refused(ctx, Refusal::NoAnswer);
        }
    }

    /// Gives the callee up without waiting for its answer.
    fn abandon_callee(&mut self, ctx: &mut Context<'_>) {
        let Some(mut leg) = self.callee.take() else { return };
        self.close_early(ctx, &mut leg);
        self.abandoned.push(leg);
    }
}

/// How the call came to a PBX that passes it on, as the PBX says it: octet by octet, since it is between the PBX and the
/// called side what is made of it. A carrier's is kept back, for it names hosts of the carrier's network.
fn copy_diversion(invite: &Message, writer: &mut MessageWriter) {
    writer.copy(invite, Name::Diversion);
    if !privacy::hides_history(invite) {
        writer.copy(invite, Name::HistoryInfo);
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
            Ok((binding.flow, uri))
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
    use crate::directory::{NumberFormat, SrtpPolicy};
    use crate::types::{CarrierId, Transport};

    #[test]
    fn a_carrier_gets_the_number_in_its_format_stripped_and_prefixed() {
        let carrier = |number_format, strip, prefix: &str| Carrier {
            id: CarrierId(1),
            name: "wholesale".into(),
            host: "192.0.2.1".into(),
            port: None,
            transport: Transport::Udp,
            priority: 10,
            weight: 10,
            credentials: None,
            number_format,
            country: None,
            strip,
            prefix: prefix.into(),
            srtp: SrtpPolicy::Off,
            is_trusted: true,
            media_networks: std::sync::Arc::default(),
            is_active: true,
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
