//! Provisional responses that must arrive (RFC 3262), for callers that require them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::exchange::Description;
use super::forward::{Asked, Pending};
use super::leg::finish;
use super::media::Then;
use super::{Call, CallTimer, Context, Stage};
use crate::refusal::Refusal;
use crate::respond;
use crate::transaction::ServerKey;
use crate::types::{Leg, SdpRole};

/// The option tag.
pub(super) const TAG: &str = "100rel";

/// The provisional responses to one INVITE that requires their confirmation.
#[derive(Debug, Default)]
pub(crate) struct Reliable {
    /// The number of the last one (RSeq), which starts at 1 for each INVITE.
    serial: u32,
    unconfirmed: Option<Unconfirmed>,
    /// What came while one was unconfirmed: only the latest matters (section 3 forbids sending it before).
    next: Option<(u16, Option<Bytes>)>,
}

#[derive(Debug)]
struct Unconfirmed {
    server: ServerKey,
    status: u16,
    bytes: Bytes,
    interval: Duration,
    /// When it is given up.
    deadline: Instant,
}

impl Reliable {
    /// Whether the next provisional response has to wait; then it is kept.
    pub(super) fn must_wait(&mut self, status: u16, sdp: Option<&Bytes>) -> bool {
        let must_wait = self.unconfirmed.is_some();
        if must_wait {
            self.next = Some((status, sdp.cloned()));
        }
        must_wait
    }

    /// The number for a new one.
    pub(super) fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }
}

impl Call {
    /// A provisional response with a number is on its way: repeat it until its PRACK.
    pub(super) fn expect_prack(
        &mut self,
        ctx: &mut Context<'_>,
        server: ServerKey,
        status: u16,
        bytes: Bytes,
    ) {
        let interval = ctx.settings.timers.t1;
        let deadline = ctx.now.monotonic + ctx.settings.timers.give_up();
        if let Some(reliable) = self.exchange.as_mut().and_then(|exchange| exchange.reliable.as_mut()) {
            reliable.unconfirmed = Some(Unconfirmed { server, status, bytes, interval, deadline });
            self.start_timer(ctx, CallTimer::Reprovision, interval);
        }
    }

    /// No PRACK yet: send it again; the interval doubles. After 64*T1 the INVITE is refused (section 3).
    pub(super) fn reprovision(&mut self, ctx: &mut Context<'_>) {
        let Some(reliable) = self.exchange.as_mut().and_then(|exchange| exchange.reliable.as_mut()) else {
            return;
        };
        let Some(unconfirmed) = &mut reliable.unconfirmed else { return };
        let left = unconfirmed.deadline.saturating_duration_since(ctx.now.monotonic);
        if left.is_zero() {
            return self.end_refused(ctx, Refusal::NoPrack);
        }
        unconfirmed.interval = (unconfirmed.interval * 2).min(left);
        let (server, status, bytes, interval) =
            (unconfirmed.server, unconfirmed.status, unconfirmed.bytes.clone(), unconfirmed.interval);
        ctx.transactions.answer(ctx.now.monotonic, server, status, bytes, ctx.out);
        self.start_timer(ctx, CallTimer::Reprovision, interval);
    }

    /// A PRACK confirms the response it names, by RSeq, CSeq and method (section 7.2).
    pub(super) fn on_prack(&mut self, ctx: &mut Context<'_>, prack: Asked<'_>) {
        let named = prack.request.header(crate::message::Name::RAck).map(rack);
        let current = self.exchange.as_ref().and_then(|exchange| {
            let reliable = exchange.reliable.as_ref().filter(|reliable| reliable.unconfirmed.is_some())?;
            Some((reliable.serial, exchange.request.cseq()?.0))
        });
        if current.is_none() || named.flatten() != current {
            return self.answer_plain(ctx, prack, 481);
        }
        match Description::of(prack.request) {
            Ok(None) => self.answer_plain(ctx, prack, 200),
            Ok(Some(offer)) => self.on_prack_offer(ctx, prack, offer),
            Err(why) => self.refuse(ctx, prack, why),
        }
        self.stop_timer(ctx, CallTimer::Reprovision);
        let next =
            self.exchange.as_mut().and_then(|exchange| exchange.reliable.as_mut()).and_then(|reliable| {
                reliable.unconfirmed = None;
                reliable.next.take()
            });
        if let (Some((status, sdp)), Stage::Setup) = (next, self.stage) {
            self.send_provisional(ctx, status, sdp.as_ref());
        }
    }
}

impl Call {
    /// A PRACK that makes a new offer is answered in its 2xx (section 5). The callee does not take part: its answer to
    /// the first offer holds for this one, as far as the caller's end of the media has only moved.
    fn on_prack_offer(&mut self, ctx: &mut Context<'_>, prack: Asked<'_>, offer: Description) {
        let answered = self.exchange.as_ref().and_then(|exchange| exchange.early_answer.clone());
        let Some(answered) = answered.filter(|answered| !offer.is_off() && answered.agrees_with(&offer))
        else {
            return self.refuse(ctx, prack, Refusal::NoMediaInCommon);
        };
        let then = Then::Prack { prack: Box::new(prack.kept()), answered: Box::new(answered) };
        self.describe(ctx, Leg::Caller, SdpRole::Offer, offer, then);
    }

    /// The relay has taken the new offer in.
    pub(super) fn answer_prack(&mut self, ctx: &mut Context<'_>, prack: &Pending, sdp: Option<&Bytes>) {
        let asked = prack.asked();
        let writer = respond::response(ctx.settings, asked.request, 200, None, asked.flow.peer);
        ctx.transactions.answer(ctx.now.monotonic, asked.server, 200, finish(writer, sdp), ctx.out);
    }
}

/// RSeq and CSeq of a RAck.
fn rack(value: &str) -> Option<(u32, u32)> {
    let mut words = value.split_ascii_whitespace();
    let (serial, cseq) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (words.next()? == "INVITE").then_some((serial, cseq))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rack_names_response_and_request() {
        assert_eq!(rack("1 314 INVITE"), Some((1, 314)));
        assert_eq!(rack("1 314 BYE"), None);
        assert_eq!(rack("x 314 INVITE"), None);
    }

    #[test]
    fn only_the_latest_waits() {
        let mut reliable = Reliable::default();
        assert!(!reliable.must_wait(180, None));
        reliable.unconfirmed = Some(Unconfirmed {
            server: ServerKey::default(),
            status: 180,
            bytes: Bytes::new(),
            interval: Duration::ZERO,
            deadline: crate::timers::testing::start(),
        });
        assert!(reliable.must_wait(180, None));
        assert!(reliable.must_wait(183, Some(&Bytes::from_static(b"v=0"))));
        assert_eq!(reliable.next.map(|(status, _)| status), Some(183));
    }
}
