//! A hook beside an uncompressed cache that computes attention from what passes.

use super::totals::{Totals, distance_from, heat_map};
use super::{Distances, HeadAttention, HeatMap, column_means};
use rayon::prelude::*;
use smartkv_core::calibration::{Scoring, attention_weights};
use smartkv_core::{AttnStep, CacheShape, KvHook, Result};

/// How the tokens of a window are told apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Tokens of a window.
    pub(super) tokens: usize,
    /// Position of the first scored query.
    pub(super) first: usize,
    /// Tokens of a block of the heat map.
    pub(super) block: usize,
    pub(super) sinks: usize,
    pub(super) recent: usize,
}

impl Layout {
    /// Blocks of a window.
    pub(super) fn blocks(self) -> usize {
        self.tokens.div_ceil(self.block.max(1))
    }
}

/// What passed of one layer in this window: `[tokens, heads, head_dim]` of queries, and of each kv
/// head keys and values `[tokens, head_dim]`.
#[derive(Debug, Clone)]
pub(super) struct LayerPassed {
    pub(super) queries: Vec<f32>,
    pub(super) keys: Vec<Vec<f32>>,
    pub(super) values: Vec<Vec<f32>>,
    pub(super) scoring: Scoring,
}

/// A window as it passed.
pub(super) struct Passed<'a> {
    pub(super) shape: CacheShape,
    /// Tokens before the first scored query.
    pub(super) prompt: usize,
    /// Positions of the queries to look at.
    pub(super) positions: Vec<usize>,
    pub(super) layers: &'a [LayerPassed],
}

pub(super) struct Observer<'a> {
    hook: &'a mut dyn KvHook,
    layout: Layout,
    /// Keep queries and values too.
    keep: bool,
    layers: Vec<LayerPassed>,
    /// `[layers][q_heads]`.
    totals: Vec<Totals>,
}

impl<'a> Observer<'a> {
    pub(super) fn new(hook: &'a mut dyn KvHook, layout: Layout, keep: bool) -> Self {
        let shape = *hook.shape();
        let layer = LayerPassed {
            queries: Vec::new(),
            keys: vec![Vec::new(); shape.kv_heads],
            values: vec![Vec::new(); shape.kv_heads],
            scoring: Scoring {
                scale: shape.scale,
                softcap: shape.softcap,
                window: None,
            },
        };
        Self {
            hook,
            layout,
            keep,
            layers: vec![layer; shape.layers],
            totals: vec![Totals::new(layout); shape.layers * shape.q_heads],
        }
    }

    /// Forgets the window before.
    pub(super) fn begin(&mut self) {
        self.hook.reset();
        for layer in &mut self.layers {
            layer.queries.clear();
            layer.keys.iter_mut().for_each(Vec::clear);
            layer.values.iter_mut().for_each(Vec::clear);
        }
    }

    /// What passed, with so many of the scored queries, evenly spread.
    pub(super) fn passed(&self, queries: usize) -> Passed<'_> {
        let Layout { tokens, first, .. } = self.layout;
        let scored = tokens - first;
        let queries = queries.min(scored);
        let positions = (0..queries).map(|n| first + n * scored / queries);
        Passed {
            shape: *self.hook.shape(),
            prompt: first,
            positions: positions.collect(),
            layers: &self.layers,
        }
    }

    /// Ends the window: what its tokens received, mean over heads, `[layers][tokens]`.
    pub(super) fn end(&mut self) -> Vec<Vec<f32>> {
        let heads = self.hook.shape().q_heads;
        let layer = |totals: &mut [Totals]| -> Vec<f32> {
            let received: Vec<Vec<f64>> = totals.iter_mut().map(Totals::end_window).collect();
            #[expect(clippy::cast_possible_truncation, reason = "shares of attention")]
            let narrow = |mean: f64| mean as f32;
            column_means(&received).into_iter().map(narrow).collect()
        };
        self.totals.chunks_exact_mut(heads).map(layer).collect()
    }

    /// Heads, distances, and the maps of all layers and of those heads.
    pub(super) fn finish(
        &self,
        maps: &[(usize, usize)],
    ) -> (Vec<HeadAttention>, Distances, Vec<HeatMap>) {
        let heads = self.hook.shape().q_heads;
        let summary = |(index, totals): (usize, &Totals)| {
            let (layer, head) = (index / heads, index % heads);
            totals.summary(layer, head)
        };
        let layers = self.totals.chunks_exact(heads);
        let of_layer = |of: fn(&Totals) -> Vec<f64>| {
            let layers = layers.clone();
            layers.map(move |totals| column_means(&totals.iter().map(of).collect::<Vec<_>>()))
        };
        let bins = self.totals.first().map_or(0, |t| t.distances.len());
        let distances = Distances {
            from: (0..bins).map(distance_from).collect(),
            layers: of_layer(Totals::by_distance).collect(),
        };
        let block = self.layout.block;
        let means = of_layer(Totals::cells).enumerate();
        let means = means.map(|(layer, cells)| heat_map(layer, None, block, &cells));
        let own = maps.iter().map(|&(layer, head)| {
            let cells = self.totals[layer * heads + head].cells();
            heat_map(layer, Some(head), block, &cells)
        });
        let all = self.totals.iter().enumerate().map(summary).collect();
        (all, distances, means.chain(own).collect())
    }
}

impl KvHook for Observer<'_> {
    fn shape(&self) -> &CacheShape {
        self.hook.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.hook.seen(sequence)
    }

    fn reserve(&mut self, tokens: &[usize]) {
        self.hook.reserve(tokens);
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        let seen = self.hook.seen(0);
        self.hook.attend(step, out)?;
        let CacheShape {
            q_heads,
            kv_heads,
            head_dim,
            ..
        } = *self.hook.shape();
        let valid = step.lens[0];
        let layer = &mut self.layers[step.layer];
        layer.scoring.window = step.window;
        let split = |data: &[f32], out: &mut [Vec<f32>]| {
            for row in data.chunks_exact(kv_heads * head_dim).take(valid) {
                for (out, row) in out.iter_mut().zip(row.chunks_exact(head_dim)) {
                    out.extend_from_slice(row);
                }
            }
        };
        split(step.k, &mut layer.keys);
        if self.keep {
            split(step.v, &mut layer.values);
            let rows = valid * q_heads * head_dim;
            layer.queries.extend_from_slice(&step.q[..rows]);
        }
        let layer = &*layer;
        let positions: Vec<usize> = (seen..seen + valid).collect();
        let totals = &mut self.totals[step.layer * q_heads..(step.layer + 1) * q_heads];
        totals
            .par_iter_mut()
            .enumerate()
            .for_each(|(head, totals)| {
                let row = |token: usize| {
                    let at = (token * q_heads + head) * head_dim;
                    step.q[at..at + head_dim].iter().copied()
                };
                let q: Vec<f32> = (0..valid).flat_map(row).collect();
                let keys = &layer.keys[head / (q_heads / kv_heads)];
                let weights = attention_weights(&q, &positions, keys, head_dim, layer.scoring);
                let mut rest = weights.as_slice();
                for &position in &positions {
                    let own;
                    (own, rest) = rest.split_at(position + 1);
                    totals.add(position, own);
                }
            });
        Ok(())
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        self.hook.end_step(more_prompt)
    }

    fn reset(&mut self) {
        self.begin();
    }
}
