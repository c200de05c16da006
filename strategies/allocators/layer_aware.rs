//! First the layers share the budget, then the rows of each.

use super::marginal::{Marginal, cheapest_bytes};
use smartkv_core::{Allocator, Infeasible, Problem, allocator, config};

/// How much of the budget a layer gets, next to the others.
#[config]
pub enum Shares {
    /// As many bytes a row in every layer.
    #[default]
    Equal,
    /// In equal steps from the first layer to the last, which gets `ratio` times the first.
    Linear,
    /// By equal factors from the first layer to the last, which gets `ratio` times the first.
    Exponential,
    /// In proportion to `sensitivities`.
    Given,
}

/// Shares the budget among layers first, then has another allocator solve each layer alone.
///
/// The layer-aware allocator of the original SmartKV implementation, with its shares; `PyramidKV`
/// (arXiv 2406.02069) shares linearly. Shares are bytes a token, of the rows that can still change
/// and of those that cannot. No layer gets less than its cheapest offers take nor more than its
/// best, and what one leaves is for the next.
#[config]
pub struct LayerAware {
    /// How the layers share.
    pub shares: Shares,
    /// Share of the last layer over that of the first, for `linear` and `exponential`.
    #[default(0.5)]
    #[range(above 0.0..)]
    pub ratio: f64,
    /// For `given`: a share for each layer. Layers beyond the list get its last.
    #[range(0.0..)]
    pub sensitivities: Vec<f64>,
    /// What solves each layer.
    #[default(Box::new(Marginal::default()))]
    pub allocator: Box<dyn Allocator>,
}

#[allocator("layer_aware")]
impl Allocator for LayerAware {
    fn allocate(&self, problem: &Problem<'_>) -> Result<Vec<u8>, Infeasible> {
        cheapest_bytes(problem)?;
        let layers = problem.layers();
        let weights = self.weights(layers.len());
        let cheapest = problem.menu.last().map_or(0, |offer| u64::from(offer.bytes));
        let claims: Vec<Claim> = layers
            .iter()
            .zip(problem.settled_bytes())
            .zip(weights)
            .map(|((rows, settled), weight)| {
                let least = rows.len() as u64 * cheapest;
                let most = problem.best[rows.clone()].iter().map(|&b| problem.price(b)).sum();
                // Tokens, as far as bytes tell: settled rows are at the cheapest offer.
                let tokens = rows.len() as u64 + settled.checked_div(cheapest).unwrap_or(0);
                #[expect(clippy::cast_precision_loss, reason = "counts of tokens")]
                let weight = weight * tokens as f64;
                Claim { least, most, settled, weight }
            })
            .collect();
        let mut offers = Vec::with_capacity(problem.rows());
        let mut spare = 0;
        for (layer, (rows, budget)) in
            layers.into_iter().zip(share(&claims, problem.budget)).enumerate()
        {
            let part = problem.part(rows, budget + spare);
            let part = Problem { seed: problem.seed.wrapping_add(layer as u64), ..part };
            let own = self.allocator.allocate(&part)?;
            let spent: u64 = own.iter().map(|&offer| problem.price(offer)).sum();
            spare = part.budget.saturating_sub(spent);
            offers.extend(own);
        }
        Ok(offers)
    }
}

impl LayerAware {
    #[expect(clippy::cast_precision_loss, reason = "a few layers")]
    fn weights(&self, layers: usize) -> Vec<f64> {
        let last = (layers.max(2) - 1) as f64;
        let depth = |layer: usize| layer as f64 / last;
        let weight = |layer: usize| match self.shares {
            Shares::Equal => 1.0,
            Shares::Linear => 1.0 + (self.ratio - 1.0) * depth(layer),
            Shares::Exponential => self.ratio.powf(depth(layer)),
            Shares::Given => {
                let own = self.sensitivities.get(layer).or(self.sensitivities.last());
                own.copied().unwrap_or(1.0)
            }
        };
        (0..layers).map(weight).collect()
    }
}

/// What a layer may get.
struct Claim {
    /// Bytes of its rows at the cheapest offers.
    least: u64,
    /// Bytes of its rows at the best offers that they may have.
    most: u64,
    /// Bytes that it has beside the budget.
    settled: u64,
    weight: f64,
}

impl Claim {
    /// Bytes at this many for each unit of weight.
    fn bytes(&self, level: f64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bytes of a cache; too many saturate"
        )]
        let bytes = (level * self.weight) as u64;
        bytes.saturating_sub(self.settled).clamp(self.least, self.most)
    }
}

/// Halvings of the level: doubles have no more bits.
const HALVINGS: usize = 64;

/// Bytes of each layer, in proportion to the weights where least and most leave them: `budget` in
/// all, or as many as they can take.
fn share(claims: &[Claim], budget: u64) -> Vec<u64> {
    let at = |level: f64| claims.iter().map(|claim| claim.bytes(level)).sum::<u64>();
    let heavy = claims.iter().map(|claim| claim.weight).filter(|weight| *weight > 0.0);
    let lightest = heavy.fold(f64::INFINITY, f64::min);
    let largest = claims.iter().map(|claim| claim.most + claim.settled).max().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "a bound above, doubled")]
    let enough = 2.0 * (largest + 1) as f64 / lightest;
    let (mut low, mut high) = (0.0, if enough.is_finite() { enough } else { 0.0 });
    for _ in 0..HALVINGS {
        let level = f64::midpoint(low, high);
        if at(level) <= budget {
            low = level;
        } else {
            high = level;
        }
    }
    let mut bytes: Vec<u64> = claims.iter().map(|claim| claim.bytes(low)).collect();
    // Rounding, and layers of no weight.
    let mut left = budget.saturating_sub(bytes.iter().sum());
    for (bytes, claim) in bytes.iter_mut().zip(claims) {
        let more = left.min(claim.most - *bytes);
        *bytes += more;
        left -= more;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::uniform_bits::UniformBits;
    use smartkv_core::Offer;

    const MENU: [Offer; 3] = [
        Offer { bytes: 40, key_loss: 0.0, value_loss: 0.0 },
        Offer { bytes: 30, key_loss: 1.0, value_loss: 1.0 },
        Offer { bytes: 20, key_loss: 4.0, value_loss: 4.0 },
    ];

    /// Bytes of each of three layers of 40 rows, the last with settled rows for 10 of them.
    fn bytes(config: &LayerAware, budget: u64) -> Vec<u64> {
        let damage: Vec<f32> = (0u16..110).map(|row| f32::from(row * 7 % 50)).collect();
        let problem = Problem {
            key_damage: &damage,
            value_damage: &damage,
            best: &[0; 110],
            menu: &MENU,
            budget,
            lane_ends: &[20, 40, 60, 80, 95, 110],
            kv_heads: 2,
            settled: &[0, 0, 0, 0, 100, 100],
            ..Problem::default()
        };
        let offers = config.allocate(&problem).unwrap();
        let bytes = |rows: std::ops::Range<usize>| {
            offers[rows].iter().map(|&offer| problem.price(offer)).sum::<u64>()
        };
        problem.layers().into_iter().map(bytes).collect()
    }

    fn config(shares: Shares) -> LayerAware {
        LayerAware { shares, allocator: Box::new(UniformBits::default()), ..LayerAware::default() }
    }

    #[test]
    fn equal_layers_get_equal_bytes_settled_ones_included() {
        assert_eq!(bytes(&config(Shares::Equal), 3 * 1200 - 200), [1200, 1200, 1000]);
        assert_eq!(bytes(&config(Shares::Equal), 1 << 40), [1600, 1600, 1200]);
    }

    #[test]
    fn shares_fall_as_configured_within_what_offers_allow() {
        // 1600 : 1200 : 800, of which 200 are settled.
        let falling = bytes(&config(Shares::Linear), 3400);
        assert_eq!(falling, [1600, 1200, 600]);
        let steep = LayerAware { ratio: 0.01, ..config(Shares::Exponential) };
        assert_eq!(bytes(&steep, 3400), [1600, 1200, 600]);
        let sensitivities = vec![1.0, 0.0, 0.75];
        let given = LayerAware { sensitivities, ..config(Shares::Given) };
        assert_eq!(bytes(&given, 800 + 1200 + 700), [1200, 800, 700]);
    }

    #[test]
    fn without_lanes_it_is_the_inner_allocator() {
        let problem = Problem {
            key_damage: &[1.0, 2.0, 3.0],
            value_damage: &[1.0; 3],
            best: &[0; 3],
            menu: &MENU,
            budget: 90,
            ..Problem::default()
        };
        let inner = Marginal::default().allocate(&problem);
        assert_eq!(LayerAware::default().allocate(&problem), inner);
    }
}
