//! When a call counts as silent: the one place that decides it.
//!
//! A call is silent if it is answered, neither side holds it, at least one side has agreed to send, and no packet has come
//! from either side for the configured time. Ringing and early media do not count: the time begins with the answer, and
//! again with each new agreement.

use super::description::Flow;
use std::time::{Duration, Instant};

/// What a side has agreed to, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// What the side says that it does.
    pub(super) flow: Flow,
    /// Since when it says so.
    pub(super) agreed: Instant,
    /// When anything came from it.
    pub(super) heard: Option<Instant>,
}

/// One call's watch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence {
    answered: Option<Instant>,
    told: Option<Instant>,
}

impl Silence {
    /// The call was answered.
    pub(super) fn begin(&mut self, now: Instant) {
        self.answered.get_or_insert(now);
    }

    /// Since when the call has been silent, if that is for `limit` now. It is told again after as long, should it go on:
    /// the first word may have been lost.
    pub(super) fn look(&mut self, now: Instant, limit: Duration, parts: Parts) -> Option<Instant> {
        let since = self.since(parts)?;
        let counted = since.max(self.told.unwrap_or(since));
        if now.saturating_duration_since(counted) < limit {
            return None;
        }
        self.told = Some(now);
        Some(since)
    }

    fn since(&self, parts: Parts) -> Option<Instant> {
        let answered = self.answered?;
        let (one, other) = match parts {
            Parts::Both(near, far) => (near, far),
            Parts::Alone(part) => (part, part),
        };
        let is_held = !one.flow.receives() || !other.flow.receives();
        let is_owed = one.flow.sends() || other.flow.sends();
        let heard = one.heard.max(other.heard).unwrap_or(answered);
        (is_owed && !is_held).then(|| answered.max(one.agreed).max(other.agreed).max(heard))
    }
}

/// The sides that have agreed to something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parts {
    Both(Part, Part),
    /// The echo's only side: it is to hear itself.
    Alone(Part),
}

#[cfg(test)]
mod tests {
    use super::*;
    use Flow::{Inactive, RecvOnly, SendOnly, SendRecv};

    const LIMIT: Duration = Duration::from_secs(10);

    fn part(flow: Flow, agreed: Instant) -> Part {
        Part { flow, agreed, heard: None }
    }

    #[test]
    fn only_who_owes_media_and_is_not_held_can_be_silent() {
        let start = Instant::now();
        for (near, far, is_watched) in [
            (SendRecv, SendRecv, true),
            (RecvOnly, SendRecv, true),
            (SendRecv, RecvOnly, true),
            (RecvOnly, RecvOnly, false),
            (SendOnly, RecvOnly, false),
            (SendOnly, SendRecv, false),
            (SendRecv, SendOnly, false),
            (SendOnly, SendOnly, false),
            (Inactive, Inactive, false),
            (Inactive, SendRecv, false),
            (SendRecv, Inactive, false),
        ] {
            let mut silence = Silence::default();
            let parts = Parts::Both(part(near, start), part(far, start));
            assert_eq!(silence.look(start + LIMIT, LIMIT, parts), None, "before the answer");
            silence.begin(start);
            let told = silence.look(start + LIMIT, LIMIT, parts);
            assert_eq!(told.is_some(), is_watched, "{near:?}, {far:?}");
        }
    }

    #[test]
    fn a_sound_of_either_side_and_every_new_agreement_begin_the_time_again() {
        let start = Instant::now();
        let mut silence = Silence::default();
        silence.begin(start);
        let late = start + LIMIT / 2;
        let heard = Part { heard: Some(late), ..part(SendRecv, start) };
        for parts in [
            Parts::Both(part(SendRecv, start), heard),
            Parts::Both(heard, part(SendRecv, start)),
            Parts::Both(part(SendRecv, start), part(SendRecv, late)),
            Parts::Alone(heard),
        ] {
            assert_eq!(silence.look(start + LIMIT, LIMIT, parts), None);
            assert_eq!(silence.look(late + LIMIT, LIMIT, parts), Some(late));
            silence.told = None;
        }
    }

    #[test]
    fn early_media_and_ringing_do_not_count() {
        let start = Instant::now();
        let mut silence = Silence::default();
        let parts = Parts::Both(part(SendRecv, start), part(SendRecv, start));
        assert_eq!(silence.look(start + LIMIT * 9, LIMIT, parts), None);
        silence.begin(start + LIMIT * 9);
        assert_eq!(silence.look(start + LIMIT * 9, LIMIT, parts), None);
        assert_eq!(silence.look(start + LIMIT * 10, LIMIT, parts), Some(start + LIMIT * 9));
    }

    #[test]
    fn silence_that_goes_on_is_told_again_after_as_long() {
        let start = Instant::now();
        let mut silence = Silence::default();
        silence.begin(start);
        let parts = Parts::Both(part(SendRecv, start), part(SendRecv, start));
        assert!(silence.look(start + LIMIT, LIMIT, parts).is_some());
        assert!(silence.look(start + LIMIT * 3 / 2, LIMIT, parts).is_none());
        assert_eq!(silence.look(start + LIMIT * 2, LIMIT, parts), Some(start));
    }
}
