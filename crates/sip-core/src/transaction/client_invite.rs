//! The INVITE client transaction: RFC 3261 section 17.1.1, with the Accepted state of RFC 6026 section 7.2.

use std::time::Duration;

use bytes::Bytes;
use smallvec::smallvec;

use super::machine::{Effect, Effects, Intervals, Timer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Calling,
    Proceeding,
    Accepted,
    Completed,
    Terminated,
}

/// One INVITE on its way out.
#[derive(Debug)]
pub(crate) struct ClientInvite {
    pub(crate) state: State,
    intervals: Intervals,
    retransmit: Duration,
    /// Calling, Proceeding: the INVITE. Completed: the ACK.
    pub(crate) sent: Bytes,
    /// Nobody wants the answer any more.
    is_abandoned: bool,
}

impl ClientInvite {
    /// Starts the machine; the effects send the INVITE.
    pub(crate) fn start(invite: Bytes, intervals: Intervals) -> (Self, Effects) {
        let mut effects: Effects =
            smallvec![Effect::Send(invite.clone()), Effect::Start(Timer::B, intervals.give_up())];
        if let Some(first) = intervals.retransmit() {
            effects.push(Effect::Start(Timer::A, first));
        }
        let machine = Self {
            state: State::Calling,
            retransmit: intervals.t1,
            intervals,
            sent: invite,
            is_abandoned: false,
        };
        (machine, effects)
    }

    /// A response with this status came.
    pub(crate) fn on_response(&mut self, status: u16) -> Effects {
        match (self.state, status) {
            (State::Calling | State::Proceeding, 100..=199) => self.proceed(),
            (State::Calling | State::Proceeding, 200..=299) => self.accept(),
            (State::Accepted, 200..=299) => smallvec![Effect::Pass],
            (State::Calling | State::Proceeding, 300..) => self.complete(),
            // 17.1.1.2: "any retransmissions of the final response ... MUST cause the ACK to be re-passed"
            (State::Completed, 300..) => smallvec![Effect::Send(self.sent.clone())],
            _ => smallvec![],
        }
    }

    fn proceed(&mut self) -> Effects {
        self.state = State::Proceeding;
        if self.is_abandoned {
            return smallvec![Effect::Stop(Timer::A), Effect::Pass];
        }
        smallvec![Effect::Stop(Timer::A), Effect::Stop(Timer::B), Effect::Pass]
    }

    fn accept(&mut self) -> Effects {
        self.state = State::Accepted;
        smallvec![
            Effect::Stop(Timer::A),
            Effect::Stop(Timer::B),
            Effect::Start(Timer::M, self.intervals.give_up()),
            Effect::Pass,
        ]
    }

    fn complete(&mut self) -> Effects {
        self.state = State::Completed;
        smallvec![
            Effect::Stop(Timer::A),
            Effect::Stop(Timer::B),
            Effect::SendAck,
            Effect::Start(Timer::D, self.intervals.linger_long()),
            Effect::Pass,
        ]
    }

    pub(crate) fn on_timer(&mut self, timer: Timer) -> Effects {
        match (self.state, timer) {
            (State::Calling, Timer::A) => {
                // 17.1.1.2: the interval doubles and, unlike timer E, has no ceiling.
                self.retransmit *= 2;
                smallvec![Effect::Send(self.sent.clone()), Effect::Start(Timer::A, self.retransmit)]
            }
            (State::Calling | State::Proceeding, Timer::B) => self.give_up(),
            (State::Completed, Timer::D) | (State::Accepted, Timer::M) => {
                self.state = State::Terminated;
                smallvec![Effect::Terminate]
            }
            _ => smallvec![],
        }
    }

    /// Nobody wants the answer any more. RFC 3261 section 9.1: without one by 64*T1 the transaction is destroyed; in
    /// Calling timer B runs already, and goes on when a provisional response comes.
    pub(crate) fn abandon(&mut self) -> Effects {
        let was_abandoned = std::mem::replace(&mut self.is_abandoned, true);
        match self.state {
            State::Proceeding if !was_abandoned => {
                smallvec![Effect::Start(Timer::B, self.intervals.give_up())]
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

    fn invite() -> Bytes {
        Bytes::from_static(b"INVITE")
    }

    #[test]
    fn an_unanswered_invite_doubles_its_interval_and_gives_up() {
        let (mut machine, effects) = ClientInvite::start(invite(), over(Transport::Udp));
        assert!(effects.contains(&Effect::Start(Timer::A, ms(500))));
        assert!(effects.contains(&Effect::Start(Timer::B, ms(32_000))));
        for expected in [1000, 2000, 4000, 8000, 16_000] {
            let effects = machine.on_timer(Timer::A);
            assert_eq!(effects.as_slice(), [Effect::Send(invite()), Effect::Start(Timer::A, ms(expected))]);
        }
        assert_eq!(machine.on_timer(Timer::B).as_slice(), [Effect::GaveUp, Effect::Terminate]);
    }

    #[test]
    fn a_reliable_transport_needs_no_retransmission() {
        let (mut machine, effects) = ClientInvite::start(invite(), over(Transport::Tcp));
        assert!(!effects.iter().any(|e| matches!(e, Effect::Start(Timer::A, _))));
        let effects = machine.on_response(486);
        assert!(effects.contains(&Effect::Start(Timer::D, ms(0))));
    }

    #[test]
    fn a_refusal_is_acknowledged_every_time_but_passed_once() {
        let (mut machine, _) = ClientInvite::start(invite(), over(Transport::Udp));
        assert!(machine.on_response(180).contains(&Effect::Pass));
        let effects = machine.on_response(486);
        assert!(effects.contains(&Effect::SendAck) && effects.contains(&Effect::Pass));
        machine.sent = Bytes::from_static(b"ACK");
        assert_eq!(machine.on_response(486).as_slice(), [Effect::Send(Bytes::from_static(b"ACK"))]);
        assert_eq!(machine.on_timer(Timer::D).as_slice(), [Effect::Terminate]);
    }

    #[test]
    fn an_abandoned_invite_ends_without_its_answer() {
        let (mut machine, _) = ClientInvite::start(invite(), over(Transport::Udp));
        assert!(machine.abandon().is_empty(), "timer B runs");
        assert!(!machine.on_response(180).contains(&Effect::Stop(Timer::B)));
        assert_eq!(machine.on_timer(Timer::B).as_slice(), [Effect::GaveUp, Effect::Terminate]);
        let (mut machine, _) = ClientInvite::start(invite(), over(Transport::Udp));
        machine.on_response(180);
        assert_eq!(machine.abandon().as_slice(), [Effect::Start(Timer::B, ms(32_000))]);
        assert!(machine.abandon().is_empty(), "a second word does not lengthen it");
        assert_eq!(machine.on_timer(Timer::B).as_slice(), [Effect::GaveUp, Effect::Terminate]);
    }

    #[test]
    fn every_2xx_is_passed_until_timer_m() {
        let (mut machine, _) = ClientInvite::start(invite(), over(Transport::Udp));
        assert!(machine.on_response(200).contains(&Effect::Start(Timer::M, ms(32_000))));
        assert_eq!(machine.on_response(200).as_slice(), [Effect::Pass]);
        assert!(machine.on_response(486).is_empty(), "a refusal after a 2xx is a stray");
        assert_eq!(machine.on_timer(Timer::M).as_slice(), [Effect::Terminate]);
    }
}
