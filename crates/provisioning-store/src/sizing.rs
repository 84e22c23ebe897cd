//! How many channels an office needs.

use serde::{Deserialize, Serialize};

use crate::lifecycle::MOST_CHANNELS;

/// The share of calls that may find no channel free where nobody says otherwise: one in a hundred.
pub const LOST: f64 = 0.01;

/// What people telephone in the busiest hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// How many people.
    pub people: u32,
    /// Calls that each makes or takes in an hour.
    pub calls_an_hour: f64,
    /// Minutes of a call.
    pub minutes_a_call: f64,
}

impl Load {
    /// The traffic in erlangs: calls that go on at one time, on average.
    pub fn erlangs(&self) -> f64 {
        f64::from(self.people) * self.calls_an_hour * self.minutes_a_call / 60.0
    }

    /// The fewest channels with which at most this share of calls (0.01 is one in a hundred) finds none free, by
    /// Erlang's formula B. `None` when not even the most that a profile can have are enough, or for no sensible load.
    pub fn channels(&self, lost: f64) -> Option<u32> {
        let erlangs = self.erlangs();
        if !erlangs.is_finite() || erlangs < 0.0 {
            return None;
        }
        let mut blocking = 1.0;
        (1..=MOST_CHANNELS).find(|channels| {
            blocking = erlangs * blocking / (f64::from(*channels) + erlangs * blocking);
            blocking <= lost
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(people: u32, calls_an_hour: f64, minutes_a_call: f64) -> Option<u32> {
        Load { people, calls_an_hour, minutes_a_call }.channels(0.01)
    }

    #[test]
    fn channels_are_those_of_the_published_tables() {
        // Erlang B at 1 %: 5 channels carry 1.36 erlangs, 10 carry 4.46, 20 carry 12.0.
        assert_eq!(channels(1, 1.36, 60.0), Some(5));
        assert_eq!(channels(1, 4.46, 60.0), Some(10));
        assert_eq!(channels(1, 12.03, 60.0), Some(20));
        assert_eq!(channels(9, 2.0, 3.0), Some(5));
    }

    #[test]
    fn nobody_needs_one_channel_and_too_many_need_more_profiles() {
        assert_eq!(channels(0, 2.0, 3.0), Some(1));
        assert_eq!(channels(1_000_000, 2.0, 3.0), None);
        assert_eq!(channels(1, f64::NAN, 3.0), None);
        assert_eq!(channels(1, -1.0, 3.0), None);
    }
}
