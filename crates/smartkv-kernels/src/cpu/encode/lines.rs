//! Codes of a tile, a byte each and row after row, into its lines and planes and back.
//!
//! Plain code: what moves bytes within fixed arrays the compiler turns into shuffles.

use smartkv_core::packed::LINE;
use smartkv_core::{Role, TILE_ROWS};

/// Arranges the codes of a tile, `[TILE_ROWS, head_dim]`, each below `2^BITS`.
#[inline(always)]
pub(super) fn pack<const BITS: usize>(role: Role, codes: &[u8], tile: &mut [u8]) {
    assert_eq!(tile.len() * 8, codes.len() * BITS, "bytes of a tile");
    let line = |index: usize| match role {
        Role::Keys => keys(codes, index),
        Role::Values => values(codes, index),
    };
    let (low, high) = match BITS {
        3 => tile.split_at_mut(codes.len() / 4),
        _ => (tile, &mut [][..]),
    };
    let (low, high) = (
        low.as_chunks_mut::<LINE>().0,
        high.as_chunks_mut::<LINE>().0,
    );
    match BITS {
        8 => {
            for (index, to) in low.iter_mut().enumerate() {
                *to = line(index);
            }
        }
        4 => {
            for (index, to) in low.iter_mut().enumerate() {
                let (a, b) = (line(2 * index), line(2 * index + 1));
                for i in 0..LINE {
                    to[i] = a[i] | b[i] << 4;
                }
            }
        }
        2 => {
            for (index, to) in low.iter_mut().enumerate() {
                *to = four([0, 1, 2, 3].map(|i| line(4 * index + i)));
            }
        }
        3 => {
            for (index, (low, high)) in low.as_chunks_mut::<2>().0.iter_mut().zip(high).enumerate()
            {
                *high = [0; LINE];
                for (half, low) in low.iter_mut().enumerate() {
                    let lines = [0, 1, 2, 3].map(|i| line(8 * index + 4 * half + i));
                    *low = four(lines.map(|line| line.map(|code| code & 3)));
                    for (i, line) in lines.iter().enumerate() {
                        for (high, code) in high.iter_mut().zip(line) {
                            *high |= (code >> 2) << (4 * half + i);
                        }
                    }
                }
            }
        }
        _ => unreachable!("no such width"),
    }
}

/// The inverse of [`pack`].
#[inline(always)]
pub(in crate::cpu) fn unpack<const BITS: usize>(role: Role, tile: &[u8], codes: &mut [u8]) {
    assert_eq!(tile.len() * 8, codes.len() * BITS, "bytes of a tile");
    let low_bytes = if BITS == 3 {
        codes.len() / 4
    } else {
        tile.len()
    };
    let mut put = |index: usize, line: [u8; LINE]| match role {
        Role::Keys => put_keys(codes, index, &line),
        Role::Values => put_values(codes, index, &line),
    };
    let (low, high) = tile.split_at(low_bytes);
    let (low, high) = (low.as_chunks::<LINE>().0, high.as_chunks::<LINE>().0);
    match BITS {
        8 => {
            for (index, line) in low.iter().enumerate() {
                put(index, *line);
            }
        }
        4 => {
            for (index, from) in low.iter().enumerate() {
                put(2 * index, from.map(|byte| byte & 15));
                put(2 * index + 1, from.map(|byte| byte >> 4));
            }
        }
        2 => {
            for (index, from) in low.iter().enumerate() {
                for i in 0..4 {
                    put(4 * index + i, from.map(|byte| byte >> (2 * i) & 3));
                }
            }
        }
        3 => {
            for (index, (low, high)) in low.as_chunks::<2>().0.iter().zip(high).enumerate() {
                for i in 0..8 {
                    let mut line = low[i / 4].map(|byte| byte >> (2 * (i % 4)) & 3);
                    for (code, high) in line.iter_mut().zip(high) {
                        *code |= (high >> i & 1) << 2;
                    }
                    put(8 * index + i, line);
                }
            }
        }
        _ => unreachable!("no such width"),
    }
}

/// Two bits of four lines.
#[inline(always)]
fn four([a, b, c, d]: [[u8; LINE]; 4]) -> [u8; LINE] {
    let mut all = a;
    for i in 0..LINE {
        all[i] |= b[i] << 2 | c[i] << 4 | d[i] << 6;
    }
    all
}

/// Line of 4 channels of 16 rows.
#[inline(always)]
fn keys(codes: &[u8], index: usize) -> [u8; LINE] {
    let head_dim = codes.len() / TILE_ROWS;
    let mut line = [0; LINE];
    for (quad, row) in line
        .as_chunks_mut::<4>()
        .0
        .iter_mut()
        .zip(codes.chunks_exact(head_dim))
    {
        *quad = row.as_chunks::<4>().0[index];
    }
    line
}

#[inline(always)]
fn put_keys(codes: &mut [u8], index: usize, line: &[u8; LINE]) {
    let head_dim = codes.len() / TILE_ROWS;
    for (quad, row) in line
        .as_chunks::<4>()
        .0
        .iter()
        .zip(codes.chunks_exact_mut(head_dim))
    {
        row.as_chunks_mut::<4>().0[index] = *quad;
    }
}

/// Line of 16 channels of 4 rows.
#[inline(always)]
fn values(codes: &[u8], index: usize) -> [u8; LINE] {
    let head_dim = codes.len() / TILE_ROWS;
    let rows = [0, 1, 2, 3].map(|t| {
        let row = &codes[(index % 4 * 4 + t) * head_dim..][..head_dim];
        row.as_chunks::<16>().0[index / 4]
    });
    let mut line = [0; LINE];
    for (lane, quad) in line.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *quad = [0, 1, 2, 3].map(|t: usize| rows[t][lane]);
    }
    line
}

#[inline(always)]
fn put_values(codes: &mut [u8], index: usize, line: &[u8; LINE]) {
    let head_dim = codes.len() / TILE_ROWS;
    for t in 0..4 {
        let row = &mut codes[(index % 4 * 4 + t) * head_dim..][..head_dim];
        let row = &mut row.as_chunks_mut::<16>().0[index / 4];
        for (code, quad) in row.iter_mut().zip(line.as_chunks::<4>().0) {
            *code = quad[t];
        }
    }
}
