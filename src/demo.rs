//! What `sipgw demo` does: the guide's company on this machine, with real calls through a real gateway.
//!
//! - `scene`: the gateway with a temporary database, the company, its two PBXs and its carrier
//! - `story`: what they do, chapter by chapter, each fact checked as it happens
//! - `bill`: the call records as a table
//! - `report`: lines on the terminal, and how many of them held
//! - `agent`: the SIP user agent that plays the PBXs and the carrier

mod agent;
mod bill;
mod report;
mod scene;
mod story;

use std::io;

use provisioning_store::error::StoreError;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::report::Report;
use self::scene::Scene;
use crate::StartError;

/// What to do when the story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Stay up for a phone of one's own, until Ctrl-C.
    Stay,
    /// End.
    End,
}

/// How the demonstration went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every check held.
    AllHeld,
    /// Some did not, or the story was interrupted.
    Failed,
}

/// Why the demonstration could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The gateway did not start.
    #[error("the gateway did not start: {0}")]
    Start(#[from] StartError),
    /// The temporary database.
    #[error("the temporary database: {0}")]
    Store(#[from] StoreError),
    /// The same, before it was open.
    #[error("the temporary database: {0}")]
    Open(#[from] crate::storage::OpenError),
    /// A file, a socket or a signal.
    #[error("{what}: {error}")]
    System {
        /// What was wanted.
        what: String,
        /// The system's word.
        error: io::Error,
    },
    /// The self-signed certificate.
    #[error("no certificate could be made: {0}")]
    Certificate(#[from] rcgen::Error),
}

impl DemoError {
    fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |error| Self::System { what, error }
    }
}

/// Sets the scene, tells the story, and says how a phone of one's own is registered.
pub async fn run(afterwards: Afterwards) -> Result<Verdict, DemoError> {
    let mut signals = Signals::new().map_err(DemoError::system("signals"))?;
    let mut report = Report::new();
    let mut scene = Scene::set().await?;
    let has_ended = tokio::select! {
        () = story::tell(&mut scene, &mut report) => true,
        () = signals.any() => false,
    };
    if has_ended {
        report.close();
        if afterwards == Afterwards::Stay {
            scene.invite_phone(&report);
            signals.any().await;
        }
    }
    scene.strike().await;
    Ok(if has_ended && report.all_held() { Verdict::AllHeld } else { Verdict::Failed })
}

/// Ctrl-C and what a service manager sends.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole gateway over real sockets, as a newcomer sees it.
    #[tokio::test(flavor = "multi_thread")]
    async fn every_check_of_the_story_holds() {
        assert_eq!(run(Afterwards::End).await.unwrap(), Verdict::AllHeld);
    }
}
