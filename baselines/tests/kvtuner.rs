//! `KVTuner` against an exhaustive search over errors computed from scratch.

#![allow(clippy::cast_precision_loss, reason = "small counts")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use smartkv_baselines::kvtuner::KvTuner;
use smartkv_core::contract::Inputs;
use smartkv_core::{
    Cache, CacheShape, Calibration as _, MeasuredHook as _, Ropes, Sampler, Samples, Strategy as _,
    registry,
};
use std::sync::Arc;

fn shape(layers: usize) -> CacheShape {
    CacheShape::new(layers, 1, 4, 2, 16).unwrap()
}

fn samples() -> Samples {
    let plain = registry::strategy(&serde_json::json!({"type": "f16"})).unwrap();
    let mut cache = Cache::builder(shape(3), plain).build().unwrap();
    let mut sampler = Sampler::new(&mut cache, Ropes::default(), 6, 1).unwrap();
    for window in 0..2 {
        sampler.begin(24);
        Inputs::new(shape(3), 24, window).run(&mut sampler, &[24]);
    }
    sampler.finish()
}

fn tuner(average_bits: f64) -> KvTuner {
    KvTuner {
        average_bits,
        group_size: 8,
        ..KvTuner::default()
    }
}

fn chosen(average_bits: f64) -> Vec<[u8; 2]> {
    let fields = tuner(average_bits).calibrate(&samples()).unwrap();
    serde_json::from_value(fields["bits"].clone()).unwrap()
}

/// Round to nearest of a grid from the least to the largest of each 8 channels.
fn rounded(rows: &[f32], bits: u8) -> Vec<f64> {
    let steps = f64::from((1u16 << bits) - 1);
    let mut out = Vec::new();
    for group in rows.chunks_exact(8) {
        let group: Vec<f64> = group.iter().map(|x| f64::from(*x)).collect();
        let low = group.iter().copied().fold(f64::INFINITY, f64::min);
        let high = group.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let step = (high - low) / steps;
        out.extend(
            group
                .iter()
                .map(|x| low + step * ((x - low) / step).round()),
        );
    }
    out
}

fn attention(q: &[f32], position: usize, keys: &[f64], values: &[f64]) -> Vec<f64> {
    let visible = || (0..=position).map(|t| t * 16..(t + 1) * 16);
    let dot = |key: &[f64]| {
        q.iter()
            .zip(key)
            .map(|(a, b)| f64::from(*a) * b)
            .sum::<f64>()
    };
    let weights: Vec<f64> = visible().map(|row| (dot(&keys[row]) / 4.0).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let mut out = vec![0.0; 16];
    for (row, weight) in visible().zip(weights) {
        out.iter_mut()
            .zip(&values[row])
            .for_each(|(x, v)| *x += weight / sum * v);
    }
    out
}

/// Relative squared error of the attention output of a layer.
fn error(samples: &Samples, layer: usize, [key, value]: [u8; 2]) -> f64 {
    let (mut noise, mut signal) = (0.0, 0.0);
    for window in 0..samples.windows() {
        for q_head in 0..4 {
            let (keys, values) = (
                samples.keys(window, layer, q_head / 2),
                samples.values(window, layer, q_head / 2),
            );
            let exact = |rows: &[f32]| -> Vec<f64> { rows.iter().map(|x| f64::from(*x)).collect() };
            let queries = samples.queries(window, layer, q_head);
            for (q, &position) in queries.chunks_exact(16).zip(samples.positions(window)) {
                let out = attention(q, position, &exact(&keys), &exact(&values));
                let here = attention(q, position, &rounded(&keys, key), &rounded(&values, value));
                noise += out
                    .iter()
                    .zip(here)
                    .map(|(a, b)| (a - b).powi(2))
                    .sum::<f64>();
                signal += out.iter().map(|x| x * x).sum::<f64>();
            }
        }
    }
    noise / signal
}

#[test]
fn no_other_choice_within_the_bits_has_less_error() {
    let samples = samples();
    let pairs: Vec<[u8; 2]> = [2, 4, 8]
        .into_iter()
        .flat_map(|k| [2, 4, 8].map(|v| [k, v]))
        .collect();
    let errors: Vec<Vec<f64>> = (0..3)
        .map(|layer| {
            pairs
                .iter()
                .map(|&pair| error(&samples, layer, pair))
                .collect()
        })
        .collect();
    let bits = |index: usize| pairs[index].iter().map(|b| u32::from(*b)).sum::<u32>();
    for average in [2.0, 3.0, 3.5, 4.0, 5.0, 8.0] {
        let limit = average * 2.0 * 3.0;
        let mut least = f64::INFINITY;
        for a in 0..9 {
            for b in 0..9 {
                for c in 0..9 {
                    if f64::from(bits(a) + bits(b) + bits(c)) <= limit {
                        least = least.min(errors[0][a] + errors[1][b] + errors[2][c]);
                    }
                }
            }
        }
        let chosen = chosen(average);
        let spent: u32 = chosen.iter().flatten().map(|b| u32::from(*b)).sum();
        assert!(f64::from(spent) <= limit, "{chosen:?} for {average}");
        let sum: f64 = chosen
            .iter()
            .enumerate()
            .map(|(layer, pair)| errors[layer][pairs.iter().position(|p| p == pair).unwrap()])
            .sum();
        // Scales are rounded to f16 there.
        assert!(
            sum <= least * 1.02,
            "{average}: {sum} of {chosen:?}, least {least}"
        );
    }
}

#[test]
fn calibration_repeats_and_refuses_what_cannot_be() {
    assert_eq!(chosen(4.0), chosen(4.0));
    assert_eq!(chosen(2.0), [[2, 2]; 3]);
    for bits in [1.9, f64::NAN, f64::INFINITY] {
        let error = tuner(bits).calibrate(&samples()).unwrap_err().to_string();
        assert!(error.contains("average_bits"), "{error}");
    }
    let error = KvTuner::default()
        .calibrate(&samples())
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not fit head_dim 16"), "{error}");
}

#[test]
fn every_layer_is_stored_in_its_own_bits() {
    let bits = vec![[8, 4], [2, 2], [4, 2]];
    let strategy = KvTuner {
        bits: bits.clone(),
        ..tuner(4.0)
    };
    assert_eq!(strategy.layout(&shape(3)).unwrap().tiers.len(), 3);
    let mut cache = Cache::builder(shape(3), Arc::new(strategy))
        .build()
        .unwrap();
    Inputs::new(shape(3), 40, 1).run(&mut cache, &[30, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    let census = cache.census();
    assert_eq!(census, [2 * 40, 2 * 40, 2 * 40, 0]);
    // A scale and a zero point of two bytes each for 8 channels.
    let row = |[k, v]: [u8; 2]| 16 * (usize::from(k) + usize::from(v)) / 8 + 4 * (16 / 8) * 2;
    let expected: usize = bits.into_iter().map(|pair| 2 * 40 * row(pair)).sum();
    assert_eq!(cache.memory().live_bytes, expected as u64);
}

#[test]
fn bits_of_another_model_are_refused() {
    let strategy = KvTuner {
        bits: vec![[4, 4]; 2],
        ..tuner(4.0)
    };
    let error = strategy.layout(&shape(3)).unwrap_err().to_string();
    assert!(
        error.contains("2 pairs") && error.contains("expected 3"),
        "{error}"
    );
    assert!(tuner(4.0).layout(&shape(1)).is_ok());
}
