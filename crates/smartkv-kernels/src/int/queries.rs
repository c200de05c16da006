//! Where the digits of queries lie, and the constants of their groups.

use super::dots::Source;
use super::product::Call;

/// Puts what the products of `count` queries take in the order in which they take it, see
/// [`Panel`].
pub(super) fn fill(call: &Call<'_>, panel: &mut [i32], first: usize, count: usize) {
    let groups = call.head_dim / call.group;
    let (digits, constants) = panel.split_at_mut(call.head_dim / 4 * 2 * count);
    for i in 0..count {
        let row = (first + i) * call.head_dim..(first + i + 1) * call.head_dim;
        for (which, row) in [&call.high[row.clone()], &call.low[row]].iter().enumerate() {
            let to = digits[which * count + i..].iter_mut().step_by(2 * count);
            for (to, quad) in to.zip(row.as_chunks::<4>().0) {
                *to = i32::from_ne_bytes(quad.map(i8::cast_unsigned));
            }
        }
        for g in 0..groups {
            let at = (first + i) * groups + g;
            let (scale, sum) = (call.scale[at], call.sum[at]);
            let to = &mut constants[g * 3 * count + i..];
            to[0] = scale.to_bits().cast_signed();
            to[count] = sum << call.meaning.origin.unwrap_or(0);
            to[2 * count] = weighted(scale, sum).to_bits().cast_signed();
        }
    }
}

/// Entries of a query in a [`Panel`].
pub(super) fn entries(head_dim: usize, group: usize) -> usize {
    head_dim / 4 * 2 + head_dim / group * 3
}

/// The sum of the queries of a group.
#[inline(always)]
fn weighted(scale: f32, sum: i32) -> f32 {
    scale * sum as f32
}

/// Where digits lie, with the constants of groups.
pub(super) trait Constants: Source {
    /// Whether these queries take codes straight from memory.
    const STREAMS: bool;
    /// Scale of a group.
    ///
    /// # Safety
    /// The query and the group must exist.
    unsafe fn scale(self, query: usize, group: usize) -> f32;
    /// Sum of a group, shifted left.
    ///
    /// # Safety
    /// As above.
    unsafe fn shifted(self, query: usize, group: usize, origin: u32) -> i32;
    /// Scale times sum.
    ///
    /// # Safety
    /// As above.
    unsafe fn weighted(self, query: usize, group: usize) -> f32;
}

/// Queries one after another.
#[derive(Clone, Copy)]
pub(super) struct Natural {
    pub(super) high: *const i8,
    pub(super) low: *const i8,
    pub(super) head_dim: usize,
    pub(super) scale: *const f32,
    pub(super) sum: *const i32,
    pub(super) groups: usize,
}

impl Source for Natural {
    #[inline(always)]
    unsafe fn digits(self, query: usize, line: usize) -> (*const i8, *const i8) {
        let at = query * self.head_dim + 4 * line;
        // SAFETY: promised by the caller.
        unsafe { (self.high.add(at), self.low.add(at)) }
    }
}

impl Constants for Natural {
    const STREAMS: bool = true;

    #[inline(always)]
    unsafe fn scale(self, query: usize, group: usize) -> f32 {
        // SAFETY: promised by the caller.
        unsafe { *self.scale.add(query * self.groups + group) }
    }

    #[inline(always)]
    unsafe fn shifted(self, query: usize, group: usize, origin: u32) -> i32 {
        // SAFETY: promised by the caller.
        unsafe { *self.sum.add(query * self.groups + group) << origin }
    }

    #[inline(always)]
    unsafe fn weighted(self, query: usize, group: usize) -> f32 {
        let at = query * self.groups + group;
        // SAFETY: promised by the caller.
        unsafe { weighted(*self.scale.add(at), *self.sum.add(at)) }
    }
}

/// `NQ` queries in the order of their use: of every line the high digits, then the low ones, and
/// after all lines of every group the scales, the shifted sums and the weighted sums.
#[derive(Clone, Copy)]
pub(super) struct Panel<const NQ: usize> {
    digits: *const i8,
    constants: *const i32,
}

impl<const NQ: usize> Panel<NQ> {
    pub(super) fn new(panel: &[i32], head_dim: usize) -> Self {
        let (digits, constants) = panel.split_at(head_dim / 4 * 2 * NQ);
        Self {
            digits: digits.as_ptr().cast(),
            constants: constants.as_ptr(),
        }
    }
}

impl<const NQ: usize> Source for Panel<NQ> {
    #[inline(always)]
    unsafe fn digits(self, query: usize, line: usize) -> (*const i8, *const i8) {
        // SAFETY: promised by the caller.
        unsafe {
            let high = self.digits.add(4 * (2 * NQ * line + query));
            (high, high.add(4 * NQ))
        }
    }
}

impl<const NQ: usize> Constants for Panel<NQ> {
    const STREAMS: bool = false;

    #[inline(always)]
    unsafe fn scale(self, query: usize, group: usize) -> f32 {
        // SAFETY: promised by the caller.
        unsafe { *self.constants.add(3 * NQ * group + query).cast() }
    }

    #[inline(always)]
    unsafe fn shifted(self, query: usize, group: usize, _origin: u32) -> i32 {
        // SAFETY: promised by the caller.
        unsafe { *self.constants.add(3 * NQ * group + NQ + query) }
    }

    #[inline(always)]
    unsafe fn weighted(self, query: usize, group: usize) -> f32 {
        // SAFETY: promised by the caller.
        unsafe { *self.constants.add(3 * NQ * group + 2 * NQ + query).cast() }
    }
}
