//! The API, metrics and health.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use provisioning_store::model::canonical;
use provisioning_store::quotas::Quotas;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::Secret;

/// The API, metrics and health.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// An operator's token for the API; `/healthz` and `/readyz` need none.
    pub token: Option<Secret>,
    /// The file that holds `token`.
    pub token_file: Option<PathBuf>,
    /// What the adapter of a payment provider signs its messages with; without it there are none.
    pub payment_secret: Option<Secret>,
    /// The file that holds `payment_secret`.
    pub payment_secret_file: Option<PathBuf>,
    /// Asked of whoever reads `/metrics`; where absent, `token` is.
    pub metrics_token: Option<Secret>,
    /// The file that holds `metrics_token`.
    pub metrics_token_file: Option<PathBuf>,
    /// Days after which a token ends, unless it is made to end at another time.
    pub token_days: u32,
    /// Proxies that are believed when they say whom a request comes from.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one source; of a proxy's client, requests.
    pub connections_per_source: usize,
    /// How many of each thing a company's own tokens may create.
    pub quotas: Quotas,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8060)),
            token: None,
            token_file: None,
            payment_secret: None,
            payment_secret_file: None,
            metrics_token: None,
            metrics_token_file: None,
            token_days: 90,
            trusted_proxies: Vec::new(),
            connections: 256,
            connections_per_source: 64,
            quotas: Quotas::default(),
        }
    }
}

/// Networks, or single addresses.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| {
        let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
        text.parse::<IpNet>().ok().or_else(address).map(canonical).ok_or_else(|| {
            D::Error::custom(format!(
                "\"{text}\" is not an address, expected an address or a network such as 10.0.0.0/8"
            ))
        })
    };
    Vec::<String>::deserialize(deserializer)?.iter().map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_proxy_written_as_ipv6_is_the_ipv4_proxy() {
        let text = r#"{"trusted_proxies": ["::ffff:10.0.0.1", "::ffff:10.1.0.0/112", "10.2.3.4/16"]}"#;
        let http: HttpConfig = serde_json::from_str(text).unwrap();
        let wanted = ["10.0.0.1/32", "10.1.0.0/16", "10.2.0.0/16"].map(|it| it.parse::<IpNet>().unwrap());
        assert_eq!(http.trusted_proxies, wanted);
    }
}
