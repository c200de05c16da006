//! Packed rows whose lengths were checked, and their unpacking.

use super::simd::{F8, Grid, Kernel, MAX_LANES, Simd, width};
use half::f16;
use smartkv_core::{Axis, Bits, Format, Rows};
use std::mem::MaybeUninit;

/// Largest `head_dim` of the vector kernels: bounds the buffers on the stack.
pub(super) const MAX_HEAD_DIM: usize = 512;
/// Scales that [`Grids`] takes: 16 rows of the smallest groups in the longest row.
const MAX_GRIDS: usize = MAX_LANES * MAX_HEAD_DIM / 8;
/// Most rows whose scales are widened at once.
const MAX_GRID_ROWS: usize = 128;

/// Whether the vector kernels of `S`, or of its narrower set, take rows of this shape.
pub(super) fn takes<S: Simd>(format: Format, head_dim: usize) -> bool {
    let inside = (8..=MAX_HEAD_DIM).contains(&head_dim) && head_dim.is_multiple_of(8);
    let known = inside
        && (format.bits.is_float() || format.axis == Axis::Channels)
        && format.check(head_dim).is_ok()
        && format.group(head_dim).is_multiple_of(8);
    let tables = || match fits::<S>(format, head_dim) {
        true => S::TABLE_BITS,
        false => <S::Narrow as Simd>::TABLE_BITS,
    };
    known && (format.codebook.is_none() || format.bits.count() <= tables())
}

/// Whether no group of such a row ends within a vector of `S`.
pub(super) fn fits<S: Simd>(format: Format, head_dim: usize) -> bool {
    format.group(head_dim).is_multiple_of(S::LANES)
}

/// Rows whose lengths were checked, with what the kernels derive from their shape.
///
/// Pointers to rows come from [`Codes::row`], which allows for a read somewhat beyond the row.
pub(super) struct Packed<'a> {
    pub(super) rows: Rows<'a>,
    /// Scales of a row.
    pub(super) groups: usize,
    /// Channels that share a scale.
    pub(super) group: usize,
    row_bytes: usize,
    /// The last row, padded.
    last: [u8; LAST],
    /// Rows before the padded copy.
    in_place: usize,
}

/// Room for the last row of the one format that needs a copy of it: three bits.
const LAST: usize = MAX_HEAD_DIM * 3 / 8 + 8;

impl<'a> Packed<'a> {
    /// Checks the lengths of `rows`, for kernels on `S`.
    ///
    /// # Panics
    /// When a slice is too short for its rows, or the shape is not one that [`takes`] accepts.
    pub(super) fn new<S: Simd>(rows: Rows<'a>) -> Self {
        let Rows {
            format,
            head_dim,
            len,
            ..
        } = rows;
        assert!(
            takes::<S>(format, head_dim),
            "{format}, head_dim {head_dim}"
        );
        let row_bytes = format.payload_bytes(head_dim);
        let (scales, zeros) = (format.scales(head_dim), format.zeros(head_dim));
        assert!(
            rows.payload.len() / row_bytes >= len,
            "payload of {len} rows: too short"
        );
        assert!(
            rows.scales.len() >= len * scales,
            "scales of {len} rows: too short"
        );
        assert!(
            rows.zeros.len() >= len * zeros,
            "zeros of {len} rows: too short"
        );
        let mut packed = Self {
            rows,
            groups: scales.max(1),
            group: format.group(head_dim),
            row_bytes,
            last: [0; LAST],
            in_place: len,
        };
        if format.bits == Bits::B3 && S::overread::<3>() > 0 && len > 0 {
            let last = &rows.payload[(len - 1) * row_bytes..len * row_bytes];
            packed.last[..row_bytes].copy_from_slice(last);
            packed.in_place = len - 1;
        }
        packed
    }

    /// Whether the vectors of a group are even in number.
    pub(super) fn pairs<S: Simd>(&self) -> bool {
        self.group.is_multiple_of(2 * S::LANES)
    }

    /// Where the codes of each row are.
    #[inline(always)]
    pub(super) fn codes(&self) -> Codes<'_> {
        let Self {
            row_bytes,
            in_place,
            ..
        } = *self;
        Codes {
            payload: self.rows.payload,
            row_bytes,
            in_place,
            last: &self.last,
        }
    }

    /// Rows to widen the scales of at once: a multiple of [`MAX_LANES`].
    #[inline(always)]
    pub(super) fn grid_rows(&self) -> usize {
        (MAX_GRIDS / self.groups / MAX_LANES * MAX_LANES).min(MAX_GRID_ROWS)
    }
}

/// Where the codes of each row are.
#[derive(Clone, Copy)]
pub(super) struct Codes<'a> {
    payload: &'a [u8],
    row_bytes: usize,
    in_place: usize,
    last: &'a [u8; LAST],
}

impl Codes<'_> {
    /// The codes of row `t`, valid for reading the row and [`Simd::overread`] bytes more.
    ///
    /// # Safety
    /// `t` must be less than the number of rows.
    #[inline(always)]
    pub(super) unsafe fn row(self, t: usize) -> *const u8 {
        if t < self.in_place {
            // SAFETY: the row lies inside the payload, whose length was checked.
            unsafe { self.payload.as_ptr().add(t * self.row_bytes) }
        } else {
            self.last.as_ptr()
        }
    }
}

/// Scales and zero points of some rows, widened to f32.
///
/// The entries are left uninitialised until [`Grids::fill`] writes them: clearing them would
/// cost more than a short segment's scores.
pub(super) struct Grids {
    scale: [MaybeUninit<f32>; MAX_GRIDS],
    zero: [MaybeUninit<f32>; MAX_GRIDS],
    groups: usize,
    /// Values of the codes of a codebook, in units of the scale.
    levels: Option<[f32; MAX_LANES]>,
}

impl Grids {
    #[inline(always)]
    pub(super) fn new(groups: usize) -> Self {
        let none = [MaybeUninit::uninit(); MAX_GRIDS];
        Self {
            scale: none,
            zero: none,
            groups,
            levels: None,
        }
    }

    /// Takes in the rows `start .. start + count`.
    #[inline(always)]
    pub(super) fn fill<S: Simd, const BITS: usize>(
        &mut self,
        simd: S,
        rows: &Rows<'_>,
        start: usize,
        count: usize,
    ) {
        if is_float(BITS) {
            return;
        }
        let cut = start * self.groups..(start + count) * self.groups;
        let entries = cut.len();
        widen(simd, &rows.scales[cut.clone()], &mut self.scale);
        if let Some(book) = &rows.format.codebook {
            // Shorter codes are looked up without their high bits being cleared: the table
            // repeats.
            let code = |lane: usize| lane & ((1 << width(BITS).min(4)) - 1);
            self.levels = Some(std::array::from_fn(|lane| {
                f32::from(book.levels()[code(lane)])
            }));
        }
        if rows.format.symmetric && self.levels.is_some() {
            self.zero[..entries].fill(MaybeUninit::new(0.0));
        } else if rows.format.symmetric {
            let half = -((1u32 << (width(BITS) - 1)) as f32);
            for (zero, scale) in self.zero[..entries].iter_mut().zip(&self.scale) {
                // SAFETY: `widen` has just written as many scales.
                zero.write(unsafe { scale.assume_init() } * half);
            }
        } else {
            widen(simd, &rows.zeros[cut], &mut self.zero);
        }
    }

    /// The map of group `g` of the `t`-th row taken in.
    ///
    /// # Safety
    /// The row must have been taken in, and `g` be one of its groups.
    #[inline(always)]
    pub(super) unsafe fn grid<S: Simd, const BITS: usize>(
        &self,
        simd: S,
        t: usize,
        g: usize,
    ) -> Grid<S::V> {
        let at = t * self.groups + g;
        debug_assert!(at < MAX_GRIDS);
        if is_float(BITS) {
            return simd.grid::<BITS>(0.0, 0.0);
        }
        // SAFETY: `fill` wrote the entries of the row.
        let (scale, zero) = unsafe {
            (
                self.scale.get_unchecked(at).assume_init(),
                self.zero.get_unchecked(at).assume_init(),
            )
        };
        match &self.levels {
            Some(levels) => simd.table(levels, scale, zero),
            None => simd.grid::<BITS>(scale, zero),
        }
    }
}

/// Whether elements have no scale.
const fn is_float(bits: usize) -> bool {
    bits == 16 || bits == F8
}

/// Converts `from` into the beginning of `to`.
#[inline(always)]
fn widen<S: Simd>(simd: S, from: &[f16], to: &mut [MaybeUninit<f32>]) {
    let to = to[..from.len()].as_mut_ptr().cast::<f32>();
    let whole = from.len() / S::LANES * S::LANES;
    let none = Grid {
        scale: simd.splat(0.0),
        zero: simd.splat(0.0),
    };
    for at in (0..whole).step_by(S::LANES) {
        // SAFETY: both slices hold `whole` values, and f16 is two bytes.
        unsafe {
            let values = simd.decode::<16>(from.as_ptr().add(at).cast(), none);
            simd.store(to.add(at), values);
        }
    }
    let rest = from.len() - whole;
    if rest > 0 {
        let mut padded = [f16::ZERO; MAX_LANES];
        padded[..rest].copy_from_slice(&from[whole..]);
        // SAFETY: `padded` is a whole vector, and `to` has `rest` values after `whole`.
        unsafe {
            let values = simd.decode::<16>(padded.as_ptr().cast(), none);
            simd.store_first(to.add(whole), values, rest);
        }
    }
}

/// Where [`Decode`] puts vector `v` of row `t`:
/// `t * row + v / 2 * pair + v % 2 * LANES`.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Distance of rows.
    pub(super) row: usize,
    /// Distance of pairs of vectors.
    pub(super) pair: usize,
}

impl Place {
    /// Row after row.
    pub(super) fn plain<S: Simd>(head_dim: usize) -> Self {
        Self {
            row: head_dim,
            pair: 2 * S::LANES,
        }
    }

    /// Panels two vectors wide and `rows` high, one after the other.
    pub(super) fn panels<S: Simd>(rows: usize) -> Self {
        Self {
            row: 2 * S::LANES,
            pair: 2 * S::LANES * rows,
        }
    }

    /// The values that `count` rows of `vectors` vectors span.
    #[inline(always)]
    fn span(self, count: usize, vectors: usize, lanes: usize) -> usize {
        let last = vectors - 1;
        (count - 1) * self.row + last / 2 * self.pair + last % 2 * lanes + lanes
    }
}

/// Decodes the rows `start .. start + count` to f32.
pub(super) struct Decode<'a, const BITS: usize> {
    pub(super) rows: &'a Packed<'a>,
    pub(super) start: usize,
    pub(super) count: usize,
    pub(super) out: &'a mut [f32],
    pub(super) place: Place,
    /// Room for the scales.
    pub(super) grids: &'a mut Grids,
}

impl<const BITS: usize> Kernel for Decode<'_, BITS> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            rows,
            start,
            count,
            out,
            place,
            grids,
        } = self;
        let (vectors, per_group) = (rows.rows.head_dim / S::LANES, rows.group / S::LANES);
        if count == 0 {
            return;
        }
        assert!(start + count <= rows.rows.len);
        assert!(
            out.len() >= place.span(count, vectors, S::LANES),
            "output: too short"
        );
        let codes = rows.codes();
        assert_eq!(grids.groups, rows.groups);
        let step = rows.grid_rows();
        for first in (0..count).step_by(step) {
            let some = step.min(count - first);
            grids.fill::<S, BITS>(simd, &rows.rows, start + first, some);
            for t in 0..some {
                // SAFETY: the row exists, its scales were taken in, and `out` spans it.
                unsafe {
                    let row = codes.row(start + first + t);
                    let to = out.as_mut_ptr().add((first + t) * place.row);
                    for g in 0..rows.groups {
                        let grid = grids.grid::<S, BITS>(simd, t, g);
                        for v in g * per_group..(g + 1) * per_group {
                            let values =
                                simd.decode::<BITS>(row.add(v * S::LANES * width(BITS) / 8), grid);
                            simd.store(to.add(v / 2 * place.pair + v % 2 * S::LANES), values);
                        }
                    }
                }
            }
        }
    }
}
