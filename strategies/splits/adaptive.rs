//! Heads of a layer compete.

use crate::splits::equal::Equal;
use crate::splits::global::check_floor;
use smartkv_core::{Lanes, Result, Split, config, split};

/// The best rows of a layer stay, whichever head they are in, with a floor a head (`Ada-KV`).
///
/// Another split says how many rows each layer keeps. Of these, every head gets `floor` of an equal
/// share for its own best rows, and the best of all others get the rest (arXiv 2407.11550). Heads
/// then hold different numbers of rows.
#[config]
pub struct Adaptive {
    /// Share of an equal part that every head keeps, 0 to 1.
    #[default(0.2)]
    pub floor: f64,
    /// How rows are shared among layers.
    #[default(Box::new(Equal::default()))]
    pub layers: Box<dyn Split>,
}

#[split("adaptive")]
impl Split for Adaptive {
    fn check(&self) -> Result<()> {
        check_floor(self.floor)?;
        self.layers.check()
    }

    fn share(&self, lanes: &Lanes<'_>, rows: usize) -> Vec<usize> {
        let shares = self.layers.share(lanes, rows);
        let layers = shares.chunks_exact(lanes.kv_heads).enumerate();
        let compete = |(layer, shares): (usize, &[usize])| {
            let first = layer * lanes.kv_heads;
            lanes.compete(first..first + lanes.kv_heads, shares.iter().sum(), self.floor)
        };
        layers.flat_map(compete).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_a_layer_compete_and_layers_do_not() {
        let scores = vec![
            vec![0.9, 0.8, 0.7, 0.6],
            vec![0.1, 0.2, 0.3, 0.4],
            vec![0.01, 0.05, 0.02, 0.03],
            vec![0.04, 0.0, 0.0, 0.0],
        ];
        let lanes = Lanes { layers: 2, kv_heads: 2, scores: &scores };
        let share = |floor| Adaptive { floor, ..Adaptive::default() }.share(&lanes, 8);
        assert_eq!(share(0.0), [4, 0, 3, 1]);
        assert_eq!(share(0.5), [3, 1, 3, 1]);
        assert_eq!(share(1.0), [2, 2, 2, 2]);
    }

    #[test]
    fn a_floor_that_is_no_share_is_refused() {
        for floor in [-0.1, 1.1, f64::NAN] {
            assert!(Adaptive { floor, ..Adaptive::default() }.check().is_err(), "{floor}");
        }
    }
}
