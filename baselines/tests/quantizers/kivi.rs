//! `KIVI`: keys per channel over groups of tokens, values per token over groups of channels.

use crate::plain::{Formula, TOKENS, TOLERANCE, WRONG, bits, decoded, shape};
use crate::rounding::{Rows, asymmetric, per_channel, per_token};
use smartkv_baselines::kivi::Kivi;
use smartkv_core::contract::Inputs;

#[test]
fn kivi_rounds_whole_residuals_of_keys_by_channel_and_values_by_token() {
    let inputs = Inputs::new(shape(64), TOKENS, 41);
    for (key_bits, value_bits, group_size, residual) in [
        (2, 2, 32, 32),
        (4, 2, 32, 128),
        (2, 4, 16, 48),
        (8, 3, 64, 64),
    ] {
        let kivi = Kivi {
            key_bits,
            value_bits,
            group_size,
            residual,
        };
        let (cache, out) = decoded(kivi, &inputs);
        // A key and a value of two bytes each for every group.
        let mean = f64::from(key_bits + value_bits) / 2.0;
        assert!((bits(&cache) - mean - 32.0 / group_size as f64).abs() < 1e-9);

        let by_channel = |bits| {
            move |rows: &Rows| per_channel(rows, group_size, |group| asymmetric(group, bits))
        };
        let by_token =
            |bits| move |rows: &Rows| per_token(rows, group_size, |group| asymmetric(group, bits));
        // The residual fills from the end of the prompt on and is emptied when it is full.
        let whole = |seen: usize| 0..seen / residual * residual;
        let formula = Formula {
            packed: &whole,
            rotation: None,
            keys: &by_channel(key_bits),
            values: &by_token(value_bits),
        };
        let off = formula.off(&inputs, &out);
        assert!(off < TOLERANCE, "{key_bits} {value_bits}: off by {off}");

        let by_the_token = Formula {
            keys: &by_token(key_bits),
            ..formula
        };
        let wrong = by_the_token.off(&inputs, &out);
        assert!(wrong > WRONG, "keys per token are {wrong} off");
        let by_the_channel = Formula {
            values: &by_channel(value_bits),
            ..formula
        };
        let wrong = by_the_channel.off(&inputs, &out);
        assert!(wrong > WRONG, "values per channel are {wrong} off");
        let always = |seen: usize| 0..seen / group_size * group_size;
        let without = Formula {
            packed: &always,
            ..formula
        };
        let wrong = without.off(&inputs, &out);
        assert_eq!(
            residual > group_size,
            wrong > WRONG,
            "no residual: {wrong} off"
        );
    }
}
