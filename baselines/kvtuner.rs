//! Bits by layer, found by calibration.

use rayon::prelude::*;
use serde_json::{Value, json};
use smartkv_core::calibration::{attention_weights, mix};
use smartkv_core::{
    Bits, CacheShape, Calibration, Error, Format, Layout, PackedRows, Place, Plan, PlanCx,
    Reference, Result, Role, Samples, Strategy, Tier, config, strategy,
};

/// Gives each layer a pair of key and value bits of its own, chosen by calibration.
///
/// `smartkv calibrate` measures, layer by layer, what each pair of 2, 4 and 8 bits does to the
/// attention output of sampled queries (relative squared error). Pairs that another beats at no more
/// bits are dropped, and of what is left the combination with the least sum of errors over layers
/// is taken whose mean bits meet the target. That search is exact (a knapsack by dynamic
/// programming) where the paper clusters layers and searches by an evolutionary algorithm, and it
/// takes layers to add up where the paper runs the model. Bits are counted without scales, as there.
/// Without a calibration the first and the last layer get 8 bits for keys and 4 for values, the
/// others 4 and 2. Packed; the calibration needs the model.
#[config]
pub struct KvTuner {
    /// Key and value bits of each layer; empty without a calibration.
    pub bits: Vec<[u8; 2]>,
    /// For the calibration: mean of key and value bits over all layers, at most.
    #[default(4.0)]
    pub average_bits: f64,
    /// Channels that share a scale and a zero point; 0 is the whole head.
    #[default(32)]
    pub group_size: usize,
    /// Newest tokens kept in f16.
    pub window: usize,
    /// First tokens kept in f16.
    pub sinks: usize,
}

/// Bits that a key or a value may get.
const CHOICES: [u8; 3] = [8, 4, 2];

#[strategy("kvtuner", family = "mixed", paper = "arXiv 2502.04420")]
impl Strategy for KvTuner {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        let mut tiers = Vec::new();
        for bits in self.pairs(shape)? {
            let tier = self.tier(bits)?;
            if !tiers.contains(&tier) {
                tiers.push(tier);
            }
        }
        tiers.sort_by_key(|t| std::cmp::Reverse((t.row_bytes(shape.head_dim), t.k.bits.count())));
        let Self { window, sinks, .. } = *self;
        let Some(&best) = tiers.first() else {
            return Err(Error::parameter("bits", "[]", "expected a layer"));
        };
        Ok(Layout { tiers, window, sinks, ..Layout::constant(best) })
    }

    fn calibration(&self) -> Option<&dyn Calibration> {
        Some(self)
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let mut places = Vec::with_capacity(cx.shape.layers * cx.shape.kv_heads);
        for bits in self.pairs(cx.shape)? {
            let tier = self.tier(bits)?;
            let index = (0..).zip(&cx.layout.tiers).find(|(_, t)| **t == tier);
            let place = Place::Tier(index.map_or(0, |(index, _)| index));
            places.extend(std::iter::repeat_n(place, cx.shape.kv_heads));
        }
        Ok(Plan::FlushEach(places))
    }
}

impl KvTuner {
    /// Key and value bits of each layer.
    fn pairs(&self, shape: &CacheShape) -> Result<Vec<[u8; 2]>> {
        if self.bits.is_empty() {
            let ends = [0, shape.layers - 1];
            let pair = |layer: usize| if ends.contains(&layer) { [8, 4] } else { [4, 2] };
            return Ok((0..shape.layers).map(pair).collect());
        }
        if self.bits.len() != shape.layers {
            let expected = format!(
                "expected {}, one for each layer of the model it is calibrated for",
                shape.layers
            );
            return Err(Error::parameter("bits", format!("{} pairs", self.bits.len()), expected));
        }
        Ok(self.bits.clone())
    }

    fn format(&self, bits: u8) -> Result<Format> {
        Ok(Format::asymmetric(Bits::from_count(bits)?, self.group_size))
    }

    fn tier(&self, [key, value]: [u8; 2]) -> Result<Tier> {
        Ok(Tier { k: self.format(key)?, v: self.format(value)? })
    }
}

impl Calibration for KvTuner {
    fn calibrate(&self, samples: &Samples) -> Result<Value> {
        if !(self.average_bits >= 2.0 && self.average_bits.is_finite()) {
            let expected = "expected a number from 2";
            return Err(Error::parameter("average_bits", self.average_bits, expected));
        }
        for bits in CHOICES {
            self.format(bits)?.check(samples.shape.head_dim)?;
        }
        let errors: Result<Vec<Vec<Offer>>> = (0..samples.shape.layers)
            .into_par_iter()
            .map(|layer| self.errors(samples, layer))
            .collect();
        let menus: Vec<Vec<Offer>> = errors?.into_iter().map(pareto).collect();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few bits a layer; not negative"
        )]
        let bits = (2.0 * self.average_bits * menus.len() as f64).floor() as usize;
        Ok(json!({ "bits": cheapest_errors(&menus, bits) }))
    }
}

/// One pair of key and value bits, and what it does to a layer.
#[derive(Debug, Clone, Copy)]
struct Offer {
    pair: [u8; 2],
    /// Squared error of the attention output, relative to the output.
    error: f64,
}

impl Offer {
    fn bits(&self) -> usize {
        self.pair.iter().map(|bits| usize::from(*bits)).sum()
    }
}

impl KvTuner {
    /// Every pair with its error in one layer, over all windows, heads and sampled queries.
    fn errors(&self, samples: &Samples, layer: usize) -> Result<Vec<Offer>> {
        let shape = samples.shape;
        let scoring = samples.scoring(layer);
        let mut noise = [[0.0; CHOICES.len()]; CHOICES.len()];
        let mut signal = 0.0;
        for window in 0..samples.windows() {
            let positions = samples.positions(window);
            for kv_head in 0..shape.kv_heads {
                let keys = samples.keys(window, layer, kv_head);
                let values = samples.values(window, layer, kv_head);
                let rounded_keys = self.rounded(&keys, Role::Keys, shape.head_dim)?;
                let rounded_values = self.rounded(&values, Role::Values, shape.head_dim)?;
                let group = shape.group();
                for q_head in kv_head * group..(kv_head + 1) * group {
                    let q = samples.queries(window, layer, q_head);
                    let weigh = |keys: &[f32]| {
                        attention_weights(&q, positions, keys, shape.head_dim, scoring)
                    };
                    let out = mix(&weigh(&keys), positions, &values, shape.head_dim);
                    signal += squares(out.iter().copied());
                    for (keys, noise) in rounded_keys.iter().zip(&mut noise) {
                        let weights = weigh(keys);
                        for (values, noise) in rounded_values.iter().zip(noise) {
                            let here = mix(&weights, positions, values, shape.head_dim);
                            *noise += squares(here.iter().zip(&out).map(|(a, b)| a - b));
                        }
                    }
                }
            }
        }
        let mut offers = Vec::new();
        for (key, noise) in CHOICES.into_iter().zip(noise) {
            for (value, noise) in CHOICES.into_iter().zip(noise) {
                offers.push(Offer {
                    pair: [key, value],
                    error: noise / signal.max(f64::MIN_POSITIVE),
                });
            }
        }
        Ok(offers)
    }

    /// Rows as they come out of each format, in the order of [`CHOICES`].
    fn rounded(&self, rows: &[f32], role: Role, head_dim: usize) -> Result<Vec<Vec<f32>>> {
        let round = |bits| {
            let mut packed = PackedRows::new(self.format(bits)?, role, head_dim);
            packed.push(&Reference, rows);
            let mut out = vec![0.0; rows.len()];
            packed.decode(&Reference, &mut out);
            Ok(out)
        };
        CHOICES.into_iter().map(round).collect()
    }
}

fn squares(of: impl Iterator<Item = f32>) -> f64 {
    of.map(|x| f64::from(x).powi(2)).sum()
}

/// The offers that no other beats at as few bits: more bits, less error.
fn pareto(mut offers: Vec<Offer>) -> Vec<Offer> {
    offers.sort_by(|a, b| a.bits().cmp(&b.bits()).then(a.error.total_cmp(&b.error)));
    let mut least = f64::INFINITY;
    offers.retain(|offer| {
        let better = offer.error < least;
        least = least.min(offer.error);
        better
    });
    offers
}

/// One pair from each menu with the least sum of errors, of at most `bits` bits in all. Exact:
/// the best sum for every number of bits, menu by menu. Of equal sums the one with fewer bits.
fn cheapest_errors(menus: &[Vec<Offer>], bits: usize) -> Vec<[u8; 2]> {
    // The best sum and the offer of the last menu, for each number of bits spent exactly.
    let mut tables: Vec<Vec<Option<(f64, usize)>>> = Vec::with_capacity(menus.len());
    for menu in menus {
        let mut table = vec![None; bits + 1];
        let reachable = |spent: usize| match tables.last() {
            Some(before) => before[spent].map(|(sum, _)| sum),
            None => (spent == 0).then_some(0.0),
        };
        for (before, sum) in (0..=bits).filter_map(|spent| Some((spent, reachable(spent)?))) {
            for (index, offer) in menu.iter().enumerate() {
                let (spent, sum) = (before + offer.bits(), sum + offer.error);
                if spent <= bits && table[spent].is_none_or(|(best, _)| sum < best) {
                    table[spent] = Some((sum, index));
                }
            }
        }
        tables.push(table);
    }
    let ends = tables.last().into_iter().flatten().enumerate();
    let best = ends
        .filter_map(|(spent, entry)| Some((spent, (*entry)?.0)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    let mut spent = best.map_or(0, |(spent, _)| spent);
    let mut pairs = Vec::with_capacity(menus.len());
    for (menu, table) in menus.iter().zip(&tables).rev() {
        let Some((_, index)) = table[spent] else { break };
        pairs.push(menu[index].pair);
        spent -= menu[index].bits();
    }
    pairs.reverse();
    pairs
}
