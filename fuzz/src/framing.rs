//! A stream: however its octets are split, the same messages come out, and never more is kept than may be.
//! The first two octets choose where it is split.

use sip_core::message::{Frame, FrameError, MAX_MESSAGE, StreamFramer, Transport, lex};

/// Holds the property against these octets; panics where it does not hold.
pub fn check(octets: &[u8]) {
    let [first, second, stream @ ..] = octets else { return };
    let (step, offset) = (usize::from(*first) + 1, usize::from(*second));
    let whole = frames(&[stream]);
    let (head, tail) = stream.split_at(offset.min(stream.len()));
    let pieces: Vec<&[u8]> = [head].into_iter().chain(tail.chunks(step)).collect();
    assert_eq!(frames(&pieces), whole, "it matters where the stream is split");
    for frame in whole.iter().flatten() {
        if let Frame::Message(message) = frame {
            assert!(!message.is_empty() && message.len() <= MAX_MESSAGE.max(stream.len()));
            let _ = lex(message.clone(), Transport::Stream);
        }
    }
}

/// What comes out, up to the first error: after it there is nothing but that error.
fn frames(pieces: &[&[u8]]) -> Vec<Result<Frame, FrameError>> {
    let mut framer = StreamFramer::default();
    let mut found = Vec::new();
    for piece in pieces {
        let before = framer.waiting();
        framer.push(piece);
        while let Some(frame) = framer.next() {
            let error = frame.as_ref().err().copied();
            found.push(frame);
            if let Some(error) = error {
                framer.push(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n");
                assert_eq!(framer.next(), Some(Err(error)), "a broken stream speaks again");
                return found;
            }
        }
        assert!(framer.waiting() <= before + piece.len(), "the framer grows by itself");
    }
    found
}
