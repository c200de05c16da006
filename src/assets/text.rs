//! Plain text for tasks: by name or from a file.

use super::fetch::fetch_entry;
use super::{AssetError, Catalogue, Policy, Progress, Result, catalogue, digest, locate_entry};
use std::fs;
use std::path::{Path, PathBuf};

/// A text and what identifies it in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Where it came from: its name in the catalogue, or the path as given.
    pub source: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// The file it was read from; empty for the one in the program.
    pub path: PathBuf,
}

/// The text that `spec` names, a path or a name in the catalogue, fetching it if need be.
///
/// # Errors
///
/// When `spec` means nothing, the text is neither here nor to be had, or it is not UTF-8.
pub fn resolve_text(spec: &str, policy: &Policy, progress: &Progress) -> Result<Text> {
    let catalogue = Catalogue::embedded();
    let path = Path::new(spec);
    if path.is_file() {
        return read(path, spec);
    }
    if let Some(entry) = catalogue.text(spec) {
        let path = match locate_entry(entry, policy) {
            Some(located) => located.path,
            None => fetch_entry(entry, policy, *progress)?,
        };
        return read(&path, &entry.name);
    }
    if spec.contains(['/', '\\', '.']) {
        return Err(AssetError::NoSuchPath(path.to_owned()));
    }
    let known = catalogue.text_names();
    let nearest = catalogue::nearest(spec, known.iter().map(String::as_str)).map(str::to_owned);
    Err(AssetError::Unknown {
        kind: "text",
        name: spec.to_owned(),
        known,
        nearest,
    })
}

/// Plain prose that comes with the program: its own manual. What a calibration reads unless told,
/// so that it is not the text that is evaluated on.
#[must_use]
pub fn builtin_text() -> Text {
    const TEXT: &str = concat!(
        include_str!("../../README.md"),
        include_str!("../../docs/strategies.md"),
        include_str!("../../docs/kernels.md"),
        include_str!("../../docs/benchmarks.md"),
        include_str!("../../docs/checking.md"),
    );
    Text {
        text: TEXT.to_owned(),
        source: "builtin".to_owned(),
        sha256: digest::sha256_bytes(TEXT.as_bytes()),
        path: PathBuf::new(),
    }
}

fn read(path: &Path, source: &str) -> Result<Text> {
    let bytes = fs::read(path).map_err(|error| AssetError::reading(path, error))?;
    let sha256 = digest::sha256_bytes(&bytes);
    let text = String::from_utf8(bytes).map_err(|_| AssetError::NotText(path.to_owned()))?;
    Ok(Text {
        text,
        source: source.to_owned(),
        sha256,
        path: path.to_owned(),
    })
}
