//! From `--task` and `--set task.FIELD=VALUE` to tasks.

use super::yaml::locate;
use super::{Assignment, ConfigError, from_yaml};
use serde_json::Value;
use smartkv_core::registry::{self, Kind};
use smartkv_eval::task::Task;
use std::path::Path;
use std::sync::Arc;

/// A task with the complete configuration it was built from.
#[derive(Debug, Clone)]
pub struct TaskSpec {
    /// What the user called it.
    pub name: String,
    /// Every field, defaults included.
    pub config: Value,
    /// The task.
    pub task: Arc<dyn Task>,
}

impl TaskSpec {
    /// Resolves a registered name or a YAML file, and applies assignments in order.
    ///
    /// # Errors
    /// An unknown name (the known ones are listed), a file that cannot be read, or a field that is
    /// unknown or out of its domain.
    pub fn resolve(spec: &str, sets: &[Assignment]) -> Result<Self, ConfigError> {
        let path = Path::new(spec);
        let is_file = path
            .extension()
            .is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if !(is_file || path.is_file()) {
            registry::find(Kind::Task, spec)?;
            return Self::build(spec, &serde_json::json!({ "type": spec }), sets);
        }
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        let given: Value = from_yaml(&text, spec)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::build(&name, &given, sets).map_err(|error| at_place(error, spec, &text, &given))
    }

    /// Builds from a configuration that stands inside another file: a name or an object.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn from_config(config: &Value, sets: &[Assignment]) -> Result<Self, ConfigError> {
        if let Some(name) = config.as_str() {
            return Self::resolve(name, sets);
        }
        let name = config.get("type").and_then(Value::as_str);
        Self::build(name.unwrap_or("task"), config, sets)
    }

    fn build(name: &str, given: &Value, sets: &[Assignment]) -> Result<Self, ConfigError> {
        let task = smartkv_eval::task::task(given)?;
        let complete = |task: &dyn Task| serde_json::to_value(task).unwrap_or_default();
        let (mut config, mut task) = (complete(task.as_ref()), task);
        for set in sets {
            let before = config.clone();
            set.apply(&mut config)?;
            task = smartkv_eval::task::task(&config).map_err(|error| match error {
                smartkv_core::Error::Parameter { expected, .. } => set.refused(&before, &expected),
                other => other.into(),
            })?;
            config = complete(task.as_ref());
        }
        Ok(Self {
            name: name.to_string(),
            config,
            task: task.into(),
        })
    }
}

/// Names the file, and the line where the refused field stands.
fn at_place(error: ConfigError, file: &str, text: &str, given: &Value) -> ConfigError {
    let ConfigError::Core(smartkv_core::Error::Parameter { expected, name, .. }) = &error else {
        return error;
    };
    let alone = |key: &str, value: &Value| {
        let mut alone = serde_json::json!({ "type": given["type"] });
        alone[key] = value.clone();
        smartkv_eval::task::task(&alone).is_err()
    };
    let fields = given.as_object().into_iter().flatten();
    let field = fields
        .filter(|(key, _)| *key != "type")
        .find(|(key, value)| alone(key, value))
        .map(|(key, _)| key.as_str());
    let place = field.and_then(|field| locate(text, field));
    ConfigError::Yaml {
        file: file.to_string(),
        line: place.map(|p| p.0),
        column: place.map(|p| p.1),
        reason: format!("`{}`: {expected}", field.unwrap_or(name)),
    }
}
