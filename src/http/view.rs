//! What the administration interface says, in JSON. The command line reads it back with the same types.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sip_core::bans::{Ban, Banned};
use sip_core::gateway::LiveCall;
use sip_core::types::{Binding, Now, Usage};

/// A call in set-up or running.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct CallView {
    /// Its id: 32 hexadecimal digits.
    pub call: String,
    /// `setup`, `ringing` and so on.
    pub stage: String,
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// Since the INVITE came, seconds.
    pub age_s: u64,
    /// Since the answer, seconds.
    pub talk_s: Option<u64>,
    /// The carrier's number in the store.
    pub carrier: Option<i64>,
    /// The profiles in it.
    pub shares: Vec<ShareView>,
}

/// A profile's share of a call.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct ShareView {
    /// The profile's number in the store.
    pub profile: i64,
    /// `outgoing`, `on_net`, `incoming` or `echo`.
    pub usage: String,
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
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct RegistrationView {
    /// The profile's number in the store.
    pub profile: i64,
    /// The Contact URI as registered.
    pub contact: String,
    /// Where its packets come from.
    pub source: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// Its product name.
    pub user_agent: Option<String>,
    /// Whether a NAT or firewall stands between.
    pub behind_nat: bool,
    /// When it ends, seconds since 1970.
    pub expires_unix_s: u64,
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
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct BanView {
    /// `source` or `user`.
    pub kind: String,
    /// An IPv4 address, an IPv6 /64, or a user name.
    pub whom: String,
    /// The user name tried last.
    pub user: String,
    /// How long it goes on, seconds.
    pub left_s: u64,
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

/// The daemon as a whole.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct StatusView {
    /// Of the running program.
    pub version: String,
    /// Calls in set-up or running.
    pub calls: usize,
    /// Transactions.
    pub transactions: usize,
    /// Registered PBXs.
    pub registrations: usize,
    /// Why it takes no new calls, if it takes none.
    pub obstacle: Option<String>,
    /// What is wrong, though calls are taken.
    #[serde(default)]
    pub trouble: Option<String>,
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
