//! Memory that a thread keeps from call to call.

use std::cell::RefCell;

thread_local! {
    /// Memory that is not in use; a call within a call takes another piece.
    static KEPT: RefCell<Vec<Vec<Vector>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of the widest vector, and what scratch memory is aligned to.
const VECTOR: usize = 64;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Vector(#[expect(dead_code, reason = "read through pointers")] [u8; VECTOR]);

/// Scratch memory, of which parts are taken one after another.
pub(super) struct Scratch<'a>(&'a mut [Vector]);

impl<'a> Scratch<'a> {
    /// `len` entries with any content.
    ///
    /// # Panics
    /// When there is not as much left.
    pub(super) fn take<T: Plain>(&mut self, len: usize) -> &'a mut [T] {
        let vectors = vectors::<T>(len);
        let (first, rest) = std::mem::take(&mut self.0).split_at_mut(vectors);
        self.0 = rest;
        // SAFETY: the vectors are initialised, long enough and aligned for any `Plain`, of which
        // every bit pattern is a value; they are borrowed as long as the result.
        unsafe { std::slice::from_raw_parts_mut(first.as_mut_ptr().cast(), len) }
    }
}

/// Whole vectors that `len` entries take.
pub(super) fn vectors<T>(len: usize) -> usize {
    (len * size_of::<T>()).div_ceil(VECTOR)
}

/// Types without padding, of at most the alignment of [`Vector`], that any bits are a value of.
///
/// # Safety
/// As said.
pub(super) unsafe trait Plain: Copy {}
// SAFETY: an integer.
unsafe impl Plain for u8 {}
// SAFETY: an integer.
unsafe impl Plain for i8 {}
// SAFETY: an integer.
unsafe impl Plain for i32 {}
// SAFETY: a float.
unsafe impl Plain for f32 {}

/// Runs `body` with this many vectors of scratch memory.
pub(super) fn with<R>(vectors: usize, body: impl FnOnce(Scratch<'_>) -> R) -> R {
    let kept = KEPT.with_borrow_mut(Vec::pop);
    let mut memory = kept.unwrap_or_default();
    if memory.len() < vectors {
        memory.resize(vectors, Vector([0; VECTOR]));
    }
    let result = body(Scratch(&mut memory[..vectors]));
    KEPT.with_borrow_mut(|kept| kept.push(memory));
    result
}
