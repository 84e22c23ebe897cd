//! The log: text for people or JSON for machines, on standard error.

use std::fmt::{Debug, Write};
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing::Metadata;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{LogConfig, LogFormat};
use crate::text::{Plain, plain_json};

/// A level or directive that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("log.level \"{level}\" cannot be read: {error}")]
pub struct LevelError {
    level: String,
    error: tracing_subscriber::filter::ParseError,
}

/// A level, or directives, read and found well.
pub struct Level(EnvFilter);

/// What changes the level of the log that runs.
static RUNNING: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts the process's log. A second call changes nothing, so that tests may start several daemons.
pub fn start(config: &LogConfig) -> Result<(), LevelError> {
    let (filter, handle) = reload::Layer::new(level(config)?.0);
    let log = tracing_subscriber::registry().with(filter);
    let started = match config.format {
        LogFormat::Text => {
            let is_coloured = io::stderr().is_terminal();
            log.with(text(io::stderr, is_coloured)).try_init()
        }
        LogFormat::Json => log.with(json(io::stderr)).try_init(),
    };
    // Another log that is running already stays, with its level.
    if started.is_ok() {
        let _first = RUNNING.set(handle);
    }
    Ok(())
}

/// Reads the level.
pub fn level(config: &LogConfig) -> Result<Level, LevelError> {
    let level = &config.level;
    let filter = EnvFilter::builder().parse(level);
    filter.map(Level).map_err(|error| LevelError { level: level.clone(), error })
}

/// Gives the log that runs another level.
pub fn set_level(level: Level) {
    if let Some(handle) = RUNNING.get() {
        // It lives as long as the process.
        let _gone = handle.reload(level.0);
    }
}

fn text<S, W>(writer: W, is_coloured: bool) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fmt::layer().fmt_fields(format::debug_fn(field).delimited(" ")).with_writer(writer).with_ansi(is_coloured)
}

/// Writes a field of a line. Much of what is logged was written by strangers, who must not speak to the reader's terminal
/// nor begin a line of their own.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let name = field.name();
    if name == "message" {
        return write!(Plain(writer), "{value:?}");
    }
    // What the crate `log` adds is in the line already.
    if name.starts_with("log.") {
        return Ok(());
    }
    let name = name.strip_prefix("r#").unwrap_or(name);
    match writer.has_ansi_escapes() {
        true => write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m")?,
        false => write!(writer, "{name}=")?,
    }
    write!(Plain(writer), "{value:?}")
}

fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fmt::layer().json().flatten_event(true).with_writer(PlainJson(writer))
}

/// Writes lines of JSON as [`plain_json`] shows them.
struct PlainJson<M>(M);

/// Where one such line goes.
struct PlainLine<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for PlainJson<M> {
    type Writer = PlainLine<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        PlainLine(self.0.make_writer())
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        PlainLine(self.0.make_writer_for(meta))
    }
}

impl<W: io::Write> io::Write for PlainLine<W> {
    /// A line comes whole, so no character is cut in two.
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write_all(plain_json(&String::from_utf8_lossy(octets)).as_bytes())?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use provisioning_store::text::is_unseen;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_has_the_calls_id_as_a_field_of_its_own() {
        let page = Page::default();
        let writer = page.clone();
        let log = tracing_subscriber::registry().with(json(move || writer.clone()));
        let call = sip_core::types::CallUid(0xabc);
        tracing::subscriber::with_default(log, || tracing::info!(%call, "The call was answered."));
        let line: serde_json::Value = serde_json::from_slice(&page.0.lock().unwrap()).unwrap();
        assert_eq!(line["call"], format!("{call}"));
        assert_eq!(line["message"], "The call was answered.");
    }

    #[test]
    fn a_line_of_json_has_nothing_that_speaks_to_a_terminal_and_says_the_same() {
        let page = Page::default();
        let writer = page.clone();
        let log = tracing_subscriber::registry().with(json(move || writer.clone()));
        let stranger = "\u{1b}]0;owned\u{7}\u{9b}2J\u{7f}\u{202e}x\u{2028}y \u{e0041}";
        tracing::subscriber::with_default(log, || tracing::warn!(user = stranger, "It said {stranger}."));
        let octets = page.0.lock().unwrap().clone();
        let line = std::str::from_utf8(&octets).unwrap();
        assert_eq!(
            line.chars().filter(|character| is_unseen(*character)).collect::<String>(),
            "\n",
            "{line:?}"
        );
        let said: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&said["user"], &said["message"]),
            (&stranger.into(), &format!("It said {stranger}.").into())
        );
    }

    #[test]
    fn a_line_of_text_is_one_line_whoever_wrote_its_words() {
        let page = Page::default();
        let writer = page.clone();
        let log = tracing_subscriber::registry().with(text(move || writer.clone(), false));
        let stranger = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}x\n2026-01-01 INFO forged";
        tracing::subscriber::with_default(log, || {
            tracing::warn!(user = stranger, shown = %stranger, count = 3, "It said {stranger}.");
        });
        let line = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert!(line.ends_with('\n') && line.lines().count() == 1, "{line:?}");
        let acting = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
        assert!(!line.contains(acting), "{line:?}");
        for wanted in
            ["It said \\u{1b}]0;owned", "shown=\\u{1b}]0;owned", "user=\"\\u{1b}]0;owned", " count=3"]
        {
            assert!(line.contains(wanted), "{wanted} is not in {line}");
        }
    }

    fn of(level: &str) -> LogConfig {
        LogConfig { level: level.to_owned(), ..LogConfig::default() }
    }

    #[test]
    fn another_level_holds_for_the_log_that_runs() {
        let page = Page::default();
        let writer = page.clone();
        let (filter, handle) = reload::Layer::new(level(&of("warn")).unwrap().0);
        let log = tracing_subscriber::registry().with(filter).with(json(move || writer.clone()));
        tracing::subscriber::with_default(log, || {
            tracing::debug!("Unheard.");
            handle.reload(level(&of("info,sipgw=debug")).unwrap().0).unwrap();
            tracing::debug!("Heard.");
        });
        let page = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert!(page.contains("Heard.") && !page.contains("Unheard."), "{page}");
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        let error = level(&of("info,sipgw=loud")).err().expect("a refusal").to_string();
        assert!(error.starts_with("log.level \"info,sipgw=loud\""), "{error}");
    }
}
