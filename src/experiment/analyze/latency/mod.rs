//! Time of decoded tokens, and what tracking and reallocation take of it.

mod record;
mod timed;
mod variants;

pub use record::{
    Histogram, Kind, LatencyRecord, Milliseconds, Overhead, Round, Spread, VariantRecord,
};
pub use variants::{Role, Variant, variants};

use super::passage::{PREFILL_CHUNK, Passage, Window};
use record::{SCHEMA, Step, histogram, overheads, variant_record};
use smartkv_core::{Budget, Cache, KvHook as _};
use smartkv_eval::Progress;
use smartkv_host::LogitsFor;
use std::time::Instant;
use timed::TimedHook;

/// Tokens decoded before times count.
const UNTIMED: usize = 4;

/// What is timed.
#[derive(Debug)]
pub struct LatencyAnalysis<'a> {
    /// What it runs on; the first window, whose scored tokens are decoded.
    pub passage: &'a Passage<'a>,
    /// The strategies, the one asked for among them.
    pub variants: &'a [Variant],
    /// Budget of all that take one.
    pub budget: Option<Budget>,
    /// Rounds in which they take turns.
    pub rounds: usize,
}

/// Times every token. What is decoded does not depend on times; times do not repeat.
///
/// # Errors
/// A budget that a strategy cannot hold, a strategy that must know the attention to come, a text or
/// window that does not fit, and whatever the model refuses.
pub fn analyze_latency(
    run: &LatencyAnalysis<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<LatencyRecord> {
    let passage = run.passage;
    anyhow::ensure!(run.rounds > 0, "--rounds 0: expected at least 1");
    let tokens = passage.tokens()?;
    let window = passage.first_window(&tokens)?;
    anyhow::ensure!(
        window.decoded.len() > UNTIMED,
        "{} tokens to decode: expected more than {UNTIMED}, which are not timed",
        window.decoded.len()
    );
    let mut caches = Vec::with_capacity(run.variants.len());
    for variant in run.variants {
        let budget = run.budget.filter(|_| variant.role != Role::F16);
        let cache = passage.cache(&variant.strategy, budget, false)?;
        if cache.needs_trace() {
            let tracker = cache.strategy().tracker().map_or("", |t| t.typetag_name());
            return Err(smartkv_core::Error::NoTrace { tracker }.into());
        }
        caches.push(cache);
    }
    let turns = caches.len() * run.rounds;
    progress.begin(caches.len() * window.prompt.len() + turns * window.decoded.len());
    progress.message("prompts");
    for cache in &mut caches {
        passage
            .model
            .prefill(&[&window.prompt], cache, PREFILL_CHUNK, LogitsFor::None)?;
        progress.advance(window.prompt.len());
    }
    let mut rounds = Vec::with_capacity(turns);
    for round in 0..run.rounds {
        progress.message(&format!("round {} of {}", round + 1, run.rounds));
        // Each round begins with another, so that none always follows the same.
        for turn in 0..caches.len() {
            let variant = (round + turn) % caches.len();
            let steps = decode(passage, &window, caches[variant].clone(), progress)?;
            rounds.push(Round::new(round, variant, &steps));
        }
    }
    let summaries: Vec<VariantRecord> = run
        .variants
        .iter()
        .zip(&caches)
        .enumerate()
        .map(|(index, (variant, cache))| variant_record(index, variant, cache, &rounds))
        .collect();
    Ok(LatencyRecord {
        schema: SCHEMA,
        model: passage.model_name.to_string(),
        text: passage.record_of(&tokens, &window),
        prefill: passage.prefill,
        prompt_tokens: window.prompt.len(),
        decode_tokens: window.decoded.len() - UNTIMED,
        untimed_tokens: UNTIMED,
        round_count: run.rounds,
        overheads: overheads(&summaries, &rounds),
        histogram: histogram(summaries.len(), &rounds),
        variants: summaries,
        rounds,
        seed: passage.seed,
        environment: passage.environment.clone(),
    })
}

/// Decodes the window's tokens and times all but the first.
fn decode(
    passage: &Passage<'_>,
    window: &Window,
    mut cache: Cache,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::with_capacity(window.decoded.len());
    for (index, token) in window.decoded.chunks(1).enumerate() {
        let before = cache.plan_work();
        let mut timed = TimedHook::new(&mut cache);
        let start = Instant::now();
        passage
            .model
            .forward(&[token], &mut timed, LogitsFor::Last, false)?;
        let total = start.elapsed();
        let (attend, end) = timed.times();
        progress.advance(1);
        if index >= UNTIMED {
            let work = cache.plan_work().since(before);
            steps.push(Step::new(total, attend, end, work));
        }
    }
    Ok(steps)
}
