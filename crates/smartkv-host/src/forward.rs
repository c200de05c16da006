//! The forward pass: tokens in, logits out, attention behind the hook.

use crate::between::{Between, leave, norm};
use crate::error::{Error, Result};
use crate::heap;
use crate::linear::Threads;
use crate::logits::{Collector, Logits, LogitsFor};
use crate::model::Model;
use crate::ragged::Ragged;
use crate::rope::Angles;
use crate::scratch::{Scratch, Stream, Temps, sized};
use rayon::prelude::*;
use smartkv_core::{AttnStep, KvHook};
use smartkv_kernels::Elementwise;
use std::ops::Range;

/// Tokens of a sequence from which memory that the end of its prompt freed is given back: below,
/// it is not worth the call.
const LONG_PROMPT: usize = 2048;

/// Rows of a step from which the pages that held their embeddings are given back.
const MANY_ROWS: usize = 32;

/// Where the tokens of one step stand.
struct Placement {
    ragged: Ragged,
    /// Position of each row in its sequence.
    positions: Vec<usize>,
    /// Tokens that each row's sequence reaches: with this step, or with the whole prompt that it
    /// is a part of.
    lengths: Vec<usize>,
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
        let lengths = reached(tokens, hook);
        self.step(tokens, hook, &lengths, &wanted, more_prompt)
    }

    /// Runs a part of prompts of which `left` more tokens of each sequence follow: for those who look
    /// at a cache between the chunks of a prompt. Rotations that depend on the length of a prompt
    /// are those of the whole, as [`prefill`](Self::prefill) has them.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), for what is still to follow too.
    pub fn forward_part(
        &self,
        tokens: &[&[u32]],
        hook: &mut dyn KvHook,
        logits: LogitsFor,
        left: usize,
    ) -> Result<Logits> {
        self.check(tokens, hook)?;
        let wanted: Vec<Range<usize>> = tokens.iter().map(|t| wanted(logits, t.len())).collect();
        let lengths: Vec<usize> = reached(tokens, hook).iter().map(|l| l + left).collect();
        self.step(tokens, hook, &lengths, &wanted, left > 0)
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
        let lengths: Vec<usize> = tokens.iter().map(|tokens| tokens.len()).collect();
        hook.reserve(&lengths);
        let lengths = reached(tokens, hook);
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
            collector.push(&self.step(&part, hook, &lengths, &wanted, end < longest)?);
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
        lengths: &[usize],
        wanted: &[Range<usize>],
        more_prompt: bool,
    ) -> Result<Logits> {
        let seen = tokens
            .iter()
            .enumerate()
            .map(|(sequence, new)| (hook.seen(sequence), new.len()));
        let place = Placement {
            positions: seen.flat_map(|(seen, new)| seen..seen + new).collect(),
            lengths: (tokens.iter().zip(lengths))
                .flat_map(|(new, &length)| std::iter::repeat_n(length, new.len()))
                .collect(),
            ragged: Ragged::new(tokens.iter().map(|tokens| tokens.len()).collect()),
        };
        let rows = place.ragged.rows();
        let mut scratch = self.scratches.take(&self.description, rows);
        // On a thread of the pool, so that its others need not be woken for every product.
        let logits = rayon::scope(|_| {
            self.embed(tokens, &place.positions, &mut scratch.stream.x)?;
            self.layers(&mut scratch, &place, hook)?;
            let logits = self.logits(&mut scratch, &place.ragged, wanted)?;
            hook.end_step(more_prompt)?;
            Ok(logits)
        });
        self.scratches.give_back(scratch, rows);
        let reached = place.positions.iter().max().map_or(0, |last| last + 1);
        if place.ragged.tokens() > 1 && !more_prompt && reached > LONG_PROMPT {
            heap::trim();
        }
        logits
    }

    /// Looks up the embeddings of all tokens, and of their positions where those are learned.
    fn embed(&self, tokens: &[&[u32]], positions: &[usize], x: &mut [f32]) -> Result<()> {
        let d = &self.description;
        let rows = x.chunks_exact_mut(d.hidden);
        let ids = tokens.iter().copied().flatten();
        let mut learned = vec![0.0; d.hidden];
        for (row, (&id, &position)) in rows.zip(ids.zip(positions)) {
            self.embedding.row(id as usize, row)?;
            if d.embedding_scale != 1.0 {
                row.iter_mut().for_each(|x| *x *= d.embedding_scale);
            }
            if let Some(table) = &self.positions {
                table.row(position, &mut learned)?;
                row.iter_mut().zip(&learned).for_each(|(x, of)| *x += of);
            }
        }
        // A row brings its surroundings with it: the tokens of a chunk nearly the whole table.
        if x.len() > MANY_ROWS * self.description.hidden {
            self.embedding.release();
        }
        Ok(())
    }

    /// Every layer up to the last attention.
    fn layers(
        &self,
        scratch: &mut Scratch,
        place: &Placement,
        hook: &mut dyn KvHook,
    ) -> Result<()> {
        let Placement {
            ragged,
            positions,
            lengths,
        } = place;
        let rotations = self.rotations.iter();
        let angles: Vec<Angles> = rotations.map(|r| r.angles(positions, lengths)).collect();
        let (stream, workers) = scratch.parts();
        let mut from = None;
        let layers = self.layers.iter().zip(&self.description.attention);
        for (index, (layer, attention)) in layers.enumerate() {
            let between = Between {
                description: &self.description,
                from,
                to: Some(layer),
                angles: attention.rope.map(|rope| &angles[rope]),
                takes_blocks: self.takes_blocks,
            };
            between.run(stream, workers, ragged.rows())?;
            attend(index, attention.window, stream, ragged, hook)?;
            from = Some(layer);
        }
        Ok(())
    }

    /// The rest of the last layer, norm and head, for the wanted rows of each sequence only.
    fn logits(
        &self,
        scratch: &mut Scratch,
        ragged: &Ragged,
        wanted: &[Range<usize>],
    ) -> Result<Logits> {
        let d = &self.description;
        let (hidden, width, vocab) = (d.hidden, d.q_heads * d.head_dim, d.vocab);
        let rows: Vec<usize> = wanted.iter().map(ExactSizeIterator::len).collect();
        let count = rows.iter().sum::<usize>();
        let mut data = vec![0.0; count * vocab];
        if count == 0 {
            return Ok(Logits { data, rows, vocab });
        }
        let (stream, workers) = scratch.parts();
        let mut x = Vec::with_capacity(count * hidden);
        let mut attended = Vec::with_capacity(count * width);
        for (sequence, wanted) in wanted.iter().enumerate() {
            let first = ragged.first_row(sequence);
            let (start, end) = (first + wanted.start, first + wanted.end);
            x.extend_from_slice(&stream.x[start * hidden..end * hidden]);
            attended.extend_from_slice(&stream.attended[start * width..end * width]);
        }
        let finish = |x: &mut [f32], attended: &[f32], data: &mut [f32], threads| {
            let temps = &mut workers.mine();
            self.finish(x, attended, temps, data, threads)
        };
        if self.takes_blocks && self.head.takes_blocks() && count > HEAD_ROWS {
            x.par_chunks_mut(HEAD_ROWS * hidden)
                .zip(attended.par_chunks(HEAD_ROWS * width))
                .zip(data.par_chunks_mut(HEAD_ROWS * vocab))
                .try_for_each(|((x, attended), data)| finish(x, attended, data, Threads::Mine))?;
        } else {
            finish(&mut x, &attended, &mut data, Threads::All)?;
        }
        Ok(Logits { data, rows, vocab })
    }

    /// From the last attention to logits.
    fn finish(
        &self,
        x: &mut [f32],
        attended: &[f32],
        temps: &mut Temps,
        data: &mut [f32],
        threads: Threads,
    ) -> Result<()> {
        let d = &self.description;
        if let Some(layer) = self.layers.last() {
            leave(d, layer, x, attended, temps, threads)?;
        }
        let normed = sized(&mut temps.normed, x.len());
        norm(x, &self.norm, d.norm_eps, normed, threads);
        self.head.forward(normed, data, threads)?;
        if let Some(cap) = d.logit_softcap {
            Elementwise::best().softcap(data, 0.0, cap);
        }
        Ok(())
    }
}

/// Rows that a thread takes from the last attention to logits.
const HEAD_ROWS: usize = 16;

/// Hands a layer's queries, keys and values to the hook.
fn attend(
    layer: usize,
    window: Option<usize>,
    stream: &mut Stream,
    ragged: &Ragged,
    hook: &mut dyn KvHook,
) -> Result<()> {
    let Stream {
        q, k, v, attended, ..
    } = stream;
    let (q, k, v) = (ragged.pad(q), ragged.pad(k), ragged.pad(v));
    let step = AttnStep {
        layer,
        tokens: ragged.tokens(),
        lens: ragged.lens(),
        q: &q,
        k: &k,
        v: &v,
        window,
    };
    if ragged.is_dense() {
        return Ok(hook.attend(step, attended)?);
    }
    let mut padded = vec![0.0; q.len()];
    hook.attend(step, &mut padded)?;
    ragged.unpad(&padded, attended);
    Ok(())
}

/// Tokens that each sequence has once it holds `tokens` as well.
fn reached(tokens: &[&[u32]], hook: &dyn KvHook) -> Vec<usize> {
    let new = tokens.iter().map(|tokens| tokens.len());
    new.enumerate()
        .map(|(sequence, new)| hook.seen(sequence) + new)
        .collect()
}

/// The rows of a sequence of `length` tokens that get logits.
fn wanted(logits: LogitsFor, length: usize) -> Range<usize> {
    match logits {
        LogitsFor::None => 0..0,
        LogitsFor::Last => length.saturating_sub(1)..length,
        LogitsFor::All => 0..length,
    }
}
