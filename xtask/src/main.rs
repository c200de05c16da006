//! Tasks of developers that are no part of the program.

mod bench;

use clap::{Parser, Subcommand};

/// Tasks of developers: `cargo xtask TASK`.
#[derive(Debug, Parser)]
#[command(name = "xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure smartkv and another program in turn, on the same model, threads and contexts.
    Bench(Box<bench::BenchArgs>),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Bench(args) => bench::run(&args),
    }
}
