//! Schemas of settings that are one of a few words, of numbers of identity, and of what is set over a default.

use provisioning_store::cdr::{CallKind, Direction};
use provisioning_store::ledger::{CapState, Payer, TransferKind, Window};
use provisioning_store::lifecycle::Renewal;
use provisioning_store::model::{
    Authentication, CallerIdByCall, ClaimState, DigestAlgorithms, NumberFormat, NumberPresentation,
    PaymentCause, PaymentState, Premium, Srtp, Switch, Transport, Trust,
};
use provisioning_store::tokens::RoleKind;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Object, RefOr};

/// A setting whose words are known.
pub(super) trait Choice: 'static {
    /// All of them.
    fn words() -> Vec<&'static str>;
}

macro_rules! choices {
    ($($setting:ty),+ $(,)?) => {$(
        impl Choice for $setting {
            fn words() -> Vec<&'static str> {
                Self::ALL.iter().map(|choice| choice.word()).collect()
            }
        }
    )+};
}

choices!(
    Authentication,
    CallKind,
    CallerIdByCall,
    CapState,
    ClaimState,
    DigestAlgorithms,
    Direction,
    NumberFormat,
    NumberPresentation,
    Payer,
    PaymentCause,
    PaymentState,
    Premium,
    Renewal,
    RoleKind,
    Srtp,
    Switch,
    TransferKind,
    Transport,
    Trust,
    Window,
);

/// The schema of one of a setting's words.
pub(super) fn word<T: Choice>() -> RefOr<Schema> {
    RefOr::T(Schema::Object(text(T::words())))
}

/// The schema of one of a setting's words, or nothing.
pub(super) fn word_if_any<T: Choice>() -> RefOr<Schema> {
    let words = T::words().into_iter().map(Some).chain([None]);
    let kind = SchemaType::from_iter([Type::String, Type::Null]);
    RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(kind).enum_values(Some(words)).build()))
}

/// The schema of the word for where a profile is in its life.
pub(super) fn profile_state() -> RefOr<Schema> {
    RefOr::T(Schema::Object(text(vec!["not_subscribed", "active", "cancelled", "disabled"])))
}

fn text(words: Vec<&'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}
