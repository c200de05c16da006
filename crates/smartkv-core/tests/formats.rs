//! Properties of the stored formats, on the reference kernels.
#![allow(clippy::cast_possible_truncation)]

use half::f16;
use proptest::prelude::*;
use smartkv_core::{Bits, Format, Kernels, Reference, Rows, RowsMut, pack};

const INTEGER: [Bits; 4] = [Bits::B2, Bits::B3, Bits::B4, Bits::B8];

#[derive(Default)]
struct Buffers {
    payload: Vec<u8>,
    scales: Vec<f16>,
    zeros: Vec<f16>,
}

impl Buffers {
    fn encode(format: Format, head_dim: usize, x: &[f32]) -> Self {
        let mut this = Self::default();
        let Self {
            payload,
            scales,
            zeros,
        } = &mut this;
        Reference.encode(
            format,
            head_dim,
            x,
            RowsMut {
                payload,
                scales,
                zeros,
            },
        );
        this
    }

    fn rows(&self, format: Format, head_dim: usize, len: usize) -> Rows<'_> {
        let Self {
            payload,
            scales,
            zeros,
        } = self;
        Rows {
            format,
            head_dim,
            len,
            payload,
            scales,
            zeros,
        }
    }

    fn decode(&self, format: Format, head_dim: usize, len: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; len * head_dim];
        Reference.decode(self.rows(format, head_dim, len), &mut out);
        out
    }
}

fn formats() -> impl Strategy<Value = (Format, usize)> {
    let head_dims = prop::sample::select(vec![32usize, 64, 80, 128, 256]);
    let groups = prop::sample::select(vec![0usize, 8, 16]);
    (
        prop::sample::select(INTEGER.to_vec()),
        head_dims,
        groups,
        any::<bool>(),
    )
        .prop_map(|(bits, head_dim, group_size, symmetric)| {
            (Format::new(bits, group_size, symmetric), head_dim)
        })
}

/// Rows with an offset outlier channel, over several magnitudes.
fn rows(head_dim: usize) -> impl Strategy<Value = Vec<f32>> {
    let row = (
        prop::collection::vec(-1.0f32..1.0, head_dim),
        -30.0f32..30.0,
        0.001f32..50.0,
    )
        .prop_map(|(mut row, outlier, magnitude)| {
            row[3] += outlier;
            row.iter_mut().for_each(|v| *v *= magnitude);
            row
        });
    prop::collection::vec(row, 1..4).prop_map(|rows| rows.concat())
}

proptest! {
    #[test]
    fn packing_round_trips(bits in prop::sample::select(INTEGER.to_vec()), raw in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut codes: Vec<u8> = raw.iter().map(|c| (u32::from(*c) & bits.max_code()) as u8).collect();
        codes.truncate(codes.len() / 8 * 8);
        let mut packed = Vec::new();
        pack::pack(bits, &codes, &mut packed);
        prop_assert_eq!(packed.len() * 8, codes.len() * bits.count());
        let mut back = vec![0xFF; codes.len()];
        pack::unpack(bits, &packed, &mut back);
        prop_assert_eq!(back, codes);
    }

    #[test]
    fn every_element_decodes_to_within_half_a_step_and_none_clips(
        ((format, head_dim), x) in formats().prop_flat_map(|f| (Just(f), rows(f.1)))
    ) {
        let len = x.len() / head_dim;
        let stored = Buffers::encode(format, head_dim, &x);
        let back = stored.decode(format, head_dim, len);
        let group = format.group(head_dim);
        for (index, (a, b)) in x.iter().zip(&back).enumerate() {
            let step = stored.scales[index / group].to_f32();
            // Half a step, and the rounding of f32 on top.
            prop_assert!((a - b).abs() <= 0.5001 * step + 1e-6 * a.abs(), "{format}: {a} became {b}, step {step}");
        }
    }

    #[test]
    fn encoding_what_was_decoded_moves_nothing_by_more_than_half_a_step(
        ((format, head_dim), x) in formats().prop_flat_map(|f| (Just(f), rows(f.1)))
    ) {
        let len = x.len() / head_dim;
        let once = Buffers::encode(format, head_dim, &x).decode(format, head_dim, len);
        let again = Buffers::encode(format, head_dim, &once);
        let twice = again.decode(format, head_dim, len);
        let group = format.group(head_dim);
        for (index, (a, b)) in once.iter().zip(&twice).enumerate() {
            let step = again.scales[index / group].to_f32();
            prop_assert!((a - b).abs() <= 0.5001 * step + 1e-6 * a.abs(), "{format}: {a} {b}");
        }
    }

    #[test]
    fn buffers_have_the_size_the_format_says(
        ((format, head_dim), x) in formats().prop_flat_map(|f| (Just(f), rows(f.1)))
    ) {
        let len = x.len() / head_dim;
        let stored = Buffers::encode(format, head_dim, &x);
        let bytes = stored.payload.len() + 2 * (stored.scales.len() + stored.zeros.len());
        prop_assert_eq!(bytes, len * format.row_bytes(head_dim));
    }
}

#[test]
fn constant_and_zero_rows_survive() {
    for bits in INTEGER {
        for symmetric in [true, false] {
            let format = Format::new(bits, 0, symmetric);
            for value in [0.0f32, 1.5, -2.25] {
                let x = vec![value; 32];
                let back = Buffers::encode(format, 32, &x).decode(format, 32, 1);
                let worst = back.iter().map(|b| (b - value).abs()).fold(0.0, f32::max);
                assert!(
                    worst <= value.abs() * 2e-3,
                    "{format}: {value} off by {worst}"
                );
            }
        }
    }
}

/// Packed bytes written out by hand: the layout is part of the format.
#[test]
fn codes_are_little_endian_and_dense() {
    let codes = [1, 2, 3, 0, 1, 2, 3, 0];
    let packed = |bits| {
        let mut out = Vec::new();
        pack::pack(bits, &codes, &mut out);
        out
    };
    assert_eq!(packed(Bits::B2), [0b0011_1001, 0b0011_1001]);
    assert_eq!(packed(Bits::B4), [0x21, 0x03, 0x21, 0x03]);
    assert_eq!(packed(Bits::B8), codes);
    // 1 | 2<<3 | 3<<6 | 0<<9 | 1<<12 | 2<<15 | 3<<18 | 0<<21 = 0x0D10D1
    assert_eq!(packed(Bits::B3), [0xD1, 0x10, 0x0D]);
}
