//! Why a connection ended.

use std::io;

use sip_core::message::FrameError;

/// The reason; one word of it stands in the metrics.
#[derive(Debug, thiserror::Error)]
pub(super) enum Closed {
    #[error("the peer closed it")]
    ByPeer,
    #[error("too many connections")]
    Limit,
    #[error("it had proved nothing, and others needed its place")]
    Evicted,
    #[error("too many handshakes at once")]
    Handshakes,
    #[error("the handshake took too long or failed")]
    Handshake,
    #[error("its client certificate is not believed")]
    Certificate,
    #[error("nothing came for too long")]
    Idle,
    #[error("nobody has proved on it in time who it is")]
    Unproved,
    #[error("the peer does not read what is sent to it")]
    Slow,
    #[error("the peer speaks no SIP: {0}")]
    Framing(#[from] FrameError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the daemon stops")]
    Stopped,
}

impl Closed {
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::ByPeer => "peer",
            Self::Limit => "limit",
            Self::Evicted => "evicted",
            Self::Handshakes => "handshakes",
            Self::Handshake => "handshake",
            Self::Certificate => "certificate",
            Self::Idle => "idle",
            Self::Unproved => "unproved",
            Self::Slow => "slow",
            Self::Framing(_) => "framing",
            Self::Io(_) => "error",
            Self::Stopped => "stop",
        }
    }

    /// Whether the peer can still be told the answers to what it asked: it has said all it had to say, or what followed
    /// was no SIP.
    pub(super) fn leaves_answers_owed(&self) -> bool {
        matches!(self, Self::ByPeer | Self::Framing(_))
    }
}
