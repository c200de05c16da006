//! `smartkv analyze attention`: who gets attention, and who suffers from rounding.

mod table;

use super::passage::{PassageArgs, with_bar};
use crate::assets::Policy;
use crate::cli::session::{StrategyArgs, check_calibration, parse_prefill};
use crate::config::StrategySpec;
use crate::experiment::analyze::{
    AttentionAnalysis, RankedBy, SensitivitySettings, analyze_attention,
};
use smartkv_core::{Bits, Prefill};
use smartkv_eval::{WindowCount, Windows};

/// Run an f16 cache over windows of a text and look at its attention.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv analyze attention
  smartkv analyze attention --windows 12 --bits 2,3,4 --share 0.1 --out attention.json
  smartkv analyze attention --layers 0,15,29 --heads all --no-sensitivity --json
  smartkv analyze attention --strategy smartkv --budget 0.25 --no-sensitivity

Statistics are of the scored tokens' queries; heat maps are of all. The sensitivity test rounds a
share of the prompt's tokens in every layer and head, those of most attention, of least, or any, at
equal bytes, and holds each against f16 on the same windows. With --strategy it also shows the bits
that the strategy gives to every token of the first window.")]
pub(super) struct AttentionArgs {
    #[command(flatten)]
    passage: PassageArgs,
    /// Windows of the text, or `all`: end to end instead of spread over it.
    #[arg(
        long,
        value_name = "N",
        default_value = "6",
        allow_negative_numbers = true
    )]
    windows: WindowCount,
    /// Tokens prefilled in each window, not scored.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 512,
        allow_negative_numbers = true
    )]
    prefill_tokens: usize,
    /// Tokens after them, whose queries are looked at.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 128,
        allow_negative_numbers = true
    )]
    score_tokens: usize,
    /// First tokens that count as sinks, and are never rounded.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4,
        allow_negative_numbers = true
    )]
    sinks: usize,
    /// Layers whose heads get heat maps of their own: 0,15 or all [default: none, or all with
    /// --heads].
    #[arg(long, value_name = "L,L")]
    layers: Option<String>,
    /// Query heads of those layers: 0,3 or all [default: all].
    #[arg(long, value_name = "H,H")]
    heads: Option<String>,
    /// Rows and columns of a heat map, at most.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 32,
        allow_negative_numbers = true
    )]
    blocks: usize,
    /// Tokens of each window's prompt to name.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        allow_negative_numbers = true
    )]
    top: usize,
    /// Leave the sensitivity test out.
    #[arg(long, conflicts_with_all = ["bits", "share", "ranked_by"])]
    no_sensitivity: bool,
    /// Bits of rounded tokens: 2, 3, 4 or 8 [default: 2,3,4].
    #[arg(long, value_name = "B,B", value_delimiter = ',')]
    bits: Option<Vec<u8>>,
    /// Share of the prompt's tokens that are rounded [default: 0.25].
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    share: Option<f64>,
    /// Rank tokens by the attention of the scored queries (future), of the newest queries of the
    /// prompt (past), or
    /// both [default: future,past].
    #[arg(long, value_name = "BY", value_delimiter = ',', value_parser = parse_ranked_by)]
    ranked_by: Option<Vec<RankedBy>>,
    #[command(flatten)]
    strategy: StrategyArgs,
    /// With --strategy: compress the prompt at its end (exact), or chunk by chunk (quantized).
    #[arg(long, value_name = "WHEN", default_value = "exact", value_parser = parse_prefill)]
    prefill: Prefill,
}

fn parse_ranked_by(text: &str) -> Result<RankedBy, String> {
    match text {
        "future" => Ok(RankedBy::Future),
        "past" => Ok(RankedBy::Past),
        _ => Err("expected future or past".to_string()),
    }
}

pub(super) fn run(args: &AttentionArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    let sensitivity = args.sensitivity()?;
    anyhow::ensure!(args.blocks > 0, "--blocks 0: expected at least 1");
    let given = &args.strategy;
    let strategy = match &given.strategy {
        Some(name) => Some(StrategySpec::resolve(name, &given.sets)?),
        None if given.budget.is_some() || !given.sets.is_empty() => {
            Some(StrategySpec::resolve("smartkv", &given.sets)?)
        }
        None => None,
    };
    let budget = given.budget.as_deref().map(str::parse).transpose()?;
    let opened = args.passage.open(policy)?;
    if let Some(strategy) = &strategy {
        check_calibration(strategy, args.passage.model(), &opened.loaded.path)?;
    }
    let windows = Windows {
        count: args.windows,
        prefill: args.prefill_tokens,
        score: args.score_tokens,
    };
    let shape = opened.loaded.model.cache_shape(1)?;
    let maps = args.maps(shape.layers, shape.q_heads)?;
    let passage = args.passage.passage(&opened, windows, args.prefill)?;
    let analysis = AttentionAnalysis {
        passage: &passage,
        sinks: args.sinks,
        blocks: args.blocks,
        maps: &maps,
        top: args.top,
        sensitivity,
        precision: strategy.as_ref().map(|strategy| (strategy, budget)),
    };
    let record = with_bar(|bar| analyze_attention(&analysis, bar))?;
    args.passage.give(&record, as_json, table::render)
}

impl AttentionArgs {
    fn sensitivity(&self) -> anyhow::Result<Option<SensitivitySettings>> {
        if self.no_sensitivity {
            return Ok(None);
        }
        let bits = self.bits.clone().unwrap_or_else(|| vec![2, 3, 4]);
        for &bits in &bits {
            anyhow::ensure!(
                bits < 16 && Bits::from_count(bits).is_ok(),
                "--bits {bits}: expected 2, 3, 4 or 8"
            );
        }
        let share = self.share.unwrap_or(0.25);
        anyhow::ensure!(
            share > 0.0 && share <= 0.5,
            "--share {share}: expected above 0 and at most 0.5, so that the tokens of most and of \
             least attention are not the same"
        );
        let both = || vec![RankedBy::Future, RankedBy::Past];
        Ok(Some(SensitivitySettings {
            bits,
            share,
            ranked_by: self.ranked_by.clone().unwrap_or_else(both),
        }))
    }

    /// The heads that get heat maps of their own.
    fn maps(&self, layers: usize, heads: usize) -> anyhow::Result<Vec<(usize, usize)>> {
        if self.layers.is_none() && self.heads.is_none() {
            return Ok(Vec::new());
        }
        let layers = indices("--layers", self.layers.as_deref(), layers)?;
        let heads = indices("--heads", self.heads.as_deref(), heads)?;
        let pairs = |&layer: &usize| heads.iter().map(move |&head| (layer, head));
        Ok(layers.iter().flat_map(pairs).collect())
    }
}

/// `0,3` or `all`, of `count`; ascending, each once.
fn indices(flag: &str, text: Option<&str>, count: usize) -> anyhow::Result<Vec<usize>> {
    let text = text.unwrap_or("all");
    if text == "all" {
        return Ok((0..count).collect());
    }
    let mut indices = Vec::new();
    for part in text.split(',') {
        let index = part.trim().parse::<usize>().ok();
        let Some(index) = index.filter(|&index| index < count) else {
            anyhow::bail!(
                "{flag} {text}: `{part}`: expected numbers from 0 to {}, or all",
                count - 1
            );
        };
        indices.push(index);
    }
    indices.sort_unstable();
    indices.dedup();
    Ok(indices)
}
