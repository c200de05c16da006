//! `smartkv figures`: what records show, as figures.

use super::output;
use super::tables::{studies, warn};
use clap::ValueEnum;
use serde_json::json;
use smartkv_analysis::figure::Width;
use smartkv_analysis::figures::folder::{self, Format, Made};
use smartkv_analysis::figures::{
    AnalysisRecord, Drawing, Kind, Options, Origin, Recipe, of_record, of_study,
};
use smartkv_analysis::store::layout;
use smartkv_analysis::{AnalysisError, Store};
use smartkv_eval::Bootstrap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Draw finished experiments and analyses: fronts, sweeps, contributions, needles, attention, bits.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv figures                                    all that results/ can give
  smartkv figures budget --kind pareto,sweep --metric kl_mean,perplexity
  smartkv figures attention.json memory.json --format svg,pdf
  smartkv figures components --kind ablation --baseline variant=full --provenance
  smartkv figures --check                            are figures/ what the records give?

Each figure has a NAME.json with its data, its cells, and how it was drawn: docs/figures.md.")]
pub(super) struct FiguresArgs {
    /// Plans of the store, and records of `smartkv analyze` (*.json) [default: all of the store].
    #[arg(value_name = "PLAN|RECORD.json")]
    inputs: Vec<String>,
    /// Folder of the experiments.
    #[arg(long, value_name = "DIR", env = "SMARTKV_STORE", default_value = layout::DEFAULT)]
    store: PathBuf,
    /// Kinds of figures [default: all that there are data for].
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<KindArg>,
    /// Metrics by name [default: the one that fits best].
    #[arg(long = "metric", value_name = "A,B", value_delimiter = ',')]
    metrics: Vec<String>,
    /// What an ablation is held against [default: the plan's own baseline].
    #[arg(long, value_name = "LABEL=VALUE")]
    baseline: Option<String>,
    /// Folder that figures are written to.
    #[arg(short, long, value_name = "DIR", default_value = "figures")]
    out: PathBuf,
    /// Formats of the files.
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        default_value = "svg,pdf,png"
    )]
    format: Vec<FormatArg>,
    /// Resolution of PNG files in dots per inch.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=2400))]
    dpi: u32,
    /// Columns of the paper that a figure takes [default: what suits the kind].
    #[arg(long, value_name = "COLUMNS")]
    width: Option<WidthArg>,
    /// Resamples of each bootstrap interval.
    #[arg(long, value_name = "N", default_value_t = Bootstrap::default().resamples)]
    resamples: usize,
    /// Write beside each figure where each number comes from: the ids of the cells.
    #[arg(long)]
    provenance: bool,
    /// Make every figure of the folder again and fail if a file is not what the records give.
    #[arg(long, conflicts_with_all = ["inputs", "kind", "metrics", "baseline", "width", "provenance"])]
    check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindArg {
    Pareto,
    Sweep,
    Ablation,
    Needle,
    Cost,
    Attention,
    Entropy,
    Allocation,
    Tokens,
    Budget,
    Latency,
    Sensitivity,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Pareto => Self::Pareto,
            KindArg::Sweep => Self::Sweep,
            KindArg::Ablation => Self::Ablation,
            KindArg::Needle => Self::Needle,
            KindArg::Cost => Self::Cost,
            KindArg::Attention => Self::Attention,
            KindArg::Entropy => Self::Entropy,
            KindArg::Allocation => Self::Allocation,
            KindArg::Tokens => Self::Tokens,
            KindArg::Budget => Self::Budget,
            KindArg::Latency => Self::Latency,
            KindArg::Sensitivity => Self::Sensitivity,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    Svg,
    Pdf,
    Png,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Svg => Self::Svg,
            FormatArg::Pdf => Self::Pdf,
            FormatArg::Png => Self::Png,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WidthArg {
    Single,
    Double,
}

impl From<WidthArg> for Width {
    fn from(width: WidthArg) -> Self {
        match width {
            WidthArg::Single => Self::Single,
            WidthArg::Double => Self::Double,
        }
    }
}

/// Figures of one plan or record.
struct Drawn {
    from: Origin,
    drawings: Vec<Drawing>,
}

pub(super) fn run(args: &FiguresArgs, as_json: bool) -> anyhow::Result<()> {
    if args.check {
        return check(args, as_json);
    }
    let drawn = draw(args)?;
    let recipe = Recipe {
        metric: None,
        baseline: args.baseline.clone(),
        width: args.width.map(Width::from),
        bootstrap: bootstrap(args),
        dpi: f64::from(args.dpi),
    };
    let mut made: Vec<Made> = Vec::new();
    let mut listed = Vec::new();
    let mut failed = None;
    for Drawn { from, drawings } in &drawn {
        for drawing in drawings {
            for sentence in &drawing.left_out {
                eprintln!("warning: {} does not show {sentence}", drawing.name);
            }
            let (present, provenance) = folder::present(&args.out, &drawing.name);
            let wanted = |format: &Format| {
                present.contains(format)
                    || args.format.iter().any(|own| Format::from(*own) == *format)
            };
            let mut formats = vec![Format::Svg, Format::Pdf, Format::Png];
            formats.retain(wanted);
            let provenance = provenance || args.provenance;
            let own = match folder::make(drawing, from, &recipe, &formats, provenance) {
                Ok(own) => own,
                // The others are drawn all the same.
                Err(error) => {
                    eprintln!("warning: {error}");
                    failed = failed.or(Some(error));
                    continue;
                }
            };
            listed.push(json!({
                "name": drawing.name,
                "kind": drawing.kind.name(),
                "from": from,
                "files": own.files.iter().map(|(ending, _)| format!("{}.{ending}", drawing.name)).collect::<Vec<_>>(),
                "cells": drawing.data.cells().len(),
                "left_out": drawing.left_out,
            }));
            made.push(own);
        }
    }
    folder::write(&args.out, &made)?;
    if as_json {
        output::json(&json!({
            "schema": "smartkv.figures/1",
            "out": args.out,
            "figures": listed,
        }))?;
    }
    if !as_json {
        let mut text = String::new();
        for own in &made {
            let endings: Vec<&str> = own
                .files
                .iter()
                .map(|(ending, _)| ending.as_str())
                .collect();
            let path = args.out.join(&own.name);
            let _ = writeln!(text, "{}.{{{}}}", path.display(), endings.join(","));
        }
        output::text(&text)?;
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

fn bootstrap(args: &FiguresArgs) -> Bootstrap {
    Bootstrap {
        resamples: args.resamples,
        ..Bootstrap::default()
    }
}

fn check(args: &FiguresArgs, as_json: bool) -> anyhow::Result<()> {
    // Figures of records named by their paths need no store.
    let store = args.store.is_dir().then(|| Store::open(&args.store));
    let checked = folder::check(&args.out, store.transpose()?.as_ref())?;
    if as_json {
        return output::json(&json!({
            "schema": "smartkv.figures-check/1",
            "out": args.out,
            "figures": checked.figures,
            "files": checked.files,
        }));
    }
    eprintln!(
        "checked {} figures in {}: all {} files are what the records give",
        checked.figures,
        args.out.display(),
        checked.files
    );
    Ok(())
}

/// Everything that is asked for, before anything is written.
fn draw(args: &FiguresArgs) -> anyhow::Result<Vec<Drawn>> {
    let options = Options {
        metrics: args.metrics.clone(),
        baseline: args.baseline.clone(),
        width: args.width.map(Width::from),
        bootstrap: bootstrap(args),
    };
    let is_record = |input: &&String| Path::new(input).extension().is_some_and(|e| e == "json");
    let (records, plans): (Vec<&String>, Vec<&String>) = args.inputs.iter().partition(is_record);
    let plans: Vec<String> = plans.into_iter().cloned().collect();
    let everything = args.inputs.is_empty();
    let kinds: Vec<Kind> = args.kind.iter().copied().map(Kind::from).collect();
    let mut asked = Asked {
        by_name: !everything && !kinds.is_empty(),
        kinds,
        lacking: None,
        unknown: None,
    };
    let mut drawn = Vec::new();
    let mut of_store = Vec::new();
    if everything {
        let store = Store::open(&args.store)?;
        let names = AnalysisRecord::names(&store)?;
        of_store = names
            .iter()
            .map(|name| AnalysisRecord::of_store(&store, name))
            .collect();
    }
    // A store of analyses alone has no plans, and that is no fault.
    if !plans.is_empty() || everything && (of_store.is_empty() || has_plans(&args.store)) {
        for study in studies(&args.store, &plans)? {
            warn(&study);
            let drawings = asked.draw(&Kind::OF_PLANS, |kind| of_study(&study, kind, &options))?;
            let from = Origin::Plan(study.plan.name.clone());
            drawn.push(Drawn { from, drawings });
        }
    }
    let named = records
        .into_iter()
        .map(|path| AnalysisRecord::read(Path::new(path)));
    for record in of_store.into_iter().chain(named) {
        let record = match record {
            Ok(record) => record,
            Err(error) if everything => {
                eprintln!("warning: {error}: left out");
                asked.lacking.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let drawings = asked.draw(&Kind::OF_RECORDS, |kind| of_record(&record, kind, &options))?;
        let from = record.origin.clone();
        drawn.push(Drawn { from, drawings });
    }
    let mut all = drawn.iter().flat_map(|own| &own.drawings);
    if let Some((metric, error)) = asked.unknown {
        // One plan of several may lack what another has; none has what was misspelt.
        if !all.any(|drawing| drawing.metric.as_ref() == Some(&metric)) {
            return Err(error.into());
        }
    }
    if drawn.iter().all(|own| own.drawings.is_empty()) {
        let error = asked.lacking.map(anyhow::Error::from);
        return Err(error.unwrap_or_else(|| anyhow::anyhow!("there is nothing to draw")));
    }
    Ok(drawn)
}

fn has_plans(store: &Path) -> bool {
    let plans = layout::Layout::new(store).plans();
    std::fs::read_dir(plans).is_ok_and(|mut entries| entries.next().is_some())
}

/// What is asked for, and what could not be given.
struct Asked {
    kinds: Vec<Kind>,
    /// Whether both the kind and what to draw were named: then it must be there.
    by_name: bool,
    lacking: Option<AnalysisError>,
    /// A metric that a plan does not have.
    unknown: Option<(String, AnalysisError)>,
}

impl Asked {
    /// The figures of one plan or record, of the kinds asked for or all that it can give.
    fn draw(
        &mut self,
        all: &[Kind],
        of: impl Fn(Kind) -> smartkv_analysis::Result<Vec<Drawing>>,
    ) -> anyhow::Result<Vec<Drawing>> {
        let every = self.kinds.is_empty();
        let mut drawings = Vec::new();
        let mut refused = Vec::new();
        for kind in if every { all } else { &self.kinds[..] } {
            match of(*kind) {
                Ok(own) => drawings.extend(own),
                Err(error @ AnalysisError::Figure { .. }) if !self.by_name => refused.push(error),
                Err(AnalysisError::Unknown { what, name, known })
                    if what == "metric" && !self.by_name =>
                {
                    let metric = name.clone();
                    let error = AnalysisError::Unknown { what, name, known };
                    self.unknown.get_or_insert((metric, error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Of all kinds, those that fit are what was asked for.
        if drawings.is_empty() || !every {
            for error in &refused {
                eprintln!("warning: {error}");
            }
        }
        if self.lacking.is_none() {
            self.lacking = refused.into_iter().next();
        }
        Ok(drawings)
    }
}
