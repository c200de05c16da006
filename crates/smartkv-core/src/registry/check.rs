//! What must hold of plugins and their configurations before anything runs.

use super::{Entry, Field, Kind, entries, find};
use crate::error::{Error, Result};
use crate::strategy::Strategy;
use serde_json::Value;

/// Checks the rules of the registry; call it once at start.
///
/// # Errors
/// Two plugins with one name: typetag would make both unusable. A default that its own range does
/// not hold.
pub fn check() -> Result<()> {
    for &kind in Kind::ALL {
        for pair in entries(kind).windows(2) {
            if pair[0].name == pair[1].name {
                return Err(Error::parameter(
                    kind.word(),
                    format!("`{}`", pair[0].name),
                    format!(
                        "registered twice, by `{}` and `{}`: rename one",
                        pair[0].crate_name, pair[1].crate_name
                    ),
                ));
            }
        }
        for entry in entries(kind) {
            plugin(kind, &entry.configuration()?, "").map_err(|error| {
                let what = format!("has a default outside its range: {error}");
                Error::plugin(kind, entry.name, what)
            })?;
        }
    }
    Ok(())
}

/// Every number of a strategy and of its parts lies in the range its declaration gives.
///
/// # Errors
/// The first that does not, by its dotted path.
pub fn check_ranges(strategy: &dyn Strategy) -> Result<()> {
    let name = strategy.typetag_name();
    let config = serde_json::to_value(strategy)
        .map_err(|e| Error::parameter(format!("strategy `{name}`"), name, e.to_string()))?;
    plugin(Kind::Strategy, &config, "")
}

/// Every number of a plugin's complete configuration lies in the range its declaration gives.
///
/// # Errors
/// The first that does not, by its dotted path.
pub fn check_configuration(kind: Kind, config: &Value) -> Result<()> {
    plugin(kind, config, "")
}

/// Checks the configuration of one plugin, its fields under `path`.
pub(crate) fn plugin(kind: Kind, config: &Value, path: &str) -> Result<()> {
    let name = config.get("type").and_then(Value::as_str);
    // Something that was never registered says nothing of its ranges.
    let Some(entry) = name.and_then(|name| find(kind, name).ok()) else {
        return Ok(());
    };
    let Entry { fields, .. } = entry;
    for field in *fields {
        if let Some(value) = config.get(field.name) {
            let path = match path {
                "" => field.name.to_string(),
                outer => format!("{outer}.{}", field.name),
            };
            parameter(field, value, &path)?;
        }
    }
    Ok(())
}

fn parameter(field: &Field, value: &Value, path: &str) -> Result<()> {
    if let Value::Array(parts) = value {
        for (index, part) in parts.iter().enumerate() {
            parameter(field, part, &format!("{path}[{index}]"))?;
        }
        return Ok(());
    }
    if let Some(kind) = field.plugin {
        return plugin(kind, value, path);
    }
    let Some(range) = field.range else {
        return Ok(());
    };
    if value.is_null() && field.optional {
        return Ok(());
    }
    if value.as_f64().is_some_and(|number| range.contains(number)) {
        return Ok(());
    }
    // JSON has no other word for NaN and infinities.
    let shown = if value.is_null() {
        "not a finite number".to_string()
    } else {
        value.to_string()
    };
    Err(Error::parameter(path, shown, format!("expected {range}")))
}
