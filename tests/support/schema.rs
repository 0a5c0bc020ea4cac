//! Compares JSON with a JSON Schema, as far as the schemas in docs/ use it. A keyword that it
//! does not know is an error, so that nothing of a schema goes unheeded.

use serde_json::Value;

const ABOUT: &[&str] = &[
    "$schema",
    "$defs",
    "$id",
    "title",
    "description",
    "default",
    "examples",
];

/// What in a value is not as the schema says, each with its place.
pub fn differences(value: &Value, schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(value, schema, schema, "", &mut found);
    found
}

fn compare(value: &Value, schema: &Value, root: &Value, at: &str, found: &mut Vec<String>) {
    let matches = |one: &Value| {
        let mut found = Vec::new();
        compare(value, one, root, at, &mut found);
        found.is_empty()
    };
    let Some(keywords) = schema.as_object() else {
        found.push(format!("{at}: the schema is no object"));
        return;
    };
    for (keyword, said) in keywords {
        let mut bad = |is_bad: bool| {
            if is_bad {
                found.push(format!("{at}: {value} is not {keyword} {said}"));
            }
        };
        match keyword.as_str() {
            "$ref" => {
                let name = said.as_str().unwrap_or_default();
                let one = root.pointer(name.trim_start_matches('#'));
                match one {
                    Some(one) => compare(value, one, root, at, found),
                    None => found.push(format!("{at}: the schema has no {name}")),
                }
            }
            "type" => bad(!types(said).iter().any(|kind| is_of(value, kind))),
            "enum" => bad(!said.as_array().is_some_and(|all| all.contains(value))),
            "const" => bad(value != said),
            "minimum" => bad(value.as_f64() < said.as_f64() && value.is_number()),
            "maximum" => bad(value.as_f64() > said.as_f64() && value.is_number()),
            "minProperties" => bad(value
                .as_object()
                .is_some_and(|it| it.len() < said.as_u64().unwrap_or_default() as usize)),
            "anyOf" => bad(!said.as_array().into_iter().flatten().any(matches)),
            "required" => {
                let keys = said.as_array().into_iter().flatten();
                let mut keys = keys.filter_map(Value::as_str);
                bad(value.is_object() && keys.any(|key| value.get(key).is_none()));
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                let object = value.as_object().into_iter().flatten();
                let others = object
                    .filter(|(key, _)| known.and_then(|known| known.get(key.as_str())).is_none());
                for (key, inner) in others {
                    match said {
                        Value::Bool(true) => {}
                        Value::Bool(false) => found.push(format!("{at}/{key}: not known")),
                        one => compare(inner, one, root, &format!("{at}/{key}"), found),
                    }
                }
            }
            "properties" => {
                for (key, one) in said.as_object().into_iter().flatten() {
                    if let Some(inner) = value.get(key) {
                        compare(inner, one, root, &format!("{at}/{key}"), found);
                    }
                }
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    compare(item, said, root, &format!("{at}/{number}"), found);
                }
            }
            other if ABOUT.contains(&other) => {}
            other => found.push(format!("{other} of a schema is not known here")),
        }
    }
}

fn types(said: &Value) -> Vec<&str> {
    match said {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    }
}
