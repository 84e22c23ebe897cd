//! Series whose labels are known beforehand begin at 0: a counter that first appears with 1 has no increase to be seen.
//!
//! Where the labels are many (methods and statuses, reasons of refusals), only the usual ones are here.

use media_relay::session::DropReason;
use sip_core::refusal::Refusal;
use sip_core::types::{Transport, Unregistration};

use super::Metrics;

const DIRECTIONS: [&str; 4] = ["outgoing", "on_net", "incoming", "echo"];
const QUEUES: [&str; 7] =
    ["udp_in", "udp_out", "connection", "admission", "records", "bindings", "media_events"];
const RESOLUTIONS: [&str; 4] = ["found", "stale", "failed", "busy"];
const STORE_OPERATIONS: [&str; 9] =
    ["reserve", "answer", "extend", "settle", "hold", "other", "registrations", "profiles", "watch"];
const CLOSINGS: [&str; 11] = [
    "peer",
    "limit",
    "evicted",
    "handshake",
    "handshakes",
    "idle",
    "unproved",
    "slow",
    "framing",
    "error",
    "stop",
];
const HTTP_CLOSINGS: [&str; 5] = ["limit", "evicted", "head", "idle", "slow"];
const TRANSPORTS: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];
/// Requests that SIP peers of ours send.
const USUAL_METHODS: [&str; 6] = ["ACK", "BYE", "CANCEL", "INVITE", "OPTIONS", "REGISTER"];

impl Metrics {
    /// Makes the series.
    pub(super) fn begin_known_series(&self) {
        self.begin_calls();
        self.begin_registrations();
        for transport in TRANSPORTS.map(Transport::param) {
            for direction in ["in", "out"] {
                for method in USUAL_METHODS {
                    let _at_zero = self.sip_messages.with_label_values(&[transport, direction, method]);
                }
            }
        }
        for transport in [Transport::Tcp, Transport::Tls].map(Transport::param) {
            let _at_zero = self.connections.with_label_values(&[transport]);
            let _at_zero = self.accept_failures.with_label_values(&[transport]);
            for reason in CLOSINGS {
                let _at_zero = self.connections_closed.with_label_values(&[transport, reason]);
            }
        }
        for reason in HTTP_CLOSINGS {
            let _at_zero = self.connections_closed.with_label_values(&["http", reason]);
        }
        for queue in QUEUES {
            let _at_zero = self.queue_dropped.with_label_values(&[queue]);
        }
        for result in RESOLUTIONS {
            let _at_zero = self.resolutions.with_label_values(&[result]);
        }
        for operation in STORE_OPERATIONS {
            let _at_zero = self.store_failures.with_label_values(&[operation]);
        }
        for reason in DropReason::ALL {
            let _at_zero = self.relay_dropped.with_label_values(&[reason.label()]);
        }
    }

    fn begin_calls(&self) {
        let refusals = [Refusal::NoChannel, Refusal::NoCredit, Refusal::CarriersFailed].map(Refusal::code);
        for direction in DIRECTIONS {
            let _at_zero = self.setup_seconds.with_label_values(&[direction]);
            for result in ["answered", "cancelled"].into_iter().chain(refusals) {
                let _at_zero = self.calls.with_label_values(&[direction, result]);
            }
        }
        for result in ["granted", "refused"] {
            let _at_zero = self.calls_on_hand.with_label_values(&[result]);
        }
    }

    fn begin_registrations(&self) {
        let endings = [
            Unregistration::Asked,
            Unregistration::Expired,
            Unregistration::ConnectionLost,
            Unregistration::Replaced,
            Unregistration::ProfileGone,
        ];
        for why in endings {
            let _at_zero = self.registrations_ended.with_label_values(&[why.code()]);
        }
        for method in ["REGISTER", "INVITE"] {
            for why in [Refusal::BadCredentials, Refusal::UnknownUser] {
                let _at_zero = self.requests_refused.with_label_values(&[method, why.code()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_series_begin_at_zero() {
        let page = Metrics::new().page(&[]);
        for series in [
            r#"sipgw_calls_total{direction="outgoing",result="answered"} 0"#,
            r#"sipgw_registrations_ended_total{reason="expired"} 0"#,
            r#"sipgw_requests_refused_total{method="REGISTER",reason="bad_credentials"} 0"#,
            r#"sipgw_store_failures_total{operation="settle"} 0"#,
            r#"sipgw_queue_dropped_total{queue="udp_in"} 0"#,
            r#"sipgw_sip_messages_total{direction="in",kind="INVITE",transport="udp"} 0"#,
        ] {
            assert!(page.contains(series), "{series} is not in\n{page}");
        }
    }

    /// The words are written where things are counted; none here may be one that is never counted.
    #[test]
    fn each_word_here_is_counted_somewhere() {
        let sources = [
            include_str!("../net/udp.rs"),
            include_str!("../net/closed.rs"),
            include_str!("../net/connections.rs"),
            include_str!("../admission.rs"),
            include_str!("../admission/clerk.rs"),
            include_str!("../bindings.rs"),
            include_str!("../http/scrape.rs"),
            include_str!("../observe.rs"),
            include_str!("../resolve.rs"),
            include_str!("../watch.rs"),
        ];
        for word in QUEUES.into_iter().chain(RESOLUTIONS).chain(STORE_OPERATIONS).chain(CLOSINGS) {
            let quoted = format!("\"{word}\"");
            assert!(sources.iter().any(|text| text.contains(&quoted)), "{word} is counted nowhere");
        }
    }
}
