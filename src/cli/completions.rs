//! `smartkv completions`: shell completion scripts.

use super::{Cli, output};
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

/// Write a completion script to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv completions bash > ~/.local/share/bash-completion/completions/smartkv
  smartkv completions zsh > ~/.zfunc/_smartkv
  smartkv completions fish > ~/.config/fish/completions/smartkv.fish")]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "smartkv", &mut script);
    output::text(&String::from_utf8_lossy(&script))
}
