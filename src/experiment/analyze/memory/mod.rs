//! What a cache holds over time, by part, against what its layout predicts.

mod predict;

pub use predict::Parts;

use super::super::record::Environment;
use super::passage::{Passage, TextRecord, Window};
use crate::config::StrategySpec;
use predict::Prediction;
use serde::Serialize;
use serde_json::Value;
use smartkv_core::{Budget, Cache, KvHook as _, MeasuredHook as _, Prefill};
use smartkv_eval::Progress;

/// Version of the record. A field that changes its meaning or goes raises the number.
const SCHEMA: &str = "smartkv.memory/1";

/// What is looked at.
#[derive(Debug)]
pub struct MemoryAnalysis<'a> {
    /// What it runs on; the first window.
    pub passage: &'a Passage<'a>,
    /// The strategy.
    pub strategy: &'a StrategySpec,
    /// Its budget; its own default when `None`.
    pub budget: Option<Budget>,
    /// Decoded tokens from one point to the next.
    pub every: usize,
}

/// What `smartkv analyze memory --json` prints. See `docs/analyze.md`.
#[derive(Debug, Serialize)]
pub struct MemoryRecord {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What the user called the model.
    pub model: String,
    /// What the user called the strategy.
    pub strategy: String,
    /// Its complete configuration.
    pub config: Value,
    /// The budget in force, `null` if the strategy has none.
    pub budget: Option<Budget>,
    /// When the prompt was compressed.
    pub prefill: Prefill,
    /// What was read.
    pub text: TextRecord,
    /// Tokens of the prompt, the prefix counted.
    pub prompt_tokens: usize,
    /// Tokens decoded.
    pub decode_tokens: usize,
    /// Decoded tokens from one point to the next.
    pub every: usize,
    /// After each chunk of the prompt, then while decoding.
    pub points: Vec<Point>,
    /// Most live bytes at any time, the inside of steps included.
    pub peak_bytes: u64,
    /// Most live bytes while decoding, after a step.
    pub decode_peak_bytes: u64,
    /// Largest difference of any part at any step, measured from predicted.
    pub largest_difference_bytes: u64,
    /// At the end, place by place: tiers, then the window.
    pub places: Vec<PlaceRecord>,
    /// At the end, layer by layer.
    pub layers: Vec<Parts>,
    /// At the end, bits of an element.
    pub bits: BitsRecord,
    /// Seed of everything random.
    pub seed: u64,
    /// What it was run with.
    pub environment: Environment,
}

/// The cache after one step.
#[derive(Debug, Clone, Serialize)]
pub struct Point {
    /// Tokens seen.
    pub tokens: usize,
    /// Whether the prompt had ended: `prefill` or `decode`. The last chunk of a prompt compresses
    /// it, and counts as `decode`.
    pub phase: &'static str,
    /// Live bytes by part, counted from the buffers.
    #[serde(flatten)]
    pub parts: Parts,
    /// Their sum.
    pub live_bytes: u64,
    /// The same by arithmetic from the layout and the number of rows in each place.
    pub predicted: Parts,
    /// Bytes allocated for the same buffers.
    pub allocated_bytes: u64,
    /// K and V of the same tokens in f16.
    pub f16_bytes: u64,
    /// What the budget grants; `null` without one.
    pub budget_bytes: Option<u64>,
}

/// One place at the end.
#[derive(Debug, Clone, Serialize)]
pub struct PlaceRecord {
    /// A tier with its formats, or `window`.
    pub place: String,
    /// Bits of a key's and a value's elements.
    pub bits: [usize; 2],
    /// Rows, all layers and heads together.
    pub rows: usize,
    /// Predicted bytes of these rows.
    pub predicted: Parts,
}

/// Bits of an element of the keys and values that were seen, at the end.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BitsRecord {
    /// Codes and full-precision elements alone: what a bit-width claims.
    pub elements: f64,
    /// With scales, zero points and positions.
    pub stored: f64,
    /// Everything that is live.
    pub live: f64,
    /// Everything that is allocated.
    pub allocated: f64,
}

/// Runs a prompt and decodes. Equal inputs give equal records on any number of threads.
///
/// # Errors
/// A simulated strategy, a budget it cannot hold, a text or window that does not fit, and whatever
/// the model refuses.
pub fn analyze_memory(
    run: &MemoryAnalysis<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<MemoryRecord> {
    let (passage, strategy) = (run.passage, run.strategy);
    anyhow::ensure!(
        !strategy.is_simulated(),
        "`{}` is simulated: its rows are stored in f16, so there is no memory to measure",
        strategy.name
    );
    anyhow::ensure!(run.every > 0, "--every 0: expected at least 1");
    let mut cache = passage.cache(strategy, run.budget, false)?;
    let tokens = passage.tokens()?;
    let window = passage.first_window(&tokens)?;
    progress.begin(Passage::cost(&window, &cache));
    progress.message("memory");
    let mut watch = Watch::new(&cache, &window, run.every);
    passage.run(&window, &mut cache, progress, |cache| watch.look(cache))?;
    let seen = cache.seen(0);
    let layers = 0..cache.shape().layers;
    Ok(MemoryRecord {
        schema: SCHEMA,
        model: passage.model_name.to_string(),
        strategy: strategy.name.clone(),
        config: strategy.config.clone(),
        budget: cache.budget(),
        prefill: passage.prefill,
        text: passage.record_of(&tokens, &window),
        prompt_tokens: window.prompt.len(),
        decode_tokens: window.decoded.len(),
        every: run.every,
        peak_bytes: cache.memory().peak_bytes,
        decode_peak_bytes: watch.decode_peak,
        largest_difference_bytes: watch.difference,
        places: places(&cache, &watch.prediction),
        layers: layers
            .map(|layer| watch.prediction.layer(&cache, layer, seen))
            .collect(),
        bits: bits(&cache),
        points: watch.points,
        seed: passage.seed,
        environment: passage.environment.clone(),
    })
}

/// Looks at every step, keeps some.
struct Watch {
    prediction: Prediction,
    prompt: usize,
    end: usize,
    every: usize,
    points: Vec<Point>,
    decode_peak: u64,
    difference: u64,
}

impl Watch {
    fn new(cache: &Cache, window: &Window, every: usize) -> Self {
        let prompt = window.prompt.len();
        Self {
            prediction: Prediction::of(cache, *cache.shape()),
            prompt,
            end: prompt + window.decoded.len(),
            every,
            points: Vec::new(),
            decode_peak: 0,
            difference: 0,
        }
    }

    fn look(&mut self, cache: &Cache) {
        let (seen, memory) = (cache.seen(0), cache.memory());
        let parts = Parts::from(&memory);
        let predicted = self.prediction.parts(cache, seen);
        self.difference = self.difference.max(parts.difference(&predicted));
        if seen >= self.prompt {
            self.decode_peak = self.decode_peak.max(memory.live_bytes);
        }
        let decoded = seen.saturating_sub(self.prompt);
        if decoded % self.every != 0 && seen != self.end {
            return;
        }
        self.points.push(Point {
            tokens: seen,
            phase: if seen < self.prompt {
                "prefill"
            } else {
                "decode"
            },
            parts,
            live_bytes: memory.live_bytes,
            predicted,
            allocated_bytes: memory.allocated_bytes,
            f16_bytes: memory.f16_bytes,
            budget_bytes: cache.budget().map(|b| b.bytes(cache.shape(), seen)),
        });
    }
}

fn places(cache: &Cache, prediction: &Prediction) -> Vec<PlaceRecord> {
    let shape = *cache.shape();
    let tiers = cache.layout().tiers.iter().map(|tier| {
        let name = format!("{} keys, {} values", tier.k, tier.v);
        (name, [tier.k.bits.count(), tier.v.bits.count()])
    });
    let all = tiers.chain([("window".to_string(), [16, 16])]);
    let window = cache.layout().tiers.len();
    all.enumerate()
        .map(|(index, (place, bits))| {
            let (mut rows, mut predicted) = (0, Parts::default());
            for layer in 0..shape.layers {
                for lane in 0..shape.lanes() {
                    let own = cache.lane_census(layer, lane)[index];
                    rows += own;
                    predicted += if index == window {
                        prediction.window(own as u64)
                    } else {
                        prediction.tier(layer, index, own as u64)
                    };
                }
            }
            PlaceRecord {
                place,
                bits,
                rows,
                predicted,
            }
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "byte counts are far below 2^52")]
fn bits(cache: &Cache) -> BitsRecord {
    let memory = cache.memory();
    let elements = (memory.f16_bytes / 2).max(1) as f64;
    let of = |bytes: u64| 8.0 * bytes as f64 / elements;
    // Positions of full-precision rows are metadata too.
    let shape = cache.shape();
    let rows = cache.census().last().copied().unwrap_or(0);
    let window = (rows * shape.f16_row_bytes()) as u64;
    BitsRecord {
        elements: of(memory.payload_bytes + window),
        stored: of(memory.payload_bytes + memory.metadata_bytes + memory.window_bytes),
        live: of(memory.live_bytes),
        allocated: of(memory.allocated_bytes),
    }
}
