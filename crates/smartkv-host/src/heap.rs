//! Memory that the allocator holds on to after it was freed.

/// Gives freed memory back to the system, where the allocator keeps it: glibc's holds on to tens of
/// megabytes in the arena of each thread. Costs milliseconds, so it is for the end of large work:
/// a model was loaded, a long text encoded, a long prompt compressed.
pub(crate) fn trim() {
    // SAFETY: the call has no preconditions and is safe to make from any thread; memory in use is
    // left alone.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
}
