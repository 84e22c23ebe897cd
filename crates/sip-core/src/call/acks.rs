//! ACKs that are owed: by the peer to our 2xx, and by us to the peer's.

use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use super::Reasons;
use crate::message::Message;
use crate::types::Flow;

/// A 2xx of ours on its way to its ACK (RFC 3261 section 13.3.1.4).
#[derive(Debug)]
pub(crate) struct AwaitsAck {
    pub(crate) cseq: u32,
    pub(crate) bytes: Bytes,
    pub(crate) flow: Flow,
    pub(crate) interval: Duration,
    pub(crate) repetition: Repetition,
    pub(crate) after_ack: AfterAck,
}

/// How a 2xx of ours is repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// The interval doubles up to T2 (RFC 3261 section 13.3.1.4).
    #[default]
    Usual,
    /// The interval doubles without a limit, so that an address that may be a victim's gets seven copies in 64*T1 and
    /// not eleven.
    Sparing,
}

impl Repetition {
    /// The interval after this one.
    pub(crate) fn after(self, interval: Duration, t2: Duration) -> Duration {
        match self {
            Self::Usual => (interval * 2).min(t2),
            Self::Sparing => interval * 2,
        }
    }
}

/// What is owed once the ACK has come (RFC 3261 section 15).
#[derive(Debug, Default)]
pub(crate) enum AfterAck {
    #[default]
    Nothing,
    /// A BYE, with these Reasons.
    Bye { reasons: Reasons },
}

/// The peer's 2xx to our INVITEs. Each keeps its ACK until its transaction is over, whatever INVITE followed it: the
/// peer repeats the 2xx until the ACK arrives.
#[derive(Debug, Default)]
pub(crate) struct Acks(SmallVec<[Answered; 1]>);

#[derive(Debug)]
struct Answered {
    cseq: u32,
    /// When the peer has stopped repeating it.
    until: Instant,
    ack: Ack,
}

/// The ACK to a 2xx.
#[derive(Debug)]
enum Ack {
    /// It waits for the answer to the offer that this 2xx has made.
    Owed(Message),
    Sent {
        bytes: Bytes,
        flow: Flow,
    },
}

/// What is known of a 2xx that has come.
#[derive(Debug)]
pub(crate) enum Known<'a> {
    /// Nothing: it is new.
    Not,
    /// It came before, and its ACK waits.
    Owed,
    /// It came before, and this was its ACK.
    Acknowledged(&'a Bytes, Flow),
}

/// INVITEs follow one another, but the peer of the other half sets the pace. Beyond this its next one is refused: a 2xx
/// whose ACK was forgotten would be taken for a new one.
const ACKS_MAX: usize = 64;

impl Acks {
    /// Looks a 2xx up by the number of its INVITE.
    pub(crate) fn find(&self, cseq: u32) -> Known<'_> {
        match self.0.iter().find(|answered| answered.cseq == cseq).map(|answered| &answered.ack) {
            None => Known::Not,
            Some(Ack::Owed(_)) => Known::Owed,
            Some(Ack::Sent { bytes, flow }) => Known::Acknowledged(bytes, *flow),
        }
    }

    /// Whether an ACK waits for an answer.
    pub(crate) fn is_owed(&self) -> bool {
        self.0.iter().any(|answered| matches!(answered.ack, Ack::Owed(_)))
    }

    /// Whether there is no room for the ACK to another INVITE's 2xx.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.0.iter().filter(|answered| answered.until > now).count() >= ACKS_MAX
    }

    /// Keeps a 2xx whose ACK must wait.
    pub(crate) fn owe(&mut self, now: Instant, lasts: Duration, cseq: u32, response: Message) {
        self.keep(now, Answered { cseq, until: now + lasts, ack: Ack::Owed(response) });
    }

    /// The 2xx whose ACK waits, to be acknowledged now.
    pub(crate) fn take_owed(&mut self) -> Option<Message> {
        let place = self.0.iter().position(|answered| matches!(answered.ack, Ack::Owed(_)))?;
        match self.0.remove(place).ack {
            Ack::Owed(response) => Some(response),
            Ack::Sent { .. } => None,
        }
    }

    /// Keeps an ACK that was sent.
    pub(crate) fn sent(&mut self, now: Instant, lasts: Duration, cseq: u32, bytes: Bytes, flow: Flow) {
        self.keep(now, Answered { cseq, until: now + lasts, ack: Ack::Sent { bytes, flow } });
    }

    fn keep(&mut self, now: Instant, answered: Answered) {
        self.0.retain(|known| known.until > now && known.cseq != answered.cseq);
        if self.0.len() > ACKS_MAX {
            // No re-INVITE is passed on when they are full, so only what was already on its way, or a refresh of ours, has come since.
            self.0.remove(0);
        }
        self.0.push(answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Transport;

    const LASTS: Duration = Duration::from_secs(32);

    fn flow() -> Flow {
        let at = |text: &str| text.parse().unwrap();
        Flow {
            transport: Transport::Udp,
            local: at("192.0.2.1:5060"),
            peer: at("192.0.2.2:5060"),
            connection: None,
        }
    }

    fn keep(acks: &mut Acks, now: Instant, cseq: u32) {
        acks.sent(now, LASTS, cseq, Bytes::from(cseq.to_string()), flow());
    }

    fn ack(acks: &Acks, cseq: u32) -> Option<&Bytes> {
        match acks.find(cseq) {
            Known::Acknowledged(bytes, _) => Some(bytes),
            Known::Not | Known::Owed => None,
        }
    }

    #[test]
    fn an_answer_to_an_address_that_may_be_a_victims_is_repeated_more_and_more_rarely() {
        let copies = |repetition: Repetition| {
            let (t1, t2) = (Duration::from_millis(500), Duration::from_secs(4));
            let intervals = std::iter::successors(Some(t1), |it| Some(repetition.after(*it, t2)));
            let sent_at = intervals.scan(Duration::ZERO, |at, interval| {
                *at += interval;
                Some(*at)
            });
            1 + sent_at.take_while(|at| *at < LASTS).count()
        };
        assert_eq!((copies(Repetition::Usual), copies(Repetition::Sparing)), (11, 7));
    }

    #[test]
    fn each_answer_keeps_its_ack_until_its_transaction_is_over() {
        let start = crate::timers::testing::start();
        let mut acks = Acks::default();
        keep(&mut acks, start, 1);
        keep(&mut acks, start + LASTS / 2, 2);
        assert_eq!(ack(&acks, 1).map(|it| &it[..]), Some(&b"1"[..]));
        keep(&mut acks, start + LASTS, 3);
        assert!(ack(&acks, 1).is_none() && ack(&acks, 2).is_some() && ack(&acks, 3).is_some());
    }

    #[test]
    fn no_peer_fills_the_memory() {
        let start = crate::timers::testing::start();
        let mut acks = Acks::default();
        for cseq in 0..64 {
            assert!(!acks.is_full(start), "{cseq}");
            keep(&mut acks, start, cseq);
        }
        assert!(acks.is_full(start) && ack(&acks, 0).is_some());
        assert!(!acks.is_full(start + LASTS));
        (64..100).for_each(|cseq| keep(&mut acks, start, cseq));
        assert_eq!(acks.0.len(), ACKS_MAX + 1);
    }
}
