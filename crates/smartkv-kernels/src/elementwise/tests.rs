//! Every set against f64, and the sets against each other.

use super::*;
use proptest::prelude::*;

fn floats(bound: f32) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-bound..bound, 1..200)
}

/// A second vector of the same length, of other numbers.
fn other(x: &[f32]) -> Vec<f32> {
    x.iter().rev().map(|x| 0.5 - 0.75 * x).collect()
}

/// What each set that this processor has computes, by name; those with fused multiply-add first.
fn by_set(count: usize, run: impl Fn(Elementwise, &mut [f32])) -> Vec<(&'static str, Vec<f32>)> {
    Elementwise::available()
        .into_iter()
        .map(|set| {
            let mut out = vec![f32::NAN; count];
            run(set, &mut out);
            (set.name(), out)
        })
        .collect()
}

/// Holds every set to `expect` within `tolerance` of it, and wide sets to each other exactly.
fn compare(
    results: &[(&'static str, Vec<f32>)],
    expect: &[f64],
    tolerance: impl Fn(f64) -> f64,
) -> Result<(), TestCaseError> {
    for (name, out) in results {
        for (index, (out, expect)) in out.iter().zip(expect).enumerate() {
            let error = (f64::from(*out) - expect).abs();
            prop_assert!(
                error <= tolerance(*expect),
                "{name}: element {index} is {out}, expected {expect}"
            );
        }
    }
    let wide: Vec<_> = results.iter().filter(|(n, _)| *n != "portable").collect();
    for pair in wide.windows(2) {
        prop_assert_eq!(&pair[0].1, &pair[1].1, "{} and {}", pair[0].0, pair[1].0);
    }
    Ok(())
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

/// The norm in f64 of one row.
fn norm(x: &[f64], weight: &[f32], eps: f32) -> Vec<f64> {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    let factor = 1.0 / (mean + f64::from(eps)).sqrt();
    let scaled = x
        .iter()
        .zip(weight)
        .map(|(x, w)| x * factor * f64::from(*w));
    scaled.collect()
}

proptest! {
    #[test]
    fn norms(x in floats(30.0)) {
        let (weight, eps) = (other(&x), 1e-5);
        let rows = [x.clone(), other(&x)].concat();
        let mut expect = norm(&wide(&rows[..x.len()]), &weight, eps);
        expect.extend(norm(&wide(&rows[x.len()..]), &weight, eps));
        let results = by_set(rows.len(), |set, out| set.rms_norm(&rows, &weight, eps, out));
        compare(&results, &expect, |e| 1e-6 * e.abs() + 1e-30)?;

        let y = vec![0.125; x.len()];
        let sums: Vec<f32> = x.iter().map(|x| x + 0.125).collect();
        let expect = norm(&wide(&sums), &weight, eps);
        let results = by_set(x.len(), |set, out| {
            let mut x = x.clone();
            set.add_rms_norm(&mut x, &y, &weight, eps, out);
            assert_eq!(x, sums);
        });
        compare(&results, &expect, |e| 1e-6 * e.abs() + 1e-30)?;
    }

    #[test]
    fn silu(x in floats(87.0)) {
        let up = other(&x);
        let expect: Vec<f64> = wide(&x).iter().zip(&up)
            .map(|(x, up)| x / (1.0 + (-x).exp()) * f64::from(*up))
            .collect();
        let results = by_set(x.len(), |set, out| set.silu_mul(&x, &up, out));
        compare(&results, &expect, |e| 5e-7 * e.abs() + 1e-36)?;
    }

    #[test]
    fn layer_norms(x in floats(30.0)) {
        let (weight, eps) = (other(&x), 1e-5);
        let bias = other(&weight);
        let rows = [x.clone(), other(&x)].concat();
        let expect: Vec<f64> = rows.chunks_exact(x.len()).flat_map(|x| {
            let x = wide(x);
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let centred: Vec<f64> = x.iter().map(|x| x - mean).collect();
            let normed = norm(&centred, &weight, eps);
            normed.into_iter().zip(&bias).map(|(x, bias)| x + f64::from(*bias)).collect::<Vec<_>>()
        }).collect();
        let results = by_set(rows.len(), |set, out| set.layer_norm(&rows, &weight, &bias, eps, out));
        // The mean is rounded, which a row of one channel, or of like ones, makes the most of.
        let spread = rows.chunks_exact(x.len()).map(|x| {
            let mean = x.iter().sum::<f32>() / x.len() as f32;
            x.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / x.len() as f32
        }).fold(f32::INFINITY, f32::min);
        prop_assume!(spread > 1.0);
        compare(&results, &expect, |e| 1e-5 * e.abs() + 1e-3)?;
    }

    #[test]
    fn gelus(x in floats(20.0)) {
        let expect: Vec<f64> = wide(&x).iter().map(|x| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }).collect();
        let results = by_set(x.len(), |set, out| set.gelu_tanh(&x, out));
        compare(&results, &expect, |e| 4e-7 * e.abs() + 1e-7)?;
        let up = other(&x);
        for (set, (name, gelu)) in Elementwise::available().into_iter().zip(results) {
            let mut out = vec![f32::NAN; x.len()];
            set.gelu_tanh_mul(&x, &up, &mut out);
            for (out, (gelu, up)) in out.iter().zip(gelu.iter().zip(&up)) {
                prop_assert_eq!(*out, gelu * up, "{}", name);
            }
        }
    }

    #[test]
    fn rotations(x in prop::collection::vec(-9f32..9.0, 1..40), angle in 0f64..6.0) {
        let pairs = x.len();
        // Two heads.
        let row = [x.clone(), other(&x), other(&x), x.clone()].concat();
        let angles: Vec<f64> = (0..pairs).map(|i| angle * i as f64).collect();
        let cos: Vec<f32> = angles.iter().map(|a| a.cos() as f32).collect();
        let sin: Vec<f32> = angles.iter().map(|a| a.sin() as f32).collect();
        for interleaved in [false, true] {
            let mut expect = vec![0.0; row.len()];
            for (index, expect) in expect.iter_mut().enumerate() {
                let (head, channel) = (index / (2 * pairs) * 2 * pairs, index % (2 * pairs));
                let (pair, second) = if interleaved {
                    (channel / 2, channel % 2 == 1)
                } else {
                    (channel % pairs, channel >= pairs)
                };
                let at = |second: bool| f64::from(row[head + match (interleaved, second) {
                    (true, s) => 2 * pair + usize::from(s),
                    (false, s) => pair + usize::from(s) * pairs,
                }]);
                let (cos, sin) = (f64::from(cos[pair]), f64::from(sin[pair]));
                *expect = if second {
                    at(false) * sin + at(true) * cos
                } else {
                    at(false) * cos - at(true) * sin
                };
            }
            let results = by_set(row.len(), |set, out| {
                set.rotate(&row, &cos, &sin, interleaved, out);
            });
            compare(&results, &expect, |_| 3e-6)?;
        }
    }

    #[test]
    fn sums(x in floats(2.0)) {
        let y = other(&x);
        let narrow: Vec<bf16> = x.iter().map(|x| bf16::from_f32(*x)).collect();
        let stored: Vec<f32> = narrow.iter().map(|x| x.to_f32()).collect();
        let dot = |a: &[f32]| wide(a).iter().zip(wide(&y)).map(|(a, b)| a * b).sum::<f64>();
        let expect = [dot(&x), dot(&stored)];
        let results = by_set(2, |set, out| {
            out[0] = set.dot(&x, &y);
            out[1] = set.dot_bf16(&narrow, &y);
        });
        compare(&results, &expect, |_| 2e-5)?;

        let expect: Vec<f64> = x.iter().zip(&y).map(|(x, y)| f64::from(x + y)).collect();
        let results = by_set(x.len(), |set, out| {
            out.copy_from_slice(&x);
            set.add(out, &y);
        });
        compare(&results, &expect, |_| 0.0)?;
    }
}

#[test]
fn silu_saturates_without_overflow() {
    let gate = [
        0.0,
        1.0,
        -200.0,
        200.0,
        -1e30,
        1e30,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    for set in Elementwise::available() {
        let mut out = [f32::NAN; 8];
        set.silu_mul(&gate, &[5.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0], &mut out);
        assert!((out[1] - 0.731_058_6).abs() < 1e-6, "{}", set.name());
        assert_eq!((out[0], out[2], out[3]), (0.0, 0.0, 400.0));
        assert_eq!((out[4], out[5]), (0.0, 1e30));
        // What is not a number must not pass for one.
        assert!(out[6].is_nan() && out[7].is_nan());
    }
}
