//! TLS for both roles: our certificate towards those who connect and what we believe of theirs, and trust in those we
//! connect to.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use sip_core::auth::CertificateNames;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{FromDer, GeneralName};

use crate::config::{Config, TlsVersion};

/// Why TLS cannot be set up; names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read, or holds nothing of the kind.
    #[error("{}: {error}; it must be a PEM file that the gateway may read", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// The parser's word.
        error: pem::Error,
    },
    /// A PEM file without any certificate.
    #[error("{} holds no certificate; it must be PEM and hold one at least", .0.display())]
    NoCertificate(PathBuf),
    /// Certificate and key do not fit, or are of a kind that is not supported.
    #[error("{}: {error}", file.display())]
    Unusable {
        /// The certificate's file.
        file: PathBuf,
        /// The library's word.
        error: rustls::Error,
    },
    /// What is to vouch for client certificates is no authority.
    #[error("{}: {problem}; name a PEM file with the certificates of the authorities as tls.client_ca", file.display())]
    ClientAuthority {
        /// The file of the authorities.
        file: PathBuf,
        /// The library's word.
        problem: String,
    },
}

/// The TLS of a daemon. Connections take what is current when they begin and keep it.
pub struct Tls {
    acceptor: ArcSwapOption<ServerConfig>,
    connector: ArcSwapOption<ClientConfig>,
    expiry: ArcSwapOption<(PathBuf, i64)>,
    /// By which names hosts are known that we may connect to.
    pub names: ServerNames,
}

impl Tls {
    /// Reads the files that the configuration names.
    pub fn load(config: &Config) -> Result<Self, TlsError> {
        let tls = Self {
            acceptor: ArcSwapOption::empty(),
            connector: ArcSwapOption::empty(),
            expiry: ArcSwapOption::empty(),
            names: ServerNames::default(),
        };
        tls.use_from_now_on(TlsFiles::read(config)?);
        Ok(tls)
    }

    /// Puts what was read into use; connections that run keep what they began with.
    pub fn use_from_now_on(&self, files: TlsFiles) {
        self.acceptor.store(files.server.map(Arc::new));
        self.connector.store(Some(Arc::new(files.client)));
        self.expiry.store(files.expiry.map(Arc::new));
    }

    /// The certificate in use and when it, or one of its chain, expires: the file, and seconds since 1970.
    pub fn expiry(&self) -> Option<(PathBuf, i64)> {
        self.expiry.load().as_deref().cloned()
    }

    /// For an accepted connection; `None` without a certificate.
    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.acceptor.load_full().map(TlsAcceptor::from)
    }

    /// For a connection to `peer`, with the name that its certificate must show.
    pub(super) fn connector(&self, peer: SocketAddr) -> Option<(TlsConnector, ServerName<'static>)> {
        let connector = self.connector.load_full().map(TlsConnector::from)?;
        Some((connector, self.names.of(peer)))
    }
}

/// Certificates and key, read and found to fit, but not in use yet.
pub struct TlsFiles {
    server: Option<ServerConfig>,
    client: ClientConfig,
    expiry: Option<(PathBuf, i64)>,
}

impl TlsFiles {
    /// Reads the files that the configuration names.
    pub fn read(config: &Config) -> Result<Self, TlsError> {
        let file = config.tls.certificate.as_ref().map(|named| config.resolve_path(named));
        let expiry = match file {
            Some(file) => earliest_expiry(&certificates(&file)?).map(|at| (file, at)),
            None => None,
        };
        Ok(Self { server: server_config(config)?, client: client_config(config)?, expiry })
    }
}

/// When the first of a chain's certificates expires, seconds since 1970.
fn earliest_expiry(chain: &[CertificateDer<'_>]) -> Option<i64> {
    let expiry = |der: &CertificateDer<'_>| {
        let (_rest, certificate) = X509Certificate::from_der(der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    };
    chain.iter().filter_map(expiry).min()
}

static ONLY_1_3: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

fn versions(config: &Config) -> &'static [&'static SupportedProtocolVersion] {
    match config.tls.min_version {
        TlsVersion::V1_2 => rustls::ALL_VERSIONS,
        TlsVersion::V1_3 => ONLY_1_3,
    }
}

fn server_config(config: &Config) -> Result<Option<ServerConfig>, TlsError> {
    let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) else { return Ok(None) };
    let (file, key_file) = (config.resolve_path(certificate), config.resolve_path(key));
    let chain = certificates(&file)?;
    let key =
        PrivateKeyDer::from_pem_file(&key_file).map_err(|error| TlsError::Pem { file: key_file, error })?;
    let clients = client_verifier(config)?;
    let unusable = |error| TlsError::Unusable { file, error };
    // No ALPN: some PBXs end a handshake that names a protocol they did not ask for.
    let server = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(versions(config))
        .and_then(|builder| builder.with_client_cert_verifier(clients).with_single_cert(chain, key))
        .map_err(unusable)?;
    Ok(Some(server))
}

/// Whose certificates are believed of those who connect. Whoever shows none is let in all the same, and proves otherwise
/// who it is; one that shows a bad one is not.
fn client_verifier(config: &Config) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(named) = &config.tls.client_ca else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let file = config.resolve_path(named);
    let wrong = |problem: String| TlsError::ClientAuthority { file: file.clone(), problem };
    let mut roots = RootCertStore::empty();
    for authority in certificates(&file)? {
        roots.add(authority).map_err(|error| wrong(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(roots.into(), ring::default_provider().into())
        .allow_unauthenticated()
        .build()
        .map_err(|error| wrong(error.to_string()))
}

/// The DNS names on the certificate that a client has shown, which was verified in the handshake; none without one.
pub(super) fn names_shown(connection: &ServerConnection) -> CertificateNames {
    let own = connection.peer_certificates().and_then(<[_]>::first);
    own.map(|certificate| dns_names(certificate)).unwrap_or_default()
}

/// What is wrong with the peer's certificate, if it is that on which a handshake has failed.
pub(super) fn problem_with_certificate(handshake: &io::Error) -> Option<&rustls::Error> {
    let error = handshake.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(error, rustls::Error::InvalidCertificate(_)).then_some(error)
}

/// RFC 5922 section 7.1, of which names of domains are what rules are written with.
fn dns_names(certificate: &CertificateDer<'_>) -> CertificateNames {
    let Ok((_rest, certificate)) = X509Certificate::from_der(certificate) else { return Default::default() };
    let Ok(Some(subject)) = certificate.subject_alternative_name() else { return Default::default() };
    CertificateNames::new(subject.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    }))
}

fn client_config(config: &Config) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    // Machines without a system store still reach carriers through `tls.authorities`.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let file = config.tls.authorities.as_ref().map(|named| config.resolve_path(named)).unwrap_or_default();
    if config.tls.authorities.is_some() {
        for authority in certificates(&file)? {
            roots.add(authority).map_err(|error| TlsError::Unusable { file: file.clone(), error })?;
        }
    }
    let client = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(versions(config))
        .map_err(|error| TlsError::Unusable { file, error })?;
    Ok(client.with_root_certificates(roots).with_no_client_auth())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| TlsError::Pem { file: file.into(), error })?;
    if chain.is_empty() { Err(TlsError::NoCertificate(file.into())) } else { Ok(chain) }
}

/// Addresses and the domain names they were looked up by: what a certificate must show (RFC 5922 section 7.1).
#[derive(Default)]
pub struct ServerNames(Mutex<HashMap<SocketAddr, String>>);

impl ServerNames {
    /// Far more than there are carriers; beyond it the table starts afresh.
    const MOST: usize = 10_000;

    /// Notes under which name an address was found.
    pub fn note(&self, address: SocketAddr, host: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= Self::MOST {
            names.clear();
        }
        names.insert(address, host.to_owned());
    }

    /// The name to ask for, or else the address itself.
    fn of(&self, peer: SocketAddr) -> ServerName<'static> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let named = names.get(&peer).and_then(|host| ServerName::try_from(host.clone()).ok());
        named.unwrap_or_else(|| ServerName::IpAddress(peer.ip().into()))
    }
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::CertificateError;

    use super::*;

    #[test]
    fn only_a_certificate_that_is_not_believed_is_told() {
        let failed = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let unknown = failed(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert_eq!(
            problem_with_certificate(&unknown).unwrap().to_string(),
            "invalid peer certificate: UnknownIssuer"
        );
        let gibberish = failed(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
        assert!(problem_with_certificate(&gibberish).is_none());
        assert!(problem_with_certificate(&io::Error::from(io::ErrorKind::UnexpectedEof)).is_none());
    }
}
