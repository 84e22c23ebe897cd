//! Which transaction a message belongs to: RFC 3261 sections 17.1.3 and 17.2.3.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::message::{Message, Method, Name, Via};

/// The magic cookie that makes a branch globally unique (RFC 3261 section 8.1.1.7).
const MAGIC_COOKIE: &str = "z9hG4bK";

/// The key of the server transaction that a request belongs to, or would create.
///
/// An ACK and a CANCEL lead to the INVITE when `method` is INVITE. `None` if the request lacks what it takes.
///
/// The source belongs to the key: a stranger who has overheard a branch must not acknowledge or cancel what is not
/// its own, and PBXs behind different NATs may have the same private address and the same idea of a branch.
pub(crate) fn server(request: &Message, method: &Method, source: IpAddr) -> Option<Box<str>> {
    let via = request.top_via()?;
    let mut key = String::with_capacity(112);
    let _ = write!(key, "{source}|");
    match via.branch().filter(|branch| branch.starts_with(MAGIC_COOKIE)) {
        Some(branch) => {
            let _ = write!(key, "{branch}|{}|{}", via.sent_by().to_ascii_lowercase(), method.as_str());
        }
        None => rfc2543_server(request, method, &mut key)?,
    }
    Some(key.into_boxed_str())
}

/// 17.2.3: a branch without the cookie comes from an RFC 2543 element; the dialog identifiers stand in for it.
fn rfc2543_server(request: &Message, method: &Method, key: &mut String) -> Option<()> {
    let from = request.from()?;
    let (number, _) = request.cseq()?;
    let via = request.header(Name::Via)?;
    let tag = from.tag().unwrap_or_default();
    let _ = write!(
        key,
        "{}|{tag}|{number}|{}|{}|{via}",
        request.call_id()?,
        request.request_uri(),
        method.as_str()
    );
    Some(())
}

/// The key of the client transaction that a response belongs to: our branch and the CSeq's method.
pub(crate) fn client(branch: &str, method: &Method) -> Box<str> {
    format!("{branch}|{}", method.as_str()).into_boxed_str()
}

/// The branch of ours that a response answers.
pub(crate) fn branch_of(response: &Message) -> Option<&str> {
    Via::branch_in(response.header(Name::Via)?)
}
