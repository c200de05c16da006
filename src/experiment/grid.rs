//! A grid: experiments as data. A file with axes becomes combinations, each an evaluation file.

mod axis;
mod combine;
mod load;
mod patch;
mod point;
mod set;

pub use combine::Combination;
pub(super) use combine::{is_called, written};
pub use load::SHIPPED_GRIDS;
pub use set::GridSet;

use super::error::ExperimentError;
use super::search::Search;
use super::settings::EvalFile;
use crate::assets::sha256_bytes;
use axis::Axis;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

/// A grid as written, includes merged. See `docs/experiments.md`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GridFile {
    /// What the study asks.
    pub title: Option<String>,
    /// What all cells share, in the words of `smartkv eval --config`.
    pub base: EvalFile,
    /// Fields and the values they take: a list, a range, or named values.
    axes: Map<String, Value>,
    /// Axes that advance together.
    zip: Vec<Map<String, Value>>,
    /// Named sets of assignments; together the axis `variant`.
    variants: Map<String, Value>,
    /// Axes and assignments of some combinations only.
    when: Vec<When>,
    /// Combinations to leave out, by labels.
    exclude: Vec<Map<String, Value>>,
    /// Seeds: a list, or how many from 0 on.
    seeds: Option<Value>,
    /// Labels of what an ablation compares with.
    pub baseline: Option<Map<String, Value>>,
    /// Looks for the best combination instead of running all.
    pub search: Option<Search>,
}

/// What holds for some combinations only.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct When {
    /// Labels a combination must have: a value, or a list of values.
    r#if: Map<String, Value>,
    /// Axes of those combinations.
    axes: Map<String, Value>,
    /// Assignments in those combinations.
    set: Map<String, Value>,
}

/// Most cells of one grid.
const MOST_CELLS: usize = 100_000;

/// A grid with its name.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Name of its plan: the file's stem.
    pub name: String,
    /// Where it was read from.
    pub source: String,
    /// What it says.
    pub file: GridFile,
}

impl Grid {
    /// Reads a grid from a path, or by name from those that come with the program.
    ///
    /// # Errors
    /// A file that is missing or not a grid; includes that are missing or cyclic.
    pub fn load(name: &str) -> anyhow::Result<Self> {
        Self::load_with(name, &[], None)
    }

    /// The same with assignments such as `base.windows.count=2`, `seeds=1` or `axes.budget=[0.3]`
    /// over what the file says. It is another grid then, and so is its plan's name: with `suffix`,
    /// or the digest of the assignments.
    ///
    /// # Errors
    /// As [`load`](Self::load), and assignments that are none.
    pub fn load_with(name: &str, sets: &[GridSet], suffix: Option<&str>) -> anyhow::Result<Self> {
        let (source, mut value) = load::load(name)?;
        for set in sets {
            set.apply(&mut value);
        }
        let file: GridFile = serde_json::from_value(value).map_err(|error| {
            let reason = error.to_string();
            ExperimentError::Grid {
                grid: source.clone(),
                part: "grid".to_string(),
                reason,
            }
        })?;
        let stem = Path::new(&source).file_stem().unwrap_or_default();
        let mut name = stem.to_string_lossy().into_owned();
        if let Some(suffix) = suffix {
            name = format!("{name}.{suffix}");
        } else if !sets.is_empty() {
            let all: Vec<String> = sets.iter().map(ToString::to_string).collect();
            let digest = sha256_bytes(all.join("\n").as_bytes());
            name = format!("{name}.set-{}", &digest[..8]);
        }
        Ok(Self { name, source, file })
    }

    /// Names of the axes, in the order that cells are labelled in.
    ///
    /// # Errors
    /// Axes that cannot be.
    pub fn axes(&self) -> Result<Vec<String>, ExperimentError> {
        combine::axis_names(self)
    }

    /// All combinations in a fixed order, the first axis slowest and the seed fastest.
    ///
    /// # Errors
    /// Axes without values, unknown axes in conditions, conditions that nothing meets, and values
    /// that no field takes; the message names the axis.
    pub fn combinations(&self) -> Result<Vec<Combination>, ExperimentError> {
        self.seeded(&self.unseeded()?, &[])
    }

    /// The same without seeds.
    ///
    /// # Errors
    /// As [`combinations`](Self::combinations).
    pub fn unseeded(&self) -> Result<Vec<Combination>, ExperimentError> {
        combine::unseeded(self)
    }

    /// Combinations with every seed, and with further assignments of paths, which are no labels.
    ///
    /// # Errors
    /// Assignments that no field takes.
    pub fn seeded(
        &self,
        combinations: &[Combination],
        more: &[(String, Value)],
    ) -> Result<Vec<Combination>, ExperimentError> {
        combine::seeded(self, combinations, more)
    }

    /// Combinations drawn at random, without seeds: for ranges without steps too.
    ///
    /// # Errors
    /// As [`combinations`](Self::combinations).
    pub fn draw(&self, count: usize, seed: u64) -> Result<Vec<Combination>, ExperimentError> {
        combine::draw(self, count, seed)
    }

    /// The seeds every combination runs with.
    ///
    /// # Errors
    /// Something else than a list of whole numbers or a number above 0.
    pub fn seeds(&self) -> Result<Vec<u64>, ExperimentError> {
        let refuse = || {
            let got = self.file.seeds.clone().unwrap_or_default();
            let reason = format!("{got}: expected a list of different whole numbers, or how many");
            self.refuse("seeds", reason)
        };
        let seeds: Vec<u64> = match &self.file.seeds {
            None => return Ok(vec![self.file.base.seed.unwrap_or(0)]),
            Some(Value::Number(n)) => {
                let count = n.as_u64().ok_or_else(refuse)?;
                self.check_count(usize::try_from(count).unwrap_or(usize::MAX))?;
                (0..count).collect()
            }
            Some(Value::Array(list)) => {
                let seeds: Option<Vec<u64>> = list.iter().map(Value::as_u64).collect();
                seeds.ok_or_else(refuse)?
            }
            Some(_) => return Err(refuse()),
        };
        let mut once = seeds.clone();
        once.sort_unstable();
        once.dedup();
        if seeds.is_empty() || once.len() < seeds.len() {
            return Err(refuse());
        }
        Ok(seeds)
    }

    /// The combination that the labels name: on the grid or, where an axis is a range without
    /// steps, between.
    ///
    /// # Errors
    /// Labels that name none.
    pub fn named(&self, labels: &Map<String, Value>) -> Result<Combination, ExperimentError> {
        combine::named(self, labels)
    }

    /// Refuses more than anybody can want: a slip of an axis would fill the memory.
    fn check_count(&self, count: usize) -> Result<(), ExperimentError> {
        if count <= MOST_CELLS {
            return Ok(());
        }
        Err(self.refuse(
            "grid",
            format!("{count} cells: expected at most {MOST_CELLS}"),
        ))
    }

    fn refuse(&self, part: impl Into<String>, reason: impl Into<String>) -> ExperimentError {
        ExperimentError::Grid {
            grid: self.source.clone(),
            part: part.into(),
            reason: reason.into(),
        }
    }

    /// One axis of the file.
    fn axis(&self, part: &str, name: &str, values: &Value) -> Result<Axis, ExperimentError> {
        Axis::parse(name, values).map_err(|reason| self.refuse(format!("{part}.{name}"), reason))
    }
}
