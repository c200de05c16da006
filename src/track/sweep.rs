//! What `wandb agent` hands over in a file: the parameters its sweep chose.

use super::json::{Json, Row};
use super::settings::Settings;
use crate::config::read_yaml;
use serde_json::Value;
use std::collections::BTreeMap;

/// The parameters: none without a file, and a warning with one that cannot be read.
pub(super) fn parameters(settings: &Settings) -> Row {
    let Some(path) = &settings.sweep_params else {
        return Row::new();
    };
    let read: Result<BTreeMap<String, Value>, _> = read_yaml(path);
    match read {
        Ok(fields) => fields
            .into_iter()
            // Others, such as `wandb_version`, are about the file.
            .filter_map(|(key, field)| Some((key, Json::of(field.get("value")?).ok()?)))
            .collect(),
        Err(error) => {
            let text = format!("the sweep's parameters cannot be read: {error}");
            settings.notices.warn(&text);
            Row::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_agent_writes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config-x.yaml");
        let text = "wandb_version: 1\n\nbudget:\n  value: 0.25\nstrategy:\n  value: smartkv\n";
        std::fs::write(&path, text).unwrap();
        let mut settings = Settings::at(dir.path());
        assert!(parameters(&settings).is_empty());
        settings.sweep_params = Some(path);
        let expected = vec![
            ("budget".to_owned(), Json::Float(0.25)),
            ("strategy".to_owned(), "smartkv".into()),
        ];
        assert_eq!(parameters(&settings), expected);
    }
}
