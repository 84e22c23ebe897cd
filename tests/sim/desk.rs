//! Whoever answers the core's questions: books, media and names, each after a while of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip_core::types::{CallUid, Question, Reply};

use crate::books::Books;
use crate::dice::Dice;
use crate::studio::Studio;

/// How a part of the desk works.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Answers within so many milliseconds.
    Within(u64),
    /// Answers after so many milliseconds.
    After(u64),
    /// Does what it is asked and never says so.
    Mute,
}

/// The desk.
pub(crate) struct Desk {
    pub(crate) books: Books,
    pub(crate) studio: Studio,
    pub(crate) names: HashMap<String, Vec<SocketAddr>>,
    pub(crate) books_pace: Pace,
    pub(crate) studio_pace: Pace,
    /// Descriptions to be refused, one for each.
    pub(crate) media_refusals: Vec<sip_core::refusal::Refusal>,
    dice: Dice,
}

impl Desk {
    pub(crate) fn new(books: Books, studio: Studio, dice: Dice) -> Self {
        let pace = Pace::Within(3);
        Self {
            books,
            studio,
            names: HashMap::new(),
            books_pace: pace,
            studio_pace: pace,
            media_refusals: Vec::new(),
            dice,
        }
    }

    /// Does what is asked, at once and in order; the reply, if there is one, comes after a while.
    pub(crate) fn ask(&mut self, now: Instant, question: Question) -> Option<(Duration, Reply)> {
        match question {
            Question::Reserve { lease, profile, usage, .. } => {
                let result = self.books.reserve(now, lease, profile, &usage);
                self.after(self.books_pace, Reply::Reserved { lease, result })
            }
            Question::Extend { lease, elapsed } => {
                let result = self.books.extend(now, lease, elapsed);
                self.after(self.books_pace, Reply::Extended { lease, result })
            }
            Question::Answer { lease, at, known } => {
                self.books.answer(now, lease, at, known);
                None
            }
            Question::Settle(record) => {
                self.books.settle(now, *record);
                None
            }
            Question::Media { call, from, role, remote, secure, speaker, .. } => {
                let described = self.studio.describe(now, call, (from, role), (&remote, &speaker), secure);
                self.described(call, described)
            }
            Question::EchoMedia { call, remote, speaker } => {
                let described = self.studio.echo(now, call, (&remote, &speaker));
                self.described(call, described)
            }
            Question::EchoOffer { call, secure, .. } => {
                let described = self.studio.echo_offer(now, call, secure);
                self.described(call, described)
            }
            Question::EchoAnswer { call, remote, speaker } => {
                let described = self.studio.echo_answer(now, call, (&remote, &speaker));
                self.described(call, described)
            }
            Question::AnswerMedia { call, from, remote, speaker } => {
                let described = self.studio.answer_alone(now, call, from, (&remote, &speaker));
                self.described(call, described)
            }
            Question::WatchMedia { call } => {
                self.studio.watch(now, call);
                None
            }
            Question::RollbackMedia { call } => {
                self.studio.roll_back(now, call);
                None
            }
            Question::CloseMedia { call } => {
                self.studio.close(now, call);
                None
            }
            Question::Resolve { call, host, .. } => {
                let addresses = self.names.get(&host).cloned().unwrap_or_default();
                self.after(Pace::Within(40), Reply::Resolved { call, addresses })
            }
        }
    }

    fn described(
        &mut self,
        call: CallUid,
        result: Result<sip_core::sdp::LocalMedia, sip_core::refusal::Refusal>,
    ) -> Option<(Duration, Reply)> {
        let result = self.media_refusals.pop().map_or(result, Err);
        self.after(self.studio_pace, Reply::Media { call, result })
    }

    fn after(&mut self, pace: Pace, reply: Reply) -> Option<(Duration, Reply)> {
        match pace {
            Pace::Within(most_ms) => Some((self.dice.between_ms(0, most_ms), reply)),
            Pace::After(ms) => Some((Duration::from_millis(ms), reply)),
            Pace::Mute => None,
        }
    }
}
