//! Messages of our own, written straight into octets.

use std::fmt::{self, Display, Write};

use bytes::Bytes;

use super::{Message, Method, Name};

/// Most messages without a body fit, so that writing one allocates once.
const USUAL_LENGTH: usize = 1024;

/// Writes one message, field after field. No value can end its line, so none can smuggle a field in.
#[derive(Clone, Debug)]
pub struct MessageWriter {
    text: Vec<u8>,
}

/// Octets that are left for values which one side says for the other side's use alone. A message that they made too long
/// for a datagram could not be sent at all.
#[derive(Clone, Copy, Debug)]
pub struct Room(usize);

impl Room {
    /// Room for so many octets.
    pub fn of(octets: usize) -> Self {
        Self(octets)
    }

    /// Whether there is room for the value, which is then taken.
    pub fn takes(&mut self, value: &str) -> bool {
        match self.0.checked_sub(value.len()) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}

impl MessageWriter {
    /// Begins a request.
    pub fn request(method: &Method, uri: &str) -> Self {
        let mut writer = Self { text: Vec::with_capacity(USUAL_LENGTH) };
        writer.line(format_args!("{method} {uri} SIP/2.0"));
        writer
    }

    /// Begins a response.
    pub fn response(status: u16, reason: &str) -> Self {
        let mut writer = Self { text: Vec::with_capacity(USUAL_LENGTH) };
        writer.line(format_args!("SIP/2.0 {status} {reason}"));
        writer
    }

    /// Begins with the start line of another message.
    pub(super) fn beginning(start_line: &[u8]) -> Self {
        let mut writer = Self { text: Vec::with_capacity(USUAL_LENGTH) };
        writer.text.extend_from_slice(start_line);
        writer.text.extend_from_slice(b"\r\n");
        writer
    }

    /// Adds a field. `name` is one of those with a spelling; fields of other names go through `header_raw`.
    pub fn header(&mut self, name: Name, value: impl Display) -> &mut Self {
        debug_assert!(name != Name::Other, "a field of no known name goes through header_raw");
        self.line(format_args!("{name}: {value}"));
        self
    }

    /// Adds a field of any name.
    pub fn header_raw(&mut self, name: &str, value: &str) -> &mut Self {
        self.line(format_args!("{name}: {value}"));
        self
    }

    /// Adds all fields of that name, in order and verbatim; lists come one element to a line.
    pub fn copy(&mut self, from: &Message, name: Name) -> &mut Self {
        self.copy_if(from, name, |_| true)
    }

    /// The same of those values that are wanted.
    pub fn copy_if(
        &mut self,
        from: &Message,
        name: Name,
        mut is_wanted: impl FnMut(&str) -> bool,
    ) -> &mut Self {
        let fields = from.0.fields.iter().filter(|field| field.name == name);
        for field in fields.filter(|field| is_wanted(field.value.of(&from.0.head))) {
            self.verbatim(name.as_str(), [from.octets(field.value)]);
        }
        self
    }

    /// Adds a field of octets as received, piece after piece.
    pub fn verbatim<'a>(&mut self, name: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> &mut Self {
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b": ");
        let start = self.text.len();
        pieces.into_iter().for_each(|piece| self.text.extend_from_slice(piece));
        self.text[start..].iter_mut().filter(|byte| ends_line(**byte)).for_each(|byte| *byte = b' ');
        self.text.extend_from_slice(b"\r\n");
        self
    }

    /// Ends the message without a body.
    pub fn finish(mut self) -> Bytes {
        self.text.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        Bytes::from(self.text)
    }

    /// Ends the message with a body of any octets.
    pub fn finish_with_body(mut self, content_type: &str, body: &[u8]) -> Bytes {
        self.header(Name::ContentType, content_type);
        self.finish_with_octets(body)
    }

    /// The same where the body's type has been written.
    pub(crate) fn finish_with_octets(mut self, body: &[u8]) -> Bytes {
        self.header(Name::ContentLength, body.len());
        self.text.reserve_exact(2 + body.len());
        self.text.extend_from_slice(b"\r\n");
        self.text.extend_from_slice(body);
        Bytes::from(self.text)
    }

    fn line(&mut self, content: fmt::Arguments<'_>) {
        OneLine(&mut self.text).write_fmt(content).expect("writing to memory cannot fail");
        self.text.extend_from_slice(b"\r\n");
    }
}

fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Writes text with line ends made blanks.
struct OneLine<'a>(&'a mut Vec<u8>);

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().any(ends_line) {
            self.0.extend(text.bytes().map(|byte| if ends_line(byte) { b' ' } else { byte }));
        } else {
            self.0.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::reason_phrase;
    use super::super::{Transport, lex};
    use super::*;

    #[test]
    fn writes_what_the_lexer_reads() {
        let mut writer = MessageWriter::request(&Method::Options, "sip:a@b");
        writer.header(Name::MaxForwards, 70).header_raw("X-Own", "1");
        let text = writer.finish_with_body("application/sdp", b"v=0\r\n");
        assert_eq!(
            text,
            "OPTIONS sip:a@b SIP/2.0\r\nMax-Forwards: 70\r\nX-Own: 1\r\nContent-Type: application/sdp\r\n\
             Content-Length: 5\r\n\r\nv=0\r\n"
        );
        assert_eq!(lex(text, Transport::Stream).unwrap().body(), b"v=0\r\n");
    }

    #[test]
    fn no_value_smuggles_a_field_in() {
        let mut writer = MessageWriter::response(404, "Not\r\nFound");
        writer.header(Name::Subject, "a\r\nVia: evil").header_raw("X", "b\nc");
        let text = writer.finish();
        assert_eq!(
            text,
            "SIP/2.0 404 Not  Found\r\nSubject: a  Via: evil\r\nX: b c\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn copies_every_field_of_a_name_verbatim() {
        let raw = b"A sip:a SIP/2.0\r\nv: one, two\r\nVia: th\r\n ree\r\nf: \xfc <sip:a>\r\n\r\n";
        let message = lex(Bytes::from_static(raw), Transport::Datagram).unwrap();
        let mut writer = MessageWriter::response(200, reason_phrase(200));
        writer.copy(&message, Name::Via).copy(&message, Name::From);
        assert_eq!(
            writer.finish(),
            &b"SIP/2.0 200 OK\r\nVia: one\r\nVia: two\r\nVia: th   ree\r\nFrom: \xfc <sip:a>\r\nContent-Length: 0\r\n\r\n"[..]
        );
    }
}
