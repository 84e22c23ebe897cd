//! Requests of ours that are refused for want of something that we can give: they are sent once more, and whoever waits
//! for their answer hears nothing of it (RFC 3261 section 8.1.3.5). A challenge concerns the leg alone: the other half
//! has no password for it.

use bytes::Bytes;

use super::{Call, ClientUser, Context, LegId, Purpose, Stage};
use crate::directory::Peer;
use crate::message::{self, Message, Method};
use crate::refusal::Refusal;

impl Call {
    /// Whether what a refusal asks for could be given, so that the request is under way again.
    pub(super) fn is_met(
        &mut self,
        ctx: &mut Context<'_>,
        user: ClientUser,
        request: &Bytes,
        response: &Message,
    ) -> bool {
        let Some(leg) = self.leg(user.leg) else { return false };
        match response.status() {
            100 => false,
            401 | 407 => leg.credentials.accept(response) && self.repeat(ctx, user, request, response),
            422 if user.purpose == Purpose::Reinvite => {
                leg.session.on_too_small(response) && self.reinvite_again(ctx, user.leg, request)
            }
            _ => {
                leg.credentials.were_taken(response);
                false
            }
        }
    }

    /// Sends a refused request again, if it is still wanted.
    fn repeat(
        &mut self,
        ctx: &mut Context<'_>,
        user: ClientUser,
        request: &Bytes,
        refusal: &Message,
    ) -> bool {
        let uid = self.uid;
        let is_wanted = match user.purpose {
            Purpose::Invite if self.is_current_callee(user.leg) => {
                self.send_invite(ctx);
                return true;
            }
            Purpose::Invite | Purpose::Cancel | Purpose::Stray => false,
            Purpose::Bye | Purpose::Prack => true,
            Purpose::Reinvite => self.is_reinvite_wanted(user.leg),
            Purpose::Refresh => self.stage == Stage::Running,
            Purpose::Forward(_) => self.stage != Stage::Over,
        };
        let Some(leg) = self.leg(user.leg).filter(|_| is_wanted) else { return false };
        let Some(key) = leg.send_again(ctx, uid, user.purpose, (request, refusal)) else { return false };
        match user.purpose {
            Purpose::Reinvite => {
                leg.reinvite = Some(key);
                if let Some(exchange) = &mut self.exchange {
                    exchange.client = Some(key);
                }
            }
            Purpose::Refresh => {
                leg.session_refresh = Some(key);
                if *refusal.method() == Method::Invite {
                    leg.reinvite = Some(key);
                }
            }
            _ => {}
        }
        true
    }

    /// Sends a re-INVITE again as it would be written now.
    fn reinvite_again(&mut self, ctx: &mut Context<'_>, id: LegId, request: &Bytes) -> bool {
        let Ok(request) = message::lex(request.clone(), message::Transport::Datagram) else { return false };
        let is_wanted = self.is_reinvite_wanted(id);
        if is_wanted {
            let sdp = Some(request.body_bytes()).filter(|sdp| !sdp.is_empty());
            self.send_reinvite(ctx, sdp.as_ref());
        }
        is_wanted
    }

    fn is_reinvite_wanted(&self, id: LegId) -> bool {
        let is_wanted = |exchange: &super::Exchange| {
            exchange.from == id.role().other() && !exchange.is_answered && !exchange.is_cancelled
        };
        self.stage == Stage::Running && self.exchange.as_ref().is_some_and(is_wanted)
    }

    /// What the other half is told of a refusal that concerns this leg alone: of a challenge, a session interval, a
    /// place to go to instead. Passed on, it would ask the other half for what it cannot give.
    pub(super) fn hides(&mut self, id: LegId, status: u16) -> Option<Refusal> {
        match (status, self.leg(id)?.peer) {
            (401 | 407, Peer::Carrier(_)) => Some(Refusal::CarrierAuthentication),
            (401 | 407, Peer::Profile(_)) => Some(Refusal::PbxDemandsCredentials),
            (300..=399, _) => Some(Refusal::OtherSideRedirects),
            (421, _) => Some(Refusal::OtherSideNeedsExtension),
            (416 | 420 | 422 | 494, _) => Some(Refusal::OtherSideRefuses),
            _ => None,
        }
    }
}
