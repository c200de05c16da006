//! Rows of files in every shape that data sets have, and of damaged ones.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use serde_json::{Value, json};
use smartkv_eval::rows;
use smartkv_eval::task::DataFile;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn file(path: impl Into<PathBuf>) -> DataFile {
    let path = path.into();
    DataFile {
        name: path.file_name().unwrap().to_str().unwrap().to_owned(),
        path,
        member: None,
        sha256: String::new(),
    }
}

fn write(name: &str, content: impl AsRef<[u8]>) -> (tempfile::TempDir, DataFile) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    (dir, file(path))
}

fn all(file: &DataFile) -> Result<Vec<Value>, String> {
    let rows = rows::read(file).map_err(|error| error.to_string())?;
    rows.map(|row| row.map_err(|error| error.to_string()))
        .collect()
}

fn golden(name: &str) -> DataFile {
    file(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(name),
    )
}

/// A file of the data sets for tests, where this machine has them beside the repository.
fn shared(name: &str) -> Option<DataFile> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(name);
    path.exists().then(|| file(path))
}

#[test]
fn lines_may_end_and_begin_as_editors_leave_them() {
    let (_dir, file) = write(
        "x.jsonl",
        "\u{feff}{\"a\": 1}\r\n\r\n  \n{\"a\": \"é\"}\n[2]",
    );
    assert_eq!(
        all(&file).unwrap(),
        [json!({"a": 1}), json!({"a": "é"}), json!([2])]
    );
    let (_dir, empty) = write("x.jsonl", "\n");
    assert!(all(&empty).unwrap().is_empty());
}

#[test]
fn a_bad_line_is_named_and_the_rest_is_read() {
    let (_dir, file) = write(
        "x.jsonl",
        b"{\"a\": 1}\n\n{\"a\": }\n\"\xff\"\n{\"a\": 2}\n",
    );
    let rows: Vec<_> = rows::read(&file).unwrap().collect();
    assert_eq!(rows.len(), 4);
    let message = |index: usize| rows[index].as_ref().unwrap_err().to_string();
    assert!(
        message(1).ends_with("x.jsonl:3: expected value (column 7)"),
        "{}",
        message(1)
    );
    assert!(message(2).contains("x.jsonl:4: invalid"), "{}", message(2));
    assert_eq!(rows[3].as_ref().unwrap(), &json!({"a": 2}));
}

#[test]
fn json_files_hold_an_array_somewhere() {
    let rows = [json!({"a": 1}), json!({"a": 2})];
    for text in [
        r#"[{"a": 1}, {"a": 2}]"#,
        r#"{"version": "v2", "data": [{"a": 1}, {"a": 2}]}"#,
        "\u{feff}{\"a\": 1}\n{\"a\": 2}\n",
    ] {
        let (_dir, file) = write("x.json", text);
        assert_eq!(all(&file).unwrap(), rows, "{text}");
    }
    let (_dir, file) = write("x.JSON", r#"{"version": "v2", "data": [1]}"#);
    assert_eq!(rows::whole(&file).unwrap()["version"], "v2");

    for (text, reason) in [
        ("", "it is empty"),
        ("3", "neither an array nor an object"),
        (
            r#"{"a": 1}"#,
            "an object of 1 fields, none of them an array",
        ),
        (
            r#"{"a": [], "b": 1, "c": []}"#,
            "several arrays: a, c; expected one",
        ),
        ("[1,\n2,\n", ":3: EOF while parsing a value"),
    ] {
        let (_dir, file) = write("x.json", text);
        let error = all(&file).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn parquet_rows_are_what_the_reference_writer_was_given() {
    let parquet = all(&golden("rows.parquet")).unwrap();
    assert_eq!(parquet, all(&golden("rows.jsonl")).unwrap());
    assert_eq!(parquet.len(), 5);
    let names: Vec<&str> = parquet[0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names[..3],
        ["id", "question", "context"],
        "columns keep their order"
    );
    assert_eq!(
        rows::whole(&golden("rows.parquet")).unwrap(),
        Value::Array(parquet)
    );
}

#[test]
fn damaged_parquet_never_ends_the_program() {
    let sound = fs::read(golden("rows.parquet").path).unwrap();
    let intact = all(&golden("rows.parquet")).unwrap();
    let mut failures = 0;
    for at in (0..sound.len()).step_by(23) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x55;
        let (_dir, file) = write("x.parquet", &bytes);
        match all(&file) {
            Err(error) => {
                assert!(error.contains("x.parquet"), "{error}");
                failures += 1;
            }
            // Statistics and other bytes that rows do not depend on; or a value itself.
            Ok(rows) => assert!(rows.len() <= intact.len()),
        }
    }
    assert!(failures > 50, "only {failures} found");
    for length in [0, 3, 8, sound.len() / 2] {
        let (_dir, file) = write("x.parquet", &sound[..length]);
        assert!(all(&file).unwrap_err().contains("x.parquet: "));
    }
}

#[test]
fn members_of_archives_are_rows_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.zip");
    let mut writer = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for (name, text) in [("data/a.jsonl", "{\"a\": 1}\n{"), ("data/b.json", "[1, 2]")] {
        writer
            .start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let member = |name: &str| DataFile {
        member: Some(name.to_owned()),
        ..file(&path)
    };
    assert_eq!(all(&member("data/b.json")).unwrap(), [json!(1), json!(2)]);
    let rows: Vec<_> = rows::read(&member("data/a.jsonl")).unwrap().collect();
    assert_eq!(rows[0].as_ref().unwrap(), &json!({"a": 1}));
    let error = rows[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("data.zip!data/a.jsonl:2: EOF"), "{error}");

    let error = all(&member("../data/a.jsonl")).unwrap_err();
    assert!(
        error.ends_with("no such member; it has data/a.jsonl, data/b.json"),
        "{error}"
    );
    let error = all(&file(&path)).unwrap_err();
    assert!(error.contains("rows are read from .jsonl"), "{error}");
}

#[test]
fn a_file_that_is_not_there() {
    for name in ["x.jsonl", "x.json", "x.parquet"] {
        let error = all(&file(PathBuf::from("/nowhere").join(name))).unwrap_err();
        assert!(error.starts_with("/nowhere/x."), "{error}");
    }
}

#[test]
fn real_data_sets_are_read_as_they_are() {
    let counts = [
        ("longbench/multi_news.jsonl", 200, "context"),
        ("ruler/4096_niah_multikey_3_first100.jsonl", 100, "outputs"),
        (
            "hotpotqa/hotpot_dev_distractor_100_hf_layout.json",
            100,
            "context",
        ),
        (
            "hotpotqa/hotpot_dev_distractor_100_official_layout.json",
            100,
            "supporting_facts",
        ),
        ("squad/dev-v2.0-half.json", 16, "paragraphs"),
        (
            "wikitext-2-raw/parquet/test-00000-of-00001.parquet",
            4358,
            "text",
        ),
    ];
    for (name, count, field) in counts {
        let Some(file) = shared(name) else { continue };
        let rows = all(&file).unwrap();
        assert_eq!(rows.len(), count, "{name}");
        assert!(rows.iter().all(|row| row.get(field).is_some()), "{name}");
    }
}
