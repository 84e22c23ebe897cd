//! Other answers to an INVITE of ours than the one that got the call: accepted and hung up, each in a dialog of its own
//! (RFC 3261 section 13.2.2.4). Left alone they would be repeated for 64*T1, and a carrier would charge for them.

use bytes::Bytes;

use super::answer::is_answer;
use super::credentials::Credentials;
use super::{Call, CallLeg, ClientUser, Context, LegId, Purpose, Reasons};
use crate::dialog::{self, Dialog};
use crate::directory::Peer;
use crate::limits::EARLY_DIALOGS_PER_INVITE;
use crate::message::{self, Message, Method, Name};
use crate::transaction::Outgoing;
use crate::types::{CallUid, Flow};

impl Call {
    /// Whether a 2xx comes from another device behind the callee than the one whose 2xx came first.
    pub(super) fn is_of_another_device(&mut self, id: LegId, response: &Message) -> bool {
        let to = response.to();
        // Without a tag there is no telling, and one device is all that is known.
        let Some(tag) = to.as_ref().and_then(|to| to.tag()) else { return false };
        self.leg(id).is_some_and(|leg| !leg.dialog.is_remote_tag(Some(tag)))
    }

    /// One call has one callee: a second device that answered as well gets ACK and BYE.
    pub(super) fn reject_fork(&mut self, ctx: &mut Context<'_>, id: LegId, response: &Message) {
        let uid = self.uid;
        if let Some(fork) = self.fork_of(id, response) {
            return fork.acknowledge_only(ctx, response);
        }
        let rejected = self.abandoned.iter().filter(|leg| leg.is_fork).count();
        let fork_id = LegId::Callee(self.callees + 1);
        let Some(leg) = self.leg(id) else { return };
        let dialog = leg.dialog.with(leg.dialog.far.learned(response));
        if rejected >= EARLY_DIALOGS_PER_INVITE {
            let user = ClientUser { call: uid, leg: id, purpose: Purpose::Stray };
            return hang_up_at_once(ctx, user, dialog, response);
        }
        let (peer, credentials, is_late) = (leg.peer, leg.credentials.clone(), leg.is_late);
        let mut fork = CallLeg { credentials, is_fork: true, ..CallLeg::new(ctx, fork_id, peer, dialog) };
        // The INVITE's own leg knows whether it made an offer.
        if is_late {
            fork.ack_and_decline(ctx, response)
        } else {
            fork.ack(ctx, response, None)
        }
        fork.hang_up(ctx, uid, Reasons::none());
        self.callees += 1;
        self.abandoned.push(fork);
    }

    /// The rejected device that a message of a leg's INVITE comes from.
    fn fork_of(&mut self, id: LegId, message: &Message) -> Option<&mut CallLeg> {
        let local_tag = self.leg(id)?.dialog.local_tag.clone();
        let address = if message.is_request() { message.from() } else { message.to() };
        let tag = address.as_ref().and_then(|address| address.tag());
        let is_meant = |leg: &&mut CallLeg| {
            leg.is_fork && leg.dialog.local_tag == local_tag && leg.dialog.far.tag() == tag
        };
        self.abandoned.iter_mut().find(is_meant)
    }

    /// The leg that a request within one of our dialogs belongs to: devices that answered the same INVITE share our tag.
    pub(super) fn leg_of(&mut self, id: LegId, request: &Message) -> LegId {
        let from = request.from();
        let tag = from.as_ref().and_then(|from| from.tag());
        match self.leg(id) {
            Some(leg) if !leg.dialog.is_remote_tag(tag) => {
                self.fork_of(id, request).map_or(id, |fork| fork.id)
            }
            _ => id,
        }
    }
}

/// Accepts and ends an answer that comes when its call is over: another device's, or one whose ACK was lost.
pub(crate) fn hang_up_stray(ctx: &mut Context<'_>, call: CallUid, flow: Flow, response: &Message) {
    let dialog = Dialog::of_stray_answer(response, flow, ctx.settings.calls.max_forwards);
    // Each answer opens a transaction, and whoever sends it chooses how many it sends.
    if let Some(dialog) = dialog.filter(|_| is_answer(response) && !ctx.transactions.is_full()) {
        let user = ClientUser { call, leg: LegId::Callee(0), purpose: Purpose::Stray };
        hang_up_at_once(ctx, user, dialog, response);
    }
}

fn hang_up_at_once(ctx: &mut Context<'_>, user: ClientUser, mut dialog: Dialog, response: &Message) {
    let Some((cseq, _)) = response.cseq() else { return };
    let branch = ctx.rng.branch();
    let ack = dialog.ack(cseq, &branch, ctx.settings).finish();
    let flow = dialog.flow_out(ctx.settings);
    ctx.out.send(flow, ack);
    let branch = ctx.rng.branch();
    let bye = dialog.request(&Method::Bye, &branch, ctx.settings).finish();
    let request = Outgoing { flow, method: &Method::Bye, branch: &branch, bytes: bye, user };
    ctx.transactions.request(ctx.now.monotonic, request, ctx.out);
}

/// Such a goodbye was challenged, as a carrier may that challenges every request. Nothing is kept of it but itself, so
/// each kind of challenge, a proxy's and the far end's, is answered once (RFC 3261 section 22). `peer` is the call's, as long
/// as the call is known.
pub(crate) fn prove_stray(
    ctx: &mut Context<'_>,
    (user, peer): (ClientUser, Option<Peer>),
    flow: Flow,
    refused: &Bytes,
    refusal: &Message,
) {
    let Ok(refused) = message::lex(refused.clone(), message::Transport::Datagram) else { return };
    let peer = peer.or_else(|| ctx.known_peer(flow));
    let Some(peer) = peer.filter(|_| matches!(refusal.status(), 401 | 407)) else { return };
    let mut credentials = Credentials::of(ctx.directory, peer);
    if !credentials.accept(refusal) {
        return;
    }
    let mut proofs = credentials.shown(refused.method(), refused.request_uri(), ctx.rng);
    if proofs.iter().any(|(name, _)| refused.header(*name).is_some()) {
        return;
    }
    for name in [Name::Authorization, Name::ProxyAuthorization] {
        proofs.extend(refused.headers(name).map(|shown| (name, shown.to_owned())));
    }
    let Some((cseq, _)) = refused.cseq() else { return };
    let branch = ctx.rng.branch();
    let via = dialog::via(ctx.settings, &flow, &branch);
    let bytes = dialog::again(&refused, cseq.wrapping_add(1), &via, &proofs);
    let request = Outgoing { flow, method: refused.method(), branch: &branch, bytes, user };
    ctx.transactions.request(ctx.now.monotonic, request, ctx.out);
}
