//! What a cache really holds, counted from its live buffers.

use serde::{Deserialize, Serialize};

/// Bytes of the live buffers of a cache, by what they are for.
///
/// `live_bytes` is the sum of the four parts and is what a budget binds. Nothing here is a formula
/// over bit-widths: every number but `logical_bytes` is the length of a buffer that exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Tokens seen, summed over sequences.
    pub tokens: u64,
    /// All live bytes: payload + metadata + window + policy.
    pub live_bytes: u64,
    /// What an f16 cache of the same tokens holds: K and V, nothing else.
    pub f16_bytes: u64,
    /// Codes of packed rows.
    pub payload_bytes: u64,
    /// Scales, zero points and positions of packed rows.
    pub metadata_bytes: u64,
    /// Full-precision rows: sinks and newest tokens, with their positions.
    pub window_bytes: u64,
    /// What the strategy remembers: scores and statistics.
    pub policy_bytes: u64,
    /// Highest `live_bytes` since the last reset, inside steps included.
    pub peak_bytes: u64,
    /// What a simulated strategy would hold by its own count, window included: a claim, not a
    /// measurement. `None` where what is held is what is stored.
    pub logical_bytes: Option<u64>,
    /// Bytes allocated from the system for the same buffers (capacity, not length).
    pub allocated_bytes: u64,
}

impl Memory {
    /// `live_bytes / f16_bytes`; 0 for an empty cache.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "byte counts are far below 2^52")]
    pub fn ratio(&self) -> f64 {
        if self.f16_bytes == 0 {
            0.0
        } else {
            self.live_bytes as f64 / self.f16_bytes as f64
        }
    }
}
