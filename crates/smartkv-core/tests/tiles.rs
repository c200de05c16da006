//! The layout of tiles, against its documentation.
#![allow(clippy::cast_possible_truncation)]

use half::f16;
use proptest::prelude::*;
use smartkv_core::packed::{LINE, TILE_ROWS, arrange, read_row, slot, tile_bytes, tiled};
use smartkv_core::{Bits, Format, Kernels, Reference, Role, RowsMut};

const INTEGER: [Bits; 4] = [Bits::B2, Bits::B3, Bits::B4, Bits::B8];

/// One code of a tile, by the words of `smartkv_core::packed::tile`.
fn code_at(bits: Bits, head_dim: usize, tile: &[u8], slot: usize) -> u8 {
    let (line, byte) = (slot / LINE, slot % LINE);
    let cut = |start: usize, width: usize| {
        let lines = 8 / width;
        let shared = tile[start + line / lines * LINE + byte];
        shared >> (line % lines * width) & ((1u16 << width) - 1) as u8
    };
    match bits {
        Bits::B3 => cut(0, 2) | cut(TILE_ROWS * head_dim / 4, 1) << 2,
        bits => cut(0, bits.count()),
    }
}

/// A slot by the words of the same page: lines of 16 lanes of 4 codes.
fn slot_of(role: Role, row: usize, channel: usize) -> usize {
    match role {
        Role::Keys => channel / 4 * LINE + row * 4 + channel % 4,
        Role::Values => (channel / 16 * 4 + row / 4) * LINE + channel % 16 * 4 + row % 4,
    }
}

proptest! {
    #[test]
    fn every_code_lies_in_its_slot_and_comes_back(
        bits in prop::sample::select(INTEGER.to_vec()),
        head_dim in (1..=16usize).prop_map(|n| 16 * n),
        role in prop::sample::select(vec![Role::Keys, Role::Values]),
        raw in prop::collection::vec(any::<u8>(), 257),
    ) {
        prop_assume!(tiled(Format::symmetric(bits, 0), head_dim));
        // A period that no row or line has.
        let codes: Vec<u8> = (0..TILE_ROWS * head_dim)
            .map(|at| raw[at % raw.len()] & bits.max_code() as u8)
            .collect();
        // What the tile held before must not show.
        let mut tile = vec![0xA5; tile_bytes(bits, head_dim)];
        arrange(bits, role, &codes, &mut tile);
        prop_assert_eq!(tile.len() * 8, codes.len() * bits.count());
        let mut back = vec![0xFF; head_dim];
        for (row, codes) in codes.chunks(head_dim).enumerate() {
            for (channel, &code) in codes.iter().enumerate() {
                let slot = slot(role, row, channel);
                prop_assert_eq!(slot, slot_of(role, row, channel));
                prop_assert_eq!(code_at(bits, head_dim, &tile, slot), code);
            }
            read_row(bits, role, &tile, row, &mut back);
            prop_assert_eq!(&back, codes);
        }
    }
}

/// A group of zeros has a scale of zero, whatever their signs: sums of many zeros must not turn
/// negative on one machine and not on another.
#[test]
fn scales_are_never_negative_zeros() {
    for bits in INTEGER {
        for symmetric in [true, false] {
            for x in [[-0.0f32; 32], [0.0; 32]] {
                let (mut payload, mut scales, mut zeros) = (vec![], vec![], vec![]);
                let out = RowsMut {
                    payload: &mut payload,
                    scales: &mut scales,
                    zeros: &mut zeros,
                };
                Reference.encode(Format::new(bits, 0, symmetric), 32, &x, out);
                let all: Vec<u16> = scales.iter().chain(&zeros).map(|s| s.to_bits()).collect();
                assert!(all.iter().all(|&s| s == f16::ZERO.to_bits()), "{bits:?}");
            }
        }
    }
}
