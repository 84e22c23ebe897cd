//! Provisional responses of the callee: ringing, early media, and the PRACKs that we owe to those that must arrive
//! (RFC 3262 section 4). Whether the caller's side confirms ours is another matter (`reliable`).

use super::early::{Rack, Receipt};
use super::exchange::Description;
use super::media::{Alone, Then};
use super::reliable::Said;
use super::{Call, Context, LegId, Purpose};
use crate::message::{Message, Method, Name};
use crate::types::{Event, Leg, SdpRole};
use bytes::Bytes;

/// The provisional response that says that a device rings no more (RFC 6228).
const EARLY_DIALOG_OVER: u16 = 199;

impl Call {
    /// The callee rings, or sends early media.
    pub(super) fn on_provisional(&mut self, ctx: &mut Context<'_>, response: &Message) {
        let Some(leg) = &mut self.callee else { return };
        let rack = match leg.early.receive(&leg.dialog, response) {
            Receipt::Again => return,
            Receipt::Reliable(rack) => Some(rack),
            Receipt::Unreliable => None,
        };
        self.stop_attempt_timers(ctx);
        if response.status() == EARLY_DIALOG_OVER {
            return self.on_early_dialog_over(ctx, response, rack.as_ref());
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.progressed();
        }
        self.note_works(ctx);
        if !std::mem::replace(&mut self.has_rung, true) {
            let after = ctx.now.monotonic.saturating_duration_since(self.started);
            ctx.out.tell(Event::Ringing { call: self.uid, after });
        }
        self.hear_early_media(ctx, response, rack);
    }

    fn hear_early_media(&mut self, ctx: &mut Context<'_>, response: &Message, rack: Option<Rack>) {
        let status = response.status();
        let described = Description::of(response).ok().flatten();
        let offer = self.exchange.as_ref().and_then(|exchange| exchange.offer.as_ref());
        match (offer.is_some(), described, rack) {
            (true, described, rack) => {
                let answer = described
                    .filter(|it| !it.is_off())
                    .zip(offer)
                    .and_then(|(answer, offer)| answer.into_answer_to(offer));
                if let Some(rack) = &rack {
                    self.send_prack(ctx, rack, None);
                }
                match answer {
                    Some(answer) => self.pass_early_answer(ctx, response, answer, rack.is_some()),
                    None => self.send_provisional(ctx, status, Said::Nothing),
                }
            }
            (false, Some(offer), Some(rack)) => self.on_reliable_offer(ctx, status, rack, offer),
            // An offer in an unreliable 18x cannot be answered, so only the ringing is passed on.
            (false, _, rack) => {
                if let Some(rack) = rack {
                    self.send_prack(ctx, &rack, None);
                }
                self.send_provisional(ctx, status, Said::Nothing);
            }
        }
    }

    fn pass_early_answer(
        &mut self,
        ctx: &mut Context<'_>,
        response: &Message,
        answer: Description,
        is_reliable: bool,
    ) {
        if let Some(early) = self.callee.as_mut().and_then(|leg| leg.early.of(&leg.dialog, response)) {
            early.description = Some(answer.clone());
            early.is_agreed |= is_reliable;
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.early_answer = Some(answer.clone());
        }
        let then = Then::Provisional(response.status());
        self.describe(ctx, Leg::Callee, SdpRole::EarlyAnswer, answer, then);
    }

    /// The offer to a caller that made none, in a response that must be answered in its PRACK (section 5): the caller
    /// answers it in the PRACK to ours. One device's offer is enough for it; what it answered holds for the others.
    fn on_reliable_offer(&mut self, ctx: &mut Context<'_>, status: u16, rack: Rack, offer: Description) {
        if self.caller.reliable.is_none() {
            return self.answer_reliable_offer_alone(ctx, status, rack, offer);
        }
        let Some(exchange) = &mut self.exchange else { return };
        let answered = exchange.agreed.clone();
        let is_first = exchange.passed_offer.is_none();
        let Some(early) = self.callee.as_mut().and_then(|leg| leg.early.find(rack.tag.as_deref())) else {
            return;
        };
        match answered.filter(|answered| answered.agrees_with(&offer)) {
            Some(answered) => {
                (early.description, early.is_agreed) = (Some(offer.clone()), true);
                let then = Then::Alone { asker: Alone::Callee(rack), answered: Box::new(answered) };
                self.describe(ctx, Leg::Callee, SdpRole::Offer, offer, then);
                self.send_provisional(ctx, status, Said::Nothing);
            }
            None if is_first => {
                early.description = Some(offer.clone());
                exchange.passed_offer = Some(offer.clone());
                exchange.owed_prack = Some(rack);
                self.describe(ctx, Leg::Callee, SdpRole::Offer, offer, Then::Provisional(status));
            }
            // It comes again until it can be answered, or is given up.
            None => early.forget_last(),
        }
    }

    /// The same where the caller could not answer in a PRACK, because it knows no reliable responses: the codec that it
    /// knows best, in all likelihood, is chosen for it, and is all that the 2xx will offer it.
    fn answer_reliable_offer_alone(
        &mut self,
        ctx: &mut Context<'_>,
        status: u16,
        rack: Rack,
        offer: Description,
    ) {
        let Some(early) = self.callee.as_mut().and_then(|leg| leg.early.find(rack.tag.as_deref())) else {
            return;
        };
        match offer.clone().with_one_codec() {
            Some(chosen) => {
                (early.description, early.is_agreed) = (Some(chosen.clone()), true);
                let then = Then::Alone { asker: Alone::Callee(rack), answered: Box::new(chosen) };
                self.describe(ctx, Leg::Callee, SdpRole::Offer, offer, then);
                self.send_provisional(ctx, status, Said::Nothing);
            }
            // Nothing can be said to it. It comes again until the callee gives it up.
            None => early.forget_last(),
        }
    }

    /// The caller has answered the offer of the callee's reliable response.
    pub(super) fn answer_reliable_offer(&mut self, ctx: &mut Context<'_>, answer: Description, sdp: &Bytes) {
        let Some(exchange) = &mut self.exchange else { return };
        let Some(rack) = exchange.owed_prack.take() else { return };
        exchange.agreed = Some(answer);
        if let Some(early) = self.callee.as_mut().and_then(|leg| leg.early.find(rack.tag.as_deref())) {
            early.is_agreed = true;
        }
        self.send_prack(ctx, &rack, Some(sdp));
    }

    /// A device rings no more. The caller, which sees one device, hears of it if no other rings, and if it asked for it.
    fn on_early_dialog_over(&mut self, ctx: &mut Context<'_>, response: &Message, rack: Option<&Rack>) {
        if let Some(rack) = rack {
            self.send_prack(ctx, rack, None);
        }
        let to = response.to();
        let tag = to.as_ref().and_then(|to| to.tag());
        let rings = self.callee.as_mut().is_some_and(|leg| {
            leg.early.take(tag);
            !leg.early.is_empty()
        });
        let is_asked =
            self.exchange.as_ref().is_some_and(|exchange| exchange.request.lists_tag(Name::Supported, "199"));
        if is_asked && !rings {
            self.send_provisional(ctx, EARLY_DIALOG_OVER, Said::Nothing);
        }
    }

    /// Confirms a reliable response of a device that rings, or of the leg itself.
    pub(super) fn send_prack(&mut self, ctx: &mut Context<'_>, rack: &Rack, sdp: Option<&Bytes>) {
        let uid = self.uid;
        let Some(leg) = self.callee.as_mut() else { return };
        let Some(mut draft) = leg.begin_to(ctx, rack.tag.as_deref(), Method::Prack) else { return };
        draft.writer.header(Name::RAck, format_args!("{} {} INVITE", rack.serial, rack.cseq));
        leg.send(ctx, uid, Purpose::Prack, draft, sdp);
    }

    /// Confirms a reliable response to a later INVITE of ours. A description in it may be all that is said.
    pub(super) fn confirm_within(&mut self, ctx: &mut Context<'_>, id: LegId, response: &Message) {
        let uid = self.uid;
        let Some(rack) = Rack::of(response) else { return };
        let Some(leg) = self.leg(id).filter(|leg| leg.dialog.is_remote_tag(rack.tag.as_deref())) else {
            return;
        };
        let is_next = match leg.confirmed {
            Some((cseq, serial)) if cseq == rack.cseq => rack.serial == serial.wrapping_add(1),
            _ => true,
        };
        if !is_next {
            return;
        }
        leg.confirmed = Some((rack.cseq, rack.serial));
        let mut draft = leg.begin(ctx, Method::Prack);
        draft.writer.header(Name::RAck, format_args!("{} {} INVITE", rack.serial, rack.cseq));
        leg.send(ctx, uid, Purpose::Prack, draft, None);
        let answers = self.exchange.as_mut().filter(|it| it.from == id.role().other() && !it.is_answered);
        if let (Some(exchange), Ok(Some(answer))) = (answers, Description::of(response)) {
            exchange.early_answer = Some(answer);
        }
    }
}
