//! A bound on media towards a host that never asked for it.
//!
//! A description can name any address. Unless something else shows that the host wants media, the gateway could be used to
//! flood it. Recorders, paging and silence suppression send nothing either, so such a call goes on, but slowly: after
//! [`GRACE`] of media it gets a packet a second, and the call's record says so.

use super::hosts::Hosts;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Media that an unproved host gets at full rate, over the whole call.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// The distance of packets after that.
const TRICKLE: Duration = Duration::from_secs(1);

/// What one peer's host has proved, and what was sent to others meanwhile.
#[derive(Default)]
pub(super) struct Exposure {
    /// The host whose packets were admitted last.
    proved: Option<IpAddr>,
    /// How long media went to unproved hosts. Naming another host gives no new grace, or each re-offer would.
    spent: Duration,
    /// The last packet to one.
    last: Option<Instant>,
}

impl Exposure {
    /// A packet was admitted that came from there.
    #[inline]
    pub(super) fn prove(&mut self, host: IpAddr) {
        self.proved = Some(host);
    }

    /// May one more packet go there?
    #[inline]
    pub(super) fn allows(&mut self, now: Instant, host: IpAddr, hosts: &Hosts) -> bool {
        self.proved == Some(host) || hosts.contain(host) || self.spend(now)
    }

    fn spend(&mut self, now: Instant) -> bool {
        let pause = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last).min(TRICKLE));
        let is_allowed = self.spent < GRACE || pause >= TRICKLE;
        if is_allowed {
            self.spent += pause;
            self.last = Some(now);
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The packets that pass in so many seconds of 50 each.
    fn passed(exposure: &mut Exposure, now: &mut Instant, host: &str, seconds: u32) -> u32 {
        let hosts = Hosts::signalling(ip("192.0.2.1"));
        let mut passed = 0;
        for _ in 0..seconds * 50 {
            *now += Duration::from_millis(20);
            passed += u32::from(exposure.allows(*now, ip(host), &hosts));
        }
        passed
    }

    #[test]
    fn after_ten_seconds_an_unproved_host_gets_a_packet_a_second() {
        let (mut exposure, mut now) = (Exposure::default(), Instant::now());
        assert_eq!(passed(&mut exposure, &mut now, "203.0.113.9", 10), 500);
        assert!((59..=62).contains(&passed(&mut exposure, &mut now, "203.0.113.9", 60)));
        exposure.prove(ip("203.0.113.9"));
        assert_eq!(passed(&mut exposure, &mut now, "203.0.113.9", 60), 3000);
    }

    #[test]
    fn another_victim_gets_no_grace_of_its_own() {
        let (mut exposure, mut now) = (Exposure::default(), Instant::now());
        passed(&mut exposure, &mut now, "203.0.113.9", 9);
        exposure.prove(ip("192.0.2.77"));
        assert_eq!(passed(&mut exposure, &mut now, "192.0.2.77", 9), 450);
        assert!(passed(&mut exposure, &mut now, "203.0.113.10", 11) <= 100 + 12);
    }

    #[test]
    fn the_signallings_host_need_not_prove_anything() {
        let (mut exposure, mut now) = (Exposure::default(), Instant::now());
        assert_eq!(passed(&mut exposure, &mut now, "192.0.2.1", 100), 5000);
    }
}
