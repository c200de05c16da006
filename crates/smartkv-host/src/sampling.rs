//! From logits to the next token.

use crate::error::{Error, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most likely token.
    pub temperature: f32,
    /// Smallest set of most likely tokens whose probability reaches this is drawn from; 1 is all.
    pub top_p: f32,
    /// Seed of the random numbers: the same seed, logits and settings give the same tokens.
    pub seed: u64,
}

impl Sampling {
    /// Always the most likely token.
    pub const GREEDY: Self = Self {
        temperature: 0.0,
        top_p: 1.0,
        seed: 0,
    };
}

impl Default for Sampling {
    fn default() -> Self {
        Self::GREEDY
    }
}

/// Draws tokens, one sequence's worth of random numbers at a time.
#[derive(Debug, Clone)]
pub struct Sampler {
    settings: Sampling,
    random: ChaCha8Rng,
}

impl Sampler {
    /// A sampler at the start of its seed's sequence.
    ///
    /// # Errors
    /// A temperature that is negative or not finite, or `top_p` outside `(0, 1]`.
    pub fn new(settings: Sampling) -> Result<Self> {
        let Sampling {
            temperature,
            top_p,
            seed,
        } = settings;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return Err(Error::Parameter {
                name: "temperature",
                value: temperature.to_string(),
                expected: "a number from 0 (greedy)",
            });
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(Error::Parameter {
                name: "top_p",
                value: top_p.to_string(),
                expected: "a number above 0, up to 1",
            });
        }
        Ok(Self {
            settings,
            random: ChaCha8Rng::seed_from_u64(seed),
        })
    }

    /// The next token for one row of `vocab` logits.
    ///
    /// # Errors
    /// An empty row or a logit that is NaN or infinite.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32> {
        let best = argmax(logits)?;
        if self.settings.temperature == 0.0 {
            return Ok(best);
        }
        let top = logits[best as usize];
        let mut weights: Vec<(f64, u32)> = (0u32..)
            .zip(logits)
            .map(|(id, &logit)| {
                (
                    f64::from((logit - top) / self.settings.temperature).exp(),
                    id,
                )
            })
            .collect();
        // Ids break ties, so that equal logits are drawn alike on every machine.
        weights.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut total: f64 = weights.iter().map(|(weight, _)| weight).sum();
        if self.settings.top_p < 1.0 {
            let wanted = total * f64::from(self.settings.top_p);
            let mut sum = 0.0;
            let kept = weights.iter().take_while(|(weight, _)| {
                let before = sum;
                sum += weight;
                before < wanted
            });
            let kept = kept.count();
            weights.truncate(kept.max(1));
            total = weights.iter().map(|(weight, _)| weight).sum();
        }
        // 53 random bits: a number in [0, 1) with every f64 step equally likely.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
        let mut left = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
        for &(weight, id) in &weights {
            if left < weight {
                return Ok(id);
            }
            left -= weight;
        }
        Ok(weights.last().map_or(best, |&(_, id)| id))
    }
}

/// The index of the largest logit, the first of equals.
///
/// # Errors
/// An empty row or a logit that is NaN or infinite.
pub fn argmax(logits: &[f32]) -> Result<u32> {
    let mut best: Option<(u32, f32)> = None;
    for (id, &logit) in (0u32..).zip(logits) {
        if !logit.is_finite() {
            return Err(Error::Input(format!(
                "logit {id} is {logit}, expected a finite number"
            )));
        }
        if best.is_none_or(|(_, top)| logit > top) {
            best = Some((id, logit));
        }
    }
    best.map(|(id, _)| id)
        .ok_or_else(|| Error::Input("no logits to sample from".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 4] = [0.0, 2.0, 1.0, 2.0];

    fn draw(settings: Sampling, count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(settings).unwrap();
        (0..count)
            .map(|_| sampler.sample(&LOGITS).unwrap())
            .collect()
    }

    #[test]
    fn greedy_takes_the_first_of_equals() {
        assert_eq!(draw(Sampling::GREEDY, 3), [1, 1, 1]);
    }

    #[test]
    fn a_seed_fixes_the_draws() {
        let settings = Sampling {
            temperature: 1.0,
            top_p: 1.0,
            seed: 7,
        };
        assert_eq!(draw(settings, 50), draw(settings, 50));
        assert_ne!(
            draw(settings, 50),
            draw(
                Sampling {
                    seed: 8,
                    ..settings
                },
                50
            )
        );
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let draws = draw(
            Sampling {
                temperature: 1.0,
                top_p: 1.0,
                seed: 1,
            },
            20_000,
        );
        let sum: f64 = LOGITS.iter().map(|&logit| f64::from(logit).exp()).sum();
        for (id, &logit) in (0u32..).zip(&LOGITS) {
            let share = draws.iter().filter(|&&draw| draw == id).count() as f64 / 20_000.0;
            // Four standard deviations of a share from 20 000 draws are at most 0.015.
            assert!(
                (share - f64::from(logit).exp() / sum).abs() < 0.015,
                "token {id}: {share}"
            );
        }
    }

    #[test]
    fn top_p_keeps_the_smallest_set_that_reaches_it() {
        // Two tokens of 0.39 each: 0.5 needs both, 0.3 only the first.
        let seen = |top_p| {
            let mut draws = draw(
                Sampling {
                    temperature: 1.0,
                    top_p,
                    seed: 3,
                },
                500,
            );
            draws.sort_unstable();
            draws.dedup();
            draws
        };
        assert_eq!(seen(0.5), [1, 3]);
        assert_eq!(seen(0.3), [1]);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(argmax(&[]).is_err());
        assert!(argmax(&[0.0, f32::NAN]).is_err());
        for (temperature, top_p) in [(-1.0, 1.0), (f32::NAN, 1.0), (1.0, 0.0), (1.0, 1.5)] {
            assert!(
                Sampler::new(Sampling {
                    temperature,
                    top_p,
                    seed: 0
                })
                .is_err()
            );
        }
    }
}
