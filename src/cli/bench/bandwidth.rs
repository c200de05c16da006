//! How fast this machine reads memory: the ceiling that decoding is compared with.

use rayon::prelude::*;
use smartkv_eval::stats::median;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The least buffer that is called memory, and the most that is worth allocating.
const FAR: std::ops::RangeInclusive<usize> = 256 << 20..=4 << 30;

const DEBUG_FAR: usize = 4 << 20;

/// So many times the last-level cache is far above it.
const TIMES_CACHE: usize = 8;

/// Words that one task sums; a whole number of pages.
const TASK_WORDS: usize = 1 << 16;

/// Passes over a buffer: at least the first, at most the second, between them as time allows.
const PASSES: (usize, usize) = (3, 15);

/// Time spent on one size, if that is enough for the least passes.
const TIME: Duration = Duration::from_millis(100);

/// Reading rates in GB/s, medians over passes.
#[derive(Debug, Clone)]
pub(super) struct Rates {
    /// A buffer far above the last-level cache.
    pub(super) memory: f64,
    /// Buffers of the sizes asked for, in order.
    pub(super) sizes: Vec<f64>,
}

/// Bytes of the largest cache of the first processor.
pub(super) fn last_level_cache() -> Option<u64> {
    let folder = fs::read_dir("/sys/devices/system/cpu/cpu0/cache").ok()?;
    let size = |entry: fs::DirEntry| bytes(&fs::read_to_string(entry.path().join("size")).ok()?);
    folder.flatten().filter_map(size).max()
}

/// A size as the kernel writes it: `32768K`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = match unit {
        "K" => 1 << 10,
        "M" => 1 << 20,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Bytes of a buffer far above a last-level cache of `cache` bytes.
pub(super) fn far_bytes(cache: Option<u64>) -> usize {
    if cfg!(debug_assertions) {
        // The speeds of a debug build mean nothing, so little time is spent on them.
        return DEBUG_FAR;
    }
    far_above(cache)
}

fn far_above(cache: Option<u64>) -> usize {
    let cache = cache.and_then(|bytes| usize::try_from(bytes).ok());
    let wanted = cache.unwrap_or(0).saturating_mul(TIMES_CACHE);
    wanted.clamp(*FAR.start(), *FAR.end())
}

/// Reads with every thread of the pool. The buffer is gone afterwards, so that it is in nobody's
/// memory.
pub(super) fn measure(far: usize, sizes: &[u64]) -> Rates {
    let words = |bytes: u64| usize::try_from(bytes / 8).unwrap_or(usize::MAX).max(1);
    let most = sizes.iter().map(|&bytes| words(bytes)).max().unwrap_or(1);
    let mut buffer = vec![0u64; most.max(far / 8)];
    // Untouched zeros are one shared page. Touched by the pool, so that pages lie near its threads.
    buffer
        .par_chunks_mut(TASK_WORDS)
        .for_each(|part| part.fill(1));
    Rates {
        memory: rate(&buffer[..far / 8]),
        sizes: sizes
            .iter()
            .map(|&bytes| rate(&buffer[..words(bytes)]))
            .collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "byte counts are far below 2^52")]
fn rate(words: &[u64]) -> f64 {
    // Untimed: brings what fits into the caches, as the token before did.
    read(words);
    let begun = Instant::now();
    let mut seconds = Vec::new();
    while seconds.len() < PASSES.0 || (seconds.len() < PASSES.1 && begun.elapsed() < TIME) {
        let start = Instant::now();
        read(words);
        seconds.push(start.elapsed().as_secs_f64());
    }
    let median = median(&seconds).unwrap_or(f64::INFINITY);
    size_of_val(words) as f64 / median.max(f64::MIN_POSITIVE) / 1e9
}

fn read(words: &[u64]) {
    let sum: u64 = words
        .par_chunks(TASK_WORDS)
        .map(sum)
        .reduce(|| 0, u64::wrapping_add);
    black_box(sum);
}

/// Independent sums, so that loads and not additions set the pace.
fn sum(words: &[u64]) -> u64 {
    const LANES: usize = 32;
    let mut sums = [0u64; LANES];
    let (blocks, rest) = words.as_chunks::<LANES>();
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().chain(rest).fold(0, |a, b| a.wrapping_add(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read() {
        let words: Vec<u64> = (0..1000).collect();
        assert_eq!(sum(&words), 999 * 1000 / 2);
        assert_eq!(sum(&words[..7]), 21);
    }

    #[test]
    fn sizes_as_the_kernel_writes_them() {
        assert_eq!(bytes("32768K\n"), Some(32 << 20));
        assert_eq!(bytes("4M"), Some(4 << 20));
        assert_eq!(bytes("many"), None);
    }

    #[test]
    fn far_is_far_above_the_cache_and_affordable() {
        assert_eq!(far_above(None), 256 << 20);
        assert_eq!(far_above(Some(64 << 20)), 512 << 20);
        assert_eq!(far_above(Some(1 << 40)), 4 << 30);
    }
}
