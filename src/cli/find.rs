//! Finding things by the names that people give: a number in the database, or a name if only one thing has it.

use serde_json::Value;

use super::failure::Failure;
use super::gateway::{Gateway, asking};
use super::shown::id;

/// A company by number or name.
pub(crate) async fn company(gateway: &Gateway, wanted: &str) -> Result<Value, Failure> {
    let mut found = by_number(gateway, "/companies", wanted).await?;
    found.extend(by_name(gateway, "/companies", wanted).await?);
    only(("company", "sipgw company list"), wanted, found)
}

/// A company's number, if a company is asked for.
pub(crate) async fn company_if_any(
    gateway: &Gateway,
    wanted: Option<&str>,
) -> Result<Option<String>, Failure> {
    match wanted {
        Some(wanted) => Ok(Some(id(&company(gateway, wanted).await?).to_string())),
        None => Ok(None),
    }
}

/// A profile by number, SIP user or name.
pub(crate) async fn profile(gateway: &Gateway, wanted: &str) -> Result<Value, Failure> {
    let mut found = by_number(gateway, "/profiles", wanted).await?;
    found.extend(gateway.list(&asking("/profiles", [("sip_user", Some(wanted.to_owned()))])).await?);
    found.extend(by_name(gateway, "/profiles", wanted).await?);
    only(("profile", "sipgw profile list"), wanted, found)
}

/// A profile's number, if a profile is asked for.
pub(crate) async fn profile_if_any(
    gateway: &Gateway,
    wanted: Option<&str>,
) -> Result<Option<String>, Failure> {
    match wanted {
        Some(wanted) => Ok(Some(id(&profile(gateway, wanted).await?).to_string())),
        None => Ok(None),
    }
}

/// A business account by name.
pub(crate) async fn account(gateway: &Gateway, wanted: &str) -> Result<Value, Failure> {
    let found = by_name(gateway, "/business-accounts", wanted).await?;
    only(("business account", "sipgw account list"), wanted, found)
}

/// An Online Number by its digits, however they are separated.
pub(crate) async fn number(gateway: &Gateway, wanted: &str) -> Result<Value, Failure> {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let asked = digits(wanted);
    let mut found = gateway.list(&asking("/numbers", [("number", Some(asked.clone()))])).await?;
    found.retain(|number| number["number"].as_str().is_some_and(|number| digits(number) == asked));
    only(("Online Number", "sipgw number list"), wanted, found)
}

/// A carrier by number or name.
pub(crate) async fn carrier(gateway: &Gateway, wanted: &str) -> Result<Value, Failure> {
    let mut found = gateway.list("/carriers").await?;
    found.retain(|carrier| id(carrier).to_string() == wanted || is_named(carrier, wanted));
    only(("carrier", "sipgw carrier list"), wanted, found)
}

async fn by_number(gateway: &Gateway, path: &str, wanted: &str) -> Result<Vec<Value>, Failure> {
    let Ok(number) = wanted.parse::<i64>() else { return Ok(Vec::new()) };
    Ok(gateway.find(&format!("{path}/{number}")).await?.into_iter().collect())
}

async fn by_name(gateway: &Gateway, path: &str, wanted: &str) -> Result<Vec<Value>, Failure> {
    let mut found = gateway.list(&asking(path, [("name", Some(wanted.to_owned()))])).await?;
    found.retain(|thing| is_named(thing, wanted));
    Ok(found)
}

fn is_named(thing: &Value, wanted: &str) -> bool {
    thing["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(wanted))
}

fn only((what, list): (&str, &str), wanted: &str, mut found: Vec<Value>) -> Result<Value, Failure> {
    found.sort_by_key(id);
    found.dedup_by_key(|thing| id(thing));
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
