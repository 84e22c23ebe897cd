//! Requests that go with an INVITE of ours and are written from it: the ACK to a refusal, and CANCEL.

use bytes::Bytes;

use crate::message::{Message, MessageWriter, Method, Name, lex};

/// The ACK to a refusal: the INVITE's Request-URI, top Via, From, Call-ID, number and Route, the response's To
/// (RFC 3261 section 17.1.1.3).
pub(super) fn ack_of_refusal(invite: &Bytes, response: &Message) -> Option<Bytes> {
    let invite = lex(invite.clone(), crate::message::Transport::Datagram).ok()?;
    let mut ack = companion(&invite, Method::Ack)?;
    ack.copy(response, Name::To);
    Some(ack.finish())
}

/// The CANCEL of an INVITE of ours, and the branch that both share (RFC 3261 section 9.1); `add` writes what is particular.
pub(crate) fn cancel_of(invite: &Bytes, add: impl FnOnce(&mut MessageWriter)) -> Option<(Bytes, String)> {
    let invite = lex(invite.clone(), crate::message::Transport::Datagram).ok()?;
    let mut cancel = companion(&invite, Method::Cancel)?;
    cancel.copy(&invite, Name::To);
    add(&mut cancel);
    let branch = invite.top_via()?.branch()?.to_owned();
    Some((cancel.finish(), branch))
}

fn companion(invite: &Message, method: Method) -> Option<MessageWriter> {
    let (number, _) = invite.cseq()?;
    let mut writer = MessageWriter::request(&method, invite.request_uri());
    writer.header(Name::Via, invite.header(Name::Via)?);
    writer.header(Name::MaxForwards, 70);
    writer.copy(invite, Name::Route);
    writer.copy(invite, Name::From);
    writer.copy(invite, Name::CallId);
    writer.header(Name::CSeq, format_args!("{number} {}", method.as_str()));
    Some(writer)
}
