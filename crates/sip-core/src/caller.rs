//! Who calls: as a PBX may show itself, and as a carrier tells us.

use crate::directory::{CallerId, Carrier, NumberFormat, Profile};
use crate::message::{Message, Name, NameAddr, Scheme};
use crate::number::{Number, are_digits, dialled, e164, full_digits, in_bounds, unseparated};
use crate::privacy;

/// The longest name that is passed on, in characters: an INVITE should fit a datagram.
const DISPLAY_NAME_LONGEST: usize = 64;

/// Who calls, whether or not the callee is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    /// The name that goes with the number.
    pub(crate) display_name: Option<String>,
    /// The callee must not learn who it is.
    pub(crate) is_withheld: bool,
}

/// What is known of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// E.164 digits.
    Number(String),
    /// Something that is no telephone number: shown as it is.
    Name(String),
    Unknown,
}

impl Caller {
    /// Nobody in particular.
    pub(crate) const UNKNOWN: Self =
        Self { identity: Identity::Unknown, display_name: None, is_withheld: false };

    /// Reads the caller from a carrier's INVITE: P-Asserted-Identity, Remote-Party-ID, From, a number before a name.
    pub(crate) fn of_carrier(carrier: Option<&Carrier>, invite: &Message) -> Self {
        let is_withheld = privacy::is_withheld_by_carrier(invite);
        let told = || {
            [Name::PAssertedIdentity, Name::RemotePartyId, Name::From]
                .into_iter()
                .flat_map(|name| invite.headers(name))
                .filter_map(|value| Some((identity_in(carrier, value)?, value)))
        };
        let number = told().find(|(identity, _)| matches!(identity, Identity::Number(_)));
        let Some((identity, source)) = number.or_else(|| told().next()) else {
            return Self { is_withheld, ..Self::UNKNOWN };
        };
        let from = invite.header(Name::From);
        let display_name = [Some(source), from].into_iter().flatten().find_map(display_name);
        Self { identity, display_name, is_withheld }
    }

    /// Reads the caller from a PBX's INVITE. What is shown is the number for the called country, or the default; what the
    /// PBX asserts counts only if it is among the profile's choices: nobody may show a number that is not theirs. A
    /// profile that shows none is still known to the network by a number of its own.
    pub(crate) fn of_profile(profile: &Profile, invite: &Message, called: Option<&Number>) -> Self {
        let of_country = || {
            let country = called.and_then(|called| called.country.as_ref())?;
            Some((profile.caller_id.by_country.get(country)?.clone(), None))
        };
        let default = || Some((profile.caller_id.default.clone()?, None));
        let asserted = asserted_number(&profile.caller_id, invite, &profile.country);
        let shown = asserted.or_else(of_country).or_else(default);
        let is_withheld = shown.is_none() || privacy::is_withheld_by_pbx(invite);
        let known = shown.or_else(|| Some((profile.caller_id.identity.clone()?, None)));
        match known {
            Some((number, display_name)) => {
                Self { identity: Identity::Number(number), display_name, is_withheld }
            }
            None => Self { is_withheld, ..Self::UNKNOWN },
        }
    }

    /// The caller of a call that goes nowhere, for the record: as the PBX has written it, or the profile's own number where
    /// that names nobody.
    pub(crate) fn claimed_by_pbx(profile: &Profile, invite: &Message) -> Self {
        match invite.from() {
            Some(from) if !privacy::names_nobody(&from) => Self::UNKNOWN,
            _ => Self::of_profile(profile, invite, None),
        }
    }

    /// The caller for the record, which names who called although the callee was not told.
    pub(crate) fn recorded(&self) -> Option<String> {
        match &self.identity {
            Identity::Number(digits) => Some(format!("+{digits}")),
            Identity::Name(name) => Some(name.clone()),
            Identity::Unknown => None,
        }
    }
}

fn identity_in(carrier: Option<&Carrier>, value: &str) -> Option<Identity> {
    let addr = NameAddr::parse(value).ok()?;
    let uri = addr.uri().ok()?;
    if uri.scheme() == Scheme::Other || !privacy::is_of_caller(&addr) || privacy::names_nobody(&addr) {
        return None;
    }
    let user = dialled(&uri).filter(|user| !user.is_empty())?;
    Some(caller_number(carrier, &user).map_or(Identity::Name(user), Identity::Number))
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
    from.and_then(|uri| dialled(&uri)).unwrap_or_else(|| privacy::ANONYMOUS.to_owned())
}

/// The number that the message asserts, with its name, if the profile may choose it: P-Asserted-Identity,
/// P-Preferred-Identity, Remote-Party-ID, From.
fn asserted_number(
    caller_id: &CallerId,
    invite: &Message,
    country: &str,
) -> Option<(String, Option<String>)> {
    if caller_id.choices.is_empty() {
        return None;
    }
    let (number, source) =
        [Name::PAssertedIdentity, Name::PPreferredIdentity, Name::RemotePartyId, Name::From]
            .into_iter()
            .flat_map(|name| invite.headers(name))
            .filter_map(|value| Some((number_in(value, country)?, value)))
            .find(|(number, _)| caller_id.choices.contains(number))?;
    let names = [Some(source), invite.header(Name::From)];
    Some((number, names.into_iter().flatten().find_map(display_name)))
}

fn number_in(value: &str, country: &str) -> Option<String> {
    let addr = NameAddr::parse(value).ok()?;
    let user = dialled(&addr.uri().ok()?)?;
    Some(e164(&user, country)?.digits)
}

/// The display name of an address, without what could disturb a screen: control characters, and marks that turn the
/// direction of writing.
fn display_name(value: &str) -> Option<String> {
    let addr = NameAddr::parse(value).ok()?;
    let name = addr.display_name()?;
    let is_mark = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let is_shown = |c: &char| !c.is_control() && !is_mark(*c);
    let shown: String = name.trim().chars().filter(is_shown).take(DISPLAY_NAME_LONGEST).collect();
    Some(shown.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{carrier_of, profile_of};
    use crate::message::{Transport, lex};
    use bytes::Bytes;

    #[test]
    fn a_carriers_caller_is_a_number_only_where_its_country_is_known() {
        let of = |country, format, user: &str| {
            identity_in(Some(&carrier_of(country, format)), &format!("<sip:{user}@carrier.example>")).unwrap()
        };
        let number = |digits: &str| Identity::Number(digits.to_owned());
        let name = |text: &str| Identity::Name(text.to_owned());
        for (country, format, user, identity) in [
            (Some("US"), NumberFormat::E164, "3125550123", number("13125550123")),
            (Some("US"), NumberFormat::E164, "+442079460123", number("442079460123")),
            (None, NumberFormat::E164, "3125550123", name("3125550123")),
            (None, NumberFormat::E164, "+13125550123", number("13125550123")),
            (None, NumberFormat::E164, "0013125550123", number("13125550123")),
            (None, NumberFormat::Digits, "13125550123", number("13125550123")),
            (Some("US"), NumberFormat::E164, "411", name("411")),
            (Some("US"), NumberFormat::E164, "abc3125550123", name("abc3125550123")),
        ] {
            assert_eq!(of(country, format, user), identity, "{country:?} {user}");
        }
    }

    fn invite(from: &str, extra: &str) -> Message {
        let text = format!(
            "INVITE sip:1@gw SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: {from};tag=1\r\n\
             To: <sip:1@gw>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n{extra}Content-Length: 0\r\n\r\n"
        );
        lex(Bytes::from(text), Transport::Datagram).unwrap()
    }

    #[test]
    fn a_carriers_caller_is_known_although_it_is_withheld() {
        let carrier = carrier_of(Some("US"), NumberFormat::E164);
        for (from, extra) in [
            (
                "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
                "P-Asserted-Identity: <sip:+13125550123@c>\r\nPrivacy: id\r\n",
            ),
            ("<sip:anonymous@c>", "Remote-Party-ID: <sip:+13125550123@c>;privacy=full\r\n"),
            ("<sip:+13125550123@c>", "Privacy: id, header\r\n"),
            ("<sip:+13125550123@anonymous.invalid>", ""),
            (
                "<sip:anonymous@c>",
                "P-Asserted-Identity: <sip:somebody@c>, <tel:+13125550123>\r\nPrivacy: user\r\n",
            ),
        ] {
            let caller = Caller::of_carrier(Some(&carrier), &invite(from, extra));
            assert!(caller.is_withheld, "{from}");
            assert_eq!(caller.recorded().as_deref(), Some("+13125550123"), "{from}");
        }
        let nobody = Caller::of_carrier(Some(&carrier), &invite("<sip:unavailable@unknown.invalid>", ""));
        assert_eq!(nobody, Caller::UNKNOWN);
    }

    #[test]
    fn the_called_partys_identity_is_not_the_callers() {
        let party = "Remote-Party-ID: <sip:+13125550199@c>;party=called\r\n";
        let caller = Caller::of_carrier(None, &invite("<sip:+13125550123@c>", party));
        assert_eq!(caller.identity, Identity::Number("13125550123".into()));
    }

    #[test]
    fn the_name_is_that_of_the_number_or_of_from() {
        let name = |from: &str, extra: &str| Caller::of_carrier(None, &invite(from, extra)).display_name;
        let from = "\"J. Smith\" <sip:+13125550123@c>";
        assert_eq!(name(from, "").as_deref(), Some("J. Smith"));
        let asserted = "P-Asserted-Identity: \"Smith & Co\" <sip:+13125550123@c>\r\n";
        assert_eq!(name(from, asserted).as_deref(), Some("Smith & Co"));
        assert_eq!(name(from, "P-Asserted-Identity: <tel:+13125550123>\r\n").as_deref(), Some("J. Smith"));
        assert_eq!(name("\"a\u{202e}b\\\"c\" <sip:+13125550123@c>", "").as_deref(), Some("ab\"c"));
        assert_eq!(name("\" \" <sip:+13125550123@c>", ""), None);
        let long = format!("\"{}\" <sip:+13125550123@c>", "é".repeat(200));
        assert_eq!(name(&long, "").map(|name| name.chars().count()), Some(DISPLAY_NAME_LONGEST));
    }

    #[test]
    fn a_profile_shows_its_caller_id_unless_it_withholds_it() {
        let profile = profile_of(CallerId {
            default: Some("12026843376".into()),
            identity: Some("12026843376".into()),
            choices: ["12026555376".to_owned()].into(),
            ..CallerId::default()
        });
        let of = |from: &str, extra: &str| Caller::of_profile(&profile, &invite(from, extra), None);
        for (from, extra, number, name, is_withheld) in [
            ("\"Anonymous\" <sip:anonymous@anonymous.invalid>", "", "12026843376", None, false),
            ("\"Ann\" <sip:99050000000101@gw>", "", "12026843376", None, false),
            ("\"Ann\" <sip:+12026555376@gw>", "", "12026555376", Some("Ann"), false),
            (
                "<sip:x@gw>",
                "Remote-Party-ID: \"Ann\" <sip:+12026555376@gw>\r\n",
                "12026555376",
                Some("Ann"),
                false,
            ),
            ("<sip:anonymous@anonymous.invalid>", "Privacy: id\r\n", "12026843376", None, true),
            (
                "<sip:anonymous@anonymous.invalid>",
                "P-Preferred-Identity: <sip:+12026555376@gw>\r\nPrivacy: id\r\n",
                "12026555376",
                None,
                true,
            ),
        ] {
            let caller = of(from, extra);
            assert_eq!(caller.identity, Identity::Number(number.into()), "{from}");
            assert_eq!((caller.display_name.as_deref(), caller.is_withheld), (name, is_withheld), "{from}");
        }
    }

    #[test]
    fn a_profile_without_caller_id_is_withheld_and_still_known() {
        let profile = profile_of(CallerId { identity: Some("12026843376".into()), ..CallerId::default() });
        let caller = Caller::of_profile(&profile, &invite("<sip:99050000000101@gw>", ""), None);
        assert!(caller.is_withheld);
        assert_eq!(caller.recorded().as_deref(), Some("+12026843376"));
        let numberless = profile_of(CallerId::default());
        let caller = Caller::of_profile(&numberless, &invite("<sip:99050000000101@gw>", ""), None);
        assert_eq!(caller, Caller { is_withheld: true, ..Caller::UNKNOWN });
    }
}
