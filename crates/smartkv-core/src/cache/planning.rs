//! When rows leave the window, and who decides where they go.

use super::Cache;
use super::lane::Energies;
use crate::error::{Error, Result};
use crate::place::Plan;
use crate::strategy::PlanCx;

/// Full-precision rows a sequence may keep now.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// First tokens that stay.
    sinks: usize,
    /// Newest tokens that may stay.
    newest: usize,
}

impl Cache {
    /// Bytes of one row in f16, and in the cheapest tier, columns included.
    fn row_prices(&self) -> (usize, usize) {
        let columns = self.columns.bytes();
        let head_dim = self.shape.head_dim;
        let cheapest = self
            .layout
            .tiers
            .iter()
            .map(|tier| tier.row_bytes(head_dim))
            .min();
        (
            self.shape.f16_row_bytes() + columns,
            cheapest.unwrap_or(0) + columns,
        )
    }

    fn lanes_per_sequence(&self) -> usize {
        self.shape.layers * self.shape.kv_heads
    }

    /// Bytes that do not depend on tokens, per sequence.
    fn fixed_bytes(&self) -> usize {
        if self.columns.scores {
            self.lanes_per_sequence() * size_of::<Energies>()
        } else {
            0
        }
    }

    /// Refuses a budget that the layout cannot hold, naming the reachable range.
    pub(super) fn check_budget(&self) -> Result<()> {
        let Some(budget) = self.budget else {
            return Ok(());
        };
        let (_, cheapest) = self.row_prices();
        let full = self.shape.f16_row_bytes();
        #[expect(clippy::cast_precision_loss, reason = "bytes of one row")]
        let lowest = cheapest as f64 / full as f64;
        // The statistics weigh most when the cache is small.
        let tokens = crate::budget::GRACE_TOKENS;
        #[expect(clippy::cast_precision_loss, reason = "a few kilobytes")]
        let fixed = self.fixed_bytes() as f64 / (self.lanes_per_sequence() * full * tokens) as f64;
        let lowest = lowest + fixed;
        match budget.ratio() {
            Some(ratio) if ratio < lowest => Err(Error::Budget {
                given: budget.to_string(),
                reason: format!(
                    "`{}` stores at least {lowest:.4} of the f16 cache, metadata included: \
                     expected {:.4} to 1",
                    self.strategy.typetag_name(),
                    (lowest * 1e4).ceil() / 1e4,
                ),
            }),
            _ => Ok(()),
        }
    }

    /// What may stay in f16 after `seen` tokens of a sequence, so that everything else fits the
    /// budget in the cheapest tier.
    fn window(&self, seen: usize) -> Result<Window> {
        let wanted = Window {
            sinks: self.layout.sinks,
            newest: self.layout.window,
        };
        let Some(budget) = self.budget else {
            return Ok(wanted);
        };
        let (full, cheapest) = self.row_prices();
        let lanes = self.lanes_per_sequence();
        let granted = usize::try_from(budget.bytes(&self.shape, seen)).unwrap_or(usize::MAX);
        let least = seen * cheapest * lanes + self.fixed_bytes();
        let Some(slack) = granted.checked_sub(least) else {
            return Err(Error::Budget {
                given: budget.to_string(),
                reason: format!(
                    "{seen} tokens take at least {least} bytes with `{}`, the budget grants \
                     {granted}: raise the budget or shorten the context",
                    self.strategy.typetag_name()
                ),
            });
        };
        let rows = match full.saturating_sub(cheapest) * lanes {
            0 => usize::MAX,
            extra => slack / extra,
        };
        // Rows wait in f16 until they fill a block, whatever the budget.
        let waiting = self.layout.block_rows() - 1;
        let Some(rows) = rows.checked_sub(waiting) else {
            return Err(Error::Budget {
                given: budget.to_string(),
                reason: format!(
                    "`{}` packs blocks of {} tokens, which wait in f16 until they are full: the \
                     {granted} bytes granted at {seen} tokens cannot hold one: raise the budget \
                     or take smaller blocks",
                    self.strategy.typetag_name(),
                    waiting + 1
                ),
            });
        };
        let sinks = wanted.sinks.min(rows);
        // Half of what is granted above the cheapest tier is for the plan to spend.
        Ok(Window {
            sinks,
            newest: wanted.newest.min((rows - sinks) / 2),
        })
    }

    /// Moves rows out of windows that are too long, sequence by sequence.
    pub(super) fn compress(&mut self) -> Result<()> {
        for sequence in 0..self.shape.batch {
            self.compress_sequence(sequence)?;
        }
        Ok(())
    }

    fn compress_sequence(&mut self, sequence: usize) -> Result<()> {
        let seen = self.seen[sequence];
        let mut window = self.window(seen)?;
        // Sinks that a tight budget once gave up cannot come back.
        window.sinks = window.sinks.min(self.sinks[sequence]);
        self.sinks[sequence] = window.sinks;
        let lane = self.lane_index(0, sequence, 0);
        let held = self.lanes[lane].window.len();
        if held <= window.sinks + window.newest {
            return Ok(());
        }
        // Flush a whole period at once, so that the next ones are free.
        let period = self.layout.period.clamp(1, window.newest.max(1));
        let stay = window.newest - (period - 1).min(window.newest);
        let leaving = held - window.sinks - stay;
        let block = self.layout.block_rows();
        let leaving = leaving / block * block;
        if leaving == 0 {
            return Ok(());
        }

        let kv_heads = self.shape.kv_heads;
        let mine: Vec<usize> = (0..self.shape.layers)
            .flat_map(|layer| {
                let first = self.lane_index(layer, sequence, 0);
                first..first + kv_heads
            })
            .collect();
        let cut = Cut {
            sinks: window.sinks,
            leaving,
        };
        let plan = self.ask(seen, window, cut, &mine)?;
        self.execute(&plan, cut, &mine);
        Ok(())
    }

    fn ask(&self, seen: usize, window: Window, cut: Cut, mine: &[usize]) -> Result<Plan> {
        let (full, _) = self.row_prices();
        let budget = match self.budget {
            None => None,
            Some(budget) => {
                // The window is paid at its longest: it grows until the next plan.
                let longest = window.sinks + window.newest + self.layout.block_rows() - 1;
                let kept = longest * full * mine.len();
                let all = budget.bytes(&self.shape, seen);
                Some(all.saturating_sub((kept + self.fixed_bytes()) as u64))
            }
        };
        let leaving = cut.sinks..cut.sinks + cut.leaving;
        let mut runs = Vec::new();
        let mut first = 0;
        for (index, &lane) in mine.iter().enumerate() {
            let lane = &self.lanes[lane];
            runs.extend(lane.runs(self.kernels, leaving.clone(), first, index));
            first += lane.planned_rows(cut.leaving);
        }
        let cx = PlanCx {
            shape: &self.shape,
            layout: &self.layout,
            seen,
            limit: self.budget,
            budget,
            column_bytes: self.columns.bytes(),
            seed: self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seen as u64,
            runs: &runs,
        };
        let plan = self.strategy.plan(&cx)?;
        self.check_plan(&plan, cut, mine, budget)?;
        Ok(plan)
    }
}

/// Where the window is cut: its first `sinks` rows stay, the next `leaving` go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) sinks: usize,
    pub(super) leaving: usize,
}
