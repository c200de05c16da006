//! `smartkv ablate`: what each part contributes.

use super::output;
use super::sweep::{PoolArgs, describe, execute, failures, planned};
use crate::assets::Policy;
use crate::experiment::{Grid, GridSet, SHIPPED_GRIDS, Store};
use smartkv_analysis::Study;
use smartkv_analysis::table::Format;
use smartkv_analysis::tables::{Kind, Options, tables};
use std::path::PathBuf;

/// Run ablations and say what each part contributes, with its interval.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv ablate                                all that come with the program
  smartkv ablate tracking allocator --jobs 2    two of them
  smartkv ablate mine.yaml                      a grid of your own that names a baseline
  smartkv ablate tracking --set base.model=qwen.gguf --set axes.budget=[0.25]

What is in the store is not run again; `smartkv tables` and `smartkv figures` read the same store.")]
pub(super) struct AblateArgs {
    /// Grids that name a baseline [default: the ablations that come with the program].
    #[arg(value_name = "GRID")]
    grids: Vec<String>,
    /// Change the grids: base.windows.count=2, seeds=1, axes.budget=[0.3]; may be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<GridSet>,
    /// A first look: one window of each of two seeds, one budget.
    #[arg(long)]
    quick: bool,
    /// Metrics by name [default: the usual ones].
    #[arg(long = "metric", value_name = "A,B", value_delimiter = ',')]
    metrics: Vec<String>,
    #[command(flatten)]
    pool: PoolArgs,
    /// Folder of records.
    #[arg(
        long,
        value_name = "DIR",
        env = "SMARTKV_STORE",
        default_value = "results"
    )]
    store: PathBuf,
}

/// What `--quick` changes.
const QUICK: [&str; 4] = [
    "base.windows={count: 1, prefill: 256, score: 32, seeded: true}",
    "base.needle={enabled: false}",
    "axes.budget=[0.2]",
    "seeds=2",
];

pub(super) fn run(
    args: &AblateArgs,
    policy: &Policy,
    threads: Option<usize>,
    as_json: bool,
) -> anyhow::Result<()> {
    let shipped = SHIPPED_GRIDS.iter();
    let shipped = shipped.filter(|(_, file, _)| file.starts_with("configs/ablations/"));
    let names: Vec<String> = if args.grids.is_empty() {
        shipped.map(|(name, ..)| (*name).to_string()).collect()
    } else {
        args.grids.clone()
    };
    let mut sets = Vec::new();
    if args.quick {
        for set in QUICK {
            sets.push(set.parse()?);
        }
    }
    sets.extend(args.sets.iter().cloned());
    // All are read and planned before the first cell runs.
    let mut plans = Vec::with_capacity(names.len());
    for name in &names {
        let suffix = (args.quick && args.sets.is_empty()).then_some("quick");
        let grid = Grid::load_with(name, &sets, suffix)?;
        anyhow::ensure!(
            grid.file.baseline.is_some() && grid.file.search.is_none(),
            "{}: an ablation compares with a baseline: expected `baseline: {{variant: full}}`, and \
             no `search`",
            grid.source
        );
        plans.push(planned(&grid, policy)?);
    }
    let store = Store::open(&args.store)?;
    let mut all = Vec::new();
    let mut failed: anyhow::Result<()> = Ok(());
    for plan in &plans {
        let title = plan
            .title
            .as_ref()
            .map_or(String::new(), |title| format!(": {title}"));
        eprintln!("{}{title}", plan.name);
        let summary = execute(plan, &store, &args.pool, policy, threads, false)?;
        eprintln!("{}: {}", plan.name, describe(&summary));
        failed = failed.and(failures(plan, &summary));
        let reader = smartkv_analysis::Store::open(&args.store)?;
        let study = Study::read(&reader, reader.plan(&plan.name)?);
        let options = Options {
            metrics: args.metrics.clone(),
            ..Options::default()
        };
        let found = match tables(&study, Kind::Ablation, &options) {
            Ok(found) => found,
            Err(error) => {
                // The others may still say something.
                eprintln!("warning: {}: {error}", plan.name);
                failed = failed.and(Err(error.into()));
                continue;
            }
        };
        if !as_json {
            for table in &found {
                output::text(&format!("{}\n", Format::Markdown.write(table)))?;
            }
        }
        all.extend(found);
    }
    if as_json {
        output::json(&serde_json::json!({ "schema": "smartkv.ablations/1", "tables": all }))?;
    }
    failed
}
