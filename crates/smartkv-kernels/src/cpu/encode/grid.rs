//! Scales and zero points: the same roundings as the reference's.

use super::measure::Measures;
use crate::cpu::simd::{DOWN, Grid, NEAREST, Simd, UP};
use half::f16;
use smartkv_core::{Format, TILE_ROWS};

/// Groups whose scales are computed at once: the rows of a tile, and whole vectors.
pub(super) const BATCH: usize = TILE_ROWS;

/// What the codes of a format mean.
pub(super) enum Levels {
    /// From -`half` to `most - half`.
    Symmetric { most: f32, half: f32 },
    /// From 0 to `most`, with a zero point.
    Asymmetric { most: f32 },
    /// The levels of a codebook.
    Codebook {
        symmetric: bool,
        /// The outermost levels.
        ends: (f64, f64),
        /// Smallest values beyond the middle of two levels.
        beyond: Vec<f32>,
    },
    /// The levels of a codebook that the mean of squares scales.
    Power {
        /// Root mean squares at level 127.
        reach: f64,
        /// As above.
        beyond: Vec<f32>,
    },
}

impl Levels {
    pub(super) fn of(format: Format) -> Self {
        let Some(book) = &format.codebook else {
            let most = ((1u32 << format.bits.count()) - 1) as f32;
            let half = (most + 1.0) / 2.0;
            return match format.symmetric {
                true => Self::Symmetric { most, half },
                false => Self::Asymmetric { most },
            };
        };
        let levels = book.of(format.bits);
        let middle = |pair: &[i8]| 0.5 * (f32::from(pair[0]) + f32::from(pair[1]));
        let beyond = levels.windows(2).map(|p| middle(p).next_up()).collect();
        if let Some(reach) = book.reach() {
            let reach = f64::from(reach);
            return Self::Power { reach, beyond };
        }
        Self::Codebook {
            symmetric: format.symmetric,
            ends: (f64::from(levels[0]), f64::from(levels[levels.len() - 1])),
            beyond,
        }
    }

    /// The code of each value, before it is rounded to nearest.
    #[inline(always)]
    pub(super) fn level<S: Simd>(&self, simd: S, v: S::V, step: S::V, origin: S::V) -> S::V {
        let level = simd.div(simd.sub(v, origin), step);
        match self {
            Self::Symmetric { most, .. } | Self::Asymmetric { most } => {
                simd.min(simd.max(level, simd.splat(0.0)), simd.splat(*most))
            }
            Self::Codebook { beyond, .. } | Self::Power { beyond, .. } => {
                let (mut code, one) = (simd.splat(0.0), simd.splat(1.0));
                for &limit in beyond {
                    code = simd.add(code, simd.zero_below(one, level, simd.splat(limit)));
                }
                code
            }
        }
    }
}

/// Scales and zero points of some groups.
pub(super) struct Steps {
    /// As they are stored.
    pub(super) scales: [f16; BATCH],
    /// As they are stored; without meaning in a symmetric format.
    pub(super) zeros: [f16; BATCH],
    /// Scales to divide by: infinity for 0, since then every value is at level 0.
    pub(super) step: [f32; BATCH],
    /// Value of level 0.
    pub(super) origin: [f32; BATCH],
}

impl Steps {
    /// Those of groups that measure so much.
    #[inline(always)]
    pub(super) fn of<S: Simd>(simd: S, levels: &Levels, measures: &Measures) -> Self {
        let Measures { min, max, power } = measures;
        // Adding zero makes a negative zero positive, as the reference does.
        let min = min.map(|v| v + 0.0);
        let (mut zeros, mut quotient) = ([f16::ZERO; BATCH], [0.0; BATCH]);
        match *levels {
            Levels::Symmetric { half, .. } => {
                let positive = f64::from((half - 1.0).max(1.0));
                for ((q, &min), &max) in quotient.iter_mut().zip(&min).zip(max) {
                    let most = if max > -min { max } else { -min };
                    *q = above(f64::from(most) / positive);
                }
            }
            Levels::Asymmetric { most } => {
                let clamped = min.map(|v| v.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()));
                zeros = narrow::<S, DOWN>(simd, &clamped);
                let zero = widen(simd, &zeros);
                for ((q, &zero), &max) in quotient.iter_mut().zip(&zero).zip(max) {
                    *q = above((f64::from(max) - f64::from(zero)) / f64::from(most));
                }
            }
            Levels::Codebook {
                symmetric,
                ends: (low, high),
                ..
            } => {
                if !symmetric {
                    let mut zero = [0.0; BATCH];
                    for ((zero, &min), &max) in zero.iter_mut().zip(&min).zip(max) {
                        let (min, max) = (f64::from(min), f64::from(max));
                        *zero = (min - (max - min) / (high - low) * low) as f32;
                    }
                    zeros = narrow::<S, NEAREST>(simd, &zero);
                }
                let zero = widen(simd, &zeros);
                for (((q, &zero), &min), &max) in quotient.iter_mut().zip(&zero).zip(&min).zip(max)
                {
                    let reach = |end: f32, level| (f64::from(end) - f64::from(zero)) / level;
                    *q = above(reach(max, high).max(reach(min, low)).max(0.0));
                }
            }
            Levels::Power { reach, .. } => {
                for (q, power) in quotient.iter_mut().zip(power) {
                    *q = (power.sqrt() * reach / 127.0).min(f16::MAX.to_f64()) as f32;
                }
            }
        }
        let scales = match levels {
            Levels::Power { .. } => narrow::<S, NEAREST>(simd, &quotient),
            _ => narrow::<S, UP>(simd, &quotient),
        };
        let scale = widen(simd, &scales);
        let origin = match *levels {
            Levels::Symmetric { half, .. } => scale.map(|s| -s * half),
            _ => widen(simd, &zeros),
        };
        Self {
            scales,
            zeros,
            step: scale.map(|s| if s > 0.0 { s } else { f32::INFINITY }),
            origin,
        }
    }
}

/// Smallest f32 not below `x >= 0`, at most the largest f16; never a negative zero.
///
/// Upwards to f32 and upwards again to f16 is upwards to f16: every f16 is an f32.
#[inline(always)]
fn above(x: f64) -> f32 {
    let most = f16::MAX.to_f64();
    let x = if x < most { x + 0.0 } else { most };
    let near = x as f32;
    f32::from_bits(near.to_bits() + u32::from(f64::from(near) < x))
}

/// Rounds to f16.
#[inline(always)]
fn narrow<S: Simd, const ROUNDING: i32>(simd: S, x: &[f32; BATCH]) -> [f16; BATCH] {
    const { assert!(BATCH.is_multiple_of(S::LANES)) };
    let mut out = [f16::ZERO; BATCH];
    for at in (0..BATCH).step_by(S::LANES) {
        // SAFETY: both arrays are whole vectors.
        unsafe {
            let v = simd.load(x.as_ptr().add(at));
            simd.store_f16::<ROUNDING>(out.as_mut_ptr().add(at), v);
        }
    }
    out
}

/// Converts to f32.
#[inline(always)]
pub(super) fn widen<S: Simd>(simd: S, x: &[f16; BATCH]) -> [f32; BATCH] {
    const { assert!(BATCH.is_multiple_of(S::LANES)) };
    let none = Grid {
        scale: simd.splat(0.0),
        zero: simd.splat(0.0),
    };
    let mut out = [0.0; BATCH];
    for at in (0..BATCH).step_by(S::LANES) {
        // SAFETY: both arrays are whole vectors, and f16 is two bytes.
        unsafe {
            let v = simd.decode::<16>(x.as_ptr().add(at).cast(), none);
            simd.store(out.as_mut_ptr().add(at), v);
        }
    }
    out
}
