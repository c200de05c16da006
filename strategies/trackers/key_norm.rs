//! The norm of the key, without any attention.

use smartkv_core::{LaneRows, Tracker, config, tracker};

/// Euclidean norm of the key, low norms first (arXiv 2406.11430).
///
/// Keys of low norm tend to draw much attention: sinks are the extreme case. Nothing is watched
/// and nothing is kept beside the rows; every plan decodes the keys.
#[config]
pub struct KeyNorm {
    /// Favour high norms instead: the control for the paper's claim.
    pub high: bool,
}

#[tracker("key_norm")]
impl Tracker for KeyNorm {
    fn refine(&self, rows: &LaneRows<'_>) -> Option<Vec<f32>> {
        let sign = if self.high { 1.0 } else { -1.0 };
        let keys = rows.keys();
        let keys = keys.chunks_exact(rows.shape.head_dim);
        Some(keys.map(|key| sign * norm(key)).collect())
    }
}

/// Square root of the sum of squares.
#[must_use]
pub fn norm(row: &[f32]) -> f32 {
    row.iter().map(|x| x * x).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_core::contract::Probe;

    #[test]
    fn the_lowest_norm_has_the_highest_score_unless_told() {
        let mut lane = Probe::new(2);
        lane.keys = [[3.0; 8], [-0.5; 8]].concat();
        let norms = [3.0 * 8f32.sqrt(), 0.5 * 8f32.sqrt()];
        let low = lane.look(|rows| KeyNorm::default().refine(rows)).unwrap();
        let high = lane.look(|rows| KeyNorm { high: true }.refine(rows)).unwrap();
        for row in 0..2 {
            assert!((low[row] + norms[row]).abs() < 1e-5);
            assert!((high[row] - norms[row]).abs() < 1e-5);
        }
    }
}
