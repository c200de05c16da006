//! `tests/golden/wandb.json`: what the W&B client was recorded to send, and the means to compare.

use serde_json::{Map, Value};

/// One exchange of a scenario.
pub(crate) struct Exchange(Value);

impl Exchange {
    pub(crate) fn get(&self, field: &str) -> &Value {
        &self.0[field]
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.0["path"].as_str().unwrap().ends_with("/file_stream")
    }
}

/// The exchanges of a scenario, in their order.
pub(crate) fn scenario(name: &str) -> Vec<Exchange> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/wandb.json");
    let all: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let ours = all
        .into_iter()
        .filter(|row| row["scenario"] == name)
        .map(Exchange);
    let ours: Vec<Exchange> = ours.collect();
    assert!(!ours.is_empty(), "no scenario `{name}`");
    ours
}

/// The variables of the first operation `name`.
pub(crate) fn variables(exchanges: &[Exchange], name: &str) -> Value {
    let found = exchanges
        .iter()
        .find(|one| one.0["body"]["operationName"] == name);
    found.unwrap().0["body"]["variables"].clone()
}

/// Lines of a file of the stream, in the order of their offsets.
pub(crate) fn lines(exchanges: &[Exchange], file: &str) -> Vec<(u64, String)> {
    let mut lines = Vec::new();
    for one in exchanges
        .iter()
        .filter(|one| one.is_stream() && one.0["status"] == 200)
    {
        let part = &one.0["body"]["files"][file];
        let offset = part["offset"].as_u64().unwrap_or(0);
        let content = part["content"].as_array().into_iter().flatten();
        lines.extend((offset..).zip(content.map(|line| line.as_str().unwrap().to_owned())));
    }
    lines
}

/// Extended JSON, in which numbers that JSON lacks become the texts `NaN`, `Infinity` and
/// `-Infinity`, and numbers are floats.
pub(crate) fn extended(text: &str) -> Map<String, Value> {
    let mut plain = String::new();
    for (index, part) in unescaped(text).into_iter().enumerate() {
        // Outside of quotes, words are numbers.
        if index % 2 == 1 {
            plain.extend(["\"", &part, "\""]);
            continue;
        }
        let marked = part
            .replace("-Infinity", "\"minus\"")
            .replace("Infinity", "\"Infinity\"");
        plain.push_str(
            &marked
                .replace("\"minus\"", "\"-Infinity\"")
                .replace("NaN", "\"NaN\""),
        );
    }
    let value: Value =
        serde_json::from_str(&plain).unwrap_or_else(|error| panic!("{error}: {text}"));
    let Value::Object(fields) = floats(value) else {
        panic!("no object: {text}")
    };
    fields
}

/// Text outside and inside of quotes by turns.
fn unescaped(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => parts.push(String::new()),
            '\\' => {
                let part = parts.last_mut().unwrap();
                part.push(letter);
                part.extend(letters.next());
            }
            _ => parts.last_mut().unwrap().push(letter),
        }
    }
    parts
}

/// `1` and `1.0` are the same.
pub(crate) fn floats(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().unwrap().into(),
        Value::Array(items) => items.into_iter().map(floats).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| (key, floats(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

/// What stands where in a body: fields and types, and nothing of what lines say.
pub(crate) fn shape(body: &Value) -> Value {
    match body {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "text".into(),
        Value::Array(items) => items.iter().map(shape).take(1).collect(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.clone(), shape(value)));
            Value::Object(fields.collect())
        }
    }
}
