//! Folders of figures: written, checked, touched.

use crate::common::{Filled, sweep};
use crate::options;
use serde_json::Value;
use smartkv_analysis::figures::folder::{Checked, Format, Made, check, make, write};
use smartkv_analysis::figures::{Kind, Origin, Recipe, of_study};
use std::fs;
use std::path::{Path, PathBuf};

const FORMATS: [Format; 3] = [Format::Svg, Format::Pdf, Format::Png];

/// A front and needles of the sweep, in memory.
fn made(filled: &Filled, formats: &[Format]) -> Vec<Made> {
    let study = filled.study("budget");
    let recipe = Recipe {
        metric: None,
        baseline: None,
        width: None,
        bootstrap: options().bootstrap,
        dpi: 72.0,
    };
    let from = Origin::Plan("budget".into());
    let kinds = [Kind::Pareto, Kind::Needle];
    let drawings = kinds.map(|kind| of_study(&study, kind, &options()).unwrap());
    let drawings = drawings.into_iter().flatten();
    drawings
        .map(|drawing| make(&drawing, &from, &recipe, formats, true).unwrap())
        .collect()
}

fn drawn(filled: &Filled) -> PathBuf {
    let folder = filled.path().join("figures");
    write(&folder, &made(filled, &FORMATS)).unwrap();
    folder
}

/// What a check says is wrong.
#[track_caller]
fn wrong(filled: &Filled, folder: &Path) -> String {
    let error = check(folder, Some(&filled.store())).unwrap_err();
    assert!(!error.hints().is_empty());
    error.to_string()
}

#[test]
fn what_was_drawn_is_what_the_records_give() {
    let filled = sweep();
    let folder = drawn(&filled);
    let checked = check(&folder, Some(&filled.store())).unwrap();
    // SVG, PDF, PNG, provenance and sidecar of each.
    assert_eq!(
        checked,
        Checked {
            figures: 2,
            files: 10
        }
    );
    // Once more, over what is there.
    assert_eq!(drawn(&filled), folder);
    assert!(check(&folder, Some(&filled.store())).is_ok());
    let text = fs::read_to_string(folder.join("budget-pareto-kl_mean.json")).unwrap();
    let sidecar: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(sidecar["recipe"]["metric"], "kl_mean");
    assert_eq!(sidecar["cells"], sidecar["data"]["cells"]);
    assert_eq!(
        sidecar["files"],
        serde_json::json!(["svg", "pdf", "png", "provenance.json"])
    );
    assert_eq!(sidecar["data"]["series"][1]["name"], "SmartKV");
}

#[test]
fn every_file_that_was_touched_is_named() {
    let filled = sweep();
    for file in ["svg", "pdf", "png", "json", "provenance.json"] {
        let folder = drawn(&filled);
        let path = folder.join(format!("budget-needle.{file}"));
        let mut bytes = fs::read(&path).unwrap();
        // White space: no reader would notice.
        bytes.push(b'\n');
        fs::write(&path, bytes).unwrap();
        let message = wrong(&filled, &folder);
        assert!(
            message.starts_with("1 of the files of 2 figures in"),
            "{message}"
        );
        assert!(
            message.contains(&format!("budget-needle.{file}: it is not what")),
            "{message}"
        );
    }
}

#[test]
fn what_is_missing_is_named() {
    let filled = sweep();
    let folder = drawn(&filled);
    fs::remove_file(folder.join("budget-needle.pdf")).unwrap();
    assert!(wrong(&filled, &folder).contains("budget-needle.pdf: it is missing"));
    let folder = drawn(&filled);
    fs::remove_file(folder.join("budget-needle.json")).unwrap();
    for ending in ["svg", "pdf", "png"] {
        let message = wrong(&filled, &folder);
        assert!(
            message.contains(&format!(
                "budget-needle.{ending}: budget-needle.json, which says"
            )),
            "{message}"
        );
        fs::remove_file(folder.join(format!("budget-needle.{ending}"))).unwrap();
    }
    let figures = check(&folder, Some(&filled.store())).unwrap().figures;
    assert_eq!(figures, 1);
}

#[test]
fn a_format_that_was_left_from_before_is_compared_too() {
    let filled = sweep();
    let folder = drawn(&filled);
    write(&folder, &made(&filled, &[Format::Svg])).unwrap();
    assert!(check(&folder, Some(&filled.store())).is_ok());
    fs::write(folder.join("budget-needle.png"), "old").unwrap();
    assert!(wrong(&filled, &folder).contains("budget-needle.png: it is not"));
}

#[test]
fn a_record_that_changed_or_went_is_found() {
    let filled = sweep();
    let folder = drawn(&filled);
    let id = format!("{:030x}{:02}", 1, 0);
    let path = filled.layout().cell(&id);
    let text = fs::read_to_string(&path).unwrap();
    filled.edit(&id, |record| {
        record["result"]["quality"]["kl_mean"] = 0.5.into();
    });
    let message = wrong(&filled, &folder);
    for ending in ["svg", "pdf", "png", "json"] {
        assert!(
            message.contains(&format!("budget-pareto-kl_mean.{ending}: it is not")),
            "{message}"
        );
    }
    fs::remove_file(&path).unwrap();
    let message = wrong(&filled, &folder);
    assert!(
        message.contains(&format!("json: its cell {id} is not in the store")),
        "{message}"
    );
    fs::write(&path, text).unwrap();
    assert!(check(&folder, Some(&filled.store())).is_ok());
    assert!(
        check(&folder, None)
            .unwrap_err()
            .to_string()
            .contains("there is no store")
    );
}

#[test]
fn sidecars_of_other_versions_names_and_kinds_are_wrong() {
    let filled = sweep();
    for (field, value, part) in [
        (
            "schema",
            "smartkv.figure/9",
            "it is of version `smartkv.figure/9`",
        ),
        ("name", "other", "it calls itself `other`"),
        ("kind", "pie", "its kind `pie` is unknown"),
        ("kind", "cost", "no longer give a figure of this name"),
    ] {
        let folder = drawn(&filled);
        let path = folder.join("budget-needle.json");
        let mut sidecar: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        sidecar[field] = value.into();
        fs::write(&path, sidecar.to_string()).unwrap();
        let message = wrong(&filled, &folder);
        assert!(message.contains(part), "{message}");
    }
    let folder = drawn(&filled);
    fs::write(folder.join("budget-needle.json"), "{").unwrap();
    assert!(wrong(&filled, &folder).contains("budget-needle.json: EOF"));
}

#[test]
fn files_of_others_are_left_alone() {
    let filled = sweep();
    let folder = drawn(&filled);
    fs::write(folder.join("drawing.svg"), "<svg/>").unwrap();
    fs::write(folder.join("notes.json"), "[1]").unwrap();
    fs::write(folder.join("broken.json"), "{").unwrap();
    assert!(check(&folder, Some(&filled.store())).is_ok());
    let path = folder.join("budget-needle.json");
    fs::write(&path, "{\"mine\": true}").unwrap();
    let error = write(&folder, &made(&filled, &FORMATS)).unwrap_err();
    assert!(
        error.to_string().contains("no sidecar of a figure"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"mine\": true}");
}

#[test]
fn folders_that_cannot_be_used() {
    let filled = sweep();
    let empty = filled.path().join("plans");
    assert!(wrong(&filled, &empty).contains("there is no figure in it"));
    assert!(wrong(&filled, &filled.path().join("nowhere")).contains("cannot list it"));
    let file = filled.path().join("file");
    fs::write(&file, "").unwrap();
    let error = write(&file, &made(&filled, &FORMATS)).unwrap_err();
    assert!(
        error.to_string().contains("cannot make the folder"),
        "{error}"
    );
    let twice = [made(&filled, &FORMATS), made(&filled, &FORMATS)].concat();
    let error = write(&filled.path().join("new"), &twice).unwrap_err();
    assert!(
        error.to_string().contains("two figures have this name"),
        "{error}"
    );
    assert!(!filled.path().join("new").exists());
}
