//! What the engine says, in plain words and numbers.

use std::net::IpAddr;

use sip_core::bans::{Ban, Banned};
use sip_core::gateway::LiveCall;
use sip_core::types::{Binding, Now, Usage};

/// A call in set-up or running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CallView {
    /// Its id: 32 hexadecimal digits.
    pub(super) call: String,
    /// `setup`, `ringing` and so on.
    pub(super) stage: String,
    /// Who calls.
    pub(super) from: String,
    /// Who is called.
    pub(super) to: String,
    /// Since the INVITE came, seconds.
    pub(super) age_s: u64,
    /// Since the answer, seconds.
    pub(super) talk_s: Option<u64>,
    /// The carrier's number in the store.
    pub(super) carrier: Option<i64>,
    /// The profiles in it.
    pub(super) shares: Vec<ShareView>,
}

/// A profile's share of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShareView {
    /// The profile's number in the store.
    pub(super) profile: i64,
    /// `outgoing`, `on_net`, `incoming` or `echo`.
    pub(super) usage: String,
}

impl CallView {
    /// How a call looks now.
    pub(super) fn of(call: &LiveCall, now: Now) -> Self {
        let since = |at: std::time::Instant| now.monotonic.saturating_duration_since(at).as_secs();
        let share = |(profile, usage): &(sip_core::types::ProfileId, Usage)| ShareView {
            profile: profile.0,
            usage: usage.as_str().to_owned(),
        };
        Self {
            call: call.call.to_string(),
            stage: format!("{:?}", call.stage).to_lowercase(),
            from: call.from.clone(),
            to: call.to.clone(),
            age_s: since(call.started),
            talk_s: call.answered.map(since),
            carrier: call.carrier.map(|carrier| carrier.0),
            shares: call.shares.iter().map(share).collect(),
        }
    }
}

/// A registered PBX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RegistrationView {
    /// The profile's number in the store.
    pub(super) profile: i64,
    /// The Contact URI as registered.
    pub(super) contact: String,
    /// Where its packets come from.
    pub(super) source: String,
    /// `udp`, `tcp` or `tls`.
    pub(super) transport: String,
    /// Its product name.
    pub(super) user_agent: Option<String>,
    /// Whether a NAT or firewall stands between.
    pub(super) behind_nat: bool,
    /// When it ends, seconds since 1970.
    pub(super) expires_unix_s: u64,
}

impl RegistrationView {
    /// How a binding looks.
    pub(super) fn of(binding: &Binding) -> Self {
        Self {
            profile: binding.profile.0,
            contact: binding.contact_uri.clone(),
            source: binding.flow.peer.to_string(),
            transport: binding.flow.transport.param().to_owned(),
            user_agent: binding.user_agent.clone(),
            behind_nat: binding.behind_nat,
            expires_unix_s: binding.expires_unix_s,
        }
    }
}

/// A source or a user that is not heard for the passwords that were guessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BanView {
    /// `source` or `user`.
    pub(super) kind: String,
    /// An IPv4 address, an IPv6 /64, or a user name.
    pub(super) whom: String,
    /// The user name tried last.
    pub(super) user: String,
    /// How long it goes on, seconds.
    pub(super) left_s: u64,
}

impl BanView {
    /// How a ban looks.
    pub(super) fn of(ban: &Ban) -> Self {
        let (kind, whom) = match &ban.whom {
            Banned::Source(IpAddr::V6(first)) => ("source", format!("{first}/64")),
            Banned::Source(address) => ("source", address.to_string()),
            Banned::User(name) => ("user", name.clone()),
        };
        Self { kind: kind.to_owned(), whom, user: ban.user.clone(), left_s: ban.left.as_secs() }
    }

    /// Who is meant by the text that stands for it; whatever is no address is a user name.
    pub(super) fn whom(text: &str) -> Banned {
        let address = text.strip_suffix("/64").unwrap_or(text).parse();
        address.map_or_else(|_| Banned::User(text.to_owned()), Banned::Source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_is_named_as_it_is_shown() {
        for whom in [
            Banned::Source("203.0.113.66".parse().unwrap()),
            Banned::Source("2001:db8::".parse().unwrap()),
            Banned::User("99050000000101".to_owned()),
            Banned::User("../?#/ %".to_owned()),
        ] {
            let ban = Ban { whom, user: String::new(), left: std::time::Duration::from_secs(5) };
            let shown = BanView::of(&ban);
            assert_eq!((BanView::whom(&shown.whom), shown.left_s), (ban.whom, 5));
        }
    }
}
