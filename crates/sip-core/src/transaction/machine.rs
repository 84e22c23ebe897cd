//! What all four machines share: the timers' names, the effects, the length of an interval.

use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::settings::TimerSettings;
use crate::types::Transport;

/// The timers of RFC 3261 table 4 and RFC 6026 section 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Retransmits an INVITE.
    A,
    /// Gives an INVITE up.
    B,
    /// Absorbs retransmitted final responses to an INVITE.
    D,
    /// Retransmits another request.
    E,
    /// Gives another request up.
    F,
    /// Retransmits a final response to an INVITE.
    G,
    /// Gives the wait for the ACK up.
    H,
    /// Absorbs retransmitted ACKs.
    I,
    /// Absorbs retransmitted requests other than INVITE.
    J,
    /// Absorbs retransmitted responses to requests other than INVITE.
    K,
    /// Absorbs INVITEs retransmitted after a 2xx.
    L,
    /// Passes on 2xx responses retransmitted or forked.
    M,
}

/// What a machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Put these octets on the wire.
    Send(Bytes),
    /// Build the ACK for the final response just received, keep it and send it (RFC 3261 section 17.1.1.3).
    SendAck,
    /// Hand the message to the transaction's user.
    Pass,
    /// Start a timer, in place of one of the same name.
    Start(Timer, Duration),
    /// Stop a timer.
    Stop(Timer),
    /// Tell the user that no answer (client) or no ACK (server) came.
    GaveUp,
    /// Forget the transaction.
    Terminate,
}

/// The effects of one event; few enough to live on the stack.
pub(crate) type Effects = SmallVec<[Effect; 4]>;

/// The intervals of one transaction: those of the settings, shortened where the transport delivers by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    pub(crate) t1: Duration,
    pub(crate) t2: Duration,
    t4: Duration,
    is_reliable: bool,
}

impl Intervals {
    pub(crate) fn new(settings: &TimerSettings, transport: Transport) -> Self {
        Self { t1: settings.t1, t2: settings.t2, t4: settings.t4, is_reliable: transport.is_reliable() }
    }

    /// The first retransmission, unless the transport delivers (RFC 3261 sections 17.1.1.2, 17.1.2.2, 17.2.1).
    pub(crate) fn retransmit(&self) -> Option<Duration> {
        (!self.is_reliable).then_some(self.t1)
    }

    /// 64*T1: timers B, F, H, and L, M by RFC 6026.
    pub(crate) fn give_up(&self) -> Duration {
        self.t1 * 64
    }

    /// Timers I and K: T4, zero over a reliable transport.
    pub(crate) fn linger_t4(&self) -> Duration {
        if self.is_reliable { Duration::ZERO } else { self.t4 }
    }

    /// Timers D and J: 64*T1, zero over a reliable transport.
    pub(crate) fn linger_long(&self) -> Duration {
        if self.is_reliable { Duration::ZERO } else { self.give_up() }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! What the machines' tests share.

    use super::*;

    pub(crate) fn over(transport: Transport) -> Intervals {
        Intervals::new(&TimerSettings::default(), transport)
    }

    pub(crate) fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
}
