//! One (sequence, kv head) of one layer: a full-precision window and one segment per tier.

use super::segment::{Columns, Segment};
use crate::format::Format;
use crate::kernels::Kernels;
use crate::layout::{Layout, Tier};
use crate::place::Place;
use crate::strategy::Run;
use std::ops::Range;

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

    /// Rows that a plan may move, place by place: those after the first `sinks` of the window that
    /// leave it, then the tiers. `first` and `lane` number them.
    pub(super) fn runs<'a>(
        &'a self,
        kernels: &'a dyn Kernels,
        leaving: Range<usize>,
        first: usize,
        lane: usize,
    ) -> impl Iterator<Item = Run<'a>> {
        let (query_energy, value_energy) = self.energies.means();
        let window = std::iter::once((Place::Window, &self.window, leaving));
        let tiers = (0u8..).zip(&self.tiers);
        let tiers = tiers.map(|(tier, segment)| (Place::Tier(tier), segment, 0..segment.len()));
        let parts = window.chain(tiers.filter(|(_, segment, _)| !segment.is_empty()));
        parts.scan(first, move |next, (place, segment, rows)| {
            let first = *next;
            *next += rows.len();
            let column = |len: usize| if len == 0 { 0..0 } else { rows.clone() };
            Some(Run {
                first,
                lane,
                place,
                position: &segment.positions()[column(segment.positions().len())],
                score: &segment.scores[column(segment.scores.len())],
                query_energy,
                value_energy,
                keys: &segment.k,
                values: &segment.v,
                rows,
                kernels,
            })
        })
    }
}
