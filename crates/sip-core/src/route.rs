//! Where a call goes: the called number in E.164, the profile or the carriers behind it, the Request-URI.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use phonenumber::Mode;

use crate::directory::{CallerId, Carrier, Directory, NumberFormat, Profile};
use crate::message::{Message, Name, NameAddr, Scheme, Uri};
use crate::refusal::Refusal;
use crate::rng::Rng;
use crate::settings::{CallSettings, HostPolicy, Settings};
use crate::types::ProfileId;

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

/// Where a call from a PBX goes.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// The echo test.
    Echo { number: String },
    /// An Online Number hosted here.
    OnNet { number: Number, profile: Arc<Profile> },
    /// To the telephone network, over these carriers in turn.
    Network { number: Number, carriers: Vec<Arc<Carrier>> },
}

/// Where a call from the network goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Incoming {
    pub(crate) profile: ProfileId,
    /// What was called: the Online Number's digits, or the business account's name.
    pub(crate) called: String,
    /// The user part for the PBX, unless the number is to be written in the profile's format.
    pub(crate) user: Option<String>,
}

/// Dialled before a number to withhold one's own for this call.
const WITHHOLDING_PREFIXES: [&str; 3] = ["*31#", "#31#", "*67"];

/// The number or name in a URI, without parameters, context and prefixes.
fn bare(user: &str) -> &str {
    // RFC 3261 19.1.6: telephone parameters such as ;npdi;rn= sit inside the user part.
    let number = user.split(';').next().unwrap_or_default().trim();
    WITHHOLDING_PREFIXES.iter().find_map(|prefix| number.strip_prefix(prefix)).unwrap_or(number)
}

/// Whether a Request-URI that came to our address `local` means this gateway (RFC 3261 section 8.2.2.1).
pub(crate) fn means_us(settings: &Settings, request_uri: &Uri<'_>, local: SocketAddr) -> bool {
    if settings.hosts == HostPolicy::Any || request_uri.scheme() == Scheme::Tel {
        return true;
    }
    let host = request_uri.host();
    let names = settings.aliases.iter().chain([&settings.domain, &settings.realm]);
    let addresses = settings.listeners.iter().flat_map(|l| [l.local.ip(), l.advertised_host]);
    match host.ip() {
        Some(ip) => {
            let is_named = |name: &String| name.trim_matches(['[', ']']).parse() == Ok(ip);
            // Who listens at every address cannot tell which are its own.
            let is_own = |own: IpAddr| own == ip || own.is_unspecified();
            addresses.chain([local.ip()]).any(is_own) || names.into_iter().any(is_named)
        }
        None => {
            let host = host.to_string();
            let host = host.trim_end_matches('.');
            names.into_iter().any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(host))
        }
    }
}

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

/// Decides where a call from `profile` to `request_uri` goes.
pub(crate) fn outgoing(
    directory: &Directory,
    settings: &CallSettings,
    profile: &Profile,
    request_uri: &Uri<'_>,
    rng: &mut Rng,
) -> Result<Outgoing, Refusal> {
    // Before any context is joined to it: 112 with the context +49 is still 112.
    let is_emergency =
        request_uri.user_decoded().is_some_and(|user| is_emergency(settings, &profile.country, bare(&user)));
    if is_emergency {
        return Err(Refusal::Emergency);
    }
    let dialled = dialled(request_uri).filter(|d| !d.is_empty()).ok_or(Refusal::AddressIncomplete)?;
    let number = e164(&dialled, &profile.country).ok_or(Refusal::AddressIncomplete)?;
    if settings.echo_numbers.contains(&number.digits) {
        return Ok(Outgoing::Echo { number: number.digits });
    }
    if let Some(callee) = directory.profile_of_number(&number.digits) {
        return Ok(Outgoing::OnNet { number, profile: callee.clone() });
    }
    let carriers = carriers_in_turn(directory, rng);
    if carriers.is_empty() { Err(Refusal::NoCarrier) } else { Ok(Outgoing::Network { number, carriers }) }
}

/// Whether `dialled` is an emergency number in this country.
fn is_emergency(settings: &CallSettings, country: &str, dialled: &str) -> bool {
    // Some telephones put a plus before everything.
    let plain: String = dialled.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '+')).collect();
    [country, "*"]
        .into_iter()
        .filter_map(|key| settings.emergency.get(key))
        .any(|numbers| numbers.contains(&plain))
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
fn unseparated(dialled: &str) -> String {
    dialled.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/')).collect()
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The digits of a number that begins with its country's code, and says so by `+` or `00`.
fn full_digits(written: &str) -> Option<&str> {
    let digits = written.strip_prefix('+').or_else(|| written.strip_prefix("00"))?;
    are_digits(digits).then_some(digits)
}

/// Loads the numbering plans, which the first number would otherwise wait for; takes some tens of milliseconds.
pub fn warm_up() {
    let _plans_are_read = parse(None, "+12025550123");
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
    (in_bounds(digits) && !digits.starts_with('0'))
        .then(|| Number { digits: digits.to_owned(), country: None })
}

fn in_bounds(digits: &str) -> bool {
    (E164_DIGITS_MIN..=E164_DIGITS_MAX).contains(&digits.len())
}

/// The carriers in use: by priority, and by weighted chance among equals (as RFC 2782 does).
fn carriers_in_turn(directory: &Directory, rng: &mut Rng) -> Vec<Arc<Carrier>> {
    let mut left: Vec<_> = directory.carriers().iter().filter(|c| c.is_active).cloned().collect();
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(priority) = left.first().map(|c| c.priority) {
        let equals = left.iter().take_while(|c| c.priority == priority).count();
        ordered.push(left.remove(weighted_choice(&left[..equals], rng)));
    }
    ordered
}

/// An index into `carriers`, each as likely as its weight says; weight 0 counts as a small chance.
fn weighted_choice(carriers: &[Arc<Carrier>], rng: &mut Rng) -> usize {
    let weight = |carrier: &Arc<Carrier>| u64::from(carrier.weight) * 100 + 1;
    let mut point = rng.below(carriers.iter().map(weight).sum());
    for (index, carrier) in carriers.iter().enumerate() {
        match point.checked_sub(weight(carrier)) {
            Some(rest) => point = rest,
            None => return index,
        }
    }
    0
}

/// Decides where a call from a carrier goes: by Request-URI first, then by To, since some carriers put the trunk's
/// own number into the Request-URI.
pub(crate) fn incoming(
    directory: &Directory,
    carrier: Option<&Carrier>,
    invite: &Message,
) -> Result<Incoming, Refusal> {
    let called = |uri: Uri<'_>| called(directory, carrier, &uri);
    let of_request = Uri::parse(invite.request_uri()).ok().and_then(called);
    let of_to = || invite.to().and_then(|to| to.uri().ok()).and_then(called);
    of_request.or_else(of_to).ok_or(Refusal::NumberNotAssigned)
}

fn called(directory: &Directory, carrier: Option<&Carrier>, uri: &Uri<'_>) -> Option<Incoming> {
    let name = dialled(uri)?;
    if let Some(route) = directory.account(&name) {
        return Some(Incoming { profile: route.profile, called: name, user: Some(route.user.clone()) });
    }
    let written = unseparated(&name);
    let country = carrier.and_then(|carrier| carrier.country.as_deref());
    let as_national = country.and_then(|country| e164(&written, country)).map(|number| number.digits);
    let in_full = || full_digits(&written).or_else(|| are_digits(&written).then_some(written.as_str()));
    // An Online Number is one of ours, so its bare digits are no other country's.
    let digits = [as_national, in_full().map(str::to_owned)].into_iter().flatten();
    digits.into_iter().find_map(|digits| {
        let profile = directory.profile_of_number(&digits)?.id;
        Some(Incoming { profile, called: digits, user: None })
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Listener;

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
    fn every_name_and_address_of_ours_means_us() {
        let local: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let listener = |local: SocketAddr| Listener {
            transport: crate::types::Transport::Udp,
            local,
            advertised_host: "203.0.113.10".parse().unwrap(),
            advertised_port: 5080,
        };
        let mut settings = Settings::new("sip.example.com", vec![listener(local)]);
        settings.aliases = ["trunk.example.net", "2001:db8::5"].map(str::to_owned).into();
        let means_us = |settings: &Settings, uri: &str| means_us(settings, &Uri::parse(uri).unwrap(), local);
        assert!(means_us(&settings, "sip:1@elsewhere.example"), "by default any host will do");
        settings.hosts = HostPolicy::Own;
        for uri in [
            "sip:1@SIP.Example.COM",
            "sip:sip.example.com.",
            "sip:1@sip.example.com:5099;transport=tcp",
            "sip:1@Trunk.example.net",
            "sip:1@[2001:db8::5]:5060",
            "sip:1@192.0.2.1",
            "sip:1@203.0.113.10:6000",
            "tel:+12025550123",
        ] {
            assert!(means_us(&settings, uri), "{uri}");
        }
        for uri in ["sip:1@elsewhere.example", "sip:1@example.com", "sip:1@192.0.2.2", "sip:1@[2001:db8::6]"]
        {
            assert!(!means_us(&settings, uri), "{uri}");
        }
        settings.listeners = vec![listener("0.0.0.0:5060".parse().unwrap())];
        assert!(means_us(&settings, "sip:1@192.0.2.2"), "any address may be one of ours");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for dialled in ["", "+", "abc", "12", "5551", "+12", "*98", "architects.sales"] {
            assert_eq!(digits(dialled, "US"), None, "{dialled}");
        }
    }

    fn carrier_of(country: Option<&str>, number_format: NumberFormat) -> Carrier {
        Carrier {
            id: crate::types::CarrierId(1),
            name: "wholesale".into(),
            host: "192.0.2.1".into(),
            port: None,
            transport: crate::types::Transport::Udp,
            priority: 10,
            weight: 10,
            credentials: None,
            number_format,
            country: country.map(str::to_owned),
            strip: 0,
            prefix: String::new(),
            srtp: crate::directory::SrtpPolicy::Off,
            is_active: true,
        }
    }

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

    #[test]
    fn a_national_number_reaches_its_profile_and_letters_are_no_number() {
        let mut directory = Directory::new();
        let id = ProfileId(7);
        directory.add_profile(Profile {
            id,
            name: "Sales".into(),
            user: "99050000000101".into(),
            country: "US".into(),
            authentication: crate::directory::Authentication::Ip { target: None },
            number_format: NumberFormat::Digits,
            caller_id: CallerId::default(),
            srtp: crate::directory::SrtpPolicy::Auto,
        });
        directory.add_number("12026843376", id);
        let reaches = |country, user: &str| {
            let uri = format!("sip:{user}@gw.example");
            let carrier = carrier_of(country, NumberFormat::E164);
            called(&directory, Some(&carrier), &Uri::parse(&uri).unwrap()).map(|found| found.called)
        };
        for user in ["2026843376", "12026843376", "+12026843376", "0012026843376", "202-684-3376"] {
            assert_eq!(reaches(Some("US"), user).as_deref(), Some("12026843376"), "{user}");
        }
        for user in ["12026843376", "+12026843376", "0012026843376"] {
            assert_eq!(reaches(None, user).as_deref(), Some("12026843376"), "{user}");
        }
        assert_eq!(reaches(None, "2026843376"), None);
        assert_eq!(reaches(Some("US"), "abc12026843376"), None);
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

    #[test]
    fn emergency_numbers_are_known_by_country_and_everywhere() {
        let settings = CallSettings::default();
        assert!(is_emergency(&settings, "US", "911"));
        assert!(is_emergency(&settings, "EE", "1-1-2"));
        assert!(is_emergency(&settings, "DE", "+112"));
        assert!(!is_emergency(&settings, "US", "9115550123"));
    }

    #[test]
    fn a_higher_priority_is_tried_first_and_weights_share() {
        let carrier = |id: i64, priority, weight| Carrier {
            id: crate::types::CarrierId(id),
            priority,
            weight,
            ..carrier_of(None, NumberFormat::E164)
        };
        let mut directory = Directory::new();
        directory.add_carrier(carrier(1, 20, 1));
        directory.add_carrier(carrier(2, 10, 90));
        directory.add_carrier(carrier(3, 10, 10));
        let mut rng = Rng::new([7; 32]);
        let mut first = [0u32; 4];
        for _ in 0..1000 {
            let order: Vec<_> = carriers_in_turn(&directory, &mut rng).iter().map(|c| c.id.0).collect();
            assert_eq!(order.len(), 3);
            assert_eq!(order[2], 1, "the lower priority comes last");
            first[usize::try_from(order[0]).unwrap()] += 1;
        }
        assert!((850..950).contains(&first[2]), "{first:?}");
    }
}
