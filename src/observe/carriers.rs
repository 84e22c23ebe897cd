//! What happens with carriers, told: each attempt, and when one is left alone or taken back into use.

use std::net::SocketAddr;

use sip_core::types::{AttemptResult, CallUid, CarrierAttempt, Event};

use super::Observer;

impl Observer {
    /// Tells an event that concerns a carrier.
    pub(super) fn observe_carrier(&self, event: &Event) {
        match event {
            Event::CarrierPassedOver { call, carrier } => {
                self.metrics.carrier_passed_over.with_label_values(&[carrier.name.as_str()]).inc();
                tracing::debug!(%call, carrier = carrier.id.0, name = carrier.name, "A carrier that is down was passed over.");
            }
            Event::CarrierTried { call, attempt } => self.observe_attempt(*call, attempt),
            Event::CarrierDown { carrier, address, why, pause } => {
                tracing::warn!(
                    carrier = carrier.id.0,
                    name = carrier.name,
                    address = %shown(*address),
                    reason = why.code(),
                    pause_s = pause.as_secs_f64(),
                    "Calls are no longer sent to a carrier's address. {}",
                    why.sentence()
                );
            }
            Event::CarrierUp { carrier, address, after } => {
                tracing::info!(
                    carrier = carrier.id.0,
                    name = carrier.name,
                    address = %shown(*address),
                    after_s = after.as_secs(),
                    "Calls are sent to a carrier's address again."
                );
            }
            _ => {}
        }
    }

    fn observe_attempt(&self, call: CallUid, attempt: &CarrierAttempt) {
        let CarrierAttempt { carrier, address, status, cause, result, took, said: _ } = attempt;
        self.metrics.carrier_attempts.with_label_values(&[carrier.name.as_str(), result.code()]).inc();
        let (id, name, address, reason) = (carrier.id.0, &carrier.name, shown(*address), result.code());
        let (took_ms, sentence) = (took.as_millis() as u64, result.sentence());
        if let AttemptResult::Failed(_) | AttemptResult::NoListener = result {
            tracing::warn!(%call, carrier = id, name, %address, status, cause, reason, took_ms, "A carrier did not take the call. {sentence}");
        } else {
            tracing::info!(%call, carrier = id, name, %address, status, cause, reason, took_ms, "A carrier was tried. {sentence}");
        }
    }
}

/// An address; one that a name did not lead to has none.
fn shown(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "none".to_owned(), |address| address.to_string())
}
