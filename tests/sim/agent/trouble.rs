//! An agent that breaks down, and one whose gateway did.

use std::time::Instant;

use bytes::Bytes;
use sip_core::message::{Message, Transport, lex};

use super::transactions::key_of;
use super::{Agent, End, GIVE_UP, State, Step};

impl Agent {
    /// Breaks down: nothing of what was going on is known any more.
    pub(crate) fn break_down(&mut self) {
        self.excuse_everything();
        self.forget_calls();
    }

    /// Nothing of what was going on is known any more.
    pub(crate) fn forget_calls(&mut self) {
        self.forget_transactions();
        self.agenda.clear();
        self.calls.iter_mut().for_each(|call| call.state = State::Over);
    }

    /// The gateway has forgotten every call: the agent finds out some time within `most_ms`, and goes on until then.
    pub(crate) fn lose_the_gateway(&mut self, now: Instant, most_ms: u64) {
        self.excuse_everything();
        for call in 0..self.calls.len() {
            if self.calls[call].state != State::Over {
                let after = self.dice.between_ms(0, most_ms);
                self.plan(now + after, Step::GiveUp(call));
            }
        }
    }

    /// The network is back: a call that has only ever heard 100 may have been refused meanwhile, and waits for nothing.
    pub(crate) fn lose_patience(&mut self, now: Instant) {
        for call in 0..self.calls.len() {
            if (self.calls[call].state, self.calls[call].end) == (State::Early, End::Caller) {
                self.plan(now + GIVE_UP, Step::GiveUp(call));
            }
        }
    }

    /// The gateway has died while these octets of it were on their way.
    pub(crate) fn will_hear_from_the_dead(&mut self, bytes: &Bytes) {
        let message = lex(bytes.clone(), Transport::Datagram);
        self.orphans.extend(message.ok().filter(Message::is_request).map(|request| key_of(&request)));
    }

    fn excuse_everything(&mut self) {
        self.outcomes.values_mut().for_each(|outcome| outcome.is_excused = true);
        self.calls.iter_mut().for_each(|call| call.is_excused = true);
        self.servers.iter_mut().for_each(|server| server.is_excused = true);
    }

    /// Nothing is heard of a call any more: say goodbye to whoever may listen, and be done with it.
    pub(super) fn give_up(&mut self, now: Instant, call: usize) {
        match (self.calls[call].state, self.calls[call].end) {
            (State::Up, _) => self.hang_up(now, call),
            (State::Early, End::Caller) => {
                self.cancel(now, call);
                if let Some(branch) = self.calls[call].inviting.take() {
                    self.forget_client(&branch);
                    self.outcomes.entry(branch).or_default().is_excused = true;
                }
                self.is_over(now, call);
            }
            _ => {}
        }
    }
}
