//! Who calls: as a PBX may show itself, as a carrier tells us, and whether he asks not to be shown.

use crate::directory::{CallerId, Carrier, NumberFormat};
use crate::message::{Message, Name, NameAddr, Scheme, Uri};
use crate::number::{
    Number, WITHHOLDING_PREFIXES, are_digits, dialled, e164, full_digits, in_bounds, unseparated,
};

/// Who calls, as a carrier tells us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// E.164 digits.
    Number(String),
    /// Something that is no telephone number: shown as it is.
    Name(String),
    /// Withheld.
    Anonymous,
}

/// Reads the caller from a carrier's INVITE: P-Asserted-Identity, Remote-Party-ID, From, unless withheld.
pub(crate) fn caller(carrier: Option<&Carrier>, invite: &Message) -> Caller {
    if is_withheld(invite) {
        return Caller::Anonymous;
    }
    [Name::PAssertedIdentity, Name::RemotePartyId, Name::From]
        .into_iter()
        .filter_map(|name| invite.header(name))
        .find_map(|value| caller_in(carrier, value))
        .unwrap_or(Caller::Anonymous)
}

fn caller_in(carrier: Option<&Carrier>, value: &str) -> Option<Caller> {
    let addr = NameAddr::parse(value).ok()?;
    let uri = addr.uri().ok()?;
    if uri.scheme() == Scheme::Other {
        return None;
    }
    let user = dialled(&uri).filter(|user| !user.is_empty())?;
    Some(caller_number(carrier, &user).map_or(Caller::Name(user), Caller::Number))
}

/// The E.164 digits of a caller whose carrier says which country's they are. Bare digits of a carrier of which nothing
/// is known could be any country's: asserted with a plus they would be a stranger's number.
fn caller_number(carrier: Option<&Carrier>, user: &str) -> Option<String> {
    let written = unseparated(user);
    if let Some(digits) = full_digits(&written) {
        return in_bounds(digits).then(|| digits.to_owned());
    }
    let carrier = carrier?;
    match &carrier.country {
        Some(country) => Some(e164(&written, country)?.digits),
        None => {
            let is_full = carrier.number_format == NumberFormat::Digits && are_digits(&written);
            (is_full && in_bounds(&written)).then_some(written)
        }
    }
}

/// The caller as the message claims it, for the record alone.
pub(crate) fn claimed_caller(invite: &Message) -> String {
    let from = invite.from().and_then(|from| from.uri().ok());
    from.and_then(|uri| dialled(&uri)).unwrap_or_else(|| "anonymous".to_owned())
}

/// Whether the caller asks not to be shown: by Privacy (RFC 3323 section 4.2), an anonymous From, or the prefix dialled
/// before the number.
pub(crate) fn is_withheld(invite: &Message) -> bool {
    let dialled =
        Uri::parse(invite.request_uri()).ok().and_then(|uri| uri.user_decoded().map(|u| u.into_owned()));
    if dialled.is_some_and(|user| WITHHOLDING_PREFIXES.iter().any(|prefix| user.starts_with(prefix))) {
        return true;
    }
    let asks =
        |token: &str| ["id", "user", "header", "full"].iter().any(|t| token.trim().eq_ignore_ascii_case(t));
    let is_private = invite.headers(Name::Privacy).any(|privacy| privacy.split(';').any(asks));
    let from = invite.from().and_then(|from| from.uri().ok());
    is_private
        || from.is_some_and(|uri| uri.user().is_some_and(|user| user.eq_ignore_ascii_case("anonymous")))
}

/// The number that a profile's call shows: the one for the called country, or the default; what the PBX asserts
/// counts only if it is among the profile's choices: nobody may show a number that is not theirs.
pub(crate) fn caller_id(
    caller_id: &CallerId,
    invite: &Message,
    country: &str,
    called: &Number,
) -> Option<String> {
    let asserted = || {
        if caller_id.choices.is_empty() {
            return None;
        }
        let number = asserted_number(invite, country)?;
        caller_id.choices.contains(&number).then_some(number)
    };
    let of_country = || called.country.as_ref().and_then(|c| caller_id.by_country.get(c)).cloned();
    asserted().or_else(of_country).or_else(|| caller_id.default.clone())
}

/// The caller's number as the message asserts it: P-Asserted-Identity, P-Preferred-Identity, From.
fn asserted_number(invite: &Message, country: &str) -> Option<String> {
    [Name::PAssertedIdentity, Name::PPreferredIdentity, Name::From]
        .into_iter()
        .find_map(|name| number_in(invite.header(name)?, country))
}

fn number_in(value: &str, country: &str) -> Option<String> {
    let addr = NameAddr::parse(value).ok()?;
    let user = dialled(&addr.uri().ok()?)?;
    Some(e164(&user, country)?.digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::carrier_of;

    #[test]
    fn a_carriers_caller_is_a_number_only_where_its_country_is_known() {
        let of = |country, format, user: &str| {
            caller_in(Some(&carrier_of(country, format)), &format!("<sip:{user}@carrier.example>")).unwrap()
        };
        let number = |digits: &str| Caller::Number(digits.to_owned());
        let name = |text: &str| Caller::Name(text.to_owned());
        for (country, format, user, caller) in [
            (Some("US"), NumberFormat::E164, "3125550123", number("13125550123")),
            (Some("US"), NumberFormat::E164, "+442079460123", number("442079460123")),
            (None, NumberFormat::E164, "3125550123", name("3125550123")),
            (None, NumberFormat::E164, "+13125550123", number("13125550123")),
            (None, NumberFormat::E164, "0013125550123", number("13125550123")),
            (None, NumberFormat::Digits, "13125550123", number("13125550123")),
            (Some("US"), NumberFormat::E164, "411", name("411")),
            (Some("US"), NumberFormat::E164, "abc3125550123", name("abc3125550123")),
        ] {
            assert_eq!(of(country, format, user), caller, "{country:?} {user}");
        }
    }
}
