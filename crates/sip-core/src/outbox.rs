//! What the core has to say and the shell has not yet polled.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::types::{Event, Flow, Question, Transmit};

/// Three queues, drained by the shell after every `handle_*`.
///
/// They need no bound of their own: each input makes a bounded number of outputs, and the drain rule empties them
/// before the next input.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) questions: VecDeque<Question>,
    pub(crate) events: VecDeque<Event>,
}

impl Outbox {
    pub(crate) fn send(&mut self, flow: Flow, bytes: Bytes) {
        self.transmits.push_back(Transmit { flow, bytes });
    }

    pub(crate) fn ask(&mut self, question: Question) {
        self.questions.push_back(question);
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }
}
