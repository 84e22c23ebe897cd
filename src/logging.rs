//! The log: text for people or JSON for machines, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogConfig, LogFormat};

/// A level or directive that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("log.level \"{level}\" cannot be read: {error}")]
pub struct LevelError {
    level: String,
    error: tracing_subscriber::filter::ParseError,
}

/// Starts the process's log. A second call changes nothing, so that tests may start several daemons.
pub fn start(config: &LogConfig) -> Result<(), LevelError> {
    let filter = filter(&config.level)?;
    // Another log is running already: it stays.
    let _running = match config.format {
        LogFormat::Text => {
            let is_coloured = std::io::stderr().is_terminal();
            let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
            log.with_ansi(is_coloured).try_init()
        }
        LogFormat::Json => json(filter, std::io::stderr).try_init(),
    };
    Ok(())
}

/// Whether the level can be read.
pub fn check(config: &LogConfig) -> Result<(), LevelError> {
    filter(&config.level).map(drop)
}

fn filter(level: &str) -> Result<EnvFilter, LevelError> {
    EnvFilter::builder().parse(level).map_err(|error| LevelError { level: level.to_owned(), error })
}

type JsonLog<W> = tracing_subscriber::fmt::SubscriberBuilder<
    tracing_subscriber::fmt::format::JsonFields,
    tracing_subscriber::fmt::format::Format<tracing_subscriber::fmt::format::Json>,
    EnvFilter,
    W,
>;

fn json<W: for<'w> MakeWriter<'w> + 'static>(filter: EnvFilter, writer: W) -> JsonLog<W> {
    tracing_subscriber::fmt().with_env_filter(filter).json().flatten_event(true).with_writer(writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_has_the_calls_id_as_a_field_of_its_own() {
        let page = Page::default();
        let writer = page.clone();
        let log = json(filter("info").unwrap(), move || writer.clone()).finish();
        let call = sip_core::types::CallUid(0xabc);
        tracing::subscriber::with_default(log, || tracing::info!(%call, "The call was answered."));
        let line: serde_json::Value = serde_json::from_slice(&page.0.lock().unwrap()).unwrap();
        assert_eq!(line["call"], format!("{call}"));
        assert_eq!(line["message"], "The call was answered.");
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        assert!(
            filter("info,sipgw=loud").unwrap_err().to_string().starts_with("log.level \"info,sipgw=loud\"")
        );
    }
}
