//! The engine: executes a strategy on real packed buffers behind the hook.

mod attend;
mod frame;
mod inspect;
mod lane;
mod moves;
mod pages;
mod planning;
mod remember;
mod rotate;
mod segment;
mod simulate;
#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
mod tests;
mod visible;
mod watched;

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::guard::guarded;
use crate::hook::{AttnStep, KvHook, MeasuredHook};
use crate::kernels::{Kernels, Reference};
use crate::layout::Layout;
use crate::memory::Memory;
use crate::registry::{self, Kind};
use crate::rope::Ropes;
use crate::shape::CacheShape;
use crate::strategy::{Seen, Strategy, Tracker, Watch};
use crate::trace::Trace;
use attend::{Heads, LaneStep, Scratch};
use half::f16;
pub use inspect::PlanWork;
use lane::Lane;
use rayon::prelude::*;
use segment::Columns;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};
use visible::Limits;

/// When a prompt is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prefill {
    /// The prompt attends to full-precision keys and values and is compressed at its end.
    #[default]
    Exact,
    /// Every chunk is compressed before the next attends to it.
    Quantized,
}

/// How to build a [`Cache`].
#[derive(Debug, Clone)]
pub struct CacheBuilder {
    shape: CacheShape,
    strategy: Arc<dyn Strategy>,
    budget: Option<Budget>,
    prefill: Prefill,
    seed: u64,
    inspected: bool,
    ropes: Ropes,
    kernels: &'static dyn Kernels,
}

impl CacheBuilder {
    /// Limits the live bytes; without it the strategy's default holds.
    #[must_use]
    pub fn budget(mut self, budget: Option<Budget>) -> Self {
        self.budget = budget;
        self
    }

    /// When a prompt is compressed.
    #[must_use]
    pub fn prefill(mut self, prefill: Prefill) -> Self {
        self.prefill = prefill;
        self
    }

    /// Seed of everything random in the strategy.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Keep the position of every row for whoever looks at the cache ([`Cache::places`]), also where
    /// its strategy has no use for them. Then the strategy does not see them, and they are counted
    /// nowhere: all else is as without.
    #[must_use]
    pub fn inspected(mut self, inspected: bool) -> Self {
        self.inspected = inspected;
        self
    }

    /// The host's rotation of keys and queries, for strategies that store keys before it: one for
    /// all layers, or each layer's own.
    #[must_use]
    pub fn rope(mut self, ropes: impl Into<Ropes>) -> Self {
        self.ropes = ropes.into();
        self
    }

    /// Kernels to compute with; the scalar reference unless told.
    #[must_use]
    pub fn kernels(mut self, kernels: &'static dyn Kernels) -> Self {
        self.kernels = kernels;
        self
    }

    /// Builds the empty cache.
    ///
    /// # Errors
    /// A shape or layout that cannot be, or a budget the strategy cannot hold: the message says
    /// the reachable range.
    pub fn build(self) -> Result<Cache> {
        let Self {
            shape,
            strategy,
            budget,
            prefill,
            seed,
            inspected,
            ropes,
            kernels,
        } = self;
        shape.check()?;
        registry::check_ranges(strategy.as_ref())?;
        let name = strategy.typetag_name();
        let layout = guarded(Kind::Strategy, name, "layout", || strategy.layout(&shape))??;
        layout.check(&shape)?;
        let watched = || {
            let tracker = strategy.tracker();
            let positions = tracker.is_some_and(Tracker::positions);
            let memory = tracker.map_or(0, Tracker::memory);
            let scores = watch(strategy.as_ref()).is_some();
            (positions, scores, memory, tracker.is_some())
        };
        let (positions, scores, memory, energies) =
            guarded(Kind::Strategy, name, "tracker", watched)?;
        // Masks look at positions.
        let positions = layout.positions || positions || shape.windows;
        let columns = Columns {
            positions: positions || inspected,
            unseen: inspected && !positions,
            scores,
            memory: memory + usize::from(layout.drift > 0.0),
            energies,
            bounds: layout
                .pages
                .map_or(0, |pages| pages.row_bytes(shape.head_dim)),
        };
        let budget = budget.or_else(|| strategy.default_budget());
        let lanes = (0..shape.layers).flat_map(|layer| {
            let lane = Lane::new(&layout, &shape, columns, layer);
            std::iter::repeat_n(lane, shape.lanes())
        });
        let cache = Cache {
            lanes: lanes.collect(),
            seen: vec![0; shape.batch],
            step: vec![0; shape.batch],
            prompts: vec![Vec::new(); shape.batch],
            sinks: vec![layout.sinks; shape.batch],
            planned: vec![None; shape.batch],
            trace: None,
            work: PlanWork::default(),
            peak: 0,
            scratch: Scratch::default(),
            shape,
            strategy,
            layout,
            columns,
            budget,
            prefill,
            seed,
            ropes,
            simulated_bytes: 0,
            kernels,
        };
        cache.check_simulation()?;
        cache.check_rope()?;
        cache.check_budget()?;
        Ok(cache)
    }
}

/// A KV cache that a [`Strategy`] governs.
///
/// Cloning copies every buffer: the fork and the original go their own ways.
#[derive(Debug, Clone)]
pub struct Cache {
    shape: CacheShape,
    strategy: Arc<dyn Strategy>,
    layout: Layout,
    columns: Columns,
    budget: Option<Budget>,
    prefill: Prefill,
    seed: u64,
    ropes: Ropes,
    /// What a simulated strategy would have stored for the rows that left the window.
    simulated_bytes: u64,
    kernels: &'static dyn Kernels,
    /// `[layer][sequence][kv_head]`.
    lanes: Vec<Lane>,
    /// Tokens seen by each sequence, the running step apart.
    seen: Vec<usize>,
    /// Tokens of the running step.
    step: Vec<usize>,
    /// Steps of several tokens that each sequence has seen: first position and tokens. Of these
    /// not every query was observed.
    prompts: Vec<Vec<(usize, usize)>>,
    /// Sinks that each sequence still keeps in full precision.
    sinks: Vec<usize>,
    /// Tokens that each sequence had seen at its last plan.
    planned: Vec<Option<usize>>,
    /// Attention to come, for trackers that ask for it.
    trace: Option<Arc<Trace>>,
    work: PlanWork,
    peak: usize,
    scratch: Scratch,
}

/// Tokens in a step from which the rows of its lanes are prepared in parallel.
const PARALLEL_TOKENS: usize = 32;

/// What the strategy's tracker observes.
fn watch(strategy: &dyn Strategy) -> Option<Watch> {
    strategy.tracker().and_then(Tracker::watch)
}

/// Calls `work(index, lane, step)` for every lane of a layer.
fn for_each_lane(
    parallel: bool,
    lanes: &mut [Lane],
    steps: &mut [LaneStep],
    work: impl Fn(usize, &mut Lane, &mut LaneStep) + Sync,
) {
    if parallel {
        let lanes = lanes.par_iter_mut().zip(steps).enumerate();
        lanes.for_each(|(index, (lane, step))| work(index, lane, step));
    } else {
        let lanes = lanes.iter_mut().zip(steps).enumerate();
        lanes.for_each(|(index, (lane, step))| work(index, lane, step));
    }
}

impl Cache {
    /// Starts building a cache.
    #[must_use]
    pub fn builder(shape: CacheShape, strategy: Arc<dyn Strategy>) -> CacheBuilder {
        CacheBuilder {
            shape,
            strategy,
            budget: None,
            prefill: Prefill::default(),
            seed: 0,
            inspected: false,
            ropes: Ropes::default(),
            kernels: &Reference,
        }
    }

    /// The strategy that governs this cache.
    #[must_use]
    pub fn strategy(&self) -> &dyn Strategy {
        self.strategy.as_ref()
    }

    fn tracker_name(&self) -> &'static str {
        let tracker = self.strategy.tracker();
        tracker.map_or("none", |tracker| tracker.typetag_name())
    }

    /// The layout the strategy chose for this shape.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The budget in force: the user's, or the strategy's default.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        self.budget
    }

    /// Rows held in each place, summed over lanes: one entry per tier, then the window.
    #[must_use]
    pub fn census(&self) -> Vec<usize> {
        let mut rows = vec![0; self.layout.tiers.len() + 1];
        for lane in &self.lanes {
            for (count, segment) in rows.iter_mut().zip(lane.segments()) {
                *count += segment.len();
            }
        }
        rows
    }

    /// Positions held by one lane in attention order (tiers, then window); empty unless they are
    /// kept.
    ///
    /// # Panics
    /// When `layer` or `lane` is out of range.
    #[must_use]
    pub fn positions(&self, layer: usize, lane: usize) -> Vec<u32> {
        let lane = &self.lanes[layer * self.shape.lanes() + lane];
        lane.segments()
            .flat_map(|segment| segment.positions().iter().copied())
            .collect()
    }

    fn live_bytes(&self) -> usize {
        let lane_bytes = |lane: &Lane| -> usize {
            let segments = lane.segments().map(segment::Segment::bytes);
            let rows: usize = segments.map(|b| b.payload + b.metadata + b.scores).sum();
            rows + lane.statistics_bytes(self.columns)
        };
        self.lanes.iter().map(lane_bytes).sum()
    }

    /// Refuses a rotation that does not fit, or none where one is needed.
    fn check_rope(&self) -> Result<()> {
        let needed = match self.strategy.simulation() {
            Some(simulation) if simulation.before_rope() => Some("stores keys"),
            _ => self.layout.queries.then_some("looks at queries"),
        };
        let Some(does) = needed else {
            return Ok(());
        };
        let name = self.strategy.typetag_name();
        self.ropes.check(
            &self.shape,
            &format!("`{name}` {does} before their rotary embedding"),
        )
    }

    /// The lanes of `layer` for `sequence`, by index into `lanes`.
    fn lane_index(&self, layer: usize, sequence: usize, kv_head: usize) -> usize {
        (layer * self.shape.batch + sequence) * self.shape.kv_heads + kv_head
    }

    fn check_finite(&self, step: &AttnStep<'_>) -> Result<()> {
        let largest = f16::MAX.to_f32();
        let CacheShape {
            q_heads,
            kv_heads,
            head_dim,
            ..
        } = self.shape;
        let parts = [
            ("key", step.k, kv_heads, largest),
            ("value", step.v, kv_heads, largest),
            ("query", step.q, q_heads, f32::MAX),
        ];
        for (what, data, heads, limit) in parts {
            let row = heads * head_dim;
            for (sequence, &len) in step.lens.iter().enumerate() {
                let valid = &data[sequence * step.tokens * row..][..len * row];
                // Whole chunks at a time, so that the compiler can use vectors.
                let sound = |v: &f32| v.abs() <= limit;
                if valid
                    .chunks(64)
                    .all(|chunk| chunk.iter().fold(true, |all, v| all & sound(v)))
                {
                    continue;
                }
                if let Some(index) = valid.iter().position(|v| !sound(v)) {
                    return Err(Error::NotFinite {
                        layer: step.layer,
                        what,
                        position: self.seen[sequence] + index / row,
                        value: valid[index],
                    });
                }
            }
        }
        Ok(())
    }

    /// Appends the step's rows of one lane to its window and puts its queries into `work`.
    fn append(&self, lane: &mut Lane, step: &AttnStep<'_>, index: usize, work: &mut LaneStep) {
        let CacheShape {
            q_heads,
            kv_heads,
            head_dim,
            scale,
            ..
        } = self.shape;
        let (sequence, head) = (index / kv_heads, index % kv_heads);
        work.tokens = step.lens[sequence];
        work.position = self.seen[sequence];
        let watch = watch(self.strategy.as_ref());
        let (seed, seen) = (self.seed, self.seen[sequence]);
        work.watched.choose(watch, seed, seen, work.tokens);
        if work.tokens == 0 {
            return;
        }
        let group = self.shape.group();
        let take = |data: &[f32], heads: std::ops::Range<usize>, of: usize, out: &mut Vec<f32>| {
            out.clear();
            for token in 0..step.lens[sequence] {
                let row = ((sequence * step.tokens + token) * of + heads.start) * head_dim;
                out.extend_from_slice(&data[row..row + heads.len() * head_dim]);
            }
        };
        take(step.k, head..head + 1, kv_heads, &mut work.k);
        lane.frame.keys(&mut work.k, head_dim);
        take(step.v, head..head + 1, kv_heads, &mut work.v);
        lane.frame.values(&mut work.v, head_dim);
        take(
            step.q,
            head * group..(head + 1) * group,
            q_heads,
            &mut work.q,
        );
        work.q.iter_mut().for_each(|q| *q *= scale);
        if let Some(gauge) = &mut lane.gauge {
            gauge.observe(&work.q, head_dim);
        }
        if let (Some(queries), Some(rope)) = (&mut lane.queries, self.ropes.layer(step.layer)) {
            let tokens = work.q.chunks_exact(group * head_dim);
            let positions = self.seen[sequence]..;
            // The queries of sinks are as unlike the others as their keys.
            for (position, q) in positions
                .zip(tokens)
                .filter(|(at, _)| *at >= self.layout.sinks)
            {
                queries.observe(rope, position, q);
            }
        }
        if self.shape.softcap.is_some() {
            lane.frame.offsets(&work.q, head_dim, &mut work.offsets);
        }
        lane.frame.queries(&mut work.q, head_dim);
        let position = u32::try_from(self.seen[sequence]).unwrap_or(u32::MAX);
        lane.window.append(self.kernels, &work.k, &work.v, position);
        if self.columns.energies {
            lane.energies.observe(&work.q, &work.v, head_dim);
        }
    }

    /// Appends a step's keys and values as [`attend`](KvHook::attend) does, without attending:
    /// trackers see nothing. For filling long caches in benchmarks, where attention to all that
    /// came before would take minutes.
    ///
    /// # Errors
    /// As [`attend`](KvHook::attend).
    pub fn store(&mut self, step: AttnStep<'_>) -> Result<()> {
        step.check(&self.shape, step.q)?;
        if self.trace.is_none() && self.needs_trace() {
            return Err(Error::NoTrace {
                tracker: self.tracker_name(),
            });
        }
        self.check_finite(&step)?;
        self.step.copy_from_slice(step.lens);
        let mut all = std::mem::take(&mut self.lanes);
        let mut scratch = std::mem::take(&mut self.scratch);
        let first = self.lane_index(step.layer, 0, 0);
        let lanes = &mut all[first..first + self.shape.lanes()];
        scratch.lanes.resize_with(lanes.len(), LaneStep::default);
        let parallel = step.tokens >= PARALLEL_TOKENS;
        for_each_lane(parallel, lanes, &mut scratch.lanes, |index, lane, work| {
            self.append(lane, &step, index, work);
        });
        self.lanes = all;
        self.scratch = scratch;
        Ok(())
    }

    /// Folds observed attention into the score columns of a lane.
    fn fold(&self, lane: &mut Lane, seen: &mut LaneStep) {
        let Some(tracker) = self.strategy.tracker() else {
            return;
        };
        let (len, all) = (lane.len(), seen.watched.len());
        if all == 0 {
            return;
        }
        let mut start = 0;
        for segment in lane.segments_mut() {
            let first = start;
            start += segment.len();
            if segment.scores.is_empty() {
                continue;
            }
            seen.watched.runs(first..start, len, |rows, queries| {
                let mass = &mut seen.mass[rows.clone()];
                if queries < all {
                    #[expect(clippy::cast_precision_loss, reason = "counts of queries")]
                    let of_all = all as f32 / queries as f32;
                    mass.iter_mut().for_each(|mass| *mass *= of_all);
                }
                let part = Seen {
                    mass,
                    queries: u32::try_from(queries).unwrap_or(u32::MAX),
                };
                let scores = &mut segment.scores[rows.start - first..rows.end - first];
                tracker.fold(&part, scores);
            });
        }
    }
}

impl KvHook for Cache {
    fn shape(&self) -> &CacheShape {
        &self.shape
    }

    fn seen(&self, sequence: usize) -> usize {
        self.seen[sequence]
    }

    fn reserve(&mut self, tokens: &[usize]) {
        let stays = self.layout.tiers.is_empty();
        if self.prefill == Prefill::Quantized && !stays {
            return;
        }
        let kv_heads = self.shape.kv_heads;
        for lanes in self.lanes.chunks_exact_mut(self.shape.lanes()) {
            for (lanes, &tokens) in lanes.chunks_exact_mut(kv_heads).zip(tokens) {
                // What is never compressed goes on growing.
                let rows = tokens + if stays { tokens / 8 } else { 0 };
                lanes.iter_mut().for_each(|lane| lane.window.reserve(rows));
            }
        }
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        step.check(&self.shape, out)?;
        self.store(step)?;
        let CacheShape {
            q_heads,
            kv_heads,
            head_dim,
            ..
        } = self.shape;
        let heads = Heads {
            group: self.shape.group(),
            head_dim,
            limits: Limits {
                window: step.window,
                softcap: self.shape.softcap,
            },
        };
        let first = self.lane_index(step.layer, 0, 0);
        let mut all = std::mem::take(&mut self.lanes);
        let mut scratch = std::mem::take(&mut self.scratch);
        let lanes = &mut all[first..first + self.shape.lanes()];
        let failed = OnceLock::new();
        attend::attend(self.kernels, lanes, heads, &mut scratch, |lane, work| {
            lane.frame.values_back(&mut work.out, head_dim);
            let fold = || self.fold(lane, work);
            if let Err(error) = guarded(Kind::Tracker, self.tracker_name(), "fold", fold) {
                // Of several lanes one speaks for all.
                let _ = failed.set(error);
            }
        });
        let width = heads.group * head_dim;
        for (index, work) in scratch.lanes.iter().enumerate() {
            let (sequence, head) = (index / kv_heads, index % kv_heads);
            for token in 0..work.tokens {
                let row = &work.out[token * width..][..width];
                let at =
                    ((sequence * step.tokens + token) * q_heads + head * heads.group) * head_dim;
                out[at..at + width].copy_from_slice(row);
            }
        }
        self.lanes = all;
        self.scratch = scratch;
        failed.into_inner().map_or(Ok(()), Err)
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        let longest = self.step.iter().copied().max().unwrap_or(0);
        let sequences = self.seen.iter_mut().zip(&mut self.step);
        for ((seen, step), prompts) in sequences.zip(&mut self.prompts) {
            if *step > 1 && self.columns.scores {
                prompts.push((*seen, *step));
            }
            *seen += std::mem::take(step);
        }
        self.peak = self.peak.max(self.live_bytes());
        if more_prompt && self.prefill == Prefill::Exact {
            return Ok(());
        }
        if !more_prompt && longest >= PARALLEL_TOKENS {
            // The buffers of a prompt's last chunk are of no use to the single tokens that follow.
            self.scratch = Scratch::default();
        }
        self.compress()?;
        self.peak = self.peak.max(self.live_bytes());
        Ok(())
    }

    fn needs_trace(&self) -> bool {
        self.strategy.tracker().is_some_and(Tracker::needs_trace)
    }

    fn foresee(&mut self, trace: &Arc<Trace>) -> Result<()> {
        trace.check(&self.shape)?;
        if self.needs_trace() {
            self.trace = Some(Arc::clone(trace));
        }
        Ok(())
    }

    fn reset(&mut self) {
        let layout = &self.layout;
        self.lanes.iter_mut().for_each(|lane| lane.clear(layout));
        self.seen.fill(0);
        self.step.fill(0);
        self.prompts.iter_mut().for_each(Vec::clear);
        self.sinks.fill(self.layout.sinks);
        self.planned.fill(None);
        self.trace = None;
        self.work = PlanWork::default();
        self.peak = 0;
        self.simulated_bytes = 0;
    }
}

impl MeasuredHook for Cache {
    fn fork(&self) -> Box<dyn MeasuredHook> {
        Box::new(self.clone())
    }

    fn memory(&self) -> Memory {
        let mut memory = Memory {
            peak_bytes: self.peak as u64,
            ..Memory::default()
        };
        for lane in &self.lanes {
            for tier in &lane.tiers {
                let bytes = tier.bytes();
                memory.payload_bytes += bytes.payload as u64;
                memory.metadata_bytes += bytes.metadata as u64;
                memory.policy_bytes += bytes.scores as u64;
                memory.allocated_bytes += bytes.allocated as u64;
            }
            let bytes = lane.window.bytes();
            let statistics = lane.statistics_bytes(self.columns);
            memory.window_bytes += (bytes.payload + bytes.metadata) as u64;
            memory.policy_bytes += (bytes.scores + statistics) as u64;
            memory.allocated_bytes += (bytes.allocated + statistics) as u64;
        }
        memory.live_bytes = memory.payload_bytes
            + memory.metadata_bytes
            + memory.window_bytes
            + memory.policy_bytes;
        let simulated = self.strategy.simulation().is_some();
        memory.logical_bytes =
            simulated.then(|| self.simulated_bytes + memory.window_bytes + memory.policy_bytes);
        memory.tokens = self.seen.iter().sum::<usize>() as u64;
        let token = self.shape.layers * self.shape.kv_heads * self.shape.f16_row_bytes();
        memory.f16_bytes = memory.tokens * token as u64;
        memory
    }
}
