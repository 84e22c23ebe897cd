//! What the API's description says of an operation, as far as it has to be enforced: the document is the rule, so the two
//! cannot differ.

use std::collections::HashMap;

use axum::http::Method;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use super::power::Kind;
use super::{BASE, once};

/// What holds for one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Whether a token has to be shown.
    pub(super) needs_token: bool,
    /// What it is, which the role of the token has to allow.
    pub(super) kind: Kind,
    /// Whether it takes an Idempotency-Key.
    pub(super) is_once: bool,
    /// Whether its body is a table, which may be long.
    pub(super) takes_csv: bool,
}

/// The rules of all operations, by method and path.
pub(super) struct Contract(HashMap<(Method, String), Rules>);

impl Contract {
    /// Reads them from the description.
    pub(super) fn of(document: &OpenApi) -> Self {
        let document = serde_json::to_value(document).expect("a description has a JSON form");
        let mut rules = HashMap::new();
        for (path, operations) in members(&document["paths"]) {
            for (method, operation) in members(operations) {
                let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
                rules.insert((method, format!("{BASE}{path}")), Rules::of(operation));
            }
        }
        Self(rules)
    }

    /// What holds for a request; `None` where there is no such operation.
    pub(super) fn rules(&self, method: &Method, path: &str) -> Option<Rules> {
        // What may be read may be asked about.
        let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
        self.0.get(&(method, path.to_owned())).copied()
    }
}

impl Rules {
    fn of(operation: &Value) -> Self {
        let requirements = operation["security"].as_array();
        let mut kinds = requirements.into_iter().flatten().flat_map(|one| one["token"].as_array()).flatten();
        let parameters = operation["parameters"].as_array();
        Self {
            needs_token: requirements.is_none_or(|all| !all.contains(&Value::Object(Default::default()))),
            // Where it says nothing that is known, operators are on the safe side.
            kind: kinds.next().and_then(Value::as_str).and_then(Kind::of).unwrap_or(Kind::Operate),
            takes_csv: operation["requestBody"]["content"].get("text/csv").is_some(),
            is_once: parameters.into_iter().flatten().any(|one| one["name"] == once::KEY),
        }
    }
}

/// The members of an object; none if it is something else.
pub(super) fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
