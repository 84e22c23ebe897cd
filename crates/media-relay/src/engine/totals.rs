//! Counts over all calls, for metrics.

use crate::session::DropReason;
use std::sync::atomic::{AtomicU64, Ordering};

/// One worker's counts. Only that worker writes, so a load and a store do where others need an atomic sum.
#[derive(Default)]
pub(super) struct Totals {
    calls: AtomicU64,
    forwarded: AtomicU64,
    octets: AtomicU64,
    events_lost: AtomicU64,
    drops: [AtomicU64; DropReason::ALL.len()],
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

impl Totals {
    pub(super) fn set_calls(&self, calls: usize) {
        self.calls.store(calls as u64, Ordering::Relaxed);
    }

    pub(super) fn count_forwarded(&self, octets: usize) {
        add(&self.forwarded, 1);
        add(&self.octets, octets as u64);
    }

    pub(super) fn count_drop(&self, reason: DropReason) {
        add(&self.drops[reason.index()], 1);
    }

    pub(super) fn count_lost_event(&self) {
        add(&self.events_lost, 1);
    }

    pub(super) fn add_to(&self, gauges: &mut Gauges) {
        gauges.calls += self.calls.load(Ordering::Relaxed);
        gauges.forwarded_packets += self.forwarded.load(Ordering::Relaxed);
        gauges.forwarded_octets += self.octets.load(Ordering::Relaxed);
        gauges.events_lost += self.events_lost.load(Ordering::Relaxed);
        for (sum, drops) in gauges.drops.iter_mut().zip(&self.drops) {
            *sum += drops.load(Ordering::Relaxed);
        }
    }
}

/// The engine's counts since its start, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Open calls.
    pub calls: u64,
    /// Port pairs in use.
    pub ports_in_use: usize,
    /// Port pairs there are.
    pub ports_total: usize,
    /// Port pairs that were handed out before they had rested enough.
    pub ports_hurried: u64,
    /// Packets sent on, RTP and RTCP.
    pub forwarded_packets: u64,
    /// Octets of those packets as sent, without UDP and IP headers.
    pub forwarded_octets: u64,
    /// Events that found the queue full.
    pub events_lost: u64,
    /// Packets dropped, by [`DropReason::index`].
    pub drops: [u64; DropReason::ALL.len()],
}
