//! Offers within a call that is not answered yet, in a PRACK or an UPDATE (RFC 3262 section 5, RFC 3311 section 5.1). They
//! are answered for the other half: what it has agreed to holds as long as the new offer still has it, since such an offer
//! moves the media of one end. The other half is asked when the call runs.

use bytes::Bytes;

use super::exchange::Description;
use super::forward::Asked;
use super::leg::finish;
use super::media::{Alone, Then};
use super::reliable::Reliable;
use super::{Call, CallLeg, Context, Stage};
use crate::message::{Message, Method};
use crate::refusal::Refusal;
use crate::respond;
use crate::types::{Leg, SdpRole};

impl Call {
    /// Whether a half's first offer was answered reliably, so that another may follow before the call is answered.
    pub(super) fn may_offer_early(&mut self, from: Leg, request: &Message) -> bool {
        let address = request.from();
        let tag = address.as_ref().and_then(|from| from.tag());
        let is_agreed = |leg: &mut CallLeg| match from {
            Leg::Caller => leg.reliable.as_ref().is_some_and(Reliable::is_agreed),
            Leg::Callee => leg.early.find(tag).is_some_and(|early| early.is_agreed),
        };
        self.stage == Stage::Setup && self.half(from).is_some_and(is_agreed)
    }

    /// Answers such an offer, if what the other half has said is an answer to it as well.
    pub(super) fn on_early_offer(
        &mut self,
        ctx: &mut Context<'_>,
        from: Leg,
        asked: Asked<'_>,
        offer: Description,
    ) {
        let is_answer = |standing: &Description| !offer.is_off() && standing.agrees_with(&offer);
        let Some(answered) = self.standing(from, asked.request).filter(is_answer) else {
            return self.refuse(ctx, asked, Refusal::NoMediaInCommon);
        };
        let address = asked.request.from();
        let tag = address.as_ref().and_then(|from| from.tag());
        if let Some(early) = self.half(from).and_then(|leg| leg.early.find(tag)) {
            early.description = Some(offer.clone());
        }
        let asker = Alone::Request(Box::new(asked.kept()));
        let then = Then::Alone { asker, answered: Box::new(answered) };
        self.describe(ctx, from, SdpRole::Offer, offer, then);
    }

    /// What the other half has said, as far as this one has agreed to it.
    fn standing(&mut self, from: Leg, request: &Message) -> Option<Description> {
        let address = request.from();
        let tag = address.as_ref().and_then(|from| from.tag());
        let own = self.callee.as_mut().and_then(|leg| leg.early.find(tag)?.description.clone());
        let exchange = self.exchange.as_ref()?;
        match (from, &exchange.agreed) {
            (Leg::Caller, None) => exchange.early_answer.clone(),
            (Leg::Caller, Some(agreed)) => exchange.passed_offer.clone()?.into_answer_to(agreed),
            (Leg::Callee, None) => exchange.offer.clone()?.into_answer_to(&own?),
            (Leg::Callee, Some(agreed)) => Some(agreed.clone()),
        }
    }

    /// The relay has taken the new offer in.
    pub(super) fn answer_alone(&mut self, ctx: &mut Context<'_>, asker: Alone, sdp: &Bytes) {
        let request = match asker {
            Alone::Request(request) => request,
            Alone::Callee(rack) => return self.send_prack(ctx, &rack, Some(sdp)),
            Alone::Final => return self.send_2xx(ctx, None),
        };
        let asked = request.asked();
        if *asked.request.method() == Method::Update {
            let half = if self.is_callers(asked.request) { Leg::Caller } else { Leg::Callee };
            return self.accept_update(ctx, half, asked, Some(sdp));
        }
        let writer = respond::response(ctx.settings, asked.request, 200, None, asked.flow.peer);
        ctx.transactions.answer(ctx.now.monotonic, asked.server, 200, finish(writer, Some(sdp)), ctx.out);
    }

    fn is_callers(&self, request: &Message) -> bool {
        let to = request.to();
        to.as_ref().and_then(|to| to.tag()) == Some(self.caller.dialog.local_tag.as_str())
    }
}
