//! Where a strategy loses against f16: which tasks, lengths, depths, and which samples.

mod groups;
mod read;
mod rerun;
mod whose;

pub use groups::{SampleGroup, WindowGroup};
pub use rerun::{Needed, RerunWindow, TokenGroup, WorstToken, WorstWindow};

use read::{Asked, Records, Seen};
use serde::Serialize;
use smartkv_eval::Bootstrap;
use std::path::PathBuf;

/// Version of the record. A field that changes its meaning or goes raises the number.
const SCHEMA: &str = "smartkv.errors/1";

/// What is read.
#[derive(Debug)]
pub struct ErrorAnalysis<'a> {
    /// Records of evaluations and tasks, and folders of them.
    pub paths: &'a [PathBuf],
    /// Worst samples, and windows, of each strategy that are shown.
    pub worst: usize,
    /// Seed of intervals.
    pub seed: u64,
}

/// What `smartkv analyze errors --json` prints. See `docs/analyze.md`.
#[derive(Debug, Serialize)]
pub struct ErrorsRecord {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The files that were read, with their schemas.
    pub files: Vec<FileRecord>,
    /// Samples of tasks, and needles, by what they have in common.
    pub samples: Vec<SampleGroup>,
    /// The samples that lost most of each strategy, the worst first.
    pub worst_samples: Vec<WorstSample>,
    /// Windows of a text by what they have in common.
    pub windows: Vec<WindowGroup>,
    /// The windows that lost most of each strategy, the worst first.
    pub worst_windows: Vec<WorstWindow>,
    /// Windows that were run again, with their worst tokens.
    pub rerun: Vec<RerunWindow>,
    /// Tokens of all windows that were run again, by what they have in common.
    pub tokens: Vec<TokenGroup>,
    /// Seed of intervals.
    pub seed: u64,
    /// How intervals were made.
    pub intervals: &'static str,
}

/// A file that was read.
#[derive(Debug, Clone, Serialize)]
pub struct FileRecord {
    /// Its path.
    pub path: String,
    /// Its schema.
    pub schema: String,
}

/// A sample that lost.
#[derive(Debug, Clone, Serialize)]
pub struct WorstSample {
    /// The strategy with its budget.
    pub strategy: String,
    /// The task.
    pub task: String,
    /// Its part.
    pub part: String,
    /// The sample's place in the part.
    pub index: usize,
    /// What identifies it in its data.
    pub id: String,
    /// Tokens that were compressed.
    pub context_tokens: usize,
    /// Depth of what is asked for, where it has one.
    pub depth_percent: Option<f64>,
    /// Score of f16.
    pub score_f16: f64,
    /// Score of the strategy.
    pub score: f64,
    /// Rise of the gold continuation's negative log-probability per token.
    pub gold_nll_rise: Option<f64>,
    /// Mean KL from f16 at the gold continuation.
    pub kl_nats: Option<f64>,
    /// The right answers.
    pub answers: Vec<String>,
    /// What f16 said.
    pub text_f16: String,
    /// What the strategy said.
    pub text: String,
    /// Why it could not answer.
    pub failure: Option<String>,
}

/// The records, read and checked, before windows are run again.
#[derive(Debug)]
pub struct ErrorsRead {
    records: Records,
    worst: usize,
    seed: u64,
}

/// Reads the records.
///
/// # Errors
/// A file that is no record or one of another version, numbers that are missing, and records
/// without anything to compare with f16.
pub fn read_errors(run: &ErrorAnalysis<'_>) -> anyhow::Result<ErrorsRead> {
    let records = Records::read(run.paths)?;
    anyhow::ensure!(
        !(records.asked.is_empty() && records.seen.is_empty()),
        "no sample and no window of a strategy beside f16 in {} records",
        records.files.len()
    );
    Ok(ErrorsRead {
        records,
        worst: run.worst,
        seed: run.seed,
    })
}

impl ErrorsRead {
    /// Sums up; windows that were run again are added.
    ///
    /// # Errors
    /// Numbers that are not finite.
    pub fn summarise(&self, rerun: Vec<RerunWindow>) -> anyhow::Result<ErrorsRecord> {
        let how = Bootstrap {
            seed: self.seed,
            ..Bootstrap::default()
        };
        let Records {
            asked, seen, files, ..
        } = &self.records;
        let file = |(path, schema): &(PathBuf, String)| FileRecord {
            path: path.display().to_string(),
            schema: schema.clone(),
        };
        Ok(ErrorsRecord {
            schema: SCHEMA,
            files: files.iter().map(file).collect(),
            samples: groups::of_samples(asked, &how)?,
            worst_samples: worst(asked, self.worst, |s| &s.strategy, sample_loss)
                .into_iter()
                .filter(|sample| sample_loss(sample) > (0.0, 0.0))
                .map(worst_sample)
                .collect(),
            windows: groups::of_windows(seen, &how)?,
            worst_windows: self.worst_windows(self.worst),
            tokens: rerun::token_groups(&rerun),
            rerun,
            seed: self.seed,
            intervals: "95%: percentile bootstrap over samples or windows, 10,000 resamples",
        })
    }

    /// The windows of largest divergence, so many of each strategy.
    #[must_use]
    fn worst_windows(&self, count: usize) -> Vec<WorstWindow> {
        let found = worst(
            &self.records.seen,
            count,
            |w| &w.strategy,
            |w: &Seen| (w.fidelity.mean_kl_nats, 0.0),
        );
        found.into_iter().map(WorstWindow::from).collect()
    }
}

/// Loss of the score, then of the gold continuation.
fn sample_loss(sample: &Asked) -> (f64, f64) {
    let rise = sample.own.gold_nll_nats.zip(sample.f16.gold_nll_nats);
    (
        sample.f16.score - sample.own.score,
        rise.map_or(0.0, |(own, f16)| own - f16),
    )
}

/// So many of each strategy with the largest loss, the worst first, the earlier among equals.
fn worst<T>(
    all: &[T],
    count: usize,
    strategy: impl Fn(&T) -> &String,
    loss: impl Fn(&T) -> (f64, f64),
) -> Vec<&T> {
    let mut strategies: Vec<&String> = all.iter().map(&strategy).collect();
    strategies.sort();
    strategies.dedup();
    let of = |name: &String| {
        let mut own: Vec<&T> = all.iter().filter(|one| strategy(one) == name).collect();
        own.sort_by(|a, b| {
            let (a, b) = (loss(a), loss(b));
            b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
        });
        own.truncate(count);
        own
    };
    strategies.into_iter().flat_map(of).collect()
}

fn worst_sample(sample: &Asked) -> WorstSample {
    let rise = sample.own.gold_nll_nats.zip(sample.f16.gold_nll_nats);
    WorstSample {
        strategy: sample.strategy.clone(),
        task: sample.task.clone(),
        part: sample.part.clone(),
        index: sample.index,
        id: sample.id.clone(),
        context_tokens: sample.context_tokens,
        depth_percent: sample.depth_percent,
        score_f16: sample.f16.score,
        score: sample.own.score,
        gold_nll_rise: rise.map(|(own, f16)| own - f16),
        kl_nats: sample.kl_nats,
        answers: sample.answers.clone(),
        text_f16: sample.f16.text.clone(),
        text: sample.own.text.clone(),
        failure: sample.own.failure.clone(),
    }
}
