//! The one table of the latch: who may speak for a leg, and who may take it from whom.
//!
//! | standing | whose packets have it | what they show |
//! | --- | --- | --- |
//! | [`Authentic`](Standing::Authentic) | sources that have the leg's key, from any address | the tag |
//! | [`SignalledAddress`](Standing::SignalledAddress) | the address and port that the description names | one packet |
//! | [`SignalledHost`](Standing::SignalledHost) | other ports of that host: NATs and media proxies change ports | one packet |
//! | [`Vouched`](Standing::Vouched) | the signalling's host where the description names a private address, so that a NAT stands between; the networks that the operator has named | [`TRIAL_PACKETS`] of one stream |
//! | none | any other source | never admitted |
//!
//! An admitted source holds the leg: media goes there. [`TAKES`] says who takes it from whom. Two rules stand above it:
//! - A source that the signalling has replaced has to wait for silence of the new place, whatever its standing: the last
//!   packets of a media server that was left would otherwise take the call's audio back to it. It need not wait once the
//!   signalling names its place again.
//! - A holder whose standing is gone, because the signalling comes from another host now, yields at once to any source
//!   that has one.

use super::{Evidence, TRIAL_PACKETS};
use crate::session::hosts::{Hosts, is_private};
use std::net::SocketAddr;

/// What a source is to a leg, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// At a host that the signalling or the operator vouches for.
    Vouched,
    /// At the described host, on another port.
    SignalledHost,
    /// At the very address that was described.
    SignalledAddress,
    /// It has the key.
    Authentic,
}

/// When a claimant takes the leg from its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    AtOnce,
    /// Once the holder has been silent for [`RELATCH_SILENCE`](super::RELATCH_SILENCE).
    AfterSilence,
}

use Takes::{AfterSilence, AtOnce};

/// The holder's standing chooses the row, the claimant's the column, in the order of [`Standing`].
const TAKES: [[Takes; 4]; 4] = [
    // Vouched, SignalledHost, SignalledAddress, Authentic take the leg from one that is
    [AfterSilence, AtOnce, AtOnce, AtOnce],             // Vouched
    [AfterSilence, AfterSilence, AtOnce, AtOnce],       // SignalledHost
    [AfterSilence, AfterSilence, AfterSilence, AtOnce], // SignalledAddress
    [AfterSilence, AfterSilence, AfterSilence, AtOnce], // Authentic
];

impl Standing {
    /// When a source of this standing takes the leg from a holder; `None` is one whose standing is gone.
    pub(super) fn takes_from(self, holder: Option<Self>) -> Takes {
        holder.map_or(AtOnce, |holder| TAKES[holder as usize][self as usize])
    }

    /// The consecutive packets of one stream that a source has to show first.
    pub(super) fn trial(self) -> u8 {
        match self {
            Self::Vouched => TRIAL_PACKETS,
            Self::SignalledHost | Self::SignalledAddress | Self::Authentic => 1,
        }
    }

    /// What a packet proves; `None` for a stranger's.
    pub(super) fn of(
        source: SocketAddr,
        evidence: Evidence,
        signalled: Option<SocketAddr>,
        hosts: &Hosts,
    ) -> Option<Self> {
        let by_address = || Self::of_address(source, signalled?, hosts);
        match evidence {
            Evidence::Authentic => Some(Self::Authentic),
            Evidence::Stream { .. } => by_address(),
            // A control packet shows no stream, so a vouched host has to send its media as well.
            Evidence::Control { companion } => by_address().filter(|standing| {
                *standing > Self::Vouched || companion.map(|rtp| rtp.ip()) == Some(source.ip())
            }),
        }
    }

    /// What an address is worth without a key.
    pub(super) fn of_address(source: SocketAddr, signalled: SocketAddr, hosts: &Hosts) -> Option<Self> {
        let is_behind_nat = is_private(signalled.ip());
        if source == signalled {
            Some(Self::SignalledAddress)
        } else if source.ip() == signalled.ip() {
            Some(Self::SignalledHost)
        } else if is_behind_nat && hosts.signalling == Some(source.ip()) || hosts.is_in_networks(source.ip())
        {
            Some(Self::Vouched)
        } else {
            None
        }
    }
}
