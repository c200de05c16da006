//! Runs one evaluation: the f16 cache and the strategy side by side on the same tokens.

use super::journal::{RunJournal, WindowsJournal};
use super::needles::{KeptNeedles, Needles};
use super::record::{
    CacheRecord, Environment, EvalRecord, ProtocolRecord, QualityRecord, ReferenceRecord, SCHEMA,
    Samples, Tasks, WindowSample,
};
use super::settings::EvalSettings;
use crate::assets::Text;
use anyhow::Context as _;
use serde_json::{Value, json};
use smartkv_core::{Cache, CacheShape, Prefill};
use smartkv_eval::task::Side;
use smartkv_eval::{
    Bootstrap, Fidelity, Haystack, LockstepOptions, LockstepResult, Measured, NoWindows, Progress,
    Speed, Subject, TaskOptions, WindowJournal, attention_errors, lockstep_from,
};
use smartkv_host::Model;
use std::path::Path;

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
    /// Digest of the model's files.
    pub model_digest: &'a str,
    /// Where unfinished runs are kept; nowhere if absent.
    pub journals: Option<&'a Path>,
}

/// What an evaluation finished on its way, on disk; to be forgotten once its record is safe.
#[derive(Debug, Default)]
pub struct EvalJournals {
    windows: Option<WindowsJournal>,
    needles: Option<KeptNeedles>,
}

impl EvalJournals {
    /// Forgets what is in `record`.
    pub fn finish(self, record: &EvalRecord) {
        if let Some(journal) = self.windows {
            let windows = record.samples.windows.iter().enumerate();
            let done: Vec<_> = windows.map(|(index, w)| (index, w.start)).collect();
            journal.finish(&done);
        }
        if let Some((journal, result)) = self.needles {
            journal.finish(&result);
        }
    }
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

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap {
            seed: self.settings.seed,
            ..Bootstrap::default()
        }
    }

    /// Everything that determines what is kept of `what`: any number of windows or needles has the
    /// same ones.
    fn identity(&self, what: &str, how: &Value) -> Value {
        let settings = self.settings;
        let environment = &self.environment;
        json!({
            "schema": SCHEMA,
            "what": what,
            "how": how,
            "smartkv": environment.smartkv,
            "kernels": environment.kernels,
            "weights": environment.weights,
            "model": self.model_digest,
            "strategy": settings.strategy.config,
            "budget": settings.budget,
            "prefill": settings.prefill,
            "prefill_chunk": settings.prefill_chunk,
            "seed": settings.seed,
            "text": self.text.sha256,
        })
    }

    fn options(&self) -> LockstepOptions {
        let settings = self.settings;
        LockstepOptions {
            protocol: settings.protocol,
            windows: settings.windows,
            window_seed: settings.window_seed,
            prefix: self.model.tokenizer().bos().into_iter().collect(),
            prefill_chunk: settings.prefill_chunk,
            keep_tokens: false,
            bootstrap: self.bootstrap(),
        }
    }

    /// Finished windows of an interrupted run. Without a journal, because the disk is read-only or
    /// another process is at the same windows, nothing is worse than that an interrupted run
    /// begins again.
    fn windows_journal(&self, options: &LockstepOptions) -> Option<WindowsJournal> {
        let how = json!({
            "protocol": options.protocol,
            "prefill_tokens": options.windows.prefill,
            "score_tokens": options.windows.score,
            "prefix": options.prefix,
        });
        WindowsJournal::open(self.journals?, &self.identity("windows", &how)).ok()
    }

    /// Likewise of needles.
    fn needles_journal(&self, needles: &Needles<'_>) -> Option<RunJournal> {
        let how = json!({ "grid": needles.grid, "text": self.text.source });
        RunJournal::open(self.journals?, &self.identity("needles", &how)).ok()
    }

    /// The needle grid, unless left out.
    fn needles(&self) -> Option<Needles<'_>> {
        let settings = self.settings;
        Some(Needles {
            model: self.model,
            grid: settings.needle.as_ref()?,
            haystack: Haystack {
                name: self.text.source.clone(),
                text: self.text.text.clone(),
            },
            options: TaskOptions {
                seed: settings.seed,
                prefill_chunk: settings.prefill_chunk,
                control: false,
                bootstrap: self.bootstrap(),
                ..TaskOptions::default()
            },
            exact_prefill: settings.prefill == Prefill::Exact,
        })
    }
}

/// Measures. Equal inputs give equal records, speeds apart, on any number of threads.
///
/// # Errors
/// A budget the strategy cannot hold, a text or needle that does not fit the model's context,
/// and whatever model and cache refuse.
pub fn evaluate(
    run: Evaluation<'_>,
    progress: &dyn Progress,
) -> anyhow::Result<(EvalRecord, EvalJournals)> {
    let settings = run.settings;
    let shape = run.model.cache_shape(1)?;
    let f16 = crate::config::StrategySpec::resolve("f16", &[])?.strategy;
    let mut reference = Cache::builder(shape, f16)
        .kernels(smartkv_kernels::best())
        .build()?;
    let mut candidate = run.cache(shape)?;

    let needles = run.needles();
    if let Some(needles) = &needles {
        needles.check()?;
    }
    let tokens = run.model.tokenizer().encode(&run.text.text, false)?;
    let options = run.options();
    let mut watched = [Measured::new(&mut reference), Measured::new(&mut candidate)];
    let [left, right] = &mut watched;
    let mut journals = EvalJournals {
        windows: run.windows_journal(&options),
        needles: None,
    };
    let mut no_journal = NoWindows;
    let journal: &mut dyn WindowJournal = match &mut journals.windows {
        Some(journal) => journal,
        None => &mut no_journal,
    };
    let model = run.model;
    let right = Some(right as &mut dyn Subject);
    let (result, timing) = lockstep_from(model, &tokens, &options, left, right, journal, progress)?;
    let caches = watched.map(|side| {
        let memory = side.last().unwrap_or_default();
        CacheRecord::new(&memory, side.summary().as_ref())
    });
    let fidelity = result
        .candidate
        .as_ref()
        .context("the candidate was not measured")?;
    let mut quality = quality(&result, fidelity);
    if settings.attention_error {
        let (left, right) = (&mut reference, &mut candidate);
        let errors = attention_errors(model, &tokens, &options, left, right, progress)?;
        quality.attention = Some(errors);
    }

    let budget = candidate.budget();
    let (mut found_f16, mut found, mut chat_template) = (None, None, None);
    if let Some(needles) = &needles {
        chat_template = Some(needles.chat_template()?);
        let caches = [
            ("f16", reference),
            (settings.strategy.name.as_str(), candidate),
        ];
        let mut sides = caches.map(|(name, cache)| Side {
            name: name.to_owned(),
            cache: Box::new(cache),
        });
        let journal = run.needles_journal(needles);
        let (both, kept) = needles.ask(&mut sides, journal, progress)?;
        journals.needles = kept;
        let mut both = both.into_iter();
        (found_f16, found) = (both.next(), both.next());
    }
    let (needle_f16, samples_f16) = found_f16.map(|f| (f.record, f.samples)).unzip();
    let (needle, samples) = found.map(|f| (f.record, f.samples)).unzip();
    let [cache_f16, cache] = caches;
    let nothing = Speed {
        prefill: None,
        decode: None,
    };
    let speed = |timing: Option<Speed>| timing.unwrap_or(nothing).into();
    let record = EvalRecord {
        schema: SCHEMA,
        strategy: settings.strategy.name.clone(),
        config: settings.strategy.config.clone(),
        calibration: settings.strategy.calibration.clone(),
        budget,
        model: run.model_name.to_string(),
        cache,
        quality,
        speed: speed(timing.candidate.as_ref().map(smartkv_eval::Timing::speed)),
        tasks: Tasks { needle },
        reference: ReferenceRecord {
            strategy: "f16".to_string(),
            cache: cache_f16,
            speed: speed(Some(timing.reference.speed())),
            tasks: Tasks { needle: needle_f16 },
        },
        protocol: protocol(&run, &result, chat_template),
        environment: run.environment,
        samples: Samples {
            windows: windows(&result),
            needle: samples.unwrap_or_default(),
            needle_f16: samples_f16.unwrap_or_default(),
        },
    };
    Ok((record, journals))
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
        attention: None,
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
    chat_template: Option<bool>,
) -> ProtocolRecord {
    let settings = run.settings;
    ProtocolRecord {
        name: settings.protocol,
        prefill: settings.prefill,
        prefill_tokens: settings.windows.prefill,
        score_tokens: settings.windows.score,
        windows: result.windows_measured,
        windows_asked: settings.windows.count,
        window_seed: settings.window_seed,
        prefill_chunk: settings.prefill_chunk,
        text: run.text.source.clone(),
        text_sha256: run.text.sha256.clone(),
        text_tokens: result.text_tokens,
        query_aware: false,
        chat_template,
        seed: settings.seed,
        intervals: "95%: paired percentile bootstrap over windows, 10,000 resamples; Wilson for \
                    shares of prompts",
    }
}
