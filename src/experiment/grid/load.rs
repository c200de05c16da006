//! Reading a grid and the files it includes.

use crate::config::{ConfigError, from_yaml};
use crate::experiment::error::ExperimentError;
use serde_json::{Map, Value};
use std::path::{Component, Path, PathBuf};

/// Grids that come with the program: name, path below `configs/`, text.
pub const SHIPPED_GRIDS: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/grids.rs"));

/// The file a grid was read from and what it says, with all it includes.
pub(super) fn load(name: &str) -> anyhow::Result<(String, Value)> {
    let (place, text) = open(name, None)?;
    let value = merged(&place, &text, &mut Vec::new())?;
    Ok((place.0.display().to_string(), value))
}

/// Where a grid stands: on the disk, or among those in the program.
#[derive(Clone, PartialEq)]
struct Place(PathBuf, bool);

/// Finds a grid: beside the one that includes it, at a path, or by name in the program.
fn open(name: &str, from: Option<&Place>) -> Result<(Place, String), anyhow::Error> {
    let shipped = |path: &Path| {
        let text = SHIPPED_GRIDS
            .iter()
            .find(|(known, file, _)| Path::new(file) == path || Path::new(known) == path);
        text.map(|(_, file, text)| (Place(PathBuf::from(file), true), (*text).to_string()))
    };
    let missing = || ExperimentError::NoGrid {
        name: name.to_string(),
        from: from.map(|place| place.0.display().to_string()),
        known: SHIPPED_GRIDS
            .iter()
            .filter(|(known, ..)| !known.is_empty())
            .map(|(known, ..)| (*known).to_string())
            .collect(),
    };
    let path = match from {
        Some(Place(file, _)) => clean(&file.with_file_name("").join(name)),
        None => PathBuf::from(name),
    };
    if from.is_some_and(|place| place.1) {
        return shipped(&path).ok_or_else(|| missing().into());
    }
    if path.is_file() {
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
        })?;
        return Ok((Place(path, false), text));
    }
    shipped(Path::new(name)).ok_or_else(|| missing().into())
}

/// A path without `.` and `a/..`.
fn clean(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(parts.components().next_back(), Some(Component::Normal(_))) =>
            {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

/// The grid of `text` over those it includes, in their order.
fn merged(place: &Place, text: &str, above: &mut Vec<Place>) -> anyhow::Result<Value> {
    let file = place.0.display().to_string();
    let mut own: Value = from_yaml(text, &file)?;
    let refuse = |part: &str, reason: &str| ExperimentError::Grid {
        grid: file.clone(),
        part: part.to_string(),
        reason: reason.to_string(),
    };
    let Some(map) = own.as_object_mut() else {
        return Err(refuse("grid", "expected a mapping with `base` and `axes`").into());
    };
    let names = match map.shift_remove("include") {
        None => Vec::new(),
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => {
            let names: Option<Vec<String>> = names
                .iter()
                .map(|name| Some(name.as_str()?.to_string()))
                .collect();
            names.ok_or_else(|| refuse("include", "expected names of files"))?
        }
        Some(_) => return Err(refuse("include", "expected a file or a list of files").into()),
    };
    above.push(place.clone());
    let mut all = Value::Object(Map::new());
    for name in names {
        let (included, text) = open(&name, Some(place))?;
        if above.contains(&included) {
            let chain = above.iter().chain([&included]);
            let chain = chain.map(|place| place.0.display().to_string()).collect();
            return Err(ExperimentError::Cycle { chain }.into());
        }
        lay_over(&mut all, merged(&included, &text, above)?);
    }
    above.pop();
    lay_over(&mut all, own);
    Ok(all)
}

/// Mappings field by field, everything else whole.
pub(super) fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                // A configuration replaces what was there.
                let whole = value.get("type").is_some();
                match under.get_mut(&key).filter(|_| !whole) {
                    // An axis or variant is written anew, not mixed with what it was.
                    Some(Value::Object(slot)) if key == "axes" || key == "variants" => {
                        match value {
                            Value::Object(over) => slot.extend(over),
                            other => {
                                under.insert(key, other);
                            }
                        }
                    }
                    Some(slot) => lay_over(slot, value),
                    None => {
                        under.insert(key, value);
                    }
                }
            }
        }
        (under, over) => *under = over,
    }
}
