//! When rows leave the window, and who decides where they go.

use super::frame::{self, Frame};
use super::lane::Lane;
use super::watched::Watched;
use super::{Cache, watch};
use crate::error::{Error, Result};
use crate::guard::{guarded, unsound};
use crate::layout::Tier;
use crate::place::Plan;
use crate::registry::Kind;
use crate::shape::CacheShape;
use crate::strategy::{Half, PlanCx, QueryStatistics, Run, Side};
use rayon::prelude::*;
use std::sync::OnceLock;

/// Full-precision rows a sequence may keep now.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// First tokens that stay.
    sinks: usize,
    /// Newest tokens that may stay.
    newest: usize,
}

impl Cache {
    /// Bytes of one row in f16, and in the cheapest place a plan has for it, columns included.
    fn row_prices(&self) -> (usize, usize) {
        let full = self.shape.f16_row_bytes() + self.columns.bytes();
        if self.layout.evicts {
            return (full, 0);
        }
        let cheapest = self.tier_prices().into_iter().min();
        (full, cheapest.unwrap_or(0) as usize)
    }

    /// Bytes of one row of each tier, columns included.
    pub(super) fn tier_prices(&self) -> Vec<u32> {
        let price = |(index, tier): (usize, &Tier)| {
            let columns = self.columns.of_tier(&self.layout, index).bytes();
            u32::try_from(tier.row_bytes(self.shape.head_dim) + columns).unwrap_or(u32::MAX)
        };
        self.layout.tiers.iter().enumerate().map(price).collect()
    }

    fn lanes_per_sequence(&self) -> usize {
        self.shape.layers * self.shape.kv_heads
    }

    /// Bytes that do not depend on tokens, per sequence.
    fn fixed_bytes(&self) -> usize {
        let CacheShape { head_dim, .. } = self.shape;
        let mut bytes = self.columns.statistics_bytes() + Frame::bytes_of(&self.layout, head_dim);
        if self.layout.queries {
            bytes += QueryStatistics::bytes_of(self.shape.group(), head_dim);
        }
        self.lanes_per_sequence() * bytes
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
            Some(ratio) if ratio < lowest => {
                let expected = if lowest > 1.0 {
                    "expected no budget, as it saves no memory".to_string()
                } else {
                    format!("expected {:.4} to 1", (lowest * 1e4).ceil() / 1e4)
                };
                Err(Error::Budget {
                    given: budget.to_string(),
                    reason: format!(
                        "`{}` stores at least {lowest:.4} of the f16 cache, metadata included: \
                         {expected}",
                        self.strategy.typetag_name(),
                    ),
                })
            }
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
        // Half of what is granted above the cheapest tier is for the plan to spend, if it can.
        let others = rows - sinks;
        let most = if self.layout.tiers.is_empty() {
            others
        } else {
            others / 2
        };
        Ok(Window {
            sinks,
            newest: wanted.newest.min(most),
        })
    }

    /// Tokens seen before the step at which rows next leave a window of `kept` rows, and its
    /// length then.
    fn longest_window(&self, seen: usize, window: Window, kept: usize) -> (usize, usize) {
        let waiting = self.layout.block_rows() - 1;
        let mut longest = kept;
        loop {
            let then = seen + longest - kept;
            // A budget that grows lets the window grow, though by less than a token a token.
            let next = self.window(then + 1);
            let newest = next.map_or(window.newest, |window| window.newest);
            let allowed = window.sinks + newest + waiting;
            if longest >= allowed {
                return (then, longest);
            }
            longest = allowed;
        }
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
        if held <= window.sinks.saturating_add(window.newest) {
            return Ok(());
        }
        // Whole periods leave at once, so that the next tokens are free.
        let period = self.layout.period.clamp(1, window.newest + 1);
        let stay = window.newest + 1 - period;
        let leaving = (held - window.sinks - stay) / period * period;
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
        if frame::is_fitted(&self.layout) {
            let (kernels, layout) = (self.kernels, &self.layout);
            let fit = |lane: &mut Lane| lane.fit(kernels, layout);
            let (first, last) = (mine[0], mine[mine.len() - 1]);
            let lanes = self.lanes[first..=last].par_iter_mut().enumerate();
            let own = lanes.filter(|(index, _)| mine.binary_search(&(first + index)).is_ok());
            own.for_each(|(_, lane)| fit(lane));
        }
        let (plan, kept) = self.ask(sequence, window, cut, &mine)?;
        self.simulate(seen, cut, &mine)?;
        self.remember(cut, &mine, &kept);
        self.planned[sequence] = Some(seen);
        self.execute(&plan, cut, &mine);
        Ok(())
    }

    /// Positions of the queries of a sequence that were observed, ascending.
    pub(super) fn observed(&self, sequence: usize) -> Vec<u32> {
        let watch = watch(self.strategy.as_ref());
        let mut watched = Watched::default();
        let mut observed = Vec::new();
        let mut end = 0;
        let last = (self.seen[sequence], 0);
        for &(first, tokens) in self.prompts[sequence].iter().chain([&last]) {
            // Between prompts every token was a step.
            observed.extend(end..first);
            watched.choose(watch, self.seed, first, tokens);
            observed.extend(watched.positions(first));
            end = first + tokens;
        }
        let narrow = |at| u32::try_from(at).unwrap_or(u32::MAX);
        observed.into_iter().map(narrow).collect()
    }

    /// A checked plan, and what is to be kept of the rows that it may move.
    fn ask(
        &self,
        sequence: usize,
        window: Window,
        cut: Cut,
        mine: &[usize],
    ) -> Result<(Plan, Vec<f32>)> {
        let seen = self.seen[sequence];
        let (full, cheapest) = self.row_prices();
        let budget = match self.budget {
            None => None,
            Some(budget) => {
                // The window is paid at its longest: it grows until the next plan, by tokens that
                // bring their own part of a budget that grows.
                let kept = self.lanes[mine[0]].window.len() - cut.leaving;
                let (then, longest) = self.longest_window(seen, window, kept);
                let all = budget.bytes(&self.shape, then);
                let window = longest * full * mine.len();
                let granted = all.saturating_sub((window + self.fixed_bytes()) as u64);
                // What the cheapest places take was found to fit, and cannot be less.
                let rows = mine.len() * (seen - kept) * cheapest;
                Some(granted.max(rows as u64))
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
        let queries: Vec<Option<&QueryStatistics>> = mine
            .iter()
            .map(|&lane| self.lanes[lane].queries.as_deref())
            .collect();
        let cache_seed = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let prices = self.tier_prices();
        let observed = OnceLock::new();
        let observers = |positions: &[u32]| {
            let all = observed.get_or_init(|| self.observed(sequence));
            let later = |at: &u32| all.len() - all.partition_point(|q| q < at);
            let counts = positions.iter().map(later);
            counts
                .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
                .collect()
        };
        let mut cx = PlanCx {
            shape: &self.shape,
            layout: &self.layout,
            seen,
            limit: self.budget,
            budget,
            prices: &prices,
            seed: cache_seed ^ seen as u64,
            cache_seed,
            sinks: cut.sinks,
            steady: false,
            since: self.planned[sequence].map(|planned| seen - planned),
            trace: self.trace.as_deref(),
            runs: &runs,
            stored: &|lane, half, side| self.stored(cut, mine[lane], half, side),
            observers: &observers,
            queries: &queries,
            ropes: &self.ropes,
        };
        let name = self.strategy.typetag_name();
        let blame = |error: Error| match error {
            Error::Policy(reason) => Error::Plan {
                strategy: name.to_string(),
                reason,
            },
            other => other,
        };
        let tracker = self.tracker_name();
        let refined = guarded(Kind::Tracker, tracker, "refine", || self.refined(&cx))??;
        let mut rescored: Vec<Run<'_>>;
        if let Some(scores) = &refined.scores {
            rescored = runs.clone();
            for run in &mut rescored {
                run.score = &scores[run.first..run.first + run.len()];
            }
            cx.runs = &rescored;
        }
        // Whatever a strategy would make of them is not its fault.
        if let Some(score) = cx.runs.iter().find_map(|run| unsound(run.score)) {
            let what = format!("gave a token the score {score}: expected a finite number");
            return Err(Error::plugin(Kind::Tracker, tracker, what));
        }
        cx.steady = self.is_steady(cx.runs);
        let plan = guarded(Kind::Strategy, name, "plan", || self.strategy.plan(&cx))?;
        let plan = plan.map_err(blame)?;
        self.check_plan(&plan, cut, mine, budget)?;
        let kept = self.kept(&cx, &refined, &plan);
        Ok((plan, kept))
    }

    /// Keys or values of rows of a lane, as the host gave them.
    fn stored(&self, cut: Cut, lane: usize, half: Half, side: Side) -> Vec<f32> {
        let head_dim = self.shape.head_dim;
        let lane = &self.lanes[lane];
        let mut rows = match side {
            Side::Offered => lane.decode(self.kernels, half, cut.sinks, cut.leaving),
            Side::Staying => lane.decode_staying(self.kernels, half, cut.sinks, cut.leaving),
        };
        match half {
            Half::Keys => lane.frame.keys_back(&mut rows, head_dim),
            Half::Values => lane.frame.values_back(&mut rows, head_dim),
        }
        rows
    }
}

/// Where the window is cut: its first `sinks` rows stay, the next `leaving` go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) sinks: usize,
    pub(super) leaving: usize,
}
