//! The bits that a strategy gives to every token of a window.

use super::super::passage::{Passage, Window};
use super::record::TokenText;
use crate::config::StrategySpec;
use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use smartkv_core::{Budget, Cache, CacheShape, KvHook as _, Place};
use smartkv_eval::Progress;

/// Bits of f16.
const FULL_BITS: usize = 16;

/// The bits of every token of one window.
#[derive(Debug, Serialize)]
pub struct PrecisionRecord {
    /// What the user called the strategy.
    pub strategy: String,
    /// Its complete configuration.
    pub config: Value,
    /// The budget in force.
    pub budget: Option<Budget>,
    /// First token of the window in the text.
    pub start: usize,
    /// The tokens of the window, prefix included.
    pub tokens: Vec<TokenText>,
    /// What the symbols of `lanes` mean.
    pub legend: Vec<Legend>,
    /// After the prompt, and after the last token.
    pub at: Vec<Places>,
}

/// Somewhere a token may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Legend {
    /// Its symbol.
    pub symbol: char,
    /// `window`, a tier, or `evicted`.
    pub place: String,
    /// Bits of a key's elements.
    pub key_bits: usize,
    /// Bits of a value's elements.
    pub value_bits: usize,
}

/// Where all tokens are at one time.
#[derive(Debug, Serialize)]
pub struct Places {
    /// `prefill` or `decode`: what has just ended.
    pub after: &'static str,
    /// Tokens seen.
    pub seen: usize,
    /// `[layers][kv_heads]`: a symbol a token, in the order of the text.
    pub lanes: Vec<Vec<String>>,
    /// Mean bits of an element of each token's keys and values, over layers and heads.
    pub mean_bits: Vec<f64>,
    /// The same of each layer, over its heads and tokens.
    pub layer_bits: Vec<f64>,
    /// Rows in each place of the legend, all layers and heads together.
    pub rows: Vec<usize>,
}

/// A strategy's cache, checked and empty.
pub(super) struct Prepared<'a> {
    strategy: &'a StrategySpec,
    cache: Cache,
    legend: Vec<Legend>,
}

/// Builds the cache, which refuses what it cannot hold.
pub(super) fn prepare<'a>(
    passage: &Passage<'_>,
    strategy: &'a StrategySpec,
    budget: Option<Budget>,
) -> anyhow::Result<Prepared<'a>> {
    anyhow::ensure!(
        !strategy.is_simulated(),
        "`{}` is simulated: its rows are stored in f16, so they have no bits to show",
        strategy.name
    );
    let cache = passage.cache(strategy, budget, true)?;
    let legend = legend(&cache);
    Ok(Prepared {
        strategy,
        cache,
        legend,
    })
}

impl Prepared<'_> {
    /// Runs the first window and looks twice.
    pub(super) fn run(
        mut self,
        passage: &Passage<'_>,
        tokens: &[u32],
        progress: &dyn Progress,
    ) -> anyhow::Result<PrecisionRecord> {
        let window: Window = passage.first_window(tokens)?;
        progress.begin(Passage::cost(&window, &self.cache));
        progress.message("precision");
        let (prompt, end) = (
            window.prompt.len(),
            window.prompt.len() + window.decoded.len(),
        );
        let (mut at, legend) = (Vec::new(), &self.legend);
        passage.run(&window, &mut self.cache, progress, |cache| {
            let seen = cache.seen(0);
            if seen == prompt {
                at.push(places(cache, legend, "prefill"));
            }
            if seen == end && end > prompt {
                at.push(places(cache, legend, "decode"));
            }
        })?;
        let ids = [window.prompt, window.decoded].concat();
        let texts = passage.texts(&ids)?;
        Ok(PrecisionRecord {
            strategy: self.strategy.name.clone(),
            config: self.strategy.config.clone(),
            budget: self.cache.budget(),
            start: window.start,
            tokens: texts
                .into_iter()
                .zip(ids)
                .map(|(text, id)| TokenText { id, text })
                .collect(),
            at: at
                .into_iter()
                .collect::<Option<_>>()
                .context("the cache does not say where its tokens are")?,
            legend: self.legend,
        })
    }
}

/// Window, tiers, evicted: in the order of the places.
fn legend(cache: &Cache) -> Vec<Legend> {
    let entry = |place: String, key_bits, value_bits| (place, key_bits, value_bits);
    let tiers = cache.layout().tiers.iter().enumerate();
    let tiers = tiers.map(|(index, tier)| {
        let name = format!("tier {index}: {} keys, {} values", tier.k, tier.v);
        entry(name, tier.k.bits.count(), tier.v.bits.count())
    });
    std::iter::once(entry("window".into(), FULL_BITS, FULL_BITS))
        .chain(tiers)
        .chain([entry("evicted".into(), 0, 0)])
        .enumerate()
        .map(|(index, (place, key_bits, value_bits))| Legend {
            symbol: symbol(index),
            place,
            key_bits,
            value_bits,
        })
        .collect()
}

/// Digits, then letters, then whatever comes after them.
fn symbol(index: usize) -> char {
    let common = ('0'..='9').chain('a'..='z').chain('A'..='Z');
    let more = (0xC0..).filter_map(char::from_u32);
    common.chain(more).nth(index).unwrap_or('?')
}

/// Where every token of the cache is; `None` unless it says.
#[expect(clippy::cast_precision_loss, reason = "counts of tokens and heads")]
fn places(cache: &Cache, legend: &[Legend], after: &'static str) -> Option<Places> {
    let CacheShape {
        layers, kv_heads, ..
    } = *cache.shape();
    let seen = cache.seen(0);
    let evicted = legend.len() - 1;
    let bits = |index: usize| (legend[index].key_bits + legend[index].value_bits) as f64 / 2.0;
    let mut rows = vec![0; legend.len()];
    let (mut mean_bits, mut layer_bits) = (vec![0.0; seen], vec![0.0; layers]);
    let mut lanes = Vec::with_capacity(layers);
    for (layer, layer_bits) in layer_bits.iter_mut().enumerate() {
        let mut own = Vec::with_capacity(kv_heads);
        for lane in 0..kv_heads {
            let mut at = vec![evicted; seen];
            for (position, place) in cache.places(layer, lane)? {
                at[position as usize] = match place {
                    Place::Window => 0,
                    Place::Tier(tier) => 1 + usize::from(tier),
                    Place::Evicted => evicted,
                };
            }
            for (mean, &index) in mean_bits.iter_mut().zip(&at) {
                // Sums of halves are exact; a mean of 16 is 16.
                *mean += bits(index);
                *layer_bits += bits(index);
                rows[index] += 1;
            }
            own.push(at.into_iter().map(|index| legend[index].symbol).collect());
        }
        lanes.push(own);
    }
    for mean in &mut mean_bits {
        *mean /= (layers * kv_heads) as f64;
    }
    for mean in &mut layer_bits {
        *mean /= (kv_heads * seen) as f64;
    }
    Some(Places {
        after,
        seen,
        lanes,
        mean_bits,
        layer_bits,
        rows,
    })
}

#[cfg(test)]
mod tests {
    use super::symbol;

    #[test]
    fn symbols_are_told_apart() {
        let symbols: std::collections::BTreeSet<char> = (0..257).map(symbol).collect();
        assert_eq!(symbols.len(), 257);
        assert_eq!(
            [symbol(0), symbol(9), symbol(10), symbol(36)],
            ['0', '9', 'a', 'A']
        );
    }
}
