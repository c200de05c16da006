//! Options of every analysis that runs a model over a text.

use crate::assets::{Policy, Progress, Text, resolve_text};
use crate::cli::output;
use crate::cli::session::{DEFAULT_MODEL, Loaded, ModelArgs};
use crate::cli::{bar::Bar, out_file};
use crate::experiment::analyze::Passage;
use serde::Serialize;
use smartkv_core::Prefill;
use smartkv_eval::Windows;
use std::path::{Path, PathBuf};

/// A model, a text, a seed, and where the record goes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PassageArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Text to run: `essays`, `wikitext-2` or a file [default: essays].
    #[arg(long, value_name = "TEXT", env = "SMARTKV_TEXT")]
    text: Option<String>,
    /// Seed of everything random.
    #[arg(long, value_name = "N", env = "SMARTKV_SEED", default_value_t = 0)]
    pub(super) seed: u64,
    /// Also write the record to this file, whole or not at all.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A loaded model and a text.
pub(super) struct Opened {
    pub(super) loaded: Loaded,
    pub(super) text: Text,
}

impl PassageArgs {
    /// What is asked for, or the default model.
    pub(super) fn model(&self) -> &str {
        self.model.model.as_deref().unwrap_or(DEFAULT_MODEL)
    }

    /// Checks where the record goes, then loads model and text.
    pub(super) fn open(&self, policy: &Policy) -> anyhow::Result<Opened> {
        if let Some(path) = &self.out {
            out_file::check(path)?;
        }
        let weights = self.model.weights.as_deref().unwrap_or("auto");
        let loaded = Loaded::load(self.model(), weights, policy)?;
        let text = self.text.as_deref().unwrap_or("essays");
        let text = resolve_text(text, policy, &Progress::Stderr)?;
        Ok(Opened { loaded, text })
    }

    /// What the analysis runs on.
    pub(super) fn passage<'a>(
        &self,
        opened: &'a Opened,
        windows: Windows,
        prefill: Prefill,
    ) -> anyhow::Result<Passage<'a>> {
        Ok(Passage {
            model: &opened.loaded.model,
            model_name: &opened.loaded.name,
            text: &opened.text,
            windows,
            prefill,
            seed: self.seed,
            environment: opened.loaded.environment()?,
        })
    }

    /// Writes and prints a record.
    pub(super) fn give<R: Serialize>(
        &self,
        record: &R,
        as_json: bool,
        table: impl FnOnce(&R) -> String,
    ) -> anyhow::Result<()> {
        give(self.out.as_deref(), record, as_json, table)
    }
}

/// Writes a record to a file, if there is one, and prints it: as JSON, or as a table.
pub(super) fn give<R: Serialize>(
    out: Option<&Path>,
    record: &R,
    as_json: bool,
    table: impl FnOnce(&R) -> String,
) -> anyhow::Result<()> {
    if let Some(path) = out {
        out_file::write(path, record)?;
    }
    if as_json {
        output::json(record)
    } else {
        output::text(&table(record))
    }
}

/// Runs `work` with a bar that is gone afterwards, also after an error.
pub(super) fn with_bar<R>(work: impl FnOnce(&Bar) -> anyhow::Result<R>) -> anyhow::Result<R> {
    let bar = Bar::default();
    let result = work(&bar);
    bar.finish();
    result
}
