//! Does rounding tokens that get much attention hurt more? Equal bytes, different tokens.

use super::super::passage::{PREFILL_CHUNK, Passage};
use crate::config::StrategySpec;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use smartkv_core::{Cache, MeasuredHook};
use smartkv_eval::attention::LoneTokens;
use smartkv_eval::stats::{Difference, Estimate, Interval, paired_difference};
use smartkv_eval::{Bootstrap, LockstepOptions, Progress, Protocol, compare};

/// What tokens are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankedBy {
    /// The attention that scored queries will give, which no cache can know.
    Future,
    /// The attention that the newest queries of the prompt gave, as SmartKV's tracker sees it.
    Past,
}

impl RankedBy {
    /// Its name in records and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Future => "future",
            Self::Past => "past",
        }
    }

    fn tracker(self) -> &'static str {
        match self {
            Self::Future => "oracle",
            Self::Past => "ema",
        }
    }
}

/// What is rounded, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SensitivitySettings {
    /// Bits of rounded tokens, keys and values alike.
    pub bits: Vec<u8>,
    /// Share of the prompt's tokens that are rounded, in each layer and head.
    pub share: f64,
    /// What tokens are ranked by.
    pub ranked_by: Vec<RankedBy>,
}

/// Which tokens are rounded.
const ORDERS: [&str; 3] = ["highest", "lowest", "random"];
/// Groups whose divergences are subtracted.
const CONTRASTS: [(usize, usize); 3] = [(0, 2), (1, 2), (0, 1)];

/// Whether rounding hurts more where attention is.
#[derive(Debug, Serialize)]
pub struct Sensitivity {
    /// What was asked.
    pub settings: SensitivitySettings,
    /// First tokens that are never rounded.
    pub sinks: usize,
    /// Every group at every number of bits.
    pub groups: Vec<GroupRow>,
    /// The groups against one another, paired by window.
    pub contrasts: Vec<Contrast>,
    /// One token rounded at a time, attention output by attention output: every bit-width.
    pub lone: Vec<LoneTokens>,
}

/// One group of rounded tokens.
#[derive(Debug, Clone, Serialize)]
pub struct GroupRow {
    /// Bits of the rounded tokens.
    pub bits: u8,
    /// What tokens were ranked by.
    pub ranked_by: RankedBy,
    /// `highest`, `lowest` or `random`: which tokens were rounded.
    pub rounded: &'static str,
    /// Mean KL from f16 in nats, interval over windows.
    pub kl: Estimate,
    /// Perplexity divided by that of f16.
    pub perplexity_ratio: f64,
    /// Its interval.
    pub perplexity_ratio_interval: Option<Interval>,
    /// Mean live bytes over the scored tokens, the same for all groups.
    pub mean_live_bytes: f64,
    /// Mean KL of each window.
    pub windows: Vec<f64>,
}

/// Two groups on the same windows.
#[derive(Debug, Clone, Serialize)]
pub struct Contrast {
    /// Bits of the rounded tokens.
    pub bits: u8,
    /// What tokens were ranked by.
    pub ranked_by: RankedBy,
    /// The group that is subtracted from.
    pub group: &'static str,
    /// The group that is subtracted.
    pub minus: &'static str,
    /// Difference of the mean KL in nats.
    pub kl: Difference,
    /// Mean KL of the group over that of the other; `null` where that is 0.
    pub ratio: Option<f64>,
}

/// Channels of a rounded token that share a scale: 32, or all of a head that they do not divide.
pub(super) fn group_size(head_dim: usize) -> usize {
    const CHANNELS: usize = 32;
    if head_dim.is_multiple_of(CHANNELS) {
        CHANNELS
    } else {
        0
    }
}

/// The test before it is run.
pub(super) struct Test<'a> {
    pub(super) passage: &'a Passage<'a>,
    pub(super) settings: &'a SensitivitySettings,
    pub(super) sinks: usize,
    pub(super) tokens: &'a [u32],
    pub(super) bootstrap: Bootstrap,
}

impl Test<'_> {
    /// Runs every group beside the f16 cache.
    pub(super) fn run(
        &self,
        lone: Vec<LoneTokens>,
        progress: &dyn Progress,
    ) -> anyhow::Result<Sensitivity> {
        let (mut groups, mut contrasts) = (Vec::new(), Vec::new());
        for &ranked_by in &self.settings.ranked_by {
            let rows = self.groups(ranked_by, progress)?;
            for same in rows.chunks_exact(ORDERS.len()) {
                for (group, minus) in CONTRASTS {
                    contrasts.push(contrast(&same[group], &same[minus], &self.bootstrap)?);
                }
            }
            groups.extend(rows);
        }
        Ok(Sensitivity {
            settings: self.settings.clone(),
            sinks: self.sinks,
            groups,
            contrasts,
            lone,
        })
    }

    /// All groups of one ranking in one batch.
    fn groups(
        &self,
        ranked_by: RankedBy,
        progress: &dyn Progress,
    ) -> anyhow::Result<Vec<GroupRow>> {
        let asked: Vec<(u8, &'static str)> = (self.settings.bits.iter())
            .flat_map(|&bits| ORDERS.map(|order| (bits, order)))
            .collect();
        let mut caches = asked
            .iter()
            .map(|&(bits, order)| self.cache(ranked_by, bits, order))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut reference = self.passage.f16()?;
        let mut all: Vec<&mut dyn MeasuredHook> = vec![&mut reference];
        for cache in &mut caches {
            all.push(cache);
        }
        let options = LockstepOptions {
            protocol: Protocol::Decode,
            windows: self.passage.windows,
            window_seed: None,
            prefix: self.passage.prefix(),
            prefill_chunk: PREFILL_CHUNK,
            keep_tokens: false,
            bootstrap: self.bootstrap,
        };
        let result = compare(self.passage.model, self.tokens, &options, all, progress)?;
        let measured = asked.into_iter().zip(result.candidates);
        let row = |((bits, rounded), compared): ((u8, &'static str), Result<_, String>)| {
            let compared: smartkv_eval::Compared = compared
                .map_err(anyhow::Error::msg)
                .with_context(|| format!("{rounded} tokens at {bits} bits"))?;
            Ok(GroupRow {
                bits,
                ranked_by,
                rounded,
                kl: compared.fidelity.mean_kl_nats,
                perplexity_ratio: compared.fidelity.perplexity_ratio,
                perplexity_ratio_interval: compared.fidelity.perplexity_ratio_interval,
                mean_live_bytes: compared.memory.mean_live_bytes,
                windows: compared.windows.iter().map(|w| w.mean_kl_nats).collect(),
            })
        };
        measured.map(row).collect()
    }

    fn cache(&self, ranked_by: RankedBy, bits: u8, order: &str) -> anyhow::Result<Cache> {
        let config = json!({
            "type": "select_bits",
            "tracker": {"type": ranked_by.tracker()},
            "order": order,
            "share": self.settings.share,
            "bits": [bits, bits],
            "group_size": group_size(self.passage.model.cache_shape(1)?.head_dim),
            "sinks": self.sinks,
            "window": 0,
            "once": true,
        });
        let strategy = StrategySpec::from_config(&config, &[])?;
        self.passage.cache(&strategy, None, false)
    }
}

fn contrast(group: &GroupRow, minus: &GroupRow, how: &Bootstrap) -> anyhow::Result<Contrast> {
    Ok(Contrast {
        bits: group.bits,
        ranked_by: group.ranked_by,
        group: group.rounded,
        minus: minus.rounded,
        kl: paired_difference(&minus.windows, &group.windows, how)?,
        ratio: (minus.kl.mean > 0.0).then(|| group.kl.mean / minus.kl.mean),
    })
}
