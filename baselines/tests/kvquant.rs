//! `KVQuant` against its formula, written out.

#![allow(clippy::cast_precision_loss, reason = "small counts")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use half::f16;
use smartkv_baselines::kvquant::KvQuant;
use smartkv_core::contract::Inputs;
use smartkv_core::{
    Block, Cache, CacheShape, Calibration as _, KvHook as _, MeasuredHook as _, Rope, Sampler,
    Samples, Simulation as _, Strategy as _, registry,
};
use std::sync::Arc;

fn shape() -> CacheShape {
    CacheShape::new(2, 1, 4, 2, 16).unwrap()
}

fn rope() -> Rope {
    Rope::new(
        (0..8)
            .map(|pair| 100f64.powf(-f64::from(pair) / 8.0))
            .collect(),
        true,
    )
}

fn samples(seed: u64) -> Samples {
    let plain = registry::strategy(&serde_json::json!({"type": "f16"})).unwrap();
    let mut cache = Cache::builder(shape(), plain).build().unwrap();
    let mut sampler = Sampler::new(&mut cache, &rope(), 4, seed).unwrap();
    for window in 0..3 {
        sampler.begin(50);
        Inputs::new(shape(), 50, seed + window).run(&mut sampler, &[50]);
    }
    sampler.finish()
}

fn calibrated(plain: &KvQuant) -> KvQuant {
    let fields = plain.calibrate(&samples(3)).unwrap();
    let list = |name: &str| serde_json::from_value(fields[name].clone()).unwrap();
    KvQuant {
        key_levels: list("key_levels"),
        value_levels: list("value_levels"),
        key_ranges: serde_json::from_value(fields["key_ranges"].clone()).unwrap(),
        ..*plain
    }
}

/// `Copy` fields only: lists are given by the caller.
fn of(bits: u8, outliers: f64) -> KvQuant {
    KvQuant {
        bits,
        outliers,
        ..KvQuant::default()
    }
}

/// The nearest level by trying all.
fn nearest(levels: &[f64], x: f64) -> f64 {
    let mut best = levels[0];
    for level in levels {
        if (x - level).abs() < (x - best).abs() {
            best = *level;
        }
    }
    best
}

fn coded(x: f32, range: [f32; 2], levels: &[f64]) -> f32 {
    if x < range[0] || x > range[1] {
        return x;
    }
    let [low, high] = range.map(|end| f64::from(f16::from_f32(end).to_f32()));
    let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
    #[expect(clippy::cast_possible_truncation, reason = "as the strategy")]
    return (middle + half * nearest(levels, (f64::from(x) - middle) / half)) as f32;
}

fn block(kv: &KvQuant, layer: usize, tokens: usize) -> ([Vec<f32>; 2], [Vec<f32>; 2], u64) {
    let samples = samples(40);
    let rows = |of: &dyn Fn(usize) -> Vec<f32>| -> Vec<f32> {
        (0..2)
            .flat_map(|head| of(head)[..tokens * 16].to_vec())
            .collect()
    };
    let keys = rows(&|head| samples.keys_before_rope(0, layer, head).unwrap());
    let values = rows(&|head| samples.values(0, layer, head));
    let (mut new_keys, mut new_values) = (keys.clone(), values.clone());
    let mut block = Block {
        shape: &shape(),
        layer,
        tokens,
        position: 7,
        keys: &mut new_keys,
        values: &mut new_values,
        seed: 0,
    };
    let bytes = kv.store(&mut block).unwrap();
    ([keys, values], [new_keys, new_values], bytes)
}

#[test]
fn calibrated_keys_keep_to_the_ranges_and_levels_of_their_layer() {
    for bits in [2, 3, 4] {
        let kv = calibrated(&of(bits, 0.05));
        let tokens = 30;
        for layer in 0..2 {
            let ([keys, values], [new_keys, new_values], bytes) = block(&kv, layer, tokens);
            let mut outliers = 0;
            for (index, (x, y)) in keys.iter().zip(&new_keys).enumerate() {
                let channel = index / (tokens * 16) * 16 + index % 16;
                #[expect(clippy::cast_possible_truncation, reason = "as the strategy")]
                let range = kv.key_ranges[layer][channel].map(|end| end as f32);
                outliers += usize::from(*x < range[0] || *x > range[1]);
                let expected = coded(*x, range, &kv.key_levels[layer]);
                assert!((y - expected).abs() < 1e-4, "{x}: {y}, expected {expected}");
            }
            for token in 0..tokens {
                let row = |of: &[f32]| -> Vec<f32> {
                    let head = |head: usize| of[(head * tokens + token) * 16..][..16].to_vec();
                    (0..2).flat_map(head).collect()
                };
                let exact = row(&values);
                // 5% of 32 channels, rounded up: the two farthest from the median, one by one.
                let mut left = exact.clone();
                left.sort_by(f32::total_cmp);
                let median = left[16];
                for _ in 0..2 {
                    let far = |x: &f32| (x - median).abs();
                    let last = far(&left[left.len() - 1]) > far(&left[0]);
                    left.remove(if last { left.len() - 1 } else { 0 });
                }
                outliers += 2;
                let range = [left[0], left[left.len() - 1]];
                for (x, y) in exact.iter().zip(row(&new_values)) {
                    let expected = coded(*x, range, &kv.value_levels[layer]);
                    assert!((y - expected).abs() < 1e-4, "{x}: {y}, expected {expected}");
                }
            }
            let codes = 2 * tokens * 32 * usize::from(bits) / 8;
            assert_eq!(bytes, (codes + tokens * (4 + 8) + 4 * outliers) as u64);
        }
    }
}

#[test]
fn without_a_calibration_a_block_has_ranges_of_its_own() {
    let kv = of(3, 0.0);
    let ([keys, _], [new_keys, _], bytes) = block(&kv, 0, 40);
    // Lloyd and Max for a Gaussian, outermost at 1.
    let half = [0.2451, 0.7560, 1.3439, 2.1519].map(|x| (x / 2.1519 * 127.0f64).round() / 127.0);
    let levels: Vec<f64> = half.iter().rev().map(|x| -x).chain(half).collect();
    for channel in 0..16 {
        let column = |of: &[f32]| -> Vec<f32> { (0..40).map(|t| of[t * 16 + channel]).collect() };
        let exact = column(&keys);
        let low = exact.iter().copied().fold(f32::INFINITY, f32::min);
        let high = exact.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for (x, y) in exact.iter().zip(column(&new_keys)) {
            let expected = coded(*x, [low, high], &levels);
            assert!((y - expected).abs() < 1e-4, "{x}: {y}, expected {expected}");
        }
    }
    assert_eq!(bytes, 2 * 40 * 32 * 3 / 8 + 4 * (40 + 32) + 2 * 40 * 4);
}

#[test]
fn fitted_levels_are_the_means_of_their_cells() {
    let kv = calibrated(&of(4, 0.0));
    let samples = samples(3);
    for layer in 0..2 {
        let mut cells = vec![(0.0, 0.0); 16];
        for head in 0..2 {
            for window in 0..3 {
                let rows = samples.keys_before_rope(window, layer, head).unwrap();
                for (index, x) in rows.iter().enumerate().skip(16) {
                    let [low, high] = kv.key_ranges[layer][head * 16 + index % 16];
                    let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
                    let x = (f64::from(*x) - middle) / half;
                    let levels = &kv.key_levels[layer];
                    let level = nearest(levels, x);
                    let cell = levels.partition_point(|l| *l < level);
                    cells[cell].0 += half * half;
                    cells[cell].1 += half * half * x;
                }
            }
        }
        for ((weight, sum), level) in cells.iter().zip(&kv.key_levels[layer]) {
            assert!(
                (sum / weight - level).abs() < 2e-3,
                "{level}: {}",
                sum / weight
            );
        }
    }
}

#[test]
fn the_error_falls_with_bits_outliers_and_calibration() {
    let error = |kv: &KvQuant| {
        let ([keys, values], [new_keys, new_values], _) = block(kv, 1, 50);
        let off =
            |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum() };
        off(&keys, &new_keys) + off(&values, &new_values)
    };
    let by_bits: Vec<f32> = [2, 3, 4]
        .map(|bits| error(&calibrated(&of(bits, 0.02))))
        .into();
    assert!(by_bits.is_sorted_by(|a, b| a > b), "{by_bits:?}");
    assert!(error(&calibrated(&of(2, 0.02))) < error(&calibrated(&of(2, 0.0))));
    assert!(error(&calibrated(&of(2, 0.02))) < error(&of(2, 0.02)));
}

#[test]
fn a_cache_stores_keys_before_their_rotation() {
    let kv = of(4, 0.01);
    let build = |rope: Option<&Rope>| {
        let builder = Cache::builder(shape(), Arc::new(of(4, 0.01)));
        rope.into_iter()
            .fold(builder, smartkv_core::CacheBuilder::rope)
            .build()
    };
    let error = build(None).unwrap_err();
    assert!(
        error.to_string().contains("before their rotary embedding"),
        "{error}"
    );
    let mut cache = build(Some(&rope())).unwrap();
    Inputs::new(shape(), 65, 1).run(&mut cache, &[65]);
    // The first token and 64 that left together; in one block of 64 of each layer.
    let stored = 2 * 64 * 32 * 4 / 8 + 4 * (64 + 32) + 2 * 64 * 4;
    // One outlier in each channel and in each token.
    let outliers = 4 * (32 + 64);
    let first = 2 * 2 * 32;
    assert_eq!(
        cache.memory().logical_bytes,
        Some(2 * (stored + outliers + first))
    );
    cache.reset();
    assert_eq!(cache.memory().logical_bytes, Some(0));
    assert!(kv.simulation().is_some());
}

#[test]
fn what_was_calibrated_for_another_model_is_refused() {
    let kv = calibrated(&of(4, 0.01));
    let other = CacheShape::new(3, 1, 4, 2, 16).unwrap();
    let error = kv.layout(&other).unwrap_err().to_string();
    assert!(error.contains("expected 3, one for each layer"), "{error}");
    let wider = CacheShape::new(2, 1, 4, 2, 32).unwrap();
    let error = kv.layout(&wider).unwrap_err().to_string();
    assert!(error.contains("each of 64 channels"), "{error}");
    let fewer = KvQuant { bits: 3, ..kv };
    assert!(
        fewer
            .layout(&shape())
            .unwrap_err()
            .to_string()
            .contains("8 rising levels")
    );
    assert!(of(8, 0.0).layout(&shape()).is_err());
    assert!(of(4, 1.0).layout(&shape()).is_err());
}
