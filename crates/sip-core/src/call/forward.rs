//! Requests within a call: answered here, or passed from one half to the other (re-INVITE, UPDATE; INFO in `info`).

use super::exchange::{Description, Earlier, Exchange};
use super::glare::Glare;
use super::leg::{Phase, finish};
use super::media::{Then, read_offer};
use super::reliable::Said;
use super::{Call, CallTimer, Context, LegId, Purpose, Reasons, Stage, teardown};
use crate::directory::Peer;
use crate::message::{Message, MessageWriter, Method, Name};
use crate::refusal::Refusal;
use crate::respond;
use crate::settings::Settings;
use crate::transaction::ServerKey;
use crate::types::{Flow, Leg, SdpRole};

/// A request within a call, and what it takes to answer it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) server: ServerKey,
    pub(super) request: &'a Message,
    pub(super) flow: Flow,
}

/// The same, kept until its answer is known.
#[derive(Debug)]
pub(super) struct Pending {
    server: ServerKey,
    request: Message,
    flow: Flow,
}

impl Asked<'_> {
    pub(super) fn kept(self) -> Pending {
        Pending { server: self.server, request: self.request.clone(), flow: self.flow }
    }
}

impl Pending {
    pub(super) fn is_of(&self, server: ServerKey) -> bool {
        self.server == server
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        Asked { server: self.server, request: &self.request, flow: self.flow }
    }
}

/// Who sends a request within a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The peer of the leg.
    Peer,
    /// Somebody who knows the dialog and may be the peer at another place: its password tells.
    MayProve(Peer),
    /// Anybody else.
    Stranger,
}

impl Call {
    /// Whether a request carries the peer's tag and comes from where the peer is; follows the peer if its NAT has
    /// given it another port, or it has connected anew.
    pub(crate) fn is_of_peer(&mut self, ctx: &Context<'_>, id: LegId, request: &Message, flow: Flow) -> bool {
        self.sender_of(ctx, id, request, flow) == Sender::Peer
    }

    /// Who sends a request within the dialog of a leg.
    pub(crate) fn sender_of(
        &mut self,
        ctx: &Context<'_>,
        id: LegId,
        request: &Message,
        flow: Flow,
    ) -> Sender {
        let id = self.leg_of(id, request);
        let Some(leg) = self.leg(id) else { return Sender::Stranger };
        let from = request.from();
        if !leg.dialog.is_remote_tag(from.as_ref().and_then(|from| from.tag())) {
            return Sender::Stranger;
        }
        if leg.is_from_peer(ctx, flow) {
            leg.follow(flow);
            return Sender::Peer;
        }
        let can_prove = match leg.peer {
            Peer::Profile(profile) => {
                ctx.directory.profile(profile).is_some_and(|it| it.may_prove_over(flow))
            }
            Peer::Carrier(carrier) => {
                ctx.directory.carrier(carrier).is_some_and(|it| it.credentials.is_some())
            }
        };
        if can_prove && !leg.dialog.flow.transport.is_more_secret_than(flow.transport) {
            Sender::MayProve(leg.peer)
        } else {
            Sender::Stranger
        }
    }

    /// The peer of a leg has proved that it speaks from there now.
    pub(crate) fn follow_peer(&mut self, id: LegId, request: &Message, flow: Flow) {
        let id = self.leg_of(id, request);
        if let Some(leg) = self.leg(id) {
            leg.follow(flow);
        }
    }

    /// The unanswered INVITE that a CANCEL is for, if it comes from the peer that sent it; by which way does not matter.
    pub(crate) fn invite_named_by(
        &mut self,
        ctx: &Context<'_>,
        cancel: &Message,
        flow: Flow,
    ) -> Option<ServerKey> {
        let exchange = self.exchange.as_ref().filter(|exchange| !exchange.is_answered)?;
        let (server, half, invite) = (exchange.server, exchange.from, &exchange.request);
        let (asked, taken_back) = (invite.top_via()?, cancel.top_via()?);
        let is_same = asked.branch()? == taken_back.branch()?
            && invite.cseq()?.0 == cancel.cseq()?.0
            && invite.call_id() == cancel.call_id()
            && invite.from()?.tag()? == cancel.from()?.tag()?;
        (is_same && self.half(half)?.is_from_peer(ctx, flow)).then_some(server)
    }

    /// A request within one of our dialogs has come. A stranger's is answered as if there were no such dialog, one
    /// out of order with 500 (RFC 3261 section 12.2.2).
    pub(crate) fn on_request_in_order(
        &mut self,
        ctx: &mut Context<'_>,
        id: LegId,
        server: ServerKey,
        request: &Message,
        flow: Flow,
    ) {
        let asked = Asked { server, request, flow };
        if !self.is_of_peer(ctx, id, request, flow) {
            return self.answer_plain(ctx, asked, 481);
        }
        let id = self.leg_of(id, request);
        let from = request.from();
        let tag = from.as_ref().and_then(|from| from.tag());
        let is_in_order = self.leg(id).is_some_and(|leg| leg.far_end(tag).accepts_cseq(request));
        // A goodbye counts whatever its number: a call that nobody wants must not go on being charged.
        if is_in_order || *request.method() == Method::Bye {
            self.on_request(ctx, id, asked);
        } else {
            self.answer_plain(ctx, asked, 500);
        }
    }

    fn on_request(&mut self, ctx: &mut Context<'_>, id: LegId, asked: Asked<'_>) {
        let is_talking = self.half(id.role()).is_some_and(|leg| leg.id == id);
        let unknown = respond::unknown_extensions(asked.request);
        match asked.request.method() {
            // A goodbye counts whatever it requires: a call that nobody wants must not go on being charged.
            Method::Bye => self.on_bye(ctx, id, asked),
            // Of a callee that was given up nothing but its goodbye is of interest.
            _ if !is_talking => self.answer_plain(ctx, asked, 481),
            _ if !unknown.is_empty() => self.answer_with(ctx, asked, 420, |writer| {
                writer.header(Name::Unsupported, unknown.join(", "));
                respond::explain(writer, ctx.settings, Refusal::ExtensionUnsupported);
            }),
            Method::Invite => self.on_reinvite(ctx, id.role(), asked),
            Method::Update => self.on_update(ctx, id.role(), asked),
            // Callees are sent nothing that they could confirm.
            Method::Prack if id.role() == Leg::Callee => self.answer_plain(ctx, asked, 481),
            Method::Prack => self.on_prack(ctx, asked),
            Method::Info => self.on_info(ctx, id.role(), asked),
            Method::Options => self.answer_plain(ctx, asked, 200),
            _ => self.answer_plain(ctx, asked, 405),
        }
    }

    /// Answers with a status and what explains it.
    pub(super) fn answer_plain(&self, ctx: &mut Context<'_>, asked: Asked<'_>, status: u16) {
        let settings = ctx.settings;
        let why = match status {
            405 => Some(Refusal::MethodNotAllowed),
            481 => Some(Refusal::NoSuchDialog),
            491 => Some(Refusal::RequestPending),
            500 => Some(Refusal::RequestOutOfOrder),
            // Another side's word, passed on.
            _ => None,
        };
        self.answer_with(ctx, asked, status, |writer| match why {
            Some(why) => respond::explain(writer, settings, why),
            None if status == 200 => {
                writer.header(Name::Allow, respond::ALLOW);
            }
            None => {}
        });
    }

    pub(super) fn refuse(&self, ctx: &mut Context<'_>, asked: Asked<'_>, why: Refusal) {
        let settings = ctx.settings;
        self.answer_with(ctx, asked, why.status(), |writer| respond::explain(writer, settings, why));
    }

    pub(super) fn answer_with(
        &self,
        ctx: &mut Context<'_>,
        asked: Asked<'_>,
        status: u16,
        add: impl FnOnce(&mut MessageWriter),
    ) {
        let mut writer = respond::response(ctx.settings, asked.request, status, None, asked.flow.peer);
        add(&mut writer);
        ctx.transactions.answer(ctx.now.monotonic, asked.server, status, writer.finish(), ctx.out);
    }

    pub(super) fn on_reinvite(&mut self, ctx: &mut Context<'_>, from: Leg, asked: Asked<'_>) {
        let Asked { server, request, flow } = asked;
        let is_ready =
            self.stage == Stage::Running && self.half(from).is_some_and(|leg| leg.phase == Phase::Confirmed);
        if !is_ready {
            return self.answer_plain(ctx, asked, 481);
        }
        match self.glare(ctx, from) {
            None => {}
            Some(Glare::BeforeAck) => return self.hold(ctx, from, asked),
            Some(glare) => return self.refuse_glare(ctx, asked, glare),
        }
        let Some(peer) = self.half(from).map(|leg| leg.peer) else { return };
        let offer = match read_offer(ctx, peer, request) {
            Ok(offer) => offer,
            Err(why) => return self.refuse(ctx, asked, why),
        };
        if let Err(why) = self.refresh_session(ctx, from, request) {
            return self.refuse(ctx, asked, why);
        }
        for leg in std::iter::once(&mut self.caller).chain(&mut self.callee) {
            leg.sdp.begin_exchange();
        }
        self.exchange = Some(Exchange::new(from, server, request.clone(), flow.peer, offer.clone()));
        if *request.method() == Method::Invite {
            self.send_provisional(ctx, 100, Said::Nothing);
        } else {
            // The asker's transaction ends after 64*T1, answered or not (RFC 3261 section 17.1.2.2).
            self.start_timer(ctx, CallTimer::Reinvite, ctx.settings.timers.give_up() / 2);
        }
        let is_echo = self.is_echo();
        match offer {
            Some(offer) if is_echo => self.describe(ctx, from, SdpRole::Offer, offer, Then::Echo),
            Some(offer) => self.describe(ctx, from, SdpRole::Offer, offer, Then::Offer),
            None if is_echo => self.offer_echo(ctx),
            None => self.send_reinvite(ctx, None),
        }
    }

    /// UPDATE (RFC 3311): with a description it is a re-INVITE in all but the ACK, and the other half gets one; without,
    /// it refreshes this leg's session and concerns nobody else.
    fn on_update(&mut self, ctx: &mut Context<'_>, from: Leg, asked: Asked<'_>) {
        let request = asked.request;
        if self.stage == Stage::Running && !request.body().is_empty() {
            return self.on_reinvite(ctx, from, asked);
        }
        let is_early_offer = !request.body().is_empty();
        if is_early_offer && !self.may_offer_early(from, request) {
            // Before the answer there is an offer under way already.
            let glare = self.glare(ctx, from).unwrap_or(Glare::WithUs);
            return self.refuse_glare(ctx, asked, glare);
        }
        if let Err(why) = self.refresh_session(ctx, from, request) {
            return self.refuse(ctx, asked, why);
        }
        if is_early_offer {
            return match Description::of(request) {
                Ok(Some(offer)) => self.on_early_offer(ctx, from, asked, offer),
                Ok(None) => self.accept_update(ctx, from, asked, None),
                Err(why) => self.refuse(ctx, asked, why),
            };
        }
        self.accept_update(ctx, from, asked, None);
    }

    /// The 200 to an UPDATE (RFC 3311 section 5.2), with the answer to its offer if it makes one.
    pub(super) fn accept_update(
        &mut self,
        ctx: &mut Context<'_>,
        from: Leg,
        asked: Asked<'_>,
        sdp: Option<&bytes::Bytes>,
    ) {
        let Some(leg) = self.half(from) else { return };
        let mut writer = respond::response(ctx.settings, asked.request, 200, None, asked.flow.peer);
        writer.header(Name::Contact, leg.dialog.contact());
        writer.header(Name::Allow, respond::ALLOW);
        writer.header(Name::Supported, respond::supported());
        leg.session.write_answer(asked.request, &mut writer);
        ctx.transactions.answer(ctx.now.monotonic, asked.server, 200, finish(writer, sdp), ctx.out);
        self.watch_session(ctx, from);
    }

    /// A target refresh request has come: take over Contact and session interval.
    fn refresh_session(&mut self, ctx: &Context<'_>, from: Leg, request: &Message) -> Result<(), Refusal> {
        let Some(leg) = self.half(from) else { return Ok(()) };
        let from = request.from();
        leg.far_end(from.as_ref().and_then(|from| from.tag())).refresh_target(request);
        leg.session.on_request(&ctx.settings.calls, request)
    }

    /// Passes the exchange's re-INVITE on to the other half.
    pub(super) fn send_reinvite(&mut self, ctx: &mut Context<'_>, sdp: Option<&bytes::Bytes>) {
        let (uid, stage) = (self.uid, self.stage);
        let Some(to) = self.exchange.as_ref().map(|exchange| exchange.from.other()) else { return };
        let Some(leg) = self.half(to) else { return };
        let mut draft = leg.begin(ctx, Method::Invite);
        draft.writer.header(Name::Allow, respond::ALLOW);
        draft.writer.header(Name::Supported, if sdp.is_some() { "100rel, timer" } else { "timer" });
        leg.session.write_request(&ctx.settings.calls, stage, &mut draft.writer);
        let client = leg.send(ctx, uid, Purpose::Reinvite, draft, sdp);
        leg.reinvite = Some(client);
        leg.is_late = sdp.is_none();
        leg.cancel_owed = None;
        if let Some(exchange) = &mut self.exchange {
            exchange.client = Some(client);
        }
        if !self.is_timed(CallTimer::Reinvite) {
            self.start_timer(ctx, CallTimer::Reinvite, ctx.settings.calls.no_answer);
        }
    }

    /// The other half has said 100 and nothing more: the asker must not wait for ever, and the call goes on as it was.
    pub(super) fn on_reinvite_overdue(&mut self, ctx: &mut Context<'_>) {
        self.abandon_exchange(ctx, Refusal::OtherSideSlow);
    }

    /// A later offer comes to nothing, and the call goes on as it was: the asker is refused, and the other half told so, by
    /// CANCEL, or by what was agreed if it has accepted already.
    pub(super) fn abandon_exchange(&mut self, ctx: &mut Context<'_>, why: Refusal) {
        let uid = self.uid;
        let Some(exchange) = self.exchange.as_ref().filter(|exchange| !exchange.is_answered) else { return };
        let (to, client) = (exchange.from.other(), exchange.client);
        self.forget_media_jobs();
        self.roll_back_media(ctx);
        self.refuse_exchange(ctx, why.status(), |writer| respond::explain(writer, ctx.settings, why));
        let (Some(client), Some(leg)) = (client, self.half(to)) else { return };
        if ctx.transactions.awaits_final(client) {
            return teardown::cancel(ctx, uid, leg, client, Reasons::ours(why));
        }
        if let Some(response) = leg.their_2xx.take_owed() {
            leg.ack_and_decline(ctx, &response);
        }
        self.restate(ctx, to);
    }

    pub(super) fn on_reinvite_response(&mut self, ctx: &mut Context<'_>, id: LegId, response: &Message) {
        let half = id.role();
        let is_awaited = self.exchange.as_ref().is_some_and(|e| e.from == half.other() && !e.is_answered);
        match response.status() {
            100..=199 => self.send_cancel(ctx, id),
            200..=299 if is_awaited && self.stage == Stage::Running => {
                let Some(leg) = self.half(half).filter(|leg| leg.is_new_2xx(ctx, response)) else { return };
                leg.dialog.far.refresh_target(response);
                leg.session.on_answer(response);
                self.watch_session(ctx, half);
                let early = self.exchange.as_mut().and_then(|exchange| exchange.early_answer.take());
                self.pass_2xx(ctx, half, response, early.map_or(Earlier::Nothing, Earlier::Heard));
            }
            200..=299 => self.on_stray_reinvite_answer(ctx, id, response),
            status => self.on_reinvite_failed(ctx, id, status, Some(response)),
        }
    }

    /// The asker takes its re-INVITE back: the other half decides, since its 200 may be on its way.
    pub(super) fn cancel_reinvite(&mut self, ctx: &mut Context<'_>, server: ServerKey, cancel: &Message) {
        if let Some(held) = self.held.take_if(|held| held.is(server)) {
            self.stop_timer(ctx, CallTimer::Held);
            return self.refuse(ctx, held.asked(), Refusal::RequestWithdrawn);
        }
        let uid = self.uid;
        let Some(exchange) = self.exchange.as_mut().filter(|e| e.server == server && !e.is_answered) else {
            return;
        };
        exchange.is_cancelled = true;
        let (from, client) = (exchange.from, exchange.client);
        let reasons = self.reasons_of(ctx, from, cancel);
        match (client, self.half(from.other())) {
            (Some(client), Some(leg)) => teardown::cancel(ctx, uid, leg, client, reasons),
            _ => {
                self.forget_media_jobs();
                self.roll_back_media(ctx);
                let settings = ctx.settings;
                self.refuse_exchange(ctx, 487, |writer| {
                    respond::explain(writer, settings, Refusal::RequestWithdrawn)
                });
            }
        }
    }

    /// A re-INVITE of ours that was given up has been accepted after all; without its ACK the 2xx would be repeated for
    /// 64*T1. The asker was told that nothing changes, so that is said to the other half as well.
    fn on_stray_reinvite_answer(&mut self, ctx: &mut Context<'_>, id: LegId, response: &Message) {
        let Some(leg) = self.leg(id).filter(|leg| leg.is_new_2xx(ctx, response)) else { return };
        leg.ack_alone(ctx, response);
        if self.stage == Stage::Running && self.exchange.is_none() {
            self.restate(ctx, id.role());
        }
    }

    /// The other half refused the re-INVITE: the call goes on as it was, unless the half is gone.
    pub(super) fn on_reinvite_failed(
        &mut self,
        ctx: &mut Context<'_>,
        id: LegId,
        status: u16,
        response: Option<&Message>,
    ) {
        let half = id.role();
        let Some(exchange) = self.exchange.as_ref().filter(|exchange| exchange.from == half.other()) else {
            // The asker has been told; that the half is gone still counts.
            return self.end_if_gone(ctx, status);
        };
        let is_cancelled = exchange.is_cancelled;
        self.roll_back_media(ctx);
        let settings = ctx.settings;
        if is_cancelled && matches!(status, 401 | 407) {
            // The challenge crossed the CANCEL, and is not answered any more.
            let why = Refusal::RequestWithdrawn;
            return self.refuse_exchange(ctx, why.status(), |w| respond::explain(w, settings, why));
        }
        if let Some(why) = self.hides(id, status) {
            return self.refuse_exchange(ctx, why.status(), |w| respond::explain(w, settings, why));
        }
        let reasons = response.map(|response| self.reasons_of(ctx, half, response)).unwrap_or_default();
        self.refuse_exchange(ctx, status, |writer| {
            match status {
                487 if is_cancelled => {
                    let why = Refusal::RequestWithdrawn;
                    respond::explain_with(writer, settings, (why, status), &reasons);
                }
                _ => pass_refusal(writer, settings, status, &reasons),
            }
            if let Some(value) = response.and_then(|response| response.header(Name::RetryAfter)) {
                writer.header(Name::RetryAfter, value);
            }
        });
        self.end_if_gone(ctx, status);
    }

    /// The other half never answered the re-INVITE. One that is being sought is not gone: the call goes on as it was.
    pub(super) fn on_reinvite_unanswered(&mut self, ctx: &mut Context<'_>, id: LegId) {
        let half = id.role();
        if !self.is_sought(half) {
            return self.on_reinvite_failed(ctx, id, 408, None);
        }
        if self.exchange.as_ref().is_some_and(|exchange| exchange.from == half.other()) {
            let (settings, why) = (ctx.settings, Refusal::OtherSideLost);
            self.roll_back_media(ctx);
            self.refuse_exchange(ctx, why.status(), |writer| respond::explain(writer, settings, why));
        }
    }

    /// Ends a running call of which one half says that it knows it no more, or says nothing.
    pub(super) fn end_if_gone(&mut self, ctx: &mut Context<'_>, status: u16) {
        if let (Some(why), Stage::Running) = (gone(status), self.stage) {
            self.end_refused(ctx, why);
        }
    }

    /// The call is over: a request that still waits for its answer gets 487 (RFC 3261 section 15.1.2).
    pub(super) fn refuse_pending(&mut self, ctx: &mut Context<'_>) {
        self.refuse_forwards(ctx, Refusal::CallOver);
        if let Some(held) = self.held.take() {
            self.refuse(ctx, held.asked(), Refusal::CallOver);
        }
        let settings = ctx.settings;
        self.refuse_exchange(ctx, 487, |writer| respond::explain(writer, settings, Refusal::CallOver));
    }
}

/// Only 408, which stands for silence too, and 481 say that the dialog itself is dead (RFC 3261 section 12.2.1.2).
fn gone(status: u16) -> Option<Refusal> {
    match status {
        408 => Some(Refusal::SideSilent),
        481 => Some(Refusal::CallForgotten),
        _ => None,
    }
}

/// Writes what a refusal of the other half says.
pub(super) fn pass_refusal(writer: &mut MessageWriter, settings: &Settings, status: u16, reasons: &Reasons) {
    match gone(status) {
        Some(why) => respond::explain_with(writer, settings, (why, status), reasons),
        None => reasons.write(writer),
    }
}
