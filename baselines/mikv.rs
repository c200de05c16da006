//! No token left behind: the unimportant ones in few bits instead of evicted.

use smartkv_core::{Balance, Bits, CacheShape, Format, LaneRows, Layout, Place, Plan, PlanCx};
use smartkv_core::{Result, Strategy, Tier, Tracker, config, strategy};
use smartkv_strategies::trackers::cumulative::Cumulative;

/// Keeps the tokens with the most attention in many bits, and all others in few.
///
/// Where `H2O` evicts, this method rounds: of every lane the `important` share with the largest
/// attention sums stays in `high_bits`, the rest goes to `low_bits`, both per token. A balancer
/// `√(max |q| / max |k|)` multiplies each key channel and divides the queries, so that outlier
/// channels lose less; it is fitted to the prompt. Packed; needs attention sums and queries.
#[config]
pub struct MiKv {
    /// What ranks the tokens.
    #[default(Box::new(Cumulative::default()))]
    pub tracker: Box<dyn Tracker>,
    /// Share of a lane's packed tokens in `high_bits`.
    #[default(0.2)]
    #[range(0.0..=1.0)]
    pub important: f64,
    /// Bits of important tokens: 16 or 8 in the paper.
    #[default(8)]
    pub high_bits: u8,
    /// Bits of all others: 4, 3 or 2.
    #[default(2)]
    pub low_bits: u8,
    /// Channels that share a scale; 0 is the whole head.
    #[default(32)]
    pub group_size: usize,
    /// Newest tokens kept in f16.
    #[default(16)]
    pub window: usize,
    /// Whether to balance key channels against queries.
    #[default(true)]
    pub balance: bool,
}

#[strategy("mikv", family = "mixed", paper = "arXiv 2402.18096")]
impl Strategy for MiKv {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let tier = |bits| Ok(Tier::same(Format::asymmetric(Bits::from_count(bits)?, self.group_size)));
        let tiers = vec![tier(self.high_bits)?, tier(self.low_bits)?];
        let balance = if self.balance { Balance::QueryMax } else { Balance::None };
        let (window, period) = (self.window, self.window.max(1));
        Ok(Layout { tiers, window, period, balance, ..Layout::constant(Tier::same(Format::F16)) })
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        Some(self.tracker.as_ref())
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let table = cx.rows();
        let lanes = 0..table.lane_ends.len();
        let places = lanes.map(|lane| self.places(cx, &cx.lane(&table, lane)));
        Ok(Plan::Assign(places.collect::<Vec<_>>().concat()))
    }
}

impl MiKv {
    fn places(&self, cx: &PlanCx<'_>, rows: &LaneRows<'_>) -> Vec<Place> {
        let low = Place::Tier(1);
        let mut open: Vec<usize> = (0..rows.len()).filter(|&row| rows.place[row] < low).collect();
        open.sort_by(|&a, &b| rows.score[b].total_cmp(&rows.score[a]).then(b.cmp(&a)));
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count"
        )]
        let important = (self.important * rows.len() as f64).round() as usize;
        let mut places = vec![low; rows.len()];
        // A budget may allow less.
        let important = important.min(cx.affordable_upgrades(rows.len()));
        for &row in open.iter().take(important) {
            places[row] = Place::Tier(0);
        }
        places
    }
}
