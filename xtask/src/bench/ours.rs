//! smartkv: built, and run as its users run it.

use super::run::Run;
use super::{BenchArgs, process, root};
use anyhow::Context as _;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The built program and the model both programs read.
#[derive(Debug)]
pub(super) struct Smartkv<'a> {
    args: &'a BenchArgs,
    program: PathBuf,
    model: PathBuf,
    context_length: usize,
}

impl<'a> Smartkv<'a> {
    /// Builds the program and finds the model's file.
    pub(super) fn prepare(args: &'a BenchArgs) -> anyhow::Result<Self> {
        let program = match &args.smartkv {
            Some(program) => program.clone(),
            None => build()?,
        };
        let given = Path::new(&args.model);
        if !given.is_file() {
            process::finish(Command::new(&program).args(["models", "pull", &args.model]))?;
        }
        let mut command = Command::new(&program);
        command.args(["models", "info", &args.model, "--json"]);
        let info = object(&mut command)?;
        let model = match info["path"].as_str() {
            Some(path) => PathBuf::from(path),
            None => given.to_path_buf(),
        };
        anyhow::ensure!(
            model.is_file(),
            "--model {}: expected a model in one `.gguf` file, which the rival can read too",
            args.model
        );
        let context_length = info["model"]["context_length"]
            .as_u64()
            .context("`smartkv models info` tells no context length")?;
        Ok(Self {
            args,
            program,
            model,
            context_length: usize::try_from(context_length)?,
        })
    }

    pub(super) fn model_file(&self) -> &Path {
        &self.model
    }

    pub(super) fn context_length(&self) -> usize {
        self.context_length
    }

    /// One round of some strategies; also what they were measured with.
    pub(super) fn measure(&self, strategies: &[&str]) -> anyhow::Result<(Vec<Run>, Value)> {
        let args = self.args;
        let contexts: Vec<String> = args.contexts.iter().map(ToString::to_string).collect();
        let numbers = [args.prefill_tokens, args.tokens].map(|n| n.to_string());
        let record = self.bench(&[
            "--strategy",
            &strategies.join(","),
            "--contexts",
            &contexts.join(","),
            "--prefill-tokens",
            &numbers[0],
            "--tokens",
            &numbers[1],
        ])?;
        let samples = record["samples"].as_array().context("no `samples`")?;
        let runs: Vec<Run> = samples
            .iter()
            .map(|sample| Run::parse(sample.clone()))
            .collect::<anyhow::Result<_>>()?;
        anyhow::ensure!(
            runs.len() == strategies.len(),
            "{} samples of {} strategies",
            runs.len(),
            strategies.len()
        );
        Ok((runs, record["environment"].clone()))
    }

    /// The last row of a strategy at one context, after as few tokens as can be.
    pub(super) fn row(
        &self,
        strategy: &str,
        context: usize,
        prefill: &str,
    ) -> anyhow::Result<Value> {
        let context = context.to_string();
        let record = self.bench(&[
            "--strategy",
            strategy,
            "--contexts",
            &context,
            "--prefill-tokens",
            &context,
            "--tokens",
            "1",
            "--prefill",
            prefill,
        ])?;
        let rows = record["rows"].as_array().context("no `rows`")?;
        rows.last().cloned().context("no row")
    }

    fn bench(&self, options: &[&str]) -> anyhow::Result<Value> {
        let args = self.args;
        let mut command = Command::new(&self.program);
        command
            .args([
                "bench",
                "--json",
                "--rounds",
                "1",
                "--weights",
                &args.weights,
            ])
            .args(["--threads", &args.threads().to_string()])
            .args(["--chunk", &args.chunk.to_string()])
            .arg("--model")
            .arg(&self.model)
            .args(options);
        object(&mut command)
    }
}

fn object(command: &mut Command) -> anyhow::Result<Value> {
    let text = process::output(command, None)?.unwrap_or_default();
    serde_json::from_str(&text).context("smartkv printed something that is not JSON")
}

fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--release",
        "--package",
        "smartkv",
        "--bin",
        "smartkv",
    ]);
    process::finish(command.current_dir(root()))?;
    // Beside this program, whatever the target folder is called.
    let here = std::env::current_exe().context("where this program is")?;
    let target = here.ancestors().nth(2).context("the target folder")?;
    let name = format!("smartkv{}", std::env::consts::EXE_SUFFIX);
    Ok(target.join("release").join(name))
}
