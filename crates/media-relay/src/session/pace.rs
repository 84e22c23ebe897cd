//! A bound on what one side may send.
//!
//! Audio needs 100 packets a second at most. Without a bound, two descriptions that point at the gateway's own
//! ports would let one packet circle for ever, as fast as the machine can, and a peer could spend a worker's
//! time on its call alone.

use std::time::{Duration, Instant};

/// Packets a second that one side may send, RTP and RTCP together: room for bursts after a congested moment.
pub(super) const MAX_PER_SECOND: u32 = 1000;

/// Counts within the running second.
#[derive(Default)]
pub(super) struct Pace {
    since: Option<Instant>,
    packets: u32,
}

impl Pace {
    /// May one more packet pass?
    #[inline]
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        let is_running =
            self.since.is_some_and(|since| now.saturating_duration_since(since) < Duration::from_secs(1));
        if !is_running {
            *self = Self { since: Some(now), packets: 0 };
        }
        self.packets += 1;
        self.packets <= MAX_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own_budget() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert!((0..MAX_PER_SECOND).all(|_| pace.allows(start)));
        assert!(!pace.allows(start + Duration::from_millis(999)));
        assert!(pace.allows(start + Duration::from_secs(1)));
    }
}
