//! Calls that a PBX forwards to where they have been: each round takes channels of the profile, and Max-Forwards does not
//! end it, since a PBX begins a call of its own with a new one.
//!
//! Three signs tell: what the call says of its past (Diversion, History-Info), our own mark (`X-Sipgw-Trail`: the calls of
//! ours that it has been, written into every INVITE to a PBX), and, where a PBX passes on neither, that a profile calls its
//! own number while calls of that kind still ring.

use crate::call::{CallTable, Plan, Stage};
use crate::directory::Peer;
use crate::limits::{OWN_CALLS_THAT_RING, TIMES_FORWARDED};
use crate::message::{Message, Name, NameAddr};
use crate::types::{CallUid, ProfileId};

/// Digits by which a number is told without its country.
const DIGITS_THAT_TELL: usize = 7;

/// Whether a call has been where it goes now.
pub(crate) fn runs_in_circle(calls: &CallTable, peer: Peer, invite: &Message, plan: &Plan) -> bool {
    let trail = || trail(invite).filter_map(|uid| calls.live(uid));
    let is_own_call = |profile: ProfileId| plan.called_profiles().any(|called| called == profile);
    is_forwarded_in_circle(peer, invite, &plan.called)
        || trail().any(|call| call.stage != Stage::Over && call.to == plan.called)
        || peer.profile().is_some_and(|profile| {
            is_own_call(profile) && calls.ringing(profile, &plan.called, OWN_CALLS_THAT_RING)
        })
}

/// The calls of ours that this one has been, as far as it says so.
fn trail(invite: &Message) -> impl Iterator<Item = CallUid> + '_ {
    let marks = invite.headers(Name::Trail).flat_map(|value| value.split(','));
    marks.filter_map(|mark| mark.trim().parse().ok()).take(TIMES_FORWARDED)
}

/// The mark of a call that goes on from here.
pub(crate) fn trail_on(invite: &Message, call: CallUid) -> String {
    let marks: Vec<String> = trail(invite).chain([call]).map(|uid| uid.to_string()).collect();
    marks.join(", ")
}

/// A PBX that names the called number among those that have forwarded the call sends it in a circle. A carrier may have
/// forwarded the number to us under the same one: there it takes two. History-Info ends with the called number itself.
fn is_forwarded_in_circle(peer: Peer, invite: &Message, called: &str) -> bool {
    let allowed = match peer {
        Peer::Profile(_) => 0,
        Peer::Carrier(_) => 1,
    };
    let diverted = invite.headers(Name::Diversion).count();
    let past = invite.headers(Name::HistoryInfo).count();
    let times = |name, called: &str| {
        invite.headers(name).filter(|entry| names_number(entry, called)).take(TIMES_FORWARDED).count()
    };
    diverted.max(past) > TIMES_FORWARDED
        || times(Name::Diversion, called) > allowed
        || times(Name::HistoryInfo, called) > allowed + 1
        || trail(invite).count() >= TIMES_FORWARDED
}

/// Whether an entry names this number, in whatever way it is dialled.
fn names_number(entry: &str, called: &str) -> bool {
    let Ok(entry) = NameAddr::parse(entry) else { return false };
    let Some(user) = entry.uri().ok().and_then(|uri| crate::number::dialled(&uri)) else { return false };
    if user == called {
        return true;
    }
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let (written, called) = (digits(&user), digits(called));
    let significant = written.trim_start_matches('0');
    significant.len() >= DIGITS_THAT_TELL && called.ends_with(significant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_in_whatever_way_it_is_written() {
        for entry in [
            "<sip:+12026843376@pbx.example>;reason=unconditional",
            "<sip:0012026843376@pbx.example>",
            "\"Sales\" <sip:2026843376@pbx.example;user=phone>",
            "<tel:+1-202-684-3376>;index=1.1",
        ] {
            assert!(names_number(entry, "+12026843376"), "{entry}");
        }
        for entry in
            ["<sip:+12026843377@pbx.example>", "<sip:376@pbx.example>", "<sip:sales@pbx.example>", "<"]
        {
            assert!(!names_number(entry, "+12026843376"), "{entry}");
        }
        assert!(names_number("<sip:99051000000149@x>", "99051000000149"));
    }
}
