//! Salient tokens in more bits, with scales where outliers are.

use smartkv_core::{Balance, Bits, CacheShape, Format, LaneRows, Layout, Place, Plan, PlanCx};
use smartkv_core::{Result, Strategy, Tier, Tracker, config, strategy};
use smartkv_strategies::trackers::probes::Probes;

/// Gives salient tokens 4 bits and the others 2, keys per channel, values per token.
///
/// A token is salient when it receives much attention, normalised by the queries that could see
/// it. Values are divided by `√(max |v|)` of their channel before they are rounded per token
/// (channel-separable), keys have a scale for every channel and `group_size` tokens of the same
/// saliency. Every `recompress_every` tokens the newest are sorted into the two kinds; the paper
/// sorts all tokens again, here blocks stay as they were encoded, and what a prompt has beyond
/// multiples of `recompress_every` waits with the tokens that follow. Of a prompt the newest
/// queries and some drawn by lot are probed, while decoding all are. Packed; needs attention sums
/// and positions.
#[config]
pub struct ZipCache {
    /// What measures saliency.
    #[default(Box::new(Probes::default()))]
    pub tracker: Box<dyn Tracker>,
    /// Share of tokens in `high_bits`.
    #[default(0.6)]
    #[range(0.0..=1.0)]
    pub salient: f64,
    /// Bits of salient tokens.
    #[default(4)]
    pub high_bits: u8,
    /// Bits of all others.
    #[default(2)]
    pub low_bits: u8,
    /// Tokens of a channel that share a key scale.
    #[default(32)]
    pub group_size: usize,
    /// Tokens that gather in f16 until they are compressed together.
    #[default(100)]
    pub recompress_every: usize,
}

#[strategy("zipcache", family = "mixed", paper = "arXiv 2405.14256")]
impl Strategy for ZipCache {
    fn layout(&self, _: &CacheShape) -> Result<Layout> {
        let tier = |bits| {
            let bits = Bits::from_count(bits)?;
            let (k, v) = (Format::per_channel(bits, self.group_size), Format::asymmetric(bits, 0));
            Ok(Tier { k, v })
        };
        let tiers = vec![tier(self.high_bits)?, tier(self.low_bits)?];
        let (period, balance) = (self.recompress_every.max(1), Balance::ValueMax);
        // All that has gathered leaves at once.
        let window = period - 1;
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

impl ZipCache {
    fn places(&self, cx: &PlanCx<'_>, rows: &LaneRows<'_>) -> Vec<Place> {
        let leaving = rows.leaving();
        let mut order: Vec<usize> = leaving.clone().collect();
        order.sort_by(|&a, &b| rows.score[b].total_cmp(&rows.score[a]).then(b.cmp(&a)));
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count"
        )]
        let blocks = (self.salient * leaving.len() as f64 / self.group_size as f64).round() as usize;
        // A budget may allow less.
        let held = rows.place.iter().filter(|&&place| place == Place::Tier(0)).count();
        let room = cx.affordable_upgrades(rows.len()).saturating_sub(held);
        let blocks = blocks.min(room / self.group_size);
        let mut places = rows.place.to_vec();
        places[leaving].fill(Place::Tier(1));
        for &row in order.iter().take(blocks * self.group_size) {
            places[row] = Place::Tier(0);
        }
        places
    }
}
