//! `xtask bench`: smartkv and a rival in turn, and what the ratios are worth.

mod docs;
mod memory;
// One way to know whether the machine was idle, in the program and beside it.
#[path = "../../src/cli/bench/others.rs"]
mod others;
mod ours;
mod process;
mod report;
mod rival;
mod rounds;
mod run;
mod spread;
mod targets;

use anyhow::Context as _;
use clap::ValueEnum;
use ours::Smartkv;
use rival::Rival;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Measure smartkv and another program in turn, on the same model, threads and contexts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench --rival llama.cpp
  cargo xtask bench --rival llama.cpp --rounds 5 --update-docs
  cargo xtask bench --rival llama.cpp --python ~/venv/bin/python --contexts 128,1024 --no-memory

The rival is installed with pip into an environment of its own under target/rival and kept there;
building it takes minutes. It is built for this very machine, as its users have it; smartkv is the
default release build.

Each cache format of the rival is paired with a strategy: f16 with f16, q8_0 with --eight-bit, q4_0
with --four-bit. The two of a pair run right after each other, each in a process of its own; who
begins alternates from round to round, and so does the order of pairs. A ratio is taken within one
pair of one round; reported are the median over rounds, the least and the most. Beside --four-bit
runs --mixed, by default smartkv at the bytes that --four-bit holds at the deepest context.

A rival that does not finish within --rival-timeout is left out of later rounds; where q4_0 is
missing, q8_0 stands in its place, and the table says so.

Close everything else: work of others is counted, and the report says how much there was.")]
pub(crate) struct BenchArgs {
    /// The other program.
    #[arg(long, value_enum, default_value_t = RivalName::LlamaCpp)]
    rival: RivalName,
    /// A Python that has the rival already, instead of an environment under target/rival.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// A built smartkv, instead of the release build of this repository.
    #[arg(long, value_name = "PATH")]
    smartkv: Option<PathBuf>,
    /// A name of `smartkv models` or a `.gguf` file; both programs read the same file.
    #[arg(long, value_name = "MODEL", default_value = "smollm2-135m-instruct")]
    model: String,
    /// How smartkv holds weights.
    #[arg(long, value_name = "MODE", default_value = "auto")]
    weights: String,
    /// The strategy that meets `q8_0`.
    #[arg(long, value_name = "STRATEGY", default_value = "uniform-8")]
    eight_bit: String,
    /// The strategy that meets `q4_0`.
    #[arg(long, value_name = "STRATEGY", default_value = "uniform-4")]
    four_bit: String,
    /// The strategy compared with --four-bit [default: smartkv at the same bytes].
    #[arg(long, value_name = "STRATEGY@BUDGET")]
    mixed: Option<String>,
    /// Tokens in the cache when decoding is measured, ascending.
    #[arg(
        long,
        value_name = "N,N",
        value_delimiter = ',',
        default_value = "128,1024,4096"
    )]
    contexts: Vec<usize>,
    /// Tokens of the prompt that prefill is measured on.
    #[arg(long, value_name = "N", default_value_t = 512)]
    prefill_tokens: usize,
    /// Tokens decoded and timed at every context.
    #[arg(long, value_name = "N", default_value_t = 32)]
    tokens: usize,
    /// Tokens of a prompt per forward pass, in both programs.
    #[arg(long, value_name = "N", default_value_t = 512)]
    chunk: usize,
    /// Times that everything is measured.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Threads of both programs; all of the machine's unless told.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Seconds after which one run of the rival is given up.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    rival_timeout: u64,
    /// Leave out the run that measures peak memory at 8k tokens.
    #[arg(long)]
    no_memory: bool,
    /// Where the report goes: PATH.md and PATH.json.
    #[arg(
        short,
        long,
        value_name = "PATH",
        default_value = "target/rival/report"
    )]
    out: PathBuf,
    /// Also put the report into its place in docs/benchmarks.md.
    #[arg(long)]
    update_docs: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RivalName {
    /// llama.cpp through llama-cpp-python, its low-level interface.
    #[value(name = "llama.cpp")]
    LlamaCpp,
}

impl BenchArgs {
    fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.unwrap_or_else(all)
    }

    fn deepest(&self) -> usize {
        self.contexts.last().copied().unwrap_or(0)
    }

    fn check(&self) -> anyhow::Result<()> {
        for (option, value) in [
            ("rounds", self.rounds),
            ("tokens", self.tokens),
            ("chunk", self.chunk),
            ("prefill-tokens", self.prefill_tokens),
            ("threads", self.threads()),
        ] {
            anyhow::ensure!(value > 0, "--{option} 0: expected at least 1");
        }
        anyhow::ensure!(
            self.contexts.is_sorted_by(|a, b| a < b) && self.contexts.first() != Some(&0),
            "--contexts {:?}: expected lengths above 0, ascending, each once",
            self.contexts
        );
        Ok(())
    }
}

/// The folder of the repository.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Adds to the name, also to one with a dot such as `llama.cpp`.
fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    args.check()?;
    let [markdown, json] = ["md", "json"].map(|extension| with_extension(&args.out, extension));
    // Minutes of measuring are not lost to a folder that is not there.
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let smartkv = Smartkv::prepare(args)?;
    let rival = match args.rival {
        RivalName::LlamaCpp => Rival::prepare(args, smartkv.model_file())?,
    };
    let rounds = rounds::measure(args, &smartkv, &rival)?;
    let memory = if args.no_memory {
        Vec::new()
    } else {
        memory::measure(&smartkv)?
    };
    let report = report::Report {
        args,
        smartkv: &smartkv,
        rounds: &rounds,
        memory: &memory,
    };
    let text = report.markdown();
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write(&markdown, &text)?;
    write(&json, &format!("{:#}\n", report.json()))?;
    if args.update_docs {
        docs::update(&text)?;
    }
    std::io::stdout().write_all(text.as_bytes())?;
    eprintln!("written to {} and {}", markdown.display(), json.display());
    Ok(())
}
