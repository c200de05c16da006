//! A folder of figures: written whole, and checked against the records.

mod check;

pub use check::{Checked, check};

use super::sidecar::{Provenance, SCHEMA};
use super::{Drawing, Origin, Recipe, Sidecar, file_name};
use crate::error::{AnalysisError, Result};
use crate::figure::{self, Draw as _, FigureError};
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A format that figures are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Scalable, text as text; with a page of HTML for texts of tokens.
    Svg,
    /// Scalable, its font embedded.
    Pdf,
    /// Pixels.
    Png,
}

impl Format {
    /// What names of files end in.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Pdf => "pdf",
            Self::Png => "png",
        }
    }
}

/// The ending of pages of HTML.
const HTML: &str = "html";
/// What names of sidecars and provenances end in.
const SIDECAR: &str = "json";
const PROVENANCE: &str = "provenance.json";

/// A figure with all its files, in memory.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// Endings of files with their contents; the sidecar is the last.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Draws a figure in these formats, with its sidecar and, if asked for, its provenance.
///
/// # Errors
/// The data cannot be drawn.
pub fn make(
    drawing: &Drawing,
    from: &Origin,
    recipe: &Recipe,
    formats: &[Format],
    provenance: bool,
) -> Result<Made> {
    let endings: Vec<&str> = formats.iter().map(|format| format.ending()).collect();
    let mut files = render(drawing, recipe.dpi, &endings)?;
    if provenance {
        files.push((PROVENANCE.into(), json(&Provenance::from(drawing))));
    }
    let written = files.iter().map(|(ending, _)| ending.clone()).collect();
    files.push((SIDECAR.into(), sidecar(drawing, from, recipe, written)));
    Ok(Made {
        name: drawing.name.clone(),
        files,
    })
}

/// The figure in formats by their endings; an SVG of a text of tokens comes with a page of HTML.
fn render(drawing: &Drawing, dpi: f64, endings: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
    let all = || -> std::result::Result<_, FigureError> {
        let figure = drawing.data.draw()?;
        let mut files = Vec::new();
        for &ending in endings {
            match ending {
                "svg" => files.push((ending.to_string(), figure.svg().as_bytes().to_vec())),
                "pdf" => files.push((ending.to_string(), figure.pdf()?)),
                "png" => files.push((ending.to_string(), figure.png(dpi)?)),
                _ => {}
            }
        }
        if endings.contains(&"svg") || endings.contains(&HTML) {
            let page = drawing.data.html()?;
            files.extend(page.map(|page| (HTML.to_string(), page.into_bytes())));
        }
        Ok(files)
    };
    all().map_err(|source| AnalysisError::Draw {
        name: drawing.name.clone(),
        source,
    })
}

fn sidecar(drawing: &Drawing, from: &Origin, recipe: &Recipe, files: Vec<String>) -> Vec<u8> {
    json(&Sidecar {
        schema: SCHEMA.into(),
        name: drawing.name.clone(),
        kind: drawing.kind.name().into(),
        from: from.clone(),
        recipe: Recipe {
            metric: drawing.metric.clone(),
            ..recipe.clone()
        },
        files,
        notes: drawing.notes.clone(),
        left_out: drawing.left_out.clone(),
        cells: drawing.data.cells().to_vec(),
        data: serde_json::to_value(&drawing.data).unwrap_or(Value::Null),
    })
}

/// Indented, with a line break at the end. Text, numbers and lists always are JSON.
fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

fn path(folder: &Path, name: &str, ending: &str) -> PathBuf {
    folder.join(format!("{name}.{ending}"))
}

/// Writes figures into a folder, each file whole or not at all, the sidecar of a figure last.
/// Returns the paths.
///
/// # Errors
/// Two figures of one name; a file in the place of a sidecar that is none; a folder or a file that
/// cannot be written.
pub fn write(folder: &Path, figures: &[Made]) -> Result<Vec<PathBuf>> {
    let refused = |path: PathBuf, reason: String, hint: &str| AnalysisError::Folder {
        path,
        reason,
        hint: hint.into(),
    };
    for (place, made) in figures.iter().enumerate() {
        let own = path(folder, &made.name, SIDECAR);
        if figures[..place].iter().any(|other| other.name == made.name) {
            let reason = "two figures have this name".to_string();
            return Err(refused(
                own,
                reason,
                "draw them into folders of their own, or rename a record",
            ));
        }
        if own.exists() && !is_sidecar(&own) {
            let reason = "it is there and is no sidecar of a figure".to_string();
            return Err(refused(own, reason, "name another folder with --out"));
        }
    }
    std::fs::create_dir_all(folder).map_err(|error| {
        let reason = format!("cannot make the folder: {error}");
        refused(
            folder.to_path_buf(),
            reason,
            "name another folder with --out",
        )
    })?;
    let mut written = Vec::new();
    for made in figures {
        for (ending, bytes) in &made.files {
            let path = path(folder, &made.name, ending);
            figure::write(&path, bytes).map_err(|source| AnalysisError::Draw {
                name: made.name.clone(),
                source,
            })?;
            written.push(path);
        }
    }
    Ok(written)
}

/// Formats of a figure that are in the folder already, and whether its provenance is: drawn again,
/// it must not leave some of its files behind.
#[must_use]
pub fn present(folder: &Path, name: &str) -> (Vec<Format>, bool) {
    let name = file_name(name);
    if !is_sidecar(&path(folder, &name, SIDECAR)) {
        return (Vec::new(), false);
    }
    let here = |ending: &str| path(folder, &name, ending).is_file();
    let mut formats = vec![Format::Svg, Format::Pdf, Format::Png];
    formats.retain(|format| here(format.ending()));
    (formats, here(PROVENANCE))
}

fn is_sidecar(path: &Path) -> bool {
    let text = std::fs::read(path).unwrap_or_default();
    let value: Value = serde_json::from_slice(&text).unwrap_or(Value::Null);
    let schema = value.get("schema").and_then(Value::as_str);
    schema.is_some_and(|schema| schema.starts_with("smartkv.figure/"))
}
