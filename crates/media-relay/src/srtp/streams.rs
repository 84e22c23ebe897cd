//! The senders seen under one key, and what must never be forgotten of them.
//!
//! A few senders have a window each. When one more comes, the one that was idle longest makes room: of it only the highest
//! index is kept. That is enough for both directions. Should it come back, whatever lies at or below that index counts as
//! seen, so a receiver takes no replay, a sender uses no index twice (RFC 3711, 9.1), and the rollover counter goes on.

use super::replay::ReplayWindow;
use super::{MAX_REMEMBERED, MAX_STREAMS};

/// One sender's place in the packet number space.
struct Stream {
    ssrc: u32,
    window: ReplayWindow,
    /// When it was used last, counted in packets.
    used: u64,
}

/// The senders of one direction. A call has one or two, so a short scan beats hashing.
#[derive(Default)]
pub(super) struct Streams {
    present: Vec<Stream>,
    /// SSRC and highest index of those that made room, in the order of SSRCs.
    remembered: Vec<(u32, u64)>,
    packets: u64,
}

impl Streams {
    /// What is known of a sender.
    #[inline]
    pub(super) fn window(&self, ssrc: u32) -> Option<ReplayWindow> {
        match self.present.iter().find(|stream| stream.ssrc == ssrc) {
            Some(stream) => Some(stream.window),
            None => self.recall(ssrc),
        }
    }

    /// May this sender have a window, if it proves authentic?
    #[inline]
    pub(super) fn has_room_for(&self, ssrc: u32) -> bool {
        self.present.len() < MAX_STREAMS
            || self.remembered.len() < MAX_REMEMBERED
            || self.present.iter().any(|stream| stream.ssrc == ssrc)
    }

    /// Notes an index whose packet was authentic.
    #[inline]
    pub(super) fn accept(&mut self, ssrc: u32, index: u64) {
        self.packets += 1;
        match self.present.iter_mut().find(|stream| stream.ssrc == ssrc) {
            Some(stream) => {
                stream.window.accept(index);
                stream.used = self.packets;
            }
            None => self.begin(ssrc, index),
        }
    }

    fn begin(&mut self, ssrc: u32, index: u64) {
        let window = match self.recall(ssrc) {
            Some(mut window) => {
                window.accept(index);
                window
            }
            None => ReplayWindow::starting_at(index),
        };
        let stream = Stream { ssrc, window, used: self.packets };
        if self.present.len() < MAX_STREAMS {
            self.present.push(stream);
        } else if let Some(idle) = self.present.iter_mut().min_by_key(|stream| stream.used) {
            let left = std::mem::replace(idle, stream);
            self.remember(left.ssrc, left.window.highest());
        }
    }

    fn recall(&self, ssrc: u32) -> Option<ReplayWindow> {
        let place = self.remembered.binary_search_by_key(&ssrc, |(known, _)| *known).ok()?;
        Some(ReplayWindow::all_seen(self.remembered[place].1))
    }

    fn remember(&mut self, ssrc: u32, highest: u64) {
        match self.remembered.binary_search_by_key(&ssrc, |(known, _)| *known) {
            Ok(place) => self.remembered[place].1 = highest,
            Err(place) => self.remembered.insert(place, (ssrc, highest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_makes_room_and_comes_back_behind_nothing_that_was_seen() {
        let mut streams = Streams::default();
        for ssrc in 0..MAX_STREAMS as u32 {
            streams.accept(ssrc, 70_000);
        }
        streams.accept(0, 70_001);
        streams.accept(999, 5);
        let left = streams.window(1).expect("it is remembered");
        assert_eq!(left.highest(), 70_000);
        assert!((0..=70_000).all(|index| left.is_replay(index)) && !left.is_replay(70_001));
        assert!(
            !streams.window(0).expect("it was in use").is_replay(69_999),
            "the window of one in use is whole"
        );
        streams.accept(1, 70_001);
        let back = streams.window(1).expect("it is back");
        assert!(back.is_replay(70_000) && back.is_replay(70_001) && !back.is_replay(70_002));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_then_nobody_new_is_taken() {
        let mut streams = Streams::default();
        let all = (MAX_STREAMS + MAX_REMEMBERED) as u32;
        for ssrc in 0..all {
            assert!(streams.has_room_for(ssrc));
            streams.accept(ssrc, 1);
        }
        assert!(!streams.has_room_for(all));
        assert!(streams.has_room_for(all - 1), "who is present goes on");
        assert_eq!(streams.remembered.len(), MAX_REMEMBERED);
    }
}
