//! A telephone number: read as it was dialled, kept in E.164, written as its receiver wants it.

use std::borrow::Cow;

use phonenumber::Mode;
use phonenumber::metadata::DATABASE;

use crate::directory::NumberFormat;
use crate::message::Uri;

/// The longest E.164 number (ITU-T E.164 section 6.2.1).
const E164_DIGITS_MAX: usize = 15;
/// Shorter numbers are service codes, not subscribers.
const E164_DIGITS_MIN: usize = 7;

/// A telephone number: E.164 digits without `+`, and the country it belongs to where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// Digits, country code first.
    pub digits: String,
    /// ISO 3166 alpha-2.
    pub country: Option<String>,
}

/// Dialled before a number to withhold one's own for this call.
pub(crate) const WITHHOLDING_PREFIXES: [&str; 3] = ["*31#", "#31#", "*67"];

/// What the caller dialled, before any reading: the decoded user part, or the number of a tel: URI.
pub(crate) fn dialled(uri: &Uri<'_>) -> Option<String> {
    let user = uri.user_decoded()?;
    let number = bare(&user);
    let context = uri
        .params()
        .value("phone-context")
        .or_else(|| user.split(';').find_map(|param| param.strip_prefix("phone-context=")));
    match context {
        // RFC 3966 5.1.5: a local number is completed by its global context.
        Some(context) if context.starts_with('+') && !number.starts_with('+') => {
            Some(format!("{context}{number}"))
        }
        _ => Some(number.to_owned()),
    }
}

/// The number or name in a URI, without parameters, context and prefixes.
pub(crate) fn bare(user: &str) -> &str {
    // RFC 3261 19.1.6: telephone parameters such as ;npdi;rn= sit inside the user part.
    let number = user.split(';').next().unwrap_or_default().trim();
    WITHHOLDING_PREFIXES.iter().find_map(|prefix| number.strip_prefix(prefix)).unwrap_or(number)
}

/// Reads a number as dialled in `country` (ISO 3166 alpha-2): `+`, the country's international prefix, national
/// and plain E.164 forms, with visual separators. `None` if it is no subscriber's number.
pub fn e164(dialled: &str, country: &str) -> Option<Number> {
    let compact = unseparated(dialled);
    let (has_plus, digits) = match compact.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, compact.as_str()),
    };
    if !are_digits(digits) {
        return None;
    }
    let international = |digits: &str| parse(None, &format!("+{digits}"));
    if has_plus {
        return international(digits).or_else(|| plain_e164(digits));
    }
    // `00` is dialled everywhere, whatever the country's own international prefix is.
    if let Some(rest) = digits.strip_prefix("00") {
        return international(rest).or_else(|| plain_e164(rest));
    }
    // National first, then E.164 without its plus: in the US, 12025550123 is both and means the same.
    parse(country.parse().ok(), digits).or_else(|| international(digits))
}

/// What was dialled without visual separators (RFC 3966 section 5.1.1).
pub(crate) fn unseparated(dialled: &str) -> String {
    dialled.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/')).collect()
}

pub(crate) fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The digits of a number that begins with its country's code, and says so by `+` or `00`.
pub(crate) fn full_digits(written: &str) -> Option<&str> {
    let digits = written.strip_prefix('+').or_else(|| written.strip_prefix("00"))?;
    are_digits(digits).then_some(digits)
}

fn parse(country: Option<phonenumber::country::Id>, text: &str) -> Option<Number> {
    let number = phonenumber::parse(country, text).ok()?;
    if !number.is_valid() {
        return None;
    }
    // As its E.164 format would write it, without the search for a pattern that groups digits.
    let national = number.national();
    let zeros = "0".repeat(usize::from(national.zeros()));
    let digits = format!("{}{zeros}{}", number.code().value(), national.value());
    let country = number.country().id().map(|id| id.as_ref().to_owned());
    in_bounds(&digits).then_some(Number { digits, country })
}

/// A number in international form that the numbering plans we ship do not know yet: carried as it is, since ranges
/// are opened faster than software is updated.
fn plain_e164(digits: &str) -> Option<Number> {
    let digits = without_trunk_prefix(digits);
    (in_bounds(&digits) && !digits.starts_with('0'))
        .then(|| Number { digits: digits.into_owned(), country: None })
}

/// Without zeros behind the country code where they are the plan's trunk prefix, which is dialled within the country alone
/// (`+44 (0)20`). A number that keeps them would look as if it lay in none of the country's ranges. In Italy, for one, they
/// belong to the number.
fn without_trunk_prefix(digits: &str) -> Cow<'_, str> {
    let has_zero = |code: &str| {
        let plans = code.parse::<u16>().ok().and_then(|code| DATABASE.by_code(&code)).unwrap_or_default();
        plans.iter().any(|plan| plan.national_prefix() == Some("0"))
    };
    // No code begins another one (ITU-T E.164 section 6.2.2).
    let split = (1..=3).filter_map(|length| digits.split_at_checked(length)).find(|(code, _)| has_zero(code));
    match split {
        Some((code, rest)) if rest.starts_with('0') => {
            format!("{code}{}", rest.trim_start_matches('0')).into()
        }
        _ => digits.into(),
    }
}

pub(crate) fn in_bounds(digits: &str) -> bool {
    (E164_DIGITS_MIN..=E164_DIGITS_MAX).contains(&digits.len())
}

/// Loads the numbering plans, which the first number would otherwise wait for; takes some tens of milliseconds.
pub fn warm_up() {
    let _plans_are_read = parse(None, "+12025550123");
}

/// Writes a number for a user part.
pub fn present(digits: &str, format: NumberFormat, country: &str) -> String {
    match format {
        NumberFormat::Digits => digits.to_owned(),
        NumberFormat::E164 => format!("+{digits}"),
        NumberFormat::ZeroZero => format!("00{digits}"),
        NumberFormat::National => national(digits, country),
    }
}

/// The number as dialled within `country`; one of another country with `00`.
fn national(digits: &str, country: &str) -> String {
    let number = phonenumber::parse(None, format!("+{digits}")).ok();
    let is_home = |n: &phonenumber::PhoneNumber| n.country().id().is_some_and(|id| id.as_ref() == country);
    match number.filter(is_home) {
        Some(number) => {
            let text = number.format().mode(Mode::National).to_string();
            text.chars().filter(char::is_ascii_digit).collect()
        }
        None => format!("00{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(dialled: &str, country: &str) -> Option<String> {
        e164(dialled, country).map(|number| number.digits)
    }

    #[test]
    fn numbers_are_read_in_every_form_a_pbx_dials() {
        for dialled in
            ["+12152751701", "0012152751701", "01112152751701", "12152751701", "2152751701", "(215) 275-1701"]
        {
            assert_eq!(digits(dialled, "US").as_deref(), Some("12152751701"), "{dialled}");
        }
        for dialled in ["020 7946 0123", "+44 20 7946 0123", "00442079460123", "442079460123"] {
            assert_eq!(digits(dialled, "GB").as_deref(), Some("442079460123"), "{dialled}");
        }
        assert_eq!(digits("0049 30 123456", "DE").as_deref(), Some("4930123456"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for dialled in ["", "+", "abc", "12", "5551", "+12", "*98", "architects.sales"] {
            assert_eq!(digits(dialled, "US"), None, "{dialled}");
        }
    }

    #[test]
    fn a_trunk_prefix_behind_the_country_code_hides_no_range() {
        for (dialled, wanted) in [
            ("+44 0 909 879 01234", "4490987901234"),
            ("0044 00 909 879 01234", "4490987901234"),
            ("+49 0 900 1 12345678", "49900112345678"),
            ("+39 0 144 12345678", "39014412345678"),
        ] {
            assert_eq!(digits(dialled, "US").as_deref(), Some(wanted), "{dialled}");
        }
    }

    #[test]
    fn a_number_knows_its_country() {
        assert_eq!(e164("+3728800814", "US").unwrap().country.as_deref(), Some("EE"));
        assert_eq!(e164("+442079460123", "US").unwrap().country.as_deref(), Some("GB"));
    }

    #[test]
    fn telephone_parameters_and_contexts_are_understood() {
        let of = |uri: &str| dialled(&Uri::parse(uri).unwrap());
        assert_eq!(of("sip:%2B12025550123@gw").as_deref(), Some("+12025550123"));
        assert_eq!(of("sip:+12025550123;npdi;rn=+1202@gw;user=phone").as_deref(), Some("+12025550123"));
        assert_eq!(of("tel:5550123;phone-context=+1202").as_deref(), Some("+12025550123"));
        assert_eq!(of("tel:+1-202-555-0123").as_deref(), Some("+1-202-555-0123"));
        assert_eq!(of("sip:*67%2B12025550123@gw").as_deref(), Some("+12025550123"));
        assert_eq!(of("sip:*31%2312025550123@gw").as_deref(), Some("12025550123"));
    }

    #[test]
    fn numbers_are_presented_as_the_peer_wants_them() {
        assert_eq!(present("12026843376", NumberFormat::Digits, "US"), "12026843376");
        assert_eq!(present("12026843376", NumberFormat::E164, "US"), "+12026843376");
        assert_eq!(present("12026843376", NumberFormat::ZeroZero, "US"), "0012026843376");
        assert_eq!(present("442079460123", NumberFormat::National, "GB"), "02079460123");
        assert_eq!(present("12026843376", NumberFormat::National, "GB"), "0012026843376");
    }
}
