//! Online Numbers, business accounts and Caller ID.

use serde::{Deserialize, Serialize};

use super::{BusinessAccountId, CompanyId, NumberId, ProfileId, Verification};
use crate::lifecycle::{NumberLease, NumberOffer};
use crate::secrets::Password;

/// A telephone number hosted here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlineNumber {
    /// Identity.
    pub id: NumberId,
    /// The company it belongs to.
    pub company: CompanyId,
    /// E.164 with `+`.
    pub number: String,
    /// Country, two letters, or empty.
    pub country: String,
    /// Where its calls go.
    pub target: NumberTarget,
    /// The terms on which the company has it; `None` is without a fee and without end.
    pub lease: Option<NumberLease>,
}

impl OnlineNumber {
    /// True while calls to the number are put through and it may be shown as Caller ID.
    pub fn is_in_service(&self) -> bool {
        self.lease.as_ref().is_none_or(NumberLease::is_in_service)
    }
}

/// A number in the stock, on offer to companies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockNumber {
    /// Country, two letters.
    pub country: String,
    /// The number and its price.
    #[serde(flatten)]
    pub offer: NumberOffer,
}

/// Where the calls to an Online Number go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "to", content = "id", rename_all = "snake_case")]
pub enum NumberTarget {
    /// Nowhere yet.
    Nobody,
    /// To a profile's PBX.
    Profile(ProfileId),
    /// To a business account, and so to the profile that has it.
    BusinessAccount(BusinessAccountId),
}

/// A name that people on the network call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusinessAccount {
    /// Identity.
    pub id: BusinessAccountId,
    /// The company it belongs to.
    pub company: CompanyId,
    /// The name, in small letters: `architects.sales`.
    pub name: String,
    /// The profile that receives its calls.
    pub profile: Option<ProfileId>,
    /// User part towards the PBX instead of the name.
    pub extension: Option<String>,
}

impl BusinessAccount {
    /// HTML for a web site: a button that calls the account at `domain`.
    pub fn call_button(&self, domain: &str, label: &str) -> String {
        let address = escaped(&format!("sip:{}@{domain}", self.name));
        format!("<a class=\"call-button\" href=\"{address}\">{}</a>", escaped(label))
    }
}

/// Text as HTML shows it, within quotes too.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut html, c| {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
        html
    })
}

/// What the phone of a business account signs in with, which it may while no profile has the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneCredentials {
    /// The account.
    pub account: BusinessAccountId,
    /// The user: the account's name.
    pub user: String,
    /// The password in clear; not shown by `Debug`.
    pub password: Password,
}

/// A landline number that a company has stored for use as Caller ID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landline {
    /// The company it belongs to.
    pub company: CompanyId,
    /// E.164 with `+`.
    pub number: String,
    /// Who has made sure that it is the company's own; nobody may show it before.
    pub verification: Option<Verification>,
}

/// What a profile shows as its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "choice", content = "number", rename_all = "snake_case")]
pub enum CallerId {
    /// One of the profile's own Online Numbers, E.164 with `+`.
    OnlineNumber(String),
    /// A landline number of a verified company, E.164 with `+`.
    Landline(String),
}

impl CallerId {
    /// The number, E.164 with `+`.
    pub fn number(&self) -> &str {
        match self {
            Self::OnlineNumber(number) | Self::Landline(number) => number,
        }
    }
}

/// A profile's Caller ID for calls to one country, or for all others. Without any rule none is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerIdRule {
    /// The profile.
    pub profile: ProfileId,
    /// Country that is called, two letters; `None` is the default for all others.
    pub country: Option<String>,
    /// What is shown.
    #[serde(flatten)]
    pub shown: CallerId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_button_calls_the_account_and_shows_any_label() {
        let account = BusinessAccount {
            id: BusinessAccountId(1),
            company: CompanyId(1),
            name: "architects.sales".into(),
            profile: None,
            extension: None,
        };
        let html = account.call_button("sip.example.com", "Call <us> & \"them\"");
        let wanted = "<a class=\"call-button\" href=\"sip:architects.sales@sip.example.com\">\
            Call &lt;us&gt; &amp; &quot;them&quot;</a>";
        assert_eq!(html, wanted);
    }
}
