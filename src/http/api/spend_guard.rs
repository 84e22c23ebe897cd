//! What a profile's calls may cost, whom they may reach and how long they may last.

use std::fmt::Display;
use std::num::NonZeroU32;

use axum::Json;
use axum::http::StatusCode;
use provisioning_store::model::{
    Company, Countries, Country, GuardOverrides, Override, Premium, Profile, ProfileId, SpendGuard,
};
use provisioning_store::money::Micros;
use provisioning_store::tokens::Role;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Answer;
use super::body::{Body, Path, given};
use super::caller::Caller;
use super::error::Problem;
use super::money::{Money, MoneyOrNone};
use super::profiles::TAG;
use super::word::word;
use crate::objects;
use crate::storage;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(show_spend_guard, change_spend_guard))
        .routes(routes!(release_spend_guard))
}

/// The limits in force; null is no limit.
#[derive(Serialize, ToSchema)]
pub(super) struct Limits {
    /// Most that calls may cost in an hour (UTC).
    hour_cap: Option<Money>,
    /// Most that calls may cost in a day (UTC).
    day_cap: Option<Money>,
    /// Highest price of a minute.
    highest_rate: Option<Money>,
    /// The only countries that may be called.
    allowed_countries: Option<Vec<String>>,
    /// Countries that may not be called.
    denied_countries: Vec<String>,
    /// Most calls at once to one country.
    calls_to_one_country: Option<u32>,
    /// Longest call in seconds.
    longest_call_s: Option<u32>,
    /// Most calls a second that may begin.
    calls_per_second: Option<u32>,
    /// Whether premium numbers may be called.
    #[schema(schema_with = word::<Premium>)]
    premium: Premium,
    /// Share of a cap, percent, at which the operator is warned.
    warn_percent: Option<u8>,
}

fn letters(countries: &Countries) -> Vec<String> {
    countries.iter().map(|country| country.to_string()).collect()
}

impl Limits {
    /// How limits look, in the company's currency.
    pub(super) fn of(guard: SpendGuard, currency: &str) -> Self {
        let money = |amount| Money::of(amount, currency);
        Self {
            hour_cap: guard.hour_cap.map(money),
            day_cap: guard.day_cap.map(money),
            highest_rate: guard.highest_rate.map(money),
            allowed_countries: guard.allowed.as_ref().map(letters),
            denied_countries: letters(&guard.denied),
            calls_to_one_country: guard.calls_to_one_country,
            longest_call_s: guard.longest_call_s,
            calls_per_second: guard.calls_per_second.map(NonZeroU32::get),
            premium: guard.premium,
            warn_percent: guard.warn_percent,
        }
    }
}

/// A profile's spend guard.
#[derive(Serialize, ToSchema)]
#[schema(as = SpendGuard)]
struct GuardView {
    /// What holds, whoever has set it.
    in_force: Limits,
    /// The names of the limits that were set or lifted for this profile.
    own: Vec<&'static str>,
    /// The names of the limits that it was created with (`calls.new_profiles`); they hold while the installation's are not
    /// tighter. Limits in neither list are the installation's.
    begun_with: Vec<&'static str>,
}

impl GuardView {
    fn of(caller: &Caller, profile: &Profile, currency: &str) -> Self {
        let own = &profile.guard;
        let is_own = [
            ("hour_cap", own.hour_cap.is_own()),
            ("day_cap", own.day_cap.is_own()),
            ("highest_rate", own.highest_rate.is_own()),
            ("allowed_countries", own.allowed.is_own()),
            ("denied_countries", own.denied.is_own()),
            ("calls_to_one_country", own.calls_to_one_country.is_own()),
            ("longest_call_s", own.longest_call_s.is_own()),
            ("calls_per_second", own.calls_per_second.is_own()),
            ("premium", own.premium.is_own()),
            ("warn_percent", own.warn_percent.is_own()),
        ];
        let own = is_own.into_iter().filter(|(_, is_own)| *is_own).map(|(name, _)| name).collect();
        let begun_with = caller.store().limits_begun_with(profile);
        Self { in_force: Limits::of(caller.store().spend_guard(profile), currency), own, begun_with }
    }
}

/// One limit of a change: null returns to the installation's, `"none"` lifts it, anything else sets it.
enum Setting<T> {
    Inherited,
    Lifted,
    Set(T),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self::Inherited),
            Value::String(word) if word == "none" => Ok(Self::Lifted),
            value => {
                objects::deserialize(value).map(Self::Set).map_err(|error| with_the_words(error.into_inner()))
            }
        }
    }
}

fn with_the_words<E: de::Error>(error: impl Display) -> E {
    E::custom(format!("{error}; \"none\" lifts the limit, null returns to the installation's"))
}

/// The rule for premium numbers, `none`, or null.
fn premium_or_none() -> RefOr<Schema> {
    let words = Premium::ALL.iter().map(|rule| rule.word()).chain(["none"]).map(Some).chain([None]);
    let kind = SchemaType::from_iter([Type::String, Type::Null]);
    RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(kind).enum_values(Some(words)).build()))
}

/// Limits to change; what is left out stays. Null returns to the installation's limit, `"none"` lifts it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SpendGuardChange)]
struct GuardChange {
    /// Most that calls may cost in an hour (UTC).
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<MoneyOrNone>)]
    hour_cap: Option<Setting<Money>>,
    /// Most that calls may cost in a day (UTC).
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<MoneyOrNone>)]
    day_cap: Option<Setting<Money>>,
    /// Highest price of a minute.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<MoneyOrNone>)]
    highest_rate: Option<Setting<Money>>,
    /// The only countries that may be called, by their two letters.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    allowed_countries: Option<Setting<Vec<Country>>>,
    /// Countries that may not be called.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    denied_countries: Option<Setting<Vec<Country>>>,
    /// Most calls at once to one country.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    calls_to_one_country: Option<Setting<u32>>,
    /// Longest call in seconds.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    longest_call_s: Option<Setting<u32>>,
    /// Most calls a second that may begin, refused and repeated ones included; 0 lifts the limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    calls_per_second: Option<Setting<u32>>,
    /// Whether premium numbers may be called; `none` lifts the limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = premium_or_none)]
    premium: Option<Setting<Premium>>,
    /// Share of a cap, percent, at which the operator is warned.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u8>)]
    warn_percent: Option<Setting<u8>>,
}

fn set<T, U>(change: Option<Setting<T>>, before: Override<U>, read: impl Fn(T) -> U) -> Override<U> {
    match change {
        None => before,
        Some(Setting::Inherited) => Override::Inherited,
        Some(Setting::Lifted) => Override::Lifted,
        Some(Setting::Set(own)) => Override::Set(read(own)),
    }
}

/// 0 is no limit.
fn set_call_rate(change: Option<Setting<u32>>, before: Override<NonZeroU32>) -> Override<NonZeroU32> {
    match change {
        Some(Setting::Set(most)) => NonZeroU32::new(most).map_or(Override::Lifted, Override::Set),
        change => set(change, before, |_| NonZeroU32::MIN),
    }
}

impl GuardChange {
    /// Refuses amounts of another currency than the company's.
    fn refuse_other_currency(&self, company: &Company) -> Result<(), Problem> {
        let amounts =
            [("hour_cap", &self.hour_cap), ("day_cap", &self.day_cap), ("highest_rate", &self.highest_rate)];
        for (field, setting) in amounts {
            if let Some(Setting::Set(amount)) = setting {
                amount.paid_by(company, field)?;
            }
        }
        Ok(())
    }

    fn over(self, before: GuardOverrides) -> GuardOverrides {
        let amount = |money: Money| -> Micros { money.amount() };
        let countries = |all: Vec<Country>| all.into_iter().collect::<Countries>();
        GuardOverrides {
            hour_cap: set(self.hour_cap, before.hour_cap, amount),
            day_cap: set(self.day_cap, before.day_cap, amount),
            highest_rate: set(self.highest_rate, before.highest_rate, amount),
            allowed: set(self.allowed_countries, before.allowed, countries),
            denied: set(self.denied_countries, before.denied, countries),
            calls_to_one_country: set(self.calls_to_one_country, before.calls_to_one_country, |n| n),
            longest_call_s: set(self.longest_call_s, before.longest_call_s, |s| s),
            calls_per_second: set_call_rate(self.calls_per_second, before.calls_per_second),
            premium: set(self.premium, before.premium, |rule| rule),
            warn_percent: set(self.warn_percent, before.warn_percent, |percent| percent),
        }
    }
}

/// Whoever steals an administrator's token must not lift what is there against thieves.
fn refuse_loosening(caller: &Caller, profile: &Profile, guard: GuardOverrides) -> Result<(), Problem> {
    let before = caller.store().spend_guard(profile);
    let after = caller.store().spend_guard(&Profile { guard, ..profile.clone() });
    let Some(limit) = after.loosened_from(&before) else { return Ok(()) };
    let sentence = format!("only an operator loosens {limit}; an administrator may tighten it");
    Err(Problem::new(StatusCode::FORBIDDEN, "operator_only", sentence).at(limit))
}

/// Show a profile's spend guard
#[utoipa::path(
    get, path = "/profiles/{profile}/spend-guard", tag = TAG, params(("profile" = i64, Path)),
    responses((status = 200, body = GuardView)),
)]
async fn show_spend_guard(caller: Caller, Path(profile): Path<ProfileId>) -> Answer<GuardView> {
    let (profile, company) = caller.profile_and_company(profile).await?;
    Ok(Json(GuardView::of(&caller, &profile, &company.currency)))
}

/// Change a profile's spend guard
///
/// An administrator may only make limits tighter than they are.
#[utoipa::path(
    patch, path = "/profiles/{profile}/spend-guard", tag = TAG, params(("profile" = i64, Path)),
    request_body = GuardChange,
    responses((status = 200, body = GuardView)),
)]
async fn change_spend_guard(
    caller: Caller,
    Path(profile): Path<ProfileId>,
    Body(change): Body<GuardChange>,
) -> Answer<GuardView> {
    let (profile, company) = caller.profile_and_company(profile).await?;
    change.refuse_other_currency(&company)?;
    let amend = |before: Profile| {
        let guard = change.over(before.guard);
        if caller.role != Role::Operator {
            refuse_loosening(&caller, &before, guard)?;
        }
        Ok::<_, Problem>(guard)
    };
    let store = caller.acting_on(profile.company);
    store.amend_spend_guard(storage::now(), profile.id, amend).await?;
    let (profile, company) = caller.profile_and_company(profile.id).await?;
    Ok(Json(GuardView::of(&caller, &profile, &company.currency)))
}

/// Let a profile spend on
///
/// The caps of this hour and day start again from zero now.
#[utoipa::path(
    post, path = "/profiles/{profile}/spend-guard/release", tag = TAG, security(("token" = ["operate"])), params(("profile" = i64, Path)),
    responses((status = 204)),
)]
async fn release_spend_guard(caller: Caller, Path(profile): Path<ProfileId>) -> Result<StatusCode, Problem> {
    let profile = caller.profile(profile).await?;
    caller.acting_on(profile.company).release_spend_guard(storage::now(), profile.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_limit_is_left_inherited_lifted_or_set() {
        let before = GuardOverrides {
            day_cap: Override::Set(Micros(7)),
            warn_percent: Override::Set(50),
            ..Default::default()
        };
        let body = json!({
            "hour_cap": {"amount": "20.00", "currency": "USD"}, "warn_percent": null, "longest_call_s": "none", "denied_countries": ["cu"],
            "calls_per_second": 0,
        });
        let after = serde_json::from_value::<GuardChange>(body).unwrap().over(before);
        assert_eq!(after.hour_cap, Override::Set(Micros(20_000_000)));
        assert_eq!((after.day_cap, after.warn_percent), (before.day_cap, Override::Inherited));
        assert_eq!(after.longest_call_s, Override::Lifted);
        assert_eq!(after.calls_per_second, Override::Lifted);
        assert_eq!(after.denied.to_string(), "CU");
        let wrong = serde_json::from_value::<GuardChange>(json!({"longest_call_s": "long"}))
            .err()
            .unwrap()
            .to_string();
        assert!(wrong.contains("\"none\" lifts the limit"), "{wrong}");
    }
}
