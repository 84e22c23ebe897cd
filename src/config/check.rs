//! What no single key shows to be wrong: ranges and contradictions.

use provisioning_store::store::PostgresUrl;

use super::secret_files::key_of;
use super::{Config, Holds, ListenConfig, NamedFile, TlsConfig, TransportName, exposure};

/// A fault whose place is still to be found.
pub(super) struct Found {
    pub(super) path: String,
    pub(super) problem: String,
    pub(super) cure: String,
}

/// Everything that is wrong, in the order of the sections.
pub(super) fn faults(config: &Config) -> Vec<Found> {
    let mut findings = Findings::default();
    findings.node(config);
    findings.listeners(config);
    findings.tls(config);
    findings.tls_key(config);
    findings.writable_files(config);
    findings.bounds(config);
    findings.bans(config);
    findings.registration(config);
    findings.calls(config);
    findings.carrier_breaker(config);
    findings.media(config);
    findings.store(config);
    findings.prices(config);
    findings.http(config);
    findings.secrets(config);
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Found>);

impl Findings {
    fn add(&mut self, path: impl Into<String>, problem: impl Into<String>, cure: impl Into<String>) {
        self.0.push(Found { path: path.into(), problem: problem.into(), cure: cure.into() });
    }

    fn between(&mut self, path: &str, value: u64, range: std::ops::RangeInclusive<u64>) {
        if !range.contains(&value) {
            let cure = format!("Write a number from {} to {}.", range.start(), range.end());
            self.add(path, format!("{value} is out of range"), cure);
        }
    }

    fn node(&mut self, config: &Config) {
        let domain = &config.node.domain;
        if domain.is_empty() {
            let cure = "Write the name that PBXs register to, such as sip.example.com.";
            self.add("node.domain", "the domain is missing", cure);
        } else if !domain.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b)) {
            self.add(
                "node.domain",
                format!("\"{domain}\" is not a domain name"),
                "Write one like sip.example.com.",
            );
        }
        if config.realm().contains(['"', '\\']) {
            self.add(
                "node.realm",
                "a realm cannot hold a quotation mark or a backslash",
                "Write it without.",
            );
        }
    }

    fn listeners(&mut self, config: &Config) {
        if config.sip.listen.is_empty() {
            let cure = "Add one, such as {transport: udp, address: \"192.0.2.10:5060\"}.";
            self.add("sip.listen", "there is no listener, so nobody could reach the gateway", cure);
        }
        for (index, listener) in config.sip.listen.iter().enumerate() {
            self.listener(config, index, listener);
        }
    }

    fn listener(&mut self, config: &Config, index: usize, listener: &ListenConfig) {
        let path = format!("sip.listen[{index}]");
        let address = listener.address;
        if address.ip().is_unspecified() && listener.advertise.is_none() {
            let problem = format!("{} stands for every address and cannot be told to peers", address.ip());
            self.add(format!("{path}.advertise"), problem, "Add the address that peers reach, as advertise.");
        }
        if listener.advertise.is_some_and(|advertise| advertise.host.is_unspecified()) {
            let problem = "no peer can reach an address that stands for every address";
            self.add(format!("{path}.advertise"), problem, "Advertise the address that peers reach.");
        }
        if listener.advertise.is_some_and(|advertise| advertise.host.is_ipv4() != address.is_ipv4()) {
            let cure = "Advertise an address of the family that is bound.";
            self.add(format!("{path}.advertise"), "the advertised address is of the other IP family", cure);
        }
        let is_stream = |l: &ListenConfig| l.transport != TransportName::Udp;
        let is_same = |l: &&ListenConfig| is_stream(l) == is_stream(listener) && l.address == address;
        if address.port() != 0 && config.sip.listen[..index].iter().any(|l| is_same(&l)) {
            self.add(
                format!("{path}.address"),
                format!("{address} is listened at twice"),
                "Remove one of the two.",
            );
        }
        let shares = |bind: std::net::IpAddr| {
            bind == address.ip() || bind.is_unspecified() || address.ip().is_unspecified()
        };
        let ports = config.media.ports;
        if listener.transport == TransportName::Udp
            && ports.contains(address.port())
            && config.media.addresses.iter().any(|media| shares(media.bind))
        {
            let problem = format!("the SIP port {} lies within the RTP ports {ports}", address.port());
            self.add(format!("{path}.address"), problem, "Move the one or the other.");
        }
    }

    fn tls(&mut self, config: &Config) {
        let wants = config.sip.listen.iter().any(|l| l.transport == TransportName::Tls);
        let TlsConfig { certificate, key, authorities, client_ca, .. } = &config.tls;
        for (name, file, is_needed) in [
            ("certificate", certificate, wants),
            ("key", key, wants),
            ("authorities", authorities, false),
            ("client_ca", client_ca, false),
        ] {
            let path = format!("tls.{name}");
            match file {
                None if is_needed => {
                    let cure = format!("Name the PEM file as {path}, or remove the listener.");
                    self.add(path, format!("there is a TLS listener but no {name}"), cure);
                }
                Some(file) if !config.resolve_path(file).is_file() => {
                    let shown = config.resolve_path(file);
                    self.add(path, format!("{} is not there", shown.display()), "Correct the path.");
                }
                _ => {}
            }
        }
    }

    /// A key that others may change is theirs. Readable by a group it may be, so that a renewed one is taken.
    fn tls_key(&mut self, config: &Config) {
        let key = config.tls.key.as_ref().map(|key| config.resolve_path(key));
        if let Some(key) = key
            && let Some(mode) = exposure::of(&key, exposure::WRITING)
        {
            let shown = key.display();
            let problem = format!("{shown} can be changed by others than its owner (mode {mode:03o})");
            self.add("tls.key", problem, format!("chmod 640 {shown}"));
        }
    }

    /// The files that the configuration names decide who is believed and what may be called, so not every user may change
    /// them. Those with secrets are held to more, where they are read.
    fn writable_files(&mut self, config: &Config) {
        for NamedFile { key, file, .. } in config.named_files().filter(|named| named.holds == Holds::Words) {
            if let Some((problem, cure)) = exposure::writable_by_all(&file) {
                self.add(key, problem, cure);
            }
        }
    }

    fn bounds(&mut self, config: &Config) {
        let sip = &config.sip;
        self.between("sip.timers.t1_ms", sip.timers.t1_ms, 10..=10_000);
        self.between("sip.timers.t2_ms", sip.timers.t2_ms, 10..=60_000);
        self.between("sip.timers.t4_ms", sip.timers.t4_ms, 10..=60_000);
        if sip.timers.t2_ms < sip.timers.t1_ms {
            self.add("sip.timers.t2_ms", "t2 is shorter than t1", "RFC 3261 wants t1 500 and t2 4000.");
        }
        self.between("sip.queue", sip.queue as u64, 16..=1_000_000);
        self.between("sip.limits.calls", config.most_calls() as u64, 1..=1_000_000);
        self.between("sip.limits.transactions", sip.limits.transactions as u64, 16..=10_000_000);
        self.between("sip.limits.bindings", sip.limits.bindings as u64, 1..=10_000_000);
        self.between("sip.limits.attempts_per_call", sip.limits.attempts_per_call as u64, 1..=100);
        self.between("sip.limits.requests_per_source", sip.limits.requests_per_source.into(), 1..=1_000_000);
        let of_known = sip.limits.requests_per_known_source;
        self.between("sip.limits.requests_per_known_source", of_known.into(), 1..=1_000_000);
        if of_known < sip.limits.requests_per_source {
            let problem = "a PBX that is known could send less than a stranger";
            let cure = "Write at least requests_per_source.";
            self.add("sip.limits.requests_per_known_source", problem, cure);
        }
        if sip.limits.transactions < config.most_calls() {
            let problem = format!(
                "{} calls cannot begin with {} transactions",
                config.most_calls(),
                sip.limits.transactions
            );
            self.add(
                "sip.limits.transactions",
                problem,
                "Write at least the number of calls, better ten times.",
            );
        }
        self.between("sip.connections.per_source", sip.connections.per_source as u64, 1..=1_000_000);
        self.between("sip.connections.total", sip.connections.total as u64, 1..=1_000_000);
        if sip.connections.per_source > sip.connections.total {
            let problem = "one source may have more connections than there are in all";
            self.add("sip.connections.per_source", problem, "Write per_source no larger than total.");
        }
        self.between("sip.connections.handshakes", sip.connections.handshakes as u64, 1..=1_000_000);
        let of_source = sip.connections.handshakes_per_source as u64;
        self.between("sip.connections.handshakes_per_source", of_source, 1..=1_000_000);
        self.between("sip.connections.handshake_s", sip.connections.handshake_s, 1..=120);
        self.between("sip.connections.unproved_s", sip.connections.unproved_s, 5..=600);
        if sip.connections.unproved_s < sip.connections.handshake_s {
            let problem = "a connection would be closed before its handshake may be over";
            self.add("sip.connections.unproved_s", problem, "Write unproved_s no shorter than handshake_s.");
        }
        self.between("sip.connections.queue", sip.connections.queue as u64, 1..=65_536);
    }

    fn bans(&mut self, config: &Config) {
        let bans = &config.sip.bans;
        self.between("sip.bans.window_s", bans.window_s, 10..=86_400);
        self.between("sip.bans.slow_after", bans.slow_after.into(), 1..=1_000);
        self.between("sip.bans.longest_pause_s", bans.longest_pause_s, 1..=30);
        self.between("sip.bans.ban_after", bans.ban_after.into(), 2..=1_000);
        self.between("sip.bans.ban_s", bans.ban_s, 1..=86_400);
        self.between("sip.bans.guard_after", bans.guard_after.into(), 2..=1_000);
        self.between("sip.bans.guard_s", bans.guard_s, 1..=86_400);
        if bans.ban_after <= bans.slow_after {
            let problem = "a source would be banned before it is slowed";
            self.add("sip.bans.ban_after", problem, "Write ban_after greater than slow_after.");
        }
        if bans.guard_after <= bans.ban_after {
            let problem = "one source alone could close a user to everybody else";
            self.add("sip.bans.guard_after", problem, "Write guard_after greater than ban_after.");
        }
    }

    fn registration(&mut self, config: &Config) {
        let registration = &config.registration;
        self.between("registration.min_s", registration.min_s.into(), 1..=3_600);
        self.between("registration.nonce_lifetime_s", registration.nonce_lifetime_s, 10..=86_400);
        if registration.min_s > registration.nat_s {
            let problem = format!(
                "the least interval {} is longer than nat_s {}",
                registration.min_s, registration.nat_s
            );
            self.add("registration.min_s", problem, "Write min_s no longer than nat_s.");
        }
        if registration.nat_s > registration.direct_s {
            let problem = "a PBX behind a NAT would be granted more than one that is not";
            self.add("registration.nat_s", problem, "Write nat_s no longer than direct_s.");
        }
        if config.sip.connections.idle_s < u64::from(registration.direct_s) {
            let problem = format!(
                "connections idle for {} s are closed, before a registration of {} s is refreshed",
                config.sip.connections.idle_s, registration.direct_s
            );
            self.add("sip.connections.idle_s", problem, "Write idle_s longer than registration.direct_s.");
        }
    }

    fn calls(&mut self, config: &Config) {
        let calls = &config.calls;
        self.between("calls.no_answer_s", calls.no_answer_s, 1..=600);
        self.between("calls.carrier_patience_s", calls.carrier_patience_s, 1..=60);
        self.between("calls.carrier_progress_s", calls.carrier_progress_s, 1..=600);
        if calls.carrier_patience_s > calls.no_answer_s {
            let problem = format!(
                "a carrier may be silent for {} s, but a call rings for {} s at most",
                calls.carrier_patience_s, calls.no_answer_s
            );
            let cure = "Write carrier_patience_s no longer than no_answer_s.";
            self.add("calls.carrier_patience_s", problem, cure);
        }
        self.between("calls.reconnect_s", calls.reconnect_s, 1..=600);
        self.between("calls.longest_s", calls.longest_s, 60..=604_800);
        self.between("calls.question_patience_s", calls.question_patience_s, 1..=30);
        self.between("calls.extend_ahead_s", calls.extend_ahead_s, 1..=30);
        // The guide promises a PBX 30 or lower; 0 would be answered 483 by whoever gets it.
        self.between("calls.max_forwards", calls.max_forwards.into(), 1..=30);
        // RFC 4028 section 4 forbids less than 90 s.
        self.between("calls.min_se_s", calls.min_se_s.into(), 90..=86_400);
        self.between("calls.session_expires_s", calls.session_expires_s.into(), 90..=86_400);
        if calls.session_expires_s < calls.min_se_s {
            let cure = "Write session_expires_s no shorter than min_se_s.";
            self.add("calls.session_expires_s", "we would ask for less than we accept", cure);
        }
        self.between("calls.drain_s", calls.drain_s, 0..=86_400);
        if let Some(fault) = calls.spend_guard.guard().fault() {
            self.add(format!("calls.spend_guard.{}", fault.key()), fault.to_string(), fault.cure());
        }
        let all = calls.spend_guard.guard();
        if let Some(fault) = calls.new_profiles.guard(&all).over(&all).fault()
            && all.fault().is_none()
        {
            self.add(format!("calls.new_profiles.{}", fault.key()), fault.to_string(), fault.cure());
        }
        for (index, number) in calls.echo_numbers.iter().enumerate() {
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                let cure = "Write E.164 digits in quotes, without the plus sign.";
                self.add(
                    format!("calls.echo_numbers[{index}]"),
                    format!("\"{number}\" is not a number"),
                    cure,
                );
            }
        }
        for (index, country) in calls.caller_id_countries.iter().enumerate() {
            if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
                let cure = "Write two capital letters, such as US.";
                self.add(
                    format!("calls.caller_id_countries[{index}]"),
                    format!("\"{country}\" is not a country"),
                    cure,
                );
            }
        }
    }

    fn carrier_breaker(&mut self, config: &Config) {
        let breaker = &config.calls.carrier_breaker;
        self.between("calls.carrier_breaker.pause_s", breaker.pause_s, 1..=3_600);
        self.between("calls.carrier_breaker.longest_pause_s", breaker.longest_pause_s, 1..=3_600);
        self.between("calls.carrier_breaker.retry_after_s", breaker.retry_after_s, 1..=86_400);
        self.between("calls.carrier_breaker.failures", breaker.failures.into(), 1..=1_000);
        if breaker.longest_pause_s < breaker.pause_s {
            let problem = "the longest pause is shorter than the first one";
            self.add("calls.carrier_breaker.longest_pause_s", problem, "Write at least pause_s.");
        }
    }

    fn media(&mut self, config: &Config) {
        let media = &config.media;
        if media.addresses.is_empty() {
            let cure = "Add one, such as {bind: \"192.0.2.10\"}.";
            self.add("media.addresses", "there is no address for RTP, so no call could have sound", cure);
        }
        for (index, address) in media.addresses.iter().enumerate() {
            let path = format!("media.addresses[{index}].advertise");
            if address.bind.is_unspecified() && address.advertise.is_none() {
                let problem =
                    format!("{} stands for every address and cannot be told to peers", address.bind);
                self.add(path, problem, "Add the address that peers reach, as advertise.");
            } else if address.advertised().is_unspecified() {
                let problem = "no peer can send RTP to an address that stands for every address";
                self.add(path, problem, "Advertise the address that peers reach.");
            } else if address.advertised().is_ipv4() != address.bind.is_ipv4() {
                let cure = "Advertise an address of the family that is bound.";
                self.add(path, "the advertised address is of the other IP family", cure);
            }
        }
        if media.ports.count() < 4 {
            self.add(
                "media.ports",
                format!("{} are too few ports for a single call", media.ports),
                "A call uses four.",
            );
        }
        self.between("media.workers", media.workers as u64, 1..=256);
        self.between("media.silence_s", media.silence_s, 0..=86_400);
    }

    fn prices(&mut self, config: &Config) {
        let prices = &config.prices;
        self.between("prices.period_days", prices.period_days.into(), 1..=366);
        self.between("prices.disabled_days", prices.disabled_days.into(), 1..=3_650);
        self.between("prices.number_grace_days", prices.number_grace_days.into(), 0..=3_650);
        self.between("prices.longest_absence_days", prices.longest_absence_days.into(), 1..=36_500);
        if prices.currency.len() != 3 || !prices.currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
            self.add(
                "prices.currency",
                format!("{:?} is no currency", prices.currency),
                "Write three capitals of ISO 4217, such as USD.",
            );
        }
        self.between("prices.bundle_minutes", prices.bundle_minutes.into(), 1..=1_000_000);
        if let Err(refused) = config.us_bundle() {
            self.add(
                "prices.bundle_excluded_file",
                refused,
                "Correct the file or its path, or leave the key out.",
            );
        }
        for (name, steps) in
            [("channel_discounts", &prices.channel_discounts), ("bundle_discounts", &prices.bundle_discounts)]
        {
            for (index, pair) in steps.windows(2).enumerate() {
                if pair[0].above >= pair[1].above || pair[0].percent > pair[1].percent {
                    let path = format!("prices.{name}[{}]", index + 1);
                    self.add(
                        path,
                        "a larger quantity must come later and cost no more apiece",
                        "Put them in order.",
                    );
                }
            }
            if let Some(index) = steps.iter().position(|step| step.percent > 100) {
                self.add(
                    format!("prices.{name}[{index}].percent"),
                    "more than everything is off",
                    "Write at most 100.",
                );
            }
        }
    }

    fn store(&mut self, config: &Config) {
        self.between("store.patience_ms", config.store.patience_ms, 100..=15_000);
        if config.store.patience_ms > config.calls.question_patience_s * 500 {
            let cure = "Write patience_ms at most half of calls.question_patience_s.";
            let problem = "a call that waits for the database would be refused before it is decided on hand";
            self.add("store.patience_ms", problem, cure);
        }
        let is_address = |url: &super::Secret| PostgresUrl::new(url.reveal()).is_some();
        if config.store.url.as_ref().is_some_and(|url| !is_address(url)) {
            let cure =
                "Write one like postgres://sipgw:password@localhost/sipgw, or leave it out for SQLite.";
            self.add("store.url", "this is no address of a PostgreSQL database", cure);
        }
        let key_file = config.resolve_path(&config.store.key_file);
        if let Some(mode) = exposure::of(&key_file, exposure::GROUP_OR_OTHERS) {
            let shown = key_file.display();
            let problem =
                format!("{shown} can be read or changed by others than its owner (mode {mode:03o})");
            self.add("store.key_file", problem, format!("chmod 600 {shown}"));
        }
        if config.store.path == config.store.key_file {
            let cure = "Name two files, better in two places.";
            self.add("store.key_file", "the key cannot be kept in the database that it seals", cure);
        }
    }

    /// Those who guess try the short, the plain and the published ones first.
    fn secrets(&mut self, config: &Config) {
        let http = &config.http;
        let secrets = [
            (key_of("http.token", http.token_file.as_ref()), &http.token),
            (key_of("http.metrics_token", http.metrics_token_file.as_ref()), &http.metrics_token),
            (key_of("http.payment_secret", http.payment_secret_file.as_ref()), &http.payment_secret),
        ];
        let cure = "Write one such as `openssl rand -hex 24` prints.";
        for (index, (path, secret)) in secrets.iter().enumerate() {
            let Some(secret) = secret else { continue };
            if let Some(weakness) = secret.weakness() {
                self.add(path, weakness, cure);
            }
            // Whoever may read metrics must not thereby be an operator.
            let twin = secrets[..index].iter().find(|(_, other)| other.as_ref() == Some(secret));
            if let Some((other, _)) = twin {
                self.add(path, format!("this is the same as {other}"), cure);
            }
        }
        if config.store.url.as_ref().is_some_and(|url| super::secret::has_sample_password(url.reveal())) {
            let cure = "Give the database's user another one (ALTER ROLE ... PASSWORD), and write it here.";
            let path = key_of("store.url", config.store.url_file.as_ref());
            self.add(path, "the password in it is that of the sample", cure);
        }
    }

    fn http(&mut self, config: &Config) {
        let http = &config.http;
        let is_wide =
            |network: &ipnet::IpNet| network.prefix_len() < if network.addr().is_ipv4() { 8 } else { 16 };
        for (index, network) in http.trusted_proxies.iter().enumerate().filter(|(_, it)| is_wide(it)) {
            let problem = format!("{network} is most of the internet, and each of it would be believed");
            let cure = "Name the addresses of your proxies.";
            self.add(format!("http.trusted_proxies[{index}]"), problem, cure);
        }
        self.between("http.token_days", http.token_days.into(), 1..=36_500);
        self.between("http.connections", http.connections as u64, 1..=65_536);
        self.between("http.connections_per_source", http.connections_per_source as u64, 1..=65_536);
        let is_taken = |l: &ListenConfig| {
            l.transport != TransportName::Udp && l.address == http.listen && l.address.port() != 0
        };
        if let Some(index) = config.sip.listen.iter().position(is_taken) {
            let problem = format!("{} is taken by sip.listen[{index}]", http.listen);
            self.add("http.listen", problem, "Give HTTP a port of its own.");
        }
        if !http.listen.ip().is_loopback() && http.token.is_none() {
            let problem = format!("{} can be reached by others, and no token guards it", http.listen);
            self.add("http.listen", problem, "Add http.token, or listen at 127.0.0.1.");
        }
    }
}
