//! `configs/schema.json` is what the program prints, and it judges as the program does.

use serde_json::{Value, json};
use smartkv::config::{SHIPPED, from_yaml};
use smartkv_core::registry::{self, Kind};
use smartkv_core::schema::document;

/// Whether `value` is what `schema` asks for: the keywords that our schemas have.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let each = |keyword: &str| schema[keyword].as_array().into_iter().flatten();
    let count = |keyword: &str| each(keyword).filter(|s| accepts(root, s, value)).count();
    let bound = |keyword: &str, holds: fn(&f64, &f64) -> bool| {
        let (bound, number) = (schema[keyword].as_f64(), value.as_f64());
        bound
            .zip(number)
            .is_none_or(|(bound, number)| holds(&number, &bound))
    };
    if let Some(target) = schema["$ref"].as_str() {
        let target = target.strip_prefix('#').expect("a reference within");
        return accepts(root, root.pointer(target).expect("it is defined"), value);
    }
    let kind = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some(other) => panic!("type {other}"),
    };
    let fields = value.as_object().is_none_or(|object| {
        let known = schema["properties"].as_object();
        let open = schema["additionalProperties"] != json!(false);
        object.iter().all(
            |(key, value)| match known.and_then(|known| known.get(key)) {
                Some(property) => accepts(root, property, value),
                None => open,
            },
        )
    });
    let items = value.as_array().is_none_or(|items| {
        let bounds = [("minItems", 0), ("maxItems", usize::MAX)];
        let [least, most] = bounds.map(|(key, none)| {
            schema[key]
                .as_u64()
                .map_or(none, |n| usize::try_from(n).expect("small"))
        });
        let each = |item| schema.get("items").is_none_or(|s| accepts(root, s, item));
        (least..=most).contains(&items.len()) && items.iter().all(each)
    });
    kind && fields
        && items
        && bound("minimum", f64::ge)
        && bound("maximum", f64::le)
        && bound("exclusiveMinimum", f64::gt)
        && bound("exclusiveMaximum", f64::lt)
        && schema.get("const").is_none_or(|constant| constant == value)
        && each("required").all(|key| value.get(key.as_str().expect("a name")).is_some())
        && count("allOf") == each("allOf").count()
        && (schema.get("anyOf").is_none() || count("anyOf") > 0)
        && (schema.get("oneOf").is_none() || count("oneOf") == 1)
}

fn judge(root: &Value, value: &Value) -> bool {
    accepts(root, root, value)
}

#[test]
fn the_committed_schema_is_what_the_program_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/schema.json");
    let text = std::fs::read_to_string(path).unwrap();
    let committed: Value = serde_json::from_str(&text).unwrap();
    assert!(
        committed == document(None).unwrap(),
        "a plugin has changed: cargo run -- strategies --json-schema > configs/schema.json"
    );
}

#[test]
fn every_default_and_every_shipped_file_is_accepted() {
    let all = document(None).unwrap();
    for &kind in Kind::ALL {
        for entry in registry::entries(kind) {
            let schema = document(Some(entry)).unwrap();
            let config = entry.configuration().unwrap();
            assert!(judge(&schema, &config), "{}: {config}", entry.name);
            assert_eq!(judge(&all, &config), kind == Kind::Strategy, "{config}");
        }
    }
    for (name, text) in SHIPPED {
        let config: Value = from_yaml(text, name).unwrap();
        assert!(judge(&all, &config), "{config}");
    }
}

#[test]
fn what_the_program_refuses_the_schema_refuses() {
    let all = document(None).unwrap();
    for config in [
        json!({"type": "unknown"}),
        json!({}),
        json!({"type": "uniform", "bits": 4}),
        json!({"type": "uniform", "key_bits": "4"}),
        json!({"type": "uniform", "key_bits": -1}),
        json!({"type": "uniform", "rotate": 1}),
        json!({"type": "smartkv", "tracker": {"type": "marginal"}}),
        json!({"type": "smartkv", "tracker": {"type": "ema", "decay": 1}}),
        json!({"type": "smartkv", "realloc_every": 0}),
        json!({"type": "smartkv", "bits": [[8, 4, 2]]}),
    ] {
        assert!(!judge(&all, &config), "{config}");
        assert!(registry::strategy(&config).is_err(), "{config}");
    }
}
