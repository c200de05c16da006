//! Reads what records say of single samples and windows.

use super::whose::{self, Whose};
use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use smartkv_eval::task::{Attempt, SampleRecord};
use smartkv_eval::{Protocol, WindowFidelity};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Schemas that hold samples.
const EVAL: &str = "smartkv.eval/1";
const TASKS: &str = "smartkv.tasks/1";
const CELL: &str = "smartkv.cell/1";

/// One prompt: what f16 and a strategy made of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) strategy: String,
    pub(super) task: String,
    pub(super) part: String,
    pub(super) index: usize,
    pub(super) id: String,
    pub(super) context_tokens: usize,
    pub(super) depth_percent: Option<f64>,
    pub(super) answers: Vec<String>,
    pub(super) f16: Answered,
    pub(super) own: Answered,
    /// Mean KL from f16 at the gold continuation.
    pub(super) kl_nats: Option<f64>,
}

/// One cache's answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answered {
    pub(super) score: f64,
    pub(super) text: String,
    /// Negative log-probability of the gold continuation, per token.
    pub(super) gold_nll_nats: Option<f64>,
    pub(super) failure: Option<String>,
}

/// One window of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) strategy: String,
    /// Index of its evaluation among those read.
    pub(super) evaluation: usize,
    pub(super) start: usize,
    pub(super) prefill_tokens: usize,
    pub(super) nll_f16: f64,
    pub(super) fidelity: WindowFidelity,
}

/// What is needed to run windows of an evaluation again.
#[derive(Debug, Clone)]
pub(super) struct Evaluated {
    pub(super) path: PathBuf,
    pub(super) model: String,
    pub(super) model_sha256: Option<String>,
    pub(super) weights: Option<String>,
    pub(super) config: Value,
    pub(super) budget: Option<Value>,
    pub(super) protocol: ProtocolIn,
}

/// The protocol of an evaluation.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ProtocolIn {
    pub(super) name: Protocol,
    pub(super) prefill: smartkv_core::Prefill,
    pub(super) prefill_tokens: usize,
    pub(super) score_tokens: usize,
    pub(super) prefill_chunk: usize,
    pub(super) text: String,
    pub(super) text_sha256: String,
    pub(super) seed: u64,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) asked: Vec<Asked>,
    pub(super) seen: Vec<Seen>,
    pub(super) evaluations: Vec<Evaluated>,
    /// The files, with the schema of each.
    pub(super) files: Vec<(PathBuf, String)>,
    /// What was measured of each window and sample: what two records say of the same one, as of a
    /// deterministic strategy under two seeds, counts once.
    units: BTreeSet<String>,
}

impl Records {
    /// Reads records: files, and folders of them such as the cells of a store.
    ///
    /// # Errors
    /// A path that is neither, a file that is no record or one of another version, numbers that are
    /// missing; the file is named.
    pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut records = Self::default();
        for path in paths {
            for file in files(path)? {
                records
                    .add(&file)
                    .with_context(|| format!("{} cannot be used", file.display()))?;
            }
        }
        let asked = records.asked.iter_mut().map(|one| &mut one.strategy);
        let seen = records.seen.iter_mut().map(|one| &mut one.strategy);
        whose::name(asked.chain(seen).collect());
        Ok(records)
    }

    /// Whether nothing was read of this window or sample before.
    fn is_new(&mut self, unit: &Value) -> bool {
        self.units.insert(unit.to_string())
    }

    fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(path).context("it cannot be read")?;
        let record: Value = serde_json::from_str(&text).context("it is not JSON")?;
        let outer = schema(&record)?;
        let (result, schema) = if outer == CELL {
            let result = record.get("result").context("the cell has no `result`")?;
            (result, schema(result)?)
        } else {
            (&record, outer)
        };
        match schema {
            EVAL => self.add_evaluation(path, result)?,
            TASKS => self.add_tasks(result)?,
            _ => bail!("a cell whose result is a `{schema}`, expected {EVAL} or {TASKS}"),
        }
        self.files.push((path.to_path_buf(), outer.to_string()));
        Ok(())
    }

    fn add_evaluation(&mut self, path: &Path, record: &Value) -> anyhow::Result<()> {
        let model: String = field(record, "model")?;
        let name: String = field(record, "strategy")?;
        let strategy = Whose::written(label(&name, &record["budget"]), &model, &record["config"]);
        let protocol: ProtocolIn = field(record, "protocol")?;
        let samples = record.get("samples").context("it has no `samples`")?;
        let windows: Vec<Value> = field(samples, "windows")?;
        for (index, window) in windows.iter().enumerate() {
            let read = || -> anyhow::Result<Option<Seen>> {
                // The f16 cache alone has no fidelity.
                if window.get("fidelity").is_none_or(Value::is_null) {
                    return Ok(None);
                }
                Ok(Some(Seen {
                    strategy: strategy.clone(),
                    evaluation: self.evaluations.len(),
                    start: field(window, "start")?,
                    prefill_tokens: protocol.prefill_tokens,
                    nll_f16: field(window, "nll_f16")?,
                    fidelity: field(window, "fidelity")?,
                }))
            };
            let window = read().with_context(|| format!("samples.windows[{index}]"))?;
            let start = &window.as_ref().map(|window| window.start);
            let (sha256, length) = (&protocol.text_sha256, protocol.score_tokens);
            let how = (
                protocol.name,
                protocol.prefill,
                protocol.prefill_tokens,
                length,
            );
            if self.is_new(&json!([strategy, record["config"], sha256, start, how])) {
                self.seen.extend(window);
            }
        }
        let needles = |name: &str| -> anyhow::Result<Vec<NeedleIn>> {
            samples
                .get(name)
                .map_or(Ok(Vec::new()), |_| field(samples, name))
        };
        let (own, f16) = (needles("needle")?, needles("needle_f16")?);
        anyhow::ensure!(
            own.len() == f16.len(),
            "{} needles with the strategy and {} with f16: expected as many",
            own.len(),
            f16.len()
        );
        for (own, f16) in own.into_iter().zip(f16) {
            let place = (own.length_tokens, own.depth_percent, own.sample);
            let sha256 = &protocol.text_sha256;
            if self.is_new(&json!([
                strategy,
                record["config"],
                sha256,
                place,
                own.value
            ])) {
                self.asked.push(own.asked(&strategy, &f16));
            }
        }
        let environment = record.get("environment");
        let text = |name| Some(environment?.get(name)?.as_str()?.to_string());
        self.evaluations.push(Evaluated {
            path: path.to_path_buf(),
            model,
            model_sha256: text("model_sha256"),
            weights: text("weights"),
            config: field(record, "config")?,
            budget: record.get("budget").filter(|b| !b.is_null()).cloned(),
            protocol,
        });
        Ok(())
    }

    fn add_tasks(&mut self, record: &Value) -> anyhow::Result<()> {
        let model: String = field(record, "model")?;
        let strategies: Vec<StrategyIn> = field(record, "strategies")?;
        let tasks: Vec<TaskIn> = field(record, "tasks")?;
        for task in tasks {
            let parts: Vec<&PartIn> = task
                .result
                .parts
                .iter()
                .chain([&task.result.overall])
                .collect();
            for (index, sample) in task.result.samples.into_iter().enumerate() {
                let sample: SampleRecord = serde_json::from_value(sample)
                    .with_context(|| format!("task `{}`, samples[{index}]", task.name))?;
                let of_part = parts.iter().find(|part| part.name == sample.part);
                let depth = |meta: &Map<String, Value>| meta.get("depth_percent")?.as_f64();
                let depth = depth(&sample.meta).or_else(|| depth(&of_part?.meta));
                let (reference, others) = sample.attempts.split_first().with_context(|| {
                    format!("task `{}`, samples[{index}]: no attempts", task.name)
                })?;
                anyhow::ensure!(
                    others.len() == strategies.len(),
                    "task `{}`, samples[{index}]: {} attempts besides f16's for {} strategies",
                    task.name,
                    others.len(),
                    strategies.len()
                );
                for (strategy, attempt) in strategies.iter().zip(others) {
                    let name = label(&strategy.name, &strategy.budget);
                    let name = Whose::written(name, &model, &strategy.config);
                    let place = (&task.name, &sample.part, &sample.fingerprint);
                    if !self.is_new(&json!([name, strategy.config, place])) {
                        continue;
                    }
                    self.asked.push(Asked {
                        strategy: name,
                        task: task.name.clone(),
                        part: sample.part.clone(),
                        index: sample.index,
                        id: sample.id.clone(),
                        context_tokens: sample.context_tokens,
                        depth_percent: depth,
                        answers: sample.answers.clone(),
                        f16: answered(reference),
                        own: answered(attempt),
                        kl_nats: attempt.forced.and_then(|forced| forced.kl_nats),
                    });
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
struct StrategyIn {
    name: String,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    budget: Value,
}

#[derive(Debug, Deserialize)]
struct TaskIn {
    name: String,
    result: ResultIn,
}

#[derive(Debug, Deserialize)]
struct ResultIn {
    overall: PartIn,
    #[serde(default)]
    parts: Vec<PartIn>,
    samples: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct PartIn {
    name: String,
    #[serde(default)]
    meta: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct NeedleIn {
    length_tokens: usize,
    depth_percent: u32,
    sample: usize,
    value: String,
    context_tokens: usize,
    prediction: String,
    correct: bool,
    gold_log_prob_per_token_nats: Option<f64>,
}

impl NeedleIn {
    fn asked(self, strategy: &str, f16: &Self) -> Asked {
        let answered = |needle: &Self| Answered {
            score: f64::from(u8::from(needle.correct)),
            text: needle.prediction.clone(),
            gold_nll_nats: needle.gold_log_prob_per_token_nats.map(|log| -log),
            failure: None,
        };
        Asked {
            strategy: strategy.to_string(),
            task: "needle".to_string(),
            part: format!("{} tokens at {}%", self.length_tokens, self.depth_percent),
            index: self.sample,
            id: String::new(),
            context_tokens: self.context_tokens,
            depth_percent: Some(f64::from(self.depth_percent)),
            f16: answered(f16),
            own: answered(&self),
            answers: vec![self.value],
            kl_nats: None,
        }
    }
}

fn answered(attempt: &Attempt) -> Answered {
    #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
    let per_token = |tokens: usize| tokens.max(1) as f64;
    Answered {
        score: attempt.score,
        text: attempt.text.clone(),
        gold_nll_nats: attempt.forced.map(|f| f.nll_nats / per_token(f.tokens)),
        failure: attempt.failure.clone(),
    }
}

/// A strategy with its budget, as tables name it. Task records may have the budget in the name.
fn label(name: &str, budget: &Value) -> String {
    let budget = match budget {
        Value::Null => return name.to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if name.contains(&format!("@ {budget}")) || name.ends_with(&format!("@{budget}")) {
        name.to_string()
    } else {
        format!("{name} @ {budget}")
    }
}

fn field<T: DeserializeOwned>(record: &Value, name: &str) -> anyhow::Result<T> {
    let value = record
        .get(name)
        .with_context(|| format!("it has no `{name}`"))?;
    // What is not finite is written as null.
    T::deserialize(value).with_context(|| format!("its `{name}` is not what it should be"))
}

/// The schema of a record with samples.
fn schema(record: &Value) -> anyhow::Result<&str> {
    let expected = format!("expected {EVAL}, {TASKS} or {CELL}");
    let found = record.get("schema").and_then(Value::as_str);
    let found = found.with_context(|| format!("it has no `schema`: {expected}"))?;
    if [EVAL, TASKS, CELL].contains(&found) {
        return Ok(found);
    }
    let name = |schema: &str| schema.split_once('/').map(|(name, _)| name.to_string());
    if [EVAL, TASKS, CELL]
        .iter()
        .any(|known| name(known) == name(found))
    {
        bail!("a `{found}` record, written by another version of smartkv: {expected}");
    }
    bail!("a `{found}` record has no samples: {expected}")
}

/// The file, or the JSON files of a folder (of its `cells`, if it has that) in the order of their
/// names.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    anyhow::ensure!(
        path.is_dir(),
        "{}: no such file or folder, expected records of `smartkv eval --out`",
        path.display()
    );
    let cells = path.join("cells");
    let folder = if cells.is_dir() {
        cells
    } else {
        path.to_path_buf()
    };
    let context = || format!("{} cannot be read", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(context)? {
        let file = entry.with_context(context)?.path();
        if file.is_file() && file.extension().is_some_and(|e| e == "json") {
            files.push(file);
        }
    }
    files.sort();
    anyhow::ensure!(!files.is_empty(), "{}: no `.json` in it", folder.display());
    Ok(files)
}
