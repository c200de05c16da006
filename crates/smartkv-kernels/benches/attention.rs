//! Time of the attention kernels on one thread, per implementation and format:
//! `cargo bench -p smartkv-kernels`, optionally followed by `-- NAME...` of implementations.
//!
//! Decoding: 3 queries share 4096 rows of one kv head, as GB/s of packed bytes (codes, scales,
//! zero points) read by scores and mix together. The rows of many heads are visited in turn, so
//! that they come from memory as in a model, and once more with those of one head, from cache.
//! Prompt: 192 queries, as GFLOP/s. Encoding and decoding: GB/s of the values as f16.

use smartkv_core::{Bits, Format, Kernels, Rows, RowsMut};
use smartkv_kernels::{available, by_name};
use std::hint::black_box;
use std::time::Instant;

const HEAD_DIM: usize = 64;
const ROWS: usize = 4096;
const FEW: usize = 3;
const MANY: usize = 192;
/// Bytes of packed rows that no cache holds.
const LARGE: usize = 96 << 20;

fn main() {
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    println!("{ROWS} rows, head_dim {HEAD_DIM}, one thread");
    println!(
        "{:8} {:14} {:>8} {:>8} {:>8} {:>9} {:>9} {:>8} {:>8} {:>8}",
        "", "", "3 q", "3 q", "cached", "scores", "mix", "192 q", "encode", "decode"
    );
    println!(
        "{:8} {:14} {:>8} {:>8} {:>8} {:>9} {:>9} {:>8} {:>8} {:>8}",
        "kernels", "format", "us", "GB/s", "GB/s", "us", "us", "GFLOP/s", "GB/s", "GB/s"
    );
    for name in available() {
        if asked.is_empty() || asked.iter().any(|a| a == name) {
            let kernels = by_name(name).expect("available");
            for format in formats() {
                row(kernels, format);
            }
        }
    }
}

fn formats() -> [Format; 7] {
    [
        Format::F16,
        Format::asymmetric(Bits::B8, 0),
        Format::asymmetric(Bits::B4, 0),
        Format::asymmetric(Bits::B4, 32),
        Format::symmetric(Bits::B4, 0),
        Format::asymmetric(Bits::B3, 0),
        Format::asymmetric(Bits::B2, 0),
    ]
}

fn row(kernels: &dyn Kernels, format: Format) {
    let x: Vec<f32> = (0..ROWS * HEAD_DIM)
        .map(|i| (i as f32 * 0.7).sin())
        .collect();
    let encode = || {
        let (mut payload, mut scales, mut zeros) = (vec![], vec![], vec![]);
        let out = RowsMut {
            payload: &mut payload,
            scales: &mut scales,
            zeros: &mut zeros,
        };
        kernels.encode(format, HEAD_DIM, &x, out);
        (payload, scales, zeros)
    };
    let bytes = ROWS * format.row_bytes(HEAD_DIM);
    let scalar = kernels.name() == "scalar";
    let heads: Vec<_> = (0..(if scalar { 4 } else { LARGE / bytes }))
        .map(|_| encode())
        .collect();
    let view = |head: usize| {
        let (payload, scales, zeros) = &heads[head % heads.len()];
        Rows {
            format,
            head_dim: HEAD_DIM,
            len: ROWS,
            payload,
            scales,
            zeros,
        }
    };

    let mut out = vec![0.01; MANY * ROWS];
    let mut acc = vec![0.0; MANY * HEAD_DIM];
    let mut attention = |queries: usize, head: usize, scores: bool, mix: bool| {
        if scores {
            kernels.scores(view(head), &x[..queries * HEAD_DIM], &mut out, ROWS);
        }
        if mix {
            kernels.mix(view(head + 1), &out, ROWS, &mut acc[..queries * HEAD_DIM]);
        }
        black_box((&out, &acc));
    };

    let times = if scalar { 3 } else { 600 };
    let few = median(times, |i| attention(FEW, 2 * i, true, true));
    let cached = median(times, |_| attention(FEW, 0, true, true));
    let scores = median(times, |_| attention(FEW, 0, true, false));
    let mix = median(times, |_| attention(FEW, 0, false, true));
    let many = median(times.min(9), |_| attention(MANY, 0, true, true));
    let encoding = median(times.min(9), |_| drop(black_box(encode())));
    let mut decoded = vec![0.0; ROWS * HEAD_DIM];
    let decoding = median(times.min(9), |_| {
        kernels.decode(view(0), &mut decoded);
        black_box(&decoded);
    });
    let (gb, flop) = (
        2.0 * bytes as f64 / 1e9,
        (4 * MANY * ROWS * HEAD_DIM) as f64 / 1e9,
    );
    let values = (2 * ROWS * HEAD_DIM) as f64 / 1e9;
    println!(
        "{:8} {:14} {:8.0} {:8.2} {:8.2} {:9.1} {:9.1} {:8.1} {:8.2} {:8.2}",
        kernels.name(),
        format.to_string(),
        few * 1e6,
        gb / few,
        gb / cached,
        scores * 1e6,
        mix * 1e6,
        flop / many,
        values / encoding,
        values / decoding,
    );
}

/// Seconds of one run: the median of some.
fn median(times: usize, mut run: impl FnMut(usize)) -> f64 {
    run(0);
    let mut seconds: Vec<f64> = (0..times)
        .map(|i| {
            let start = Instant::now();
            run(i);
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[times / 2]
}
