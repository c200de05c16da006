//! More rows for lower layers.

use smartkv_core::{Error, Lanes, Result, Split, config, split};

/// Layer budgets that fall arithmetically from the first layer to the last (`PyramidKV`).
///
/// The last layer gets `1/beta` of the mean and the first as much more; heads of a layer share
/// alike (arXiv 2406.02069). Where the first layers would get more than they have, the line is made
/// flatter, so that it stays a line.
#[config]
pub struct Pyramid {
    /// Mean budget of a layer over that of the last; 1 is the same for all.
    #[default(20.0)]
    pub beta: f64,
}

#[split("pyramid")]
impl Split for Pyramid {
    fn check(&self) -> Result<()> {
        if !(self.beta >= 1.0 && self.beta.is_finite()) {
            return Err(Error::parameter("split.beta", self.beta, "expected a number from 1"));
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows and layers")]
    fn share(&self, lanes: &Lanes<'_>, rows: usize) -> Vec<usize> {
        let mean = rows as f64 / lanes.scores.len().max(1) as f64;
        let first = lanes.scores.iter().take(lanes.kv_heads).map(Vec::len).min();
        let most = (2.0 * mean - mean / self.beta).min(first.unwrap_or(0) as f64).max(mean);
        let least = 2.0 * mean - most;
        let last = (lanes.layers - 1).max(1) as f64;
        let weight = |layer: usize| most - (most - least) * layer as f64 / last;
        let weight = |lane: usize| if lanes.layers == 1 { 1.0 } else { weight(lane / lanes.kv_heads) };
        let weights: Vec<f64> = (0..lanes.scores.len()).map(weight).collect();
        lanes.proportional(rows, &weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(layers: usize, kv_heads: usize, held: usize, rows: usize, beta: f64) -> Vec<usize> {
        let scores = vec![vec![0.0; held]; layers * kv_heads];
        let lanes = Lanes { layers, kv_heads, scores: &scores };
        Pyramid { beta }.share(&lanes, rows)
    }

    #[test]
    fn layers_fall_in_equal_steps_to_the_mean_over_beta() {
        // Mean 100: from 195 down to 5 in steps of 38.
        let expected = [195, 195, 157, 157, 119, 119, 81, 81, 43, 43, 5, 5];
        assert_eq!(shares(6, 2, 1000, 1200, 20.0), expected);
        assert_eq!(shares(6, 2, 1000, 1200, 1.0), [100; 12]);
    }

    #[test]
    fn a_first_layer_that_has_too_little_flattens_the_line() {
        // Mean 100 of 140: from 140 down to 60.
        assert_eq!(shares(5, 1, 140, 500, 20.0), [140, 120, 100, 80, 60]);
        assert_eq!(shares(5, 1, 100, 500, 20.0), [100; 5]);
        assert_eq!(shares(1, 2, 100, 50, 20.0), [25; 2]);
    }

    #[test]
    fn a_pyramid_on_its_head_is_refused() {
        for beta in [0.5, 0.0, f64::NAN, f64::INFINITY] {
            assert!(Pyramid { beta }.check().is_err(), "{beta}");
        }
    }
}
