//! Finding things by the names that people give: a number in the store, or a name if only one thing has it.

use provisioning_store::model::{BusinessAccount, Carrier, Company, OnlineNumber, Profile};
use provisioning_store::store::Store;

use super::failure::Failure;

/// A company by number or name.
pub(crate) async fn company(store: &Store, wanted: &str) -> Result<Company, Failure> {
    only(("company", "sipgw company list"), wanted, store.companies().await?, |company| {
        company.id.to_string() == wanted || company.name.eq_ignore_ascii_case(wanted)
    })
}

/// A profile by number, SIP user or name.
pub(crate) async fn profile(store: &Store, wanted: &str) -> Result<Profile, Failure> {
    only(("profile", "sipgw profile list"), wanted, store.profiles(None).await?, |profile| {
        profile.id.to_string() == wanted
            || profile.sip_user == wanted
            || profile.name.eq_ignore_ascii_case(wanted)
    })
}

/// A business account by name.
pub(crate) async fn account(store: &Store, wanted: &str) -> Result<BusinessAccount, Failure> {
    only(("business account", "sipgw account list"), wanted, store.business_accounts().await?, |account| {
        account.name.eq_ignore_ascii_case(wanted)
    })
}

/// An Online Number by its digits, however they are separated.
pub(crate) async fn number(store: &Store, wanted: &str) -> Result<OnlineNumber, Failure> {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    only(("Online Number", "sipgw number list"), wanted, store.numbers().await?, |number| {
        digits(&number.number) == digits(wanted)
    })
}

/// A carrier by number or name.
pub(crate) async fn carrier(store: &Store, wanted: &str) -> Result<Carrier, Failure> {
    only(("carrier", "sipgw carrier list"), wanted, store.carriers().await?, |carrier| {
        carrier.id.to_string() == wanted || carrier.settings.name.eq_ignore_ascii_case(wanted)
    })
}

fn only<T>(
    (what, list): (&str, &str),
    wanted: &str,
    all: Vec<T>,
    is_it: impl Fn(&T) -> bool,
) -> Result<T, Failure> {
    let mut found: Vec<T> = all.into_iter().filter(is_it).collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (Some(_), others) => {
            let count = others + 1;
            Err(Failure::Refused(format!(
                "{count} have the name \"{wanted}\"; give the {what}'s number, which {list} shows in front of it"
            )))
        }
        (None, _) => Err(Failure::no_such(what, wanted, &format!("{list} shows what there is"))),
    }
}
