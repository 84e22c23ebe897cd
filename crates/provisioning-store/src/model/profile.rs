//! A SIP profile: one trunk to one PBX.

use serde::{Deserialize, Serialize};

use super::{
    Authentication, CallerIdByCall, CompanyId, DigestAlgorithms, GuardOverrides, NumberPresentation,
    ProfileId, Srtp, Suspension, Switch, Timestamp,
};
use crate::ledger::Spending;
use crate::lifecycle::{ProfileState, Subscription, Terms};
use crate::money::Micros;
use crate::secrets::Password;

/// A profile with its settings, its subscription and what it may spend. Its password is in [`Credentials`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Identity.
    pub id: ProfileId,
    /// The company it belongs to.
    pub company: CompanyId,
    /// Name, a label.
    pub name: String,
    /// SIP user: 14 digits beginning `990500`.
    pub sip_user: String,
    /// Settings that can change at any time.
    #[serde(flatten)]
    pub settings: ProfileSettings,
    /// Since when and why it makes and takes no calls, if it is suspended itself.
    pub suspension: Option<Suspension>,
    /// The latest channel subscription with its bundles, also when it has run out.
    pub subscription: Option<Subscription>,
    /// Refills the profile's credit from the company's.
    pub recharge: Option<Recharge>,
    /// Its own spend guard, laid over the installation's.
    #[serde(rename = "spend_guard")]
    pub guard: GuardOverrides,
    /// What its calls were charged in the latest hour and day.
    pub spending: Spending,
    /// Credit for outgoing calls, the part that live calls have reserved included.
    #[serde(rename = "credit_micros")]
    pub credit: Micros,
    /// Credit that live calls have reserved, and what is on hand.
    #[serde(rename = "reserved_micros")]
    pub reserved: Micros,
    /// The part of it that no call holds: it is kept for calls that begin while the database does not answer.
    #[serde(rename = "on_hand_micros")]
    pub on_hand: Micros,
    /// Bundle seconds left in this period, the part that live calls have reserved included.
    pub bundle_left_s: u32,
    /// Calls going on now.
    pub channels_in_use: u32,
}

impl Profile {
    /// Where it is in its life.
    pub fn state(&self, terms: Terms, now: Timestamp) -> ProfileState {
        ProfileState::of(self.subscription.as_ref(), terms, now)
    }
}

/// A profile's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileSettings {
    /// How the PBX proves who it is.
    pub authentication: Authentication,
    /// Digest algorithms offered.
    pub digest: DigestAlgorithms,
    /// How the called number is written towards the PBX.
    pub presentation: NumberPresentation,
    /// Whether media is encrypted towards the PBX.
    pub srtp: Srtp,
    /// Whether the PBX may choose its Caller ID in each call.
    pub caller_id_by_call: CallerIdByCall,
    /// Whether the PBX is told callers' names beside their numbers.
    pub caller_name: Switch,
}

impl Default for ProfileSettings {
    fn default() -> Self {
        Self {
            authentication: Authentication::Registration,
            // Old PBXs read only the first challenge and know only MD5.
            digest: DigestAlgorithms::Md5,
            presentation: NumberPresentation::Digits,
            srtp: Srtp::Auto,
            caller_id_by_call: CallerIdByCall::Denied,
            caller_name: Switch::On,
        }
    }
}

/// What a PBX registers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The profile they belong to.
    pub profile: ProfileId,
    /// SIP user.
    pub sip_user: String,
    /// Generated password.
    pub password: Password,
}

/// When a profile's credit falls below `threshold`, `amount` comes from the company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recharge {
    /// Balance below which it fires; 2.00 is recommended.
    #[serde(rename = "threshold_micros")]
    pub threshold: Micros,
    /// Amount that moves each time, above zero; 10.00 is recommended.
    #[serde(rename = "amount_micros")]
    pub amount: Micros,
}

impl Recharge {
    /// The values the guide recommends; lower ones risk a call without credit.
    pub const RECOMMENDED: Self = Self { threshold: Micros::from_units(2), amount: Micros::from_units(10) };
}
