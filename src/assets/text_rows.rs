//! Texts that are the rows of a data set, joined.

use super::disk::{create_dir, publish, with_suffix};
use super::http::verify;
use super::{AssetError, Datasets, Entry, Expected, Policy, Progress, Record, Result, RowsSource};
use super::{FileRecord, Source};
use smartkv_eval::rows;
use std::fs;
use std::path::Path;

/// Makes the text of `entry` in `dir` from the rows that `source` names.
pub(crate) fn fetch_entry(
    entry: &Entry,
    source: &RowsSource,
    dir: &Path,
    policy: &Policy,
    progress: Progress,
) -> Result<Record> {
    let text = join(source, policy, progress)?;
    create_dir(dir)?;
    let mut files: Vec<FileRecord> = Vec::new();
    for file in entry.files.iter().take(1) {
        let dest = dir.join(&file.name);
        let partial = with_suffix(&dest, ".partial");
        let need = Some(text.len() as u64);
        fs::write(&partial, &text).map_err(|error| AssetError::writing(&partial, need, error))?;
        let expected = Expected {
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        };
        files.push(verify(&partial, &file.name, &expected)?);
        publish(&partial, &dest)?;
    }
    Ok(Record {
        source: Source::Rows(source.clone()).to_string(),
        commit: None,
        files,
    })
}

fn join(source: &RowsSource, policy: &Policy, progress: Progress) -> Result<String> {
    let names: Vec<&str> = source.names.iter().map(String::as_str).collect();
    let mut text = String::new();
    let mut is_first = true;
    for file in Datasets::new(policy, progress).find(&source.dataset, &names)? {
        for row in rows::read(&file).map_err(|error| AssetError::Rows(error.to_string()))? {
            let row = row.map_err(|error| AssetError::Rows(error.to_string()))?;
            let Some(row) = row.get(&source.field).and_then(|value| value.as_str()) else {
                let reason = format!("{}: a row without a text `{}`", file.name, source.field);
                return Err(AssetError::Rows(reason));
            };
            if !std::mem::take(&mut is_first) {
                text.push_str(&source.separator);
            }
            text.push_str(row);
        }
    }
    Ok(text)
}
