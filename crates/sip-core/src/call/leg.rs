//! One leg: a dialog with a peer, its descriptions, and how far it has come.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::session::SessionTimer;
use super::{Context, LegId, Purpose};
use crate::call::ClientUser;
use crate::dialog::{Dialog, SentAck};
use crate::directory::{Authentication, Peer};
use crate::message::{Message, MessageWriter, Method, Name};
use crate::sdp::LegSdp;
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
    pub(crate) dialog: Dialog,
    pub(crate) sdp: LegSdp,
    pub(crate) session: SessionTimer,
    pub(crate) phase: Phase,
    /// Our first INVITE, while it runs.
    pub(crate) invite: Option<ClientKey>,
    /// Our latest INVITE within the call.
    pub(crate) reinvite: Option<ClientKey>,
    /// Our latest refresh of the session.
    pub(crate) session_refresh: Option<ClientKey>,
    /// A CANCEL is owed as soon as a provisional response allows it.
    pub(crate) cancel_owed: bool,
    /// Our 2xx that waits for its ACK.
    pub(crate) unacked: Option<Unacked>,
    /// The Reason of the BYE that is owed once that ACK has come.
    pub(crate) bye_owed: Option<Option<String>>,
    /// A 2xx with a late offer, whose ACK must wait for the other leg's answer.
    pub(crate) unacknowledged: Option<Message>,
    /// The ACK we sent last, for 2xx that come again.
    pub(crate) last_ack: Option<SentAck>,
    /// While its connection is lost and no new one has brought a word: until when that may last.
    pub(crate) sought_until: Option<Instant>,
}

/// A 2xx of ours on its way to its ACK (RFC 3261 section 13.3.1.4).
#[derive(Debug)]
pub(crate) struct Unacked {
    pub(crate) cseq: u32,
    pub(crate) bytes: Bytes,
    pub(crate) flow: Flow,
    pub(crate) interval: Duration,
}

impl CallLeg {
    pub(crate) fn new(ctx: &mut Context<'_>, id: LegId, peer: Peer, dialog: Dialog) -> Self {
        Self {
            id,
            peer,
            dialog,
            // RFC 4566 section 5.2 counts sessions in 64 bits; some parsers read them signed.
            sdp: LegSdp::new(ctx.rng.next_u64() >> 1),
            session: SessionTimer::new(&ctx.settings.calls),
            phase: Phase::Early,
            invite: None,
            reinvite: None,
            session_refresh: None,
            cancel_owed: false,
            unacked: None,
            bye_owed: None,
            unacknowledged: None,
            last_ack: None,
            sought_until: None,
        }
    }

    /// Whether nothing more comes on this leg: a re-INVITE that the goodbye overtook still gets its ACK.
    pub(crate) fn is_closed(&self, ctx: &Context<'_>) -> bool {
        self.phase == Phase::Closed && !self.reinvite.is_some_and(|key| ctx.transactions.awaits_final(key))
    }

    /// Whether a request within the dialog may come this way: from the host we talk to, for a carrier from any of its
    /// addresses, for a PBX that moved over the flow that it has registered since, or with its certificate. Anybody else
    /// could only have guessed or seen the tags.
    pub(crate) fn is_from_peer(&self, ctx: &Context<'_>, flow: Flow) -> bool {
        let same_host = self.dialog.flow.peer.ip() == flow.peer.ip();
        let is_bound = || ctx.registrar.profiles_at(flow).any(|profile| Peer::Profile(profile) == self.peer);
        same_host || ctx.known_peer(flow) == Some(self.peer) || is_bound()
    }

    /// Sends a finished request of this leg.
    pub(crate) fn send(
        &mut self,
        ctx: &mut Context<'_>,
        call: CallUid,
        (method, purpose): (Method, Purpose),
        branch: &str,
        bytes: Bytes,
    ) -> ClientKey {
        let user = ClientUser { call, leg: self.id, purpose };
        self.follow_binding(ctx);
        let flow = self.dialog.flow_out();
        let request = Outgoing { flow, method: &method, branch, bytes, user };
        ctx.transactions.request(ctx.now.monotonic, request, ctx.out)
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
        if let Some(unacked) = self.unacked.as_mut().filter(|_| has_way) {
            unacked.flow = flow;
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

    /// Acknowledges a 2xx to our INVITE and keeps the ACK for its retransmissions.
    pub(crate) fn ack(&mut self, ctx: &mut Context<'_>, response: &Message, sdp: Option<&Bytes>) {
        let Some((cseq, _)) = response.cseq() else { return };
        self.follow_binding(ctx);
        let branch = ctx.rng.branch();
        let writer = self.dialog.ack(cseq, &branch, ctx.settings);
        let bytes = finish(writer, sdp);
        let flow = self.dialog.flow_out();
        ctx.out.send(flow, bytes.clone());
        self.last_ack = Some(SentAck { cseq, bytes, flow });
    }

    /// Repeats the ACK if this is a 2xx that was acknowledged before.
    pub(crate) fn repeat_ack(&self, ctx: &mut Context<'_>, response: &Message) {
        let number = response.cseq().map(|(number, _)| number);
        if let Some(sent) = self.last_ack.as_ref().filter(|sent| Some(sent.cseq) == number) {
            ctx.out.send(sent.flow, sent.bytes.clone());
        }
    }

    /// The call ends: what the peer has said to our INVITE is acknowledged, and it need not say more.
    pub(crate) fn let_go(&mut self, ctx: &mut Context<'_>) {
        // The first INVITE may be unanswered too: a callee whose 2xx was lost says goodbye in the end.
        for invite in [self.invite, self.reinvite].into_iter().flatten() {
            ctx.transactions.abandon(ctx.now.monotonic, invite, ctx.out);
        }
        if let Some(response) = self.unacknowledged.take() {
            self.ack(ctx, &response, None);
        }
    }

    /// Says goodbye to a confirmed leg, or promises to once the ACK to our 2xx has come (RFC 3261 section 15).
    pub(crate) fn hang_up(&mut self, ctx: &mut Context<'_>, call: CallUid, reason: Option<String>) {
        self.phase = Phase::Closing;
        self.let_go(ctx);
        if self.unacked.is_some() {
            self.bye_owed = Some(reason);
        } else {
            self.send_bye(ctx, call, reason);
        }
    }

    pub(crate) fn send_bye(&mut self, ctx: &mut Context<'_>, call: CallUid, reason: Option<String>) {
        let branch = ctx.rng.branch();
        let mut writer = self.dialog.request(&Method::Bye, &branch, ctx.settings);
        if let Some(reason) = reason {
            writer.header(Name::Reason, reason);
        }
        self.send(ctx, call, (Method::Bye, Purpose::Bye), &branch, writer.finish());
    }
}

/// Finishes a message with a description, or without a body.
pub(crate) fn finish(writer: MessageWriter, sdp: Option<&Bytes>) -> Bytes {
    match sdp {
        Some(sdp) => writer.finish_with_body("application/sdp", sdp),
        None => writer.finish(),
    }
}
