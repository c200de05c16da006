//! Every way of holding weights, for every stored type, against f64 sums.

use super::*;
use crate::weights::MappedFile;
use candle_core::quantized::QTensor;
use candle_core::{Device, Tensor};
use smartkv_core::Reference;

/// Fills whole blocks of every type.
const INPUTS: usize = 512;
/// Not a multiple of a slab nor of a task, and with rows after the last tile.
const OUTPUTS: usize = 1101;

const TYPES: [GgmlDType; 12] = [
    GgmlDType::F32,
    GgmlDType::F16,
    GgmlDType::BF16,
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q8_0,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
    GgmlDType::Q3K,
];

fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 16) as u16) / 32768.0 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A random matrix in a file, and what candle decodes of it.
struct Matrix {
    raw: RawTensor,
    values: Vec<f32>,
    _folder: tempfile::TempDir,
}

impl Matrix {
    fn new(stored: GgmlDType, outputs: usize, inputs: usize) -> Self {
        let weights = Tensor::from_vec(noise(outputs * inputs, 1), (outputs, inputs), &Device::Cpu);
        let blocks = QTensor::quantize(&weights.unwrap(), stored).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        std::fs::write(&path, blocks.data().unwrap()).unwrap();
        let values = blocks.dequantize(&Device::Cpu).unwrap();
        let file = MappedFile::open(&path).unwrap();
        Self {
            raw: RawTensor::new(&file, "w", 0, stored, vec![outputs, inputs]).unwrap(),
            values: values.flatten_all().unwrap().to_vec1().unwrap(),
            _folder: folder,
        }
    }

    fn linear(&self, mode: WeightMode, kernels: &'static dyn Kernels) -> Linear {
        Linear::new(&[self.source()], mode, kernels).unwrap()
    }

    fn source(&self) -> Source<'_> {
        Source {
            weight: &self.raw,
            bias: None,
            transposed: false,
        }
    }

    /// The largest difference from f64 sums, in units of `Σ |w x|` of the output.
    fn error(&self, linear: &Linear, x: &[f32], threads: Threads) -> f64 {
        let (inputs, outputs) = (linear.inputs, linear.outputs);
        let mut out = vec![f32::NAN; x.len() / inputs * outputs];
        linear.forward(x, &mut out, threads).unwrap();
        let mut worst = 0f64;
        for (x, out) in x.chunks_exact(inputs).zip(out.chunks_exact(outputs)) {
            for (weight, out) in self.values.chunks_exact(inputs).zip(out) {
                let products = || {
                    x.iter()
                        .zip(weight)
                        .map(|(x, w)| f64::from(*x) * f64::from(*w))
                };
                let size: f64 = products().map(f64::abs).sum();
                worst = worst.max((products().sum::<f64>() - f64::from(*out)).abs() / size);
                assert!(out.is_finite());
            }
        }
        worst
    }
}

/// A bound on the error of a product, relative to the sum of its terms' magnitudes.
fn bound(held: Held, stored: GgmlDType) -> f64 {
    // Hundreds of f32 terms in any order.
    let sums = 4e-6;
    sums + match (held, stored) {
        (Held::F32, _) | (Held::F16, GgmlDType::F16) | (Held::Bf16, GgmlDType::BF16) => 0.0,
        // Weights rounded to 11 and to 8 bits.
        (Held::F16, _) => 0.5f64.powi(11),
        (Held::Bf16, _) => 0.5f64.powi(8),
        // Activations rounded to 2^-14 of the largest in a group: terms are a quarter of the
        // largest on average, and the kernel may have no need to round.
        (Held::Packed(_), GgmlDType::Q4K | GgmlDType::Q5K | GgmlDType::Q6K) => {
            // Scale and offset rounded to 11 bits, where the two are twice a weight in size.
            0.5f64.powi(12) + 3.0 * 0.5f64.powi(11)
        }
        (Held::Packed(_), _) => 0.5f64.powi(12),
    }
}

#[test]
fn every_stored_type_runs_in_every_mode() {
    let x = noise(3 * INPUTS, 2);
    for stored in TYPES {
        let matrix = Matrix::new(stored, 83, INPUTS);
        for mode in [
            WeightMode::Auto,
            WeightMode::Quantized,
            WeightMode::F32,
            WeightMode::F16,
            WeightMode::Bf16,
        ] {
            let held = Held::new(&matrix.source(), mode);
            let linear = matrix.linear(mode, smartkv_kernels::best());
            let error = matrix.error(&linear, &x, Threads::All);
            println!("{stored:?} held as {held:?}: {error:e}");
            assert!(
                error < bound(held, stored),
                "{stored:?} as {held:?}: {error:e}"
            );
        }
    }
}

#[test]
fn quantised_types_stay_packed_where_rows_fill_tiles() {
    for stored in TYPES {
        let packed = |inputs| {
            let matrix = Matrix::new(stored, 16, inputs);
            matches!(
                Held::new(&matrix.source(), WeightMode::Auto),
                Held::Packed(_)
            )
        };
        let block = stored.block_size();
        assert_eq!(
            packed(512),
            block > 1 && stored != GgmlDType::Q3K,
            "{stored:?}"
        );
    }
}

#[test]
fn any_number_of_rows_on_any_kernels() {
    for stored in [
        GgmlDType::Q4_1,
        GgmlDType::Q8_0,
        GgmlDType::F32,
        GgmlDType::BF16,
    ] {
        let matrix = Matrix::new(stored, OUTPUTS, 96);
        let held = Held::new(&matrix.source(), WeightMode::Auto);
        for name in smartkv_kernels::available() {
            let kernels = smartkv_kernels::by_name(name).unwrap();
            let linear = matrix.linear(WeightMode::Auto, kernels);
            for rows in [1, 3, 5, 33] {
                let x = noise(rows * 96, rows as u32);
                let error = matrix.error(&linear, &x, Threads::All);
                assert!(
                    error < bound(held, stored),
                    "{stored:?} {name} {rows}: {error:e}"
                );
                if linear.takes_blocks() {
                    let error = matrix.error(&linear, &x, Threads::Mine);
                    assert!(
                        error < bound(held, stored),
                        "{stored:?} {name} {rows}: {error:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_output_does_not_depend_on_the_rows_beside_it() {
    let matrix = Matrix::new(GgmlDType::Q4_1, 1104, 96);
    for name in smartkv_kernels::available() {
        let linear = matrix.linear(WeightMode::Auto, smartkv_kernels::by_name(name).unwrap());
        if !linear.takes_blocks() {
            continue;
        }
        let x = noise(37 * 96, 5);
        let mut alone = vec![f32::NAN; 37 * 1104];
        for (x, out) in x.chunks_exact(96).zip(alone.chunks_exact_mut(1104)) {
            linear.forward(x, out, Threads::All).unwrap();
        }
        for threads in [Threads::All, Threads::Mine] {
            let mut together = vec![f32::NAN; 37 * 1104];
            linear.forward(&x, &mut together, threads).unwrap();
            assert_eq!(together, alone, "{name} {threads:?}");
        }
    }
}

#[test]
fn matrices_side_by_side_are_the_matrices_one_by_one() {
    let stored = [
        (GgmlDType::Q4_1, 48),
        (GgmlDType::Q4_1, 24),
        (GgmlDType::Q4_1, 32),
        (GgmlDType::Q8_0, 16),
        (GgmlDType::F32, 10),
        (GgmlDType::F16, 7),
        (GgmlDType::Q6K, 19),
    ];
    let matrices: Vec<Matrix> = stored
        .into_iter()
        .map(|(stored, outputs)| Matrix::new(stored, outputs, 256))
        .collect();
    let bias = Matrix::new(GgmlDType::F32, 1, 24);
    let sources: Vec<Source<'_>> = matrices
        .iter()
        .enumerate()
        .map(|(index, matrix)| Source {
            weight: &matrix.raw,
            bias: (index == 1).then_some(&bias.raw),
            transposed: false,
        })
        .collect();
    let joined = Linear::new(&sources, WeightMode::Auto, &Reference).unwrap();
    assert_eq!((joined.parts.len(), joined.outputs), (5, 156));
    for rows in [1, 2, 20] {
        let x = noise(rows * 256, 9);
        let mut out = vec![f32::NAN; rows * 156];
        joined.forward(&x, &mut out, Threads::All).unwrap();
        let mut first = 0;
        for (index, matrix) in matrices.iter().enumerate() {
            let alone = matrix.linear(WeightMode::Auto, &Reference);
            let mut expect = vec![f32::NAN; rows * alone.outputs];
            alone.forward(&x, &mut expect, Threads::All).unwrap();
            for (row, expect) in expect.chunks_exact_mut(alone.outputs).enumerate() {
                if index == 1 {
                    Elementwise::best().add(expect, &bias.values);
                }
                let got = &out[row * 156 + first..][..alone.outputs];
                for (got, expect) in got.iter().zip(&*expect) {
                    assert!((got - expect).abs() < 1e-4, "part {index}: {got} {expect}");
                }
            }
            first += alone.outputs;
        }
    }
}

#[test]
fn a_matrix_stored_by_inputs_is_the_same_matrix() {
    let (outputs, inputs) = (24, 40);
    let matrix = Matrix::new(GgmlDType::F32, inputs, outputs);
    for mode in [WeightMode::F32, WeightMode::F16, WeightMode::Bf16] {
        let source = Source {
            transposed: true,
            ..matrix.source()
        };
        let linear = Linear::new(&[source], mode, &Reference).unwrap();
        assert_eq!(linear.outputs(), outputs);
        for rows in [1, 20] {
            let x = noise(rows * inputs, 3);
            let mut out = vec![f32::NAN; rows * outputs];
            linear.forward(&x, &mut out, Threads::All).unwrap();
            for (x, out) in x.chunks_exact(inputs).zip(out.chunks_exact(outputs)) {
                for (output, value) in out.iter().enumerate() {
                    let column = matrix.values.iter().skip(output).step_by(outputs);
                    let expect: f32 = column.zip(x).map(|(w, x)| w * x).sum();
                    assert!((value - expect).abs() < 0.05, "{mode}: {value} {expect}");
                }
            }
        }
    }
}
