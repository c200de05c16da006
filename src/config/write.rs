//! Configurations as YAML text, the way a person would write them.

use serde_json::Value;
use std::fmt::Write as _;

/// A configuration as YAML: mappings in blocks, keys in their order, lists of plain values on one
/// line.
#[must_use]
pub fn to_yaml(config: &Value) -> String {
    let mut text = String::new();
    block(config, 0, &mut text);
    text
}

/// Writes `value` on lines of its own.
fn block(value: &Value, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object {
                let _ = write!(text, "{pad}{}:", plain(key));
                under(value, indent + 2, text);
            }
        }
        Value::Array(items) if !is_flat(value) => {
            for item in items {
                // The first line of an item stands beside its dash.
                let mut lines = String::new();
                block(item, indent + 2, &mut lines);
                let _ = write!(text, "{pad}- {}", lines.trim_start());
            }
        }
        flat => {
            let _ = writeln!(text, "{pad}{}", flow(flat));
        }
    }
}

/// Writes `value` after a key: on the same line, or below.
fn under(value: &Value, indent: usize, text: &mut String) {
    if is_flat(value) {
        let _ = writeln!(text, " {}", flow(value));
    } else {
        text.push('\n');
        block(value, indent, text);
    }
}

/// Whether it is written on one line: no mapping with fields in it.
fn is_flat(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.is_empty(),
        Value::Array(items) => items.iter().all(is_flat),
        _ => true,
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// Words as they are; everything that could be read as something else in quotes, as JSON has them.
fn plain(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let other = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if word && !other.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_string()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_yaml;
    use serde_json::json;

    #[test]
    fn it_reads_as_written() {
        let config = json!({
            "type": "wrap",
            "bits": [[8, 4], [4, 4]],
            "inner": {"type": "a-b", "empty": [], "none": null, "half": 0.5},
            "parts": [{"type": "x", "over": true, "deep": {"y": 1}}, {"type": "z"}],
            "words": ["no", "3", "a: b", "", "ünï \"q\""],
            "unit": {},
        });
        let text = to_yaml(&config);
        assert!(
            text.contains("\nbits: [[8, 4], [4, 4]]\ninner:\n  type: a-b\n"),
            "{text}"
        );
        assert!(
            text.contains("\nparts:\n  - type: x\n    over: true\n"),
            "{text}"
        );
        let again: Value = from_yaml(&text, "written").unwrap();
        assert_eq!(again, config, "{text}");
    }
}
