//! A text, its windows, and the caches that they run through.

use super::super::record::Environment;
use crate::assets::Text;
use crate::config::StrategySpec;
use anyhow::Context as _;
use serde::Serialize;
use smartkv_core::{Budget, Cache, KvHook, Prefill, TraceRecorder};
use smartkv_eval::{EvalError, Progress, Windows};
use smartkv_host::{LogitsFor, Model};

/// Tokens of a forward pass while prefilling.
pub(super) const PREFILL_CHUNK: usize = 256;

/// What an analysis runs on.
#[derive(Debug)]
pub struct Passage<'a> {
    /// The loaded model.
    pub model: &'a Model,
    /// What the user called it.
    pub model_name: &'a str,
    /// The text.
    pub text: &'a Text,
    /// Its windows.
    pub windows: Windows,
    /// When prompts are compressed.
    pub prefill: Prefill,
    /// Seed of everything random.
    pub seed: u64,
    /// What it is run with.
    pub environment: Environment,
}

/// What was read, as every record says it.
#[derive(Debug, Clone, Serialize)]
pub struct TextRecord {
    /// Where the text came from.
    pub source: String,
    /// SHA-256 of the text.
    pub sha256: String,
    /// Its tokens.
    pub tokens: usize,
    /// Windows asked for, their prompt and the tokens after it.
    pub windows: Windows,
    /// First token of each window that was run.
    pub starts: Vec<usize>,
}

/// One window of the text, on its way through a cache.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// First token in the text.
    pub(super) start: usize,
    /// Tokens that are prefilled: a prefix, then text.
    pub(super) prompt: Vec<u32>,
    /// Tokens that are run one by one.
    pub(super) decoded: Vec<u32>,
}

impl Passage<'_> {
    /// Tokens put in front of a window.
    pub(super) fn prefix(&self) -> Vec<u32> {
        self.model.tokenizer().bos().into_iter().collect()
    }

    /// The tokens of the text.
    pub(super) fn tokens(&self) -> anyhow::Result<Vec<u32>> {
        Ok(self.model.tokenizer().encode(&self.text.text, false)?)
    }

    /// What a record says of the text.
    pub(super) fn record(&self, tokens: &[u32]) -> anyhow::Result<TextRecord> {
        Ok(TextRecord {
            source: self.text.source.clone(),
            sha256: self.text.sha256.clone(),
            tokens: tokens.len(),
            windows: self.windows,
            starts: self.windows.cut(tokens.len())?.starts,
        })
    }

    /// The same where one window was run.
    pub(super) fn record_of(&self, tokens: &[u32], window: &Window) -> TextRecord {
        TextRecord {
            source: self.text.source.clone(),
            sha256: self.text.sha256.clone(),
            tokens: tokens.len(),
            windows: self.windows,
            starts: vec![window.start],
        }
    }

    /// The first window.
    ///
    /// # Errors
    /// A text too short, a window beyond the model's context or without a prompt.
    pub(super) fn first_window(&self, tokens: &[u32]) -> anyhow::Result<Window> {
        let start = self.windows.cut(tokens.len())?.starts[0];
        let end = start + self.windows.prefill;
        let prompt = [self.prefix().as_slice(), &tokens[start..end]].concat();
        let needed = prompt.len() + self.windows.score;
        let limit = self.model.description().context_length;
        if needed > limit {
            let what = "a window".to_string();
            return Err(EvalError::ContextTooLong {
                what,
                needed,
                limit,
            }
            .into());
        }
        anyhow::ensure!(
            !prompt.is_empty(),
            "a prompt of 0 tokens: expected at least 1"
        );
        Ok(Window {
            start,
            prompt,
            decoded: tokens[end..end + self.windows.score].to_vec(),
        })
    }

    /// The empty cache of a strategy; `inspected` says where its tokens are.
    pub(super) fn cache(
        &self,
        strategy: &StrategySpec,
        budget: Option<Budget>,
        inspected: bool,
    ) -> anyhow::Result<Cache> {
        let builder = Cache::builder(self.model.cache_shape(1)?, strategy.strategy.clone())
            .rope(self.model.ropes())
            .budget(budget)
            .prefill(self.prefill)
            .seed(self.seed)
            .inspected(inspected)
            .kernels(smartkv_kernels::best());
        builder.build().with_context(|| strategy.name.clone())
    }

    /// The f16 cache.
    pub(super) fn f16(&self) -> anyhow::Result<Cache> {
        self.cache(&StrategySpec::resolve("f16", &[])?, None, false)
    }

    /// Tokens that [`run`](Self::run) will count for this cache.
    pub(super) fn cost(window: &Window, cache: &Cache) -> usize {
        let tokens = window.prompt.len() + window.decoded.len();
        tokens * (1 + usize::from(cache.needs_trace()))
    }

    /// Runs a window through an emptied cache and calls `look` after every step, the prompt's
    /// chunks among them. A cache that must know the attention to come is told it first.
    pub(super) fn run(
        &self,
        window: &Window,
        cache: &mut Cache,
        progress: &dyn Progress,
        mut look: impl FnMut(&Cache),
    ) -> anyhow::Result<()> {
        let trace = if cache.needs_trace() {
            let mut exact = self.f16()?;
            let (prompt, decoded) = (window.prompt.len(), window.decoded.len());
            let mut recorder = TraceRecorder::new(&mut exact, prompt, decoded)?;
            for (part, left) in window.parts() {
                self.forward(part, left, &mut recorder, progress)?;
            }
            Some(recorder.finish())
        } else {
            None
        };
        cache.reset();
        if let Some(trace) = &trace {
            cache.foresee(trace)?;
        }
        for (part, left) in window.parts() {
            self.forward(part, left, cache, progress)?;
            look(cache);
        }
        Ok(())
    }

    fn forward(
        &self,
        part: &[u32],
        left: usize,
        hook: &mut dyn KvHook,
        progress: &dyn Progress,
    ) -> anyhow::Result<()> {
        self.model
            .forward_part(&[part], hook, LogitsFor::None, left)?;
        progress.advance(part.len());
        Ok(())
    }

    /// The text of single tokens.
    pub(super) fn texts(&self, tokens: &[u32]) -> anyhow::Result<Vec<String>> {
        let tokenizer = self.model.tokenizer();
        let text = |id: &u32| Ok(tokenizer.decode_with_special(std::slice::from_ref(id))?);
        tokens.iter().map(text).collect()
    }
}

impl Window {
    /// Its forwards: the tokens, and how many of the prompt come after them.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&[u32], usize)> {
        let mut left = self.prompt.len();
        let prompt = self.prompt.chunks(PREFILL_CHUNK).map(move |part| {
            left -= part.len();
            (part, left)
        });
        prompt.chain(self.decoded.chunks(1).map(|part| (part, 0)))
    }
}
