//! The configuration: YAML and environment to one typed [`Config`], refused before any port is bound.
//!
//! Defaults stand beside the fields; `config/sipgw.yaml` shows them all with comments. A file or variable that
//! cannot be used is refused with its name, the key's path, the line where it is known, and the cure.

mod addresses;
mod breaker;
mod check;
mod core;
mod emergency;
pub(crate) mod exposure;
mod http;
mod load;
mod makes;
mod media;
mod new_profiles;
mod on_hand;
mod premium;
mod prices;
mod refused;
mod secret;
mod secret_files;
mod sip;
mod spend_guard;
mod yaml;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::breaker::BreakerConfig;
pub use self::emergency::EmergencyNumbers;
pub use self::http::HttpConfig;
pub(crate) use self::load::nearest;
pub use self::makes::UserAgents;
pub use self::media::{MediaAddress, MediaConfig, PortRange};
pub use self::new_profiles::{NewCompaniesConfig, NewProfilesConfig};
pub use self::on_hand::OnHandConfig;
pub use self::prices::{Discount, Price, PriceConfig};
pub use self::refused::{ConfigError, Fault};
pub use self::secret::Secret;
pub use self::sip::{
    Advertise, CallConfig, ConnectionConfig, LimitConfig, ListenConfig, RegistrationConfig, SipConfig,
    TimerConfig, TlsConfig, TlsVersion, TransportName,
};
pub use self::spend_guard::SpendGuardConfig;

/// Everything an operator can set.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who this gateway is.
    pub node: NodeConfig,
    /// SIP listeners, timers and bounds.
    pub sip: SipConfig,
    /// Certificate of the TLS listeners.
    pub tls: TlsConfig,
    /// Registration intervals.
    pub registration: RegistrationConfig,
    /// How calls behave.
    pub calls: CallConfig,
    /// RTP addresses and ports.
    pub media: MediaConfig,
    /// The database.
    pub store: StoreConfig,
    /// What things cost.
    pub prices: PriceConfig,
    /// The API, metrics and health.
    pub http: HttpConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// The directory of the file, against which relative paths are read; not a key.
    #[serde(skip)]
    pub directory: PathBuf,
    /// The file it was read from, if it was one; not a key.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// Who this gateway is.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    /// The host of From and To towards PBXs, and the host that they register to.
    pub domain: String,
    /// The digest realm; the domain where absent. Stored passwords stay valid when it changes.
    pub realm: Option<String>,
}

/// The database.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// The SQLite file; made if it is not there. With `url` no database, but the lock and the journal are beside it all
    /// the same.
    pub path: PathBuf,
    /// A database on PostgreSQL in the place of the file, `postgres://user:password@host:port/name`.
    pub url: Option<Secret>,
    /// The file that holds `url`.
    pub url_file: Option<PathBuf>,
    /// The key that credentials are encrypted with: 64 hex digits. Made together with the database.
    pub key_file: PathBuf,
    /// Where it is kept what was decided while the database did not answer; beside the database where absent. On
    /// another disk it helps when that of the database is full.
    pub outage_file: Option<PathBuf>,
    /// How long the database may take to answer before calls are decided by what is on hand, milliseconds.
    pub patience_ms: u64,
    /// How much a commit waits for the disk.
    pub synchronous: Synchronous,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            path: "/var/lib/sipgw/sipgw.db".into(),
            url: None,
            url_file: None,
            key_file: "/var/lib/sipgw/sipgw.key".into(),
            outage_file: None,
            patience_ms: 2_000,
            synchronous: Synchronous::Full,
        }
    }
}

/// How much a commit waits for the disk.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Money is safe even if the power fails.
    #[default]
    Full,
    /// Faster; the last commits may be lost if the power fails, never half written.
    Normal,
}

/// What is logged, and how.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// For people or for machines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`; or directives such as `info,sipgw::net=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// For people or for machines.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line a happening, for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A file that the configuration names.
struct NamedFile {
    key: &'static str,
    holds: Holds,
    file: PathBuf,
}

/// What a file holds decides who may read and write it.
#[derive(PartialEq, Eq)]
enum Holds {
    /// What its owner alone may know.
    Secret,
    /// What everybody may know, but not write.
    Words,
}

impl Config {
    /// Reads the file, lays the process's `SIPGW__...` variables over it, and checks the whole.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        load::from_file(file, std::env::vars().collect())
    }

    /// Reads YAML text named `name` in messages, with `variables` laid over it.
    pub fn from_text(
        name: &str,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        load::from_text(Path::new(name), text, variables.into_iter().collect())
    }

    /// A path of the configuration, read against the directory of its file.
    pub fn resolve_path(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }

    /// Every file that the configuration is read from, itself first: what to look at for changes.
    pub fn files(&self) -> Vec<PathBuf> {
        self.file.iter().cloned().chain(self.named_files().map(|named| named.file)).collect()
    }

    /// The files that the configuration names.
    fn named_files(&self) -> impl Iterator<Item = NamedFile> {
        use Holds::{Secret, Words};
        let named = [
            ("tls.certificate", Words, &self.tls.certificate),
            ("tls.key", Secret, &self.tls.key),
            ("tls.authorities", Words, &self.tls.authorities),
            ("tls.client_ca", Words, &self.tls.client_ca),
            ("calls.emergency_file", Words, &self.calls.emergency_file),
            ("calls.user_agents_file", Words, &self.calls.user_agents_file),
            ("calls.premium_file", Words, &self.calls.premium_file),
            ("prices.bundle_excluded_file", Words, &self.prices.bundle_excluded_file),
            ("http.token_file", Secret, &self.http.token_file),
            ("http.metrics_token_file", Secret, &self.http.metrics_token_file),
            ("http.payment_secret_file", Secret, &self.http.payment_secret_file),
            ("store.url_file", Secret, &self.store.url_file),
        ];
        let of = |(key, holds, file): (_, _, &Option<PathBuf>)| {
            Some(NamedFile { key, holds, file: self.resolve_path(file.as_ref()?) })
        };
        named.into_iter().filter_map(of)
    }

    /// What is used all the same, but should be otherwise: one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = secret_files::warnings(self);
        warnings.extend(self.calls.new_profiles.warning(&self.prices.currency));
        warnings
    }

    /// The digest realm.
    pub fn realm(&self) -> &str {
        self.node.realm.as_deref().unwrap_or(&self.node.domain)
    }
}
