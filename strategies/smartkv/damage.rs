//! What storing a row in fewer bits is expected to do to the output.

use super::{LEAST_IMPORTANCE, SmartKv};
use rayon::prelude::*;
use smartkv_core::{Offer, Place, PlanCx, Problem, Run, config};

/// How the damage of a row is told beforehand.
#[config]
pub enum Damage {
    /// From the range of the row: the error of rounding evenly spread values.
    #[default]
    ClosedForm,
    /// Rows that leave the window are encoded in every tier's format, and the error is measured.
    /// Rows in a tier keep the closed form: what they were is gone.
    Measured,
    /// As the original SmartKV implementation: importance times bits to the power of `alpha` is the
    /// utility, whatever the row holds. `power` does not apply.
    Seed,
}

/// Error of dropping a value, per unit of its squared range: the variance of values evenly spread
/// over it. Without the row the output moves towards the mean of the others, so what is lost is
/// the value's distance to it, not its norm. Dropped keys do no damage of their own.
const EVICTED_VALUE_LOSS: f32 = 1.0 / 12.0;

/// Bits of an element that nothing is lost of.
const FULL_BITS: f64 = 16.0;

impl SmartKv {
    /// The tiers as offers, and eviction where it is one.
    pub(super) fn menu(&self, cx: &PlanCx<'_>) -> Vec<Offer> {
        let mut menu = cx.menu();
        if cx.layout.evicts {
            menu.push(Offer { bytes: 0, key_loss: 0.0, value_loss: EVICTED_VALUE_LOSS });
        }
        if self.damage == Damage::Seed {
            // Keys and values are half of the utility each; damage is what is missing to f16's.
            #[expect(clippy::cast_possible_truncation, reason = "at most a half")]
            let missing =
                |bits: u8| (0.5 * (1.0 - (f64::from(bits) / FULL_BITS).powf(self.alpha))) as f32;
            for (offer, &[key, value]) in menu.iter_mut().zip(&self.bits) {
                (offer.key_loss, offer.value_loss) = (missing(key), missing(value));
            }
        }
        menu
    }

    /// Factors on the losses of the menu: one for each key and value of a run.
    pub(super) fn damage_of(&self, run: &Run<'_>, key: &mut [f32], value: &mut [f32]) {
        if self.damage == Damage::Seed {
            for ((key, value), score) in key.iter_mut().zip(value).zip(run.score) {
                *key = score.max(LEAST_IMPORTANCE);
                *value = *key;
            }
        } else {
            run.spreads(key, value);
            self.weigh(run, key, value);
        }
    }

    /// Damages of every row of `runs` under every offer, where some are measured; else nothing.
    /// `problem` has the closed form of all of them.
    pub(super) fn measured<'a>(
        &self,
        cx: &PlanCx<'_>,
        runs: impl Iterator<Item = &'a Run<'a>>,
        problem: &Problem<'_>,
    ) -> Vec<f32> {
        if self.damage != Damage::Measured {
            return Vec::new();
        }
        let (tiers, offers) = (&cx.layout.tiers, problem.menu.len());
        let mut damages = vec![0.0; problem.rows() * offers];
        let (mut rest, mut first) = (damages.as_mut_slice(), 0);
        let mut parts = Vec::new();
        for run in runs {
            let own;
            (own, rest) = rest.split_at_mut(run.len() * offers);
            parts.push((run, first, own));
            first += run.len();
        }
        parts.into_par_iter().for_each(|(run, first, own)| {
            for (row, own) in (first..).zip(own.chunks_exact_mut(offers)) {
                own.iter_mut().enumerate().for_each(|(o, own)| *own = problem.damage(row, o));
            }
            if run.place != Place::Window {
                return;
            }
            let rows = run.len();
            let (mut keys, mut values) =
                (vec![0.0; tiers.len() * rows], vec![0.0; tiers.len() * rows]);
            run.errors(tiers, &mut keys, &mut values);
            let errors =
                keys.chunks_exact_mut(rows.max(1)).zip(values.chunks_exact_mut(rows.max(1)));
            for (tier, (keys, values)) in errors.enumerate() {
                self.weigh(run, keys, values);
                for (own, (key, value)) in own.chunks_exact_mut(offers).zip(keys.iter().zip(values))
                {
                    own[tier] = key + *value;
                }
            }
        });
        damages
    }
}
