//! Slices next to pages that cannot be accessed.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;

unsafe extern "C" {
    fn mmap(
        addr: *mut c_void,
        length: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn mprotect(addr: *mut c_void, len: usize, prot: c_int) -> c_int;
    fn munmap(addr: *mut c_void, length: usize) -> c_int;
}

const PROT_NONE: c_int = 0;
const PROT_READ_WRITE: c_int = 3;
const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;
/// A multiple of every page size in use.
const PAGE: usize = 1 << 16;

/// A copy of a slice that ends, or begins, at a page that cannot be accessed.
pub struct Fenced<T> {
    map: *mut c_void,
    size: usize,
    start: *mut T,
    len: usize,
    owned: PhantomData<T>,
}

impl<T: Copy> Fenced<T> {
    pub fn new(values: &[T], end: bool) -> Self {
        let bytes = size_of_val(values);
        let size = bytes.next_multiple_of(PAGE) + 2 * PAGE;
        // SAFETY: a new mapping, of which only the middle stays accessible; the values lie
        // in the middle, and their bytes are a multiple of their alignment.
        unsafe {
            let map = mmap(
                std::ptr::null_mut(),
                size,
                PROT_NONE,
                MAP_PRIVATE_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(map as isize, -1, "mmap");
            let middle = map.byte_add(PAGE);
            let inner = size - 2 * PAGE;
            if inner > 0 {
                assert_eq!(mprotect(middle, inner, PROT_READ_WRITE), 0, "mprotect");
            }
            let start = middle
                .byte_add(if end { inner - bytes } else { 0 })
                .cast::<T>();
            std::ptr::copy_nonoverlapping(values.as_ptr(), start, values.len());
            Self {
                map,
                size,
                start,
                len: values.len(),
                owned: PhantomData,
            }
        }
    }

    pub fn get(&mut self) -> &mut [T] {
        // SAFETY: the values were copied there, and the mapping lives as long as `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl<T> Drop for Fenced<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own.
        unsafe { munmap(self.map, self.size) };
    }
}
