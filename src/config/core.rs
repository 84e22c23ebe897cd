//! From the configuration to the core's own settings.

use std::net::SocketAddr;
use std::time::Duration;

use sip_core::limits::Limits;
use sip_core::settings::{
    BanSettings, CallSettings, HostPolicy, Listener, RegistrationSettings, Settings, TimerSettings, Tuning,
};
use sip_core::types::Transport;

use super::{Config, ConfigError, ListenConfig};

impl ListenConfig {
    /// The core's view of this listener once it is bound at `local`, whose port may have been chosen freely.
    pub fn bound(&self, local: SocketAddr) -> Listener {
        let advertise = self.advertise;
        Listener {
            transport: self.transport.into(),
            local,
            advertised_host: advertise.map_or_else(|| local.ip(), |a| a.host),
            advertised_port: advertise.and_then(|a| a.port).unwrap_or_else(|| local.port()),
        }
    }
}

impl Config {
    /// Whether the gateway itself listens there, as far as the configuration tells.
    pub fn is_own_address(&self, transport: Transport, address: SocketAddr) -> bool {
        self.sip.listen.iter().any(|listen| listen.bound(listen.address).is_at(transport, address))
    }

    /// The core's settings for listeners that are bound.
    pub fn settings(&self, listeners: Vec<Listener>) -> Result<Settings, ConfigError> {
        let mut settings = Settings::new(self.node.domain.clone(), listeners);
        settings.realm = self.realm().to_owned();
        settings.hosts = if self.sip.any_host { HostPolicy::Any } else { HostPolicy::Own };
        settings.aliases = self.sip.aliases.iter().cloned().collect();
        let Tuning { registration, bans, calls, makes } = self.tuning()?;
        (settings.registration, settings.bans) = (registration, bans);
        (settings.calls, settings.makes) = (calls, makes);
        settings.timers = TimerSettings {
            t1: Duration::from_millis(self.sip.timers.t1_ms),
            t2: Duration::from_millis(self.sip.timers.t2_ms),
            t4: Duration::from_millis(self.sip.timers.t4_ms),
        };
        settings.limits = self.limits();
        Ok(settings)
    }

    /// Those of the core's settings that a reload reaches.
    pub fn tuning(&self) -> Result<Tuning, ConfigError> {
        Ok(Tuning {
            registration: self.registration_settings(),
            bans: self.ban_settings(),
            calls: self.call_settings()?,
            makes: self.user_agents()?.makes(),
        })
    }

    fn registration_settings(&self) -> RegistrationSettings {
        RegistrationSettings {
            nat_s: self.registration.nat_s,
            direct_s: self.registration.direct_s,
            min_s: self.registration.min_s,
            nonce_lifetime: Duration::from_secs(self.registration.nonce_lifetime_s),
        }
    }

    fn ban_settings(&self) -> BanSettings {
        let bans = &self.sip.bans;
        BanSettings {
            window: Duration::from_secs(bans.window_s),
            slow_after: bans.slow_after,
            longest_pause: Duration::from_secs(bans.longest_pause_s),
            ban_after: bans.ban_after,
            ban: Duration::from_secs(bans.ban_s),
            guard_after: bans.guard_after,
            guard: Duration::from_secs(bans.guard_s),
        }
    }

    fn call_settings(&self) -> Result<CallSettings, ConfigError> {
        let defaults = CallSettings::default();
        Ok(CallSettings {
            no_answer: Duration::from_secs(self.calls.no_answer_s),
            carrier_patience: Duration::from_secs(self.calls.carrier_patience_s),
            carrier_progress: Duration::from_secs(self.calls.carrier_progress_s),
            breaker: self.calls.carrier_breaker.settings(),
            reconnect: Duration::from_secs(self.calls.reconnect_s),
            longest: Duration::from_secs(self.calls.longest_s),
            question_patience: Duration::from_secs(self.calls.question_patience_s),
            extend_ahead: Duration::from_secs(self.calls.extend_ahead_s),
            max_forwards: self.calls.max_forwards,
            session_expires_s: self.calls.session_expires_s,
            min_se_s: self.calls.min_se_s,
            echo_numbers: self.calls.echo_numbers.iter().cloned().collect(),
            emergency: self.emergency_numbers()?.map_or(defaults.emergency, |numbers| numbers.0),
        })
    }

    /// Calls at once. Those beyond what the ports carry would be refused by the relay, after all the work was done.
    pub(super) fn most_calls(&self) -> usize {
        let carried = self.media.addresses.len().max(1) * self.media.ports.pairs() / 2;
        self.sip.limits.calls.unwrap_or_else(|| carried.max(1))
    }

    fn limits(&self) -> Limits {
        Limits {
            calls: self.most_calls(),
            transactions: self.sip.limits.transactions,
            bindings: self.sip.limits.bindings,
            attempts_per_call: self.sip.limits.attempts_per_call,
            requests_per_source: self.sip.limits.requests_per_source,
            requests_per_known_source: self.sip.limits.requests_per_known_source,
            ..Limits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_gateway_listens_it_is_itself() {
        let mut config = Config::default();
        config.sip.listen = serde_json::from_str(
            r#"[{"transport": "udp", "address": "0.0.0.0:5060", "advertise": "203.0.113.1"},
                {"transport": "tls", "address": "192.0.2.1:5061"}]"#,
        )
        .unwrap();
        let is_own = |transport, address: &str| config.is_own_address(transport, address.parse().unwrap());
        assert!(is_own(Transport::Udp, "203.0.113.1:5060"));
        assert!(is_own(Transport::Udp, "127.0.0.1:5060"));
        assert!(is_own(Transport::Tls, "192.0.2.1:5061"));
        assert!(!is_own(Transport::Tcp, "203.0.113.1:5060"), "nothing listens there");
        assert!(!is_own(Transport::Udp, "203.0.113.1:5070"), "a PBX on the same machine");
        assert!(!is_own(Transport::Udp, "198.51.100.7:5060"));
    }

    #[test]
    fn the_defaults_are_the_cores_own() {
        let ours = Config::default();
        let (registration, core) = (ours.registration_settings(), RegistrationSettings::default());
        assert_eq!((registration.nat_s, registration.direct_s), (core.nat_s, core.direct_s));
        assert_eq!((registration.min_s, registration.nonce_lifetime), (core.min_s, core.nonce_lifetime));
        let (calls, core) = (ours.call_settings().unwrap(), CallSettings::default());
        assert_eq!((calls.no_answer, calls.carrier_patience), (core.no_answer, core.carrier_patience));
        assert_eq!((calls.carrier_progress, calls.longest), (core.carrier_progress, core.longest));
        assert_eq!((calls.reconnect, calls.breaker), (core.reconnect, core.breaker));
        assert_eq!(
            (calls.question_patience, calls.extend_ahead),
            (core.question_patience, core.extend_ahead)
        );
        assert_eq!((calls.max_forwards, calls.echo_numbers), (core.max_forwards, core.echo_numbers));
        assert_eq!((calls.session_expires_s, calls.min_se_s), (core.session_expires_s, core.min_se_s));
        let calls = ours.media.ports.count() / 4;
        assert_eq!(ours.limits(), Limits { calls, ..Limits::default() });
        assert_eq!(ours.ban_settings(), BanSettings::default());
    }

    #[test]
    fn a_listener_at_a_free_port_tells_the_port_it_got() {
        let listen = ListenConfig {
            transport: super::super::TransportName::Udp,
            address: "0.0.0.0:0".parse().unwrap(),
            advertise: Some("203.0.113.10".parse().unwrap()),
        };
        let bound = listen.bound("0.0.0.0:40123".parse().unwrap());
        assert_eq!(
            (bound.advertised_host.to_string().as_str(), bound.advertised_port),
            ("203.0.113.10", 40123)
        );
    }
}
