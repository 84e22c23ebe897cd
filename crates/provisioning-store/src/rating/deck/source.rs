//! Where a deck is read from: with its first lines looked at before, and no line without end.

use std::io::{self, Chain, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Longest line of a deck, octets; a quotation mark that is not closed would make the whole rest one line.
const LONGEST_LINE: u64 = 64 * 1024;
/// What the reader of lines may be ahead of the line that it is at.
const AHEAD: u64 = 64 * 1024;

const TOO_LONG: &str = "a line has no end";

pub(super) fn is_too_long(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData && error.get_ref().is_some_and(|it| it.to_string() == TOO_LONG)
}

/// A deck's octets.
pub(super) struct Source<R> {
    inner: Chain<Cursor<Vec<u8>>, R>,
    given: u64,
    allowed: Arc<AtomicU64>,
}

impl<R: Read> Source<R> {
    /// The deck, and its beginning up to the end of its heading, without a byte order mark.
    pub(super) fn open(mut deck: R) -> io::Result<(Self, Vec<u8>)> {
        let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
        while !has_heading(&head) && (head.len() as u64) < LONGEST_LINE {
            match deck.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => head.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if head.starts_with(b"\xef\xbb\xbf") {
            head.drain(..3);
        }
        let inner = Cursor::new(head.clone()).chain(deck);
        let source = Self { inner, given: 0, allowed: Arc::new(AtomicU64::new(LONGEST_LINE + AHEAD)) };
        Ok((source, head))
    }

    /// A line begins at this octet.
    pub(super) fn allow_line_from(&self, octet: u64) {
        self.allowed.store(octet + LONGEST_LINE + AHEAD, Relaxed);
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given > self.allowed.load(Relaxed) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TOO_LONG));
        }
        let count = self.inner.read(into)?;
        self.given += count as u64;
        Ok(count)
    }
}

/// Whether a whole line is there that is neither empty nor a comment.
fn has_heading(head: &[u8]) -> bool {
    let mut lines: Vec<_> = head.split(|octet| *octet == b'\n').collect();
    lines.pop();
    lines.into_iter().any(is_heading)
}

pub(super) fn is_heading(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    !line.is_empty() && !line.starts_with(b"#")
}
