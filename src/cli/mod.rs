//! The command line: one thin file a command.

mod ablate;
mod analyze;
mod ask;
mod bar;
mod bench;
mod calibrate;
mod cell;
mod compare;
mod completions;
mod doctor;
mod eval;
mod failure;
mod figures;
mod generate;
mod models;
mod new;
mod out_file;
mod output;
mod session;
mod strategies;
mod sweep;
mod tables;
mod tasks;
mod track;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Research framework for KV-cache compression: run a real model, let a strategy take over its
/// cache, and read what that costs in bytes, speed and quality.
#[derive(Debug, Parser)]
#[command(name = "smartkv", version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
struct Global {
    /// Print exactly one JSON object on standard output.
    #[arg(long, global = true)]
    json: bool,
    /// Threads to compute with; all of the machine's unless told. Results do not depend on it.
    #[arg(long, global = true, value_name = "N", env = "SMARTKV_THREADS")]
    threads: Option<usize>,
    /// Use nothing but what is on this machine.
    #[arg(long, global = true)]
    offline: bool,
}

const EXAMPLES: &str = "Examples:
  smartkv eval --strategy smartkv --budget 0.5      measure a strategy on the default model
  smartkv eval --strategy uniform-4 --quick --json  a quick look, for a script
  smartkv eval --task assoc_recall --limit 20       what a model still answers
  smartkv compare uniform-4 kivi smartkv@0.3        strategies side by side
  smartkv sweep run budget                          a grid of experiments
  smartkv bench --quick                             a first look at speed and memory
  smartkv calibrate kvtuner --out kvtuner.json      learn a strategy's parameters
  smartkv generate 'Why is the sky blue?' --strategy smartkv --budget 0.25
  smartkv strategies smartkv                        what it does and its parameters
  smartkv new my-strategy                           a crate with a strategy of your own
  smartkv completions bash > ~/.local/share/bash-completion/completions/smartkv";

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure a strategy: bytes, perplexity, divergence from f16, needle retrieval, speed.
    Eval(Box<eval::EvalArgs>),
    /// Compare strategies and budgets on the same tokens: bytes, perplexity, divergence.
    Compare(Box<compare::CompareArgs>),
    /// Measure speed and memory of strategies side by side: prefill, decode by context, bandwidth.
    Bench(Box<bench::BenchArgs>),
    /// Run a grid of experiments: plan, run, status, retry.
    Sweep(sweep::SweepArgs),
    /// Run ablations and say what each part contributes.
    Ablate(ablate::AblateArgs),
    /// Run one cell of a plan, unless its record is there.
    Cell(cell::CellArgs),
    /// Look closely: attention, and what rounding does to it; bytes, times and errors.
    Analyze(analyze::AnalyzeArgs),
    /// Learn a strategy's parameters from a model and a text; write a configuration file.
    Calibrate(calibrate::CalibrateArgs),
    /// Stream text through a strategy and show the bytes of its cache.
    Generate(generate::GenerateArgs),
    /// List the strategies, or explain one.
    Strategies(strategies::StrategiesArgs),
    /// List the tasks, or explain one.
    Tasks(tasks::TasksArgs),
    /// Write the tables of finished experiments: means, comparisons, contributions, fronts.
    Tables(tables::TablesArgs),
    /// Draw finished experiments and analyses: fronts, sweeps, contributions, needles, attention.
    Figures(figures::FiguresArgs),
    /// Write a crate with a strategy of your own.
    New(new::NewArgs),
    /// List, fetch or describe models.
    Models(models::ModelsArgs),
    /// Say what this machine has: SIMD, threads, memory, GPU, caches.
    Doctor(doctor::DoctorArgs),
    /// Write a completion script for a shell.
    Completions(completions::CompletionsArgs),
}

/// Runs the program on the process's arguments. A plugin crate's `main` calls this.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; everything else is a usage error.
            let code = if error.use_stderr() { 2 } else { 0 };
            return if error.print().is_ok() {
                ExitCode::from(code)
            } else {
                ExitCode::FAILURE
            };
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    smartkv_core::registry::check()?;
    crate::config::check_shipped()?;
    let Cli { command, global } = cli;
    session::set_threads(global.threads)?;
    let policy = crate::assets::Policy::from_env().offline_if(global.offline);
    match command {
        Command::Eval(args) => eval::run(*args, &policy, global.json),
        Command::Compare(args) => compare::run(&args, &policy, global.json),
        Command::Bench(args) => bench::run(&args, &policy, global.json),
        Command::Sweep(args) => sweep::run(&args, &policy, global.threads, global.json),
        Command::Ablate(args) => ablate::run(&args, &policy, global.threads, global.json),
        Command::Cell(args) => cell::run(&args, &policy, global.json),
        Command::Analyze(args) => analyze::run(args, &policy, global.json),
        Command::Calibrate(args) => calibrate::run(&args, &policy, global.json),
        Command::Generate(args) => generate::run(&args, &policy, global.json),
        Command::Strategies(args) => strategies::run(&args, global.json),
        Command::Tasks(args) => tasks::run(&args, global.json),
        Command::Tables(args) => tables::run(&args, global.json),
        Command::Figures(args) => figures::run(&args, global.json),
        Command::New(args) => new::run(&args, global.json),
        Command::Models(args) => models::run(args, &policy, global.json),
        Command::Doctor(args) => doctor::run(args, &policy, global.json),
        Command::Completions(args) => completions::run(&args),
    }
}
