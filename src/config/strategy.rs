//! From `--strategy` and `--set` to a strategy.

use super::yaml::locate;
use super::{Assignment, CalibrationOrigin, ConfigError, from_yaml};
use serde_json::Value;
use smartkv_core::registry::{self, Kind};
use smartkv_core::strategy::Strategy;
use std::path::Path;
use std::sync::Arc;

/// Configurations that come with the program, by name: variants of registered strategies.
pub const SHIPPED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/strategies.rs"));

/// A strategy with the complete configuration it was built from.
#[derive(Debug, Clone)]
pub struct StrategySpec {
    /// What the user called it.
    pub name: String,
    /// Every field, defaults included.
    pub config: Value,
    /// The strategy.
    pub strategy: Arc<dyn Strategy>,
    /// What it was calibrated with, if it was.
    pub calibration: Option<CalibrationOrigin>,
}

impl StrategySpec {
    /// Resolves a registered name, a shipped configuration or a YAML file, and applies
    /// assignments in order.
    ///
    /// # Errors
    /// An unknown name (the known ones are listed), a file that cannot be read, or a field that
    /// is unknown or out of its domain, with file and line where there is one.
    pub fn resolve(spec: &str, sets: &[Assignment]) -> Result<Self, ConfigError> {
        let path = Path::new(spec);
        let is_file = path
            .extension()
            .is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        // A name stays what it is, whatever lies in the folder.
        let named = SHIPPED.iter().any(|(name, _)| *name == spec) || find(spec).is_ok();
        let (name, source) = if is_file || (!named && path.is_file()) {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.to_path_buf(),
                source,
            })?;
            let stem = path
                .file_stem()
                .map_or(spec.into(), |stem| stem.to_string_lossy());
            (stem.into_owned(), Some((spec.to_string(), text)))
        } else if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == spec) {
            let file = format!("configs/strategies/{name}.yaml");
            ((*name).to_string(), Some((file, (*text).to_string())))
        } else {
            (spec.to_string(), None)
        };
        let mut given = if let Some((file, text)) = &source {
            parse(file, text)?
        } else {
            find(spec)?;
            serde_json::json!({ "type": spec })
        };
        let calibration = take_calibration(&mut given, source.as_ref())?;
        let spec = Self::build(name, &given, source.as_ref(), sets)?;
        Ok(Self {
            calibration,
            ..spec
        })
    }

    /// Builds from a configuration that stands inside another file.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn from_config(config: &Value, sets: &[Assignment]) -> Result<Self, ConfigError> {
        let name = config
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("strategy")
            .to_string();
        if config.get("type").is_some() {
            find(&name)?;
        }
        let mut config = config.clone();
        let calibration = take_calibration(&mut config, None)?;
        let spec = Self::build(name, &config, None, sets)?;
        Ok(Self {
            calibration,
            ..spec
        })
    }

    fn build(
        name: String,
        given: &Value,
        source: Option<&(String, String)>,
        sets: &[Assignment],
    ) -> Result<Self, ConfigError> {
        let mut config = complete(given, source)?;
        for set in sets {
            let before = config.clone();
            set.apply(&mut config)?;
            // One at a time, so that the error names the assignment; a part exchanged by its name
            // brings its own fields for the next.
            config = match registry::strategy(&config) {
                Ok(strategy) => serde_json::to_value(strategy.as_ref()).unwrap_or(config),
                Err(smartkv_core::Error::Parameter { expected, .. }) => {
                    return Err(set.refused(&before, &expected));
                }
                Err(other) => return Err(other.into()),
            };
        }
        let strategy = registry::strategy(&config)?;
        // What the strategy says of itself, so that parts replaced by name show their defaults.
        let config = serde_json::to_value(strategy.as_ref()).unwrap_or(config);
        Ok(Self {
            name,
            config,
            strategy,
            calibration: None,
        })
    }

    /// Whether rows are changed as the method would store them and kept in f16.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.strategy.simulation().is_some()
    }
}

/// What stands under `calibration`, which is no field of the strategy.
fn take_calibration(
    given: &mut Value,
    source: Option<&(String, String)>,
) -> Result<Option<CalibrationOrigin>, ConfigError> {
    let taken = given
        .as_object_mut()
        .and_then(|fields| fields.shift_remove("calibration"));
    let Some(taken) = taken else {
        return Ok(None);
    };
    serde_json::from_value(taken).map(Some).map_err(|error| {
        let place = source.and_then(|(_, text)| locate(text, "calibration"));
        ConfigError::Yaml {
            file: source.map_or_else(|| "strategy".to_string(), |(file, _)| file.clone()),
            line: place.map(|p| p.0),
            column: place.map(|p| p.1),
            reason: format!("`calibration`: {error}"),
        }
    })
}

/// Like [`registry::find`], but knows the shipped configurations too.
fn find(name: &str) -> Result<(), ConfigError> {
    match registry::find(Kind::Strategy, name) {
        Ok(_) => Ok(()),
        Err(smartkv_core::Error::Unknown {
            family,
            name,
            mut known,
            ..
        }) => {
            known.extend(SHIPPED.iter().map(|(name, _)| (*name).to_string()));
            known.sort();
            known.dedup();
            let suggestion =
                registry::nearest(&name, known.iter().map(String::as_str)).map(str::to_string);
            Err(smartkv_core::Error::Unknown {
                family,
                name,
                suggestion,
                known,
            }
            .into())
        }
        Err(other) => Err(other.into()),
    }
}

/// Refuses a registered strategy that a shipped configuration of something else would hide.
///
/// # Errors
/// The first such name.
pub fn check_shipped() -> Result<(), ConfigError> {
    let registered = registry::entries(Kind::Strategy);
    for entry in registered {
        let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == entry.name) else {
            continue;
        };
        let config = parse(name, text)?;
        if config["type"] != **name {
            let expected = format!(
                "registered by `{}`, but a configuration of `{}` goes by this name: rename it",
                entry.crate_name,
                config["type"].as_str().unwrap_or_default()
            );
            return Err(smartkv_core::Error::parameter("strategy", name, expected).into());
        }
    }
    Ok(())
}

fn parse(file: &str, text: &str) -> Result<Value, ConfigError> {
    let value: Value = from_yaml(text, file)?;
    if value.get("type").and_then(Value::as_str).is_none() {
        return Err(ConfigError::Yaml {
            file: file.to_string(),
            line: None,
            column: None,
            reason: "expected a mapping with the strategy's name under `type`".to_string(),
        });
    }
    Ok(value)
}

/// Fills in the defaults, so that every field exists and can be set; names the field that does
/// not fit.
fn complete(given: &Value, source: Option<&(String, String)>) -> Result<Value, ConfigError> {
    let error = match registry::strategy(given) {
        Ok(strategy) => {
            return Ok(serde_json::to_value(strategy.as_ref()).unwrap_or_else(|_| given.clone()));
        }
        Err(error) => error,
    };
    let smartkv_core::Error::Parameter {
        name,
        value,
        expected,
    } = &error
    else {
        return Err(error.into());
    };
    // A number out of its range is named with its path; other fields have to be found.
    let path = name.split('[').next().unwrap_or_default();
    let known = given.pointer(&format!("/{}", path.replace('.', "/")));
    let field = match known {
        // In another file, or none: the error says everything there is to say.
        Some(_) if source.is_none() => return Err(error.into()),
        Some(_) => Some(path.to_string()),
        None => culprit(given),
    };
    let place = source
        .zip(field.as_deref())
        .and_then(|((_, text), field)| locate(text, field));
    Err(ConfigError::Yaml {
        file: source.map_or_else(|| name.clone(), |(file, _)| file.clone()),
        line: place.map(|p| p.0),
        column: place.map(|p| p.1),
        reason: match field {
            Some(_) if known.is_some() => format!("`{name}` = {value}: {expected}"),
            Some(field) => format!("`{field}`: {expected}"),
            None => expected.clone(),
        },
    })
}

/// The first field that a strategy refuses, on its own with all others at their defaults:
/// erased deserialisation does not say which one it was.
fn culprit(given: &Value) -> Option<String> {
    let object = given.as_object()?;
    let name = object.get("type")?;
    let refused = |key: &String, value: &Value| {
        let mut alone = serde_json::json!({ "type": name });
        alone[key] = value.clone();
        registry::strategy(&alone).is_err()
    };
    let (key, value) = object
        .iter()
        .find(|(key, value)| *key != "type" && refused(key, value))?;
    // One level down, for parts that have a type and fields of their own.
    let part = value.as_object().filter(|part| part.contains_key("type"));
    let inner = part.into_iter().flatten().find(|(field, inner)| {
        let mut alone = serde_json::json!({ "type": value["type"] });
        alone[field.as_str()] = (*inner).clone();
        *field != "type" && refused(key, &alone)
    });
    Some(inner.map_or_else(|| key.clone(), |(field, _)| format!("{key}.{field}")))
}
