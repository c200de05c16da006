//! What a plan moves: checked in every lane, then executed.

use super::Cache;
use super::lane::Lane;
use super::planning::Cut;
use super::segment::{Moving, Segment};
use crate::error::{Error, Result};
use crate::kernels::Kernels;
use crate::place::{Move, Place, Plan};
use rayon::prelude::*;

/// What is wrong with a plan, or a `T`.
type Checked<T> = std::result::Result<T, String>;

/// One lane's part of a plan.
#[derive(Debug, Clone, Copy)]
enum LanePlan<'a> {
    /// See [`Plan::FlushTo`].
    FlushTo(Place),
    /// See [`Plan::Assign`].
    Assign(&'a [Place]),
    /// See [`Plan::Move`]; rows are counted from `first`.
    Move { moves: &'a [Move], first: usize },
}

/// One row of a lane on its way.
#[derive(Debug, Clone, Copy)]
struct LaneMove {
    from: Place,
    /// The row of its segment; in the window, of the rows that leave.
    index: usize,
    to: Place,
}

impl Cache {
    /// A plan moves rows down only, to places that exist, within the budget.
    pub(super) fn check_plan(
        &self,
        plan: &Plan,
        cut: Cut,
        mine: &[usize],
        budget: Option<u64>,
    ) -> Result<()> {
        let refuse = |reason: String| {
            let strategy = self.strategy.typetag_name().to_string();
            Error::Plan { strategy, reason }
        };
        let prices: Vec<u64> = self.tier_prices().into_iter().map(u64::from).collect();
        let parts = self.parts(plan, cut, mine).map_err(refuse)?;
        let checked: Vec<Checked<u64>> = (parts.into_par_iter().zip(mine))
            .with_min_len(LANES_A_TASK)
            .map(|(part, &lane)| self.lanes[lane].check(cut.leaving, part, &prices))
            .collect();
        let bytes = checked.into_iter().sum::<Checked<u64>>().map_err(refuse)?;
        match budget {
            Some(budget) if bytes > budget => Err(refuse(format!(
                "takes {bytes} bytes, the budget grants {budget}"
            ))),
            _ => Ok(()),
        }
    }

    /// Each lane's part of a plan.
    ///
    /// # Errors
    /// Rows that are too many, too few or out of order.
    fn parts<'a>(&self, plan: &'a Plan, cut: Cut, mine: &[usize]) -> Checked<Vec<LanePlan<'a>>> {
        let lengths = mine
            .iter()
            .map(|&lane| self.lanes[lane].planned_rows(cut.leaving));
        let rows: usize = lengths.clone().sum();
        Ok(match plan {
            Plan::FlushTo(place) => vec![LanePlan::FlushTo(*place); mine.len()],
            Plan::FlushEach(places) => {
                if places.len() != mine.len() {
                    let lanes = mine.len();
                    return Err(format!("has {} places for {lanes} lanes", places.len()));
                }
                places.iter().map(|p| LanePlan::FlushTo(*p)).collect()
            }
            Plan::Assign(places) => {
                if places.len() != rows {
                    return Err(format!("has {} places for {rows} rows", places.len()));
                }
                let mut rest = &places[..];
                let own = lengths.map(|length| {
                    let (own, others) = rest.split_at(length);
                    rest = others;
                    LanePlan::Assign(own)
                });
                own.collect()
            }
            Plan::Move(moves) => {
                if let Some(pair) = moves.windows(2).find(|pair| pair[0].row >= pair[1].row) {
                    return Err(format!(
                        "moves row {} after row {}",
                        pair[1].row, pair[0].row
                    ));
                }
                if let Some(last) = moves.last().filter(|last| last.row as usize >= rows) {
                    return Err(format!("moves row {} of {rows}", last.row));
                }
                let (mut rest, mut first) = (&moves[..], 0);
                let own = lengths.map(|length| {
                    let end = first + length;
                    let (moves, others) =
                        rest.split_at(rest.partition_point(|m| (m.row as usize) < end));
                    let part = LanePlan::Move { moves, first };
                    (rest, first) = (others, end);
                    part
                });
                own.collect()
            }
        })
    }

    /// Executes a checked plan.
    pub(super) fn execute(&mut self, plan: &Plan, cut: Cut, mine: &[usize]) {
        let parts = self.parts(plan, cut, mine).unwrap_or_default();
        let kernels = self.kernels;
        let mut next = mine.iter().peekable();
        let lanes = self.lanes.iter_mut().enumerate();
        let mut work: Vec<(&mut Lane, LanePlan<'_>)> = lanes
            .filter(|(index, _)| next.next_if(|&&lane| lane == *index).is_some())
            .map(|(_, lane)| lane)
            .zip(parts)
            .collect();
        let run = |(lane, plan): &mut (&mut Lane, LanePlan<'_>)| lane.execute(kernels, cut, *plan);
        let work = work.par_iter_mut().with_min_len(LANES_A_TASK);
        let lowered: usize = work.map(run).sum();
        self.work.plans += 1;
        self.work.flushed += (cut.leaving * mine.len()) as u64;
        self.work.lowered += lowered as u64;
    }
}

/// Lanes that one task takes at least: handing over a lane that moves one row costs more than
/// moving it.
const LANES_A_TASK: usize = 8;

impl Lane {
    /// The rows that `plan` moves, by place, then index.
    fn moves(&self, leaving: usize, plan: LanePlan<'_>) -> Vec<LaneMove> {
        let tiers = (0u8..)
            .map(Place::Tier)
            .zip(self.tiers.iter().map(Segment::len));
        let places = std::iter::once((Place::Window, leaving)).chain(tiers);
        let mut found = Vec::new();
        match plan {
            LanePlan::FlushTo(to) => {
                found.extend((0..leaving).map(|index| LaneMove {
                    from: Place::Window,
                    index,
                    to,
                }));
            }
            LanePlan::Assign(mut rest) => {
                for (from, rows) in places {
                    let (own, others) = rest.split_at(rows);
                    rest = others;
                    let moved = own.iter().enumerate().filter(|(_, to)| **to != from);
                    found.extend(moved.map(|(index, &to)| LaneMove { from, index, to }));
                }
            }
            LanePlan::Move { moves, mut first } => {
                let mut moves = moves.iter().peekable();
                for (from, rows) in places {
                    while let Some(m) = moves.next_if(|m| (m.row as usize) < first + rows) {
                        let index = m.row as usize - first;
                        if m.to != from {
                            found.push(LaneMove {
                                from,
                                index,
                                to: m.to,
                            });
                        }
                    }
                    first += rows;
                }
            }
        }
        found
    }

    /// Bytes of this lane's rows after `plan`, at these prices of the tiers.
    ///
    /// # Errors
    /// The first move up, or to a tier that does not exist; a row that does not leave the window.
    fn check(&self, leaving: usize, plan: LanePlan<'_>, prices: &[u64]) -> Checked<u64> {
        // Rows of a block stay in it, and arrive as many as fill one.
        let blocks: Vec<usize> = self.tiers.iter().map(Segment::block_rows).collect();
        let mut counts: Vec<usize> = self.tiers.iter().map(Segment::len).collect();
        let mut flushed = 0;
        for LaneMove { from, to, .. } in self.moves(leaving, plan) {
            if let Place::Tier(tier) = from {
                if blocks[usize::from(tier)] > 1 {
                    return Err(format!(
                        "moves a row from {from:?} to {to:?}, but that tier keeps rows in blocks"
                    ));
                }
                counts[usize::from(tier)] -= 1;
            } else {
                flushed += 1;
            }
            match to {
                Place::Tier(tier) if to > from && usize::from(tier) < counts.len() => {
                    counts[usize::from(tier)] += 1;
                }
                Place::Evicted => {}
                _ => {
                    let tiers = counts.len();
                    return Err(format!(
                        "moves a row from {from:?} to {to:?}, of {tiers} tiers"
                    ));
                }
            }
        }
        if flushed < leaving {
            let stay = leaving - flushed;
            return Err(format!(
                "leaves {stay} rows in the window that must leave it"
            ));
        }
        let mut filled = counts.iter().zip(&blocks);
        if let Some(tier) = filled.position(|(rows, block)| rows % block != 0) {
            let (rows, block) = (counts[tier], blocks[tier]);
            return Err(format!(
                "puts {rows} rows of a lane into tier {tier}, in blocks of {block}"
            ));
        }
        Ok(counts
            .iter()
            .zip(prices)
            .map(|(&rows, price)| rows as u64 * price)
            .sum())
    }

    /// Executes this lane's part of a checked plan. Costs O(rows moved), and for
    /// [`LanePlan::Assign`] a look at every place; lossy rows are decoded from what is stored,
    /// rows from the window from f16. Returns how many rows were moved from a tier.
    fn execute(&mut self, kernels: &dyn Kernels, cut: Cut, plan: LanePlan<'_>) -> usize {
        let moves = self.moves(cut.leaving, plan);
        let mut arriving: Vec<Moving> = (0u8..)
            .zip(&self.tiers)
            .map(|(tier, segment)| {
                let rows = moves.iter().filter(|m| m.to == Place::Tier(tier)).count();
                segment.moving(rows)
            })
            .collect();
        for moves in moves.chunk_by(|a, b| a.from == b.from) {
            let Place::Tier(from) = moves[0].from else {
                for &LaneMove { index, to, .. } in moves {
                    if let Place::Tier(to) = to {
                        let moving = &mut arriving[usize::from(to)];
                        self.window.gather(kernels, cut.sinks + index, moving);
                    }
                }
                continue;
            };
            let segment = &mut self.tiers[usize::from(from)];
            // Descending, so that swap-removal never disturbs an index still to come.
            for &LaneMove { index, to, .. } in moves.iter().rev() {
                if let Place::Tier(to) = to {
                    segment.gather(kernels, index, &mut arriving[usize::from(to)]);
                }
                segment.swap_remove(index);
            }
        }
        self.window.drain(cut.sinks, cut.sinks + cut.leaving);
        for (segment, moving) in self.tiers.iter_mut().zip(&arriving) {
            if !moving.is_empty() {
                segment.receive(kernels, moving);
            }
        }
        self.window.shrink();
        let gone = |m: &LaneMove| m.to == Place::Evicted && m.from != Place::Window;
        if moves.iter().any(gone) {
            // Rows have left for good.
            self.tiers.iter_mut().for_each(Segment::shrink);
        }
        moves.iter().filter(|m| m.from != Place::Window).count()
    }
}
