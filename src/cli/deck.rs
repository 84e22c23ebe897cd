//! A rate deck on its way to the gateway: read piece by piece, with a line on standard error that says how far it is.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::failure::Failure;

/// Octets that are read at once.
const PIECE: usize = 64 * 1024;
/// How often it is said how far the deck is.
const SAID_EVERY: Duration = Duration::from_secs(1);

/// A deck that was opened.
pub(crate) struct Deck {
    source: Box<dyn AsyncRead + Send + Unpin>,
    progress: Progress,
}

impl Deck {
    /// Opens a file; `-` is the standard input.
    pub(crate) async fn open(file: &Path) -> Result<Self, Failure> {
        if file.as_os_str() == "-" {
            return Ok(Self { source: Box::new(tokio::io::stdin()), progress: Progress::of(None) });
        }
        let unreadable =
            |error: io::Error| Failure::Refused(format!("{} cannot be read: {error}", file.display()));
        let opened = tokio::fs::File::open(file).await.map_err(unreadable)?;
        let about = opened.metadata().await.map_err(unreadable)?;
        if about.is_dir() {
            return Err(Failure::Refused(format!("{} is a folder; name a file", file.display())));
        }
        let length = Some(about.len()).filter(|_| about.is_file());
        Ok(Self { source: Box::new(opened), progress: Progress::of(length) })
    }

    /// The deck as a body. It is taken no faster than the gateway reads it, so what was sent is what was read.
    pub(crate) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, async |mut deck| {
            let mut piece = vec![0; PIECE];
            match deck.source.read(&mut piece).await {
                Ok(0) => {
                    deck.progress.end();
                    None
                }
                Ok(count) => {
                    piece.truncate(count);
                    deck.progress.note(&piece);
                    Some((Ok(Bytes::from(piece)), deck))
                }
                Err(error) => Some((Err(error), deck)),
            }
        }))
    }
}

/// How far a deck is.
struct Progress {
    length: Option<u64>,
    octets: u64,
    lines: u64,
    said_at: Instant,
    has_said: bool,
}

impl Progress {
    fn of(length: Option<u64>) -> Self {
        Self { length, octets: 0, lines: 0, said_at: Instant::now(), has_said: false }
    }

    fn note(&mut self, piece: &[u8]) {
        self.octets += piece.len() as u64;
        self.lines += piece.iter().filter(|octet| **octet == b'\n').count() as u64;
        if self.said_at.elapsed() >= SAID_EVERY {
            self.said_at = Instant::now();
            self.say();
        }
    }

    /// A deck that was read at once needs no line.
    fn end(&mut self) {
        if self.has_said {
            self.say();
            if io::stderr().is_terminal() {
                let _closed = writeln!(io::stderr());
            }
        }
    }

    fn say(&mut self) {
        self.has_said = true;
        let share = match self.length {
            Some(length) if length > 0 => format!(", {} %", self.octets.min(length) * 100 / length),
            _ => String::new(),
        };
        // On a terminal the line is written over.
        let (before, after) = if io::stderr().is_terminal() { ("\r", "") } else { ("", "\n") };
        let mut stderr = io::stderr().lock();
        let _closed =
            write!(stderr, "{before}{} lines read{share}{after}", self.lines).and_then(|()| stderr.flush());
    }
}
