//! INFO (RFC 6086), such as DTMF of old user agents: passed to the other half with its body, and its answer back.

use super::forward::{Asked, Pending, pass_refusal};
use super::leg::{Draft, Phase};
use super::{Call, CallTimer, Context, LegId, Purpose, Stage};
use crate::message::{Message, MessageWriter, Method, Name, Room};
use crate::refusal::Refusal;
use crate::types::Leg;

/// A request that waits for the other half's answer.
#[derive(Debug)]
pub(crate) struct Forward {
    serial: u32,
    request: Pending,
}

/// How many passed requests may wait at once; a half that sends more is told to slow down.
const FORWARDS_MAX: usize = 8;

/// How many octets are passed on of the fields in which a refusing half says what it would have taken.
const WHAT_IS_TAKEN: usize = 1_024;

impl Call {
    pub(super) fn on_info(&mut self, ctx: &mut Context<'_>, from: Leg, asked: Asked<'_>) {
        if self.is_echo() {
            return self.answer_plain(ctx, asked, 200);
        }
        if self.forwards.len() >= FORWARDS_MAX {
            return self.refuse(ctx, asked, Refusal::RequestPending);
        }
        match self.begin_info(ctx, from.other()) {
            Some(draft) => self.pass_info(ctx, from.other(), draft, asked),
            None if self.stage == Stage::Over => self.refuse(ctx, asked, Refusal::NoSuchDialog),
            None => self.refuse(ctx, asked, Refusal::NotAnsweredYet),
        }
    }

    /// Begins an INFO to a half with which there is a dialog: it has answered, or it is the one device that rings, or a caller
    /// that has been told of the ringing (RFC 6086 section 4.2).
    fn begin_info(&mut self, ctx: &mut Context<'_>, to: Leg) -> Option<Draft> {
        let has_rung = self.has_rung;
        let leg = self.half(to)?;
        match (leg.phase, to) {
            (Phase::Confirmed, _) => Some(leg.begin(ctx, Method::Info)),
            (Phase::Early, Leg::Caller) if has_rung => Some(leg.begin(ctx, Method::Info)),
            (Phase::Early, Leg::Callee) => {
                let tag = leg.early.only()?.far.tag().map(str::to_owned);
                leg.begin_to(ctx, tag.as_deref(), Method::Info)
            }
            (Phase::Early | Phase::Closing | Phase::Closed, _) => None,
        }
    }

    fn pass_info(&mut self, ctx: &mut Context<'_>, to: Leg, draft: Draft, asked: Asked<'_>) {
        let (uid, serial, request) = (self.uid, self.forward_serial, asked.request);
        let Some(leg) = self.half(to) else { return };
        let purpose = Purpose::Forward(serial);
        match request.header(Name::ContentType) {
            Some(kind) if !request.body().is_empty() => {
                leg.send_body(ctx, uid, purpose, draft, (kind, request.body()));
            }
            _ => {
                leg.send(ctx, uid, purpose, draft, None);
            }
        }
        self.forward_serial += 1;
        self.forwards.push(Forward { serial, request: asked.kept() });
        self.start_timer(ctx, CallTimer::Forward(serial), ctx.settings.timers.give_up() / 2);
    }

    pub(super) fn on_forward_answered(
        &mut self,
        ctx: &mut Context<'_>,
        id: LegId,
        serial: u32,
        response: &Message,
    ) {
        let (settings, status) = (ctx.settings, response.status());
        let hidden = self.hides(id, status);
        let is_early = self.is_early_forward(serial);
        if let Some(forward) = self.take_forward(ctx, serial) {
            let asked = forward.request.asked();
            let reasons = self.reasons_of(ctx, id.role(), response);
            match (hidden, status) {
                (Some(why), _) => self.refuse(ctx, asked, why),
                (None, 200..=299) => self.answer_plain(ctx, asked, status),
                (None, 408 | 481) if is_early => self.refuse(ctx, asked, Refusal::NotAnsweredYet),
                (None, _) => self.answer_with(ctx, asked, status, |writer| {
                    pass_refusal(writer, settings, status, &reasons);
                    copy_what_is_taken(writer, response);
                }),
            }
        }
        if !is_early {
            self.end_if_gone(ctx, status);
        }
    }

    /// A half that says nothing at all is gone, unless it is being sought.
    pub(super) fn on_forward_unanswered(&mut self, ctx: &mut Context<'_>, id: LegId, serial: u32) {
        let is_sought = self.is_sought(id.role());
        let why = match self.is_early_forward(serial) {
            _ if is_sought => Refusal::OtherSideLost,
            true => Refusal::OtherSideSlow,
            false => Refusal::SideSilent,
        };
        if let Some(forward) = self.take_forward(ctx, serial) {
            self.refuse(ctx, forward.request.asked(), why);
        }
        if why == Refusal::SideSilent {
            self.end_if_gone(ctx, 408);
        }
    }

    /// The asker's own transaction would end before the other half's: it hears that nothing came of it.
    pub(super) fn on_forward_overdue(&mut self, ctx: &mut Context<'_>, serial: u32) {
        if let Some(forward) = self.take_forward(ctx, serial) {
            self.refuse(ctx, forward.request.asked(), Refusal::OtherSideSlow);
        }
    }

    /// Whether a request was passed before the call was answered. A device that rings may leave it unanswered, or not know
    /// its early dialog, and another one may take the call: that says nothing of the call that follows.
    fn is_early_forward(&self, serial: u32) -> bool {
        self.stage == Stage::Setup || serial < self.early_forwards
    }

    fn take_forward(&mut self, ctx: &mut Context<'_>, serial: u32) -> Option<Forward> {
        let index = self.forwards.iter().position(|forward| forward.serial == serial)?;
        self.stop_timer(ctx, CallTimer::Forward(serial));
        Some(self.forwards.swap_remove(index))
    }

    /// Nothing comes of those that wait.
    pub(super) fn refuse_forwards(&mut self, ctx: &mut Context<'_>, why: Refusal) {
        for forward in std::mem::take(&mut self.forwards) {
            self.stop_timer(ctx, CallTimer::Forward(forward.serial));
            self.refuse(ctx, forward.request.asked(), why);
        }
    }
}

/// Writes what the refusing half would have taken (RFC 3261 section 21.4.13, RFC 6086 section 5.2.2).
fn copy_what_is_taken(writer: &mut MessageWriter, response: &Message) {
    let mut room = Room::of(WHAT_IS_TAKEN);
    for name in [Name::Accept, Name::AcceptEncoding, Name::AcceptLanguage, Name::RecvInfo] {
        writer.copy_if(response, name, |value| room.takes(value));
    }
}
