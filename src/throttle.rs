//! Keeps strangers from flooding the log: whoever causes a line decides how many there are.

use std::time::{Duration, Instant};

/// Lets only so many lines a second through.
#[derive(Debug)]
pub(crate) struct Throttle {
    lines: u32,
    second: Instant,
    written: u32,
    left_out: u32,
}

impl Throttle {
    /// For so many lines a second.
    pub(crate) fn new(now: Instant, lines: u32) -> Self {
        Self { lines, second: now, written: 0, left_out: 0 }
    }

    /// Whether a line may be written now, and how many were left out since the last one that was.
    pub(crate) fn may_write(&mut self, now: Instant) -> Option<u32> {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.written) = (now, 0);
        }
        if self.written >= self.lines {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_a_second_and_the_rest_is_counted() {
        let begun = Instant::now();
        let mut throttle = Throttle::new(begun, 20);
        let written = (0..1_000).filter(|_| throttle.may_write(begun).is_some()).count();
        assert_eq!(written, 20);
        assert_eq!(throttle.may_write(begun + Duration::from_secs(1)), Some(980));
        assert_eq!(throttle.may_write(begun + Duration::from_secs(1)), Some(0));
    }
}
