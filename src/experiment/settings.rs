//! What an evaluation measures, and how. Precedence: defaults < file < environment < flags.

use crate::config::{Assignment, ConfigError, StrategySpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smartkv_core::{Budget, Prefill};
use smartkv_eval::tasks::Needle;
use smartkv_eval::{Protocol, WindowCount, Windows};

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
    /// Needle grid; `null` or `{enabled: false}` leaves it out.
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
}

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
    /// Tokens per forward pass while prefilling.
    pub prefill_chunk: usize,
    /// The needle grid, unless left out.
    pub needle: Option<Needle>,
    /// Whether attention outputs are compared layer by layer, which runs every window once more.
    pub attention_error: bool,
    /// Seed of everything random.
    pub seed: u64,
}
