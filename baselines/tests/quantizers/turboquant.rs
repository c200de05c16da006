//! `TurboQuant` (`MSE`): a random rotation, then the Lloyd-Max levels of a Gaussian.

use crate::plain::{Formula, TOKENS, TOLERANCE, between, bits, decoded, dot, shape, wide};
use crate::rotated::hadamard;
use crate::rounding::{Rows, narrow};
use smartkv_baselines::turboquant::TurboQuant;
use smartkv_core::contract::Inputs;

/// The levels with the least mean squared error for a standard normal variable, by Lloyd's
/// iteration: each level the mean of its cell, each border halfway between two levels.
fn lloyd_max(bits: u8) -> Vec<f64> {
    /// Where the density ends, for all that f64 can tell.
    const END: f64 = 8.0;
    /// Panels of Simpson's rule in a cell.
    const PANELS: usize = 256;
    let mean = |from: f64, to: f64| {
        let width = (to - from) / PANELS as f64;
        let (mut mass, mut moment) = (0.0, 0.0);
        for i in 0..=PANELS {
            let x = from + width * i as f64;
            let weight = match i {
                0 | PANELS => 1.0,
                _ => [2.0, 4.0][i % 2],
            };
            let density = weight * (-0.5 * x * x).exp();
            mass += density;
            moment += density * x;
        }
        moment / mass
    };
    let count = 1usize << bits;
    let start = |i: usize| (i as f64 + 0.5) / count as f64 * 6.0 - 3.0;
    let mut levels: Vec<f64> = (0..count).map(start).collect();
    for _ in 0..600 {
        let between = levels
            .windows(2)
            .map(|pair| f64::midpoint(pair[0], pair[1]));
        let borders: Vec<f64> = [-END].into_iter().chain(between).chain([END]).collect();
        levels = borders
            .windows(2)
            .map(|cell| mean(cell[0], cell[1]))
            .collect();
    }
    levels
}

/// Each channel to the level nearest to it in units of the row's root mean square. `held` is the
/// precision of a cache: levels of 8 bits, the outermost in thousandths, and an f16 scale.
fn leveled(rows: &Rows, levels: &[f64], held: bool) -> Rows {
    let outermost = levels[levels.len() - 1];
    let reach = (outermost * 1e3).round() / 1e3;
    let row = |row: &Vec<f64>| -> Vec<f64> {
        let rms = (dot(row, row) / row.len() as f64).sqrt();
        let (scale, levels): (f64, Vec<f64>) = if held {
            let whole = levels
                .iter()
                .map(|level| (level / outermost * 127.0).round());
            (narrow(rms * reach / 127.0), whole.collect())
        } else {
            (rms, levels.to_vec())
        };
        let nearest = |x: &f64| {
            let far = |level: &&f64| (*level - x / scale).abs();
            let best = levels.iter().min_by(|a, b| far(a).total_cmp(&far(b)));
            scale * best.expect("levels")
        };
        row.iter().map(nearest).collect()
    };
    rows.iter().map(row).collect()
}

/// The Hadamard transform of a row whose channels have changed sign by lot. Which do is no part
/// of the method: this is the draw of the cache, a bit from the middle of a multiplicative hash.
fn random_rotation(head_dim: usize) -> Rows {
    let sign = |channel: usize| {
        let hash = (channel as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        [1.0, -1.0][(hash >> 40 & 1) as usize]
    };
    let mut matrix = hadamard(head_dim);
    for line in &mut matrix {
        (0..).zip(line).for_each(|(channel, x)| *x *= sign(channel));
    }
    matrix
}

#[test]
fn turboquant_takes_the_levels_of_a_gaussian_after_a_random_rotation() {
    for (head_dim, key_bits, value_bits) in [(64, 4, 4), (64, 2, 3), (128, 3, 2)] {
        let inputs = Inputs::new(shape(head_dim), TOKENS, 46);
        let strategy = TurboQuant {
            key_bits,
            value_bits,
            window: 4,
            sinks: 2,
        };
        let (cache, out) = decoded(strategy, &inputs);
        // One norm a row.
        let mean = f64::from(key_bits + value_bits) / 2.0;
        assert!((bits(&cache) - mean - 16.0 / head_dim as f64).abs() < 1e-9);
        let of = |bits: u8, held: bool| {
            let levels = lloyd_max(bits);
            move |rows: &Rows| leveled(rows, &levels, held)
        };
        let matrix = random_rotation(head_dim);
        let flipped = matrix[0].iter().filter(|x| **x < 0.0).count();
        assert!((head_dim / 3..head_dim - head_dim / 3).contains(&flipped));
        let formula = Formula {
            packed: &between(2, 4),
            rotation: Some(&matrix),
            keys: &of(key_bits, true),
            values: &of(value_bits, true),
        };
        let off = formula.off(&inputs, &out);
        assert!(off < TOLERANCE, "{key_bits} {value_bits}: off by {off}");

        // Exact levels and norms: what the cache's own precision costs is little beside what a
        // wrong formula does.
        let exact = Formula {
            keys: &of(key_bits, false),
            values: &of(value_bits, false),
            ..formula
        };
        let precision = exact.off(&inputs, &out);
        assert!(precision < 0.1, "exact levels: {precision} off");
        let plain = hadamard(head_dim);
        let signless = Formula {
            rotation: Some(&plain),
            ..formula
        };
        let even = |bits: u8| -> Vec<f64> {
            let levels = lloyd_max(bits);
            let last = levels.len() - 1;
            let level = |i: usize| (2.0 * i as f64 / last as f64 - 1.0) * levels[last];
            (0..=last).map(level).collect()
        };
        let evenly = |bits| {
            let levels = even(bits);
            move |rows: &Rows| leveled(rows, &levels, true)
        };
        let uniform = Formula {
            keys: &evenly(key_bits),
            values: &evenly(value_bits),
            ..formula
        };
        for (what, other) in [("no signs", signless), ("even levels", uniform)] {
            let wrong = other.off(&inputs, &out);
            assert!(wrong > 1.5 * precision, "{what}: {wrong} off");
        }
    }
}

#[test]
fn the_reference_errs_on_unit_vectors_as_the_paper_says() {
    // The theorem's figures for 2, 3 and 4 bits.
    for (bits, expected) in [(2, 0.117), (3, 0.03), (4, 0.009)] {
        let inputs = Inputs::new(shape(128), 200, 47);
        let (matrix, levels) = (random_rotation(128), lloyd_max(bits));
        let (mut error, mut whole) = (0.0, 0.0);
        for token in 0..200 {
            let row = wide(inputs.key(0, token, 0));
            let row: Vec<f64> = matrix.iter().map(|line| dot(line, &row)).collect();
            let stored = leveled(&vec![row.clone()], &levels, true).remove(0);
            error += row
                .iter()
                .zip(&stored)
                .map(|(a, b)| (a - b).powi(2))
                .sum::<f64>();
            whole += dot(&row, &row);
        }
        let off = error / whole / expected;
        assert!((0.85..1.15).contains(&off), "{bits} bits: {off} of it");
    }
    assert!((lloyd_max(2)[3] - 1.5104).abs() < 1e-4);
    assert!((lloyd_max(2)[2] - 0.4528).abs() < 1e-4);
}
