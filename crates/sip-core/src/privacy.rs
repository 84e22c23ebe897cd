//! Whether a caller asks not to be shown (RFC 3323, RFC 3325, draft-ietf-sip-privacy).
//!
//! Every form counts, also one that contradicts another: a number shown by mistake cannot be taken back, and one
//! withheld by mistake costs a question.

use crate::message::{Message, Name, NameAddr, Uri};
use crate::number::WITHHOLDING_PREFIXES;

/// The user part of an address that names nobody (RFC 3323 section 4.1.1.3).
pub(crate) const ANONYMOUS: &str = "anonymous";
/// Its host.
pub(crate) const ANONYMOUS_HOST: &str = "anonymous.invalid";

/// What carriers and PBXs write in the place of a caller who is withheld, as a user part or as a name.
const WITHHELD_WORDS: [&str; 5] = [ANONYMOUS, "private", "restricted", "unidentified", "withheld"];
/// What they write where they know no caller.
const UNKNOWN_WORDS: [&str; 2] = ["unavailable", "unknown"];

/// Values of Privacy that do not concern who calls: none is asked for, or only that of diversions (RFC 7044).
const OTHER_PRIVACY: [&str; 2] = ["none", "history"];

/// Whether a PBX withholds its number for this call. A From that names nobody is not enough: that is what Asterisk writes
/// where it has no caller ID, and the profile's own is shown then.
pub(crate) fn is_withheld_by_pbx(invite: &Message) -> bool {
    let has_prefix = Uri::parse(invite.request_uri()).ok().and_then(|uri| {
        let user = uri.user_decoded()?;
        Some(WITHHOLDING_PREFIXES.iter().any(|prefix| user.starts_with(prefix)))
    });
    let hides_somebody = invite.from().is_some_and(|from| is_anonymous_host(&from) && !names_nobody(&from));
    has_prefix == Some(true) || asks_for_privacy(invite) || hides_somebody
}

/// Whether a carrier's caller is withheld. Here the words of From count by themselves: where there was a caller ID, the
/// carrier has put it elsewhere. So do those of the fields that say who calls beside it.
pub(crate) fn is_withheld_by_carrier(invite: &Message) -> bool {
    let is_anonymous = |caller: NameAddr<'_>| {
        let is_named_so = caller.display_name().is_some_and(|name| is_one_of(&name, &WITHHELD_WORDS));
        is_named_so || is_anonymous_host(&caller) || user_is_one_of(&caller, &WITHHELD_WORDS)
    };
    let named =
        [Name::PAssertedIdentity, Name::RemotePartyId].into_iter().flat_map(|name| invite.headers(name));
    let mut callers = named.filter_map(|value| NameAddr::parse(value).ok()).filter(is_of_caller);
    asks_for_privacy(invite) || invite.from().is_some_and(is_anonymous) || callers.any(is_anonymous)
}

/// Whether a Remote-Party-ID speaks of the caller and not of another party.
pub(crate) fn is_of_caller(party: &NameAddr<'_>) -> bool {
    party.params().value("party").is_none_or(|party| party.eq_ignore_ascii_case("calling"))
}

/// Whether a History-Info is not to be passed on (RFC 7044 section 10.1): anything that a Privacy asks for but `none` and
/// `id` may mean it.
pub(crate) fn hides_history(invite: &Message) -> bool {
    let mut values =
        invite.headers(Name::Privacy).flat_map(|privacy| privacy.split([';', ',', ' ', '\t', '"']));
    values.any(|value| !["", "none", "id"].iter().any(|other| value.eq_ignore_ascii_case(other)))
}

/// Whether a Diversion or one entry of a History-Info asks not to be shown to those outside: by `privacy` beside the
/// address, or by Privacy within it (RFC 5806 section 4, RFC 7044 section 10.1.2).
pub(crate) fn hides_entry(entry: &str) -> bool {
    let asks = |part: &str| {
        let Some((name, value)) = part.split_once('=') else { return false };
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("privacy")
            && !["off", "none"].iter().any(|other| value.eq_ignore_ascii_case(other))
    };
    entry.split([';', '>', '?', '&']).any(asks)
}

/// Whether an address stands for nobody at all.
pub(crate) fn names_nobody(addr: &NameAddr<'_>) -> bool {
    let has_user = addr.uri().is_ok_and(|uri| uri.user().is_some());
    !has_user || user_is_one_of(addr, &WITHHELD_WORDS) || user_is_one_of(addr, &UNKNOWN_WORDS)
}

/// Privacy, or the `privacy` parameter of a Remote-Party-ID. A value that we do not know asks for something.
fn asks_for_privacy(invite: &Message) -> bool {
    let separators = [';', ',', ' ', '\t'];
    let mut values = invite.headers(Name::Privacy).flat_map(|privacy| privacy.split(separators));
    let asks = |value: &str| {
        let value = value.trim_matches('"');
        !value.is_empty() && !OTHER_PRIVACY.iter().any(|other| value.eq_ignore_ascii_case(other))
    };
    values.any(asks) || invite.headers(Name::RemotePartyId).any(party_is_private)
}

/// `full`, `name` and `uri`, with or without a suffix that says who asks for it; only `off` asks for nothing. Read from the
/// text, because an address that cannot be read hides as much.
fn party_is_private(party: &str) -> bool {
    let asks = |param: &str| {
        let Some((name, value)) = param.split_once('=') else { return false };
        let value = value.trim().trim_matches('"').split('-').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("privacy") && !value.eq_ignore_ascii_case("off")
    };
    party.split([';', '>', '?']).any(asks)
}

fn is_anonymous_host(addr: &NameAddr<'_>) -> bool {
    let host = addr.uri().map(|uri| uri.host().to_string().to_ascii_lowercase()).unwrap_or_default();
    let host = host.trim_end_matches('.');
    host == ANONYMOUS_HOST || host.strip_suffix(ANONYMOUS_HOST).is_some_and(|label| label.ends_with('.'))
}

fn user_is_one_of(addr: &NameAddr<'_>, words: &[&str]) -> bool {
    let uri = addr.uri().ok();
    uri.and_then(|uri| uri.user_decoded()).is_some_and(|user| is_one_of(&user, words))
}

fn is_one_of(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Transport, lex};
    use bytes::Bytes;

    fn invite(to: &str, from: &str, extra: &str) -> Message {
        let text = format!(
            "INVITE sip:{to}@gw SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: {from};tag=1\r\n\
             To: <sip:{to}@gw>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n{extra}Content-Length: 0\r\n\r\n"
        );
        lex(Bytes::from(text), Transport::Datagram).unwrap()
    }

    const NUMBER: &str = "<sip:+12025550123@gw>";

    #[test]
    fn every_value_of_privacy_withholds_but_those_that_ask_for_nothing() {
        for privacy in [
            "id",
            "ID",
            "user",
            "header",
            "session",
            "critical",
            "id;critical",
            "id, header",
            "user , id",
            "none;id",
            "header;user;critical",
            "full",
            "\"id\"",
            "something-new",
            " id ",
        ] {
            let asked = invite("1", NUMBER, &format!("Privacy: {privacy}\r\n"));
            assert!(is_withheld_by_pbx(&asked) && is_withheld_by_carrier(&asked), "{privacy}");
        }
        for privacy in ["none", "None", "history", "none;history", ""] {
            let asked = invite("1", NUMBER, &format!("Privacy: {privacy}\r\n"));
            assert!(!is_withheld_by_pbx(&asked) && !is_withheld_by_carrier(&asked), "{privacy}");
        }
        let two = invite("1", NUMBER, "Privacy: none\r\nPrivacy: id\r\n");
        assert!(is_withheld_by_pbx(&two) && is_withheld_by_carrier(&two));
    }

    #[test]
    fn a_private_party_withholds_in_every_spelling() {
        for (party, is_private) in [
            ("<sip:+1@c>;privacy=full", true),
            ("<sip:+1@c>;party=calling;screen=yes;privacy=\"full\"", true),
            ("<sip:+1@c>;Privacy = URI", true),
            ("<sip:+1@c>;privacy=name", true),
            ("<sip:+1@c>;privacy=full-network", true),
            ("sip:+1@c;privacy=uri", true),
            ("\"A; B\" <sip:+1@c>;privacy=full", true),
            ("<sip:+1@c;privacy=full>", true),
            ("<sip:+1@c;privacy=full", true),
            ("<sip:+1@c>;privacy=off", false),
            ("<sip:+1@c>;privacy=\"off\"", false),
            ("<sip:+1@c>;privacy=off-network", false),
            ("<sip:+1@c>;screen=yes", false),
        ] {
            let asked = invite("1", NUMBER, &format!("Remote-Party-ID: {party}\r\n"));
            assert_eq!(is_withheld_by_pbx(&asked), is_private, "{party}");
            assert_eq!(is_withheld_by_carrier(&asked), is_private, "{party}");
        }
        let second = "Remote-Party-ID: <sip:+1@c>;privacy=off, <sip:+1@c>;privacy=full\r\n";
        assert!(is_withheld_by_carrier(&invite("1", NUMBER, second)));
    }

    #[test]
    fn a_from_that_names_nobody_withholds_a_carriers_caller_and_a_pbxs_only_beside_somebody() {
        for (from, of_pbx, of_carrier) in [
            (NUMBER, false, false),
            ("\"Anonymous\" <sip:anonymous@anonymous.invalid>", false, true),
            ("<sip:Anonymous@gw>", false, true),
            ("<sip:%61nonymous@gw>", false, true),
            ("\"Anonymous\" <sip:+12025550123@gw>", false, true),
            ("\"PRIVATE\" <sip:+12025550123@gw>", false, true),
            ("<sip:restricted@gw>", false, true),
            ("<sip:+12025550123@anonymous.invalid>", true, true),
            ("<sip:+12025550123@ANONYMOUS.invalid.>", true, true),
            ("<sip:c8oqz84zk7z@privacy.anonymous.invalid>", true, true),
            ("<sip:anonymous.invalid>", false, true),
            ("<sip:unavailable@unknown.invalid>", false, false),
            ("<tel:+12025550123>", false, false),
        ] {
            let asked = invite("1", from, "");
            assert_eq!(is_withheld_by_pbx(&asked), of_pbx, "{from}");
            assert_eq!(is_withheld_by_carrier(&asked), of_carrier, "{from}");
        }
    }

    #[test]
    fn each_field_of_a_carriers_that_says_anonymous_withholds_the_caller() {
        for (field, is_withheld) in [
            ("P-Asserted-Identity: \"Anonymous\" <sip:anonymous@anonymous.invalid>", true),
            ("P-Asserted-Identity: <tel:+12025550123>, <sip:anonymous@anonymous.invalid>", true),
            ("P-Asserted-Identity: <sip:+12025550123@anonymous.invalid>", true),
            ("P-Asserted-Identity: \"Restricted\" <sip:+12025550123@c>", true),
            ("P-Asserted-Identity: \"Private Ryan\" <sip:+12025550123@c>", false),
            ("P-Asserted-Identity: <sip:unknown@c>", false),
            ("P-Asserted-Identity: \"", false),
            ("Remote-Party-ID: <sip:anonymous@c>", true),
            ("Remote-Party-ID: <sip:anonymous@c>;party=CALLING", true),
            ("Remote-Party-ID: <sip:anonymous@c>;party=called", false),
        ] {
            let asked = invite("1", NUMBER, &format!("{field}\r\n"));
            assert_eq!(is_withheld_by_carrier(&asked), is_withheld, "{field}");
        }
    }

    #[test]
    fn an_entry_of_a_calls_history_asks_for_privacy_in_every_form() {
        for (entry, hides) in [
            ("<sip:+1@pbx>;reason=unconditional;privacy=full", true),
            ("\"A; B\" <sip:+1@pbx>;Privacy=\"name\"", true),
            ("<sip:+1@pbx>;privacy=off", false),
            ("<sip:+1@pbx>;reason=user-busy", false),
            ("<sip:+1@pbx?Privacy=history>;index=1", true),
            ("<sip:+1@pbx?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1", true),
            ("<sip:+1@pbx?Privacy=none>;index=1", false),
            ("<sip:+1@pbx?Reason=SIP%3Bcause%3D302>;index=1", false),
        ] {
            assert_eq!(hides_entry(entry), hides, "{entry}");
        }
    }

    #[test]
    fn the_prefix_withholds_however_it_is_escaped() {
        for (dialled, is_withheld) in
            [("*67+1202", true), ("%2A67%2B1202", true), ("*31%23+1202", true), ("+1202", false)]
        {
            assert_eq!(is_withheld_by_pbx(&invite(dialled, NUMBER, "")), is_withheld, "{dialled}");
        }
    }
}
