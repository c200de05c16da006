//! What is kept of rows from plan to plan: numbers of the tracker's own, then the score that the
//! row was last placed by, where the layout asks for drift.

use super::Cache;
use super::lane::Lane;
use super::planning::Cut;
use crate::error::{Error, Result};
use crate::guard::guarded;
use crate::place::{Place, Plan};
use crate::registry::Kind;
use crate::strategy::{PlanCx, RowTable, Run};
use rayon::prelude::*;

/// What the tracker makes of its columns at a plan.
#[derive(Debug, Default)]
pub(super) struct Refined {
    /// Scores of all rows, where they are not the column.
    pub(super) scores: Option<Vec<f32>>,
    /// The numbers that it keeps of all rows.
    memory: Vec<f32>,
}

impl Cache {
    fn keeps_placed_scores(&self) -> bool {
        self.layout.drift > 0.0
    }

    /// Numbers of the tracker's own, a row.
    fn tracker_memory(&self) -> usize {
        self.columns.memory - usize::from(self.keeps_placed_scores())
    }

    /// Has the tracker look at all rows: what it remembers first, then the scores.
    pub(super) fn refined(&self, cx: &PlanCx<'_>) -> Result<Refined> {
        let Some(tracker) = self.strategy.tracker() else {
            return Ok(Refined::default());
        };
        let width = self.tracker_memory();
        // Asked of nothing first: most trackers have nothing to add, and looking costs a pass.
        let nothing = RowTable::empty(self.shape.layers * self.shape.kv_heads);
        let refines = tracker.refine(&cx.lane(&nothing, 0)).is_some();
        if !refines && width == 0 {
            return Ok(Refined::default());
        }
        let mut table = cx.rows();
        if width > 0 {
            let mut memory = vec![f32::NAN; table.len() * width];
            for run in cx.runs.iter().filter(|run| !run.memory.is_empty()) {
                let kept = run.memory.chunks_exact(self.columns.memory);
                let rows = memory[run.first * width..].chunks_exact_mut(width);
                rows.zip(kept)
                    .for_each(|(row, kept)| row.copy_from_slice(&kept[..width]));
            }
            let mut rest = memory.as_mut_slice();
            let lanes = cx.lanes(&table).into_iter().map(|rows| {
                let own = rest.split_off_mut(..rows.len() * width);
                (rows, own.expect("as many as rows"))
            });
            let lanes: Vec<_> = lanes.collect();
            let name = tracker.typetag_name();
            guarded(Kind::Tracker, name, "remember", || {
                let lanes = lanes.into_par_iter();
                lanes.for_each(|(rows, own)| tracker.remember(&rows, own));
            })?;
            table.memory = memory;
        }
        let scores = if refines {
            Some(self.scores(cx, &table)?)
        } else {
            None
        };
        Ok(Refined {
            scores,
            memory: table.memory,
        })
    }

    /// The refined scores of all rows.
    fn scores(&self, cx: &PlanCx<'_>, table: &RowTable) -> Result<Vec<f32>> {
        let Some(tracker) = self.strategy.tracker() else {
            return Ok(Vec::new());
        };
        let lanes = cx.lanes(table);
        let scores: Vec<Vec<f32>> = lanes
            .par_iter()
            .map(|rows| tracker.refine(rows).unwrap_or_else(|| rows.score.to_vec()))
            .collect();
        for (rows, scores) in lanes.iter().zip(&scores) {
            if scores.len() != rows.len() {
                let what = format!("gave {} scores for {} rows", scores.len(), rows.len());
                return Err(Error::plugin(Kind::Tracker, tracker.typetag_name(), what));
            }
        }
        Ok(scores.concat())
    }

    /// Whether less importance has moved than the layout's threshold.
    pub(super) fn is_steady(&self, runs: &[Run<'_>]) -> bool {
        self.keeps_placed_scores()
            && drift(runs, self.columns.memory).is_some_and(|drift| drift < self.layout.drift)
    }

    /// What to keep of all rows once `plan` has placed them: `[rows, memory]`.
    pub(super) fn kept(&self, cx: &PlanCx<'_>, refined: &Refined, plan: &Plan) -> Vec<f32> {
        let (width, own) = (self.columns.memory, self.tracker_memory());
        let Some(last) = cx.runs.last().filter(|_| width > 0) else {
            return Vec::new();
        };
        let anew = !cx.steady || moves_stored(plan, cx.runs);
        let mut kept = Vec::with_capacity((last.first + last.len()) * width);
        for run in cx.runs {
            for row in 0..run.len() {
                let at = (run.first + row) * own;
                kept.extend_from_slice(&refined.memory[at..at + own]);
                if self.keeps_placed_scores() {
                    let score = if anew || run.place == Place::Window {
                        run.score.get(row)
                    } else {
                        run.memory.get((row + 1) * width - 1)
                    };
                    kept.push(score.copied().unwrap_or(f32::NAN));
                }
            }
        }
        kept
    }

    /// Keeps it with the rows, before they move.
    pub(super) fn remember(&mut self, cut: Cut, mine: &[usize], mut kept: &[f32]) {
        if kept.is_empty() {
            return;
        }
        let width = self.columns.memory;
        for &lane in mine {
            let lane = &mut self.lanes[lane];
            let own;
            (own, kept) = kept.split_at(lane.planned_rows(cut.leaving) * width);
            lane.remember(cut, own, width);
        }
    }
}

impl Lane {
    /// Keeps `width` numbers with each row that a plan may move and that can move again.
    fn remember(&mut self, cut: Cut, mut kept: &[f32], width: usize) {
        let leaving = cut.sinks..cut.sinks + cut.leaving;
        let window = std::iter::once((&mut self.window, leaving));
        let tiers = self.tiers.iter_mut().map(|tier| {
            let rows = 0..tier.len();
            (tier, rows)
        });
        for (segment, rows) in window.chain(tiers) {
            let own;
            (own, kept) = kept.split_at(rows.len() * width);
            segment.remember(&rows, own);
        }
    }
}

/// Total-variation distance between the scores of rows now and when they were last placed, both as
/// shares of their sums over the rows that have both: 0 is the same, 1 is all of it elsewhere.
/// `None` where there are none. The last of `width` numbers a row is the score then.
fn drift(runs: &[Run<'_>], width: usize) -> Option<f64> {
    let pairs = |run: &Run<'_>, work: &mut dyn FnMut(f64, f64)| {
        let then = run.memory.iter().skip(width - 1).step_by(width);
        for (&now, &then) in run.score.iter().zip(then) {
            if !then.is_nan() {
                work(f64::from(now.max(0.0)), f64::from(then.max(0.0)));
            }
        }
    };
    // One number a run, summed in order: the same on any number of threads.
    let parts: Vec<(usize, f64, f64)> = runs
        .par_iter()
        .map(|run| {
            let mut sums = (0, 0.0, 0.0);
            pairs(run, &mut |now, then| {
                sums = (sums.0 + 1, sums.1 + now, sums.2 + then);
            });
            sums
        })
        .collect();
    let sums = parts.into_iter().fold((0, 0.0, 0.0), |all, part| {
        (all.0 + part.0, all.1 + part.1, all.2 + part.2)
    });
    match sums {
        (0, ..) => None,
        (_, 0.0, 0.0) => Some(0.0),
        (_, 0.0, _) | (_, _, 0.0) => Some(1.0),
        (_, now_sum, then_sum) => {
            let parts: Vec<f64> = runs
                .par_iter()
                .map(|run| {
                    let mut moved = 0.0;
                    pairs(run, &mut |now, then| {
                        moved += (now / now_sum - then / then_sum).abs();
                    });
                    moved
                })
                .collect();
            Some(0.5 * parts.into_iter().sum::<f64>())
        }
    }
}

/// Whether a plan moves a row that has left the window before.
fn moves_stored(plan: &Plan, runs: &[Run<'_>]) -> bool {
    let mut stored = runs.iter().filter(|run| run.place != Place::Window);
    match plan {
        Plan::FlushTo(_) | Plan::FlushEach(_) => false,
        Plan::Assign(places) => stored.any(|run| {
            let own = &places[run.first..run.first + run.len()];
            own.iter().any(|place| *place != run.place)
        }),
        Plan::Move(moves) => stored.any(|run| {
            let after = |row: usize| moves.partition_point(|m| (m.row as usize) < row);
            let own = &moves[after(run.first)..after(run.first + run.len())];
            own.iter().any(|m| m.to != run.place)
        }),
    }
}
