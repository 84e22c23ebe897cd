//! One leg: a dialog with a peer, its descriptions, and how far it has come.

use std::time::Instant;

use bytes::Bytes;

use super::acks::{Acks, AfterAck, AwaitsAck, Known};
use super::credentials::Credentials;
use super::early::{EarlyDialog, EarlyDialogs};
use super::exchange::{Description, Earlier};
use super::reliable::Reliable;
use super::session::SessionTimer;
use super::{Context, LegId, Purpose, Reasons};
use crate::call::ClientUser;
use crate::dialog::{self, Dialog, FarEnd};
use crate::directory::{Authentication, Peer};
use crate::message::{self, Message, MessageWriter, Method};
use crate::sdp::{LegSdp, SessionDescription, sdp_body};
use crate::transaction::{ClientKey, Outgoing};
use crate::types::{CallUid, Flow, Transport};

/// How far a leg has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// INVITE received or sent, no final answer.
    Early,
    /// Answered with a 2xx.
    Confirmed,
    /// CANCEL or BYE sent, or BYE owed after the ACK; its answer is outstanding.
    Closing,
    /// Nothing more to come.
    Closed,
}

/// One leg of a call.
#[derive(Debug)]
pub(crate) struct CallLeg {
    pub(crate) id: LegId,
    pub(crate) peer: Peer,
    /// Whether it is another device's answer to the same INVITE, hung up at once.
    pub(crate) is_fork: bool,
    /// Before the answer to our INVITE the dialog has no far end but the target.
    pub(crate) dialog: Dialog,
    /// The dialogs with the devices that ring, until one answers.
    pub(crate) early: EarlyDialogs,
    pub(crate) credentials: Credentials,
    pub(crate) sdp: LegSdp,
    /// What the peer has said last of its media, of what was agreed.
    pub(crate) said: Option<Description>,
    pub(crate) session: SessionTimer,
    pub(crate) phase: Phase,
    /// Our first INVITE, while it runs.
    pub(crate) invite: Option<ClientKey>,
    /// Our latest INVITE within the call.
    pub(crate) reinvite: Option<ClientKey>,
    /// Our latest INVITE, the first or a later one, makes no offer: the ACK to its 2xx must carry an answer.
    pub(crate) is_late: bool,
    /// Our latest refresh of the session.
    pub(crate) session_refresh: Option<ClientKey>,
    /// A CANCEL is owed, with these Reasons, as soon as a provisional response allows it.
    pub(crate) cancel_owed: Option<Reasons>,
    /// Our provisional responses to the leg's first INVITE, if it can confirm them.
    pub(crate) reliable: Option<Reliable>,
    /// The last reliable response to a later INVITE of ours: the INVITE's number, and its own.
    pub(crate) confirmed: Option<(u32, u32)>,
    /// Our 2xx that waits for its ACK.
    pub(crate) our_2xx: Option<AwaitsAck>,
    /// The peer's 2xx and our ACKs to them.
    pub(crate) their_2xx: Acks,
    /// While its connection is lost and no new one has brought a word: until when that may last.
    pub(crate) sought_until: Option<Instant>,
}

/// A request of a leg that is being written.
pub(crate) struct Draft {
    method: Method,
    branch: String,
    flow: Flow,
    pub(crate) writer: MessageWriter,
}

impl CallLeg {
    pub(crate) fn new(ctx: &mut Context<'_>, id: LegId, peer: Peer, dialog: Dialog) -> Self {
        Self {
            id,
            peer,
            is_fork: false,
            dialog,
            early: EarlyDialogs::default(),
            credentials: Credentials::of(ctx.directory, peer),
            // RFC 4566 section 5.2 counts sessions in 64 bits; some parsers read them signed.
            sdp: LegSdp::new(ctx.rng.next_u64() >> 1),
            said: None,
            session: SessionTimer::new(&ctx.settings.calls),
            phase: Phase::Early,
            invite: None,
            reinvite: None,
            is_late: false,
            session_refresh: None,
            cancel_owed: None,
            reliable: None,
            confirmed: None,
            our_2xx: None,
            their_2xx: Acks::default(),
            sought_until: None,
        }
    }

    /// Whether nothing more comes on this leg: a re-INVITE that the goodbye overtook still gets its ACK.
    pub(crate) fn is_closed(&self, ctx: &Context<'_>) -> bool {
        self.phase == Phase::Closed && !self.reinvite.is_some_and(|key| ctx.transactions.awaits_final(key))
    }

    /// Whether a request within the dialog may come this way: from the host we talk to, for a carrier from any of its
    /// addresses or the host that its requests go to, for a PBX that moved over the flow that it has registered since, or
    /// with its certificate. An address may be several peers', and the tags tell whose call it is. Anybody else could only
    /// have guessed or seen the tags. What was said in secret is not answered in the clear.
    pub(crate) fn is_from_peer(&self, ctx: &Context<'_>, flow: Flow) -> bool {
        if self.dialog.flow.transport.is_more_secret_than(flow.transport) {
            return false;
        }
        let same_host = self.dialog.flow.peer.ip() == flow.peer.ip();
        let is_bound = || ctx.registrar.profiles_at(flow).any(|profile| Peer::Profile(profile) == self.peer);
        same_host || ctx.is_known_at(self.peer, flow) || is_bound() || self.is_named_by_carrier(ctx, flow)
    }

    /// Whether a carrier has said that it is there: it answers from one host, and names another in the Contact or the
    /// Record-Route of a call that is answered (RFC 3261 section 12.1). Of a PBX only its own address is believed.
    fn is_named_by_carrier(&self, ctx: &Context<'_>, flow: Flow) -> bool {
        matches!(self.peer, Peer::Carrier(_))
            && self.phase != Phase::Early
            && self.dialog.flow_out(ctx.settings).peer.ip() == flow.peer.ip()
    }

    /// The peer speaks from there now.
    pub(crate) fn follow(&mut self, flow: Flow) {
        self.dialog.flow = flow;
        self.sought_until = None;
    }

    /// Begins a request within the dialog, with the proofs that the peer has asked for.
    pub(crate) fn begin(&mut self, ctx: &mut Context<'_>, method: Method) -> Draft {
        self.follow_binding(ctx);
        let branch = ctx.rng.branch();
        let mut writer = self.dialog.request(&method, &branch, ctx.settings);
        let uri = self.dialog.far.request_uri();
        self.credentials.write(&mut writer, &method, &uri, ctx.rng);
        Draft { method, branch, flow: self.dialog.flow_out(ctx.settings), writer }
    }

    /// Begins a request to the device with this tag, while it rings or once it has answered.
    pub(crate) fn begin_to(
        &mut self,
        ctx: &mut Context<'_>,
        tag: Option<&str>,
        method: Method,
    ) -> Option<Draft> {
        let Some(early) = self.early.find(tag) else {
            return self.dialog.is_remote_tag(tag).then(|| self.begin(ctx, method));
        };
        let branch = ctx.rng.branch();
        let mut writer = self.dialog.request_to(&mut early.far, &method, &branch, ctx.settings);
        let uri = early.far.request_uri();
        self.credentials.write(&mut writer, &method, &uri, ctx.rng);
        Some(Draft { method, branch, flow: self.dialog.flow_out_to(&early.far, ctx.settings), writer })
    }

    /// Sends a request of this leg, with a description or without a body.
    pub(crate) fn send(
        &self,
        ctx: &mut Context<'_>,
        call: CallUid,
        purpose: Purpose,
        draft: Draft,
        sdp: Option<&Bytes>,
    ) -> ClientKey {
        let bytes = finish(draft.writer, sdp);
        self.transmit(ctx, call, purpose, (&draft.method, &draft.branch, draft.flow), bytes)
    }

    /// Sends a request of this leg with a body of any kind.
    pub(crate) fn send_body(
        &self,
        ctx: &mut Context<'_>,
        call: CallUid,
        purpose: Purpose,
        draft: Draft,
        (kind, body): (&str, &[u8]),
    ) -> ClientKey {
        let bytes = draft.writer.finish_with_body(kind, body);
        self.transmit(ctx, call, purpose, (&draft.method, &draft.branch, draft.flow), bytes)
    }

    fn transmit(
        &self,
        ctx: &mut Context<'_>,
        call: CallUid,
        purpose: Purpose,
        (method, branch, flow): (&Method, &str, Flow),
        bytes: Bytes,
    ) -> ClientKey {
        let user = ClientUser { call, leg: self.id, purpose };
        let request = Outgoing { flow, method, branch, bytes, user };
        ctx.transactions.request(ctx.now.monotonic, request, ctx.out)
    }

    /// Sends a request that was refused for want of something once more, to the far end that refused it.
    pub(crate) fn send_again(
        &mut self,
        ctx: &mut Context<'_>,
        call: CallUid,
        purpose: Purpose,
        (refused, refusal): (&Bytes, &Message),
    ) -> Option<ClientKey> {
        self.follow_binding(ctx);
        let refused = message::lex(refused.clone(), message::Transport::Datagram).ok()?;
        let tag = refusal.to().and_then(|to| to.tag().map(str::to_owned));
        let (cseq, flow) = match self.early.find(tag.as_deref()) {
            Some(early) => (early.far.next_cseq(), self.dialog.flow_out_to(&early.far, ctx.settings)),
            None => (self.dialog.far.next_cseq(), self.dialog.flow_out(ctx.settings)),
        };
        let (method, branch) = (refused.method(), ctx.rng.branch());
        let proofs = self.credentials.shown(method, refused.request_uri(), ctx.rng);
        let via = dialog::via(ctx.settings, &flow, &branch);
        let bytes = dialog::again(&refused, cseq, &via, &proofs);
        Some(self.transmit(ctx, call, purpose, (method, &branch, flow), bytes))
    }

    /// Whether it goes over the connection of this flow.
    pub(crate) fn goes_over(&self, flow: Flow) -> bool {
        let own = self.dialog.flow;
        match own.connection {
            Some(_) => own.connection == flow.connection,
            None => own.transport.is_reliable() && (own.transport, own.peer) == (flow.transport, flow.peer),
        }
    }

    /// Its connection is gone: the next request needs another one, to where the peer listens if it does.
    pub(crate) fn lose_connection(&mut self, ctx: &Context<'_>) {
        // A connection that we opened led to where the peer listens.
        if self.dialog.flow.connection.take().is_some() && self.listens(ctx) {
            self.dialog.flow.peer = self.dialog.listening_at();
        }
    }

    /// Whether a connection to the peer can be opened: to carriers and PBXs known by their address, and to a PBX that
    /// registers if it names itself as its packets do, so that there is no NAT between us.
    fn listens(&self, ctx: &Context<'_>) -> bool {
        let profile = self.peer.profile().and_then(|id| ctx.directory.profile(id));
        match profile.map(|profile| &profile.authentication) {
            Some(Authentication::Registration { .. }) => self.dialog.names_its_host(),
            Some(Authentication::Ip { .. }) | None => true,
        }
    }

    /// Whether the next request has a way to the peer.
    pub(crate) fn finds_way(&mut self, ctx: &Context<'_>) -> bool {
        self.follow_binding(ctx);
        let flow = self.dialog.flow;
        let has_way = !flow.transport.is_reliable() || flow.connection.is_some();
        if let Some(answer) = self.our_2xx.as_mut().filter(|_| has_way) {
            answer.flow = flow;
        }
        has_way || self.listens(ctx)
    }

    /// Whether a refresh of the session by us is under way.
    pub(crate) fn is_refreshing(&self, ctx: &Context<'_>) -> bool {
        self.session_refresh.is_some_and(|key| ctx.transactions.awaits_final(key))
    }

    /// A PBX whose connection was lost is found again where it has registered since, or shown its certificate, but not in
    /// the clear if it was not there before.
    fn follow_binding(&mut self, ctx: &Context<'_>) {
        let flow = self.dialog.flow;
        if let Peer::Profile(profile) = self.peer
            && flow.transport.is_reliable()
            && flow.connection.is_none()
            && let Some(way) = ctx.way_to(profile)
            && (flow.transport != Transport::Tls || way.transport == Transport::Tls)
        {
            self.dialog.flow = way;
        }
    }

    /// The far end that a response or request speaks for, while we do not know yet who will answer.
    pub(crate) fn far_end(&mut self, tag: Option<&str>) -> &mut FarEnd {
        match self.early.find(tag) {
            Some(early) => &mut early.far,
            None => &mut self.dialog.far,
        }
    }

    /// A 2xx to our first INVITE says who the far end is. Gives what this device has said of its media before.
    pub(crate) fn confirm(&mut self, response: &Message) -> Earlier {
        let tag = response.to().and_then(|to| to.tag().map(str::to_owned));
        let early = self.early.take(tag.as_deref());
        self.early.clear();
        self.invite = None;
        let (known, earlier) = match early {
            Some(EarlyDialog { far, description: Some(said), is_agreed: true, .. }) => {
                (far, Earlier::Agreed(said))
            }
            Some(EarlyDialog { far, description: Some(said), .. }) => (far, Earlier::Heard(said)),
            Some(EarlyDialog { far, .. }) => (far, Earlier::Nothing),
            None => (self.dialog.far.clone(), Earlier::Nothing),
        };
        self.dialog.far = known.learned(response);
        earlier
    }

    /// Acknowledges a 2xx from which nothing follows. If our INVITE made no offer, the 2xx does, and the ACK must answer it.
    pub(crate) fn ack_alone(&mut self, ctx: &mut Context<'_>, response: &Message) {
        if self.is_late {
            self.ack_and_decline(ctx, response);
        } else {
            self.ack(ctx, response, None);
        }
    }

    /// Acknowledges a 2xx to an INVITE of ours without an offer, from which nothing follows: what it offers is declined,
    /// since the ACK must carry an answer (RFC 3261 section 13.2.2.4).
    pub(crate) fn ack_and_decline(&mut self, ctx: &mut Context<'_>, response: &Message) {
        let body = sdp_body(response).ok().flatten();
        let offer = body.and_then(|body| SessionDescription::parse(&body).ok());
        self.ack(ctx, response, offer.map(|offer| offer.declined()).as_ref());
    }

    /// Acknowledges a 2xx to our INVITE and keeps the ACK for its retransmissions.
    pub(crate) fn ack(&mut self, ctx: &mut Context<'_>, response: &Message, sdp: Option<&Bytes>) {
        let Some((cseq, _)) = response.cseq() else { return };
        self.follow_binding(ctx);
        let branch = ctx.rng.branch();
        let mut writer = self.dialog.ack(cseq, &branch, ctx.settings);
        self.credentials.write(&mut writer, &Method::Ack, "", ctx.rng);
        let (bytes, flow) = (finish(writer, sdp), self.dialog.flow_out(ctx.settings));
        ctx.out.send(flow, bytes.clone());
        let lasts = ctx.settings.timers.give_up();
        self.their_2xx.sent(ctx.now.monotonic, lasts, cseq, bytes, flow);
    }

    /// A 2xx whose ACK must wait for the answer to its offer.
    pub(crate) fn owe_ack(&mut self, ctx: &Context<'_>, response: &Message) {
        let Some((cseq, _)) = response.cseq() else { return };
        let lasts = ctx.settings.timers.give_up();
        self.their_2xx.owe(ctx.now.monotonic, lasts, cseq, response.clone());
    }

    /// Whether a 2xx to an INVITE of ours has not come before; one that has gets its ACK again, if that was sent.
    pub(crate) fn is_new_2xx(&self, ctx: &mut Context<'_>, response: &Message) -> bool {
        let Some((cseq, _)) = response.cseq() else { return false };
        match self.their_2xx.find(cseq) {
            Known::Not => true,
            Known::Owed => false,
            Known::Acknowledged(bytes, flow) => {
                ctx.out.send(flow, bytes.clone());
                false
            }
        }
    }

    /// Acknowledges a 2xx from which nothing follows.
    pub(crate) fn acknowledge_only(&mut self, ctx: &mut Context<'_>, response: &Message) {
        if self.is_new_2xx(ctx, response) {
            self.ack_alone(ctx, response);
        }
    }

    /// The call ends: what the peer has said to our INVITE is acknowledged, and it need not say more.
    pub(crate) fn let_go(&mut self, ctx: &mut Context<'_>) {
        // The first INVITE may be unanswered too: a callee whose 2xx was lost says goodbye in the end.
        for invite in [self.invite, self.reinvite].into_iter().flatten() {
            ctx.transactions.abandon(ctx.now.monotonic, invite, ctx.out);
        }
        if let Some(response) = self.their_2xx.take_owed() {
            self.ack_and_decline(ctx, &response);
        }
    }

    /// Says goodbye to a confirmed leg, or promises to once the ACK to our 2xx has come (RFC 3261 section 15).
    pub(crate) fn hang_up(&mut self, ctx: &mut Context<'_>, call: CallUid, reasons: Reasons) {
        self.phase = Phase::Closing;
        self.let_go(ctx);
        match &mut self.our_2xx {
            Some(answer) => answer.after_ack = AfterAck::Bye { reasons },
            None => self.send_bye(ctx, call, reasons),
        }
    }

    pub(crate) fn send_bye(&mut self, ctx: &mut Context<'_>, call: CallUid, reasons: Reasons) {
        let bye = self.bye(ctx, reasons);
        self.send(ctx, call, Purpose::Bye, bye, None);
    }

    /// Says goodbye to a leg of whose peer there was no sign, which may be nobody: without a transaction, which would
    /// repeat it ten times (RFC 3261 section 17.1.2.1). A peer that misses it is told by the 481 to its next request.
    pub(crate) fn send_bye_once(&mut self, ctx: &mut Context<'_>, reasons: Reasons) {
        let Draft { flow, writer, .. } = self.bye(ctx, reasons);
        ctx.out.send(flow, finish(writer, None));
        self.phase = Phase::Closed;
    }

    fn bye(&mut self, ctx: &mut Context<'_>, reasons: Reasons) -> Draft {
        let mut bye = self.begin(ctx, Method::Bye);
        reasons.write(&mut bye.writer);
        bye
    }
}

/// Finishes a message with a description, or without a body.
pub(crate) fn finish(writer: MessageWriter, sdp: Option<&Bytes>) -> Bytes {
    match sdp {
        Some(sdp) => writer.finish_with_body("application/sdp", sdp),
        None => writer.finish(),
    }
}
