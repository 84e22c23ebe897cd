//! Provisional responses that must arrive (RFC 3262), for callers that require them.

use std::time::Duration;

use bytes::Bytes;

use super::{Call, CallTimer, Context, Stage};
use crate::message::Message;
use crate::transaction::ServerKey;
use crate::types::Flow;

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
        if let Some(reliable) = self.exchange.as_mut().and_then(|exchange| exchange.reliable.as_mut()) {
            reliable.unconfirmed = Some(Unconfirmed { server, status, bytes, interval });
            self.start_timer(ctx, CallTimer::Reprovision, interval);
        }
    }

    /// No PRACK yet: send it again; the interval doubles (section 3), and the no-answer timer bounds it all.
    pub(super) fn reprovision(&mut self, ctx: &mut Context<'_>) {
        let Some(reliable) = self.exchange.as_mut().and_then(|exchange| exchange.reliable.as_mut()) else {
            return;
        };
        let Some(unconfirmed) = &mut reliable.unconfirmed else { return };
        unconfirmed.interval *= 2;
        let (server, status, bytes, interval) =
            (unconfirmed.server, unconfirmed.status, unconfirmed.bytes.clone(), unconfirmed.interval);
        ctx.transactions.answer(ctx.now.monotonic, server, status, bytes, ctx.out);
        self.start_timer(ctx, CallTimer::Reprovision, interval);
    }

    /// A PRACK confirms the response it names, by RSeq, CSeq and method (section 7.2).
    pub(super) fn on_prack(&mut self, ctx: &mut Context<'_>, server: ServerKey, prack: &Message, flow: Flow) {
        let named = prack.header(crate::message::Name::RAck).map(rack);
        let current = self.exchange.as_ref().and_then(|exchange| {
            let reliable = exchange.reliable.as_ref().filter(|reliable| reliable.unconfirmed.is_some())?;
            Some((reliable.serial, exchange.request.cseq()?.0))
        });
        if current.is_none() || named.flatten() != current {
            return self.answer_plain(ctx, server, prack, 481, flow.peer);
        }
        self.answer_plain(ctx, server, prack, 200, flow.peer);
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
        });
        assert!(reliable.must_wait(180, None));
        assert!(reliable.must_wait(183, Some(&Bytes::from_static(b"v=0"))));
        assert_eq!(reliable.next.map(|(status, _)| status), Some(183));
    }
}
