//! `smartkv tables`: what a store of experiments says, as tables.

use super::{out_file, output};
use anyhow::Context as _;
use clap::ValueEnum;
use smartkv_analysis::store::layout;
use smartkv_analysis::table::{Format, Table, provenance};
use smartkv_analysis::tables::{Kind, Options, tables};
use smartkv_analysis::{AnalysisError, Store, Study};
use smartkv_eval::Bootstrap;
use std::path::{Path, PathBuf};

/// Write the tables of finished experiments: means, comparisons, contributions, fronts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv tables                                     every plan of results/
  smartkv tables budget --kind front --metric kl_mean
  smartkv tables components --kind ablation --format latex --out paper/tables --provenance
  smartkv tables budget --kind compare --baseline strategy=f16 --format csv > budget.csv

Numbers are means over seeds, with the standard deviation over seeds and a bootstrap interval over
windows or samples. What each number is: docs/statistics.md.")]
pub(super) struct TablesArgs {
    /// Plans of the store [default: all].
    #[arg(value_name = "PLAN")]
    plans: Vec<String>,
    /// Folder of the experiments.
    #[arg(long, value_name = "DIR", env = "SMARTKV_STORE", default_value = layout::DEFAULT)]
    store: PathBuf,
    /// Kinds of tables [default: summary, and ablation where the plan names a baseline].
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<KindArg>,
    /// Metrics by name [default: the usual ones of the kind].
    #[arg(long = "metric", value_name = "A,B", value_delimiter = ',')]
    metrics: Vec<String>,
    /// How tables are written.
    #[arg(long, value_name = "FORMAT", default_value = "markdown")]
    format: FormatArg,
    /// What rows are held against [default: the plan's own baseline].
    #[arg(long, value_name = "LABEL=VALUE")]
    baseline: Option<String>,
    /// Take hypervolumes of the logarithm of the loss.
    #[arg(long)]
    log: bool,
    /// Resamples of each bootstrap interval.
    #[arg(long, value_name = "N", default_value_t = Bootstrap::default().resamples)]
    resamples: usize,
    /// Write beside each table where its numbers come from: the ids of the cells.
    #[arg(long, requires = "out")]
    provenance: bool,
    /// Write to this file, or one file a table into this folder, instead of printing.
    #[arg(short, long, value_name = "DIR|FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindArg {
    Summary,
    Compare,
    Ablation,
    Regret,
    Front,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Summary => Self::Summary,
            KindArg::Compare => Self::Compare,
            KindArg::Ablation => Self::Ablation,
            KindArg::Regret => Self::Regret,
            KindArg::Front => Self::Front,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    Markdown,
    Latex,
    Csv,
    Typst,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Markdown => Self::Markdown,
            FormatArg::Latex => Self::Latex,
            FormatArg::Csv => Self::Csv,
            FormatArg::Typst => Self::Typst,
        }
    }
}

pub(super) fn run(args: &TablesArgs, as_json: bool) -> anyhow::Result<()> {
    let options = Options {
        metrics: args.metrics.clone(),
        baseline: args.baseline.clone(),
        log: args.log,
        bootstrap: Bootstrap {
            resamples: args.resamples,
            ..Bootstrap::default()
        },
    };
    let mut all = Vec::new();
    let mut lacking = None;
    for study in studies(args)? {
        warn(&study);
        for kind in kinds(args, &study) {
            match tables(&study, kind, &options) {
                Ok(own) => all.extend(own),
                // Nobody asked for this one by name: the others are worth having.
                Err(error @ AnalysisError::Table { .. })
                    if args.plans.is_empty() || args.kind.is_empty() =>
                {
                    eprintln!("warning: {error}");
                    lacking = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    if let Some(error) = lacking.filter(|_| all.is_empty()) {
        return Err(error.into());
    }
    if let Some(out) = &args.out {
        write(args, &all, out)?;
    }
    if as_json {
        return output::json(&serde_json::json!({ "tables": all }));
    }
    if args.out.is_some() {
        return Ok(());
    }
    let format = Format::from(args.format);
    let texts: Vec<String> = all.iter().map(|table| format.write(table)).collect();
    output::text(&texts.join("\n"))
}

fn studies(args: &TablesArgs) -> anyhow::Result<Vec<Study>> {
    let store = Store::open(&args.store)?;
    let plans = if args.plans.is_empty() {
        let found = store.plans()?;
        for (path, schema) in &found.other {
            eprintln!(
                "warning: {} is of version `{schema}` and left out",
                path.display()
            );
        }
        for (path, reason) in &found.corrupt {
            eprintln!("warning: {} cannot be read: {reason}", path.display());
        }
        found.plans
    } else {
        let names = args.plans.iter().map(|name| store.plan(name));
        names.collect::<Result<Vec<_>, _>>()?
    };
    let plans = plans.into_iter();
    Ok(plans.map(|plan| Study::read(&store, plan)).collect())
}

fn kinds(args: &TablesArgs, study: &Study) -> Vec<Kind> {
    if !args.kind.is_empty() {
        return args.kind.iter().copied().map(Kind::from).collect();
    }
    let ablation = study.plan.baseline.is_some().then_some(Kind::Ablation);
    [Kind::Summary].into_iter().chain(ablation).collect()
}

/// Says on standard error what the tables will lack.
fn warn(study: &Study) {
    let plan = &study.plan.name;
    if !study.is_complete() {
        eprintln!("warning: plan `{plan}`: {}", study.census());
    }
    for (cell, failure) in &study.failed {
        eprintln!(
            "warning: plan `{plan}`: {} failed: {}",
            cell.labels, failure.message
        );
    }
    for (path, schema) in &study.other {
        eprintln!(
            "warning: {} is of version `{schema}` and left out",
            path.display()
        );
    }
    for (path, reason) in &study.corrupt {
        eprintln!("warning: {} cannot be read: {reason}", path.display());
    }
}

/// One table into a file that is named, several into a folder.
fn write(args: &TablesArgs, tables: &[Table], out: &Path) -> anyhow::Result<()> {
    let format = Format::from(args.format);
    let file =
        |table: &Table| out.join(format!("{}.{}", file_name(&table.name), format.extension()));
    let named = out
        .extension()
        .is_some_and(|extension| extension == format.extension())
        && !out.is_dir();
    if named && tables.len() > 1 {
        anyhow::bail!(
            "--out {}: {} tables do not go into one file: expected a folder",
            out.display(),
            tables.len()
        );
    }
    let paths: Vec<PathBuf> = if named {
        vec![out.to_path_buf()]
    } else {
        std::fs::create_dir_all(out)
            .with_context(|| format!("--out {}: cannot make the folder", out.display()))?;
        tables.iter().map(file).collect()
    };
    for path in &paths {
        out_file::check(path)?;
    }
    for (table, path) in tables.iter().zip(&paths) {
        out_file::write_text(path, &format.write(table))?;
        if args.provenance {
            out_file::write(
                &path.with_extension("provenance.json"),
                &provenance::of(table),
            )?;
        }
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// A name of a table as a name of a file: metrics of parts of tasks have slashes.
fn file_name(name: &str) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    name.chars().map(safe).collect()
}
