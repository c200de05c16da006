//! One (sequence, kv head) of one layer: a full-precision window and one segment per tier.

use super::segment::{Columns, Moving, Segment};
use crate::format::Format;
use crate::kernels::Kernels;
use crate::layout::{Layout, Tier};
use crate::place::Place;
use crate::strategy::{Half, RowColumns};

/// Running means that turn rounding errors into expected output errors.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Energies {
    query_sum: f64,
    queries: u64,
    value_sum: f64,
    values: u64,
}

impl Energies {
    /// Adds scaled queries `[n, head_dim]` and values `[m, head_dim]`.
    pub(super) fn observe(&mut self, q: &[f32], v: &[f32], head_dim: usize) {
        self.query_sum += q.iter().map(|x| f64::from(x * x)).sum::<f64>();
        self.queries += (q.len() / head_dim) as u64;
        self.value_sum += v.iter().map(|x| f64::from(x * x)).sum::<f64>();
        self.values += v.len() as u64;
    }

    fn means(&self) -> (f32, f32) {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "means"
        )]
        let mean = |sum: f64, n: u64| if n == 0 { 0.0 } else { (sum / n as f64) as f32 };
        (
            mean(self.query_sum, self.queries),
            mean(self.value_sum, self.values),
        )
    }
}

#[derive(Debug, Clone)]
pub(super) struct Lane {
    /// Sinks, then the newest tokens, by position.
    pub(super) window: Segment,
    /// One segment per tier of the layout.
    pub(super) tiers: Vec<Segment>,
    pub(super) energies: Energies,
}

impl Lane {
    pub(super) fn new(layout: &Layout, head_dim: usize, columns: Columns) -> Self {
        Self {
            window: Segment::new(Tier::same(Format::F16), head_dim, columns),
            tiers: layout
                .tiers
                .iter()
                .map(|&t| Segment::new(t, head_dim, columns))
                .collect(),
            energies: Energies::default(),
        }
    }

    /// Segments in attention order: tiers, then the window.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.tiers.iter().chain(std::iter::once(&self.window))
    }

    /// The same, to be changed.
    pub(super) fn segments_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.tiers
            .iter_mut()
            .chain(std::iter::once(&mut self.window))
    }

    /// Rows held, in all places.
    pub(super) fn len(&self) -> usize {
        self.segments().map(Segment::len).sum()
    }

    /// The last place at or before `row`, in attention order, where the rows may be cut without
    /// cutting a packed tile or block.
    pub(super) fn cut_at(&self, row: usize) -> usize {
        let mut first = 0;
        for segment in self.segments() {
            if row < first + segment.len() {
                let into = row - first;
                return first + into / segment.granularity() * segment.granularity();
            }
            first += segment.len();
        }
        first
    }

    pub(super) fn clear(&mut self) {
        self.window.clear();
        self.tiers.iter_mut().for_each(Segment::clear);
        self.energies = Energies::default();
    }

    /// Rows a plan may move: `leaving` of the window, then each tier's.
    pub(super) fn planned_rows(&self, leaving: usize) -> usize {
        leaving + self.tiers.iter().map(Segment::len).sum::<usize>()
    }

    /// Fills in this lane's plannable rows. Rows leave the window after its first `sinks`.
    pub(super) fn describe(&self, sinks: usize, leaving: usize, table: &mut RowColumns<'_>) {
        let mut flushed = table.take(leaving);
        flushed.place.fill(Place::Window);
        self.window.describe(sinks..sinks + leaving, &mut flushed);
        for (tier, segment) in (0u8..).zip(&self.tiers) {
            let mut rows = table.take(segment.len());
            rows.place.fill(Place::Tier(tier));
            segment.describe(0..segment.len(), &mut rows);
        }
    }

    /// Keys or values of this lane's plannable rows, `[rows, head_dim]`.
    pub(super) fn decode(
        &self,
        kernels: &dyn Kernels,
        half: Half,
        sinks: usize,
        leaving: usize,
    ) -> Vec<f32> {
        let mut rows = Vec::new();
        let window = self.window.half(half);
        for row in sinks..sinks + leaving {
            window.gather(kernels, row, &mut rows);
        }
        for segment in &self.tiers {
            let packed = segment.half(half);
            let start = rows.len();
            rows.resize(start + packed.len() * packed.head_dim(), 0.0);
            packed.decode(kernels, &mut rows[start..]);
        }
        rows
    }

    /// Keys or values of the rows of the window that no plan moves.
    pub(super) fn decode_staying(
        &self,
        kernels: &dyn Kernels,
        half: Half,
        sinks: usize,
        leaving: usize,
    ) -> Vec<f32> {
        let mut rows = Vec::new();
        let window = self.window.half(half);
        for row in (0..sinks).chain(sinks + leaving..window.len()) {
            window.gather(kernels, row, &mut rows);
        }
        rows
    }

    /// Mean query energy and mean squared value element.
    pub(super) fn energies(&self) -> (f32, f32) {
        self.energies.means()
    }

    /// Executes one lane's part of a checked plan. Costs O(rows moved), and for
    /// [`LanePlan::Assign`] a look at every place; lossy rows are decoded from what is stored,
    /// rows from the window from f16.
    pub(super) fn execute(
        &mut self,
        kernels: &dyn Kernels,
        sinks: usize,
        leaving: usize,
        plan: LanePlan<'_>,
    ) {
        let mut arriving: Vec<Moving> = (0..self.tiers.len()).map(|_| Moving::default()).collect();
        let (flushed, mut rest) = match plan {
            LanePlan::FlushTo(_) => (&[][..], &[][..]),
            LanePlan::Assign(places) => places.split_at(leaving),
        };
        let leave = |offset: usize| match plan {
            LanePlan::FlushTo(place) => place,
            LanePlan::Assign(_) => flushed[offset],
        };
        for (offset, to) in (0..leaving).map(leave).enumerate() {
            if let Place::Tier(tier) = to {
                let moving = &mut arriving[usize::from(tier)];
                self.window.gather(kernels, sinks + offset, moving);
            }
        }
        if leaving > 0 {
            self.window.drain(sinks, sinks + leaving);
        }
        if let LanePlan::Assign(_) = plan {
            for (from, segment) in (0u8..).zip(&mut self.tiers) {
                let (own, others) = rest.split_at(segment.len());
                rest = others;
                // Descending, so that swap-removal never disturbs an index still to come.
                for (index, &to) in own.iter().enumerate().rev() {
                    if to == Place::Tier(from) {
                        continue;
                    }
                    if let Place::Tier(tier) = to {
                        segment.gather(kernels, index, &mut arriving[usize::from(tier)]);
                    }
                    segment.swap_remove(index);
                }
            }
        }
        for (segment, moving) in self.tiers.iter_mut().zip(&arriving) {
            if !moving.is_empty() {
                segment.receive(kernels, moving);
            }
        }
        if leaving > 0 {
            self.window.shrink();
        }
        if let LanePlan::Assign(_) = plan {
            // Rows may have left for good.
            self.tiers.iter_mut().for_each(Segment::shrink);
        }
    }
}

/// One lane's part of a plan.
#[derive(Debug, Clone, Copy)]
pub(super) enum LanePlan<'a> {
    /// See [`crate::place::Plan::FlushTo`].
    FlushTo(Place),
    /// Places in the order of [`Lane::describe`].
    Assign(&'a [Place]),
}
