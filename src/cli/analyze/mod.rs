//! `smartkv analyze`: attention, bytes, times and errors, looked at closely.

mod attention;
mod errors;
mod latency;
mod memory;
mod passage;

use crate::assets::Policy;
use clap::Subcommand;

/// Look closely at what a model attends to, what a cache holds and costs, and where a strategy
/// loses.
#[derive(Debug, clap::Args)]
pub(super) struct AnalyzeArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Which tokens get attention, whether rounding those hurts more, and the bits they get.
    Attention(Box<attention::AttentionArgs>),
    /// Where a strategy loses against f16, and the samples it loses most on, from records.
    Errors(errors::ErrorsArgs),
    /// Time of decoded tokens, and what tracking and reallocation take of it.
    Latency(Box<latency::LatencyArgs>),
    /// What a cache holds over time, by part, against what its layout predicts.
    Memory(Box<memory::MemoryArgs>),
}

pub(super) fn run(args: AnalyzeArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    match args.what {
        What::Attention(args) => attention::run(&args, policy, as_json),
        What::Errors(args) => errors::run(&args, policy, as_json),
        What::Latency(args) => latency::run(&args, policy, as_json),
        What::Memory(args) => memory::run(&args, policy, as_json),
    }
}
