//! Writing responses: the parts that every answer of ours carries, and the words of a refusal.

use std::net::SocketAddr;

use crate::call::Reasons;
use crate::message::{Message, MessageWriter, Name, reason_phrase, response_to};
use crate::refusal::{Refusal, RefusalRow};
use crate::settings::Settings;

/// The methods we answer with more than 405; written into every Allow.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, PRACK, UPDATE";

/// The extensions that may be required of us.
pub(crate) const SUPPORTED: [&str; 3] = ["100rel", "path", "timer"];

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

/// The same as a value of Supported.
pub(crate) fn supported() -> String {
    SUPPORTED.join(", ")
}

/// The header field with our own code of a refusal, for machines.
const CODE_HEADER: &str = "X-Sipgw-Reason";

/// How much an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Everything that helps its reader.
    Full,
    /// The same without what its status says already.
    Plain,
    /// Only what its status must have.
    Bare,
}

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

/// Begins a response of either length, with a To tag.
pub(crate) fn begin(
    settings: &Settings,
    request: &Message,
    (status, length): (u16, Length),
    to_tag: &str,
    received: SocketAddr,
) -> MessageWriter {
    match length {
        Length::Full | Length::Plain => response(settings, request, status, Some(to_tag), received),
        Length::Bare => response_to(request, status, reason_phrase(status), Some(to_tag), received),
    }
}

/// Adds why a request is refused, and what in it is to blame, at any length.
pub(crate) fn explain_in(
    writer: &mut MessageWriter,
    settings: &Settings,
    request: &Message,
    why: Refusal,
    length: Length,
) {
    if why == Refusal::ExtensionUnsupported {
        writer.header(Name::Unsupported, unknown_extensions(request).join(", "));
    }
    match length {
        Length::Full => explain(writer, settings, why),
        Length::Plain => explain_as(writer, &settings.domain, why, &reasons(why, why.status())[..1]),
        Length::Bare => write_required(writer, why),
    }
}

/// Adds why: Reasons (RFC 3326, RFC 6432) with the Q.850 cause and the status, Warning 399 (RFC 3261 section 20.43) with the
/// sentence, and our code.
pub(crate) fn explain(writer: &mut MessageWriter, settings: &Settings, why: Refusal) {
    explain_with(writer, settings, (why, why.status()), &Reasons::none());
}

/// The same with any status, and with the Reasons of the side that refused, passed on in place of ours.
pub(crate) fn explain_with(
    writer: &mut MessageWriter,
    settings: &Settings,
    (why, status): (Refusal, u16),
    theirs: &Reasons,
) {
    if theirs.is_empty() {
        explain_as(writer, &settings.domain, why, &reasons(why, status));
    } else {
        theirs.write(writer);
        explain_plainly(writer, &settings.domain, why.row());
    }
    if why == Refusal::SessionIntervalTooSmall {
        // RFC 4028 section 6: 422 names the least interval.
        writer.header(Name::MinSe, settings.calls.min_se_s);
    }
}

/// The same for a writer that has no settings at hand.
pub(crate) fn explain_at(writer: &mut MessageWriter, domain: &str, why: Refusal) {
    explain_as(writer, domain, why, &reasons(why, why.status()));
}

fn explain_as(writer: &mut MessageWriter, domain: &str, why: Refusal, reasons: &[String]) {
    for reason in reasons {
        writer.header(Name::Reason, reason);
    }
    explain_plainly(writer, domain, why.row());
    write_required(writer, why);
    if let Some(after_s) = why.retry_after_s() {
        writer.header(Name::RetryAfter, after_s);
    }
}

/// Adds what a response of this status must have.
fn write_required(writer: &mut MessageWriter, why: Refusal) {
    match why {
        Refusal::MethodNotAllowed => writer.header(Name::Allow, ALLOW),
        // RFC 3261 section 21.4.13: 415 lists what is read.
        Refusal::BodyNotUnderstood => writer.header(Name::Accept, "application/sdp"),
        Refusal::EncodingNotUnderstood => writer.header(Name::AcceptEncoding, "identity"),
        _ => writer,
    };
}

fn explain_plainly(writer: &mut MessageWriter, domain: &str, row: RefusalRow) {
    warn(writer, domain, row.sentence);
    writer.header_raw(CODE_HEADER, row.code);
}

/// Adds a Warning 399 (RFC 3261 section 20.43); `sentence` holds no quotation mark.
pub(crate) fn warn(writer: &mut MessageWriter, domain: &str, sentence: &str) {
    writer.header(Name::Warning, format_args!("399 {domain} \"{sentence}\""));
}

/// Our Reasons, each for a field of its own; Q.850 first, since some user agents read no second one.
pub(crate) fn reasons(why: Refusal, status: u16) -> [String; 2] {
    reasons_for(why, why.row().cause, status)
}

/// The same with any cause.
pub(crate) fn reasons_for(why: Refusal, cause: u8, status: u16) -> [String; 2] {
    let said = |protocol, cause| format!("{protocol};cause={cause};text=\"{}\"", why.sentence());
    [said("Q.850", u16::from(cause)), said("SIP", status)]
}
