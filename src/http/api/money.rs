//! Amounts and times as the API writes them: decimal text with its currency, RFC 3339.

use std::fmt;

use axum::http::StatusCode;
use jiff::SignedDuration;
use provisioning_store::model::{Company, Timestamp};
use provisioning_store::money::Micros;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use super::error::Problem;

/// An exact amount as text: `6.95`. JSON's numbers are floats to many readers, and a float is not exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount(pub(super) Micros);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r"^-?[0-9]{1,13}(\.[0-9]{1,6})?$"))
            .description(Some("An exact amount, with at most six digits after the point."))
            .examples([serde_json::json!("6.95")]);
        RefOr::T(Schema::Object(text.build()))
    }
}

impl ToSchema for Amount {
    fn name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }
}

/// An amount of a currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Money {
    /// How much.
    amount: Amount,
    /// Three letters (ISO 4217).
    #[schema(pattern = "^[A-Z]{3}$", example = "USD")]
    currency: String,
}

impl Money {
    /// An amount of a currency.
    pub(super) fn of(amount: Micros, currency: &str) -> Self {
        Self { amount: Amount(amount), currency: currency.to_owned() }
    }

    /// The amount, in whatever currency it is.
    pub(super) fn amount(&self) -> Micros {
        self.amount.0
    }

    /// The amount, if it is in the company's own currency: nothing is ever converted.
    pub(super) fn paid_by(&self, company: &Company, field: &str) -> Result<Micros, Problem> {
        self.in_currency(&company.currency, field)
    }

    /// The amount, if it is in this currency, which is that of all companies.
    pub(super) fn in_currency(&self, currency: &str, field: &str) -> Result<Micros, Problem> {
        if self.currency == currency {
            return Ok(self.amount.0);
        }
        let sentence = format!("the company's currency is {currency}; give the amount in it");
        Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "other_currency", sentence)
            .at(format!("{field}.currency")))
    }
}

/// For the description of a limit: an amount, or the word that lifts it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes what is read by hand")]
#[schema(as = AmountOrNone)]
#[serde(untagged)]
pub(super) enum MoneyOrNone {
    /// An amount.
    Money(Money),
    /// `none`.
    None(String),
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount.0, self.currency)
    }
}

/// A moment as RFC 3339 has it, UTC: `2026-03-01T08:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = jiff::Timestamp::from_microsecond(self.0.0).unwrap_or(jiff::Timestamp::MAX);
        serializer.collect_str(&shown)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = text.parse::<jiff::Timestamp>().map_err(|_| {
            de::Error::custom(format!("\"{text}\" is not a time; write one like 2026-03-01T08:00:00Z"))
        })?;
        Ok(Self(Timestamp(moment.as_microsecond())))
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let text: Object = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples([serde_json::json!("2026-03-01T08:00:00Z")])
            .build();
        RefOr::T(Schema::Object(text))
    }
}

impl ToSchema for Moment {
    fn name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }
}

/// The moment so many seconds after 1970.
pub(super) fn moment_of_unix_s(seconds: u64) -> Moment {
    let longest = SignedDuration::from_hours(24 * 365 * 1_000).as_secs().unsigned_abs();
    Moment(Timestamp::from_unix_s(seconds.min(longest).cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_are_text_and_exact() {
        let money = Money::of(Micros(6_950_001), "USD");
        let text = json!({"amount": "6.950001", "currency": "USD"});
        assert_eq!(serde_json::to_value(&money).unwrap(), text);
        assert_eq!(serde_json::from_value::<Money>(text).unwrap(), money);
        for wrong in [json!(6.95), json!("6,95"), json!("0.0000001")] {
            assert!(serde_json::from_value::<Amount>(wrong).is_err());
        }
    }

    #[test]
    fn a_moment_reads_back() {
        let moment = Moment(Timestamp(1_772_352_000_000_001));
        let text = serde_json::to_value(moment).unwrap();
        assert_eq!(text, json!("2026-03-01T08:00:00.000001Z"));
        assert_eq!(serde_json::from_value::<Moment>(text).unwrap(), moment);
        let refused = serde_json::from_value::<Moment>(json!("yesterday")).unwrap_err().to_string();
        assert!(refused.contains("2026-03-01T08:00:00Z"), "{refused}");
        assert_eq!(moment_of_unix_s(u64::MAX).0.date().0, 2969);
    }
}
