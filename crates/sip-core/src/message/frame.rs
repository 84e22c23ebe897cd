//! Cuts a stream into messages by Content-Length, however its octets come (RFC 3261 18.3, RFC 5626 3.5.1).

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use thiserror::Error;

use super::{MAX_MESSAGE, Name, text};

/// A piece of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message, for `lex` as a stream's; or the head alone of one that is too long, after which comes
    /// nothing but [`FrameError::TooLong`].
    Message(Bytes),
    /// Two line ends between messages: a keepalive, to be answered with one line end.
    Ping,
}

/// Why a stream cannot be followed any further; the connection is to be closed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// Content-Length is no number, or says two different things.
    #[error("Content-Length is not one number")]
    ContentLength,
    /// What begins here is no SIP message.
    #[error("the stream does not speak SIP")]
    NotSip,
    /// Head and body together are more than [`MAX_MESSAGE`] octets.
    #[error("the message is longer than 65535 octets")]
    TooLong,
}

/// Holds what has come of a message that is not whole yet: never more than the caller pushes between two calls of
/// `next`, plus one message.
#[derive(Debug, Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// Where the line that is being waited for begins.
    line: usize,
    length: Option<usize>,
    is_continuing_length: bool,
    /// Where the whole message ends, once its head has been read.
    end: Option<usize>,
    failed: Option<FrameError>,
}

impl StreamFramer {
    /// Takes octets as they come.
    pub fn push(&mut self, octets: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(octets);
        }
    }

    /// How many octets wait for the rest of their message.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The next piece; `None` until more octets come. After an error there is nothing but this error.
    #[expect(clippy::should_implement_trait, reason = "more may come after None, so this is no iterator")]
    pub fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        if let Some(error) = self.failed {
            return Some(Err(error));
        }
        match self.step() {
            Ok(frame) => frame.map(Ok),
            Err(error) => {
                self.failed = Some(error);
                self.buffer = BytesMut::new();
                Some(Err(error))
            }
        }
    }

    fn step(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.line == 0 && self.end.is_none() {
            match self.between_messages() {
                Between::Ping => return Ok(Some(Frame::Ping)),
                Between::Wait => return Ok(None),
                Between::Message => {}
            }
        }
        let end = match self.end {
            Some(end) => end,
            None => match self.head()? {
                Some(end) => *self.end.insert(end),
                None => return Ok(None),
            },
        };
        if end > MAX_MESSAGE {
            return self.too_long().map(Some);
        }
        if self.buffer.len() < end {
            return Ok(None);
        }
        let message = self.buffer.split_to(end).freeze();
        (self.line, self.length, self.is_continuing_length, self.end) = (0, None, false, None);
        Ok(Some(Frame::Message(message)))
    }

    /// The head of a message that is too long as a whole, so that its sender can be told (413); nothing can follow it.
    fn too_long(&mut self) -> Result<Frame, FrameError> {
        if self.line > self.buffer.len().min(MAX_MESSAGE) {
            return Err(FrameError::TooLong);
        }
        self.failed = Some(FrameError::TooLong);
        let head = self.buffer.split_to(self.line).freeze();
        self.buffer = BytesMut::new();
        Ok(Frame::Message(head))
    }

    /// A double line end is a keepalive; a single one is its answer, or stray, and skipped.
    fn between_messages(&mut self) -> Between {
        loop {
            match &self.buffer[..] {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    self.buffer.advance(4);
                    return Between::Ping;
                }
                [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Between::Wait,
                [b'\r', b'\n', ..] => self.buffer.advance(2),
                [b'\r' | b'\n', ..] => self.buffer.advance(1),
                _ => return Between::Message,
            }
        }
    }

    /// Reads the lines that have come whole; once the empty one has, says where the message ends.
    fn head(&mut self) -> Result<Option<usize>, FrameError> {
        while let Some(length) = memchr(b'\n', &self.buffer[self.line..]) {
            let line = self.buffer[self.line..self.line + length].trim_ascii_end();
            let is_empty = length == 0 || self.buffer[self.line..self.line + length] == b"\r"[..];
            let is_first = self.line == 0;
            if is_first && !speaks_sip(line) {
                return Err(FrameError::NotSip);
            }
            if !is_first && !is_empty {
                let found = content_length(line, self.is_continuing_length)?;
                self.is_continuing_length = found == Length::Continues;
                match found {
                    Length::Is(now) if self.length.is_some_and(|before| before != now) => {
                        return Err(FrameError::ContentLength);
                    }
                    Length::Is(now) => self.length = Some(now),
                    Length::Absent | Length::Continues => {}
                }
            }
            self.line += length + 1;
            if is_empty {
                if self.is_continuing_length {
                    return Err(FrameError::ContentLength);
                }
                return Ok(Some(self.line.saturating_add(self.length.unwrap_or(0))));
            }
        }
        // The start of a line is kept short of the limit too, so that nobody fills memory with one endless line.
        if self.buffer.len() > MAX_MESSAGE { Err(FrameError::TooLong) } else { Ok(None) }
    }
}

enum Between {
    Message,
    Ping,
    Wait,
}

#[derive(PartialEq, Eq)]
enum Length {
    Absent,
    Is(usize),
    /// The value stands on the next line.
    Continues,
}

fn content_length(line: &[u8], is_continuing: bool) -> Result<Length, FrameError> {
    let is_folded = matches!(line.first(), Some(b' ' | b'\t'));
    let value = match memchr(b':', line) {
        _ if is_continuing && is_folded => line,
        _ if is_continuing => return Err(FrameError::ContentLength),
        Some(colon) if !is_folded && Name::parse(line[..colon].trim_ascii_end()) == Name::ContentLength => {
            &line[colon + 1..]
        }
        _ => return Ok(Length::Absent),
    };
    let value = value.trim_ascii();
    if value.is_empty() {
        return Ok(Length::Continues);
    }
    let number = std::str::from_utf8(value).ok().and_then(text::decimal);
    number.map(Length::Is).ok_or(FrameError::ContentLength)
}

/// A start line holds `SIP/` at its beginning or before its last word.
fn speaks_sip(line: &[u8]) -> bool {
    let is_version = |word: &[u8]| word.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
    is_version(line) || line.rsplit(|&byte| byte == b' ').next().is_some_and(is_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(pieces: &[&[u8]]) -> Vec<Result<Frame, FrameError>> {
        let mut framer = StreamFramer::default();
        let mut all = Vec::new();
        for piece in pieces {
            framer.push(piece);
            while let Some(frame) = framer.next() {
                let is_last = frame.is_err();
                all.push(frame);
                if is_last {
                    return all;
                }
            }
        }
        all
    }

    fn message(text: &'static str) -> Result<Frame, FrameError> {
        Ok(Frame::Message(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn cuts_messages_wherever_the_octets_are_split() {
        let one = "OPTIONS sip:a SIP/2.0\r\nl: 3\r\n\r\nabc";
        let two = "SIP/2.0 200 OK\r\nContent-Length:\r\n 0\r\n\r\n";
        let stream = [one, "\r\n\r\n", two, "\r\n", one].concat();
        let expected = vec![message(one), Ok(Frame::Ping), message(two), message(one)];
        for at in 0..stream.len() {
            let (left, right) = stream.as_bytes().split_at(at);
            assert_eq!(frames(&[left, right]), expected, "split at {at}");
        }
        let single: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(frames(&single), expected);
    }

    #[test]
    fn a_stream_of_anything_else_fails_for_good() {
        assert_eq!(frames(&[b"GET / HTTP/1.1\r\n"]), [Err(FrameError::NotSip)]);
        for length in ["x", "-1", "1\r\nl: 2", "\r\nX: 1"] {
            let text = format!("A sip:a SIP/2.0\r\nl: {length}\r\n\r\n");
            assert_eq!(frames(&[text.as_bytes()]), [Err(FrameError::ContentLength)], "{length}");
        }
        let mut framer = StreamFramer::default();
        framer.push(b"nonsense\r\n");
        assert_eq!(framer.next(), Some(Err(FrameError::NotSip)));
        framer.push(b"OPTIONS sip:a SIP/2.0\r\n\r\n");
        assert_eq!(framer.next(), Some(Err(FrameError::NotSip)));
    }

    #[test]
    fn nothing_longer_than_the_limit_is_kept() {
        assert_eq!(frames(&[&[b'a'; MAX_MESSAGE + 1]]), [Err(FrameError::TooLong)]);
        let long = "A sip:a SIP/2.0\r\nl: 65535\r\n\r\n";
        assert_eq!(frames(&[long.as_bytes(), b"body"]), [message(long), Err(FrameError::TooLong)]);
        let head = [b"A sip:a SIP/2.0\r\nX: ", &[b'x'; MAX_MESSAGE][..], b"\r\n\r\n"].concat();
        assert_eq!(frames(&[&head]), [Err(FrameError::TooLong)]);
        assert_eq!(
            frames(&[b"A sip:a SIP/2.0\r\nl: 99999999999999999999\r\n\r\n"]),
            [Err(FrameError::ContentLength)]
        );
    }
}
