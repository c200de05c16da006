//! When rows leave the window, who decides where they go, and whether that is allowed.

use super::Cache;
use super::lane::{Energies, Lane};
use crate::error::{Error, Result};
use crate::place::{Place, Plan};
use crate::strategy::{PlanCx, RowTable};
use rayon::prelude::*;

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
                let kept = (window.sinks + window.newest) * full * mine.len();
                let all = budget.bytes(&self.shape, seen);
                Some(all.saturating_sub((kept + self.fixed_bytes()) as u64))
            }
        };
        let cx = PlanCx {
            shape: &self.shape,
            layout: &self.layout,
            seen,
            limit: self.budget,
            budget,
            column_bytes: self.columns.bytes(),
            seed: self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seen as u64,
            rows: &|| self.table(cut, mine),
        };
        let plan = self.strategy.plan(&cx)?;
        self.check_plan(&plan, cut, mine, budget)?;
        Ok(plan)
    }

    fn table(&self, cut: Cut, mine: &[usize]) -> RowTable {
        let parts: Vec<RowTable> = mine
            .par_iter()
            .map(|&lane| {
                let mut table = RowTable::default();
                self.lanes[lane].describe(cut.sinks, cut.leaving, &mut table);
                table
            })
            .collect();
        let mut table = RowTable::default();
        for part in parts {
            let start = table.place.len();
            table.place.extend(part.place);
            table.position.extend(part.position);
            table.score.extend(part.score);
            table.key_spread.extend(part.key_spread);
            table.value_spread.extend(part.value_spread);
            table
                .lane_ends
                .extend(part.lane_ends.iter().map(|end| start + end));
            table.query_energy.extend(part.query_energy);
            table.value_energy.extend(part.value_energy);
        }
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
                let mut rest = places.as_slice();
                for &lane in mine {
                    let lane = &self.lanes[lane];
                    let (own, others) = rest.split_at(lane.planned_rows(cut.leaving));
                    rest = others;
                    for (from, &to) in lane.places(cut.leaving).zip(own) {
                        if to < from || !exists(to) {
                            return refuse(format!("moves a row from {from:?} to {to:?}"));
                        }
                        bytes += price(to);
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

    fn execute(&mut self, plan: &Plan, cut: Cut, mine: &[usize]) {
        let kernels = self.kernels;
        let Cut { sinks, leaving } = cut;
        let mut work: Vec<(&mut Lane, Vec<Place>)> = Vec::with_capacity(mine.len());
        let mut next = mine.iter().peekable();
        let mut offset = 0;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if next.next_if(|&&lane| lane == index).is_none() {
                continue;
            }
            let rows = lane.planned_rows(leaving);
            let places = match plan {
                Plan::FlushTo(place) => {
                    let mut places = vec![*place; leaving];
                    places.extend(lane.places(leaving).skip(leaving));
                    places
                }
                Plan::Assign(places) => places[offset..offset + rows].to_vec(),
            };
            offset += rows;
            work.push((lane, places));
        }
        work.into_par_iter().for_each(|(lane, places)| {
            lane.execute(kernels, sinks, leaving, &places);
        });
    }
}

/// Where the window is cut: its first `sinks` rows stay, the next `leaving` go.
#[derive(Debug, Clone, Copy)]
struct Cut {
    sinks: usize,
    leaving: usize,
}

impl Lane {
    /// Where this lane's plannable rows are now.
    fn places(&self, leaving: usize) -> impl Iterator<Item = Place> + '_ {
        let tiers = (0u8..).zip(&self.tiers);
        std::iter::repeat_n(Place::Window, leaving).chain(
            tiers.flat_map(|(tier, segment)| std::iter::repeat_n(Place::Tier(tier), segment.len())),
        )
    }
}
