//! The packet index and the replay window of RFC 3711, 3.3.1 and 3.3.2.

/// Indices behind the highest one that are still told apart. RFC 3711 asks for at least 64.
pub const WINDOW: u64 = 128;

/// SRTP's packet index has 48 bits: rollover counter and sequence number.
pub(super) const MAX_RTP_INDEX: u64 = (1 << 48) - 1;

/// SRTCP's index has 31 bits; the top bit of its word says "encrypted".
pub(super) const MAX_RTCP_INDEX: u64 = (1 << 31) - 1;

/// Which of the last [`WINDOW`] indices were seen, on full indices so that a sequence wrap needs no care.
#[derive(Clone, Copy, Debug)]
pub struct ReplayWindow {
    highest: u64,
    /// Bit n stands for `highest - n`.
    seen: u128,
}

impl ReplayWindow {
    /// A window that has seen `first`.
    #[must_use]
    pub fn starting_at(first: u64) -> Self {
        Self { highest: first, seen: 1 }
    }

    /// A window of which nothing but the highest index is known: what lies behind counts as seen.
    #[must_use]
    pub fn all_seen(highest: u64) -> Self {
        Self { highest, seen: u128::MAX }
    }

    /// The highest index seen.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Has `index` been seen, or is it too old to know?
    #[must_use]
    pub fn is_replay(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => false,
            Some(age) => age >= WINDOW || self.seen >> age & 1 == 1,
        }
    }

    /// Notes an index whose packet was authentic.
    pub fn accept(&mut self, index: u64) {
        match self.highest.checked_sub(index) {
            None => {
                let step = index - self.highest;
                self.seen = if step >= WINDOW { 1 } else { self.seen << step | 1 };
                self.highest = index;
            }
            Some(age) if age < WINDOW => self.seen |= 1 << age,
            Some(_) => {}
        }
    }
}

/// Guesses the full index of `sequence` near the highest one (RFC 3711, 3.3.1 and appendix A).
/// There is no rollover before the first, so a guess never goes below counter 0.
#[must_use]
pub fn estimate(highest: u64, sequence: u16) -> u64 {
    let rollover = highest >> 16;
    let last = highest as u16;
    let guess = if last < 0x8000 {
        if u32::from(sequence) > u32::from(last) + 0x8000 { rollover.saturating_sub(1) } else { rollover }
    } else if last - 0x8000 > sequence {
        rollover + 1
    } else {
        rollover
    };
    guess << 16 | u64::from(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn the_estimate_follows_the_counter_over_its_wrap() {
        assert_eq!(estimate(65_530, 2), 65_538);
        assert_eq!(estimate(65_538, 65_534), 65_534, "a late packet belongs to the counter before");
        assert_eq!(estimate(5, 60_000), 60_000, "there is no counter before the first");
        assert_eq!(estimate(0x1_8000, 0), 0x1_0000);
    }

    proptest! {
        /// The window is compared with a set that forgets nothing.
        #[test]
        fn the_window_agrees_with_a_set(steps in proptest::collection::vec(0u64..400, 1..300)) {
            let mut window = ReplayWindow::starting_at(1000);
            let mut seen = HashSet::from([1000u64]);
            for step in steps {
                let index = (window.highest() + 40).saturating_sub(step / 2);
                let too_old = window.highest().saturating_sub(index) >= WINDOW;
                prop_assert_eq!(window.is_replay(index), too_old || seen.contains(&index));
                if !window.is_replay(index) {
                    window.accept(index);
                    seen.insert(index);
                }
            }
        }
    }
}
