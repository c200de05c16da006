//! The forward pass: tokens in, logits out, attention behind the hook.

use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::logits::{Collector, Logits, LogitsFor};
use crate::model::Model;
use crate::ops::{add, rms_norm, silu_mul};
use crate::ragged::Ragged;
use smartkv_core::{AttnStep, KvHook};
use std::ops::Range;

/// Where the tokens of one step stand.
struct Placement {
    ragged: Ragged,
    /// Position of each row in its sequence.
    positions: Vec<usize>,
}

/// Buffers of one step, reused by every layer. Rows are the valid tokens of all sequences.
struct Scratch {
    /// The residual stream.
    x: Vec<f32>,
    normed: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

impl Model {
    /// Runs one step: `tokens[b]` are the next tokens of sequence `b`, of any lengths (also none).
    /// Positions continue from what `hook` has seen. `more_prompt` is passed on to
    /// [`KvHook::end_step`].
    ///
    /// Results do not depend on the number of threads. After an error the hook holds part of the
    /// step: reset it before using it again.
    ///
    /// # Errors
    /// A hook of another shape, no tokens at all, ids beyond the vocabulary, a sequence that would
    /// outgrow the context, or an error of the hook.
    pub fn forward(
        &self,
        tokens: &[&[u32]],
        hook: &mut dyn KvHook,
        logits: LogitsFor,
        more_prompt: bool,
    ) -> Result<Logits> {
        self.check(tokens, hook)?;
        let wanted: Vec<Range<usize>> = tokens.iter().map(|t| wanted(logits, t.len())).collect();
        self.step(tokens, hook, &wanted, more_prompt)
    }

    /// Runs whole prompts, `chunk` tokens of each sequence at a time; every step but the last says
    /// that more of the prompt follows. [`LogitsFor::Last`] gives the last token of each prompt.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), for the prompts as a whole before any is run; a chunk of 0.
    pub fn prefill(
        &self,
        tokens: &[&[u32]],
        hook: &mut dyn KvHook,
        chunk: usize,
        logits: LogitsFor,
    ) -> Result<Logits> {
        if chunk == 0 {
            return Err(Error::Parameter {
                name: "chunk",
                value: "0".into(),
                expected: "at least 1 token",
            });
        }
        self.check(tokens, hook)?;
        let longest = tokens.iter().map(|t| t.len()).max().unwrap_or(0);
        let mut collector = Collector::new(tokens.len(), self.description.vocab);
        for start in (0..longest).step_by(chunk) {
            let end = start.saturating_add(chunk);
            let part: Vec<&[u32]> = tokens
                .iter()
                .map(|t| &t[start.min(t.len())..end.min(t.len())])
                .collect();
            let wanted: Vec<Range<usize>> = tokens
                .iter()
                .zip(&part)
                .map(|(all, part)| match logits {
                    // Only the chunk a prompt ends in holds its last token.
                    LogitsFor::Last if all.len() > end => 0..0,
                    _ => wanted(logits, part.len()),
                })
                .collect();
            collector.push(&self.step(&part, hook, &wanted, end < longest)?);
        }
        Ok(collector.finish())
    }

    fn check(&self, tokens: &[&[u32]], hook: &dyn KvHook) -> Result<()> {
        if tokens.iter().all(|tokens| tokens.is_empty()) {
            return Err(Error::Input(
                "no tokens: give at least one sequence one token".into(),
            ));
        }
        let (have, want) = (hook.shape(), self.cache_shape(tokens.len())?);
        if *have != want {
            return Err(Error::Input(format!(
                "the cache was built for {have:?}, but this model and batch need {want:?}: build \
                 it from `cache_shape({})`",
                tokens.len()
            )));
        }
        let limit = self.description.context_length;
        for (sequence, tokens) in tokens.iter().enumerate() {
            let asked = hook.seen(sequence) + tokens.len();
            if asked > limit {
                return Err(Error::Context {
                    sequence,
                    asked,
                    limit,
                });
            }
            let vocab = self.description.vocab;
            if let Some(id) = tokens.iter().find(|&&id| id as usize >= vocab) {
                let reason =
                    format!("token {id} of sequence {sequence}: the vocabulary has {vocab}");
                return Err(Error::Input(reason));
            }
        }
        Ok(())
    }

    fn step(
        &self,
        tokens: &[&[u32]],
        hook: &mut dyn KvHook,
        wanted: &[Range<usize>],
        more_prompt: bool,
    ) -> Result<Logits> {
        let d = &self.description;
        let seen = tokens
            .iter()
            .enumerate()
            .map(|(sequence, new)| (hook.seen(sequence), new.len()));
        let place = Placement {
            positions: seen.flat_map(|(seen, new)| seen..seen + new).collect(),
            ragged: Ragged::new(tokens.iter().map(|tokens| tokens.len()).collect()),
        };
        let rows = place.ragged.rows();
        let (q_width, kv_width) = (d.q_heads * d.head_dim, d.kv_heads * d.head_dim);
        let mut s = Scratch {
            x: vec![0.0; rows * d.hidden],
            normed: vec![0.0; rows * d.hidden],
            q: vec![0.0; rows * q_width],
            k: vec![0.0; rows * kv_width],
            v: vec![0.0; rows * kv_width],
            attended: vec![0.0; rows * q_width],
            gate: vec![0.0; rows * d.intermediate],
            up: vec![0.0; rows * d.intermediate],
        };
        for (row, &id) in
            s.x.chunks_exact_mut(d.hidden)
                .zip(tokens.iter().copied().flatten())
        {
            self.embedding.row(id as usize, row)?;
        }
        for (index, layer) in self.layers.iter().enumerate() {
            self.attention(index, layer, &mut s, &place, hook)?;
            self.mlp(layer, &mut s)?;
        }
        let logits = self.logits(&s.x, &place.ragged, wanted)?;
        hook.end_step(more_prompt)?;
        Ok(logits)
    }

    fn attention(
        &self,
        index: usize,
        layer: &Layer,
        s: &mut Scratch,
        place: &Placement,
        hook: &mut dyn KvHook,
    ) -> Result<()> {
        let d = &self.description;
        let Placement { ragged, positions } = place;
        rms_norm(&s.x, &layer.attention_norm, d.rms_eps, &mut s.normed);
        layer.q.forward(&s.normed, &mut s.q)?;
        layer.k.forward(&s.normed, &mut s.k)?;
        layer.v.forward(&s.normed, &mut s.v)?;
        self.rope.rotate(&mut s.q, d.q_heads, positions);
        self.rope.rotate(&mut s.k, d.kv_heads, positions);
        let (q, k, v) = (ragged.pad(&s.q), ragged.pad(&s.k), ragged.pad(&s.v));
        let step = AttnStep {
            layer: index,
            tokens: ragged.tokens(),
            lens: ragged.lens(),
            q: &q,
            k: &k,
            v: &v,
        };
        if ragged.is_dense() {
            hook.attend(step, &mut s.attended)?;
        } else {
            let mut padded = vec![0.0; q.len()];
            hook.attend(step, &mut padded)?;
            ragged.unpad(&padded, &mut s.attended);
        }
        layer.o.forward(&s.attended, &mut s.normed)?;
        add(&mut s.x, &s.normed);
        Ok(())
    }

    fn mlp(&self, layer: &Layer, s: &mut Scratch) -> Result<()> {
        rms_norm(
            &s.x,
            &layer.mlp_norm,
            self.description.rms_eps,
            &mut s.normed,
        );
        layer.gate.forward(&s.normed, &mut s.gate)?;
        layer.up.forward(&s.normed, &mut s.up)?;
        silu_mul(&mut s.gate, &s.up);
        layer.down.forward(&s.gate, &mut s.normed)?;
        add(&mut s.x, &s.normed);
        Ok(())
    }

    /// Norm and head for the wanted rows of each sequence.
    fn logits(&self, x: &[f32], ragged: &Ragged, wanted: &[Range<usize>]) -> Result<Logits> {
        let (hidden, vocab) = (self.description.hidden, self.description.vocab);
        let rows: Vec<usize> = wanted.iter().map(ExactSizeIterator::len).collect();
        let mut chosen = Vec::with_capacity(rows.iter().sum::<usize>() * hidden);
        for (sequence, wanted) in wanted.iter().enumerate() {
            let first = ragged.first_row(sequence);
            let range = (first + wanted.start) * hidden..(first + wanted.end) * hidden;
            chosen.extend_from_slice(&x[range]);
        }
        let mut normed = vec![0.0; chosen.len()];
        rms_norm(&chosen, &self.norm, self.description.rms_eps, &mut normed);
        let mut data = vec![0.0; rows.iter().sum::<usize>() * vocab];
        if !data.is_empty() {
            self.head.forward(&normed, &mut data)?;
        }
        Ok(Logits { data, rows, vocab })
    }
}

/// The rows of a sequence of `length` tokens that get logits.
fn wanted(logits: LogitsFor, length: usize) -> Range<usize> {
    match logits {
        LogitsFor::None => 0..0,
        LogitsFor::Last => length.saturating_sub(1)..length,
        LogitsFor::All => 0..length,
    }
}
