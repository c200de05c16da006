//! Operations on rows of f32 between matrix products, for the instruction set found at run time.
//!
//! The code is written once, as loops over whole lanes, and compiled for each set: sums are kept
//! in the same lanes everywhere, so sets with fused multiply-add agree to the bit. A call handles
//! one row or a few and runs on the calling thread.

mod bodies;
#[cfg(test)]
mod tests;

use half::bf16;

/// Instruction sets that the loops are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The operations on one instruction set. A value exists only where the processor has the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elementwise(Set);

/// Calls a body compiled for the set.
macro_rules! on_set {
    ($set:expr, $body:ident($($argument:ident: $type:ty),*) $(-> $out:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2($($argument: $type),*) $(-> $out)? {
            bodies::$body::<true>($($argument),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn avx512($($argument: $type),*) $(-> $out)? {
            bodies::$body::<true>($($argument),*)
        }
        match $set {
            Set::Portable => bodies::$body::<{ cfg!(target_arch = "aarch64") }>($($argument),*),
            // SAFETY: the set was detected before a value of it was made.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2($($argument),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512($($argument),*) },
        }
    }};
}

impl Elementwise {
    /// For the widest set that this processor has.
    #[must_use]
    pub fn best() -> Self {
        Self::detected().next().unwrap_or(Self(Set::Portable))
    }

    /// For every set that this processor has, widest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::detected().collect()
    }

    fn detected() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            let avx512 = avx512.then_some(Set::Avx512);
            avx512.into_iter().chain(avx2.then_some(Set::Avx2))
        };
        #[cfg(not(target_arch = "x86_64"))]
        let wide = std::iter::empty();
        wide.chain([Set::Portable]).map(Self)
    }

    /// Name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }

    /// Root-mean-square norm of the rows of `x`, `[rows, weight.len()]`:
    /// `out = x / sqrt(mean(x²) + eps) * weight`.
    ///
    /// # Panics
    /// When the lengths do not fit each other.
    pub fn rms_norm(self, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        check_rows(x.len(), out.len(), weight.len());
        on_set!(self.0, rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]));
    }

    /// `x += y`, then [`rms_norm`](Self::rms_norm) of `x`: one pass over memory for both.
    ///
    /// # Panics
    /// When the lengths do not fit each other.
    pub fn add_rms_norm(self, x: &mut [f32], y: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        check_rows(x.len(), out.len(), weight.len());
        assert_eq!(x.len(), y.len(), "summands");
        on_set!(
            self.0,
            add_rms_norm(x: &mut [f32], y: &[f32], weight: &[f32], eps: f32, out: &mut [f32])
        );
    }

    /// Layer norm of the rows of `x`, `[rows, weight.len()]`:
    /// `out = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias`.
    ///
    /// # Panics
    /// When the lengths do not fit each other.
    pub fn layer_norm(self, x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
        check_rows(x.len(), out.len(), weight.len());
        assert_eq!(weight.len(), bias.len(), "weights and biases");
        on_set!(
            self.0,
            layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32])
        );
    }

    /// `out = gelu(x)`, element by element, in the approximation by a hyperbolic tangent:
    /// `x / (1 + exp(-2 √(2/π) (x + 0.044715 x³)))`.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn gelu_tanh(self, x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), out.len(), "elements");
        on_set!(self.0, gelu_tanh(x: &[f32], out: &mut [f32]));
    }

    /// `out = gelu(gate) * up`, see [`gelu_tanh`](Self::gelu_tanh).
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn gelu_tanh_mul(self, gate: &[f32], up: &[f32], out: &mut [f32]) {
        assert_eq!((gate.len(), up.len()), (out.len(), out.len()), "elements");
        on_set!(self.0, gelu_tanh_mul(gate: &[f32], up: &[f32], out: &mut [f32]));
    }

    /// `x = cap · tanh((x + offset) / cap)`, element by element, within `2^-20 · cap`.
    pub fn softcap(self, x: &mut [f32], offset: f32, cap: f32) {
        on_set!(self.0, softcap(x: &mut [f32], offset: f32, cap: f32));
    }

    /// `out = silu(gate) * up`, element by element, with a relative error below 5e-7; gates below
    /// -87, whose results are smaller than 2e-36, may give 0.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn silu_mul(self, gate: &[f32], up: &[f32], out: &mut [f32]) {
        assert_eq!((gate.len(), up.len()), (out.len(), out.len()), "elements");
        on_set!(self.0, silu_mul(gate: &[f32], up: &[f32], out: &mut [f32]));
    }

    /// `x += y`, element by element.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn add(self, x: &mut [f32], y: &[f32]) {
        assert_eq!(x.len(), y.len(), "summands");
        on_set!(self.0, add(x: &mut [f32], y: &[f32]));
    }

    /// Turns each pair of channels of every head of `row` by the angle whose cosine and sine are
    /// given, into `out`. Pairs are neighbours if `interleaved`, else halves of the head.
    ///
    /// # Panics
    /// When the lengths do not fit each other.
    pub fn rotate(self, row: &[f32], cos: &[f32], sin: &[f32], interleaved: bool, out: &mut [f32]) {
        assert_eq!(cos.len(), sin.len(), "cosines and sines");
        check_rows(row.len(), out.len(), 2 * cos.len());
        on_set!(
            self.0,
            rotate(row: &[f32], cos: &[f32], sin: &[f32], interleaved: bool, out: &mut [f32])
        );
    }

    /// Sum of products.
    ///
    /// # Panics
    /// When the lengths differ.
    #[must_use]
    pub fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "factors");
        on_set!(self.0, dot(a: &[f32], b: &[f32]) -> f32)
    }

    /// Sum of products with bfloat16 numbers, widened exactly.
    ///
    /// # Panics
    /// When the lengths differ.
    #[must_use]
    pub fn dot_bf16(self, a: &[bf16], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "factors");
        on_set!(self.0, dot_bf16(a: &[bf16], b: &[f32]) -> f32)
    }
}

fn check_rows(x: usize, out: usize, width: usize) {
    assert!(
        x == out && width > 0 && x.is_multiple_of(width),
        "rows of {width} from {x} elements into {out}"
    );
}
