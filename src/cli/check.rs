//! `sipgw check`: the configuration has been read by the time this runs; what is left are the files that it names, and
//! this machine's addresses.

use serde_json::json;
use sipgw::config::ConfigError;
use sipgw::logging;
use sipgw::net::Tls;

use super::Context;
use super::failure::Failure;

pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let config = &context.config;
    config.check_addresses().map_err(Failure::Config)?;
    let wrong = |problem: String| Failure::Config(ConfigError::of(problem));
    Tls::load(config).map_err(|error| wrong(format!("tls: {error}")))?;
    logging::level(&config.log).map_err(|error| wrong(error.to_string()))?;
    let warnings = config.warnings();
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
