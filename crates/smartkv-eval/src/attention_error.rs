//! What a cache does to the output of attention itself, layer by layer.

use crate::error::Result;
use crate::foresight::{self, WindowTokens};
use crate::lockstep::{LockstepOptions, check_vocabulary};
use crate::progress::Progress;
use crate::stats::float;
use crate::stepper::check_context;
use serde::{Deserialize, Serialize};
use smartkv_core::{AttnStep, CacheShape, KvHook};
use smartkv_host::{LogitsFor, Model};

/// How far one layer's attention outputs are from the reference's for the same queries, keys and
/// values: what this layer's cache loses, without what the layers before it lost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayerError {
    /// Layer, from 0.
    pub layer: usize,
    /// Root of the summed squared differences over that of the summed squared outputs.
    pub relative: f64,
    /// Mean cosine between the outputs of one query head.
    pub cosine: f64,
    /// Outputs compared: scored tokens times query heads.
    pub outputs: usize,
}

/// Runs the windows of `text` through the reference and shows every step to `candidate` too, whose
/// outputs are compared and thrown away. Prompts are run and compressed, and not compared.
///
/// # Errors
/// As [`lockstep`](crate::lockstep()).
pub fn attention_errors(
    model: &Model,
    text: &[u32],
    options: &LockstepOptions,
    reference: &mut dyn KvHook,
    candidate: &mut dyn KvHook,
    progress: &dyn Progress,
) -> Result<Vec<LayerError>> {
    let tokens_per_forward = options.protocol.tokens_per_forward()?;
    let cut = options.cut(text.len())?;
    let cost = options.prefix.len() + cut.tokens_per_window - 1;
    check_context(model, "a window", cost)?;
    check_vocabulary(model, text, options)?;
    let foreseen = candidate.needs_trace();
    progress.begin(cost * cut.starts.len() * (1 + usize::from(foreseen)));
    let shape = *reference.shape();
    let mut sums = vec![Sum::default(); shape.layers];
    for (index, &start) in cut.starts.iter().enumerate() {
        progress.message(&format!("attention {} of {}", index + 1, cut.starts.len()));
        let first = start + options.windows.prefill;
        let scored = &text[first..first + options.windows.score];
        let prompt = [options.prefix.as_slice(), &text[start..first]].concat();
        if foreseen {
            let window = WindowTokens {
                prompt: &prompt,
                prefill_chunk: options.prefill_chunk,
                scored,
                tokens_per_forward,
            };
            let trace = foresight::trace(model, reference, window, progress)?;
            candidate.reset();
            let told = candidate.foresee(&trace);
            told.map_err(smartkv_host::Error::from)?;
        }
        reference.reset();
        candidate.reset();
        let mut both = Beside {
            reference: &mut *reference,
            candidate: &mut *candidate,
            output: Vec::new(),
            sums: None,
        };
        if !prompt.is_empty() {
            let chunk = options.prefill_chunk;
            model.prefill(&[&prompt], &mut both, chunk, LogitsFor::None)?;
            progress.advance(prompt.len());
        }
        both.sums = Some(&mut sums);
        for part in scored.chunks(tokens_per_forward) {
            model.forward(&[part], &mut both, LogitsFor::None, false)?;
            progress.advance(part.len());
        }
    }
    Ok(sums
        .iter()
        .enumerate()
        .map(|(l, sum)| sum.layer(l))
        .collect())
}

/// The outputs of one layer so far.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    difference: f64,
    norm: f64,
    cosine: f64,
    outputs: usize,
}

impl Sum {
    fn add(&mut self, exact: &[f32], other: &[f32]) {
        let (mut difference, mut dot, mut exact_norm, mut other_norm) = (0.0, 0.0, 0.0, 0.0);
        for (&a, &b) in exact.iter().zip(other) {
            let (a, b) = (f64::from(a), f64::from(b));
            difference += (a - b) * (a - b);
            dot += a * b;
            exact_norm += a * a;
            other_norm += b * b;
        }
        self.difference += difference;
        self.norm += exact_norm;
        let norms = (exact_norm * other_norm).sqrt();
        // Two outputs of nothing are the same.
        self.cosine += if norms > 0.0 { dot / norms } else { 1.0 };
        self.outputs += 1;
    }

    fn layer(&self, layer: usize) -> LayerError {
        LayerError {
            layer,
            relative: (self.difference / self.norm.max(f64::MIN_POSITIVE)).sqrt(),
            cosine: self.cosine / float(self.outputs.max(1)),
            outputs: self.outputs,
        }
    }
}

/// Two caches on the same steps; the model hears the reference.
struct Beside<'a> {
    reference: &'a mut dyn KvHook,
    candidate: &'a mut dyn KvHook,
    output: Vec<f32>,
    /// By layer, once outputs are compared.
    sums: Option<&'a mut [Sum]>,
}

impl KvHook for Beside<'_> {
    fn shape(&self) -> &CacheShape {
        self.reference.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.reference.seen(sequence)
    }

    fn reserve(&mut self, tokens: &[usize]) {
        self.reference.reserve(tokens);
        self.candidate.reserve(tokens);
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> smartkv_core::Result<()> {
        self.output.resize(out.len(), 0.0);
        self.candidate.attend(step, &mut self.output)?;
        self.reference.attend(step, out)?;
        if let Some(sums) = &mut self.sums {
            let head_dim = self.reference.shape().head_dim;
            let heads = out.chunks_exact(head_dim);
            for (exact, other) in heads.zip(self.output.chunks_exact(head_dim)) {
                sums[step.layer].add(exact, other);
            }
        }
        Ok(())
    }

    fn end_step(&mut self, more_prompt: bool) -> smartkv_core::Result<()> {
        self.candidate.end_step(more_prompt)?;
        self.reference.end_step(more_prompt)
    }

    fn reset(&mut self) {
        self.reference.reset();
        self.candidate.reset();
    }
}
