//! Several caches over the same windows in one run: what each loses against the first.

use crate::error::{EvalError, Result};
use crate::fan_out::FanOut;
use crate::fidelity::{
    Fidelity, Scores, TokenFidelity, TokenRecord, WindowFidelity, reference_nll,
};
use crate::foresight::{self, WindowTokens};
use crate::lockstep::{LockstepOptions, check_vocabulary};
use crate::perplexity::Perplexity;
use crate::progress::Progress;
use crate::stepper::check_context;
use crate::subject::{MemorySummary, RatioSum};
use rayon::prelude::*;
use serde::Serialize;
use smartkv_core::{KvHook, MeasuredHook};
use smartkv_host::{Logits, LogitsFor, Model};

/// One cache of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Against the reference.
    pub fidelity: Fidelity,
    /// What it held while tokens were scored.
    pub memory: MemorySummary,
    /// Window by window.
    pub windows: Vec<WindowFidelity>,
}

/// What a comparison gives.
#[derive(Debug)]
pub struct ComparisonResult {
    /// Perplexity under the reference.
    pub reference: Perplexity,
    /// Windows measured.
    pub windows: usize,
    /// Tokens of the text.
    pub text_tokens: usize,
    /// One entry for every candidate: what was measured, or why it failed.
    pub candidates: Vec<std::result::Result<Compared, String>>,
}

/// Runs the reference (the first cache) and all candidates over the windows of `text`, as
/// [`lockstep`](crate::lockstep()) does, but in one batch: the model runs once a step for all.
/// Speeds cannot be told apart here. For candidates that need the attention of tokens to come, the
/// reference runs through each window once before.
///
/// # Errors
/// As [`lockstep`](crate::lockstep()). A candidate that fails is reported in its place.
pub fn compare(
    model: &Model,
    text: &[u32],
    options: &LockstepOptions,
    caches: Vec<&mut dyn MeasuredHook>,
    progress: &dyn Progress,
) -> Result<ComparisonResult> {
    let tokens_per_forward = options.protocol.tokens_per_forward()?;
    options.bootstrap.check()?;
    if options.prefill_chunk == 0 {
        return Err(EvalError::parameter("prefill_chunk", 0, "at least 1"));
    }
    let cut = options.cut(text.len())?;
    let cost = options.prefix.len() + cut.tokens_per_window - 1;
    check_context(model, "a window", cost)?;
    check_vocabulary(model, text, options)?;
    let hook = FanOut::new(caches).map_err(smartkv_host::Error::from)?;
    let foreseen = hook.needs_trace();
    progress.begin(cost * cut.starts.len() * (1 + usize::from(foreseen)));

    let mut run = Run {
        model,
        text,
        options,
        tokens_per_forward,
        progress,
        records: vec![Vec::new(); hook.shape().batch],
        sums: vec![RatioSum::default(); hook.shape().batch],
        broken: vec![None; hook.shape().batch],
        foreseen,
        hook,
    };
    for (index, &start) in cut.starts.iter().enumerate() {
        progress.message(&format!("window {} of {}", index + 1, cut.starts.len()));
        run.window(index, start)?;
    }

    let Run {
        records,
        sums,
        broken,
        hook,
        ..
    } = run;
    let mut failures = hook.into_failures().into_iter();
    let missing = || EvalError::Statistics("a comparison without a reference".into());
    if let Some(error) = failures.next().ok_or_else(missing)? {
        return Err(smartkv_host::Error::from(error).into());
    }
    let mut parts = records.into_iter().zip(sums).zip(broken);
    let ((reference, _), _) = parts.next().ok_or_else(missing)?;
    let means: Vec<f64> = reference.iter().filter_map(|w| reference_nll(w)).collect();
    let parts = parts.zip(failures.map(|failure| failure.map(|error| error.to_string())));
    let candidates = parts.map(
        |(((windows, sum), broken), failure)| match failure.or(broken) {
            Some(reason) => Err(reason),
            None => Fidelity::of(&windows, &options.bootstrap)
                .map_err(|error| error.to_string())
                .and_then(|fidelity| {
                    let memory = sum.summary().ok_or("no step was measured")?;
                    let windows = windows.iter().filter_map(WindowFidelity::of).collect();
                    Ok(Compared {
                        fidelity,
                        memory,
                        windows,
                    })
                }),
        },
    );
    Ok(ComparisonResult {
        reference: Perplexity::of(&means, options.windows.score).ok_or_else(missing)?,
        windows: cut.starts.len(),
        text_tokens: text.len(),
        candidates: candidates.collect(),
    })
}

struct Run<'a, 'c> {
    model: &'a Model,
    text: &'a [u32],
    options: &'a LockstepOptions,
    tokens_per_forward: usize,
    progress: &'a dyn Progress,
    /// Per cache and window.
    records: Vec<Vec<Vec<TokenRecord>>>,
    sums: Vec<RatioSum>,
    /// Why a candidate's logits cannot be scored.
    broken: Vec<Option<String>>,
    /// Whether a cache must be told the attention of tokens to come.
    foreseen: bool,
    hook: FanOut<'c>,
}

impl Run<'_, '_> {
    fn window(&mut self, index: usize, start: usize) -> Result<()> {
        let first = start + self.options.windows.prefill;
        let prompt = [self.options.prefix.as_slice(), &self.text[start..first]].concat();
        let end = first + self.options.windows.score;
        let trace = if self.foreseen {
            let window = WindowTokens {
                prompt: &prompt,
                prefill_chunk: self.options.prefill_chunk,
                scored: &self.text[first..end],
                tokens_per_forward: self.tokens_per_forward,
            };
            let reference = self.hook.first();
            Some(foresight::trace(
                self.model,
                reference,
                window,
                self.progress,
            )?)
        } else {
            None
        };
        self.hook.reset();
        if let Some(trace) = &trace {
            let told = self.hook.foresee(trace);
            told.map_err(smartkv_host::Error::from)?;
        }
        let mut left = prompt.len();
        for part in prompt.chunks(self.options.prefill_chunk) {
            left -= part.len();
            self.forward(part, LogitsFor::None, left)?;
        }
        self.records.iter_mut().for_each(|r| r.push(Vec::new()));
        for at in (first..end).step_by(self.tokens_per_forward) {
            let tokens = at..(at + self.tokens_per_forward).min(end);
            let logits = self.forward(&self.text[tokens.clone()], LogitsFor::All, 0)?;
            let memory = self.hook.memory();
            for (sum, memory) in self.sums.iter_mut().zip(&memory) {
                memory.iter().for_each(|memory| sum.add(memory));
            }
            for (row, position) in tokens.enumerate() {
                let sound = |(m, broken): (&Option<_>, &Option<_>)| m.is_some() && broken.is_none();
                let sound: Vec<bool> = memory.iter().zip(&self.broken).map(sound).collect();
                self.score(index, &logits, row, position, &sound)?;
            }
        }
        Ok(())
    }

    fn forward(&mut self, tokens: &[u32], want: LogitsFor, left: usize) -> Result<Logits> {
        let batch = vec![tokens; self.hook.shape().batch];
        let logits = self
            .model
            .forward_part(&batch, &mut self.hook, want, left)?;
        self.progress.advance(tokens.len());
        Ok(logits)
    }

    fn score(
        &mut self,
        window: usize,
        logits: &Logits,
        row: usize,
        position: usize,
        sound: &[bool],
    ) -> Result<()> {
        let token = self.text[position + 1];
        let refuse = |side| EvalError::NotFinite {
            side,
            window,
            position,
        };
        let own = logits.row(0, row);
        let scores = Scores::of(own, token).ok_or_else(|| refuse("reference"))?;
        let records: Vec<Option<TokenRecord>> = (0..sound.len())
            .into_par_iter()
            .map(|cache| {
                let alone = TokenRecord {
                    position: position + 1,
                    token,
                    reference_nll_nats: scores.nll_nats,
                    reference_max_p: scores.max_p,
                    candidate: None,
                };
                if cache == 0 {
                    return Some(alone);
                }
                let other = sound[cache].then(|| logits.row(cache, row))?;
                let other_scores = Scores::of(other, token)?;
                let compared = TokenFidelity::of((own, &scores), (other, &other_scores));
                Some(TokenRecord {
                    candidate: Some(compared),
                    ..alone
                })
            })
            .collect();
        let sides = self.records.iter_mut().zip(records).zip(&mut self.broken);
        for ((windows, record), broken) in sides {
            match record {
                Some(record) => windows.last_mut().into_iter().for_each(|w| w.push(record)),
                None => {
                    broken.get_or_insert_with(|| refuse("candidate").to_string());
                }
            }
        }
        Ok(())
    }
}
