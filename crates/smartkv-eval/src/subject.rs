//! A cache under measurement, and what is looked at after each of its steps.

use serde::{Deserialize, Serialize};
use smartkv_core::{KvHook, MeasuredHook, Memory};
use std::collections::BTreeMap;

/// Which part of a measurement a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The prompt, or a chunk of it.
    Prefill,
    /// Teacher-forced or generated tokens.
    Decode,
}

/// The step that has just been finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepInfo {
    /// Index of the window or prompt.
    pub unit: usize,
    /// Part of the measurement.
    pub phase: Phase,
    /// Index of the step within its phase.
    pub step: usize,
    /// Tokens in this step.
    pub tokens: usize,
}

/// A cache under measurement: the hook for the model, and a look at it after each step.
///
/// Drivers know nothing else of a cache. The time spent in [`after_step`](Self::after_step) is
/// not measured.
pub trait Subject {
    /// The cache, as the model sees it.
    fn hook(&mut self) -> &mut dyn KvHook;

    /// Called after every step.
    fn after_step(&mut self, step: StepInfo) {
        let _ = step;
    }

    /// What was seen of the window or prompt `unit`, for a journal; `None` if nobody looked.
    fn seen(&self, unit: usize) -> Option<UnitMemory> {
        let _ = unit;
        None
    }

    /// Takes what an earlier run saw of the window or prompt `unit`, which is not run again.
    fn recall(&mut self, unit: usize, seen: UnitMemory) {
        let _ = (unit, seen);
    }
}

/// A cache that nobody looks at.
pub struct Unwatched<'a>(pub &'a mut dyn KvHook);

impl Subject for Unwatched<'_> {
    fn hook(&mut self) -> &mut dyn KvHook {
        self.0
    }
}

/// A cache and a closure that looks at it after every step.
pub struct Watched<'a, H, F> {
    hook: &'a mut H,
    look: F,
}

impl<'a, H: KvHook, F: FnMut(&H, StepInfo)> Watched<'a, H, F> {
    /// Calls `look` after every step of `hook`.
    pub fn new(hook: &'a mut H, look: F) -> Self {
        Self { hook, look }
    }
}

impl<H: KvHook, F: FnMut(&H, StepInfo)> Subject for Watched<'_, H, F> {
    fn hook(&mut self) -> &mut dyn KvHook {
        self.hook
    }

    fn after_step(&mut self, step: StepInfo) {
        (self.look)(self.hook, step);
    }
}

/// A cache whose memory is recorded after every step.
pub struct Measured<'a> {
    hook: &'a mut dyn MeasuredHook,
    samples: Vec<MemorySample>,
    recalled: BTreeMap<usize, UnitMemory>,
}

/// What a cache held over one window or prompt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct UnitMemory {
    /// Over its decode steps.
    pub sum: RatioSum,
    /// After its last step.
    pub last: Memory,
}

/// The memory of a cache after one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemorySample {
    /// Index of the window or prompt.
    pub unit: usize,
    /// Part of the measurement.
    pub phase: Phase,
    /// Index of the step within its phase.
    pub step: usize,
    /// What the cache held.
    pub memory: Memory,
}

/// What a cache held over a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MemorySummary {
    /// Decode steps averaged over.
    pub steps: usize,
    /// Mean over decode steps of live bytes divided by those of an f16 cache of the same tokens.
    pub mean_ratio: f64,
    /// Largest such ratio of any decode step.
    pub max_ratio: f64,
    /// Mean live bytes over decode steps.
    pub mean_live_bytes: f64,
    /// Mean live bytes per token over decode steps.
    pub mean_live_bytes_per_token: f64,
    /// Most bytes held at any time, the prompt and the inside of steps included.
    pub peak_bytes: u64,
}

impl<'a> Measured<'a> {
    /// Records the memory of `hook`.
    pub fn new(hook: &'a mut dyn MeasuredHook) -> Self {
        Self {
            hook,
            samples: Vec::new(),
            recalled: BTreeMap::new(),
        }
    }

    /// One sample per step so far.
    #[must_use]
    pub fn samples(&self) -> &[MemorySample] {
        &self.samples
    }

    /// Averages over decode steps; `None` before the first. Windows are summed up one by one, so
    /// that those an earlier run has finished change nothing.
    #[must_use]
    pub fn summary(&self) -> Option<MemorySummary> {
        let mut sum = RatioSum::default();
        for unit in self.units().values() {
            sum.merge(&unit.sum);
        }
        sum.summary()
    }

    /// What the cache held after the last step of the last window or prompt.
    #[must_use]
    pub fn last(&self) -> Option<Memory> {
        self.units().last_key_value().map(|(_, unit)| unit.last)
    }

    fn units(&self) -> BTreeMap<usize, UnitMemory> {
        let mut units = self.recalled.clone();
        for sample in &self.samples {
            let fresh = UnitMemory {
                sum: RatioSum::default(),
                last: sample.memory,
            };
            let unit = units.entry(sample.unit).or_insert(fresh);
            unit.last = sample.memory;
            unit.sum.peak(&sample.memory);
            if sample.phase == Phase::Decode {
                unit.sum.add(&sample.memory);
            }
        }
        units
    }
}

/// A running [`MemorySummary`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RatioSum {
    steps: usize,
    ratio: f64,
    max_ratio: f64,
    live_bytes: f64,
    live_bytes_per_token: f64,
    peak_bytes: u64,
}

impl RatioSum {
    /// Adds what a cache held after a decode step.
    #[expect(clippy::cast_precision_loss, reason = "byte counts are far below 2^52")]
    pub(crate) fn add(&mut self, memory: &Memory) {
        self.peak(memory);
        self.steps += 1;
        self.ratio += memory.ratio();
        self.max_ratio = self.max_ratio.max(memory.ratio());
        self.live_bytes += memory.live_bytes as f64;
        self.live_bytes_per_token += memory.live_bytes as f64 / memory.tokens.max(1) as f64;
    }

    /// Adds the sums of another window or prompt.
    fn merge(&mut self, other: &Self) {
        self.steps += other.steps;
        self.ratio += other.ratio;
        self.max_ratio = self.max_ratio.max(other.max_ratio);
        self.live_bytes += other.live_bytes;
        self.live_bytes_per_token += other.live_bytes_per_token;
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
    }

    /// Only its peak.
    fn peak(&mut self, memory: &Memory) {
        self.peak_bytes = self.peak_bytes.max(memory.peak_bytes);
    }

    /// Averages over the steps; `None` before the first.
    #[expect(clippy::cast_precision_loss, reason = "a count of steps")]
    pub(crate) fn summary(&self) -> Option<MemorySummary> {
        let steps = self.steps as f64;
        (self.steps > 0).then(|| MemorySummary {
            steps: self.steps,
            mean_ratio: self.ratio / steps,
            max_ratio: self.max_ratio,
            mean_live_bytes: self.live_bytes / steps,
            mean_live_bytes_per_token: self.live_bytes_per_token / steps,
            peak_bytes: self.peak_bytes,
        })
    }
}

impl Subject for Measured<'_> {
    fn hook(&mut self) -> &mut dyn KvHook {
        self.hook
    }

    fn after_step(
        &mut self,
        StepInfo {
            unit, phase, step, ..
        }: StepInfo,
    ) {
        self.samples.push(MemorySample {
            unit,
            phase,
            step,
            memory: self.hook.memory(),
        });
    }

    fn seen(&self, unit: usize) -> Option<UnitMemory> {
        self.units().get(&unit).copied()
    }

    fn recall(&mut self, unit: usize, seen: UnitMemory) {
        self.recalled.insert(unit, seen);
    }
}
