//! What the attention output loses when one token alone is rounded.
//!
//! With weight `w`, output `o`, and a rounding that moves the token's score by `d` and its value from
//! `v` to `v'`, the new output is `(o - w v + w e^d v') / (1 + w (e^d - 1))`: exact, and as cheap as
//! attention, so every token of a prompt can be asked.

use super::column_means;
use super::observer::{LayerPassed, Passed};
use super::rank::spearman;
use crate::error::Result;
use crate::stats::{Bootstrap, Estimate, bootstrap_mean, float, mean};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use smartkv_core::calibration::{Scoring, attention_weights, mix};
use smartkv_core::{CacheShape, Format, PackedRows, Reference, Role};

/// Groups of tokens by attention that damages are averaged over.
const GROUPS: usize = 10;

/// Rounding one token of the prompt at a time to one format: does the damage follow attention?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoneTokens {
    /// What tokens are rounded to.
    pub format: String,
    /// Its bits.
    pub bits: usize,
    /// Spearman's correlation, within a (layer, kv head), of the mean attention that a token of the
    /// prompt receives with the mean squared error of the output when it is rounded: mean over
    /// lanes, interval over windows.
    pub rank_correlation: Estimate,
    /// The same of each layer and kv head, mean over windows; `None` where one does not vary.
    pub lanes: Vec<Vec<Option<f64>>>,
    /// Slope of ln damage over ln attention within a lane, mean over lanes and windows: 2 where the
    /// damage is the square of attention, 0 where attention says nothing.
    pub log_slope: f64,
    /// Tenths of a lane's tokens by rising attention: the mean share of the lane's whole damage.
    pub damage_by_tenth: Vec<f64>,
}

/// What rounding each token of a lane does.
#[derive(Debug, Clone, PartialEq)]
pub struct LoneRounding {
    /// Mean attention that each token receives from the queries.
    pub attention: Vec<f64>,
    /// Mean squared length of the change of an output, for each token.
    pub damage: Vec<f64>,
}

impl LoneRounding {
    /// Rounds the first `tokens` of a lane to `format`, one at a time: keys and values
    /// `[tokens, head_dim]`, queries of the lane's heads one head after another, each
    /// `[positions, head_dim]`.
    ///
    /// # Panics
    /// When the slices are too short, or a query's position is before the last of the tokens.
    #[must_use]
    pub fn of(
        (keys, values): (&[f32], &[f32]),
        queries: &[f32],
        positions: &[usize],
        tokens: usize,
        format: Format,
        head_dim: usize,
        scoring: Scoring,
    ) -> Self {
        let round = |role: Role, rows: &[f32]| {
            let rows = &rows[..tokens * head_dim];
            let mut packed = PackedRows::new(format, role, head_dim);
            packed.push(&Reference, rows);
            let mut out = vec![0.0; rows.len()];
            packed.decode(&Reference, &mut out);
            out
        };
        let (rounded_keys, rounded_values) = (round(Role::Keys, keys), round(Role::Values, values));
        let (mut attention, mut damage) = (vec![0.0; tokens], vec![0.0; tokens]);
        let mut count = 0;
        for head in queries.chunks_exact(positions.len() * head_dim) {
            let weights = attention_weights(head, positions, keys, head_dim, scoring);
            let outputs = mix(&weights, positions, values, head_dim);
            let mut rest = weights.as_slice();
            let rows = head.chunks_exact(head_dim).zip(positions);
            for ((q, &position), output) in rows.zip(outputs.chunks_exact(head_dim)) {
                let own;
                (own, rest) = rest.split_at(position + 1);
                count += 1;
                for (token, &weight) in own[..tokens].iter().enumerate() {
                    let row = token * head_dim..(token + 1) * head_dim;
                    attention[token] += f64::from(weight);
                    if weight == 0.0 {
                        continue;
                    }
                    let score = |key: &[f32]| bounded(dot(q, key), scoring);
                    let moved = score(&rounded_keys[row.clone()]) - score(&keys[row.clone()]);
                    let new = weight * moved.exp();
                    let scale = 1.0 / (1.0 + new - weight);
                    let vectors = rounded_values[row.clone()].iter().zip(&values[row]);
                    let error: f32 = vectors
                        .zip(output)
                        .map(|((new_value, value), out)| {
                            let change = new * new_value - weight * value - (new - weight) * out;
                            (scale * change) * (scale * change)
                        })
                        .sum();
                    damage[token] += f64::from(error);
                }
            }
        }
        let per_query = 1.0 / float(count.max(1));
        let means = |sums: Vec<f64>| sums.into_iter().map(|sum| sum * per_query).collect();
        Self {
            attention: means(attention),
            damage: means(damage),
        }
    }

    /// See [`LoneTokens::log_slope`]; `None` with fewer than two tokens that count.
    #[must_use]
    pub fn log_slope(&self) -> Option<f64> {
        let pairs = self.attention.iter().zip(&self.damage);
        let logs: Vec<(f64, f64)> = pairs
            .filter(|(a, d)| **a > 0.0 && **d > 0.0)
            .map(|(a, d)| (a.ln(), d.ln()))
            .collect();
        let n = float(logs.len());
        let (x, y) = logs.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
        let (x, y) = (x / n, y / n);
        let spread: f64 = logs.iter().map(|p| (p.0 - x).powi(2)).sum();
        let common: f64 = logs.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
        (spread > 0.0).then(|| common / spread)
    }

    /// See [`LoneTokens::damage_by_tenth`]; `None` where there is no damage.
    fn by_tenth(&self) -> Option<Vec<f64>> {
        let mut order: Vec<usize> = (0..self.attention.len()).collect();
        order.sort_by(|&a, &b| self.attention[a].total_cmp(&self.attention[b]));
        let all: f64 = self.damage.iter().sum();
        let share = |group: usize| {
            let cut = |group: usize| group * order.len() / GROUPS;
            let own = &order[cut(group)..cut(group + 1)];
            own.iter().map(|&token| self.damage[token]).sum::<f64>() / all
        };
        (all > 0.0).then(|| (0..GROUPS).map(share).collect())
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn bounded(dot: f32, scoring: Scoring) -> f32 {
    let score = scoring.scale * dot;
    scoring
        .softcap
        .map_or(score, |cap| cap * (score / cap).tanh())
}

/// Lone rounding over windows.
pub(super) struct Lone {
    shape: CacheShape,
    formats: Vec<Sums>,
}

/// What is known of one format so far.
struct Sums {
    format: Format,
    /// By window, then lane.
    correlations: Vec<Vec<Option<f64>>>,
    slopes: Vec<f64>,
    tenths: Vec<Vec<f64>>,
}

impl Lone {
    pub(super) fn new(formats: &[Format], shape: &CacheShape) -> Self {
        let sums = |format: &Format| Sums {
            format: *format,
            correlations: Vec::new(),
            slopes: Vec::new(),
            tenths: Vec::new(),
        };
        Self {
            shape: *shape,
            formats: formats.iter().map(sums).collect(),
        }
    }

    /// Adds a window. A prompt of fewer than two tokens says nothing.
    pub(super) fn window(&mut self, passed: &Passed<'_>) {
        for sums in &mut self.formats {
            let format = sums.format;
            let of_layer = |layer: &LayerPassed| lanes(passed, layer, format);
            let lanes: Vec<LoneRounding> = passed.layers.par_iter().flat_map(of_layer).collect();
            let correlation = |lane: &LoneRounding| spearman(&lane.attention, &lane.damage);
            sums.correlations
                .push(lanes.iter().map(correlation).collect());
            sums.slopes
                .extend(lanes.iter().filter_map(LoneRounding::log_slope));
            sums.tenths
                .extend(lanes.iter().filter_map(LoneRounding::by_tenth));
        }
    }

    pub(super) fn finish(self, bootstrap: &Bootstrap) -> Result<Vec<LoneTokens>> {
        let kv_heads = self.shape.kv_heads;
        let finish = |sums: Sums| {
            let lanes = sums.correlations.first().map_or(0, Vec::len);
            let over_windows = |lane: usize| {
                let own = sums.correlations.iter().filter_map(|window| window[lane]);
                mean(&own.collect::<Vec<_>>())
            };
            let of_lanes: Vec<Option<f64>> = (0..lanes).map(over_windows).collect();
            let windows = sums
                .correlations
                .iter()
                .filter_map(|window| mean(&window.iter().flatten().copied().collect::<Vec<_>>()));
            let windows: Vec<f64> = windows.collect();
            Ok(LoneTokens {
                format: sums.format.to_string(),
                bits: sums.format.bits.count(),
                rank_correlation: bootstrap_mean(&windows, bootstrap)?,
                lanes: of_lanes.chunks(kv_heads).map(<[_]>::to_vec).collect(),
                log_slope: mean(&sums.slopes).unwrap_or(0.0),
                damage_by_tenth: column_means(&sums.tenths),
            })
        };
        self.formats.into_iter().map(finish).collect()
    }
}

/// All lanes of a layer.
fn lanes(passed: &Passed<'_>, layer: &LayerPassed, format: Format) -> Vec<LoneRounding> {
    let CacheShape {
        q_heads,
        kv_heads,
        head_dim,
        ..
    } = passed.shape;
    let group = q_heads / kv_heads;
    let lane = |kv_head: usize| {
        let heads = kv_head * group..(kv_head + 1) * group;
        let row = |head: usize, position: usize| {
            let at = (position * q_heads + head) * head_dim;
            layer.queries[at..at + head_dim].iter().copied()
        };
        let queries: Vec<f32> = heads
            .flat_map(|head| {
                passed
                    .positions
                    .iter()
                    .map(move |&position| (head, position))
            })
            .flat_map(|(head, position)| row(head, position))
            .collect();
        let rows = (
            layer.keys[kv_head].as_slice(),
            layer.values[kv_head].as_slice(),
        );
        LoneRounding::of(
            rows,
            &queries,
            &passed.positions,
            passed.prompt,
            format,
            head_dim,
            layer.scoring,
        )
    };
    (0..kv_heads).map(lane).collect()
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small counts")]
mod tests {
    use super::*;
    use smartkv_core::Bits;

    const HEAD_DIM: usize = 16;

    fn rows(count: usize, seed: f32) -> Vec<f32> {
        (0..count * HEAD_DIM)
            .map(|i| ((i as f32 + 1.0) * (1.3 + seed)).sin() * 2.0)
            .collect()
    }

    fn scoring(softcap: Option<f32>) -> Scoring {
        Scoring {
            scale: 0.25,
            softcap,
            window: None,
        }
    }

    fn rounded(rows: &[f32], role: Role, format: Format) -> Vec<f32> {
        let mut packed = PackedRows::new(format, role, HEAD_DIM);
        packed.push(&Reference, rows);
        let mut out = vec![0.0; rows.len()];
        packed.decode(&Reference, &mut out);
        out
    }

    /// The closed form is what attention over the changed rows gives.
    #[test]
    fn the_damage_is_that_of_attention_over_the_changed_token() {
        let format = Format::asymmetric(Bits::B2, 0);
        let (keys, values, queries) = (rows(9, 0.0), rows(9, 0.4), rows(4, 0.7));
        // Two heads of two queries.
        let positions = [6, 8];
        for softcap in [None, Some(1.5)] {
            let scoring = scoring(softcap);
            let lone = LoneRounding::of(
                (&keys, &values),
                &queries,
                &positions,
                6,
                format,
                HEAD_DIM,
                scoring,
            );
            let new_keys = rounded(&keys[..6 * HEAD_DIM], Role::Keys, format);
            let new_values = rounded(&values[..6 * HEAD_DIM], Role::Values, format);
            for token in 0..6 {
                let at = token * HEAD_DIM..(token + 1) * HEAD_DIM;
                let (mut k, mut v) = (keys.clone(), values.clone());
                k[at.clone()].copy_from_slice(&new_keys[at.clone()]);
                v[at.clone()].copy_from_slice(&new_values[at]);
                let mut error = 0.0;
                for head in queries.chunks_exact(2 * HEAD_DIM) {
                    let output = |k: &[f32], v: &[f32]| {
                        let weights = attention_weights(head, &positions, k, HEAD_DIM, scoring);
                        mix(&weights, &positions, v, HEAD_DIM)
                    };
                    let (before, after) = (output(&keys, &values), output(&k, &v));
                    let pairs = before.iter().zip(&after);
                    error += pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
                }
                let expected = error / 4.0;
                assert!(
                    (lone.damage[token] - expected).abs() < 1e-3 * expected,
                    "token {token}: {} {expected}",
                    lone.damage[token]
                );
            }
        }
    }

    #[test]
    fn f16_does_next_to_nothing_and_fewer_bits_do_more() {
        let (keys, values, queries) = (rows(9, 0.0), rows(9, 0.4), rows(2, 0.7));
        let damage = |format| -> f64 {
            let all = (keys.as_slice(), values.as_slice());
            let lone = LoneRounding::of(all, &queries, &[7, 8], 7, format, HEAD_DIM, scoring(None));
            lone.damage.iter().sum()
        };
        let [two, four] = [Bits::B2, Bits::B4].map(|bits| damage(Format::asymmetric(bits, 0)));
        assert!(damage(Format::F16) < 1e-4 * four && four < two);
    }

    #[test]
    fn a_square_has_the_slope_two() {
        let attention: Vec<f64> = (1..20).map(f64::from).collect();
        let damage = attention.iter().map(|a| 3.0 * a * a).collect();
        let lone = LoneRounding { attention, damage };
        assert!((lone.log_slope().unwrap() - 2.0).abs() < 1e-12);
        let tenths = lone.by_tenth().unwrap();
        assert!((tenths.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(tenths.is_sorted());
    }
}
