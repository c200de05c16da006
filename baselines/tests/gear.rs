//! GEAR against its formula, written out: `X ≈ D + L + S`.

#![allow(clippy::cast_precision_loss, reason = "small counts")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use half::f16;
use smartkv_baselines::gear::Gear;
use smartkv_core::contract::Inputs;
use smartkv_core::{Block, Cache, CacheShape, MeasuredHook as _, Simulation as _};
use std::sync::Arc;

fn shape() -> CacheShape {
    CacheShape::new(1, 1, 4, 2, 16).unwrap()
}

/// Numbers with outliers, `[kv_heads, tokens, head_dim]`.
fn rows(tokens: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let draw = |i: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let x = (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
        f16::from_f32(if i % 97 == 5 { 20.0 * x } else { x }).to_f32()
    };
    (0..2 * tokens * 16).map(draw).collect()
}

fn store(gear: &Gear, tokens: usize, keys: &mut [f32], values: &mut [f32]) -> u64 {
    let mut block = Block {
        shape: &shape(),
        layer: 0,
        tokens,
        position: 0,
        keys,
        values,
        seed: 11,
    };
    gear.store(&mut block).unwrap()
}

/// One vector: codes of `bits` over what is left of it without `each` entries at either end.
fn reference(vector: &[f32], bits: u32, each: usize) -> Vec<f32> {
    let mut order: Vec<usize> = (0..vector.len()).collect();
    // Stable, so that of equal entries the first counts as smaller.
    order.sort_by(|&a, &b| vector[a].total_cmp(&vector[b]));
    let inner = &order[each..order.len() - each];
    let (low, high) = (vector[inner[0]], vector[inner[inner.len() - 1]]);
    let step = f16::from_f32((high - low) / (2f32.powi(bits.cast_signed()) - 1.0)).to_f32();
    let mut out = vector.to_vec();
    for &entry in inner {
        out[entry] = low + step * ((vector[entry] - low) / step).round();
    }
    out
}

fn close(a: &[f32], b: &[f32], by: f32) {
    for (index, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= by, "{index}: {a} {b}");
    }
}

#[test]
fn keys_are_rounded_by_channel_and_values_by_token() {
    let tokens = 60;
    let gear = Gear {
        outliers: 0.1,
        rank: 0,
        ..Gear::default()
    };
    let (mut keys, mut values) = (rows(tokens, 1), rows(tokens, 2));
    let (exact_keys, exact_values) = (keys.clone(), values.clone());
    let bytes = store(&gear, tokens, &mut keys, &mut values);
    for head in 0..2 {
        for channel in 0..16 {
            let column = |of: &[f32]| -> Vec<f32> {
                (0..tokens)
                    .map(|t| of[(head * tokens + t) * 16 + channel])
                    .collect()
            };
            // 5% of 60 tokens at either end.
            close(&column(&keys), &reference(&column(&exact_keys), 4, 3), 1e-6);
        }
    }
    for token in 0..tokens {
        let row = |of: &[f32]| -> Vec<f32> {
            (0..2)
                .flat_map(|head| of[(head * tokens + token) * 16..][..16].to_vec())
                .collect()
        };
        // 5% of 32 channels at either end, rounded down.
        close(&row(&values), &reference(&row(&exact_values), 4, 1), 1e-6);
    }
    let codes = 2 * tokens * 32 / 2;
    let scales = 4 * (32 + tokens);
    let outliers = 4 * (32 * 6 + tokens * 2);
    assert_eq!(bytes, (codes + scales + outliers) as u64);
}

/// Eigenvalues of `RᵀR`, by Jacobi's rotations.
fn squared_singular_values(r: &[f32], width: usize) -> Vec<f64> {
    let mut a = vec![vec![0.0f64; width]; width];
    for row in r.chunks_exact(width) {
        for i in 0..width {
            for j in 0..width {
                a[i][j] += f64::from(row[i]) * f64::from(row[j]);
            }
        }
    }
    for _ in 0..30 {
        for p in 0..width {
            for q in p + 1..width {
                if a[p][q].abs() < 1e-14 {
                    continue;
                }
                let theta = 0.5 * (2.0 * a[p][q]).atan2(a[q][q] - a[p][p]);
                let (s, c) = theta.sin_cos();
                for row in &mut a {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                let (before, from) = a.split_at_mut(q);
                for (x, y) in before[p].iter_mut().zip(&mut from[0]) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
        }
    }
    let mut values: Vec<f64> = (0..width).map(|i| a[i][i]).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

#[test]
fn the_correction_takes_what_its_rank_can_from_the_residual() {
    let tokens = 60;
    let of_rank = |rank: usize| {
        let gear = Gear {
            bits: 2,
            outliers: 0.0,
            rank,
            iterations: 20,
            ..Gear::default()
        };
        let (mut keys, mut values) = (rows(tokens, 1), rows(tokens, 2));
        let bytes = store(&gear, tokens, &mut keys, &mut values);
        (keys, bytes)
    };
    let exact = rows(tokens, 1);
    let (rounded, without) = of_rank(0);
    let residual: Vec<f32> = exact.iter().zip(&rounded).map(|(x, d)| x - d).collect();
    for rank in [2, 5, 16] {
        let (corrected, with) = of_rank(rank);
        assert_eq!(with - without, (2 * 2 * 2 * rank * (tokens + 16)) as u64);
        for head in 0..2 {
            let part = head * tokens * 16..(head + 1) * tokens * 16;
            let left: f64 = exact[part.clone()]
                .iter()
                .zip(&corrected[part.clone()])
                .map(|(x, y)| f64::from(x - y).powi(2))
                .sum();
            let spectrum = squared_singular_values(&residual[part], 16);
            // Eckart and Young: no product of this rank leaves less.
            let least: f64 = spectrum[rank..].iter().sum();
            let all: f64 = spectrum.iter().sum();
            assert!(
                (0.99 * least..1.05 * least + 1e-5 * all).contains(&left),
                "rank {rank}: {left} left of {all}, at least {least}"
            );
        }
    }
}

#[test]
fn groups_have_scales_of_their_own() {
    let tokens = 64;
    let gear = Gear {
        bits: 2,
        group_size: 16,
        outliers: 0.0,
        rank: 0,
        ..Gear::default()
    };
    let (mut keys, mut values) = (rows(tokens, 1), rows(tokens, 2));
    let (exact_keys, exact_values) = (keys.clone(), values.clone());
    let bytes = store(&gear, tokens, &mut keys, &mut values);
    close(&values[..16], &reference(&exact_values[..16], 2, 0), 1e-6);
    let column = |of: &[f32]| -> Vec<f32> { (16..32).map(|t| of[t * 16 + 3]).collect() };
    close(&column(&keys), &reference(&column(&exact_keys), 2, 0), 1e-6);
    let scales = 4 * (32 * 4 + tokens * 2);
    assert_eq!(bytes, (2 * tokens * 32 / 4 + scales) as u64);
}

#[test]
fn a_prompt_leaves_at_once_and_new_tokens_by_the_buffer() {
    let inputs = Inputs::new(shape(), 200, 5);
    let gear = Gear::default();
    let mut cache = Cache::builder(shape(), Arc::new(gear)).build().unwrap();
    inputs.run(&mut cache, &[50]);
    // 40 of 50 tokens, whole buffers, with the rank of a prompt; 10 stay.
    // One percent of fewer than 100 entries is no outlier.
    let stored =
        |n: usize, rank: usize| 2 * n * 32 / 2 + 4 * (32 + n) + 2 * 2 * 2 * rank * (n + 16);
    let window = |n: usize| 2 * 2 * 32 * n;
    let claims = |cache: &Cache| cache.memory().logical_bytes;
    assert_eq!(claims(&cache), Some((stored(40, 4) + window(10)) as u64));
    for token in 50..60 {
        inputs.step(&mut cache, token, 1, false);
    }
    assert_eq!(claims(&cache), Some((stored(40, 4) + stored(20, 2)) as u64));
    let memory = cache.memory();
    assert_eq!(memory.live_bytes, memory.f16_bytes, "rows stay in f16");
}

#[test]
fn no_budget_can_be_held() {
    let builder = Cache::builder(shape(), Arc::new(Gear::default()));
    let error = builder
        .budget(Some("0.5".parse().unwrap()))
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("`gear` is simulated"), "{error}");
}
