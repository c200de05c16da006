//! `QuaRot`: a Hadamard transform of each head, then plain rounding.

use crate::plain::{Formula, TOKENS, TOLERANCE, WRONG, between, bits, decoded, shape};
use crate::rounding::{Rows, asymmetric, per_token};
use smartkv_baselines::rotated::Rotated;
use smartkv_baselines::uniform::Uniform;
use smartkv_core::contract::Inputs;

/// Sylvester's matrix over the largest power of two that divides `head_dim`, block by block.
pub(crate) fn hadamard(head_dim: usize) -> Rows {
    let block = (1..=head_dim)
        .rev()
        .find(|n| n.is_power_of_two() && head_dim.is_multiple_of(*n))
        .expect("1 divides everything");
    let entry = |i: usize, j: usize| {
        if i / block != j / block {
            return 0.0;
        }
        let ones = (i & j & (block - 1)).count_ones();
        (if ones.is_multiple_of(2) { 1.0 } else { -1.0 }) / (block as f64).sqrt()
    };
    let line = |i| (0..head_dim).map(|j| entry(i, j)).collect();
    (0..head_dim).map(line).collect()
}

#[test]
fn rotated_rounds_what_a_hadamard_transform_makes_of_each_head() {
    for (head_dim, group_size, key_bits, value_bits) in
        [(64, 0, 4, 4), (64, 32, 3, 2), (128, 0, 2, 8), (96, 0, 2, 3)]
    {
        let inputs = Inputs::new(shape(head_dim), TOKENS, 45);
        let rotated = Rotated {
            key_bits,
            value_bits,
            group_size,
            window: 8,
            sinks: 1,
        };
        let (cache, out) = decoded(rotated, &inputs);
        let group = if group_size == 0 {
            head_dim
        } else {
            group_size
        };
        let mean = f64::from(key_bits + value_bits) / 2.0;
        assert!((bits(&cache) - mean - 32.0 / group as f64).abs() < 1e-9);
        let rounded =
            |bits| move |rows: &Rows| per_token(rows, group, |group| asymmetric(group, bits));
        let matrix = hadamard(head_dim);
        let formula = Formula {
            packed: &between(1, 8),
            rotation: Some(&matrix),
            keys: &rounded(key_bits),
            values: &rounded(value_bits),
        };
        let off = formula.off(&inputs, &out);
        assert!(off < TOLERANCE, "{head_dim}: off by {off}");
        let unrotated = Formula {
            rotation: None,
            ..formula
        };
        let wrong = unrotated.off(&inputs, &out);
        assert!(wrong > WRONG, "without a rotation: {wrong} off");

        let uniform = Uniform {
            key_bits,
            value_bits,
            group_size,
            window: 8,
            sinks: 1,
            rotate: true,
            ..Uniform::default()
        };
        assert_eq!(decoded(uniform, &inputs).1, out, "`uniform` rotates alike");
    }
}
