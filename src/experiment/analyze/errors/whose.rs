//! Whose samples and windows they are, where several models and configurations are read.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use smartkv_analysis::store::digest;
use std::collections::BTreeSet;

/// Whose samples they are; written into their place until all records are read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Whose {
    label: String,
    model: String,
    /// Digest of the strategy's configuration.
    config: String,
}

impl Whose {
    pub(super) fn written(label: String, model: &str, config: &Value) -> String {
        let whose = Self {
            label,
            model: model.to_string(),
            config: digest(config),
        };
        serde_json::to_string(&whose).unwrap_or_default()
    }

    fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Names strategies as shortly as tells them apart: with their model where there are several, with
/// a digest of their configuration where others go by the same name.
pub(super) fn name(strategies: Vec<&mut String>) {
    let whose: BTreeSet<Whose> = strategies
        .iter()
        .filter_map(|own| Whose::read(own))
        .collect();
    let models: BTreeSet<&String> = whose.iter().map(|own| &own.model).collect();
    for strategy in strategies {
        let Some(own) = Whose::read(strategy) else {
            continue;
        };
        let same = |other: &&Whose| (&other.label, &other.model) == (&own.label, &own.model);
        let mut parts = vec![own.label.clone()];
        if models.len() > 1 {
            parts.push(format!("on {}", own.model));
        }
        if whose.iter().filter(same).count() > 1 {
            parts.push(format!("({})", &own.config[..8]));
        }
        *strategy = parts.join(" ");
    }
}
