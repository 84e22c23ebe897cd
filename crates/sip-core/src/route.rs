//! Where a call goes: the profile or the carriers behind what was called.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::directory::{Carrier, Directory, Profile};
use crate::message::{Message, Scheme, Uri};
use crate::number::{Number, are_digits, bare, dialled, e164, full_digits, unseparated};
use crate::refusal::Refusal;
use crate::rng::Rng;
use crate::settings::{CallSettings, HostPolicy, Settings};
use crate::types::ProfileId;

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

/// Decides where a call from `profile` to `request_uri` goes.
pub(crate) fn outgoing(
    directory: &Directory,
    settings: &CallSettings,
    profile: &Profile,
    request_uri: &Uri<'_>,
    rng: &mut Rng,
) -> Result<Outgoing, Refusal> {
    // Before any context is joined to it: 112 with the context +49 is still 112.
    if is_for_help(settings, profile, request_uri) {
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

/// Whether a profile dials an emergency number.
pub(crate) fn is_for_help(settings: &CallSettings, profile: &Profile, request_uri: &Uri<'_>) -> bool {
    request_uri.user_decoded().is_some_and(|user| is_emergency(settings, &profile.country, bare(&user)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{CallerId, NumberFormat, carrier_of};
    use crate::settings::Listener;
    use crate::types::CompanyId;

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
    fn a_national_number_reaches_its_profile_and_letters_are_no_number() {
        let mut directory = Directory::new();
        let id = ProfileId(7);
        directory.add_profile(Profile {
            id,
            company: CompanyId(1),
            name: "Sales".into(),
            user: "99050000000101".into(),
            country: "US".into(),
            authentication: crate::directory::Authentication::by_address(None),
            number_format: NumberFormat::Digits,
            caller_id: CallerId::default(),
            takes_caller_names: true,
            suspended: None,
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
