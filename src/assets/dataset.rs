//! Data sets of evaluation tasks.

use super::{AssetError, Policy, Progress, resolve_text};
use smartkv_eval::EvalError;
use smartkv_eval::task::{DataFile, DataSource, Haystack};
use std::path::PathBuf;

/// Finds data sets.
#[derive(Clone, Debug)]
pub struct Datasets {
    policy: Policy,
    _folder: Option<PathBuf>,
}

impl Datasets {
    /// Looks in `folder` first.
    #[must_use]
    pub fn new(policy: Policy, folder: Option<PathBuf>) -> Self {
        Self {
            policy,
            _folder: folder,
        }
    }
}

fn outside(error: AssetError) -> EvalError {
    EvalError::Outside {
        hints: error.hints(),
        error: Box::new(error),
    }
}

impl DataSource for Datasets {
    fn files(&self, root: &str, names: &[&str]) -> smartkv_eval::Result<Vec<DataFile>> {
        Err(EvalError::Task(format!("{root}: none of {names:?}")))
    }

    fn text(&self, name: &str) -> smartkv_eval::Result<Haystack> {
        let text = resolve_text(name, &self.policy, &Progress::Stderr).map_err(outside)?;
        Ok(Haystack {
            name: text.source,
            text: text.text,
        })
    }
}
