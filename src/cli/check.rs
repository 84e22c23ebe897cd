//! `sipgw check`: the configuration has been read by the time this runs; what is left are the files that it names, and
//! this machine's addresses.

use std::path::Path;

use provisioning_store::error::StoreError;
use serde_json::json;
use sipgw::config::{Config, ConfigError};
use sipgw::logging;
use sipgw::net::Tls;
use sipgw::notices;
use sipgw::storage::{self, OpenError};

use super::Context;
use super::failure::Failure;

pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let config = &context.config;
    config.check_addresses().map_err(Failure::Config)?;
    let wrong = |problem: String| Failure::Config(ConfigError::of(problem));
    Tls::load(config).map_err(|error| wrong(format!("tls: {error}")))?;
    logging::level(&config.log).map_err(|error| wrong(error.to_string()))?;
    let mut warnings = config.warnings();
    warnings.extend(notices(config).await);
    warnings.iter().for_each(|warning| context.output.warn(warning));
    let listeners = config.sip.listen.len();
    let told = json!({
        "usable": true, "domain": config.node.domain, "listeners": listeners, "warnings": warnings,
    });
    context.output.show(&told, || {
        format!("The configuration can be used: {} with {listeners} listeners.\n", config.node.domain)
    });
    Ok(())
}

/// What the database holds that works otherwise than what is new, or why it could not be read. Before the first start
/// nothing is there, and nothing is made: what a check makes would belong to the user who checks.
async fn notices(config: &Config) -> Vec<String> {
    let is_there = |path| config.resolve_path(path).is_file();
    let is_file = config.store.url.is_none();
    let has_folder = config.resolve_path(&config.store.path).parent().is_none_or(Path::is_dir);
    if is_file && !is_there(&config.store.path) || !is_there(&config.store.key_file) || !has_folder {
        return Vec::new();
    }
    let store = match storage::open(config).await {
        Ok(store) => store,
        Err(OpenError::Store(StoreError::OtherVersion { found, needed })) if found < needed => {
            return vec![notices::before_upgrade()];
        }
        Err(error) => return vec![format!("The database could not be read: {error}")],
    };
    let standing = notices::standing(&store).await;
    store.close().await;
    standing.unwrap_or_default()
}
