//! `sipgw run`

use sipgw::config::ConfigError;
use sipgw::{Daemon, logging};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Context;
use super::failure::Failure;

pub(crate) async fn run(context: Context) -> Result<(), Failure> {
    logging::start(&context.config.log)
        .map_err(|error| Failure::Config(ConfigError::of(error.to_string())))?;
    for warning in context.config.warnings() {
        tracing::warn!("{warning}");
    }
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hang_up = listen(SignalKind::hangup())?;
    let daemon = Daemon::start(context.config).await?;
    for listener in daemon.listeners() {
        tracing::info!(transport = listener.transport.param(), address = %listener.local, "Listening for SIP.");
    }
    tracing::info!(address = %daemon.http(), "Listening for HTTP.");
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => daemon.reload().await,
        }
    }
    daemon
        .stop_sooner_if(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await;
    Ok(())
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::Unanswered(format!("signals cannot be received: {error}")))
}
