//! Methods whose storage would need kernels of its own, run honestly as simulations.
//!
//! Rows that leave the window are changed as the method would change them and stay in f16. What
//! comes out is the quality of the method; the bytes it would store are counted by itself and kept
//! apart from the live bytes, which stay those of f16.

use crate::error::Result;
use crate::rope::Rope;
use crate::shape::CacheShape;
use std::fmt::Debug;

/// How a simulated method changes what it stores.
pub trait Simulation: Debug + Send + Sync {
    /// Whether keys are stored before their rotation by position. Then the cache must be told the
    /// host's, and [`Block::keys`] come without it.
    fn before_rope(&self) -> bool {
        false
    }

    /// Changes the rows of `block` as storing and reading them would, and says how many bytes the
    /// method stores for them.
    ///
    /// # Errors
    /// Whatever makes that impossible.
    fn store(&self, block: &mut Block<'_>) -> Result<u64>;
}

/// Rows of one layer of one sequence that leave the window together: consecutive tokens.
#[derive(Debug)]
pub struct Block<'a> {
    /// Shape of the cache.
    pub shape: &'a CacheShape,
    /// Layer of the rows.
    pub layer: usize,
    /// Tokens of the block.
    pub tokens: usize,
    /// Position of the first token; the others follow it.
    pub position: usize,
    /// Keys, exact to f16: `[kv_heads, tokens, head_dim]`.
    pub keys: &'a mut [f32],
    /// Values, likewise.
    pub values: &'a mut [f32],
    /// A number that depends on the cache's seed, the layer and the position only.
    pub seed: u64,
}

impl Block<'_> {
    /// Keys and values of the kv heads, as one matrix `[tokens, head_dim]` each.
    pub fn heads(&mut self) -> impl Iterator<Item = (&mut [f32], &mut [f32])> {
        let head = self.tokens * self.shape.head_dim;
        self.keys
            .chunks_exact_mut(head)
            .zip(self.values.chunks_exact_mut(head))
    }

    /// Takes the rotation of the keys back, or applies it again.
    pub(crate) fn turn_keys(&mut self, rope: &Rope, back: bool) {
        let rows = self.keys.chunks_exact_mut(self.shape.head_dim);
        for (index, row) in rows.enumerate() {
            let position = self.position + index % self.tokens;
            if back {
                rope.unrotate(row, position);
            } else {
                rope.rotate(row, position);
            }
        }
    }
}
