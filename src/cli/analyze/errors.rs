//! `smartkv analyze errors`: where a strategy loses, and the samples it loses most on.

mod table;

use super::passage::{give, with_bar};
use crate::assets::{Policy, Progress, resolve_text};
use crate::cli::out_file;
use crate::cli::session::Loaded;
use crate::experiment::analyze::{ErrorAnalysis, ErrorsRead, RerunWindow, read_errors};
use smartkv_eval::WindowCount;
use std::path::PathBuf;

/// Read records of evaluations and tasks and say where a strategy loses against f16.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv eval --strategy smartkv --budget 0.25 --task assoc_recall,ruler --out tasks.json
  smartkv analyze errors tasks.json
  smartkv eval --strategy smartkv --budget 0.2 --windows 24 --out windows.json
  smartkv analyze errors windows.json --rerun 3
  smartkv analyze errors results --json

A folder stands for the records in it, a store for its cells. --rerun runs the windows of largest
divergence once more, with the model and text of their record, and shows the tokens that went
wrong.")]
pub(super) struct ErrorsArgs {
    /// Records of `smartkv eval --out`, or folders of them.
    #[arg(value_name = "RECORD", required = true)]
    records: Vec<PathBuf>,
    /// Worst samples, windows and tokens to show.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        allow_negative_numbers = true
    )]
    worst: usize,
    /// Run so many of the worst windows of each strategy again, or `all`.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    rerun: Option<WindowCount>,
    /// With --rerun: the model, where the record's name does not lead to it.
    #[arg(long, value_name = "MODEL", requires = "rerun")]
    model: Option<String>,
    /// With --rerun: the text, likewise.
    #[arg(long, value_name = "TEXT", requires = "rerun")]
    text: Option<String>,
    /// Seed of intervals.
    #[arg(long, value_name = "N", env = "SMARTKV_SEED", default_value_t = 0)]
    seed: u64,
    /// Also write the record to this file, whole or not at all.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ErrorsArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    if let Some(path) = &args.out {
        out_file::check(path)?;
    }
    let read = read_errors(&ErrorAnalysis {
        paths: &args.records,
        worst: args.worst,
        seed: args.seed,
    })?;
    let rerun = match args.rerun {
        Some(count) => args.rerun(&read, count, policy)?,
        None => Vec::new(),
    };
    let record = read.summarise(rerun)?;
    give(args.out.as_deref(), &record, as_json, table::render)
}

impl ErrorsArgs {
    fn rerun(
        &self,
        read: &ErrorsRead,
        count: WindowCount,
        policy: &Policy,
    ) -> anyhow::Result<Vec<RerunWindow>> {
        let count = match count {
            WindowCount::UpTo(0) => anyhow::bail!("--rerun 0: expected at least 1, or all"),
            WindowCount::UpTo(count) => Some(count),
            WindowCount::All => None,
        };
        let all = read.needed(count);
        anyhow::ensure!(
            !all.is_empty(),
            "--rerun: the records have no windows of a text, only samples of tasks"
        );
        let mut rerun = Vec::new();
        for needed in &all {
            let model = self.model.as_ref().unwrap_or(&needed.model);
            let loaded = Loaded::load(model, &needed.weights, policy)?;
            let text = self.text.as_ref().unwrap_or(&needed.text);
            let text = resolve_text(text, policy, &Progress::Stderr)?;
            let sha256 = loaded.environment()?.model_sha256;
            rerun.extend(with_bar(|bar| {
                read.rerun(needed, &loaded.model, sha256.as_deref(), &text, bar)
            })?);
        }
        Ok(rerun)
    }
}
