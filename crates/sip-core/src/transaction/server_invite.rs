//! The INVITE server transaction: RFC 3261 section 17.2.1, with the Accepted state of RFC 6026 section 7.1.

use std::time::Duration;

use bytes::Bytes;
use smallvec::smallvec;

use super::machine::{Effect, Effects, Intervals, Timer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Proceeding,
    Accepted,
    Completed,
    Confirmed,
    Terminated,
}

/// One INVITE that came in.
#[derive(Debug)]
pub(crate) struct ServerInvite {
    pub(crate) state: State,
    intervals: Intervals,
    retransmit: Duration,
    /// The last response sent: a provisional one, or the refusal.
    sent: Option<Bytes>,
}

impl ServerInvite {
    pub(crate) fn new(intervals: Intervals) -> Self {
        Self { state: State::Proceeding, retransmit: intervals.t1, intervals, sent: None }
    }

    /// The INVITE came again.
    pub(crate) fn on_retransmission(&mut self) -> Effects {
        match (self.state, &self.sent) {
            (State::Proceeding | State::Completed, Some(sent)) => smallvec![Effect::Send(sent.clone())],
            // RFC 6026 7.1: in Accepted the user retransmits the 2xx, so the INVITE is absorbed.
            _ => smallvec![],
        }
    }

    /// The user answers.
    pub(crate) fn on_answer(&mut self, status: u16, response: Bytes) -> Effects {
        match (self.state, status) {
            (State::Proceeding, 100..=199) => {
                self.sent = Some(response.clone());
                smallvec![Effect::Send(response)]
            }
            (State::Proceeding, 200..=299) => {
                self.state = State::Accepted;
                self.sent = None;
                smallvec![Effect::Send(response), Effect::Start(Timer::L, self.intervals.give_up())]
            }
            (State::Accepted, 200..=299) => smallvec![Effect::Send(response)],
            (State::Proceeding, _) => self.complete(response),
            _ => smallvec![],
        }
    }

    fn complete(&mut self, response: Bytes) -> Effects {
        self.state = State::Completed;
        self.sent = Some(response.clone());
        let mut effects: Effects =
            smallvec![Effect::Send(response), Effect::Start(Timer::H, self.intervals.give_up())];
        if let Some(first) = self.intervals.retransmit() {
            effects.push(Effect::Start(Timer::G, first));
        }
        effects
    }

    /// The ACK to our refusal came.
    pub(crate) fn on_ack(&mut self) -> Effects {
        if self.state != State::Completed {
            return smallvec![];
        }
        self.state = State::Confirmed;
        self.sent = None;
        smallvec![
            Effect::Stop(Timer::G),
            Effect::Stop(Timer::H),
            Effect::Start(Timer::I, self.intervals.linger_t4()),
        ]
    }

    pub(crate) fn on_timer(&mut self, timer: Timer) -> Effects {
        match (self.state, timer) {
            (State::Completed, Timer::G) => {
                self.retransmit = (self.retransmit * 2).min(self.intervals.t2);
                let again = self.sent.clone().map(Effect::Send);
                again.into_iter().chain([Effect::Start(Timer::G, self.retransmit)]).collect()
            }
            (State::Completed, Timer::H) => {
                self.state = State::Terminated;
                smallvec![Effect::Stop(Timer::G), Effect::GaveUp, Effect::Terminate]
            }
            (State::Confirmed, Timer::I) | (State::Accepted, Timer::L) => {
                self.state = State::Terminated;
                smallvec![Effect::Terminate]
            }
            _ => smallvec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::testing::{ms, over};
    use super::*;
    use crate::types::Transport;

    fn octets(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn a_retransmitted_invite_gets_the_last_response() {
        let mut machine = ServerInvite::new(over(Transport::Udp));
        assert!(machine.on_retransmission().is_empty());
        machine.on_answer(100, octets("100"));
        machine.on_answer(180, octets("180"));
        assert_eq!(machine.on_retransmission().as_slice(), [Effect::Send(octets("180"))]);
    }

    #[test]
    fn a_refusal_is_repeated_until_the_ack() {
        let mut machine = ServerInvite::new(over(Transport::Udp));
        let effects = machine.on_answer(486, octets("486"));
        assert!(effects.contains(&Effect::Start(Timer::G, ms(500))));
        assert!(effects.contains(&Effect::Start(Timer::H, ms(32_000))));
        let again = machine.on_timer(Timer::G);
        assert_eq!(again.as_slice(), [Effect::Send(octets("486")), Effect::Start(Timer::G, ms(1000))]);
        assert!(machine.on_ack().contains(&Effect::Start(Timer::I, ms(5000))));
        assert!(machine.on_retransmission().is_empty());
        assert_eq!(machine.on_timer(Timer::I).as_slice(), [Effect::Terminate]);
    }

    #[test]
    fn without_an_ack_the_refusal_is_given_up() {
        let mut machine = ServerInvite::new(over(Transport::Udp));
        machine.on_answer(486, octets("486"));
        assert!(machine.on_timer(Timer::H).contains(&Effect::GaveUp));
    }

    #[test]
    fn after_a_2xx_invites_are_absorbed_until_timer_l() {
        let mut machine = ServerInvite::new(over(Transport::Udp));
        assert!(machine.on_answer(200, octets("200")).contains(&Effect::Start(Timer::L, ms(32_000))));
        assert!(machine.on_retransmission().is_empty());
        assert_eq!(machine.on_answer(200, octets("200")).as_slice(), [Effect::Send(octets("200"))]);
        assert!(machine.on_answer(486, octets("486")).is_empty());
        assert_eq!(machine.on_timer(Timer::L).as_slice(), [Effect::Terminate]);
    }
}
