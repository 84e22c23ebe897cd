//! The nouns of provisioning: companies, SIP profiles, numbers, business accounts, carriers.
//!
//! Plain data with a JSON form in snake_case; amounts end in `_micros`, times in `_micros` since 1970.

mod address;
mod carrier;
pub(crate) mod choices;
mod company;
mod country;
mod guard;
mod number;
mod payment;
mod profile;
mod time;

pub use address::{ClaimState, IpRule, NewIpRule, canonical};
pub use carrier::{Carrier, CarrierAuthentication, NewCarrier};
pub use choices::{
    Authentication, CallerIdByCall, DigestAlgorithms, NumberFormat, NumberPresentation, Srtp, Switch,
    Transport, Trust, UnknownChoice,
};
pub use company::{Administrator, Company, NewCompany, Suspension, Verification};
pub use country::{Countries, Country, NotACountry};
pub use guard::{GuardFault, GuardOverrides, Override, Premium, SpendGuard};
pub use number::{
    BusinessAccount, CallerId, CallerIdRule, Landline, NumberTarget, OnlineNumber, PhoneCredentials,
    StockNumber,
};
pub use payment::{Payment, PaymentCause, PaymentState};
pub use profile::{Credentials, Profile, ProfileSettings, Recharge};
pub use time::Timestamp;

use serde::{Deserialize, Serialize};

/// Makes a database identity its own type, so that a profile's cannot be given where a company's is meant.
macro_rules! identity {
    ($(#[$doc:meta] $name:ident),* $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

identity! {
    /// Identity of a [`Company`].
    CompanyId,
    /// Identity of a [`Profile`].
    ProfileId,
    /// Identity of an [`OnlineNumber`].
    NumberId,
    /// Identity of a [`BusinessAccount`].
    BusinessAccountId,
    /// Identity of a [`Carrier`].
    CarrierId,
    /// Identity of an [`IpRule`].
    IpRuleId,
    /// Identity of a [`Payment`].
    PaymentId,
    /// Identity of a [`Token`](crate::tokens::Token).
    TokenId,
}
