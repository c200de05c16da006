//! Properties over random shapes and values, for every implementation that this processor runs.

use half::f16;
use proptest::prelude::*;
use smartkv_core::{Bits, Format, Kernels, Reference, Rows, RowsMut};
use smartkv_kernels::{available, by_name, conformance};

fn implementations() -> impl Iterator<Item = &'static dyn Kernels> {
    available().into_iter().map(|name| by_name(name).unwrap())
}

/// A format and a head dimension that it fits, up to 512.
fn shapes() -> impl Strategy<Value = (Format, usize)> {
    let bits = prop::sample::select(vec![Bits::B2, Bits::B3, Bits::B4, Bits::B8, Bits::F16]);
    (
        bits,
        1..=64usize,
        any::<bool>(),
        any::<bool>(),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(bits, eighths, symmetric, whole, group)| {
            let divisors: Vec<usize> = (1..=eighths).filter(|g| eighths % g == 0).collect();
            let group_size = if whole { 0 } else { 8 * group.get(&divisors) };
            (Format::new(bits, group_size, symmetric), 8 * eighths)
        })
}

/// Values as they come and at the edges: zeros of both signs, subnormals, halves of steps.
fn value() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -4.0f32..4.0,
        2 => -6e4f32..6e4,
        2 => (-40i8..40).prop_map(|n| f32::from(n) * 0.5),
        1 => -1e-7f32..1e-7,
        1 => Just(0.0),
        1 => Just(-0.0),
        1 => (0u16..0x7C00).prop_map(|bits| f16::from_bits(bits).to_f32()),
    ]
}

/// Encoded rows. Zero points of 0 are equal whatever their sign, see `conformance`.
#[derive(Debug, Default, PartialEq)]
struct Stored {
    payload: Vec<u8>,
    scales: Vec<f16>,
    zeros: Vec<f16>,
}

fn encode(kernels: &dyn Kernels, format: Format, head_dim: usize, x: &[f32]) -> Stored {
    let mut stored = Stored::default();
    let Stored {
        payload,
        scales,
        zeros,
    } = &mut stored;
    kernels.encode(
        format,
        head_dim,
        x,
        RowsMut {
            payload,
            scales,
            zeros,
        },
    );
    stored
}

/// The exponential is good to a few units in the last place over its whole range, which is
/// closer than the suite demands.
#[test]
fn exponentials_are_close() {
    for kernels in implementations() {
        let x: Vec<f32> = (0..=1_000_000).map(|i| i as f32 * -8.7e-5).collect();
        let mut y = x.clone();
        kernels.softmax_part(&mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let want = f64::from(x).exp();
            let off = (f64::from(y) - want).abs() / want;
            assert!(
                off < 3e-7,
                "{}: exp({x}) is {y}, {off:.1e} off",
                kernels.name()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Every operation agrees with the reference on any shape.
    #[test]
    fn any_shape_conforms(
        (format, head_dim) in shapes(),
        rows in 0..140usize,
        queries in 1..70usize,
    ) {
        for kernels in implementations() {
            conformance::check(kernels, format, head_dim, rows, &[queries]);
        }
    }

    /// Codes, scales and zero points are the reference's, bit for bit, whatever the values; and
    /// no decoded value is more than half a step off.
    #[test]
    fn any_values_encode_like_the_reference(
        (format, head_dim) in shapes(),
        values in prop::collection::vec(value(), 512),
        rows in 1..4usize,
    ) {
        let x: Vec<f32> = values.iter().copied().cycle().take(rows * head_dim).collect();
        let want = encode(&Reference, format, head_dim, &x);
        for kernels in implementations() {
            let got = encode(kernels, format, head_dim, &x);
            prop_assert_eq!(&got, &want, "{}", kernels.name());
            let Stored { payload, scales, zeros } = &got;
            let view = Rows { format, head_dim, len: rows, payload, scales, zeros };
            let mut decoded = vec![f32::NAN; x.len()];
            kernels.decode(view, &mut decoded);
            for (at, (&x, &y)) in x.iter().zip(&decoded).enumerate() {
                let step = match scales.get(at / format.group(head_dim)) {
                    Some(scale) => scale.to_f32(),
                    None => (x.abs() * 1e-3).max(6e-8),
                };
                let room = 1e-6 * (x.abs() + step * 256.0);
                prop_assert!((x - y).abs() <= step / 2.0 + room, "{x} became {y}, step {step}");
            }
        }
    }

    /// Zeros of both signs are the smallest values: which of them is the zero point is open.
    #[test]
    fn zeros_of_both_signs_encode_like_the_reference(
        negative in prop::collection::vec(any::<bool>(), 64),
        large in prop::collection::vec(0..4u8, 64),
    ) {
        let x: Vec<f32> = negative
            .iter()
            .zip(&large)
            .map(|(&negative, &large)| match (large, negative) {
                (0, _) => 1.5,
                (_, true) => -0.0,
                (_, false) => 0.0,
            })
            .collect();
        for format in [Format::asymmetric(Bits::B4, 8), Format::asymmetric(Bits::B2, 64)] {
            let want = encode(&Reference, format, 64, &x);
            for kernels in implementations() {
                prop_assert_eq!(&encode(kernels, format, 64, &x), &want, "{}", kernels.name());
            }
        }
    }

    /// A mix by the parts of a segment is the mix by the whole.
    #[test]
    fn a_mix_adds_up(
        (format, head_dim) in shapes(),
        rows in 1..100usize,
        cut in any::<prop::sample::Index>(),
        queries in 1..40usize,
    ) {
        let x: Vec<f32> = (0..rows * head_dim).map(|i| (i as f32 * 0.37).sin()).collect();
        let p: Vec<f32> = (0..queries * rows).map(|i| (i as f32 * 0.11).cos().abs()).collect();
        let cut = cut.index(rows + 1);
        for kernels in implementations() {
            let Stored { payload, scales, zeros } = &encode(kernels, format, head_dim, &x);
            let view = Rows { format, head_dim, len: rows, payload, scales, zeros };
            let (mut whole, mut parts) =
                (vec![0.5; queries * head_dim], vec![0.5; queries * head_dim]);
            kernels.mix(view, &p, rows, &mut whole);
            kernels.mix(view.slice(0, cut), &p, rows, &mut parts);
            kernels.mix(view.slice(cut, rows - cut), &p[cut..], rows, &mut parts);
            for (a, b) in whole.iter().zip(&parts) {
                prop_assert!((a - b).abs() <= 1e-5 * rows as f32, "{}: {a}, {b}", kernels.name());
            }
        }
    }
}
