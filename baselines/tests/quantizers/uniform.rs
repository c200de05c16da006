//! Plain rounding, per token and head.

use crate::plain::{Formula, PROMPT, TOKENS, TOLERANCE, WRONG, between, bits, decoded, run, shape};
use crate::rounding::{Rows, asymmetric, per_token, symmetric};
use smartkv_baselines::uniform::Uniform;
use smartkv_core::contract::Inputs;
use smartkv_core::registry;

fn rounded(bits: u8, group: usize, is_symmetric: bool) -> impl Fn(&Rows) -> Rows {
    let round = if is_symmetric { symmetric } else { asymmetric };
    move |rows| match bits {
        // The rows are those of f16 already.
        16 => rows.clone(),
        _ => per_token(rows, group, |group| round(group, bits)),
    }
}

fn off(inputs: &Inputs, uniform: &Uniform, out: &[f32]) -> f64 {
    let group = match uniform.group_size {
        0 => inputs.shape.head_dim,
        size => size,
    };
    let formula = Formula {
        packed: &between(uniform.sinks, uniform.window),
        rotation: None,
        keys: &rounded(uniform.key_bits, group, uniform.symmetric),
        values: &rounded(uniform.value_bits, group, uniform.symmetric),
    };
    formula.off(inputs, out)
}

#[test]
fn uniform_rounds_groups_of_channels_of_each_token() {
    for (head_dim, groups) in [(64, [8, 32, 0]), (96, [24, 48, 0])] {
        let inputs = Inputs::new(shape(head_dim), PROMPT + 8, 42);
        for group_size in groups {
            for symmetric in [false, true] {
                for (key_bits, value_bits) in [(8, 8), (4, 3), (3, 2), (2, 4), (16, 2)] {
                    let uniform = Uniform {
                        key_bits,
                        value_bits,
                        group_size,
                        symmetric,
                        ..Uniform::default()
                    };
                    let (cache, out) = decoded(Uniform { ..uniform }, &inputs);
                    let by = off(&inputs, &uniform, &out);
                    assert!(by < TOLERANCE, "{uniform:?}: off by {by}");
                    let group = if group_size == 0 {
                        head_dim
                    } else {
                        group_size
                    };
                    let scales = if symmetric { 16.0 } else { 32.0 } / group as f64;
                    let of = |bits: u8| f64::from(bits) + if bits == 16 { 0.0 } else { scales };
                    let mean = f64::midpoint(of(key_bits), of(value_bits));
                    assert!((bits(&cache) - mean).abs() < 1e-9, "{uniform:?}");
                    let other = Uniform {
                        symmetric: !symmetric,
                        ..uniform
                    };
                    let wrong = off(&inputs, &other, &out);
                    assert!(wrong > WRONG, "{other:?} is {wrong} off");
                }
            }
        }
    }
}

#[test]
fn uniform_spares_sinks_and_the_newest() {
    let inputs = Inputs::new(shape(64), TOKENS, 43);
    let uniform = Uniform {
        key_bits: 2,
        value_bits: 2,
        window: 20,
        sinks: 3,
        ..Uniform::default()
    };
    let (_, out) = decoded(Uniform { ..uniform }, &inputs);
    let by = off(&inputs, &uniform, &out);
    assert!(by < TOLERANCE, "off by {by}");
    for (window, sinks) in [(19, 3), (21, 3), (20, 2)] {
        let other = Uniform {
            window,
            sinks,
            ..uniform
        };
        let wrong = off(&inputs, &other, &out);
        assert!(wrong > WRONG, "{other:?} is {wrong} off");
    }
}

/// `field: value` lines of a configuration without parts.
fn shipped(text: &str) -> serde_json::Value {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let field = |line: &str| {
        let (name, value) = line.split_once(": ").expect("a field and its value");
        let value = value.parse::<u64>().map_or(value.into(), Into::into);
        (name.to_string(), value)
    };
    serde_json::Value::Object(lines.map(field).collect())
}

#[test]
fn k8v4_keeps_keys_in_8_bits_and_values_in_4() {
    let text = include_str!("../../../configs/strategies/k8v4.yaml");
    let strategy = registry::strategy(&shipped(text)).expect("a strategy");
    let inputs = Inputs::new(shape(64), TOKENS, 44);
    let (_, out) = run(strategy, &inputs);
    let of = |key_bits, value_bits| Uniform {
        key_bits,
        value_bits,
        group_size: 32,
        ..Uniform::default()
    };
    let by = off(&inputs, &of(8, 4), &out);
    assert!(by < TOLERANCE, "off by {by}");
    for (key_bits, value_bits) in [(4, 8), (8, 8), (4, 4)] {
        let wrong = off(&inputs, &of(key_bits, value_bits), &out);
        assert!(wrong > WRONG, "K{key_bits}V{value_bits} is {wrong} off");
    }
}
