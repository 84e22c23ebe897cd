//! What a REGISTER asks for, as its Contacts say it (RFC 3261 section 10.3).

use crate::message::{ContactValue, Message, Name, NameAddr};
use crate::refusal::Refusal;

/// What a REGISTER asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish<'a> {
    /// No Contact: say what is registered.
    Query,
    /// `Contact: *` with `Expires: 0`.
    RemoveAll,
    /// Remove these contacts.
    Remove(Vec<&'a str>),
    /// Bind this contact for so many seconds; `None` leaves the interval to us.
    Bind { contact: NameAddrText<'a>, expires_s: Option<u32> },
}

/// A Contact value as received and the URI within.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NameAddrText<'a> {
    pub(super) value: &'a str,
    pub(super) uri: &'a str,
}

/// Reads the wish; refused if its Contacts contradict one another or cannot be read.
pub(super) fn wish_of(request: &Message) -> Result<Wish<'_>, Refusal> {
    let expires = request.expires();
    let mut wish = Wish::Query;
    let mut count = 0;
    for contact in request.contacts() {
        count += 1;
        match contact {
            // 10.2.2: the star stands alone and only with Expires: 0.
            ContactValue::Star if expires == Some(0) => wish = Wish::RemoveAll,
            ContactValue::Star => return Err(Refusal::BadContact),
            ContactValue::Addr(addr) => {
                let own = addr.params().value("expires").and_then(|text| text.parse().ok());
                let expires_s = own.or(expires);
                if addr.uri().is_err() || wish == Wish::RemoveAll {
                    return Err(Refusal::BadContact);
                }
                // One profile serves one PBX: of several contacts the first that is to be bound counts.
                match (&mut wish, expires_s) {
                    (Wish::Query, Some(0)) => wish = Wish::Remove(vec![addr.uri_raw()]),
                    (Wish::Remove(uris), Some(0)) => uris.push(addr.uri_raw()),
                    (Wish::Query | Wish::Remove(_), _) => {
                        let contact = NameAddrText { value: addr.raw(), uri: addr.uri_raw() };
                        wish = Wish::Bind { contact, expires_s };
                    }
                    _ => {}
                }
            }
        }
    }
    if count > 1 && wish == Wish::RemoveAll {
        return Err(Refusal::BadContact);
    }
    // A Contact that could not be read yields nothing to iterate over, yet was there.
    if count == 0 && request.header(Name::Contact).is_some() {
        return Err(Refusal::BadContact);
    }
    Ok(wish)
}

/// The Contact as received less its `expires`: the rest is echoed byte for byte, because user agents find their own
/// binding by comparing, as pjsip and 3CX do.
pub(super) fn without_expires(value: &str) -> String {
    let Ok(addr) = NameAddr::parse(value) else { return value.to_owned() };
    let params = addr.params().raw();
    let Some(head) = value.strip_suffix(params) else { return value.to_owned() };
    let kept = params
        .split(';')
        .filter(|param| !param.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case("expires"));
    let kept: Vec<_> = kept.collect();
    let joined = format!("{head}{}", kept.join(";"));
    joined.trim_end_matches([' ', ';']).to_owned()
}
