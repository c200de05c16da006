//! The needle grid of an evaluation: both caches on the same prompts.

use super::journal::RunJournal;
use super::record::{NeedleCellRecord, NeedleRecord, NeedleSample};
use anyhow::Context as _;
use smartkv_eval::stats::{Proportion, mean};
use smartkv_eval::task::{NoData, NoJournal, SampleRecord, Side, TaskResult};
use smartkv_eval::tasks::Needle;
use smartkv_eval::{Haystack, Progress, Task as _, TaskOptions, TaskRun};
use smartkv_host::Model;

/// The grid, and what it is run on.
pub(super) struct Needles<'a> {
    pub(super) model: &'a Model,
    pub(super) grid: &'a Needle,
    pub(super) haystack: Haystack,
    pub(super) options: TaskOptions,
    /// Whether prompts are compressed at their end, so that one prefill serves both caches.
    pub(super) exact_prefill: bool,
}

/// What one cache found.
pub(super) struct Found {
    pub(super) record: NeedleRecord,
    pub(super) samples: Vec<NeedleSample>,
}

/// A journal, and what it need no longer keep once that is in a record.
pub(super) type KeptNeedles = (RunJournal, TaskResult);

impl Needles<'_> {
    fn run(&self) -> TaskRun<'_> {
        TaskRun {
            model: self.model,
            task: self.grid,
            options: &self.options,
            data: &NoData,
            haystack: &self.haystack,
            exact_prefill: self.exact_prefill,
        }
    }

    /// Refuses needles that cannot be asked for, before minutes are spent on the windows.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let run = self.run();
        self.grid.parts(&run.context()?)?;
        Ok(())
    }

    /// Whether prompts go through the chat template.
    pub(super) fn chat_template(&self) -> anyhow::Result<bool> {
        Ok(self.run().context()?.template.is_some())
    }

    /// What each of `sides` found, in their order; and the journal, if there is one, with what it
    /// need no longer keep.
    pub(super) fn ask(
        &self,
        sides: &mut [Side],
        mut journal: Option<RunJournal>,
        progress: &dyn Progress,
    ) -> anyhow::Result<(Vec<Found>, Option<KeptNeedles>)> {
        let (result, _) = match &mut journal {
            Some(journal) => self.run().run(sides, journal, progress)?,
            None => self.run().run(sides, &mut NoJournal, progress)?,
        };
        let found = |side: usize| -> anyhow::Result<Found> {
            let samples = result.samples.iter().map(|record| sample(record, side));
            let samples = samples.collect::<anyhow::Result<Vec<_>>>()?;
            let record = summary(&samples, self.grid.samples).context("no needle was asked for")?;
            Ok(Found { record, samples })
        };
        let found = (0..sides.len()).map(found).collect::<anyhow::Result<_>>()?;
        Ok((found, journal.map(|journal| (journal, result))))
    }
}

fn sample(record: &SampleRecord, side: usize) -> anyhow::Result<NeedleSample> {
    let attempt = record.attempts.get(side).context("a cache was not asked")?;
    if let Some(why) = &attempt.failure {
        anyhow::bail!("needle in {}: {why}", record.part);
    }
    let number = |name: &str| record.meta.get(name).and_then(serde_json::Value::as_u64);
    let cell = number("length_tokens").zip(number("depth_percent"));
    let (length, depth) = cell.with_context(|| format!("`{}` is no needle cell", record.part))?;
    let text = |name: &str| {
        let value = record.meta.get(name).and_then(serde_json::Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let at = record.meta.get("needle_at_percent");
    Ok(NeedleSample {
        length_tokens: usize::try_from(length)?,
        depth_percent: u32::try_from(depth)?,
        sample: record.index,
        key: text("key"),
        value: record.answers.first().cloned().unwrap_or_default(),
        context_tokens: record.context_tokens,
        prompt_tokens: record.context_tokens + record.question_tokens,
        needle_at_percent: at.and_then(serde_json::Value::as_f64).unwrap_or_default(),
        prediction: attempt.text.clone(),
        generated_tokens: attempt.generated_tokens,
        stop: attempt.stop,
        correct: attempt.score >= 1.0,
        gold_log_prob_per_token_nats: attempt.forced.map(|forced| {
            #[expect(clippy::cast_precision_loss, reason = "tokens of a number")]
            let tokens = forced.tokens.max(1) as f64;
            -forced.nll_nats / tokens
        }),
    })
}

/// Sums samples up, `per_cell` of which follow each other; `None` of nothing.
fn summary(samples: &[NeedleSample], per_cell: usize) -> Option<NeedleRecord> {
    let accuracy = Proportion::of(samples.iter().map(|sample| sample.correct))?;
    let gold = samples
        .iter()
        .filter_map(|s| s.gold_log_prob_per_token_nats);
    let gold: Vec<f64> = gold.collect();
    let cells = samples.chunks(per_cell.max(1)).map(|cell| {
        let first = cell.first()?;
        Some(NeedleCellRecord {
            length_tokens: first.length_tokens,
            depth_percent: first.depth_percent,
            accuracy: Proportion::of(cell.iter().map(|sample| sample.correct))?.share,
        })
    });
    Some(NeedleRecord {
        accuracy: accuracy.share,
        accuracy_interval: accuracy.interval,
        correct: accuracy.successes,
        n: accuracy.trials,
        gold_log_prob_per_token: mean(&gold),
        cells: cells.collect::<Option<_>>()?,
    })
}
