//! Where a call would go, without making it: decided by the very rules that calls are.

use crate::directory::Directory;
use crate::message::Uri;
use crate::refusal::Refusal;
use crate::rng::Rng;
use crate::route::{self, Outgoing};
use crate::settings::CallSettings;
use crate::types::{CarrierId, ProfileId, Usage};

/// Where a call from a profile would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The called number: E.164 digits without `+`.
    pub digits: String,
    /// What it would be asked a lease for.
    pub usage: Usage,
    /// The profile here that would be called, if it is one.
    pub callee: Option<ProfileId>,
    /// The carriers that would be tried, in this order; those of the same priority are drawn by lot for each call.
    pub carriers: Vec<CarrierId>,
}

/// Where a call of `profile` to what it dials would go, or why it would go nowhere. `seed` draws among carriers of the same
/// priority.
pub fn destination(
    directory: &Directory,
    settings: &CallSettings,
    profile: ProfileId,
    dialled: &str,
    seed: [u8; 32],
) -> Result<Destination, Refusal> {
    let profile = directory.profile(profile).ok_or(Refusal::UnknownPeer)?;
    let uri = format!("sip:{}@rehearsal.invalid", escaped(dialled));
    let uri = Uri::parse(&uri).map_err(|_| Refusal::AddressIncomplete)?;
    let found = match route::outgoing(directory, settings, profile, &uri, &mut Rng::new(seed))? {
        Outgoing::Echo { number } => {
            Destination { digits: number, usage: Usage::Echo, callee: None, carriers: Vec::new() }
        }
        Outgoing::OnNet { number, profile } => Destination {
            usage: Usage::OnNet { number: number.digits.clone() },
            digits: number.digits,
            callee: Some(profile.id),
            carriers: Vec::new(),
        },
        Outgoing::Network { number, carriers } => Destination {
            usage: Usage::Outgoing { number: number.digits.clone() },
            digits: number.digits,
            callee: None,
            carriers: carriers.iter().map(|carrier| carrier.id).collect(),
        },
    };
    Ok(found)
}

/// As the user part of a URI, all but digits and letters escaped (RFC 3261 section 25.1).
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'+' | b'*' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_dialled_is_one_user_part() {
        for text in ["+1 202 684 3376", "a@b;c?d", "112\r\nX: y", "ü#%"] {
            let uri = format!("sip:{}@rehearsal.invalid", escaped(text));
            let uri = Uri::parse(&uri).unwrap();
            assert_eq!(uri.user_decoded().unwrap(), text);
            assert_eq!(uri.host().to_string(), "rehearsal.invalid");
        }
    }

    #[test]
    fn a_profile_that_is_not_there_calls_nobody() {
        let (directory, settings) = (Directory::new(), CallSettings::default());
        let refused = destination(&directory, &settings, ProfileId(1), "911", [0; 32]);
        assert_eq!(refused, Err(Refusal::UnknownPeer));
    }
}
