//! llama.cpp, through the low-level interface of llama-cpp-python.

use super::run::Run;
use super::{BenchArgs, process, root};
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What is installed, unless a Python is given.
const PACKAGE: &str = "llama-cpp-python==0.3.36";

/// The module's name, to see whether it is there.
const MODULE: &str = "llama_cpp";

/// The rival's Python and the script that times it.
#[derive(Debug)]
pub(super) struct Rival<'a> {
    args: &'a BenchArgs,
    python: PathBuf,
    script: PathBuf,
    model: &'a Path,
}

impl<'a> Rival<'a> {
    /// Finds the rival, or installs it once.
    pub(super) fn prepare(args: &'a BenchArgs, model: &'a Path) -> anyhow::Result<Self> {
        let python = match &args.python {
            Some(python) => {
                anyhow::ensure!(
                    has_module(python),
                    "--python {}: it cannot import {MODULE}; install {PACKAGE} into it",
                    python.display()
                );
                python.clone()
            }
            None => environment()?,
        };
        Ok(Self {
            args,
            python,
            script: root().join("xtask/rivals/time_llama_cpp.py"),
            model,
        })
    }

    /// One round with one format of cache; `None` if it does not finish in time.
    pub(super) fn measure(&self, cache: &str) -> anyhow::Result<Option<Run>> {
        let args = self.args;
        let contexts: Vec<String> = args.contexts.iter().map(ToString::to_string).collect();
        let mut command = Command::new(&self.python);
        command
            .arg(&self.script)
            .arg(self.model)
            .args(["--kv", cache, "--contexts", &contexts.join(",")])
            .args(["--prefill-tokens", &args.prefill_tokens.to_string()])
            .args(["--tokens", &args.tokens.to_string()])
            .args(["--threads", &args.threads().to_string()])
            .args(["--chunk", &args.chunk.to_string()]);
        let limit = Duration::from_secs(args.rival_timeout);
        let Some(text) = process::output(&mut command, Some(limit))? else {
            return Ok(None);
        };
        let raw = serde_json::from_str(&text).context("the rival's script printed no JSON")?;
        Run::parse(raw).map(Some)
    }
}

fn has_module(python: &Path) -> bool {
    let status = Command::new(python)
        .args(["-c", &format!("import {MODULE}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// The Python of an environment under `target/`, made and filled if need be.
fn environment() -> anyhow::Result<PathBuf> {
    let folder = root().join("target/rival/llama.cpp");
    let python = if cfg!(windows) {
        folder.join("Scripts/python.exe")
    } else {
        folder.join("bin/python")
    };
    if has_module(&python) {
        return Ok(python);
    }
    eprintln!(
        "installing {PACKAGE} into {}: this takes minutes",
        folder.display()
    );
    process::finish(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        .context("cannot make a virtual environment; --python takes an existing one")?;
    process::finish(Command::new(&python).args(["-m", "pip", "install", PACKAGE]))
        .with_context(|| format!("cannot install {PACKAGE}; --python takes an existing one"))?;
    anyhow::ensure!(
        has_module(&python),
        "{PACKAGE} is installed but cannot be imported"
    );
    Ok(python)
}
