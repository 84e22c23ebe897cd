//! Bodies whose shape is another than the description has: each is refused, and the field is named.

use serde_json::{Map, Value, json};

use crate::business::{event, now};
use crate::description::{Description, Operation, types};
use crate::house::{Ask, House, OPERATOR, Said};

/// A body with every field that a schema has, each of the type that it wants.
pub(crate) fn full(description: &Description, schema: &Value, name: &str) -> Value {
    let schema = description.resolved(schema);
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        let is_something = |choice: &&Value| description.resolved(choice)["type"] != "null";
        let choice = choices.iter().find(is_something).expect("a choice is something");
        return full(description, choice, name);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().filter_map(|part| full(description, part, name).as_object().cloned());
        return Value::Object(parts.flatten().collect());
    }
    if let Some(words) = schema["enum"].as_array() {
        return words[0].clone();
    }
    match types(schema).into_iter().find(|kind| *kind != "null") {
        Some("integer" | "number") => schema["minimum"].as_i64().unwrap_or(1).max(1).into(),
        Some("boolean") => json!(true),
        Some("array") => json!([full(description, &schema["items"], name)]),
        Some("string") => word(schema, name).into(),
        _ => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let field =
                |(name, property): (&String, &Value)| (name.clone(), full(description, property, name));
            Value::Object(properties.map(field).collect())
        }
    }
}

fn word(schema: &Value, name: &str) -> &'static str {
    match name {
        _ if schema["format"] == "date-time" => "2099-01-01T00:00:00Z",
        "amount" | "fee" | "hour_cap" | "day_cap" | "highest_rate" => "5.00",
        "currency" => "USD",
        "country" | "allowed_countries" | "denied_countries" => "US",
        "number" => "+12025550100",
        "network" | "sources" => "198.18.1.1",
        "host" | "certificate" => "north.example.com",
        "premium" => "deny",
        "prefix" => "9",
        _ => "word",
    }
}

/// Bodies with one change in each place that `change` has one for, and the field of the place.
pub(crate) fn spoilt(
    body: &Value,
    place: &str,
    change: &impl Fn(&Value) -> Option<Value>,
) -> Vec<(String, Value)> {
    let mut all: Vec<_> = change(body).map(|changed| (place.to_owned(), changed)).into_iter().collect();
    let Value::Object(fields) = body else { return all };
    for (name, field) in fields {
        let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        for (place, changed) in spoilt(field, &place, change) {
            let mut fields: Map<_, _> = fields.clone();
            fields.insert(name.clone(), changed);
            all.push((place, Value::Object(fields)));
        }
    }
    all
}

/// Sends a body to an operation, as an operator, or as the payment source where it is the one to speak.
pub(crate) fn send(house: &House, operation: &Operation, body: &Value) -> Said {
    let mut path = operation.path.clone();
    for parameter in operation.parameters("path") {
        path = path.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), "1");
    }
    if operation.is_public() {
        return house.send(&event(body, now()));
    }
    house.send(&Ask::new(&operation.method, &path).token(OPERATOR).json(body))
}

#[test]
fn no_operation_takes_a_list_for_an_object() {
    let house = House::new("42530-42539");
    let description = Description(house.send(&Ask::new("GET", "/openapi.json")).json());
    let as_list = |value: &Value| Some(Value::Array(value.as_object()?.values().cloned().collect()));
    let (mut operations, mut bodies) = (0, 0);
    for operation in description.operations() {
        let Some((_, schema)) = operation.body().filter(|(kind, _)| *kind == "application/json") else {
            continue;
        };
        operations += 1;
        let body = full(&description, schema, "");
        for (field, body) in spoilt(&body, "", &as_list) {
            let said = send(&house, &operation, &body);
            let name = operation.name();
            let problem = said.json();
            let is_said = problem["detail"].as_str().unwrap_or_default().contains("list cannot stand here");
            assert!(said.status == 422 && is_said, "{name} {field} {body}: {said:?}");
            let wanted = if field.is_empty() { "body" } else { &field };
            assert_eq!(problem["field"], wanted, "{name} {body}: {said:?}");
            bodies += 1;
        }
    }
    assert!(operations > 25 && bodies > operations, "{operations} {bodies}");
    house.stop();
}
