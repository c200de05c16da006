//! Rows of the comparison from flags and file: defaults < file < flags.

use super::CompareArgs;
use crate::cli::bench::split;
use crate::config::{StrategySpec, read_yaml};
use crate::experiment::{AskFile, Candidate, WindowsFile};
use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;
use smartkv_core::{Budget, Prefill};
use smartkv_eval::{Protocol, Windows};

/// A comparison as written in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CompareFile {
    model: Option<String>,
    weights: Option<String>,
    /// Names (with or without `@BUDGET`), configurations, or [`EntryFile`]s.
    strategies: Vec<Value>,
    budgets: Vec<Budget>,
    against: Option<String>,
    text: Option<String>,
    protocol: Option<Protocol>,
    prefill: Option<Prefill>,
    windows: WindowsFile,
    batch: Option<usize>,
    /// Tasks in the place of windows.
    ask: AskFile,
    seed: Option<u64>,
}

/// A strategy under a name of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryFile {
    /// Name in the table.
    name: String,
    /// A name, or a whole configuration.
    strategy: Value,
    /// Instead of those of the comparison.
    #[serde(default)]
    budgets: Vec<Budget>,
}

/// Everything a comparison needs besides model and text.
pub(super) struct Settings {
    pub(super) model: Option<String>,
    pub(super) weights: Option<String>,
    pub(super) text: Option<String>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) against: Option<usize>,
    pub(super) protocol: Protocol,
    pub(super) prefill: Prefill,
    pub(super) windows: Windows,
    pub(super) window_seed: Option<u64>,
    pub(super) batch: usize,
    pub(super) ask: AskFile,
    pub(super) seed: u64,
}

impl Settings {
    pub(super) fn new(args: &CompareArgs) -> anyhow::Result<Self> {
        let file: CompareFile = match &args.config {
            Some(path) => read_yaml(path)?,
            None => CompareFile::default(),
        };
        let budgets = match &args.budgets {
            Some(given) => given.iter().map(|b| b.parse()).collect::<Result<_, _>>()?,
            None => file.budgets,
        };
        let mut candidates = Vec::new();
        if args.strategies.is_empty() {
            for (index, entry) in file.strategies.iter().enumerate() {
                rows(entry, &budgets, &mut candidates)
                    .with_context(|| format!("strategies[{index}] cannot be used"))?;
            }
        }
        for name in &args.strategies {
            rows(&Value::String(name.clone()), &budgets, &mut candidates)?;
        }
        anyhow::ensure!(
            !candidates.is_empty(),
            "nothing to compare: name strategies, such as `smartkv compare uniform-4 smartkv@0.3`, \
             or give --config FILE"
        );
        let against = args.against.as_ref().or(file.against.as_ref());
        let against = against.map(|name| find(name, &candidates)).transpose()?;
        let protocol = args.protocol.or(file.protocol).unwrap_or_default();
        // Refused here rather than after a model was loaded.
        protocol.tokens_per_forward()?;
        let batch = args.batch.or(file.batch).unwrap_or(12);
        anyhow::ensure!(batch > 0, "--batch 0: expected at least 1");
        let seed = args.seed.or(file.seed).unwrap_or(0);
        let (windows, window_seed) = WindowsFile {
            count: args.windows.or(file.windows.count),
            prefill: args.prefill_tokens.or(file.windows.prefill),
            score: args.score_tokens.or(file.windows.score),
            seeded: file.windows.seeded,
        }
        .windows(seed)?;
        Ok(Self {
            model: args.model.model.clone().or(file.model),
            weights: args.model.weights.clone().or(file.weights),
            text: args.text.clone().or(file.text),
            candidates,
            against,
            protocol,
            prefill: args.prefill.or(file.prefill).unwrap_or_default(),
            windows,
            window_seed,
            batch,
            ask: file.ask,
            seed,
        })
    }
}

/// The rows of one entry: one for each budget, where the strategy takes one.
fn rows(entry: &Value, budgets: &[Budget], rows: &mut Vec<Candidate>) -> anyhow::Result<()> {
    let (name, strategy, own) = match entry {
        Value::String(given) => {
            let (name, budget) = split(given)?;
            let budget: Option<Budget> = budget.map(str::parse).transpose()?;
            let strategy = StrategySpec::resolve(name, &[])?;
            (
                strategy.name.clone(),
                strategy,
                budget.into_iter().collect(),
            )
        }
        Value::Object(map) if map.contains_key("strategy") => {
            let entry: EntryFile = serde_json::from_value(entry.clone())?;
            let strategy = match &entry.strategy {
                Value::String(name) => StrategySpec::resolve(name, &[])?,
                config => StrategySpec::from_config(config, &[])?,
            };
            (entry.name, strategy, entry.budgets)
        }
        config => {
            let strategy = StrategySpec::from_config(config, &[])?;
            (strategy.name.clone(), strategy, Vec::new())
        }
    };
    let takes_budgets = strategy.strategy.default_budget().is_some();
    let budgets: Vec<Option<Budget>> = match (own.is_empty(), takes_budgets && !budgets.is_empty())
    {
        (false, _) => own.into_iter().map(Some).collect(),
        (true, true) => budgets.iter().copied().map(Some).collect(),
        (true, false) => vec![None],
    };
    rows.extend(budgets.into_iter().map(|budget| Candidate {
        name: name.clone(),
        strategy: strategy.clone(),
        budget,
    }));
    Ok(())
}

/// `NAME`, or `NAME@BUDGET` of a row that was given one.
pub(super) fn label(candidate: &Candidate) -> String {
    match candidate.budget {
        Some(budget) => format!("{}@{budget}", candidate.name),
        None => candidate.name.clone(),
    }
}

/// The row called `NAME` or `NAME@BUDGET`.
fn find(wanted: &str, candidates: &[Candidate]) -> anyhow::Result<usize> {
    let matching = |c: &Candidate| c.name == wanted || label(c) == wanted;
    let found: Vec<usize> = (0..candidates.len())
        .filter(|&i| matching(&candidates[i]))
        .collect();
    if let [index] = found[..] {
        return Ok(index);
    }
    let labels: Vec<String> = candidates.iter().map(label).collect();
    anyhow::bail!(
        "--against {wanted}: {} rows have that name, expected one of {}",
        found.len(),
        labels.join(", ")
    )
}
