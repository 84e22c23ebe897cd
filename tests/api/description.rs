//! The API's description as a client reads it: operations, schemas, and whether a value keeps to one.

use serde_json::Value;

/// The whole document.
pub(crate) struct Description(pub(crate) Value);

/// One operation of it.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) said: Value,
}

impl Operation {
    /// Method and path.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The parameters of a place: `path`, `query` or `header`.
    pub(crate) fn parameters(&self, place: &str) -> Vec<&Value> {
        let all = self.said["parameters"].as_array();
        all.into_iter().flatten().filter(|parameter| parameter["in"] == place).collect()
    }

    /// The type and the schema of its body.
    pub(crate) fn body(&self) -> Option<(&String, &Value)> {
        let (kind, content) = self.said["requestBody"]["content"].as_object()?.iter().next()?;
        Some((kind, &content["schema"]))
    }

    /// Whether it asks for a token.
    pub(crate) fn is_public(&self) -> bool {
        self.said["security"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == &serde_json::json!({})))
    }
}

impl Description {
    pub(crate) fn operations(&self) -> Vec<Operation> {
        let mut found = Vec::new();
        for (path, operations) in self.0["paths"].as_object().unwrap() {
            for (method, said) in operations.as_object().unwrap() {
                found.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    said: said.clone(),
                });
            }
        }
        found
    }

    /// What stands behind a reference, or the thing itself.
    pub(crate) fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').unwrap();
                self.resolved(self.0.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere")))
            }
            None => value,
        }
    }

    /// Why an answer is none of those that the operation documents; `None` if it is one.
    pub(crate) fn undocumented(
        &self,
        operation: &Operation,
        (status, kind, body): (u16, &str, &str),
    ) -> Option<String> {
        let Some(answer) = operation.said["responses"].get(status.to_string()) else {
            return Some(format!("{status} is not documented"));
        };
        let Some(content) = self.resolved(answer)["content"].as_object() else {
            return (!body.is_empty()).then(|| "there is a body, and none is documented".to_owned());
        };
        let Some(schema) = content.get(kind).map(|content| &content["schema"]) else {
            return Some(format!("{kind} is not documented for {status}"));
        };
        if kind == "text/csv" {
            return (!body.contains(',')).then(|| "the file has no columns".to_owned());
        }
        let value: Value = match serde_json::from_str(body) {
            Ok(value) => value,
            Err(error) => return Some(format!("the body is no JSON: {error}")),
        };
        self.fault(schema, &value, "body")
    }

    /// Where a value does not keep to a schema; `None` if it does.
    pub(crate) fn fault(&self, schema: &Value, value: &Value, place: &str) -> Option<String> {
        let schema = self.resolved(schema);
        let choices = |key: &str| schema[key].as_array();
        if let Some(all) = choices("allOf")
            && let Some(fault) = all.iter().find_map(|one| self.fault(one, value, place))
        {
            return Some(fault);
        }
        if let Some(any) = choices("oneOf").or_else(|| choices("anyOf")) {
            let faults: Vec<_> = any.iter().filter_map(|one| self.fault(one, value, place)).collect();
            return (faults.len() == any.len())
                .then(|| format!("{place} is none of the choices: {faults:?}"));
        }
        if let Some(words) = choices("enum")
            && !words.contains(value)
        {
            return Some(format!("{place} is {value}, which is not one of {words:?}"));
        }
        if !types(schema).is_empty() && !types(schema).iter().any(|kind| is_of(kind, value)) {
            return Some(format!("{place} is {value}, which is not of {:?}", types(schema)));
        }
        match value {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(i, item)| self.fault(&schema["items"], item, &format!("{place}[{i}]"))),
            Value::Object(fields) => self.object_fault(schema, fields, place),
            Value::String(text) if schema["format"] == "date-time" => {
                text.parse::<jiff::Timestamp>().err().map(|error| format!("{place} is no time: {error}"))
            }
            _ => None,
        }
    }

    fn object_fault(
        &self,
        schema: &Value,
        fields: &serde_json::Map<String, Value>,
        place: &str,
    ) -> Option<String> {
        let properties = schema["properties"].as_object()?;
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for name in required {
            if !fields.contains_key(name) {
                return Some(format!("{place}.{name} is missing"));
            }
        }
        for (name, value) in fields {
            let Some(property) = properties.get(name) else {
                return Some(format!("{place}.{name} is not documented"));
            };
            if let Some(fault) = self.fault(property, value, &format!("{place}.{name}")) {
                return Some(fault);
            }
        }
        None
    }
}

/// The types that a schema allows; none if it allows all.
pub(crate) fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[test]
fn a_value_that_does_not_keep_to_its_schema_is_found_out() {
    use serde_json::json;
    let none = Description(json!({"components": {"schemas": {"Id": {"type": "integer"}}}}));
    let schema = json!({
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {"$ref": "#/components/schemas/Id"},
            "word": {"oneOf": [{"type": "null"}, {"type": "string", "enum": ["a"]}]},
            "at": {"type": "string", "format": "date-time"},
        }
    });
    for right in [json!({"id": 1}), json!({"id": 1, "word": null, "at": "2026-03-01T08:00:00Z"})] {
        assert_eq!(none.fault(&schema, &right, "body"), None);
    }
    for wrong in [
        json!({}),
        json!({"id": "1"}),
        json!({"id": 1, "word": "b"}),
        json!({"id": 1, "x": 1}),
        json!({"id": 1, "at": "now"}),
    ] {
        assert!(none.fault(&schema, &wrong, "body").is_some(), "{wrong}");
    }
}
