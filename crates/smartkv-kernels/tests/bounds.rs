//! Kernels touch nothing outside their slices, and refuse slices that are too short.

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod fence;

use half::f16;
use smartkv_core::packed::tile_bytes;
use smartkv_core::{Axis, Digits, Format, Kernels, Role, Rows, RowsMut, TILE_ROWS, Tiles};
use smartkv_kernels::conformance::{formats, tile_formats};
use smartkv_kernels::{available, by_name};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn implementations() -> impl Iterator<Item = &'static dyn Kernels> {
    available().into_iter().map(|name| by_name(name).unwrap())
}

#[derive(Default)]
struct Stored {
    payload: Vec<u8>,
    scales: Vec<f16>,
    zeros: Vec<f16>,
}

impl Stored {
    fn out(&mut self) -> RowsMut<'_> {
        RowsMut {
            payload: &mut self.payload,
            scales: &mut self.scales,
            zeros: &mut self.zeros,
        }
    }
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.61).sin()).collect()
}

fn encode(kernels: &dyn Kernels, format: Format, head_dim: usize, rows: usize) -> Stored {
    let mut stored = Stored::default();
    kernels.encode(format, head_dim, &values(rows * head_dim), stored.out());
    stored
}

/// Every slice ends, then begins, where the memory does: an access beyond it kills the test.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn nothing_outside_the_slices_is_touched() {
    for kernels in implementations() {
        // Every shape meets some numbers of queries, and every number many shapes.
        let mut queries = [1, 3, 4, 14, 35].into_iter().cycle();
        let mut next = || queries.next().expect("without end");
        for head_dim in [8, 16, 24, 40, 64, 96, 128] {
            for format in formats(head_dim) {
                for rows in [1, 2, 5, 16, 17, 64] {
                    at_the_edge(kernels, format, head_dim, rows, next(), true);
                    at_the_edge(kernels, format, head_dim, rows, next(), false);
                }
            }
            for format in tile_formats(head_dim) {
                for (tiles, role) in [(1, Role::Keys), (1, Role::Values), (5, Role::Values)] {
                    tiles_at_the_edge(kernels, (format, role), head_dim, tiles, next(), true);
                    tiles_at_the_edge(kernels, (format, role), head_dim, tiles, next(), false);
                }
            }
        }
        for len in 0..40 {
            kernels.softmax_part(fence::Fenced::new(&vec![1.0; len], true).get());
            kernels.softmax_part(fence::Fenced::new(&vec![1.0; len], false).get());
            for end in [true, false] {
                let mut x = fence::Fenced::new(&vec![1.0; 3 * len + 4], end);
                let mut weights = fence::Fenced::new(&[0.5; 3], end);
                let mut out = fence::Fenced::new(&vec![0.0; len], end);
                kernels.add_rows(x.get(), len + 2, weights.get(), out.get());
            }
        }
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn at_the_edge(
    kernels: &dyn Kernels,
    format: Format,
    head_dim: usize,
    len: usize,
    queries: usize,
    end: bool,
) {
    use fence::Fenced;
    let stored = encode(kernels, format, head_dim, len);
    let mut payload = Fenced::new(&stored.payload, end);
    let mut scales = Fenced::new(&stored.scales, end);
    let mut zeros = Fenced::new(&stored.zeros, end);
    let rows = Rows {
        format,
        head_dim,
        len,
        payload: payload.get(),
        scales: scales.get(),
        zeros: zeros.get(),
    };
    let mut vectors = Fenced::new(&vec![0.25; queries * head_dim], end);
    // The last query's row ends with its last score.
    let stride = len + 3;
    let mut weights = Fenced::new(&vec![0.5; (queries - 1) * stride + len], end);
    kernels.scores(rows, vectors.get(), weights.get(), stride);
    kernels.mix(rows, weights.get(), stride, vectors.get());
    let mut decoded = Fenced::new(&vec![0.0; len * head_dim], end);
    kernels.decode(rows, decoded.get());
    let mut again = Stored::default();
    kernels.encode(format, head_dim, decoded.get(), again.out());
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn tiles_at_the_edge(
    kernels: &dyn Kernels,
    (format, role): (Format, Role),
    head_dim: usize,
    tiles: usize,
    queries: usize,
    end: bool,
) {
    use fence::Fenced;
    let len = (tiles * TILE_ROWS).next_multiple_of(format.block_rows());
    let mut stored = Stored::default();
    let mut x = Fenced::new(&values(len * head_dim), end);
    kernels.encode_tiles(format, role, head_dim, x.get(), stored.out());
    let mut payload = Fenced::new(&stored.payload, end);
    let mut scales = Fenced::new(&stored.scales, end);
    let mut zeros = Fenced::new(&stored.zeros, end);
    let tiles = Tiles {
        format,
        role,
        head_dim,
        count: len / TILE_ROWS,
        payload: payload.get(),
        scales: scales.get(),
        zeros: zeros.get(),
    };
    kernels.decode_tiles(tiles, x.get());
    let mut vectors = Fenced::new(&vec![0.25; queries * head_dim], end);
    let stride = len + 3;
    let mut weights = Fenced::new(&vec![0.5; (queries - 1) * stride + len], end);
    match role {
        Role::Keys => {
            let digits = kernels.digits(format, head_dim, vectors.get());
            let q = digits.all(vectors.get());
            // Digits as well lie where the memory ends.
            let (mut high, mut low) = (Fenced::new(q.high, end), Fenced::new(q.low, end));
            let (mut scale, mut sum) = (Fenced::new(q.scale, end), Fenced::new(q.sum, end));
            let q = smartkv_core::Queries {
                values: q.values,
                high: high.get(),
                low: low.get(),
                scale: scale.get(),
                sum: sum.get(),
            };
            kernels.score_tiles(tiles, q, weights.get(), stride);
        }
        Role::Values => kernels.mix_tiles(tiles, weights.get(), stride, vectors.get()),
    }
}

/// Lengths are checked before anything is read or written.
#[test]
fn short_slices_are_refused() {
    let (head_dim, len, queries, stride) = (64, 9, 3, 12);
    for kernels in implementations() {
        // The rest is left to the reference, which checks as it goes.
        let vectors =
            |format: &Format| format.codebook.is_none() && format.group(head_dim).is_multiple_of(8);
        for format in formats(head_dim).into_iter().filter(vectors) {
            let Stored {
                payload,
                scales,
                zeros,
            } = encode(kernels, format, head_dim, len);
            let rows = Rows {
                format,
                head_dim,
                len,
                payload: &payload,
                scales: &scales,
                zeros: &zeros,
            };
            let mut short = vec![Rows {
                payload: &payload[1..],
                ..rows
            }];
            if !format.bits.is_float() {
                short.push(Rows {
                    scales: &scales[1..],
                    ..rows
                });
            }
            if !format.symmetric {
                short.push(Rows {
                    zeros: &zeros[1..],
                    ..rows
                });
            }
            let needed = (queries - 1) * stride + len;
            let run = |rows: Rows<'_>, scores: usize, decoded: usize| {
                let mut vectors = vec![0.5; queries * head_dim];
                let mut weights = vec![0.5; scores];
                let mut out = vec![0.5; decoded];
                let refused = |run: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(run)).is_err();
                [
                    refused(&mut || kernels.scores(rows, &vectors, &mut weights, stride)),
                    refused(&mut || kernels.mix(rows, &weights, stride, &mut vectors)),
                    refused(&mut || kernels.decode(rows, &mut out)),
                ]
            };
            let label = format!("{}, {format}", kernels.name());
            assert_eq!(run(rows, needed, len * head_dim), [false; 3], "{label}");
            assert_eq!(
                run(rows, needed - 1, len * head_dim)[..2],
                [true; 2],
                "{label}"
            );
            if kernels.name() != "scalar" {
                assert!(run(rows, needed, len * head_dim - 1)[2], "{label}");
                for rows in short {
                    assert_eq!(run(rows, needed, len * head_dim), [true; 3], "{label}");
                }
            }
        }
    }
}

/// The same of tiles.
#[test]
fn short_tiles_are_refused() {
    let (head_dim, queries) = (64, 3);
    for kernels in implementations().filter(|kernels| kernels.name() != "scalar") {
        for format in tile_formats(head_dim) {
            if format.axis == Axis::Channels && !format.group(head_dim).is_multiple_of(8) {
                continue; // left to the reference
            }
            let label = format!("{}, {format}", kernels.name());
            let len = TILE_ROWS.max(format.block_rows());
            let mut stored = Stored::default();
            let x = values(len * head_dim);
            kernels.encode_tiles(format, Role::Values, head_dim, &x, stored.out());
            let tiles = Tiles {
                format,
                role: Role::Values,
                head_dim,
                count: len / TILE_ROWS,
                payload: &stored.payload,
                scales: &stored.scales,
                zeros: &stored.zeros,
            };
            assert_eq!(
                tiles.payload.len(),
                tiles.count * tile_bytes(format.bits, head_dim)
            );
            let refused = |run: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(run)).is_err();
            let decode = |tiles: Tiles<'_>, decoded: usize| {
                let mut out = vec![0.5; decoded];
                refused(&mut || kernels.decode_tiles(tiles, &mut out))
            };
            let mix = |tiles: Tiles<'_>, weights: usize| {
                let p = vec![0.5; weights];
                let mut acc = vec![0.5; queries * head_dim];
                refused(&mut || kernels.mix_tiles(tiles, &p, len, &mut acc))
            };
            let score = |tiles: Tiles<'_>, scores: usize| {
                let keys = Tiles {
                    role: Role::Keys,
                    ..tiles
                };
                let q = vec![0.5; queries * head_dim];
                let mut out = vec![0.5; scores];
                let q = Digits::NONE.all(&q);
                refused(&mut || kernels.score_tiles(keys, q, &mut out, len))
            };
            let needed = queries * len;
            assert!(!decode(tiles, x.len()), "{label}");
            assert!(!mix(tiles, needed) && !score(tiles, needed), "{label}");
            assert!(decode(tiles, x.len() - 1), "{label}");
            assert!(
                mix(tiles, needed - 1) && score(tiles, needed - 1),
                "{label}"
            );
            let mut short = vec![
                Tiles {
                    payload: &stored.payload[1..],
                    ..tiles
                },
                Tiles {
                    scales: &stored.scales[1..],
                    ..tiles
                },
            ];
            if !format.symmetric {
                short.push(Tiles {
                    zeros: &stored.zeros[1..],
                    ..tiles
                });
            }
            for tiles in short {
                assert!(decode(tiles, x.len()), "{label}");
                assert!(mix(tiles, needed) && score(tiles, needed), "{label}");
            }
            // Half a tile, or half a block.
            let half = refused(&mut || {
                let x = &x[..len / 2 * head_dim];
                kernels.encode_tiles(format, Role::Keys, head_dim, x, Stored::default().out());
            });
            assert!(half, "{label}");
        }
    }
}

/// A read beyond either edge must be noticed, or the test above proves nothing.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn the_fence_holds() {
    if std::env::var_os("SMARTKV_CROSS_THE_FENCE").is_some() {
        let mut fenced = fence::Fenced::new(&[1u8; 8], true);
        // SAFETY: none; it is expected to kill this process.
        std::hint::black_box(unsafe { fenced.get().as_ptr().add(8).read_volatile() });
        return;
    }
    let me = std::env::current_exe().expect("own path");
    let status = std::process::Command::new(me)
        .args(["--exact", "the_fence_holds"])
        .env("SMARTKV_CROSS_THE_FENCE", "1")
        .output()
        .expect("a second process")
        .status;
    assert!(!status.success(), "a read beyond the fence went unnoticed");
}
