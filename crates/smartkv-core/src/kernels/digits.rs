//! Queries as integers, so that products with integer codes are exact.
//!
//! A group of query values becomes `scale * n` with `n` of 14 bits, split into two signed digits:
//! `n = 128 * high + low`, both within ±64. A dot product of 8-bit codes with one digit fits the
//! 16-bit intermediate sums of every instruction set, and two digits lose less than f16 keys do:
//! at most `2^-14` of the group's largest query value, whatever the codes.

use std::ops::Range;

/// Largest magnitude of a query as an integer.
const LARGEST: f32 = 8192.0;

/// The digits of queries, group by group of channels. Empty where kernels have no use for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Digits {
    head_dim: usize,
    group: usize,
    high: Vec<i8>,
    low: Vec<i8>,
    scale: Vec<f32>,
    sum: Vec<i32>,
}

/// Where to write the digits of queries, see [`Queries`].
#[derive(Debug)]
pub struct DigitParts<'a> {
    /// High digits.
    pub high: &'a mut [i8],
    /// Low digits.
    pub low: &'a mut [i8],
    /// Scale of each group.
    pub scale: &'a mut [f32],
    /// Sum of each group.
    pub sum: &'a mut [i32],
}

/// Some of the queries of a call, with their digits.
#[derive(Debug, Clone, Copy)]
pub struct Queries<'a> {
    /// `[n, head_dim]`.
    pub values: &'a [f32],
    /// High digits, `[n, head_dim]`; empty without digits, as all that follows.
    pub high: &'a [i8],
    /// Low digits, `[n, head_dim]`.
    pub low: &'a [i8],
    /// Scale of each group, `[n, head_dim / group]`: `value ≈ scale * (128 * high + low)`.
    pub scale: &'a [f32],
    /// Sum of `128 * high + low` over each group, `[n, head_dim / group]`.
    pub sum: &'a [i32],
}

impl Digits {
    /// No digits.
    pub const NONE: &'static Self = &Self {
        head_dim: 0,
        group: 0,
        high: Vec::new(),
        low: Vec::new(),
        scale: Vec::new(),
        sum: Vec::new(),
    };

    /// Splits `q`, `[n, head_dim]`, in groups of `group` channels.
    ///
    /// # Panics
    /// When the group does not divide `head_dim`, or `head_dim` the queries.
    #[must_use]
    pub fn split(head_dim: usize, group: usize, q: &[f32]) -> Self {
        let mut this = Self::default();
        this.split_again(head_dim, group, q);
        this
    }

    /// [`split`](Self::split) in place of other digits.
    ///
    /// # Panics
    /// As there.
    pub fn split_again(&mut self, head_dim: usize, group: usize, q: &[f32]) {
        let parts = self.parts(head_dim, group, q.len());
        for (g, values) in q.chunks_exact(group).enumerate() {
            let largest = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let scale = largest / LARGEST;
            // A reciprocal that overflows would make a NaN of zero.
            let inverse = if scale >= f32::MIN_POSITIVE {
                1.0 / scale
            } else {
                0.0
            };
            let mut sum = 0;
            for (at, value) in (g * group..).zip(values) {
                let n = integer(value * inverse);
                let high = (n + 64) >> 7;
                sum += n;
                parts.high[at] = digit(high);
                parts.low[at] = digit(n - 128 * high);
            }
            parts.scale[g] = scale;
            parts.sum[g] = sum;
        }
    }

    /// Room for the digits of `len` values, with any content: for kernels that split faster. The
    /// layout is that of [`Queries`].
    ///
    /// # Panics
    /// When the group does not divide `head_dim`, or `head_dim` the values.
    pub fn parts(&mut self, head_dim: usize, group: usize, len: usize) -> DigitParts<'_> {
        assert!(
            group > 0 && head_dim.is_multiple_of(group) && len.is_multiple_of(head_dim),
            "{len} values in rows of {head_dim} and groups of {group}",
        );
        self.head_dim = head_dim;
        self.group = group;
        self.high.resize(len, 0);
        self.low.resize(len, 0);
        self.scale.resize(len / group, 0.0);
        self.sum.resize(len / group, 0);
        DigitParts {
            high: &mut self.high,
            low: &mut self.low,
            scale: &mut self.scale,
            sum: &mut self.sum,
        }
    }

    /// Removes all, and keeps their memory.
    pub fn clear(&mut self) {
        self.high.clear();
        self.low.clear();
        self.scale.clear();
        self.sum.clear();
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.high.is_empty()
    }

    /// All queries, of which these are the digits.
    ///
    /// # Panics
    /// When `values` are not as many.
    #[must_use]
    pub fn all<'a>(&'a self, values: &'a [f32]) -> Queries<'a> {
        if self.is_empty() {
            return Queries {
                values,
                high: &[],
                low: &[],
                scale: &[],
                sum: &[],
            };
        }
        assert_eq!(values.len(), self.high.len(), "digits of other queries");
        Queries {
            values,
            high: &self.high,
            low: &self.low,
            scale: &self.scale,
            sum: &self.sum,
        }
    }

    /// The queries `rows`, of which these are the digits.
    ///
    /// # Panics
    /// When `values` are not as many, or `rows` is out of range.
    #[must_use]
    pub fn rows<'a>(
        &'a self,
        values: &'a [f32],
        head_dim: usize,
        rows: Range<usize>,
    ) -> Queries<'a> {
        let all = self.all(values);
        let values = &values[rows.start * head_dim..rows.end * head_dim];
        if self.is_empty() {
            return Queries { values, ..all };
        }
        let groups = head_dim / self.group;
        let (elements, groups) = (
            rows.start * head_dim..rows.end * head_dim,
            rows.start * groups..rows.end * groups,
        );
        Queries {
            values,
            high: &all.high[elements.clone()],
            low: &all.low[elements],
            scale: &all.scale[groups.clone()],
            sum: &all.sum[groups],
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "within ±64")]
fn digit(n: i32) -> i8 {
    n as i8
}

/// Nearest integer, of two as near the even one, as vector units round.
#[expect(clippy::cast_possible_truncation, reason = "at most LARGEST")]
fn integer(x: f32) -> i32 {
    x.round_ties_even() as i32
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "14 bits")]
mod tests {
    use super::*;

    #[test]
    fn digits_are_small_and_give_the_value_back() {
        let q: Vec<f32> = (0..96i16).map(|i| f32::from(i - 40) * 0.37).collect();
        let digits = Digits::split(48, 16, &q);
        let all = digits.all(&q);
        for (index, value) in q.iter().enumerate() {
            let (high, low) = (i32::from(all.high[index]), i32::from(all.low[index]));
            assert!(high.abs() <= 64 && (-64..64).contains(&low), "{high} {low}");
            let scale = all.scale[index / 16];
            let back = scale * (128 * high + low) as f32;
            assert!(
                (back - value).abs() <= 0.501 * scale,
                "{value} became {back}"
            );
        }
        for (group, sum) in all.sum.iter().enumerate() {
            let exact: i32 = (16 * group..16 * group + 16)
                .map(|i| 128 * i32::from(all.high[i]) + i32::from(all.low[i]))
                .sum();
            assert_eq!(*sum, exact);
        }
        let second = digits.rows(&q, 48, 1..2);
        assert_eq!(second.values, &q[48..]);
        assert_eq!(second.scale, &all.scale[3..]);
    }

    #[test]
    fn zeros_and_tiny_values_have_zero_digits() {
        for value in [0.0, f32::from_bits(1), 1e-38] {
            let digits = Digits::split(16, 16, &[value; 16]);
            assert!(digits.high.iter().chain(&digits.low).all(|&d| d == 0));
        }
    }
}
