//! What stands in the files of a store, as far as an analysis needs it. Fields that are not named
//! here are passed over.

use crate::label::Labels;
use serde::Deserialize;
use serde_json::Value;

/// The latest expansion of a grid.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Plan {
    /// Its name, that of its file.
    pub name: String,
    /// The file of the grid.
    #[serde(default)]
    pub grid: Option<String>,
    /// What it is about.
    #[serde(default)]
    pub title: Option<String>,
    /// What cells differ in, in the order of the grid.
    pub axes: Vec<String>,
    /// Labels of what the others are compared with.
    #[serde(default)]
    pub baseline: Option<Labels>,
    /// What is to be measured.
    pub cells: Vec<PlanCell>,
}

impl Plan {
    /// The axes that are compared: all but the seed.
    #[must_use]
    pub fn compared(&self) -> Vec<String> {
        let compared = self.axes.iter().filter(|axis| *axis != crate::label::SEED);
        compared.cloned().collect()
    }
}

/// One cell of a plan.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PlanCell {
    /// What addresses its record.
    pub id: String,
    /// What distinguishes it in the plan.
    pub labels: Labels,
}

/// A finished cell.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CellRecord {
    /// What addresses it, the name of its file.
    pub id: String,
    /// What was asked for.
    pub cell: CellSpec,
    /// What came out.
    pub result: Value,
    /// [`digest`](super::digest()) of the result.
    pub result_sha256: String,
}

/// What determines a cell.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CellSpec {
    /// The model.
    pub model: ModelSpec,
    /// The strategy.
    pub strategy: StrategySpec,
    /// Limit on live bytes, `null` without one.
    #[serde(default)]
    pub budget: Value,
    /// When prompts are compressed.
    #[serde(default)]
    pub prefill: Value,
    /// Seed of everything random.
    #[serde(default)]
    pub seed: u64,
    /// What is measured, and how.
    pub measure: Value,
}

/// A model by name and contents.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ModelSpec {
    /// What the user called it.
    pub name: String,
    /// SHA-256 of its files.
    #[serde(default)]
    pub sha256: Option<String>,
    /// How its weights are held.
    #[serde(default)]
    pub weights: Option<String>,
}

/// A strategy by name and configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StrategySpec {
    /// What the user called it.
    pub name: String,
    /// Its complete configuration.
    #[serde(default)]
    pub config: Value,
}

impl StrategySpec {
    /// Whether its tracker, or one inside that, is the oracle, which knows the future.
    #[must_use]
    pub fn has_oracle(&self) -> bool {
        fn inside(value: &Value) -> bool {
            match value {
                Value::Object(fields) => {
                    fields.get("type").and_then(Value::as_str) == Some("oracle")
                        || fields.values().any(inside)
                }
                Value::Array(items) => items.iter().any(inside),
                _ => false,
            }
        }
        self.config.get("tracker").is_some_and(inside)
    }
}

/// Facts of the run that made a cell.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RunRecord {
    /// The cell.
    pub id: String,
    /// Everything, by name.
    #[serde(flatten)]
    pub facts: serde_json::Map<String, Value>,
}

/// Why a cell has no result.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// Kind of error.
    pub class: String,
    /// What was said.
    pub message: String,
    /// Times it was tried.
    pub attempts: u64,
}
