//! What a REGISTER asks for, as its Contacts say it (RFC 3261 section 10.3).

use crate::message::{ContactValue, Message, Name, NameAddr, is_param, text};
use crate::refusal::Refusal;

/// What a REGISTER asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish<'a> {
    /// No Contact: say what is registered.
    Query,
    /// `Contact: *` with `Expires: 0`.
    RemoveAll,
    /// Remove these contacts.
    Remove(Vec<String>),
    /// Bind this contact for so many seconds; `None` leaves the interval to us.
    Bind { contact: Wanted<'a>, expires_s: Option<u32> },
}

/// A Contact value as received, and the URI within with what is no text escaped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    pub(super) value: &'a str,
    pub(super) uri: String,
    /// Thousandths of the preference (RFC 3261 section 10.2.1.2).
    preference: u16,
}

/// Reads the wish; refused if its Contacts contradict one another or none of them can be called.
pub(super) fn wish_of(request: &Message) -> Result<Wish<'_>, Refusal> {
    if request.header(Name::Contact).is_none() {
        return Ok(Wish::Query);
    }
    // The star stands alone and only with Expires 0 (section 10.2.2).
    if request.contacts().any(|contact| contact == ContactValue::Star) {
        let is_alone = request.headers(Name::Contact).count() == 1 && request.expires() == Some(0);
        return if is_alone { Ok(Wish::RemoveAll) } else { Err(Refusal::BadContact) };
    }
    let mut removed = Vec::new();
    // One profile serves one PBX: of several contacts that are to be bound the preferred one counts, and the first of
    // those that are preferred alike.
    let mut best: Option<(Wanted<'_>, Option<u32>)> = None;
    for (addr, value) in addresses(request) {
        if request.request_uri_of(&addr).is_none() {
            continue;
        }
        let uri = text::escape_foreign(request.octets_of(addr.uri_raw())).into_owned();
        let expires_s = addr.params().value("expires").and_then(text::decimal).or_else(|| request.expires());
        let wanted = Wanted { value, uri, preference: preference(&addr) };
        match &best {
            _ if expires_s == Some(0) => removed.push(wanted.uri),
            Some((best, _)) if best.preference >= wanted.preference => {}
            _ => best = Some((wanted, expires_s)),
        }
    }
    match best {
        Some((contact, expires_s)) => Ok(Wish::Bind { contact, expires_s }),
        None if removed.is_empty() => Err(Refusal::BadContact),
        None => Ok(Wish::Remove(removed)),
    }
}

fn addresses(request: &Message) -> impl Iterator<Item = (NameAddr<'_>, &str)> {
    let values = request.headers(Name::Contact);
    values.filter_map(|value| Some((NameAddr::parse(value).ok()?, value)))
}

/// `q`, from 0 to 1 with three digits at most; without one, or with one that cannot be read, all are preferred alike.
fn preference(addr: &NameAddr<'_>) -> u16 {
    let read = |value: &str| {
        let (whole, part) = value.split_once('.').unwrap_or((value, ""));
        let part = format!("{part:0<3}");
        let thousandths: u16 = text::decimal(part.get(..3)?)?;
        let whole: u16 = if whole.is_empty() { 0 } else { text::decimal(whole)? };
        Some((whole.checked_mul(1_000)? + thousandths).min(1_000))
    };
    addr.params().value("q").and_then(read).unwrap_or(1_000)
}

/// The Contact as received less its `expires`, piece after piece. The rest is echoed octet by octet, because user agents
/// find their own binding by comparing, as pjsip and 3CX do.
pub(super) fn without_expires(value: &str) -> Vec<&str> {
    let params = NameAddr::parse(value).map(|addr| addr.params().raw()).unwrap_or_default();
    let Some(head) = value.strip_suffix(params).filter(|_| !params.is_empty()) else { return vec![value] };
    let mut pieces = vec![head];
    let mut at = head.len();
    for param in text::split_outside_quotes(params, b';').skip(1) {
        // With the `;` before it.
        let end = at + 1 + param.len();
        if !is_param(param, "expires") && !param.trim().is_empty() {
            pieces.push(&value[at..end]);
        }
        at = end;
    }
    if let Some(last) = pieces.last_mut() {
        *last = last.trim_end();
    }
    pieces
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{Transport, lex};

    fn register(fields: &str) -> Message {
        let text = format!("REGISTER sip:gw SIP/2.0\r\n{fields}\r\n");
        lex(Bytes::from(text), Transport::Datagram).unwrap()
    }

    fn bound(fields: &str) -> Option<(String, Option<u32>)> {
        match wish_of(&register(fields)) {
            Ok(Wish::Bind { contact, expires_s }) => Some((contact.uri, expires_s)),
            _ => None,
        }
    }

    #[test]
    fn the_preferred_contact_is_bound() {
        for (contacts, uri) in [
            ("<sip:a@h>;q=0.3, <sip:b@h>;q=0.7", "sip:b@h"),
            ("<sip:a@h>, <sip:b@h>;q=0.9", "sip:a@h"),
            ("<sip:a@h>;q=0.5, <sip:b@h>;q=.5, <sip:c@h>;q=0.50", "sip:a@h"),
            ("<sip:a@h>;q=0, <sip:b@h>;q=0.001", "sip:b@h"),
            ("<sip:a@h>;q=0.9;expires=0, <sip:b@h>;q=0.1", "sip:b@h"),
            ("<mailto:a@h>, <tel:+1>, <sip:b@h>;q=0.1", "sip:b@h"),
            ("<sip:a@h>;q=high, <sip:b@h>;q=0.9", "sip:a@h"),
        ] {
            assert_eq!(
                bound(&format!("Contact: {contacts}\r\n")),
                Some((uri.to_owned(), None)),
                "{contacts}"
            );
        }
        let both = "Contact: <sip:a@h>;q=0.1;expires=9\r\nm: <sip:b@h>;q=0.2;expires=7\r\nExpires: 60\r\n";
        assert_eq!(bound(both), Some(("sip:b@h".to_owned(), Some(7))));
    }

    #[test]
    fn what_cannot_be_called_is_not_bound() {
        for contact in ["<mailto:a@h>", "tel:+12025550123", "<urn:x>", "<sip:>"] {
            assert_eq!(wish_of(&register(&format!("Contact: {contact}\r\n"))), Err(Refusal::BadContact));
        }
        assert_eq!(
            wish_of(&register("Contact: <sip:a@h>, <sip:b@h>;expires=0\r\nExpires: 0\r\n")),
            Ok(Wish::Remove(vec!["sip:a@h".to_owned(), "sip:b@h".to_owned()]))
        );
    }

    #[test]
    fn nothing_but_expires_is_taken_from_a_contact() {
        for (value, echoed) in [
            ("<sip:a@h>;+x.y=\"a;expires=7;b\";expires=60", "<sip:a@h>;+x.y=\"a;expires=7;b\""),
            (
                "\"A ; B\" <sip:a@h;expires=1> ; q = 0.5 ;Expires= 60; x",
                "\"A ; B\" <sip:a@h;expires=1> ; q = 0.5 ; x",
            ),
            ("sip:a@h;expires=60;line=7", "sip:a@h;line=7"),
            ("<sip:a@h>;expires=60;", "<sip:a@h>"),
            ("<sip:a@h>;q=1;;", "<sip:a@h>;q=1"),
            ("<sip:a@h>", "<sip:a@h>"),
        ] {
            assert_eq!(without_expires(value).concat(), echoed, "{value}");
        }
    }
}
