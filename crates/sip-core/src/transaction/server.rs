//! The server transaction of every other method: RFC 3261 section 17.2.2.

use bytes::Bytes;
use smallvec::smallvec;

use super::machine::{Effect, Effects, Intervals, Timer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

/// One request other than INVITE that came in.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) state: State,
    intervals: Intervals,
    sent: Option<Bytes>,
}

impl Server {
    pub(crate) fn new(intervals: Intervals) -> Self {
        Self { state: State::Trying, intervals, sent: None }
    }

    /// The request came again: silence while there is no response to repeat.
    pub(crate) fn on_retransmission(&self) -> Effects {
        self.sent.clone().map(Effect::Send).into_iter().collect()
    }

    pub(crate) fn on_answer(&mut self, status: u16, response: Bytes) -> Effects {
        match (self.state, status) {
            (State::Trying | State::Proceeding, 100..=199) => {
                self.state = State::Proceeding;
                self.sent = Some(response.clone());
                smallvec![Effect::Send(response)]
            }
            (State::Trying | State::Proceeding, _) => {
                self.state = State::Completed;
                self.sent = Some(response.clone());
                smallvec![Effect::Send(response), Effect::Start(Timer::J, self.intervals.linger_long())]
            }
            _ => smallvec![],
        }
    }

    pub(crate) fn on_timer(&mut self, timer: Timer) -> Effects {
        match (self.state, timer) {
            (State::Completed, Timer::J) => {
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

    #[test]
    fn the_answer_is_repeated_for_timer_j() {
        let mut machine = Server::new(over(Transport::Udp));
        assert!(machine.on_retransmission().is_empty());
        let ok = Bytes::from_static(b"200");
        assert!(machine.on_answer(200, ok.clone()).contains(&Effect::Start(Timer::J, ms(32_000))));
        assert_eq!(machine.on_retransmission().as_slice(), [Effect::Send(ok)]);
        assert_eq!(machine.on_timer(Timer::J).as_slice(), [Effect::Terminate]);
    }

    #[test]
    fn a_reliable_transport_needs_no_timer_j() {
        let mut machine = Server::new(over(Transport::Tls));
        let effects = machine.on_answer(200, Bytes::from_static(b"200"));
        assert!(effects.contains(&Effect::Start(Timer::J, ms(0))));
    }
}
