//! What a callee's refusal was about, for whoever reads the record: where it redirects to, what it requires, what it said.

use crate::message::{ContactValue, Message, Name, reason_phrase};
use crate::number::dialled;
use crate::refusal::Refusal;

/// The most things named in one sentence.
const NAMED: usize = 3;
/// The longest thing named, in characters.
const LONGEST: usize = 100;

/// One sentence about a refusal that is not clear by itself. Of a carrier's targets the numbers alone are told: the record
/// is read by customers, who learn no carrier's address.
pub(super) fn of(why: Refusal, response: &Message, is_carriers: bool) -> Option<String> {
    match why {
        Refusal::CalleeRedirected => {
            let targets = response.contacts().filter_map(|contact| target(contact, is_carriers));
            listed(targets).map(|targets| format!("It named {targets}."))
        }
        Refusal::CalleeNeedsExtension => {
            let required = response.headers(Name::Require).map(str::to_owned);
            listed(required).map(|tags| format!("It requires {tags}."))
        }
        Refusal::CalleeLacksExtension => {
            let unsupported = response.headers(Name::Unsupported).map(str::to_owned);
            listed(unsupported).map(|tags| format!("It does not support {tags}."))
        }
        // Its own phrase may name anybody.
        Refusal::CalleeFailed | Refusal::CalleeForbids => {
            Some(format!("It answered {} {}.", response.status(), reason_phrase(response.status())))
        }
        _ => None,
    }
}

fn target(contact: ContactValue<'_>, is_carriers: bool) -> Option<String> {
    let ContactValue::Addr(addr) = contact else { return None };
    if is_carriers { dialled(&addr.uri().ok()?) } else { Some(addr.uri_raw().to_owned()) }
}

fn listed(things: impl Iterator<Item = String>) -> Option<String> {
    let plain = |thing: String| thing.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>();
    let things: Vec<_> = things.map(plain).filter(|thing| !thing.is_empty()).take(NAMED).collect();
    (!things.is_empty()).then(|| things.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Transport, lex};
    use bytes::Bytes;

    fn refusal(status: u16, fields: &str) -> Message {
        let text = format!("SIP/2.0 {status} X\r\n{fields}CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n");
        lex(Bytes::from(text), Transport::Datagram).unwrap()
    }

    #[test]
    fn a_redirection_names_its_targets_and_a_carriers_only_their_numbers() {
        let fields = "Contact: <sip:+12025550123@192.0.2.9:5062>;q=0.5, <tel:+12025550124>\r\n";
        let of = |is_carriers| of(Refusal::CalleeRedirected, &refusal(302, fields), is_carriers).unwrap();
        assert_eq!(of(false), "It named sip:+12025550123@192.0.2.9:5062, tel:+12025550124.");
        assert_eq!(of(true), "It named +12025550123, +12025550124.");
    }

    #[test]
    fn what_is_required_and_what_was_answered_are_told() {
        let required = refusal(421, "Require: precondition, 100rel\r\n");
        let told = of(Refusal::CalleeNeedsExtension, &required, false);
        assert_eq!(told.as_deref(), Some("It requires precondition, 100rel."));
        let told = of(Refusal::CalleeForbids, &refusal(403, ""), true);
        assert_eq!(told.as_deref(), Some("It answered 403 Forbidden."));
        assert_eq!(of(Refusal::CalleeRedirected, &refusal(300, ""), false), None);
        assert_eq!(of(Refusal::CalleeBusy, &refusal(486, ""), false), None);
    }
}
