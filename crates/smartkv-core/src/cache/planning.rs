//! When rows leave the window, who decides where they go, and whether that is allowed.

use super::Cache;
use super::lane::{Energies, Lane, LanePlan};
use super::segment::Segment;
use crate::error::{Error, Result};
use crate::guard::{guarded, unsound};
use crate::place::{Place, Plan};
use crate::registry::Kind;
use crate::strategy::{PlanCx, RowTable};
use rayon::prelude::*;
use std::cell::Cell;

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
        let bad = Cell::new(None);
        let cx = PlanCx {
            shape: &self.shape,
            layout: &self.layout,
            seen,
            limit: self.budget,
            budget,
            column_bytes: self.columns.bytes(),
            seed: self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seen as u64,
            rows: &|| {
                let table = self.table(cut, mine);
                bad.set(unsound(&table.score).or(bad.get()));
                table
            },
        };
        let name = self.strategy.typetag_name();
        let plan = guarded(Kind::Strategy, name, "plan", || self.strategy.plan(&cx));
        // First, since whatever the strategy made of them is not its fault.
        if let Some(score) = bad.get() {
            let what = format!("gave a token the score {score}: expected a finite number");
            return Err(Error::plugin(Kind::Tracker, self.tracker_name(), what));
        }
        let plan = plan??;
        self.check_plan(&plan, cut, mine, budget)?;
        Ok(plan)
    }

    fn table(&self, cut: Cut, mine: &[usize]) -> RowTable {
        let rows: Vec<usize> = mine
            .iter()
            .map(|&lane| self.lanes[lane].planned_rows(cut.leaving))
            .collect();
        let mut table = RowTable::blank(&rows, self.columns.positions, self.columns.scores);
        for (index, &lane) in mine.iter().enumerate() {
            (table.query_energy[index], table.value_energy[index]) = self.lanes[lane].energies();
        }
        let mut rest = table.columns();
        let parts: Vec<_> = rows.iter().map(|&rows| rest.take(rows)).collect();
        parts
            .into_par_iter()
            .zip(mine)
            .for_each(|(mut part, &lane)| {
                self.lanes[lane].describe(cut.sinks, cut.leaving, &mut part);
            });
        table
    }

    /// A plan moves rows down only, to places that exist, within the budget.
    fn check_plan(&self, plan: &Plan, cut: Cut, mine: &[usize], budget: Option<u64>) -> Result<()> {
        let refuse = |reason: String| {
            let strategy = self.strategy.typetag_name().to_string();
            Err(Error::Plan { strategy, reason })
        };
        let tiers = self.layout.tiers.len();
        let exists = |place: Place| match place {
            Place::Tier(tier) => usize::from(tier) < tiers,
            Place::Window => false,
            Place::Evicted => true,
        };
        let columns = self.columns.bytes();
        let head_dim = self.shape.head_dim;
        let prices: Vec<u64> = self
            .layout
            .tiers
            .iter()
            .map(|t| (t.row_bytes(head_dim) + columns) as u64)
            .collect();
        let price = |place: Place| match place {
            Place::Tier(tier) => prices[usize::from(tier)],
            _ => 0,
        };
        let mut bytes = 0;
        match plan {
            Plan::FlushTo(place) => {
                if !exists(*place) {
                    return refuse(format!("flushes to {place:?}, of {tiers} tiers"));
                }
                for &lane in mine {
                    let lane = &self.lanes[lane];
                    bytes += price(*place) * cut.leaving as u64;
                    bytes += lane
                        .tiers
                        .iter()
                        .zip(&prices)
                        .map(|(s, p)| s.len() as u64 * p)
                        .sum::<u64>();
                }
            }
            Plan::Assign(places) => {
                let rows: usize = mine
                    .iter()
                    .map(|&lane| self.lanes[lane].planned_rows(cut.leaving))
                    .sum();
                if places.len() != rows {
                    return refuse(format!("has {} places for {rows} rows", places.len()));
                }
                let parts = self.parts(places, cut, mine);
                let checked: Vec<std::result::Result<u64, String>> = parts
                    .into_par_iter()
                    .map(|(lane, own)| self.lanes[lane].check(cut.leaving, own, &prices))
                    .collect();
                for part in checked {
                    match part {
                        Ok(spent) => bytes += spent,
                        Err(reason) => return refuse(reason),
                    }
                }
            }
        }
        match budget {
            Some(budget) if bytes > budget => {
                refuse(format!("takes {bytes} bytes, the budget grants {budget}"))
            }
            _ => Ok(()),
        }
    }

    /// Each lane with its part of the places.
    fn parts<'a>(
        &self,
        places: &'a [Place],
        cut: Cut,
        mine: &[usize],
    ) -> Vec<(usize, &'a [Place])> {
        let mut rest = places;
        mine.iter()
            .map(|&lane| {
                let (own, others) = rest.split_at(self.lanes[lane].planned_rows(cut.leaving));
                rest = others;
                (lane, own)
            })
            .collect()
    }

    fn execute(&mut self, plan: &Plan, cut: Cut, mine: &[usize]) {
        let kernels = self.kernels;
        let plans: Vec<LanePlan<'_>> = match plan {
            Plan::FlushTo(place) => vec![LanePlan::FlushTo(*place); mine.len()],
            Plan::Assign(places) => {
                let parts = self.parts(places, cut, mine).into_iter();
                parts.map(|(_, own)| LanePlan::Assign(own)).collect()
            }
        };
        let mut next = mine.iter().peekable();
        let lanes = self.lanes.iter_mut().enumerate();
        let mut work: Vec<(&mut Lane, LanePlan<'_>)> = lanes
            .filter(|(index, _)| next.next_if(|&&lane| lane == *index).is_some())
            .map(|(_, lane)| lane)
            .zip(plans)
            .collect();
        let run = |(lane, plan): &mut (&mut Lane, LanePlan<'_>)| {
            lane.execute(kernels, cut.sinks, cut.leaving, *plan);
        };
        work.par_iter_mut().with_min_len(LANES_A_TASK).for_each(run);
    }
}

/// Lanes that one task takes at least: handing over a lane that moves one row costs more than
/// moving it.
const LANES_A_TASK: usize = 8;

/// Where the window is cut: its first `sinks` rows stay, the next `leaving` go.
#[derive(Debug, Clone, Copy)]
struct Cut {
    sinks: usize,
    leaving: usize,
}

impl Lane {
    /// Bytes of this lane's rows at `places`, at these prices of the tiers.
    ///
    /// # Errors
    /// The first move up, or to a tier that does not exist.
    fn check(
        &self,
        leaving: usize,
        places: &[Place],
        prices: &[u64],
    ) -> std::result::Result<u64, String> {
        let mut counts = vec![0u64; prices.len()];
        // Rows of a block stay in it, and arrive as many as fill one.
        let blocks: Vec<usize> = self.tiers.iter().map(Segment::block_rows).collect();
        let mut rest = places;
        let tiers = (0u8..).map(Place::Tier).zip(&self.tiers);
        let from = tiers.map(|(place, segment)| (place, segment.len()));
        for (from, rows) in std::iter::once((Place::Window, leaving)).chain(from) {
            let (own, others) = rest.split_at(rows);
            rest = others;
            if let Place::Tier(tier) = from
                && blocks[usize::from(tier)] > 1
                && let Some(to) = own.iter().find(|&&to| to != from)
            {
                return Err(format!(
                    "moves a row from {from:?} to {to:?}, but that tier keeps rows in blocks"
                ));
            }
            for &to in own {
                match to {
                    Place::Tier(tier) if to >= from && usize::from(tier) < counts.len() => {
                        counts[usize::from(tier)] += 1;
                    }
                    Place::Evicted => {}
                    _ => return Err(format!("moves a row from {from:?} to {to:?}")),
                }
            }
        }
        let broken = counts
            .iter()
            .zip(&blocks)
            .position(|(n, block)| n % *block as u64 != 0);
        if let Some(tier) = broken {
            let (n, block) = (counts[tier], blocks[tier]);
            return Err(format!(
                "puts {n} rows of a lane into tier {tier}, in blocks of {block}"
            ));
        }
        Ok(counts.iter().zip(prices).map(|(n, price)| n * price).sum())
    }
}
