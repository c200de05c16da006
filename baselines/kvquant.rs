//! Keys before their rotation, levels fitted to them, and exact outliers.

use half::f16;
use rayon::prelude::*;
use serde_json::{Value, json};
use smartkv_core::{
    Bits, Block, CacheShape, Calibration, Codebook, Error, Format, Layout, Result, Samples,
    Simulation, Strategy, Tier, config, strategy,
};

/// Rounds keys before `RoPE` per channel and values per token to levels fitted to each layer.
///
/// A vector (a channel of keys, a token of values over all heads of its layer) loses its outliers
/// to a sparse matrix; the range of what is left is mapped onto -1 to 1 and rounded to the nearest
/// of `2^bits` levels. `smartkv calibrate` fixes the ranges of key channels and fits the levels of
/// keys and values, layer by layer, by k-means; an entry weighs its vector's squared range, so that
/// the error in the cache is what is minimised. The paper weighs by the Fisher information as well,
/// which needs gradients: here that weight is 1. With 2 bits, levels are then moved so that mean and
/// deviation are kept (`Q-Norm`). Without a calibration the levels are those of a Gaussian, and the
/// ranges of key channels come from the rows that leave the window together: a prompt, then `block`
/// tokens at a time. Simulated: rows are changed so and kept in f16. Counted are codes, outliers of
/// four bytes (value and index in its token), four bytes of their offset and four of range a token,
/// and ranges of key channels where they are not fixed. Needs keys before `RoPE`, and the model.
#[config]
pub struct KvQuant {
    /// Bits of a code: 2, 3 or 4.
    #[default(4)]
    pub bits: u8,
    /// Share of a vector's entries that are kept exact; rounded up to whole entries.
    #[default(0.01)]
    pub outliers: f64,
    /// First tokens kept exact.
    #[default(1)]
    pub sinks: usize,
    /// Without a calibration: tokens that gather in f16 and share ranges of key channels.
    #[default(64)]
    pub block: usize,
    /// Levels of keys by layer, rising, from -1 to 1; empty without a calibration.
    pub key_levels: Vec<Vec<f64>>,
    /// Levels of values by layer.
    pub value_levels: Vec<Vec<f64>>,
    /// Lower and upper end of the range of key channels, by layer, then kv head, then channel;
    /// entries beyond are outliers.
    pub key_ranges: Vec<Vec<[f64; 2]>>,
}

#[strategy("kvquant", family = "quantizer", storage = "simulated", paper = "arXiv 2401.18079")]
impl Strategy for KvQuant {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        self.check(shape)?;
        let (window, period) =
            if self.calibrated() { (0, 1) } else { (self.block - 1, self.block) };
        let tier = Tier::same(Format::F16);
        Ok(Layout { window, period, sinks: self.sinks, ..Layout::constant(tier) })
    }

    fn simulation(&self) -> Option<&dyn Simulation> {
        Some(self)
    }

    fn calibration(&self) -> Option<&dyn Calibration> {
        Some(self)
    }
}

impl KvQuant {
    fn calibrated(&self) -> bool {
        let parts = [self.key_levels.len(), self.value_levels.len(), self.key_ranges.len()];
        parts != [0; 3]
    }

    fn check(&self, shape: &CacheShape) -> Result<()> {
        Codebook::gaussian(Bits::from_count(self.bits)?)?;
        if !(0.0..1.0).contains(&self.outliers) {
            let expected = "expected a share from 0 to below 1";
            return Err(Error::parameter("outliers", self.outliers, expected));
        }
        if self.block == 0 {
            return Err(Error::parameter("block", 0, "expected at least 1"));
        }
        let parts = [
            ("key_levels", self.key_levels.len()),
            ("value_levels", self.value_levels.len()),
            ("key_ranges", self.key_ranges.len()),
        ];
        let layers = if self.calibrated() { shape.layers } else { 0 };
        for (name, count) in parts {
            if count != layers {
                let expected = format!(
                    "expected {layers}, one for each layer of the model it is calibrated for"
                );
                return Err(Error::parameter(name, format!("{count} layers"), expected));
            }
        }
        let rises =
            |levels: &Vec<f64>| levels.len() == 1 << self.bits && levels.is_sorted_by(|a, b| a < b);
        let all = self.key_levels.iter().chain(&self.value_levels);
        if let Some(levels) = all.into_iter().find(|levels| !rises(levels)) {
            let expected = format!("expected {} rising levels", 1 << self.bits);
            return Err(Error::parameter("levels", format!("{levels:?}"), expected));
        }
        let channels = shape.kv_heads * shape.head_dim;
        for (layer, ranges) in self.key_ranges.iter().enumerate() {
            if ranges.len() != channels || !ranges.iter().all(|[low, high]| low <= high) {
                let expected = format!("expected a rising pair for each of {channels} channels");
                return Err(Error::parameter("key_ranges", format!("layer {layer}"), expected));
            }
        }
        Ok(())
    }

    /// The levels of a layer.
    fn levels(&self, of: &[Vec<f64>], layer: usize) -> Result<Vec<f32>> {
        if let Some(levels) = of.get(layer) {
            #[expect(clippy::cast_possible_truncation, reason = "levels are a few digits")]
            return Ok(levels.iter().map(|level| *level as f32).collect());
        }
        let bits = Bits::from_count(self.bits)?;
        let book = Codebook::gaussian(bits)?;
        Ok(book.of(bits).iter().map(|level| f32::from(*level) / 127.0).collect())
    }

    /// The ends of what a vector keeps when its outliers are gone. Each outlier is the entry
    /// farther from the median, of the largest and the smallest that are left.
    fn range(&self, vector: &[f32]) -> [f32; 2] {
        let mut sorted = vector.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count"
        )]
        let outliers = (sorted.len() as f64 * self.outliers).ceil() as usize;
        let median = sorted[sorted.len() / 2];
        let mut rest = &sorted[..];
        for _ in 0..outliers.min(sorted.len() - 1) {
            rest = if rest[rest.len() - 1] - median > median - rest[0] {
                &rest[..rest.len() - 1]
            } else {
                &rest[1..]
            };
        }
        [rest[0], rest[rest.len() - 1]]
    }
}

/// Value and index of an entry of a sparse matrix.
const OUTLIER_BYTES: usize = size_of::<f16>() + size_of::<u16>();
/// Where the outliers of a token begin.
const OFFSET_BYTES: usize = size_of::<u32>();
/// Both ends of a range.
const RANGE_BYTES: usize = 2 * size_of::<f16>();

impl Simulation for KvQuant {
    fn before_rope(&self) -> bool {
        true
    }

    fn store(&self, block: &mut Block<'_>) -> Result<u64> {
        let (layer, tokens, head_dim) = (block.layer, block.tokens, block.shape.head_dim);
        let width = block.shape.kv_heads * head_dim;
        let at = |channel: usize, token: usize| {
            (channel / head_dim * tokens + token) * head_dim + channel % head_dim
        };
        let mut outliers = 0;
        let levels = self.levels(&self.key_levels, layer)?;
        for channel in 0..width {
            let mut vector: Vec<f32> = (0..tokens).map(|t| block.keys[at(channel, t)]).collect();
            #[expect(clippy::cast_possible_truncation, reason = "ends of keys, which are f32")]
            let range = match self.key_ranges.get(layer) {
                Some(ranges) => ranges[channel].map(|end| end as f32),
                None => self.range(&vector),
            };
            outliers += round(&mut vector, range, &levels);
            for (token, x) in vector.into_iter().enumerate() {
                block.keys[at(channel, token)] = x;
            }
        }
        let levels = self.levels(&self.value_levels, layer)?;
        for token in 0..tokens {
            let mut vector: Vec<f32> = (0..width).map(|c| block.values[at(c, token)]).collect();
            let range = self.range(&vector);
            outliers += round(&mut vector, range, &levels);
            for (channel, x) in vector.into_iter().enumerate() {
                block.values[at(channel, token)] = x;
            }
        }
        let codes = 2 * tokens * width * usize::from(self.bits) / 8;
        let ranges = tokens + if self.calibrated() { 0 } else { width };
        let offsets = 2 * tokens * OFFSET_BYTES;
        Ok((codes + ranges * RANGE_BYTES + outliers * OUTLIER_BYTES + offsets) as u64)
    }
}

/// Rounds the entries of a vector within `range` to the nearest level; says how many are beyond.
fn round(vector: &mut [f32], range: [f32; 2], levels: &[f32]) -> usize {
    // The ends as they are read back.
    let [low, high] = range.map(|end| f16::from_f32(end).to_f32());
    let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
    let mut beyond = 0;
    for x in vector {
        if *x < range[0] || *x > range[1] {
            beyond += 1;
        } else {
            let level =
                if half > 0.0 { levels[nearest(levels, (*x - middle) / half)] } else { 0.0 };
            *x = middle + half * level;
        }
    }
    beyond
}

/// Index of the level nearest to `x`; of two as near, the lower.
fn nearest(levels: &[f32], x: f32) -> usize {
    levels.windows(2).take_while(|pair| x > 0.5 * (pair[0] + pair[1])).count()
}

impl Calibration for KvQuant {
    fn calibrate(&self, samples: &Samples) -> Result<Value> {
        // Bits and share must be sound; what an earlier calibration left is replaced.
        let plain = Self {
            key_levels: Vec::new(),
            value_levels: Vec::new(),
            key_ranges: Vec::new(),
            ..*self
        };
        plain.check(&samples.shape)?;
        let layers: Result<Vec<Layer>> = (0..samples.shape.layers)
            .into_par_iter()
            .map(|layer| self.fit(samples, layer))
            .collect();
        let mut fields = json!({"key_levels": [], "value_levels": [], "key_ranges": []});
        for layer in layers? {
            for (name, value) in [
                ("key_levels", json!(layer.key_levels)),
                ("value_levels", json!(layer.value_levels)),
                ("key_ranges", json!(layer.key_ranges)),
            ] {
                if let Some(list) = fields[name].as_array_mut() {
                    list.push(value);
                }
            }
        }
        Ok(fields)
    }
}

/// What a calibration finds for one layer.
struct Layer {
    key_levels: Vec<f64>,
    value_levels: Vec<f64>,
    key_ranges: Vec<[f64; 2]>,
}

impl KvQuant {
    fn fit(&self, samples: &Samples, layer: usize) -> Result<Layer> {
        let head_dim = samples.shape.head_dim;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let mut key_ranges = Vec::new();
        for head in 0..samples.shape.kv_heads {
            let mut channels = vec![Vec::new(); head_dim];
            for window in 0..samples.windows() {
                let rows = samples.keys_before_rope(window, layer, head)?;
                // The first tokens are kept exact, and look like no others.
                for row in rows.chunks_exact(head_dim).skip(self.sinks) {
                    channels.iter_mut().zip(row).for_each(|(channel, x)| channel.push(*x));
                }
            }
            for channel in &channels {
                if channel.is_empty() {
                    let expected = "expected windows of more tokens than are kept exact";
                    return Err(Error::parameter("sinks", self.sinks, expected));
                }
                let range = outward(self.range(channel).map(f64::from));
                push_normal(channel, range, &mut keys);
                key_ranges.push(range);
            }
        }
        for window in 0..samples.windows() {
            let heads: Vec<Vec<f32>> = (0..samples.shape.kv_heads)
                .map(|head| samples.values(window, layer, head))
                .collect();
            for token in self.sinks..samples.tokens(window) {
                let row = token * head_dim..(token + 1) * head_dim;
                let vector: Vec<f32> =
                    heads.iter().flat_map(|head| head[row.clone()].iter().copied()).collect();
                let range = self.range(&vector).map(f64::from);
                push_normal(&vector, range, &mut values);
            }
        }
        Ok(Layer {
            key_levels: self.fit_levels(keys)?,
            value_levels: self.fit_levels(values)?,
            key_ranges,
        })
    }

    fn fit_levels(&self, entries: Vec<(f64, f64)>) -> Result<Vec<f64>> {
        let start = self.levels(&[], 0)?;
        let levels =
            weighted_k_means(entries, start.into_iter().map(f64::from).collect(), self.bits == 2);
        Ok(levels.into_iter().map(digits).collect())
    }
}

/// Adds the entries within `range`, mapped onto -1 to 1, each with its squared half range as weight.
fn push_normal(vector: &[f32], [low, high]: [f64; 2], out: &mut Vec<(f64, f64)>) {
    let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
    if half > 0.0 {
        let inside = vector.iter().map(|x| f64::from(*x)).filter(|x| (low..=high).contains(x));
        out.extend(inside.map(|x| ((x - middle) / half, half * half)));
    }
}

/// Six digits are more than the calibration knows, and keep its file readable.
fn digits(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

/// The same for the ends of a range, which must not lose the entries they were taken from.
fn outward([low, high]: [f64; 2]) -> [f64; 2] {
    const DIGIT: f64 = 1e-5;
    [digits(low - DIGIT * low.abs()), digits(high + DIGIT * high.abs())]
}

/// Rounds of k-means; a few dozen suffice.
const ROUNDS: usize = 100;

/// Levels at which no `(value, weight)` gains by a small move of one, from `levels` on; where a
/// level has no values it stays. `keep_moments` then moves them so that rounding keeps the weighted
/// mean and deviation.
fn weighted_k_means(
    mut entries: Vec<(f64, f64)>,
    mut levels: Vec<f64>,
    keep_moments: bool,
) -> Vec<f64> {
    entries.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    // Sums up to each entry, so that a round looks at the borders only.
    let mut sums = Vec::with_capacity(entries.len() + 1);
    let (mut weight, mut first) = (0.0, 0.0);
    sums.push((weight, first));
    for (x, w) in &entries {
        weight += w;
        first += w * x;
        sums.push((weight, first));
    }
    let cells = |levels: &[f64]| -> Vec<usize> {
        let border =
            |pair: &[f64]| entries.partition_point(|(x, _)| *x <= 0.5 * (pair[0] + pair[1]));
        let inner = levels.windows(2).map(border);
        std::iter::once(0).chain(inner).chain([entries.len()]).collect()
    };
    let mut ends = cells(&levels);
    for _ in 0..ROUNDS {
        for (level, ends) in levels.iter_mut().zip(ends.windows(2)) {
            let weight = sums[ends[1]].0 - sums[ends[0]].0;
            if weight > 0.0 {
                *level = (sums[ends[1]].1 - sums[ends[0]].1) / weight;
            }
        }
        let next = cells(&levels);
        if next == ends {
            break;
        }
        ends = next;
    }
    if keep_moments && weight > 0.0 {
        let mean = first / weight;
        let spread = |of: &mut dyn Iterator<Item = (f64, f64)>, mean: f64| {
            (of.map(|(x, w)| w * (x - mean).powi(2)).sum::<f64>() / weight).sqrt()
        };
        let rounded: Vec<(f64, f64)> = levels
            .iter()
            .zip(ends.windows(2))
            .map(|(level, ends)| (*level, sums[ends[1]].0 - sums[ends[0]].0))
            .collect();
        let rounded_mean = rounded.iter().map(|(x, w)| x * w).sum::<f64>() / weight;
        let wanted = spread(&mut entries.iter().copied(), mean);
        let have = spread(&mut rounded.iter().copied(), rounded_mean);
        if have > 0.0 {
            for level in &mut levels {
                *level = mean + (*level - rounded_mean) * wanted / have;
            }
        }
    }
    levels
}
