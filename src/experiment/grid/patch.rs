//! Putting the values of a combination into an evaluation file.

use crate::config::Assignment;
use crate::experiment::settings::EvalFile;
use serde_json::Value;

/// An evaluation file, and assignments to fields of its strategy and tasks.
#[derive(Debug, Clone)]
pub(super) struct Patched {
    pub(super) file: EvalFile,
    pub(super) sets: Vec<Assignment>,
}

/// Assigns `values` to paths one after another. The error is the path and what is wrong with it.
pub(super) fn patch(
    base: &EvalFile,
    values: &[(String, Value)],
) -> Result<Patched, (String, String)> {
    let mut whole = serde_json::to_value(base).unwrap_or_default();
    let mut sets = Vec::new();
    for (path, value) in values {
        let refuse = |reason: String| (path.clone(), reason);
        let inside = path.starts_with("strategy.") || path.starts_with("task.");
        if inside {
            let set = Assignment::new(path, value.clone());
            sets.push(set.map_err(|error| refuse(error.to_string()))?);
            continue;
        }
        put(&mut whole, path, value.clone()).map_err(refuse)?;
    }
    let file = serde_json::from_value(whole.clone()).map_err(|error| {
        // The value that does not fit is one of ours: the base could be read.
        let alone = |(path, value): &&(String, Value)| {
            let mut one = serde_json::to_value(base).unwrap_or_default();
            let inside = path.starts_with("strategy.") || path.starts_with("task.");
            !inside
                && put(&mut one, path, value.clone()).is_ok()
                && serde_json::from_value::<EvalFile>(one).is_err()
        };
        let path = values.iter().find(alone).map(|(path, _)| path.clone());
        (path.unwrap_or_default(), error.to_string())
    })?;
    Ok(Patched { file, sets })
}

fn put(whole: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let mut here = whole;
    for part in path.split('.') {
        let Some(fields) = here.as_object_mut() else {
            return Err(format!("`{part}` is inside a value that has no fields"));
        };
        if !fields.contains_key(part) {
            let known: Vec<&str> = fields.keys().map(String::as_str).collect();
            return Err(format!(
                "no field `{part}`: expected one of {}; or strategy.FIELD, task.FIELD",
                known.join(", ")
            ));
        }
        here = &mut fields[part];
    }
    *here = value;
    Ok(())
}
