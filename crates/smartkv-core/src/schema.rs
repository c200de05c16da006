//! JSON schemas of configurations, for editors.
//!
//! Every plugin is one definition and every kind the choice among its plugins, so that a wrapper
//! that holds a strategy refers to the strategies instead of repeating them without end.

use crate::error::Result;
use crate::registry::{self, Entry, Field, Kind};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Where the choice of a kind is defined.
pub(crate) fn reference(kind: Kind) -> Value {
    json!({"$ref": format!("#/$defs/{}", kind.word())})
}

fn key(entry: &Entry) -> String {
    format!("{}.{}", entry.kind.word(), entry.name)
}

/// The schema of a configuration file: of the plugin `only`, or of any strategy.
///
/// # Errors
/// A plugin whose default configuration does not serialise.
pub fn document(only: Option<&Entry>) -> Result<Value> {
    let root = only.map_or_else(|| Kind::Strategy.word().to_string(), key);
    let mut definitions = Map::new();
    let mut wanted = vec![root.clone()];
    let mut seen = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let definition = define(&name)?;
        references(&definition, &mut wanted);
        definitions.insert(name, definition);
    }
    definitions.sort_keys();
    Ok(json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": only.map_or("smartkv strategy", |entry| entry.name),
        "$ref": format!("#/$defs/{root}"),
        "$defs": definitions,
    }))
}

/// The definition `kind` or `kind.name`.
fn define(name: &str) -> Result<Value> {
    let all = || Kind::ALL.iter().flat_map(|kind| registry::entries(*kind));
    if let Some(entry) = all().find(|entry| key(entry) == name) {
        return plugin(entry);
    }
    let choices: Vec<Value> = all()
        .filter(|entry| entry.kind.word() == name)
        .map(|entry| json!({"$ref": format!("#/$defs/{}", key(entry))}))
        .collect();
    Ok(json!({"type": "object", "required": ["type"], "oneOf": choices}))
}

/// The object that configures one plugin. The name under `type` is a field as any other: schemas
/// composed of two parts would each refuse the fields of the other.
fn plugin(entry: &Entry) -> Result<Value> {
    let example = entry.configuration()?;
    let mut properties = Map::new();
    let name = json!({"const": entry.name, "description": entry.summary()});
    properties.insert("type".to_string(), name);
    for field in entry.fields {
        let default = example.get(field.name).cloned().unwrap_or_default();
        properties.insert(field.name.to_string(), property(field, default));
    }
    Ok(json!({
        "title": entry.name,
        "description": entry.docs,
        "type": "object",
        "properties": properties,
        "required": ["type"],
        "additionalProperties": false,
    }))
}

fn property(field: &Field, default: Value) -> Value {
    let mut schema = (field.schema)();
    if let Some(range) = field.range {
        range.constrain(&mut schema);
    }
    // What stands beside a reference is ignored before the drafts of 2019.
    if schema.get("$ref").is_some() {
        schema = json!({"allOf": [schema]});
    }
    schema["description"] = field.docs.into();
    schema["default"] = default;
    schema
}

/// Names of the definitions that a schema refers to.
fn references(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(target) if key == "$ref" => {
                        names.extend(target.strip_prefix("#/$defs/").map(str::to_string));
                    }
                    // A value, not a schema.
                    _ if key == "default" => {}
                    other => references(other, names),
                }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| references(part, names)),
        _ => {}
    }
}
