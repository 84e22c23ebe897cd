//! Offers that meet: of two that cross each other one has to wait (RFC 3261 section 14.2, RFC 3311 section 5.2), and one
//! that is only ahead of an ACK is held until the ACK is here.

use std::time::Duration;

use super::forward::{Asked, Pending};
use super::{Call, CallLeg, CallTimer, Context, Reasons};
use crate::refusal::Refusal;
use crate::respond;
use crate::transaction::{ClientKey, ServerKey};
use crate::types::Leg;

/// How long an offer waits for the ACK that it has overtaken: datagrams that change places on the way are milliseconds
/// apart. A 491 would cost its sender up to four seconds (RFC 3261 section 14.1). Less than the 200 ms after which an
/// INVITE without an answer is owed a 100 (section 17.2.1).
const HOLD: Duration = Duration::from_millis(100);

/// What an offer meets on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glare {
    /// An offer of ours to the same peer: 491.
    WithUs,
    /// An offer of the same peer that is not answered yet: 500 with a Retry-After of 0 to 10 s.
    WithItself,
    /// Nothing but the end of an exchange that is answered: its ACK, or the relay's word on the answer in it.
    BeforeAck,
}

/// A re-INVITE or UPDATE that waits for the ACK that it has overtaken. A call holds one.
#[derive(Debug)]
pub(super) struct Held {
    from: Leg,
    request: Pending,
}

impl Held {
    pub(super) fn is(&self, server: ServerKey) -> bool {
        self.request.is_of(server)
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        self.request.asked()
    }
}

impl Call {
    /// What stands in the way of an offer; one offer is dealt with at a time.
    pub(super) fn glare(&mut self, ctx: &Context<'_>, from: Leg) -> Option<Glare> {
        match &self.held {
            Some(held) if held.from == from => Some(Glare::WithItself),
            Some(_) => Some(Glare::WithUs),
            None => self.glare_with_exchange(ctx, from),
        }
    }

    fn glare_with_exchange(&mut self, ctx: &Context<'_>, from: Leg) -> Option<Glare> {
        if let Some(exchange) = self.exchange.as_ref().filter(|exchange| !exchange.is_answered) {
            return Some(if exchange.from == from { Glare::WithItself } else { Glare::WithUs });
        }
        let awaits = |key: Option<ClientKey>| key.is_some_and(|key| ctx.transactions.awaits_final(key));
        // Our session refresh is such a request as well, and section 14.1 lets no INVITE of ours go out beside it.
        let own = self
            .half(from)
            .map(|leg| (awaits(leg.reinvite) || awaits(leg.session_refresh), leg.our_2xx.is_some()));
        // Nor does one go out whose ACK could not be kept until its 2xx is repeated no more.
        let is_full = |leg: &CallLeg| leg.their_2xx.is_full(ctx.now.monotonic);
        let other = self
            .half(from.other())
            .map(|leg| (awaits(leg.reinvite) || is_full(leg), leg.their_2xx.is_owed()));
        let (is_asked, awaits_ack) = own.unwrap_or_default();
        let (is_other_asked, owes_ack) = other.unwrap_or_default();
        if is_asked || is_other_asked {
            return Some(Glare::WithUs);
        }
        (self.exchange.is_some() || awaits_ack || owes_ack).then_some(Glare::BeforeAck)
    }

    pub(super) fn refuse_glare(&self, ctx: &mut Context<'_>, asked: Asked<'_>, glare: Glare) {
        let settings = ctx.settings;
        match glare {
            Glare::WithUs | Glare::BeforeAck => self.answer_plain(ctx, asked, 491),
            Glare::WithItself => {
                let after_s = ctx.rng.below(11);
                self.answer_with(ctx, asked, 500, |writer| {
                    writer.header(crate::message::Name::RetryAfter, after_s);
                    let why = (Refusal::RequestPending, 500);
                    respond::explain_with(writer, settings, why, &Reasons::none());
                });
            }
        }
    }

    /// Holds an offer that has overtaken the ACK to the answer before it.
    pub(super) fn hold(&mut self, ctx: &mut Context<'_>, from: Leg, asked: Asked<'_>) {
        self.held = Some(Held { from, request: asked.kept() });
        self.start_timer(ctx, CallTimer::Held, HOLD);
    }

    /// An exchange has come to its end: an offer that waited for it goes on.
    pub(super) fn release(&mut self, ctx: &mut Context<'_>) {
        let Some(from) = self.held.as_ref().map(|held| held.from) else { return };
        if self.glare_with_exchange(ctx, from).is_none()
            && let Some(held) = self.held.take()
        {
            self.stop_timer(ctx, CallTimer::Held);
            self.on_reinvite(ctx, from, held.asked());
        }
    }

    /// The ACK does not come: its sender has not heard the answer yet, and had to wait for it.
    pub(super) fn on_held_too_long(&mut self, ctx: &mut Context<'_>) {
        if let Some(held) = self.held.take() {
            self.refuse_glare(ctx, held.asked(), Glare::BeforeAck);
        }
    }
}
