//! Provisional responses of ours that must arrive (RFC 3262 section 3): to callers that require it, and to those that
//! can where a response makes an offer.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::exchange::Description;
use super::forward::Asked;
use super::leg::{Phase, finish};
use super::media::Then;
use super::{Call, CallTimer, Context, Stage};
use crate::message::{Message, Name};
use crate::refusal::Refusal;
use crate::respond::{self, ALLOW};
use crate::transaction::ServerKey;
use crate::types::{Leg, SdpRole};

/// The option tag.
pub(super) const TAG: &str = "100rel";

/// The provisional responses to a caller's INVITE, of which each waits for the PRACK to the one before.
#[derive(Debug)]
pub(crate) struct Reliable {
    demand: Demand,
    /// The number of the INVITE.
    cseq: u32,
    /// The number of the last one (RSeq), which starts at 1 for each INVITE.
    serial: u32,
    unconfirmed: Option<Unconfirmed>,
    /// What came while one was unconfirmed. Of provisional responses only the latest status and description matter.
    next: Option<Next>,
    /// Whether a description was confirmed: the first offer is answered, and another may follow (RFC 3311 section 5.1).
    is_agreed: bool,
}

/// What the caller says of reliable responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    /// It takes no others.
    Required,
    /// It can confirm them.
    Supported,
}

/// What a provisional response says of media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Nothing,
    Answer(Bytes),
    /// It must be answered in the PRACK.
    Offer(Bytes),
}

#[derive(Debug)]
struct Unconfirmed {
    server: ServerKey,
    status: u16,
    said: Said,
    bytes: Bytes,
    interval: Duration,
    /// When it is given up.
    deadline: Instant,
}

#[derive(Debug)]
enum Next {
    Provisional(u16, Said),
    /// The 2xx with its description (section 3: not before the PRACK to a response with one).
    Final(Option<Bytes>),
}

impl Said {
    fn sdp(&self) -> Option<&Bytes> {
        match self {
            Self::Nothing => None,
            Self::Answer(sdp) | Self::Offer(sdp) => Some(sdp),
        }
    }
}

impl Reliable {
    /// `None` if the caller knows no reliable responses.
    pub(super) fn of(invite: &Message) -> Option<Self> {
        let demand = if invite.lists_tag(Name::Require, TAG) {
            Demand::Required
        } else if invite.lists_tag(Name::Supported, TAG) {
            Demand::Supported
        } else {
            return None;
        };
        let cseq = invite.cseq()?.0;
        Some(Self { demand, cseq, serial: 0, unconfirmed: None, next: None, is_agreed: false })
    }

    /// The number of a new response, or `None` if it goes without one or has to wait.
    fn number(&mut self, status: u16, said: &Said) -> Numbered {
        if self.demand == Demand::Supported && !matches!(said, Said::Offer(_)) {
            return Numbered::Not;
        }
        if self.unconfirmed.is_some() {
            let said = match (self.next.take(), said) {
                // A description that waits is not lost to a status that says nothing of media.
                (Some(Next::Provisional(_, waiting)), Said::Nothing) => waiting,
                _ => said.clone(),
            };
            self.next = Some(Next::Provisional(status, said));
            return Numbered::Later;
        }
        self.serial += 1;
        Numbered::With(self.serial)
    }

    /// Whether the 2xx has to wait for a PRACK; then it is kept.
    fn holds_back(&mut self, sdp: Option<&Bytes>) -> bool {
        let holds = self.unconfirmed.as_ref().is_some_and(|unconfirmed| unconfirmed.said != Said::Nothing);
        if holds {
            self.next = Some(Next::Final(sdp.cloned()));
        }
        holds
    }

    /// Whether the caller's first offer was answered reliably.
    pub(super) fn is_agreed(&self) -> bool {
        self.is_agreed
    }
}

/// How a provisional response is sent.
enum Numbered {
    /// Without a number, once.
    Not,
    With(u32),
    /// When the one before it is confirmed.
    Later,
}

impl Call {
    /// Answers the exchange's INVITE provisionally.
    pub(super) fn send_provisional(&mut self, ctx: &mut Context<'_>, status: u16, said: Said) {
        let Some(exchange) = &self.exchange else { return };
        let leg = if exchange.from == Leg::Caller { Some(&mut self.caller) } else { self.callee.as_mut() };
        let Some(leg) = leg else { return };
        let reliable = leg.reliable.as_mut().filter(|_| status > 100 && leg.phase == Phase::Early);
        let serial = match reliable.map(|reliable| reliable.number(status, &said)) {
            Some(Numbered::Later) => return,
            Some(Numbered::With(serial)) => Some(serial),
            Some(Numbered::Not) | None => None,
        };
        let tag = (status > 100).then_some(leg.dialog.local_tag.as_str());
        let mut writer = respond::response(ctx.settings, &exchange.request, status, tag, exchange.received);
        if status > 100 {
            writer.copy(&exchange.request, Name::RecordRoute);
            writer.header(Name::Contact, leg.dialog.contact());
            writer.header(Name::Allow, ALLOW);
        }
        if let Some(serial) = serial {
            writer.header(Name::Require, TAG);
            writer.header(Name::RSeq, serial);
        }
        let (server, bytes) = (exchange.server, finish(writer, said.sdp()));
        ctx.transactions.answer(ctx.now.monotonic, server, status, bytes.clone(), ctx.out);
        if let (Some(_), Some(reliable)) = (serial, leg.reliable.as_mut()) {
            let interval = ctx.settings.timers.t1;
            let deadline = ctx.now.monotonic + ctx.settings.timers.give_up();
            reliable.unconfirmed = Some(Unconfirmed { server, status, said, bytes, interval, deadline });
            self.start_timer(ctx, CallTimer::Reprovision, interval);
        }
    }

    /// No PRACK yet: send it again; the interval doubles. After 64*T1 the INVITE is refused (section 3).
    pub(super) fn reprovision(&mut self, ctx: &mut Context<'_>) {
        let unconfirmed = self.caller.reliable.as_mut().and_then(|reliable| reliable.unconfirmed.as_mut());
        let Some(unconfirmed) = unconfirmed else { return };
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

    /// Whether the 2xx to the caller's INVITE has to wait for a PRACK.
    pub(super) fn awaits_prack(&mut self, sdp: Option<&Bytes>) -> bool {
        let is_first = self.caller.phase == Phase::Early;
        self.caller.reliable.as_mut().is_some_and(|reliable| is_first && reliable.holds_back(sdp))
    }

    /// A PRACK confirms the response it names, by RSeq, CSeq and method (section 7.2); it may come after the final
    /// response, which can overtake it (section 3).
    pub(super) fn on_prack(&mut self, ctx: &mut Context<'_>, prack: Asked<'_>) {
        let named = prack.request.header(Name::RAck).and_then(rack);
        let is_meant = |reliable: &&mut Reliable| {
            reliable.unconfirmed.is_some() && named == Some((reliable.serial, reliable.cseq))
        };
        let Some(reliable) = self.caller.reliable.as_mut().filter(is_meant) else {
            return self.answer_plain(ctx, prack, 481);
        };
        let confirmed = reliable.unconfirmed.take().map_or(Said::Nothing, |unconfirmed| unconfirmed.said);
        let next = reliable.next.take();
        reliable.is_agreed |= confirmed != Said::Nothing;
        self.stop_timer(ctx, CallTimer::Reprovision);
        match (confirmed, Description::of(prack.request)) {
            (Said::Offer(_), description) => self.on_prack_answer(ctx, prack, description),
            (_, Ok(None)) => self.answer_plain(ctx, prack, 200),
            (_, Ok(Some(offer))) => self.on_early_offer(ctx, Leg::Caller, prack, offer),
            (_, Err(why)) => self.refuse(ctx, prack, why),
        }
        match next.filter(|_| self.stage != Stage::Over) {
            Some(Next::Provisional(status, said)) if self.caller.phase == Phase::Early => {
                self.send_provisional(ctx, status, said);
            }
            Some(Next::Final(sdp)) => self.send_2xx(ctx, sdp.as_ref()),
            _ => {}
        }
    }

    /// The answer to the offer of a callee's reliable response, passed on in ours. Without one nothing was agreed.
    fn on_prack_answer(
        &mut self,
        ctx: &mut Context<'_>,
        prack: Asked<'_>,
        answer: Result<Option<Description>, Refusal>,
    ) {
        if self.stage == Stage::Over {
            return self.answer_plain(ctx, prack, 200);
        }
        let offer = self.exchange.as_ref().and_then(|exchange| exchange.passed_offer.clone());
        let answer =
            answer.ok().flatten().zip(offer).and_then(|(answer, offer)| answer.into_answer_to(&offer));
        let Some(answer) = answer else {
            self.refuse(ctx, prack, Refusal::NoLateAnswer);
            return self.end_refused(ctx, Refusal::NoLateAnswer);
        };
        self.answer_plain(ctx, prack, 200);
        self.describe(ctx, Leg::Caller, SdpRole::Answer, answer, Then::Prack);
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
    use crate::message::{Transport, lex};

    fn reliable(extra: &str) -> Option<Reliable> {
        let text = format!("INVITE sip:a@b SIP/2.0\r\nCSeq: 7 INVITE\r\n{extra}Content-Length: 0\r\n\r\n");
        Reliable::of(&lex(Bytes::from(text), Transport::Datagram).unwrap())
    }

    fn unconfirmed(said: Said) -> Unconfirmed {
        Unconfirmed {
            server: ServerKey::default(),
            status: 180,
            said,
            bytes: Bytes::new(),
            interval: Duration::ZERO,
            deadline: crate::timers::testing::start(),
        }
    }

    #[test]
    fn a_rack_names_response_and_request() {
        assert_eq!(rack("1 314 INVITE"), Some((1, 314)));
        assert_eq!(rack("1 314 BYE"), None);
        assert_eq!(rack("x 314 INVITE"), None);
    }

    #[test]
    fn only_the_latest_waits() {
        let mut reliable = reliable("Require: 100rel\r\n").unwrap();
        assert!(matches!(reliable.number(180, &Said::Nothing), Numbered::With(1)));
        reliable.unconfirmed = Some(unconfirmed(Said::Nothing));
        assert!(matches!(reliable.number(180, &Said::Nothing), Numbered::Later));
        let answer = Said::Answer(Bytes::from_static(b"v=0"));
        assert!(matches!(reliable.number(183, &answer), Numbered::Later));
        assert!(matches!(reliable.next, Some(Next::Provisional(183, _))));
        assert!(matches!(reliable.number(180, &Said::Nothing), Numbered::Later));
        let Some(Next::Provisional(180, Said::Answer(sdp))) = &reliable.next else { panic!() };
        assert_eq!(&sdp[..], b"v=0", "the description is kept under the newer status");
    }

    #[test]
    fn who_only_can_confirm_is_asked_to_where_there_is_an_offer() {
        assert!(reliable("").is_none());
        let mut reliable = reliable("Supported: 100REL, timer\r\n").unwrap();
        assert!(matches!(reliable.number(180, &Said::Answer(Bytes::new())), Numbered::Not));
        assert!(matches!(reliable.number(183, &Said::Offer(Bytes::new())), Numbered::With(1)));
    }

    #[test]
    fn the_2xx_waits_for_a_description_to_be_confirmed_and_for_nothing_else() {
        let mut reliable = reliable("Require: 100rel\r\n").unwrap();
        assert!(!reliable.holds_back(None));
        reliable.unconfirmed = Some(unconfirmed(Said::Nothing));
        assert!(!reliable.holds_back(None));
        reliable.unconfirmed = Some(unconfirmed(Said::Answer(Bytes::new())));
        assert!(reliable.holds_back(None));
        assert!(matches!(reliable.next, Some(Next::Final(None))));
    }
}
