//! The client transaction of every other method: RFC 3261 section 17.1.2.

use std::time::Duration;

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

/// One request other than INVITE on its way out.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) state: State,
    intervals: Intervals,
    retransmit: Duration,
    pub(crate) sent: Bytes,
}

impl Client {
    /// Starts the machine; the effects send the request.
    pub(crate) fn start(request: Bytes, intervals: Intervals) -> (Self, Effects) {
        let mut effects: Effects =
            smallvec![Effect::Send(request.clone()), Effect::Start(Timer::F, intervals.give_up())];
        if let Some(first) = intervals.retransmit() {
            effects.push(Effect::Start(Timer::E, first));
        }
        let machine = Self { state: State::Trying, retransmit: intervals.t1, intervals, sent: request };
        (machine, effects)
    }

    pub(crate) fn on_response(&mut self, status: u16) -> Effects {
        match (self.state, status) {
            (State::Trying | State::Proceeding, 100..=199) => {
                self.state = State::Proceeding;
                smallvec![Effect::Pass]
            }
            (State::Trying | State::Proceeding, 200..) => {
                self.state = State::Completed;
                smallvec![
                    Effect::Stop(Timer::E),
                    Effect::Stop(Timer::F),
                    Effect::Start(Timer::K, self.intervals.linger_t4()),
                    Effect::Pass,
                ]
            }
            _ => smallvec![],
        }
    }

    pub(crate) fn on_timer(&mut self, timer: Timer) -> Effects {
        match (self.state, timer) {
            (State::Trying, Timer::E) => {
                self.retransmit = (self.retransmit * 2).min(self.intervals.t2);
                smallvec![Effect::Send(self.sent.clone()), Effect::Start(Timer::E, self.retransmit)]
            }
            // 17.1.2.2: once a provisional answer came, the interval is T2.
            (State::Proceeding, Timer::E) => {
                smallvec![Effect::Send(self.sent.clone()), Effect::Start(Timer::E, self.intervals.t2)]
            }
            (State::Trying | State::Proceeding, Timer::F) => self.give_up(),
            (State::Completed, Timer::K) => {
                self.state = State::Terminated;
                smallvec![Effect::Terminate]
            }
            _ => smallvec![],
        }
    }

    /// The transport could not deliver, or nobody answered.
    pub(crate) fn give_up(&mut self) -> Effects {
        self.state = State::Terminated;
        smallvec![Effect::GaveUp, Effect::Terminate]
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::testing::{ms, over};
    use super::*;
    use crate::types::Transport;

    #[test]
    fn the_interval_doubles_up_to_t2() {
        let (mut machine, _) = Client::start(Bytes::from_static(b"BYE"), over(Transport::Udp));
        let mut intervals = Vec::new();
        for _ in 0..5 {
            if let Some(Effect::Start(Timer::E, at)) = machine.on_timer(Timer::E).last() {
                intervals.push(*at);
            }
        }
        assert_eq!(intervals, [1000, 2000, 4000, 4000, 4000].map(ms));
        assert_eq!(machine.on_timer(Timer::F).as_slice(), [Effect::GaveUp, Effect::Terminate]);
    }

    #[test]
    fn only_the_first_final_response_is_passed() {
        let (mut machine, _) = Client::start(Bytes::from_static(b"BYE"), over(Transport::Udp));
        assert!(machine.on_response(200).contains(&Effect::Start(Timer::K, ms(5000))));
        assert!(machine.on_response(200).is_empty());
        assert_eq!(machine.on_timer(Timer::K).as_slice(), [Effect::Terminate]);
    }
}
