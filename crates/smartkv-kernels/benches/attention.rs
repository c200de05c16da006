//! Time of the kernels on one thread, per implementation and format:
//! `cargo bench -p smartkv-kernels`, optionally followed by `-- NAME...` of implementations and
//! of the sections `attention` and `linear`.
//!
//! Attention, decoding: 3 queries share 4096 rows of one kv head, as GB/s of packed bytes (codes,
//! scales, zero points) read by scores and mix together. The rows of many heads are visited in
//! turn, so that they come from memory as in a model, and once more with those of one head, from
//! cache. Prompt: 192 queries, as GFLOP/s. Encoding and decoding: GB/s of the values as f16.
//!
//! Linear layers: rows of weights are keys, inputs queries. One input, as GB/s of packed bytes
//! from memory and from cache, and a prompt of 128, as GFLOP/s.

use smartkv_core::{Bits, Format, Kernels, PackedRows, Role};
use smartkv_kernels::{available, by_name};
use std::hint::black_box;
use std::time::Instant;

const HEAD_DIM: usize = 64;
const ROWS: usize = 4096;
const FEW: usize = 3;
const MANY: usize = 192;
/// Inputs of a linear layer in a prompt.
const INPUTS: usize = 128;
/// Bytes of packed rows that no cache holds.
const LARGE: usize = 96 << 20;

fn main() {
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let sections = ["attention", "linear"];
    let wants = |name: &str, others: &[&str]| {
        let mut of_kind = asked.iter().filter(|a| others.contains(&a.as_str()));
        of_kind.clone().next().is_none() || of_kind.any(|a| a == name)
    };
    let names: Vec<&str> = available()
        .into_iter()
        .filter(|name| wants(name, &available()))
        .collect();
    if wants("attention", &sections) {
        println!("{ROWS} rows, head_dim {HEAD_DIM}, one thread");
        println!(
            "{:8} {:14} {:>8} {:>8} {:>8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8}",
            "", "", "3 q", "3 q", "cached", "scores", "mix", "scores", "mix", "encode", "decode"
        );
        println!(
            "{:8} {:14} {:>8} {:>8} {:>8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8}",
            "kernels",
            "format",
            "us",
            "GB/s",
            "GB/s",
            "us",
            "us",
            "GFLOP/s",
            "GFLOP/s",
            "GB/s",
            "GB/s"
        );
        for name in &names {
            for format in formats() {
                attention(by_name(name).expect("available"), format);
            }
        }
    }
    if wants("linear", &sections) {
        println!("linear layers, one thread");
        println!(
            "{:8} {:14} {:>14} {:>9} {:>8} {:>8} {:>9} {:>8}",
            "kernels", "format", "weights", "1 us", "GB/s", "cached", "128 us", "GFLOP/s"
        );
        for name in &names {
            for format in [
                Format::asymmetric(Bits::B4, 32),
                Format::symmetric(Bits::B8, 32),
            ] {
                for (rows, inputs) in [(576, 1536), (1536, 576), (49152, 576)] {
                    linear(by_name(name).expect("available"), format, rows, inputs);
                }
            }
        }
    }
}

fn formats() -> [Format; 10] {
    let book: Vec<f32> = (0..16u8)
        .map(|i| (f32::from(i) - 7.5) * (1.0 + f32::from(i.abs_diff(7))))
        .collect();
    let book = smartkv_core::Codebook::new(&book).expect("levels");
    [
        Format::F16,
        Format::asymmetric(Bits::B8, 0),
        Format::symmetric(Bits::B8, 0),
        Format::asymmetric(Bits::B4, 0),
        Format::asymmetric(Bits::B4, 32),
        Format::symmetric(Bits::B4, 0),
        Format::symmetric(Bits::B4, 0).with_codebook(book),
        Format::per_channel(Bits::B4, 64),
        Format::asymmetric(Bits::B3, 0),
        Format::asymmetric(Bits::B2, 0),
    ]
}

/// Packed rows of waves, as many times as `total` bytes need.
fn packed(
    kernels: &dyn Kernels,
    format: Format,
    role: Role,
    (rows, head_dim): (usize, usize),
    total: usize,
) -> Vec<PackedRows> {
    let x: Vec<f32> = (0..rows * head_dim)
        .map(|i| (i as f32 * 0.7).sin())
        .collect();
    let mut packed = PackedRows::new(format, role, head_dim);
    packed.push(kernels, &x);
    let copies = total.div_ceil(rows * format.row_bytes(head_dim));
    vec![packed; copies]
}

fn attention(kernels: &dyn Kernels, format: Format) {
    let x: Vec<f32> = (0..ROWS * HEAD_DIM)
        .map(|i| (i as f32 * 0.7).sin())
        .collect();
    let bytes = ROWS * format.row_bytes(HEAD_DIM);
    let scalar = kernels.name() == "scalar";
    let total = if scalar { 2 * bytes } else { LARGE / 2 };
    let heads = |role| packed(kernels, format, role, (ROWS, HEAD_DIM), total);
    let (keys, values) = (heads(Role::Keys), heads(Role::Values));

    let mut scores = vec![0.0; MANY * ROWS];
    let weights: Vec<f32> = x
        .iter()
        .cycle()
        .take(MANY * ROWS)
        .map(|v| v.abs())
        .collect();
    let mut acc = vec![0.0; MANY * HEAD_DIM];
    let mut run = |queries: usize, head: usize, scored: bool, mixed: bool| {
        let head = head % keys.len();
        let (q, acc) = (&x[..queries * HEAD_DIM], &mut acc[..queries * HEAD_DIM]);
        if scored {
            let digits = kernels.digits(format, HEAD_DIM, q);
            keys[head].scores(kernels, 0..ROWS, q, &digits, &mut scores, ROWS);
        }
        if mixed {
            values[head].mix(kernels, 0..ROWS, &weights, ROWS, acc);
        }
        black_box((&scores, &acc));
    };

    let times = if scalar { 3 } else { 600 };
    let few = median(times, |i| run(FEW, i, true, true));
    let cached = median(times, |_| run(FEW, 0, true, true));
    let few_scores = median(times, |_| run(FEW, 0, true, false));
    let few_mix = median(times, |_| run(FEW, 0, false, true));
    let many_scores = median(times.min(9), |_| run(MANY, 0, true, false));
    let many_mix = median(times.min(9), |_| run(MANY, 0, false, true));
    let encoding = median(times.min(9), |_| {
        let mut packed = PackedRows::new(format, Role::Keys, HEAD_DIM);
        packed.push(kernels, &x);
        black_box(packed);
    });
    let mut decoded = vec![0.0; ROWS * HEAD_DIM];
    let decoding = median(times.min(9), |_| {
        if format.block_rows() == 1 {
            keys[0].decode(kernels, &mut decoded);
        } else {
            kernels.decode_tiles(keys[0].tiles_at(0..keys[0].whole_tiles()), &mut decoded);
        }
        black_box(&decoded);
    });
    let (gb, flop) = (
        2.0 * bytes as f64 / 1e9,
        (2 * MANY * ROWS * HEAD_DIM) as f64 / 1e9,
    );
    let f16 = (2 * ROWS * HEAD_DIM) as f64 / 1e9;
    println!(
        "{:8} {:14} {:8.0} {:8.2} {:8.2} {:9.1} {:9.1} {:8.1} {:8.1} {:8.2} {:8.2}",
        kernels.name(),
        format.to_string(),
        few * 1e6,
        gb / few,
        gb / cached,
        few_scores * 1e6,
        few_mix * 1e6,
        flop / many_scores,
        flop / many_mix,
        f16 / encoding,
        f16 / decoding,
    );
}

fn linear(kernels: &dyn Kernels, format: Format, rows: usize, inputs: usize) {
    let scalar = kernels.name() == "scalar";
    let bytes = rows * format.row_bytes(inputs);
    let layers = packed(
        kernels,
        format,
        Role::Keys,
        (rows, inputs),
        if scalar { 1 } else { LARGE },
    );
    let x: Vec<f32> = (0..INPUTS * inputs)
        .map(|i| (i as f32 * 0.7).sin())
        .collect();
    let mut out = vec![0.0; INPUTS * rows];
    let mut run = |n: usize, layer: usize| {
        let q = &x[..n * inputs];
        let digits = kernels.digits(format, inputs, q);
        let layer = &layers[layer % layers.len()];
        layer.scores(kernels, 0..rows, q, &digits, &mut out, rows);
        black_box(&out);
    };
    let times = if scalar { 1 } else { (1 << 31) / (bytes * 8) };
    let one = median(times, |i| run(1, i));
    let cached = median(times, |_| run(1, 0));
    let many = median(times.min(9), |i| run(INPUTS, i));
    println!(
        "{:8} {:14} {:>14} {:9.1} {:8.2} {:8.2} {:9.1} {:8.1}",
        kernels.name(),
        format.to_string(),
        format!("{inputs} > {rows}"),
        one * 1e6,
        bytes as f64 / 1e9 / one,
        bytes as f64 / 1e9 / cached,
        many * 1e6,
        (2 * INPUTS * rows * inputs) as f64 / 1e9 / many,
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
