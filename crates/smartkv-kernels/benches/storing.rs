//! Speed of encoding and decoding on one thread, per implementation and format:
//! `cargo bench -p smartkv-kernels --bench storing`, optionally followed by `-- NAME...`.
//!
//! Encoding in GB/s of the values as f16, decoding in GB/s of the f32 written; rows one after
//! another, and tiles of keys and of values.

use half::f16;
use smartkv_core::{Axis, Bits, Codebook, Format, Kernels, Role, Rows, RowsMut, TILE_ROWS, Tiles};
use smartkv_kernels::{available, by_name};
use std::hint::black_box;
use std::time::Instant;

const ROWS: usize = 1024;

fn main() {
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    println!(
        "{:8} {:26} {:>5} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "kernels", "format", "dim", "rows", "keys", "values", "rows", "keys", "values"
    );
    for name in available() {
        if asked.is_empty() || asked.iter().any(|a| a == name) {
            let kernels = by_name(name).expect("available");
            for head_dim in [64, 128] {
                for format in formats() {
                    line(kernels, format, head_dim);
                }
            }
        }
    }
}

fn formats() -> Vec<Format> {
    let book = |count: i16| {
        let levels: Vec<f32> = (0..count).map(|i| f32::from(2 * i + 1 - count)).collect();
        Codebook::new(&levels).expect("rising levels")
    };
    vec![
        Format::F16,
        Format::F8,
        Format::asymmetric(Bits::B8, 0),
        Format::asymmetric(Bits::B4, 0),
        Format::asymmetric(Bits::B4, 32),
        Format::asymmetric(Bits::B4, 8),
        Format::symmetric(Bits::B4, 0),
        Format::asymmetric(Bits::B3, 0),
        Format::asymmetric(Bits::B2, 0),
        Format::per_channel(Bits::B4, 32),
        Format::per_channel(Bits::B2, 64),
        Format::asymmetric(Bits::B4, 0).with_codebook(book(16)),
        Format::asymmetric(Bits::B2, 0).with_codebook(book(4)),
        gaussian(Bits::B4),
        gaussian(Bits::B3),
        gaussian(Bits::B2),
    ]
}

/// Levels that the root mean square of a row scales.
fn gaussian(bits: Bits) -> Format {
    let levels = Codebook::gaussian(bits).expect("levels of these bits");
    Format::symmetric(bits, 0).with_codebook(levels)
}

#[derive(Default)]
struct Stored(Vec<u8>, Vec<f16>, Vec<f16>);

impl Stored {
    fn out(&mut self) -> RowsMut<'_> {
        self.0.clear();
        self.1.clear();
        self.2.clear();
        RowsMut {
            payload: &mut self.0,
            scales: &mut self.1,
            zeros: &mut self.2,
        }
    }
}

fn line(kernels: &dyn Kernels, format: Format, head_dim: usize) {
    let x: Vec<f32> = (0..ROWS * head_dim)
        .map(|i| (i as f32 * 0.7).sin())
        .collect();
    let mut decoded = vec![0.0f32; x.len()];
    let mut stored = Stored::default();
    let (mut encoded, mut back) = (vec![], vec![]);
    let rate =
        |bytes: usize, seconds: f64| format!("{:8.2}", (x.len() * bytes) as f64 / seconds / 1e9);
    let none = || format!("{:>8}", "-");
    let in_blocks = format.axis == Axis::Tokens;
    if in_blocks {
        encoded.push(none());
        back.push(none());
    } else {
        let seconds = median(|| kernels.encode(format, head_dim, &x, stored.out()));
        encoded.push(rate(2, seconds));
        let rows = Rows {
            format,
            head_dim,
            len: ROWS,
            payload: &stored.0,
            scales: &stored.1,
            zeros: &stored.2,
        };
        let seconds = median(|| kernels.decode(rows, black_box(&mut decoded)));
        back.push(rate(4, seconds));
    }
    for role in [Role::Keys, Role::Values] {
        if format.bits.is_float() {
            encoded.push(none());
            back.push(none());
            continue;
        }
        let seconds = median(|| kernels.encode_tiles(format, role, head_dim, &x, stored.out()));
        encoded.push(rate(2, seconds));
        let tiles = Tiles {
            format,
            role,
            head_dim,
            count: ROWS / TILE_ROWS,
            payload: &stored.0,
            scales: &stored.1,
            zeros: &stored.2,
        };
        let seconds = median(|| kernels.decode_tiles(tiles, black_box(&mut decoded)));
        back.push(rate(4, seconds));
    }
    println!(
        "{:8} {:26} {head_dim:5} {} {}",
        kernels.name(),
        format.to_string(),
        encoded.join(" "),
        back.join(" ")
    );
}

/// Seconds of one run: the median of some.
fn median(mut run: impl FnMut()) -> f64 {
    run();
    let mut seconds: Vec<f64> = (0..31)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[15]
}
