//! Writing responses: the parts that every answer of ours carries, and the words of a refusal.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::message::{Message, MessageWriter, Name, reason_phrase, response_to};
use crate::refusal::{Refusal, RefusalRow};
use crate::settings::Settings;

/// The methods we answer with more than 405; written into every Allow.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, PRACK, UPDATE";

/// The extensions that may be required of us.
pub(crate) const SUPPORTED: [&str; 2] = ["100rel", "timer"];

/// What a request requires that we do not have (RFC 3261 section 8.2.2.3).
pub(crate) fn unknown_extensions(request: &Message) -> Vec<&str> {
    let is_among = |tags: &[&str], tag: &str| tags.iter().any(|known| known.eq_ignore_ascii_case(tag));
    // A proxy that provides privacy (RFC 3323 section 4.2) is what we are to the caller.
    let of_proxies = request.headers(Name::ProxyRequire).filter(|tag| !is_among(&["privacy"], tag));
    let mut unknown = Vec::new();
    for tag in request.headers(Name::Require).chain(of_proxies) {
        if !is_among(&SUPPORTED, tag) && !is_among(&unknown, tag) {
            unknown.push(tag);
        }
    }
    unknown
}

/// The header field with our own code of a refusal, for machines.
const CODE_HEADER: &str = "X-Sipgw-Reason";

/// Seconds after which a peer may try again when the gateway itself is the obstacle.
const RETRY_AFTER_S: u32 = 5;

/// Begins a response; the caller adds what is particular and finishes it.
pub(crate) fn response(
    settings: &Settings,
    request: &Message,
    status: u16,
    to_tag: Option<&str>,
    received: SocketAddr,
) -> MessageWriter {
    let mut writer = response_to(request, status, reason_phrase(status), to_tag, received);
    writer.header(Name::Server, &settings.product);
    writer
}

/// A whole refusal, with the status of its row.
pub(crate) fn refusal(
    settings: &Settings,
    request: &Message,
    why: Refusal,
    to_tag: &str,
    received: SocketAddr,
) -> Bytes {
    let mut writer = response(settings, request, why.status(), Some(to_tag), received);
    explain(&mut writer, settings, why);
    writer.finish()
}

/// Adds why: Reason (RFC 3326) with the Q.850 cause, Warning 399 (RFC 3261 section 20.43) with the sentence, and
/// our code.
pub(crate) fn explain(writer: &mut MessageWriter, settings: &Settings, why: Refusal) {
    explain_with(writer, settings, why, None);
}

/// The same, with the Reason of whoever refused, passed on in place of ours.
pub(crate) fn explain_with(
    writer: &mut MessageWriter,
    settings: &Settings,
    why: Refusal,
    reason: Option<&str>,
) {
    match reason {
        Some(reason) => {
            writer.header(Name::Reason, reason);
            explain_plainly(writer, &settings.domain, why.row());
        }
        None => explain_at(writer, &settings.domain, why),
    }
    if why == Refusal::SessionIntervalTooSmall {
        // RFC 4028 section 6: 422 names the least interval.
        writer.header(Name::MinSe, settings.calls.min_se_s);
    }
}

/// The same for a writer that has no settings at hand.
pub(crate) fn explain_at(writer: &mut MessageWriter, domain: &str, why: Refusal) {
    let row = why.row();
    writer.header(Name::Reason, format_args!("Q.850;cause={};text=\"{}\"", row.cause, row.sentence));
    explain_plainly(writer, domain, row);
    if why == Refusal::MethodNotAllowed {
        writer.header(Name::Allow, ALLOW);
    }
    if why == Refusal::BodyNotUnderstood {
        // RFC 3261 section 21.4.13: 415 lists what is read.
        writer.header(Name::Accept, "application/sdp");
    }
    if why == Refusal::EncodingNotUnderstood {
        writer.header(Name::AcceptEncoding, "identity");
    }
    if why.is_passing() {
        writer.header(Name::RetryAfter, RETRY_AFTER_S);
    }
}

fn explain_plainly(writer: &mut MessageWriter, domain: &str, row: RefusalRow) {
    warn(writer, domain, row.sentence);
    writer.header_raw(CODE_HEADER, row.code);
}

/// Adds a Warning 399 (RFC 3261 section 20.43); `sentence` holds no quotation mark.
pub(crate) fn warn(writer: &mut MessageWriter, domain: &str, sentence: &str) {
    writer.header(Name::Warning, format_args!("399 {domain} \"{sentence}\""));
}

/// The Reason of a BYE of ours.
pub(crate) fn bye_reason(why: Refusal) -> String {
    let row = why.row();
    format!("SIP;cause={};text=\"{}\", Q.850;cause={}", row.status, row.sentence, row.cause)
}
