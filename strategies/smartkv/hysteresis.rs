//! Rows that stay where they are unless moving them is worth it.

use super::{SmartKv, best_offer, running_maximum};
use smartkv_core::{Place, PlanCx, Problem, Result, Run};

impl SmartKv {
    /// `offers`, or those that keep every stored row in its tier and spend what they leave on the
    /// rows that leave the window: unless the first save the share `hysteresis` of the damage of
    /// the others, or the others do not fit.
    pub(super) fn settle<'a>(
        &self,
        cx: &PlanCx<'_>,
        runs: impl Iterator<Item = &'a Run<'a>> + Clone,
        problem: &Problem<'_>,
        offers: Vec<u8>,
    ) -> Result<Vec<u8>> {
        if self.hysteresis == 0.0 {
            return Ok(offers);
        }
        let Some(kept) = self.keep(cx, runs, problem)? else { return Ok(offers) };
        let damage = |offers: &[u8]| -> f64 {
            let rows = offers.iter().enumerate();
            rows.map(|(row, &offer)| f64::from(problem.damage(row, usize::from(offer)))).sum()
        };
        let (new, old) = (damage(&offers), damage(&kept));
        Ok(if old - new < self.hysteresis * old { kept } else { offers })
    }

    /// Offers under which no stored row moves, if the budget allows it.
    pub(super) fn keep<'a>(
        &self,
        cx: &PlanCx<'_>,
        runs: impl Iterator<Item = &'a Run<'a>> + Clone,
        problem: &Problem<'_>,
    ) -> Result<Option<Vec<u8>>> {
        let mut offers = Vec::with_capacity(problem.rows());
        let (mut key_damage, mut value_damage) = (Vec::new(), Vec::new());
        let (mut damages, mut left) = (Vec::new(), Some(problem.budget));
        let mut lane_ends = vec![0; problem.lane_ends.len()];
        for run in runs.clone() {
            let rows = offers.len()..offers.len() + run.len();
            let best = best_offer(run);
            offers.resize(rows.end, best);
            if run.place == Place::Window {
                key_damage.extend_from_slice(&problem.key_damage[rows.clone()]);
                value_damage.extend_from_slice(&problem.value_damage[rows.clone()]);
                if !problem.damages.is_empty() {
                    let menu = problem.menu.len();
                    damages.extend(&problem.damages[rows.start * menu..rows.end * menu]);
                }
                lane_ends[run.lane] = key_damage.len();
            } else {
                let bytes = problem.price(best) * run.len() as u64;
                left = left.and_then(|left| left.checked_sub(bytes));
            }
        }
        running_maximum(&mut lane_ends);
        let cheapest = problem.menu.last().map_or(0, |offer| u64::from(offer.bytes));
        let Some(budget) = left.filter(|left| cheapest * key_damage.len() as u64 <= *left) else {
            return Ok(None);
        };
        // The bytes of stored rows are settled too, for once.
        let mut settled = problem.settled.to_vec();
        for run in runs.clone().filter(|run| run.place != Place::Window) {
            settled[run.lane] += problem.price(best_offer(run)) * run.len() as u64;
        }
        let new = Problem {
            key_damage: &key_damage,
            value_damage: &value_damage,
            best: &vec![0; key_damage.len()],
            damages: &damages,
            budget,
            lane_ends: &lane_ends,
            settled: &settled,
            ..*problem
        };
        let chosen = cx.allocate(self.allocator.as_ref(), &new)?;
        let (mut chosen, mut first) = (chosen.as_slice(), 0);
        for run in runs {
            if run.place == Place::Window {
                let own;
                (own, chosen) = chosen.split_at(run.len());
                offers[first..first + run.len()].copy_from_slice(own);
            }
            first += run.len();
        }
        Ok(Some(offers))
    }
}
