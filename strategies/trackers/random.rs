//! Lots, the control of every score.

use smartkv_core::{LaneRows, Tracker, config, tracker};

/// Draws a lot for every token: the control for every other tracker.
///
/// The lot depends on the cache's seed, the layer, the kv head and the position alone, so a token
/// draws the same at every plan, and those with the best lots so far are a uniform sample of all
/// tokens so far. Costs a position a row.
#[config]
pub struct RandomScore;

#[tracker("random")]
impl Tracker for RandomScore {
    fn refine(&self, rows: &LaneRows<'_>) -> Option<Vec<f32>> {
        let lane = [rows.seed, rows.layer as u64, rows.kv_head as u64];
        let lane = lane.into_iter().fold(0, |hash, part| mix(hash ^ part));
        let lots = rows.position.iter().map(|&position| mix(lane ^ u64::from(position)));
        #[expect(clippy::cast_precision_loss, reason = "24 bits")]
        let unit = |bits: u64| (bits >> 40) as f32 / (1u64 << 24) as f32;
        Some(lots.map(unit).collect())
    }

    fn positions(&self) -> bool {
        true
    }
}

/// The finaliser of `SplitMix64`: every bit of the result depends on every bit of `x`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small counts")]
mod tests {
    use super::*;
    use smartkv_core::contract::Probe;

    fn lots(lane: &Probe) -> Vec<f32> {
        lane.look(|rows| RandomScore::default().refine(rows)).unwrap()
    }

    #[test]
    fn a_token_draws_the_same_wherever_and_whenever_it_is_asked() {
        let mut lane = Probe::new(50);
        let before = lots(&lane);
        lane.seen = 1000;
        lane.position.reverse();
        let mut after = lots(&lane);
        after.reverse();
        assert_eq!(before, after);
    }

    #[test]
    fn lanes_and_seeds_draw_apart() {
        let first = lots(&Probe::new(50));
        for change in [
            |lane: &mut Probe| lane.layer = 1,
            |lane: &mut Probe| lane.kv_head = 1,
            |lane: &mut Probe| lane.seed = 1,
        ] {
            let mut lane = Probe::new(50);
            change(&mut lane);
            assert_ne!(first, lots(&lane));
        }
    }

    #[test]
    fn no_position_is_favoured() {
        let lots = lots(&Probe::new(4000));
        let mean = |lots: &[f32]| lots.iter().sum::<f32>() / lots.len() as f32;
        for part in lots.chunks(1000) {
            assert!((mean(part) - 0.5).abs() < 0.03, "{}", mean(part));
        }
    }
}
