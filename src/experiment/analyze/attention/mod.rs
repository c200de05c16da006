//! Which tokens get attention, whether they suffer more from rounding, and the bits they get.

mod precision;
mod record;
mod sensitivity;

pub use precision::PrecisionRecord;
pub use record::{AttentionRecord, TokenText, TopToken};
pub use sensitivity::{Contrast, GroupRow, RankedBy, Sensitivity, SensitivitySettings};

use super::passage::{PREFILL_CHUNK, Passage};
use crate::config::StrategySpec;
use record::{SCHEMA, ShapeRecord, TokenMap};
use smartkv_core::{Bits, Budget, Format};
use smartkv_eval::attention::WindowAttention;
use smartkv_eval::{Bootstrap, ProfileOptions, Progress, attention_profile};

/// Newest tokens that are counted as recent.
const RECENT: usize = 64;
/// Scored queries of a window that lone rounding looks at.
const LONE_QUERIES: usize = 48;

/// What is asked of attention.
#[derive(Debug)]
pub struct AttentionAnalysis<'a> {
    /// What it runs on.
    pub passage: &'a Passage<'a>,
    /// First tokens that count as sinks, and are never rounded.
    pub sinks: usize,
    /// Rows and columns of a heat map, at most.
    pub blocks: usize,
    /// Heads that get a heat map of their own, as (layer, query head).
    pub maps: &'a [(usize, usize)],
    /// Tokens of each window to name.
    pub top: usize,
    /// Whether rounding follows attention, unless left out.
    pub sensitivity: Option<SensitivitySettings>,
    /// A strategy whose bits are looked at, with its budget.
    pub precision: Option<(&'a StrategySpec, Option<Budget>)>,
}

/// Looks at attention. Equal inputs give equal records on any number of threads.
///
/// # Errors
/// A text or window that does not fit, options out of range, a budget that a strategy cannot hold,
/// and whatever the model refuses.
pub fn analyze_attention(
    run: &AttentionAnalysis<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<AttentionRecord> {
    let passage = run.passage;
    let tokens = passage.tokens()?;
    let shape = passage.model.cache_shape(1)?;
    let text = passage.record(&tokens)?;
    // Refused before minutes are spent on the rest.
    let precision = run
        .precision
        .map(|(strategy, budget)| precision::prepare(passage, strategy, budget))
        .transpose()?;
    let bits = run.sensitivity.as_ref().map_or(&[][..], |s| &s.bits);
    let group = sensitivity::group_size(shape.head_dim);
    let format = |bits: &u8| anyhow::Ok(Format::asymmetric(Bits::from_count(*bits)?, group));
    let bootstrap = Bootstrap {
        seed: passage.seed,
        ..Bootstrap::default()
    };
    let options = ProfileOptions {
        windows: passage.windows,
        prefix: passage.prefix(),
        chunk: PREFILL_CHUNK,
        sinks: run.sinks,
        recent: RECENT,
        blocks: run.blocks,
        maps: run.maps.to_vec(),
        lone: bits.iter().map(format).collect::<Result<_, _>>()?,
        lone_queries: LONE_QUERIES,
        bootstrap,
    };
    let profile = attention_profile(
        passage.model,
        &tokens,
        &options,
        &mut passage.f16()?,
        progress,
    )?;
    let sensitivity = run
        .sensitivity
        .as_ref()
        .map(|settings| {
            let test = sensitivity::Test {
                passage,
                settings,
                sinks: run.sinks,
                tokens: &tokens,
                bootstrap,
            };
            test.run(profile.lone, progress)
        })
        .transpose()?;
    let precision = precision
        .map(|p| p.run(passage, &tokens, progress))
        .transpose()?;
    let top = profile
        .windows
        .iter()
        .map(|window| top_tokens(passage, window, profile.prompt_tokens, run))
        .collect::<anyhow::Result<_>>()?;
    let map = profile.windows.into_iter().next();
    let map = map.map(|window| token_map(passage, window)).transpose()?;
    Ok(AttentionRecord {
        schema: SCHEMA,
        model: passage.model_name.to_string(),
        shape: ShapeRecord::from(&shape),
        text,
        window_tokens: profile.window_tokens,
        prompt_tokens: profile.prompt_tokens,
        queries: profile.queries,
        sinks: run.sinks,
        recent: RECENT,
        heads: profile.heads,
        distances: profile.distances,
        maps: profile.maps,
        top,
        tokens: map,
        sensitivity,
        precision,
        seed: passage.seed,
        environment: passage.environment.clone(),
    })
}

/// The tokens of the prompt, the first `prompt`, that receive most, mean over layers.
fn top_tokens(
    passage: &Passage<'_>,
    window: &WindowAttention,
    prompt: usize,
    run: &AttentionAnalysis<'_>,
) -> anyhow::Result<Vec<TopToken>> {
    let layers = window.received.len().max(1);
    #[expect(clippy::cast_precision_loss, reason = "a count of layers")]
    let mean = |position: usize| {
        let all = window
            .received
            .iter()
            .map(|layer| f64::from(layer[position]));
        all.sum::<f64>() / layers as f64
    };
    // Later tokens are seen by fewer queries, the nearest ones.
    let mut means: Vec<(usize, f64)> = (0..prompt).map(|p| (p, mean(p))).collect();
    means.sort_by(|a, b| b.1.total_cmp(&a.1));
    means.truncate(run.top);
    let positions: Vec<u32> = means.iter().map(|&(p, _)| window.tokens[p]).collect();
    let texts = passage.texts(&positions)?;
    let tokens = means.into_iter().zip(texts);
    Ok(tokens
        .map(|((position, attention), text)| TopToken {
            window: window.start,
            position,
            text,
            attention,
            sink: position < run.sinks,
        })
        .collect())
}

fn token_map(passage: &Passage<'_>, window: WindowAttention) -> anyhow::Result<TokenMap> {
    let texts = passage.texts(&window.tokens)?;
    let tokens = texts.into_iter().zip(&window.tokens);
    Ok(TokenMap {
        start: window.start,
        tokens: tokens.map(|(text, &id)| TokenText { id, text }).collect(),
        received: window.received,
    })
}
