//! 8-bit floating point, e4m3: 4 bits of exponent with bias 7, 3 of mantissa, no infinities.

use crate::plain::{
    Formula, PROMPT, TOKENS, TOLERANCE, WRONG, attention, between, bits, decoded, farthest, query,
    shape, wide,
};
use crate::rounding::{Rows, narrowed};
use smartkv_baselines::fp8::Fp8;
use smartkv_core::contract::Inputs;
use smartkv_core::{Cache, Strategy};
use std::sync::Arc;

/// The nearest number with so many bits of mantissa, among all there are; of two as near the one
/// with an even mantissa.
fn float8(x: f64, mantissa: u32, bias: i32, largest: f64) -> f64 {
    let steps = f64::from(1u32 << mantissa);
    let value = |code: u32| {
        let (exponent, rest) = ((code >> mantissa).cast_signed(), code % (1 << mantissa));
        let rest = f64::from(rest) / steps;
        match exponent {
            0 => rest * 2f64.powi(1 - bias),
            e => (1.0 + rest) * 2f64.powi(e - bias),
        }
    };
    let codes = (0..128).filter(|&code| value(code) <= largest);
    let far = |code: u32| (value(code) - x.abs()).abs();
    let nearer = |a: &u32, b: &u32| far(*a).total_cmp(&far(*b)).then((a % 2).cmp(&(b % 2)));
    value(codes.min_by(nearer).expect("numbers")).copysign(x)
}

fn rounded(mantissa: u32, bias: i32, largest: f64) -> impl Fn(&Rows) -> Rows {
    move |rows| {
        let round = |&x: &f64| float8(x, mantissa, bias, largest);
        let row = |row: &Vec<f64>| row.iter().map(round).collect();
        rows.iter().map(row).collect()
    }
}

#[test]
fn fp8_rounds_to_e4m3() {
    let inputs = Inputs::new(shape(64), TOKENS, 48);
    let (cache, out) = decoded(Fp8 {}, &inputs);
    assert!((bits(&cache) - 8.0).abs() < 1e-9);
    let (e4m3, e5m2) = (rounded(3, 7, 448.0), rounded(2, 15, 57344.0));
    let formula = Formula {
        packed: &between(0, 0),
        rotation: None,
        keys: &e4m3,
        values: &e4m3,
    };
    let off = formula.off(&inputs, &out);
    assert!(off < TOLERANCE, "off by {off}");
    let other = Formula {
        keys: &e5m2,
        ..formula
    };
    let wrong = other.off(&inputs, &out);
    assert!(wrong > WRONG, "keys in e5m2 are {wrong} off");
}

#[test]
fn fp8_saturates() {
    let mut inputs = Inputs::new(shape(64), PROMPT, 49);
    inputs.poison(1, false, -600.0);
    let strategy: Arc<dyn Strategy> = Arc::new(Fp8 {});
    let mut cache = Cache::builder(inputs.shape, strategy).build().unwrap();
    inputs.step(&mut cache, 0, PROMPT, false);
    // The first token once more, so that the last of the prompt has been packed.
    let out = inputs.step(&mut cache, 0, 1, false);
    let rows = |pick: fn(&Inputs, usize, usize, usize) -> &[f32]| -> Rows {
        let row = |token| narrowed(&wide(pick(&inputs, 1, token, 1)));
        let mut rows = rounded(3, 7, 448.0)(&(0..PROMPT).map(row).collect());
        rows.push(row(0));
        rows
    };
    let (keys, values) = (rows(Inputs::key), rows(Inputs::value));
    let least = values.concat().into_iter().fold(0.0, f64::min);
    assert!((least + 448.0).abs() < 1e-9, "{least}");
    let (expected, _) = attention(&query(&inputs, 0, 3), &keys, &values);
    // Numbers are hundreds of times as large as elsewhere.
    let off = farthest(&out[3 * 64..], &expected);
    assert!(off < 100.0 * TOLERANCE, "off by {off}");
}
