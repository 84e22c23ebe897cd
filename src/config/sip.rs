//! The sections `sip`, `tls`, `registration` and `calls`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use sip_core::types::Transport;

use super::{BreakerConfig, NewCompaniesConfig, NewProfilesConfig, OnHandConfig, SpendGuardConfig};

/// SIP listeners, timers and bounds.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct SipConfig {
    /// Where PBXs and carriers reach us; at least one.
    pub listen: Vec<ListenConfig>,
    /// Whether a Request-URI may name any host; `false` keeps it to the domain, the aliases and the listeners.
    pub any_host: bool,
    /// Names and addresses besides the domain that a Request-URI may carry to mean us.
    pub aliases: Vec<String>,
    /// The base timers of RFC 3261.
    pub timers: TimerConfig,
    /// Bounds of what the signalling keeps.
    pub limits: LimitConfig,
    /// What guessing passwords leads to.
    pub bans: BanConfig,
    /// Bounds of TCP and TLS connections.
    pub connections: ConnectionConfig,
    /// Messages that may wait for the engine; those beyond it are dropped and counted.
    pub queue: usize,
}

impl Default for SipConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            any_host: true,
            aliases: Vec::new(),
            timers: TimerConfig::default(),
            limits: LimitConfig::default(),
            bans: BanConfig::default(),
            connections: ConnectionConfig::default(),
            queue: 16_384,
        }
    }
}

/// One address to listen at.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ListenConfig {
    /// Over which transport.
    pub transport: TransportName,
    /// The address to bind.
    pub address: SocketAddr,
    /// The address that peers reach it by, where it is another one.
    pub advertise: Option<Advertise>,
}

/// `udp`, `tcp` or `tls`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TransportName {
    /// Datagrams.
    Udp,
    /// TCP connections.
    Tcp,
    /// TLS connections.
    Tls,
}

impl From<TransportName> for Transport {
    fn from(name: TransportName) -> Self {
        match name {
            TransportName::Udp => Self::Udp,
            TransportName::Tcp => Self::Tcp,
            TransportName::Tls => Self::Tls,
        }
    }
}

/// An address as others see it, with a port where that differs too: `203.0.113.10` or `203.0.113.10:5080`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct Advertise {
    /// The address.
    pub host: IpAddr,
    /// The port; that of the bound address where absent.
    pub port: Option<u16>,
}

impl FromStr for Advertise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Ok(host) = plain.parse::<IpAddr>() {
            return Ok(Self { host, port: None });
        }
        let whole: SocketAddr = text.parse().map_err(|_| {
            format!("\"{text}\" is not an address; write one like 203.0.113.10 or 203.0.113.10:5080")
        })?;
        Ok(Self { host: whole.ip(), port: Some(whole.port()) })
    }
}

impl TryFrom<String> for Advertise {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.host, port).fmt(f),
            None => self.host.fmt(f),
        }
    }
}

/// The base timers of RFC 3261 (table 4).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct TimerConfig {
    /// Round-trip estimate, milliseconds.
    pub t1_ms: u64,
    /// The longest retransmit interval, milliseconds.
    pub t2_ms: u64,
    /// The longest time a message stays in the network, milliseconds.
    pub t4_ms: u64,
}

impl Default for TimerConfig {
    fn default() -> Self {
        Self { t1_ms: 500, t2_ms: 4_000, t4_ms: 5_000 }
    }
}

/// Bounds of what the signalling keeps; what exceeds one is refused or dropped, and counted.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct LimitConfig {
    /// Calls at once, in set-up or running; as many as `media.ports` carry where absent.
    pub calls: Option<usize>,
    /// Transactions at once.
    pub transactions: usize,
    /// Registered PBXs.
    pub bindings: usize,
    /// Carriers tried for one call.
    pub attempts_per_call: usize,
    /// Requests a second, on average, that a source may send without having proved who it is.
    pub requests_per_source: u32,
    /// Requests outside of calls a second, on average, from a source that is known by its address or registered there.
    pub requests_per_known_source: u32,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            calls: None,
            transactions: 200_000,
            bindings: 200_000,
            attempts_per_call: 6,
            requests_per_source: 500,
            requests_per_known_source: 5_000,
        }
    }
}

/// What guessing passwords leads to.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct BanConfig {
    /// Wrong passwords count for so long, seconds.
    pub window_s: u64,
    /// After so many from one source it has to wait between guesses.
    pub slow_after: u32,
    /// The longest such wait, seconds.
    pub longest_pause_s: u64,
    /// After so many from one source nothing is heard from it.
    pub ban_after: u32,
    /// How long a source is not heard, seconds.
    pub ban_s: u64,
    /// After so many for one user it is heard only from where its password was proved before.
    pub guard_after: u32,
    /// How long a user is guarded, seconds.
    pub guard_s: u64,
}

impl Default for BanConfig {
    fn default() -> Self {
        Self {
            window_s: 300,
            slow_after: 10,
            longest_pause_s: 8,
            ban_after: 40,
            ban_s: 600,
            guard_after: 100,
            guard_s: 300,
        }
    }
}

/// Bounds of TCP and TLS connections.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionConfig {
    /// Connections from one address at once.
    pub per_source: usize,
    /// Connections at once.
    pub total: usize,
    /// TLS handshakes of those who connect, at once.
    pub handshakes: usize,
    /// The same from one address.
    pub handshakes_per_source: usize,
    /// How long a TLS handshake or the opening of a connection may take, seconds.
    pub handshake_s: u64,
    /// A connection on which nobody has proved who it is may last this long, seconds.
    pub unproved_s: u64,
    /// A connection that has sent nothing for this long is closed, seconds.
    pub idle_s: u64,
    /// Messages that may wait to be written to one connection; a peer that reads no faster loses it.
    pub queue: usize,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            per_source: 100,
            total: 20_000,
            handshakes: 1_000,
            handshakes_per_source: 50,
            handshake_s: 10,
            unproved_s: 45,
            idle_s: 7_200,
            queue: 256,
        }
    }
}

/// Certificate of the TLS listeners, and whose certificates are believed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain, PEM, the server's own first.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
    /// Further certificate authorities, PEM, that carriers' certificates may come from.
    pub authorities: Option<PathBuf>,
    /// The certificate authorities, PEM, that PBXs' certificates must come from; PBXs are asked for none where absent.
    pub client_ca: Option<PathBuf>,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

/// Registration intervals.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrationConfig {
    /// Granted to a PBX behind a NAT or firewall, seconds.
    pub nat_s: u32,
    /// Granted to a PBX directly on the internet, seconds.
    pub direct_s: u32,
    /// Less than this is refused, seconds.
    pub min_s: u32,
    /// How long a nonce is fresh, seconds.
    pub nonce_lifetime_s: u64,
}

impl Default for RegistrationConfig {
    fn default() -> Self {
        Self { nat_s: 45, direct_s: 3_600, min_s: 20, nonce_lifetime_s: 300 }
    }
}

/// How calls behave.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct CallConfig {
    /// How long a call may ring, whichever carriers it is tried at, seconds.
    pub no_answer_s: u64,
    /// How long a carrier may stay silent, without even a 100, before the next is tried, seconds.
    pub carrier_patience_s: u64,
    /// How long a carrier that has said 100 may go without ringing before the next is tried, seconds.
    pub carrier_progress_s: u64,
    /// When a carrier that fails is left alone.
    pub carrier_breaker: BreakerConfig,
    /// How long a PBX or carrier may take to connect anew, before a running call whose connection was lost is ended,
    /// seconds.
    pub reconnect_s: u64,
    /// How long a call may last, seconds.
    pub longest_s: u64,
    /// How long the accounting or the media relay may take to answer, seconds.
    pub question_patience_s: u64,
    /// More is reserved this long before what is paid ends, seconds.
    pub extend_ahead_s: u64,
    /// The session interval asked for, and the longest granted (RFC 4028), seconds.
    pub session_expires_s: u32,
    /// The shortest session interval accepted, seconds.
    pub min_se_s: u32,
    /// The highest Max-Forwards written.
    pub max_forwards: u8,
    /// E.164 digits of the echo test, without `+`.
    pub echo_numbers: Vec<String>,
    /// The file of emergency numbers by country; a few that hold everywhere where absent.
    pub emergency_file: Option<PathBuf>,
    /// The file of what makes of PBXs do with SRTP; the one that comes with the gateway where absent.
    pub user_agents_file: Option<PathBuf>,
    /// The table of premium ranges; the one that comes with the gateway where absent.
    pub premium_file: Option<PathBuf>,
    /// Countries (ISO 3166 alpha-2) whose Online Numbers may be shown as the caller; empty allows all.
    pub caller_id_countries: Vec<String>,
    /// How long running calls may go on after the daemon was told to stop, seconds.
    pub drain_s: u64,
    /// What is kept on hand for each profile that calls.
    pub on_hand: OnHandConfig,
    /// Limits of what calls may cost, for profiles that set none of their own.
    pub spend_guard: SpendGuardConfig,
    /// Limits that new profiles begin with.
    pub new_profiles: NewProfilesConfig,
    /// Limits that new companies begin with.
    pub new_companies: NewCompaniesConfig,
}

impl Default for CallConfig {
    fn default() -> Self {
        Self {
            no_answer_s: 120,
            carrier_patience_s: 8,
            carrier_progress_s: 20,
            carrier_breaker: BreakerConfig::default(),
            reconnect_s: 32,
            longest_s: 86_400,
            question_patience_s: 5,
            extend_ahead_s: 10,
            session_expires_s: 1_800,
            min_se_s: 90,
            max_forwards: 30,
            echo_numbers: vec!["17606604690".to_owned()],
            emergency_file: None,
            user_agents_file: None,
            premium_file: None,
            caller_id_countries: Vec::new(),
            drain_s: 30,
            on_hand: OnHandConfig::default(),
            spend_guard: SpendGuardConfig::default(),
            new_profiles: NewProfilesConfig::default(),
            new_companies: NewCompaniesConfig::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertised_address_may_have_a_port() {
        let plain: Advertise = "203.0.113.10".parse().unwrap();
        assert_eq!((plain.host.to_string().as_str(), plain.port), ("203.0.113.10", None));
        let both: Advertise = "203.0.113.10:5080".parse().unwrap();
        assert_eq!((both.to_string().as_str(), both.port), ("203.0.113.10:5080", Some(5080)));
        let six: Advertise = "[2001:db8::1]".parse().unwrap();
        assert_eq!(six.host.to_string(), "2001:db8::1");
        assert!("sip.example.com".parse::<Advertise>().unwrap_err().contains("203.0.113.10"));
    }
}
