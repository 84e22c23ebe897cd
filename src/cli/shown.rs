//! What the API says, as people read it and as it wants to be told.

use provisioning_store::model::Timestamp;
use provisioning_store::money::Micros;
use serde_json::{Value, json};
use sipgw::text::plain;

use super::output::time;

/// A value in a table: an amount without its currency, `-` for what is not there.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(is_so) => if *is_so { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => plain(text).into_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Object(money) => {
            money.get("amount").map_or_else(|| plain(&value.to_string()).into_owned(), cell)
        }
    }
}

/// A moment as people write it, UTC; `-` for none.
pub(crate) fn when(value: &Value) -> String {
    let at = value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    at.map_or_else(|| "-".to_owned(), |at| time(at.as_microsecond()))
}

/// A text to be shown on a line; empty if there is none.
pub(crate) fn text(value: &Value) -> String {
    plain(value.as_str().unwrap_or_default()).into_owned()
}

/// The things in a list.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A thing's number.
pub(crate) fn id(thing: &Value) -> i64 {
    thing["id"].as_i64().unwrap_or_default()
}

/// An amount of a currency, as the API takes it.
pub(crate) fn money(amount: Micros, currency: &Value) -> Value {
    json!({ "amount": amount.to_string(), "currency": currency })
}

/// Fields of a request without those that were not given.
pub(crate) fn given(mut fields: Value) -> Value {
    if let Value::Object(fields) = &mut fields {
        fields.retain(|_, value| !value.is_null());
    }
    fields
}

/// A moment as the API takes it.
pub(crate) fn moment(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0).unwrap_or(jiff::Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_says_is_put_as_people_put_it() {
        let thing = json!({
            "id": 7, "user": "\u{1b}[31m\n", "credit": {"amount": "6.95", "currency": "USD"}, "is_verified": true, "note": "",
            "sources": ["a", "b"], "at": "2026-03-01T08:00:00.5Z",
        });
        let cells =
            ["id", "credit", "is_verified", "note", "sources", "nothing"].map(|name| cell(&thing[name]));
        assert_eq!(cells, ["7", "6.95", "yes", "-", "a,b", "-"]);
        assert_eq!([cell(&thing["user"]), text(&thing["user"])], ["\\u{1b}[31m\\n", "\\u{1b}[31m\\n"]);
        assert_eq!(
            (when(&thing["at"]), when(&Value::Null)),
            ("2026-03-01 08:00:00".to_owned(), "-".to_owned())
        );
        assert_eq!(money(Micros(6_950_000), &thing["credit"]["currency"]), thing["credit"]);
        assert_eq!(given(json!({ "port": null, "weight": 0 })), json!({ "weight": 0 }));
        assert_eq!(moment(Timestamp(1_000_000)), "1970-01-01T00:00:01Z");
    }
}
