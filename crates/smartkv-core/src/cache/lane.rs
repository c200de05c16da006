//! One (sequence, kv head) of one layer: a full-precision window and one segment per tier.

use super::frame::{self, Frame, Gauge};
use super::pages::PageBounds;
use super::segment::{Columns, Segment};
use crate::format::Format;
use crate::kernels::Kernels;
use crate::layout::{Layout, Tier};
use crate::packed::PackedRows;
use crate::place::Place;
use crate::shape::CacheShape;
use crate::strategy::{Half, QueryStatistics, Run};
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
        self.query_sum += squares(q);
        self.queries += (q.len() / head_dim) as u64;
        self.value_sum += squares(v);
        self.values += v.len() as u64;
    }

    /// The same queries with another sum of squares: their lane's frame has changed.
    fn restart(&mut self, query_sum: f64) {
        if self.queries > 0 {
            self.query_sum = query_sum;
        }
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

/// Sum of squares, as eight sums: one alone would wait for every addition.
fn squares(x: &[f32]) -> f64 {
    let (whole, rest) = x.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for x in whole {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += f64::from(x * x);
        }
    }
    let rest: f64 = rest.iter().map(|x| f64::from(x * x)).sum();
    sums.iter().sum::<f64>() + rest
}

#[derive(Debug, Clone)]
pub(super) struct Lane {
    /// Sinks, then the newest tokens, by position.
    pub(super) window: Segment,
    /// One segment per tier of the layout.
    pub(super) tiers: Vec<Segment>,
    pub(super) energies: Energies,
    /// What its rows are stored in.
    pub(super) frame: Frame,
    /// Gathers what the frame will be fitted to; `None` when it is, or needs no fit.
    pub(super) gauge: Option<Box<Gauge>>,
    /// What the layout asks to know of queries before `RoPE`.
    pub(super) queries: Option<Box<QueryStatistics>>,
}

impl Lane {
    /// An empty lane of `layer`.
    pub(super) fn new(layout: &Layout, shape: &CacheShape, columns: Columns, layer: usize) -> Self {
        let (group, head_dim) = (shape.group(), shape.head_dim);
        let pages = layout.pages.filter(|pages| layer >= pages.full_layers);
        let queries = || Box::new(QueryStatistics::new(group, head_dim));
        Self {
            window: Segment::new(Tier::same(Format::F16), head_dim, columns),
            tiers: layout
                .tiers
                .iter()
                .enumerate()
                .map(|(i, &tier)| {
                    let columns = columns.of_tier(layout, i);
                    Segment::new(tier, head_dim, columns).with_pages(pages)
                })
                .collect(),
            energies: Energies::default(),
            frame: Frame::new(layout),
            gauge: frame::is_fitted(layout).then(Box::default),
            queries: layout.queries.then(queries),
        }
    }

    /// Bytes of what is known of the lane, columns apart.
    pub(super) fn statistics_bytes(&self, columns: Columns) -> usize {
        let queries = self.queries.as_ref().map_or(0, |queries| queries.bytes());
        columns.statistics_bytes() + self.frame.bytes() + queries
    }

    /// Fixes the frame by the rows of the window, and takes them into it. Nothing else may be held.
    pub(super) fn fit(&mut self, kernels: &dyn Kernels, layout: &Layout) {
        let Some(gauge) = self.gauge.take() else {
            return;
        };
        let head_dim = self.window.k.head_dim();
        let decoded = |rows: &PackedRows| {
            let mut out = vec![0.0; rows.len() * head_dim];
            rows.decode(kernels, &mut out);
            out
        };
        let (mut k, mut v) = (decoded(&self.window.k), decoded(&self.window.v));
        self.frame.keys_back(&mut k, head_dim);
        self.frame.values_back(&mut v, head_dim);
        self.frame = Frame::fit(layout, head_dim, &k, &v, &gauge);
        self.frame.keys(&mut k, head_dim);
        self.frame.values(&mut v, head_dim);
        self.window.replace(kernels, &k, &v);
        self.energies.restart(self.frame.query_energy(&gauge));
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

    /// Bounds of the pages of its one tier, where it has some.
    pub(super) fn pages(&self) -> Option<&PageBounds> {
        self.tiers.first()?.pages.as_ref()
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

    pub(super) fn clear(&mut self, layout: &Layout) {
        self.window.clear();
        self.tiers.iter_mut().for_each(Segment::clear);
        self.energies = Energies::default();
        self.frame = Frame::new(layout);
        self.gauge = frame::is_fitted(layout).then(Box::default);
        if let Some(queries) = &mut self.queries {
            queries.clear();
        }
    }

    /// Rows a plan may move: `leaving` of the window, then each tier's.
    pub(super) fn planned_rows(&self, leaving: usize) -> usize {
        leaving + self.tiers.iter().map(Segment::len).sum::<usize>()
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
                position: &segment.seen_positions()[column(segment.seen_positions().len())],
                score: &segment.scores[column(segment.scores.len())],
                memory: segment.remembered(&rows),
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
