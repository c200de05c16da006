//! What an evaluation measures, and how. Precedence: defaults < file < environment < flags.

use crate::config::{Assignment, ConfigError, StrategySpec, TaskSpec};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smartkv_core::{Budget, Prefill};
use smartkv_eval::task::{PromptStyle, Shard, TaskOptions};
use smartkv_eval::tasks::Needle;
use smartkv_eval::{Protocol, WindowCount, Windows};

/// The model used unless told.
pub const DEFAULT_MODEL: &str = "smollm2-135m-instruct";

/// The text used unless told.
pub const DEFAULT_TEXT: &str = "essays";

/// An evaluation as written in a file: every field is optional, and the same words as the flags.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalFile {
    /// Model name, path or hub repository.
    pub model: Option<String>,
    /// How weights are held: auto, quantized, f32, f16 or bf16.
    pub weights: Option<String>,
    /// Strategy name, path, or a whole configuration with its name under `type`.
    pub strategy: Option<Value>,
    /// Limit on live bytes.
    pub budget: Option<Budget>,
    /// `essays`, `wikitext-2` or a text file.
    pub text: Option<String>,
    /// `decode` or `chunked:N`.
    pub protocol: Option<Protocol>,
    /// `exact` or `quantized`.
    pub prefill: Option<Prefill>,
    /// Windows of the text.
    pub windows: WindowsFile,
    /// Whether attention outputs are compared layer by layer.
    pub attention_error: Option<bool>,
    /// Needle grid; `{enabled: false}` leaves it out.
    pub needle: NeedleFile,
    /// Tasks in the place of windows and needles.
    pub ask: AskFile,
    /// Seed of everything random.
    pub seed: Option<u64>,
}

/// Windows as written in a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WindowsFile {
    /// Tokens prefilled at the start of each window, not scored.
    pub prefill: Option<usize>,
    /// Predictions scored in each window.
    pub score: Option<usize>,
    /// Windows, or `all`.
    pub count: Option<WindowCount>,
    /// Whether every window is drawn with the seed from its share of the text, in the place of
    /// windows at equal distances: then seeds read different tokens.
    pub seeded: Option<bool>,
}

impl WindowsFile {
    /// The windows, with the defaults of what is left out, and the seed they are drawn with.
    ///
    /// # Errors
    /// All windows of a text, to be drawn.
    pub fn windows(&self, seed: u64) -> anyhow::Result<(Windows, Option<u64>)> {
        let windows = Windows {
            count: self.count.unwrap_or(6.into()),
            prefill: self.prefill.unwrap_or(512),
            score: self.score.unwrap_or(256),
        };
        let seeded = self.seeded == Some(true);
        anyhow::ensure!(
            !(seeded && windows.count == WindowCount::All),
            "windows.seeded: all windows of a text leave no choice to a seed: expected a number \
             of windows"
        );
        Ok((windows, seeded.then_some(seed)))
    }
}

/// The needle grid as written in a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NeedleFile {
    /// Whether to run it.
    pub enabled: Option<bool>,
    /// Prompt lengths in tokens.
    pub lengths: Option<Vec<usize>>,
    /// Depths of the needle in percent.
    pub depths: Option<Vec<u32>>,
    /// Prompts for each length and depth.
    pub samples: Option<usize>,
}

/// Tasks as written in a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AskFile {
    /// Names, or configurations with the name under `type`.
    pub tasks: Vec<Value>,
    /// Most tokens of a prompt and its answer.
    pub context: Option<usize>,
    /// Samples of each part of a task.
    pub limit: Option<usize>,
    /// Whether the cache sees the question before it compresses.
    pub query_aware: Option<bool>,
    /// Whether the model's chat template is left out.
    pub raw_prompt: Option<bool>,
    /// Whether f16 is also asked without the context.
    pub control: Option<bool>,
    /// One share of the samples, such as 2/8.
    pub shard: Option<Shard>,
}

impl AskFile {
    /// The tasks, with the assignments that are theirs.
    ///
    /// # Errors
    /// Unknown tasks and fields; an assignment to no task that is asked.
    pub fn specs(&self, sets: &[Assignment]) -> anyhow::Result<Vec<TaskSpec>> {
        let name = |task: &Value| {
            let name = task.as_str().or_else(|| task.get("type")?.as_str());
            name.unwrap_or_default().to_string()
        };
        let only = self.tasks.len() == 1;
        let mut taken = vec![false; sets.len()];
        let mut specs = Vec::with_capacity(self.tasks.len());
        for task in &self.tasks {
            let name = name(task);
            let own = sets.iter().zip(&mut taken).filter_map(|(set, taken)| {
                let own = set.of_task(&name, only);
                *taken |= own.is_some();
                own
            });
            specs.push(TaskSpec::from_config(task, &own.collect::<Vec<_>>())?);
        }
        for (set, taken) in sets.iter().zip(taken) {
            anyhow::ensure!(
                taken || !set.is_for_task(),
                "--set {set}: of which task? Expected task.NAME.FIELD=VALUE with NAME one of: {}",
                self.tasks.iter().map(name).collect::<Vec<_>>().join(", ")
            );
        }
        Ok(specs)
    }

    /// How the tasks are asked.
    #[must_use]
    pub fn options(&self, seed: u64) -> TaskOptions {
        let mut options = TaskOptions {
            context_tokens: self.context,
            limit: self.limit,
            shard: self.shard.unwrap_or_default(),
            seed,
            query_aware: self.query_aware.unwrap_or(false),
            control: self.control.unwrap_or(true),
            ..TaskOptions::default()
        };
        options.bootstrap.seed = seed;
        if self.raw_prompt == Some(true) {
            options.style = PromptStyle::Raw;
        }
        options
    }
}

impl EvalFile {
    /// The strategy the file names, with assignments applied.
    ///
    /// # Errors
    /// See [`StrategySpec::resolve`].
    pub fn strategy(&self, sets: &[Assignment]) -> Result<StrategySpec, ConfigError> {
        match &self.strategy {
            None => StrategySpec::resolve("smartkv", sets),
            Some(Value::String(name)) => StrategySpec::resolve(name, sets),
            Some(config) => StrategySpec::from_config(config, sets),
        }
    }

    /// What the model is called.
    #[must_use]
    pub fn model(&self) -> &str {
        self.model.as_deref().unwrap_or(DEFAULT_MODEL)
    }

    /// How its weights are held.
    #[must_use]
    pub fn weights(&self) -> &str {
        self.weights.as_deref().unwrap_or("auto")
    }

    /// The text to measure on, also the haystack of tasks.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or(DEFAULT_TEXT)
    }

    /// Everything an evaluation of `strategy` needs, with the defaults of what is left out.
    ///
    /// # Errors
    /// A protocol that cannot be run; a needle grid for a strategy that must be told the attention
    /// to come.
    pub fn settings(&self, strategy: StrategySpec) -> anyhow::Result<EvalSettings> {
        let protocol = self.protocol.unwrap_or_default();
        // Refused here rather than after a model was loaded.
        protocol.tokens_per_forward()?;
        let seed = self.seed.unwrap_or(0);
        let (windows, window_seed) = self.windows.windows(seed)?;
        // Answers are generated: nobody knows the attention of their tokens beforehand.
        let tracker = strategy.strategy.tracker().filter(|t| t.needs_trace());
        let tracker = tracker.map(smartkv_core::Tracker::typetag_name);
        if let Some(tracker) = tracker.filter(|_| self.needle.enabled == Some(true)) {
            return Err(smartkv_core::Error::NoTrace { tracker })
                .context("the needle grid cannot be measured");
        }
        let needle = (self.needle.enabled != Some(false) && tracker.is_none()).then(|| Needle {
            lengths: self.needle.lengths.clone().unwrap_or(vec![512, 1024]),
            depths: self.needle.depths.clone().unwrap_or(vec![10, 50, 90]),
            samples: self.needle.samples.unwrap_or(1),
            ..Needle::default()
        });
        Ok(EvalSettings {
            strategy,
            budget: self.budget,
            prefill: self.prefill.unwrap_or_default(),
            protocol,
            windows,
            window_seed,
            prefill_chunk: PREFILL_CHUNK,
            attention_error: self.attention_error.unwrap_or(false),
            needle,
            seed,
        })
    }
}

/// Tokens per forward pass while prefilling.
const PREFILL_CHUNK: usize = 256;

/// Everything an evaluation needs besides the loaded model and text.
#[derive(Debug, Clone)]
pub struct EvalSettings {
    /// The strategy under test.
    pub strategy: StrategySpec,
    /// Its budget; its own default when `None`.
    pub budget: Option<Budget>,
    /// When prompts are compressed.
    pub prefill: Prefill,
    /// How scored tokens pass through the caches.
    pub protocol: Protocol,
    /// Windows of the text.
    pub windows: Windows,
    /// The seed that windows are drawn with; at equal distances if absent.
    pub window_seed: Option<u64>,
    /// Tokens per forward pass while prefilling.
    pub prefill_chunk: usize,
    /// The needle grid, unless left out.
    pub needle: Option<Needle>,
    /// Whether attention outputs are compared layer by layer, which runs every window once more.
    pub attention_error: bool,
    /// Seed of everything random.
    pub seed: u64,
}
