//! Whether the figures of a folder are what the records give.

use super::{HTML, PROVENANCE, SIDECAR, json, path, render, sidecar};
use crate::error::{AnalysisError, Result};
use crate::figures::sidecar::{Provenance, SCHEMA};
use crate::figures::{AnalysisRecord, Drawing, Kind, Origin, Sidecar, of_record, of_study};
use crate::store::{Found, Store};
use crate::study::Study;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Endings of files that show a figure.
const SHOWN: [&str; 4] = ["svg", "pdf", "png", HTML];
/// What our files have in them and others do not: cells of an SVG, the creator of a PDF, cells of a
/// PNG and of a page.
const MARKS: [(&str, &str); 4] = [
    ("svg", "<metadata><cells xmlns=\"\">"),
    ("pdf", "/Creator (smartkv)"),
    ("png", "iTXtCells\0"),
    (HTML, "<meta name=\"smartkv-cell\""),
];

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Figures.
    pub figures: usize,
    /// Files, sidecars among them.
    pub files: usize,
}

/// Makes every figure of `folder` again, from the store or the record it was drawn from, and
/// compares all its files byte for byte.
///
/// # Errors
/// A folder without figures; files that differ or are missing, figures whose cells are not in the
/// store, and figures without a sidecar, all of them named.
pub fn check(folder: &Path, store: Option<&Store>) -> Result<Checked> {
    let names = names(folder)?;
    let mut pass = Pass {
        folder,
        store,
        studies: BTreeMap::new(),
        failed: Vec::new(),
        files: 0,
    };
    let stem = |name: &String, ending: &str| {
        let stem = name.strip_suffix(ending)?.strip_suffix('.')?;
        Some(stem.to_string())
    };
    let provenance = |name: &&String| name.ends_with(&format!(".{PROVENANCE}"));
    let mut figures = BTreeSet::new();
    for name in names.iter().filter(|name| !provenance(name)) {
        if let Some(stem) = stem(name, SIDECAR).filter(|stem| pass.is_figure(stem)) {
            pass.one(&stem);
            figures.insert(stem);
        }
    }
    for (ending, mark) in MARKS {
        for name in &names {
            let Some(stem) = stem(name, ending).filter(|stem| !figures.contains(stem)) else {
                continue;
            };
            let path = folder.join(name);
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes.windows(mark.len()).any(|own| own == mark.as_bytes()) {
                let reason = format!("{stem}.{SIDECAR}, which says how it was drawn, is missing");
                pass.failed.push((path, reason));
                figures.insert(stem);
            }
        }
    }
    if figures.is_empty() {
        return Err(AnalysisError::Folder {
            path: folder.to_path_buf(),
            reason: "there is no figure in it".into(),
            hint: "draw some with `smartkv figures --out DIR` first".into(),
        });
    }
    if pass.failed.is_empty() {
        return Ok(Checked {
            figures: figures.len(),
            files: pass.files,
        });
    }
    Err(AnalysisError::Stale {
        what: "figures",
        path: folder.to_path_buf(),
        checked: figures.len(),
        failed: pass.failed,
    })
}

/// Names of what lies in a folder, sorted.
fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = |error: std::io::Error| AnalysisError::Folder {
        path: folder.to_path_buf(),
        reason: format!("cannot list it: {error}"),
        hint: "name the folder of the figures with --out DIR".into(),
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.extend(name.into_string().ok());
    }
    names.sort();
    Ok(names)
}

struct Pass<'a> {
    folder: &'a Path,
    store: Option<&'a Store>,
    studies: BTreeMap<String, Study>,
    failed: Vec<(PathBuf, String)>,
    files: usize,
}

impl Pass<'_> {
    /// Whether a JSON file is a sidecar, or was one: a file that cannot be read beside a figure.
    fn is_figure(&self, stem: &str) -> bool {
        let bytes = std::fs::read(path(self.folder, stem, SIDECAR)).unwrap_or_default();
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(value) => {
                let schema = value.get("schema").and_then(Value::as_str);
                schema.is_some_and(|schema| schema.starts_with("smartkv.figure/"))
            }
            Err(_) => SHOWN
                .iter()
                .any(|ending| path(self.folder, stem, ending).is_file()),
        }
    }

    /// Checks one figure and notes what is wrong with it.
    fn one(&mut self, stem: &str) {
        let own = path(self.folder, stem, SIDECAR);
        let made = read(&own).and_then(|sidecar| {
            if sidecar.name != stem {
                return Err(format!("it calls itself `{}`", sidecar.name));
            }
            self.lost_cells(&sidecar)?;
            let drawing = self.again(&sidecar)?;
            Ok((sidecar, drawing))
        });
        match made {
            Ok((sidecar, drawing)) => self.compare(&sidecar, &drawing),
            Err(reason) => self.failed.push((own, reason)),
        }
    }

    /// Refuses a figure of cells that the store does not have.
    fn lost_cells(&self, sidecar: &Sidecar) -> std::result::Result<(), String> {
        if !matches!(sidecar.from, Origin::Plan(_)) {
            return Ok(());
        }
        let store = self.store()?;
        let gone = |id: &&String| !matches!(store.cell(id), Found::Here(_));
        let lost: Vec<&String> = sidecar.cells.iter().filter(gone).collect();
        match lost[..] {
            [] => Ok(()),
            [only] => Err(format!("its cell {only} is not in the store")),
            [first, ..] => Err(format!(
                "{} of its {} cells are not in the store, {first} the first",
                lost.len(),
                sidecar.cells.len()
            )),
        }
    }

    fn store(&self) -> std::result::Result<&Store, String> {
        self.store
            .ok_or_else(|| "there is no store to make it from".to_string())
    }

    /// The figure as the records give it now.
    fn again(&mut self, sidecar: &Sidecar) -> std::result::Result<Drawing, String> {
        let kind = Kind::of(&sidecar.kind);
        let kind = kind.ok_or_else(|| format!("its kind `{}` is unknown", sidecar.kind))?;
        let options = sidecar.recipe.options();
        let drawings = match &sidecar.from {
            Origin::Plan(name) => of_study(self.study(name)?, kind, &options),
            Origin::Analysis(name) => AnalysisRecord::of_store(self.store()?, name)
                .and_then(|record| of_record(&record, kind, &options)),
            Origin::Record(path) => AnalysisRecord::read(Path::new(path))
                .and_then(|record| of_record(&record, kind, &options)),
        };
        let drawings = drawings.map_err(|error| error.to_string())?;
        let own = drawings
            .into_iter()
            .find(|drawing| drawing.name == sidecar.name);
        own.ok_or_else(|| "the records no longer give a figure of this name".to_string())
    }

    fn study(&mut self, name: &str) -> std::result::Result<&Study, String> {
        if !self.studies.contains_key(name) {
            let store = self.store()?;
            let plan = store.plan(name).map_err(|error| error.to_string())?;
            let study = Study::read(store, plan);
            self.studies.insert(name.to_string(), study);
        }
        self.studies
            .get(name)
            .ok_or_else(|| format!("there is no plan `{name}`"))
    }

    /// Compares the files that it was written with, and others of its name that are there.
    fn compare(&mut self, sidecar: &Sidecar, drawing: &Drawing) {
        let here = |ending: &&str| path(self.folder, &sidecar.name, ending).is_file();
        let listed = |ending: &&str| sidecar.files.iter().any(|own| own == ending);
        let endings = SHOWN
            .iter()
            .copied()
            .filter(|ending| listed(ending) || here(ending));
        let endings: Vec<&str> = endings.collect();
        let mut files = match render(drawing, sidecar.recipe.dpi, &endings) {
            Ok(files) => files,
            Err(error) => {
                let own = path(self.folder, &sidecar.name, SIDECAR);
                return self.failed.push((own, error.to_string()));
            }
        };
        files.retain(|(ending, _)| endings.contains(&ending.as_str()));
        if here(&PROVENANCE) || listed(&PROVENANCE) {
            files.push((PROVENANCE.into(), json(&Provenance::from(drawing))));
        }
        let written = sidecar.files.clone();
        let own = self::sidecar(drawing, &sidecar.from, &sidecar.recipe, written);
        files.push((SIDECAR.into(), own));
        for (ending, bytes) in files {
            self.files += 1;
            let path = path(self.folder, &sidecar.name, &ending);
            let reason = match std::fs::read(&path) {
                Ok(own) if own == bytes => continue,
                Ok(_) => "it is not what the records give".to_string(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    "it is missing".to_string()
                }
                Err(error) => error.to_string(),
            };
            self.failed.push((path, reason));
        }
    }
}

fn read(path: &Path) -> std::result::Result<Sidecar, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    match value.get("schema").and_then(Value::as_str) {
        Some(SCHEMA) => serde_json::from_value(value).map_err(|error| error.to_string()),
        Some(other) => Err(format!("it is of version `{other}`, expected `{SCHEMA}`")),
        None => Err("it has no `schema`".into()),
    }
}
