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

/// The type of each kind of metric.
macro_rules! kind {
    (counter) => {
        IntCounter
    };
    (counters) => {
        IntCounterVec
    };
    (seconds) => {
        Counter
    };
    (gauge) => {
        IntGauge
    };
    (gauges) => {
        IntGaugeVec
    };
    (instant) => {
        Gauge
    };
    (histograms) => {
        HistogramVec
    };
}

/// From one table, the field of each metric and its registration: its kind, then its name, help text, labels and bounds.
macro_rules! metrics {
    ($($(#[$about:meta])+ $field:ident: $kind:ident($($with:expr),+ $(,)?),)+) => {
        /// The metrics of one daemon. Cloning is cheap and counts into the same series.
        #[derive(Clone)]
        pub struct Metrics {
            registry: Registry,
            $($(#[$about])+ pub $field: kind!($kind),)+
        }

        impl Metrics {
            fn registered() -> Self {
                let make = Maker(Registry::new());
                Self { $($field: make.$kind($($with),+),)+ registry: make.0 }
            }
        }
    };
}

metrics! {
    /// Warnings that a profile comes near a spend cap.
    spend_guard_warnings: counters(
        "sipgw_spend_guard_warnings_total",
        "Times that a profile came near its spend cap, once in each hour or day",
        &["window"],
    ),
    /// Calls in set-up or running.
    calls_live: gauge("sipgw_calls_live", "Calls in set-up or running"),
    /// How full the core's tables are.
    table_entries: gauges(
        "sipgw_table_entries",
        "How full the tables of signalling are: bindings, calls, certified, dialogs, sources, timers, transactions, ways",
        &["table"],
    ),
    /// Finished call attempts.
    calls: counters(
        "sipgw_calls_total",
        "Call attempts that are over, by direction and by what became of them",
        &["direction", "result"],
    ),
    /// From INVITE to answer.
    setup_seconds: histograms(
        "sipgw_setup_seconds",
        "From the INVITE to the answer",
        &["direction"],
        &SETUP_BUCKETS,
    ),
    /// Refused REGISTERs, and other requests with wrong credentials.
    requests_refused: counters(
        "sipgw_requests_refused_total",
        "Requests refused for who sent them, or REGISTERs for what they asked, by method and reason",
        &["method", "reason"],
    ),
    /// Registrations that ended.
    registrations_ended: counters(
        "sipgw_registrations_ended_total",
        "Registrations that ended, by reason: asked, expired, connection_lost, replaced, profile_gone",
        &["reason"],
    ),
    /// Wrong answers to our challenges.
    auth_failures: counters(
        "sipgw_auth_failures_total",
        "Requests refused for a wrong password or user name, by reason",
        &["reason"],
    ),
    /// Answered calls from known addresses without a sign that anybody there had made them.
    answers_unconfirmed: counter(
        "sipgw_answers_unconfirmed_total",
        "Answered calls from known UDP addresses that ended without a sign that anybody there had made them",
    ),
    /// Calls from known addresses that had to prove a password.
    owners_doubted: counters(
        "sipgw_owners_doubted_total",
        "Calls from known addresses that had to prove a password, by what spoke against it: flow, credentials, from, history, unconfirmed",
        &["sign"],
    ),
    /// Sources and users that are not heard.
    bans: gauges(
        "sipgw_bans",
        "Sources that are banned and users that are guarded, for passwords guessed",
        &["kind"],
    ),
    /// Messages received and sent.
    sip_messages: counters(
        "sipgw_sip_messages_total",
        "SIP messages by transport, direction, and method or status",
        &["transport", "direction", "kind"],
    ),
    /// Messages dropped without an answer.
    sip_dropped: counters(
        "sipgw_sip_dropped_total",
        "SIP messages dropped without an answer, by reason",
        &["reason"],
    ),
    /// 1 while more comes in than can be handled.
    overloaded: gauge("sipgw_overloaded", "1 while more comes in than can be handled"),
    /// New calls refused because of that.
    calls_shed: counter(
        "sipgw_calls_shed_total",
        "New calls refused with 503 because more came in than could be handled",
    ),
    /// Open TCP and TLS connections.
    connections: gauges("sipgw_connections", "Open TCP, TLS and HTTP connections", &["transport"]),
    /// Open TCP and TLS connections on which nobody has proved who it is.
    connections_unproved: gauge(
        "sipgw_connections_unproved",
        "Open TCP and TLS connections on which nobody has proved yet who it is",
    ),
    /// Connections refused, lost or closed by us.
    connections_closed: counters(
        "sipgw_connections_closed_total",
        "Connections refused or ended, by reason",
        &["transport", "reason"],
    ),
    /// Wrong tokens and signatures shown to HTTP.
    http_auth_failures: counters(
        "sipgw_http_auth_failures_total",
        "Wrong tokens and signatures shown to the API and metrics, by what was guessed: token, metrics_token, signature",
        &["kind"],
    ),
    /// Requests of HTTP that were refused because too many of their source's tokens were wrong.
    http_braked: counter(
        "sipgw_http_braked_total",
        "Requests of the API and metrics refused unseen, because their source had shown too many wrong tokens",
    ),
    /// Connections that the system did not let us accept.
    accept_failures: counters(
        "sipgw_accept_failures_total",
        "Connections that could not be accepted, for want of file descriptors as a rule",
        &["transport"],
    ),
    /// Lines that were not written to the log.
    log_suppressed: counter(
        "sipgw_log_suppressed_total",
        "Lines about refused requests and certificates that were left out of the log because there were too many",
    ),
    /// Things that found a queue full.
    queue_dropped: counters(
        "sipgw_queue_dropped_total",
        "Things dropped because a queue was full",
        &["queue"],
    ),
    /// Packets relayed.
    relay_packets: counter("sipgw_relay_packets_total", "RTP and RTCP packets relayed"),
    /// Packets not relayed.
    relay_dropped: counters(
        "sipgw_relay_dropped_total",
        "RTP and RTCP packets not relayed, by reason",
        &["reason"],
    ),
    /// Calls with open media.
    relay_sessions: gauge("sipgw_relay_sessions", "Calls with open media"),
    /// Port pairs in use.
    relay_ports_in_use: gauge("sipgw_relay_ports_in_use", "Port pairs in use"),
    /// Port pairs there are.
    relay_ports: gauge("sipgw_relay_ports", "Port pairs there are"),
    /// Port pairs handed out before they had rested enough.
    relay_ports_hurried: counter(
        "sipgw_relay_ports_hurried_total",
        "Port pairs handed out less than 10 s after their last call, for want of others",
    ),
    /// How long the store took.
    store_seconds: histograms(
        "sipgw_store_seconds",
        "How long the store took, by operation; what no call waits for waits some milliseconds for one",
        &["operation"],
        &STORE_BUCKETS,
    ),
    /// Store operations that failed.
    store_failures: counters(
        "sipgw_store_failures_total",
        "Store operations that failed, by operation",
        &["operation"],
    ),
    /// 1 while the store answers.
    store_up: gauge("sipgw_store_up", "1 while the store answers, 0 in an outage"),
    /// How long the store did not answer, all outages together.
    store_outage_seconds: seconds(
        "sipgw_store_outage_seconds_total",
        "How long the store did not answer, all outages together",
    ),
    /// Decisions of the outage under way that wait in the journal.
    journal_entries: gauge(
        "sipgw_journal_entries",
        "Decisions of the outage under way, kept in the journal until the store has them",
    ),
    /// Calls decided by what was on hand.
    calls_on_hand: counters(
        "sipgw_calls_on_hand_total",
        "Calls decided while the store did not answer: granted or refused",
        &["result"],
    ),
    /// Leases that the ledger holds and no live call owns.
    lease_mismatch: gauge(
        "sipgw_lease_mismatch",
        "Leases held in the ledger without a live call; 0 in a healthy daemon",
    ),
    /// The directory in use.
    directory_revision: gauge("sipgw_directory_revision", "Revision of the provisioning in use"),
    /// DNS look-ups by how they went.
    resolutions: counters(
        "sipgw_resolutions_total",
        "DNS look-ups, by how they went: found, stale, failed or busy",
        &["result"],
    ),
    /// Attempts to reach carriers.
    carrier_attempts: counters(
        "sipgw_carrier_attempts_total",
        "Attempts to reach carriers, by carrier and by what became of them",
        &["carrier", "result"],
    ),
    /// Carriers that calls passed over.
    carrier_passed_over: counters(
        "sipgw_carrier_passed_over_total",
        "Times that a call passed a carrier over because it was down",
        &["carrier"],
    ),
    /// Whether calls are sent to each address of each carrier.
    carrier_up: gauges(
        "sipgw_carrier_up",
        "1 for an address of a carrier that calls are sent to, 0 for one that is down; no address: its name leads to none",
        &["carrier", "address"],
    ),
    /// 1 once the daemon is told to stop.
    draining: gauge("sipgw_draining", "1 once the daemon is told to stop"),
    /// 1 while nothing that falls due is done, because the clock may be wrong.
    clock_in_doubt: gauge(
        "sipgw_clock_in_doubt",
        "1 while nothing that falls due is done until an operator confirms the clock",
    ),
    /// Changed configurations that were refused.
    reload_failures: counter(
        "sipgw_config_reload_failures_total",
        "Changed configurations that were refused; the one before stayed in force",
    ),
    /// When the configuration in force was read.
    reload_success: gauge(
        "sipgw_config_reload_success_timestamp_seconds",
        "When the configuration in force was read, seconds since 1970",
    ),
    /// When the certificate of each file expires.
    certificate_expiry: gauges(
        "sipgw_tls_certificate_expiry_timestamp_seconds",
        "When the certificate in use, or one of its chain, expires, seconds since 1970",
        &["file"],
    ),
    /// When the process started.
    start_time: instant("process_start_time_seconds", "When the process started, seconds since 1970"),
}

/// Makes metrics and registers them in one go, so that none is forgotten.
struct Maker(Registry);

impl Maker {
    fn register<C: prometheus::core::Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("names and labels in this file are valid");
        self.0.register(Box::new(collector.clone())).expect("names in this file are unique");
        collector
    }

    fn seconds(&self, name: &str, help: &str) -> Counter {
        self.register(Counter::new(name, help))
    }

    fn instant(&self, name: &str, help: &str) -> Gauge {
        self.register(Gauge::new(name, help))
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
        let metrics = Self::registered();
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
