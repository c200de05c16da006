//! Runs one evaluation: the f16 cache and the strategy side by side on the same tokens.

use super::record::{
    CacheRecord, Environment, EvalRecord, NeedleCellRecord, NeedleRecord, ProtocolRecord,
    QualityRecord, ReferenceRecord, SCHEMA, Samples, Tasks, WindowSample,
};
use super::settings::EvalSettings;
use crate::assets::Text;
use anyhow::Context as _;
use smartkv_core::{Cache, CacheShape, MeasuredHook as _};
use smartkv_eval::{
    Bootstrap, EvalError, Fidelity, Haystack, LockstepOptions, LockstepResult, Measured,
    NeedleOptions, NeedleResult, Progress, Speed, lockstep, needles,
};
use smartkv_host::Model;

/// What an evaluation runs on.
#[derive(Debug)]
pub struct Evaluation<'a> {
    /// The loaded model.
    pub model: &'a Model,
    /// What the user called it.
    pub model_name: &'a str,
    /// The text to measure on; also the haystack.
    pub text: &'a Text,
    /// What to measure, and how.
    pub settings: &'a EvalSettings,
    /// What it is measured with.
    pub environment: Environment,
}

impl Evaluation<'_> {
    fn cache(&self, shape: CacheShape) -> anyhow::Result<Cache> {
        let settings = self.settings;
        let builder = Cache::builder(shape, settings.strategy.strategy.clone())
            .budget(settings.budget)
            .prefill(settings.prefill)
            .seed(settings.seed)
            .rope(self.model.ropes())
            .kernels(smartkv_kernels::best());
        Ok(builder.build()?)
    }

    /// The needle grid and what its needles hide in, unless left out.
    fn needle(&self) -> Option<(NeedleOptions, Haystack)> {
        let grid = NeedleOptions {
            seed: self.settings.seed,
            ..self.settings.needle.clone()?
        };
        let haystack = Haystack::Text {
            name: self.text.source.clone(),
            text: self.text.text.clone(),
        };
        Some((grid, haystack))
    }
}

/// Refuses needles that cannot be asked for, before minutes are spent on the windows.
fn check_needle(model: &Model, grid: &NeedleOptions, haystack: &Haystack) -> anyhow::Result<()> {
    let limit = model.description().context_length;
    let longest = grid.lengths_tokens.iter().copied().max().unwrap_or(0);
    if longest > limit {
        return Err(EvalError::ContextTooLong {
            what: "a needle prompt".to_string(),
            needed: longest,
            limit,
        }
        .into());
    }
    let shortest = grid.lengths_tokens.iter().copied().min().unwrap_or(0);
    for &depth in &grid.depths_percent {
        grid.prompt(model, haystack, shortest, depth, 0)?;
    }
    Ok(())
}

/// Measures. Equal inputs give equal records, speeds apart, on any number of threads.
///
/// # Errors
/// A budget the strategy cannot hold, a text or needle that does not fit the model's context,
/// and whatever model and cache refuse.
pub fn evaluate(run: Evaluation<'_>, progress: &dyn Progress) -> anyhow::Result<EvalRecord> {
    let settings = run.settings;
    let shape = run.model.cache_shape(1)?;
    let f16 = crate::config::StrategySpec::resolve("f16", &[])?.strategy;
    let mut reference = Cache::builder(shape, f16)
        .kernels(smartkv_kernels::best())
        .build()?;
    let mut candidate = run.cache(shape)?;

    let needle = run.needle();
    if let Some((grid, haystack)) = &needle {
        check_needle(run.model, grid, haystack)?;
    }
    let tokens = run.model.tokenizer().encode(&run.text.text, false)?;
    let options = LockstepOptions {
        protocol: settings.protocol,
        windows: settings.windows,
        prefix: run.model.tokenizer().bos().into_iter().collect(),
        prefill_chunk: settings.prefill_chunk,
        keep_tokens: false,
        bootstrap: Bootstrap {
            seed: settings.seed,
            ..Bootstrap::default()
        },
    };
    let mut watched = [Measured::new(&mut reference), Measured::new(&mut candidate)];
    let [left, right] = &mut watched;
    let (result, timing) = lockstep(run.model, &tokens, &options, left, Some(right), progress)?;
    let summaries = watched.map(|side| side.summary());
    let caches = [
        CacheRecord::new(&reference.memory(), summaries[0].as_ref()),
        CacheRecord::new(&candidate.memory(), summaries[1].as_ref()),
    ];
    let fidelity = result
        .candidate
        .as_ref()
        .context("the candidate was not measured")?;
    let quality = quality(&result, fidelity);

    let mut found = [None, None];
    if let Some((grid, haystack)) = &needle {
        for (result, cache) in found.iter_mut().zip([&mut reference, &mut candidate]) {
            let mut subject = Measured::new(cache);
            *result = Some(needles(run.model, grid, haystack, &mut subject, progress)?.0);
        }
    }
    let [needle_f16, needle] = found;
    let [cache_f16, cache] = caches;
    let speed = |timing: Option<Speed>| {
        timing
            .unwrap_or(Speed {
                prefill: None,
                decode: None,
            })
            .into()
    };
    Ok(EvalRecord {
        schema: SCHEMA,
        strategy: settings.strategy.name.clone(),
        config: settings.strategy.config.clone(),
        calibration: settings.strategy.calibration.clone(),
        budget: candidate.budget(),
        model: run.model_name.to_string(),
        cache,
        quality,
        speed: speed(timing.candidate.as_ref().map(smartkv_eval::Timing::speed)),
        tasks: tasks(needle.as_ref()),
        reference: ReferenceRecord {
            strategy: "f16".to_string(),
            cache: cache_f16,
            speed: speed(Some(timing.reference.speed())),
            tasks: tasks(needle_f16.as_ref()),
        },
        protocol: protocol(&run, &result, needle.as_ref()),
        environment: run.environment,
        samples: Samples {
            windows: windows(&result),
            needle: needle.map_or_else(Vec::new, |n| n.samples),
            needle_f16: needle_f16.map_or_else(Vec::new, |n| n.samples),
        },
    })
}

fn quality(result: &LockstepResult, fidelity: &Fidelity) -> QualityRecord {
    QualityRecord {
        perplexity: fidelity.perplexity.perplexity,
        perplexity_f16: result.reference.perplexity,
        perplexity_ratio: fidelity.perplexity_ratio,
        perplexity_ratio_interval: fidelity.perplexity_ratio_interval,
        kl_mean: fidelity.kl_nats.mean,
        kl_mean_interval: fidelity.mean_kl_nats.interval,
        kl_median: fidelity.kl_nats.median,
        kl_p95: fidelity.kl_nats.p95,
        kl_p99: fidelity.kl_nats.p99,
        kl_max: fidelity.kl_nats.max,
        top1_agreement: fidelity.top1_agreement.mean,
        top1_agreement_interval: fidelity.top1_agreement.interval,
        top5_overlap: fidelity.tokens.top5_overlap,
        confident_top1_agreement: fidelity.tokens.confident_top1_agreement,
        tokens: fidelity.perplexity.scored_tokens,
        windows: fidelity.perplexity.windows,
    }
}

fn tasks(needle: Option<&NeedleResult>) -> Tasks {
    let record = |result: &NeedleResult| NeedleRecord {
        accuracy: result.accuracy.share,
        accuracy_interval: result.accuracy.interval,
        correct: result.accuracy.successes,
        n: result.accuracy.trials,
        gold_log_prob_per_token: result.gold_log_prob_per_token_nats,
        cells: result
            .cells
            .iter()
            .map(|cell| NeedleCellRecord {
                length_tokens: cell.length_tokens,
                depth_percent: cell.depth_percent,
                accuracy: cell.accuracy.share,
            })
            .collect(),
    };
    Tasks {
        needle: needle.map(record),
    }
}

fn windows(result: &LockstepResult) -> Vec<WindowSample> {
    let sample = |window: &smartkv_eval::WindowRecord| WindowSample {
        start: window.start,
        nll_f16: window.reference_mean_nll_nats,
        fidelity: window.candidate,
    };
    result.windows.iter().map(sample).collect()
}

fn protocol(
    run: &Evaluation<'_>,
    result: &LockstepResult,
    needle: Option<&NeedleResult>,
) -> ProtocolRecord {
    let settings = run.settings;
    ProtocolRecord {
        name: settings.protocol,
        prefill: settings.prefill,
        prefill_tokens: settings.windows.prefill,
        score_tokens: settings.windows.score,
        windows: result.windows_measured,
        windows_asked: settings.windows.count,
        prefill_chunk: settings.prefill_chunk,
        text: run.text.source.clone(),
        text_sha256: run.text.sha256.clone(),
        text_tokens: result.text_tokens,
        query_aware: needle.is_some_and(|n| n.options.query_aware),
        chat_template: needle.map(|n| n.chat_template),
        seed: settings.seed,
        intervals: "95%: paired percentile bootstrap over windows, 10,000 resamples; Wilson for \
                    shares of prompts",
    }
}
