//! All lanes compete.

use smartkv_core::{Error, Lanes, Result, Split, config, split};

/// The best rows of all stay, whichever layer and head they are in.
///
/// One competition over all lanes, after every lane kept its best rows up to `floor` of an equal
/// share. Scores must compare across layers, as attention does.
#[config]
pub struct Global {
    /// Share of an equal part that every lane keeps, 0 to 1.
    pub floor: f64,
}

#[split("global")]
impl Split for Global {
    fn check(&self) -> Result<()> {
        check_floor(self.floor)
    }

    fn share(&self, lanes: &Lanes<'_>, rows: usize) -> Vec<usize> {
        lanes.compete(0..lanes.scores.len(), rows, self.floor)
    }
}

/// Refuses what is not a share.
pub(crate) fn check_floor(floor: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&floor) {
        return Err(Error::parameter("split.floor", floor, "expected 0 to 1"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_of_all_layers_compete() {
        let scores = vec![vec![0.9, 0.1], vec![0.2, 0.8], vec![0.3, 0.4]];
        let lanes = Lanes { layers: 3, kv_heads: 1, scores: &scores };
        assert_eq!(Global { floor: 0.0 }.share(&lanes, 2), [1, 1, 0]);
        assert_eq!(Global { floor: 1.0 }.share(&lanes, 3), [1, 1, 1]);
        assert_eq!(Global { floor: 0.0 }.share(&lanes, 9), [2, 2, 2]);
    }
}
