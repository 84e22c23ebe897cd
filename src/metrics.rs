//! Every metric: its name, its labels, its help text.
//!
//! Labels take their values from closed sets or from provisioning, never from the network, so that nobody
//! outside can make the number of series grow.

mod known;
mod profiles;

pub use self::profiles::ProfileStanding;

use prometheus::{Counter, Gauge};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// Bounds of the set-up histogram, seconds: from an answering machine's haste to a long ring.
const SETUP_BUCKETS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 120.0];
/// Bounds of the store's latency, seconds: the disk's flush dominates.
const STORE_BUCKETS: [f64; 9] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0];

/// The metrics of one daemon. Cloning is cheap and counts into the same series.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// Warnings that a profile comes near a spend cap.
    pub spend_guard_warnings: IntCounterVec,
    /// Calls in set-up or running.
    pub calls_live: IntGauge,
    /// How full the core's tables are.
    pub table_entries: IntGaugeVec,
    /// Finished call attempts.
    pub calls: IntCounterVec,
    /// From INVITE to answer.
    pub setup_seconds: HistogramVec,
    /// Refused REGISTERs, and other requests with wrong credentials.
    pub requests_refused: IntCounterVec,
    /// Registrations that ended.
    pub registrations_ended: IntCounterVec,
    /// Wrong answers to our challenges.
    pub auth_failures: IntCounterVec,
    /// Sources and users that are not heard.
    pub bans: IntGaugeVec,
    /// Messages received and sent.
    pub sip_messages: IntCounterVec,
    /// Messages dropped without an answer.
    pub sip_dropped: IntCounterVec,
    /// 1 while more comes in than can be handled.
    pub overloaded: IntGauge,
    /// New calls refused because of that.
    pub calls_shed: IntCounter,
    /// Open TCP and TLS connections.
    pub connections: IntGaugeVec,
    /// Connections refused, lost or closed by us.
    pub connections_closed: IntCounterVec,
    /// Connections that the system did not let us accept.
    pub accept_failures: IntCounterVec,
    /// Lines that were not written to the log.
    pub log_suppressed: IntCounter,
    /// Things that found a queue full.
    pub queue_dropped: IntCounterVec,
    /// Packets relayed.
    pub relay_packets: IntCounter,
    /// Packets not relayed.
    pub relay_dropped: IntCounterVec,
    /// Calls with open media.
    pub relay_sessions: IntGauge,
    /// Port pairs in use.
    pub relay_ports_in_use: IntGauge,
    /// Port pairs there are.
    pub relay_ports: IntGauge,
    /// Port pairs handed out before they had rested enough.
    pub relay_ports_hurried: IntCounter,
    /// How long the store took.
    pub store_seconds: HistogramVec,
    /// Store operations that failed.
    pub store_failures: IntCounterVec,
    /// 1 while the store answers.
    pub store_up: IntGauge,
    /// How long the store did not answer, all outages together.
    pub store_outage_seconds: Counter,
    /// Decisions of the outage under way that wait in the journal.
    pub journal_entries: IntGauge,
    /// Calls decided by what was on hand.
    pub calls_on_hand: IntCounterVec,
    /// Leases that the ledger holds and no live call owns.
    pub lease_mismatch: IntGauge,
    /// The directory in use.
    pub directory_revision: IntGauge,
    /// DNS look-ups by how they went.
    pub resolutions: IntCounterVec,
    /// 1 once the daemon is told to stop.
    pub draining: IntGauge,
    /// 1 while nothing that falls due is done, because the clock may be wrong.
    pub clock_in_doubt: IntGauge,
    /// Changed configurations that were refused.
    pub reload_failures: IntCounter,
    /// When the configuration in force was read.
    pub reload_success: IntGauge,
    /// When the certificate of each file expires.
    pub certificate_expiry: IntGaugeVec,
    /// When the process started.
    pub start_time: Gauge,
}

/// Makes metrics and registers them in one go, so that none is forgotten.
struct Maker(Registry);

impl Maker {
    fn register<C: prometheus::core::Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("names and labels in this file are valid");
        self.0.register(Box::new(collector.clone())).expect("names in this file are unique");
        collector
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(options, labels))
    }
}

impl Metrics {
    /// A fresh set, all at zero.
    pub fn new() -> Self {
        let make = Maker(Registry::new());
        let metrics = Self {
            spend_guard_warnings: make.counters(
                "sipgw_spend_guard_warnings_total",
                "Times that a profile came near its spend cap, once in each hour or day",
                &["window"],
            ),
            calls_live: make.gauge("sipgw_calls_live", "Calls in set-up or running"),
            table_entries: make.gauges(
                "sipgw_table_entries",
                "How full the tables of signalling are: bindings, calls, certified, dialogs, sources, timers, transactions, ways",
                &["table"],
            ),
            calls: make.counters(
                "sipgw_calls_total",
                "Call attempts that are over, by direction and by what became of them",
                &["direction", "result"],
            ),
            setup_seconds: make.histograms(
                "sipgw_setup_seconds",
                "From the INVITE to the answer",
                &["direction"],
                &SETUP_BUCKETS,
            ),
            requests_refused: make.counters(
                "sipgw_requests_refused_total",
                "Requests refused for who sent them, or REGISTERs for what they asked, by method and reason",
                &["method", "reason"],
            ),
            registrations_ended: make.counters(
                "sipgw_registrations_ended_total",
                "Registrations that ended, by reason: asked, expired, connection_lost, replaced, profile_gone",
                &["reason"],
            ),
            auth_failures: make.counters(
                "sipgw_auth_failures_total",
                "Requests refused for a wrong password or user name, by reason",
                &["reason"],
            ),
            bans: make.gauges(
                "sipgw_bans",
                "Sources that are banned and users that are guarded, for passwords guessed",
                &["kind"],
            ),
            sip_messages: make.counters(
                "sipgw_sip_messages_total",
                "SIP messages by transport, direction, and method or status",
                &["transport", "direction", "kind"],
            ),
            sip_dropped: make.counters(
                "sipgw_sip_dropped_total",
                "SIP messages dropped without an answer, by reason",
                &["reason"],
            ),
            overloaded: make.gauge("sipgw_overloaded", "1 while more comes in than can be handled"),
            calls_shed: make.counter(
                "sipgw_calls_shed_total",
                "New calls refused with 503 because more came in than could be handled",
            ),
            connections: make.gauges("sipgw_connections", "Open TCP, TLS and HTTP connections", &["transport"]),
            connections_closed: make.counters(
                "sipgw_connections_closed_total",
                "Connections refused or ended, by reason",
                &["transport", "reason"],
            ),
            accept_failures: make.counters(
                "sipgw_accept_failures_total",
                "Connections that could not be accepted, for want of file descriptors as a rule",
                &["transport"],
            ),
            log_suppressed: make.counter(
                "sipgw_log_suppressed_total",
                "Lines about refused requests and certificates that were left out of the log because there were too many",
            ),
            queue_dropped: make.counters(
                "sipgw_queue_dropped_total",
                "Things dropped because a queue was full",
                &["queue"],
            ),
            relay_packets: make.counter("sipgw_relay_packets_total", "RTP and RTCP packets relayed"),
            relay_dropped: make.counters(
                "sipgw_relay_dropped_total",
                "RTP and RTCP packets not relayed, by reason",
                &["reason"],
            ),
            relay_sessions: make.gauge("sipgw_relay_sessions", "Calls with open media"),
            relay_ports_in_use: make.gauge("sipgw_relay_ports_in_use", "Port pairs in use"),
            relay_ports: make.gauge("sipgw_relay_ports", "Port pairs there are"),
            relay_ports_hurried: make.counter(
                "sipgw_relay_ports_hurried_total",
                "Port pairs handed out less than 10 s after their last call, for want of others",
            ),
            store_seconds: make.histograms(
                "sipgw_store_seconds",
                "How long the store took, by operation; what no call waits for waits some milliseconds for one",
                &["operation"],
                &STORE_BUCKETS,
            ),
            store_failures: make.counters(
                "sipgw_store_failures_total",
                "Store operations that failed, by operation",
                &["operation"],
            ),
            store_up: make.gauge("sipgw_store_up", "1 while the store answers, 0 in an outage"),
            store_outage_seconds: make.register(Counter::new(
                "sipgw_store_outage_seconds_total",
                "How long the store did not answer, all outages together",
            )),
            journal_entries: make.gauge(
                "sipgw_journal_entries",
                "Decisions of the outage under way, kept in the journal until the store has them",
            ),
            calls_on_hand: make.counters(
                "sipgw_calls_on_hand_total",
                "Calls decided while the store did not answer: granted or refused",
                &["result"],
            ),
            lease_mismatch: make.gauge(
                "sipgw_lease_mismatch",
                "Leases held in the ledger without a live call; 0 in a healthy daemon",
            ),
            directory_revision: make.gauge("sipgw_directory_revision", "Revision of the provisioning in use"),
            resolutions: make.counters(
                "sipgw_resolutions_total",
                "DNS look-ups, by how they went: found, stale, failed or busy",
                &["result"],
            ),
            draining: make.gauge("sipgw_draining", "1 once the daemon is told to stop"),
            clock_in_doubt: make.gauge(
                "sipgw_clock_in_doubt",
                "1 while nothing that falls due is done until an operator confirms the clock",
            ),
            reload_failures: make.counter(
                "sipgw_config_reload_failures_total",
                "Changed configurations that were refused; the one before stayed in force",
            ),
            reload_success: make.gauge(
                "sipgw_config_reload_success_timestamp_seconds",
                "When the configuration in force was read, seconds since 1970",
            ),
            certificate_expiry: make.gauges(
                "sipgw_tls_certificate_expiry_timestamp_seconds",
                "When the certificate in use, or one of its chain, expires, seconds since 1970",
                &["file"],
            ),
            start_time: make.register(Gauge::new(
                "process_start_time_seconds",
                "When the process started, seconds since 1970",
            )),
            registry: make.0,
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        metrics.start_time.set(now.as_secs_f64());
        metrics.begin_known_series();
        metrics
    }

    /// The page that Prometheus reads. Takes a while where there are many profiles.
    pub fn page(&self, profiles: &[ProfileStanding]) -> String {
        let mut page = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut page)
            .expect("writing text into memory does not fail");
        profiles::put(&mut page, profiles);
        String::from_utf8(page).expect("the text format is UTF-8")
    }

    /// Counts a refused request.
    pub fn count_refused(&self, method: &str, reason: &'static str) {
        self.requests_refused.with_label_values(&[known_method(method.as_bytes()), reason]).inc();
    }

    /// The histogram of one store operation.
    pub fn store(&self, operation: &'static str) -> Histogram {
        self.store_seconds.with_label_values(&[operation])
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards us.
    Inbound,
    /// From us.
    Outbound,
}

impl Metrics {
    /// Counts one message by what its first line says.
    pub fn count_message(&self, transport: sip_core::types::Transport, direction: Direction, bytes: &[u8]) {
        let direction = match direction {
            Direction::Inbound => "in",
            Direction::Outbound => "out",
        };
        self.sip_messages.with_label_values(&[transport.param(), direction, &kind(bytes)]).inc();
    }
}

/// Methods that have a label of their own; anything else is `other`.
const METHODS: [&str; 14] = [
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "INVITE",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "PRACK",
    "PUBLISH",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "UPDATE",
];

/// The method or the status of a message, from a closed set.
fn kind(bytes: &[u8]) -> std::borrow::Cow<'static, str> {
    let head = &bytes[..bytes.len().min(16)];
    if let Some(status) = head.strip_prefix(b"SIP/2.0 ").and_then(|rest| rest.get(..3)) {
        let is_status = status.iter().all(u8::is_ascii_digit) && (b'1'..=b'6').contains(&status[0]);
        return if is_status { String::from_utf8_lossy(status).into_owned().into() } else { "other".into() };
    }
    let method = head.split(|b| *b == b' ').next().unwrap_or_default();
    known_method(method).into()
}

fn known_method(method: &[u8]) -> &'static str {
    METHODS.into_iter().find(|known| known.as_bytes() == method).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip_core::types::Transport;

    #[test]
    fn a_message_is_counted_by_method_or_status() {
        let metrics = Metrics::new();
        metrics.count_message(Transport::Udp, Direction::Inbound, b"INVITE sip:a@b SIP/2.0\r\n");
        metrics.count_message(Transport::Udp, Direction::Outbound, b"SIP/2.0 503 Service Unavailable\r\n");
        metrics.count_message(Transport::Tls, Direction::Inbound, b"XYZZY sip:a@b SIP/2.0\r\n");
        metrics.count_message(Transport::Tls, Direction::Inbound, b"SIP/2.0 9x9");
        let page = metrics.page(&[]);
        assert!(
            page.contains(r#"sipgw_sip_messages_total{direction="in",kind="INVITE",transport="udp"} 1"#),
            "{page}"
        );
        assert!(page.contains(r#"kind="503",transport="udp"} 1"#));
        assert!(page.contains(r#"kind="other",transport="tls"} 2"#));
    }

    #[test]
    fn two_daemons_in_one_process_count_apart() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.calls_live.set(3);
        assert!(one.page(&[]).contains("sipgw_calls_live 3"));
        assert!(other.page(&[]).contains("sipgw_calls_live 0"));
    }
}
