//! `smartkv models info`: what an entry or a file is.

use crate::assets::{
    AssetCache, AssetError, Catalogue, Entry, Format, Located, ModelSpec, Place, Policy, Record,
    human_bytes, locate, locate_entry, model_facts, sha256_file,
};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything known of `name` without a network.
pub(super) fn info(name: &str, policy: &Policy) -> anyhow::Result<Map<String, Value>> {
    let catalogue = Catalogue::embedded();
    let text = catalogue
        .text(name)
        .filter(|_| catalogue.model(name).is_none());
    let (entry, located) = if let Some(entry) = text {
        (Some(entry), locate_entry(entry, policy))
    } else {
        let spec = ModelSpec::parse(name, catalogue)?;
        let located = locate(&spec, policy);
        match spec {
            ModelSpec::Named(entry) => (Some(entry), located),
            ModelSpec::Hub(_) if located.is_none() => {
                anyhow::bail!("`{name}` is not on this machine; `smartkv models pull` fetches it")
            }
            _ => (None, located),
        }
    };
    let mut info = Map::new();
    match entry.map(|entry| entry_json(entry, policy)) {
        Some(Value::Object(facts)) => info.extend(facts),
        _ => drop(info.insert("name".to_owned(), name.into())),
    }
    if let Some(Located { path, place }) = located {
        info.insert("path".to_owned(), json!(path));
        info.insert("where".to_owned(), place.to_string().into());
        if let (Place::Cache, Some(entry)) = (place, entry)
            && let Some(record) = Record::read(&AssetCache::new(policy).dir(entry))
        {
            info.insert("fetched_from".to_owned(), record.source.into());
            if let Some(commit) = record.commit {
                info.insert("commit".to_owned(), commit.into());
            }
        }
        info.insert("files".to_owned(), file_facts(&path)?);
        if entry.is_none_or(|entry| entry.format != Format::Text) {
            info.insert("model".to_owned(), Value::Object(model_facts(&path)?));
        }
    }
    Ok(info)
}

/// What the catalogue says of an entry, and where it is.
pub(super) fn entry_json(entry: &Entry, policy: &Policy) -> Value {
    let located = locate_entry(entry, policy);
    let sources: Vec<String> = entry.sources.iter().map(ToString::to_string).collect();
    json!({
        "name": entry.name,
        "aliases": entry.aliases,
        "summary": entry.summary,
        "format": entry.format,
        "licence": entry.licence,
        "base": entry.base,
        "bytes": entry.bytes().or_else(|| Some(size_of(&located.as_ref()?.path))),
        "cached": located.is_some(),
        "where": located.as_ref().map(|located| located.place.to_string()),
        "path": located.as_ref().map(|located| &located.path),
        "sources": sources,
        "files": entry.files,
    })
}

/// Size and digest of a file, or of those in a folder that belong to a model.
fn file_facts(path: &Path) -> anyhow::Result<Value> {
    let mut facts = Vec::new();
    for file in files(path) {
        let sha256 = sha256_file(&file).map_err(|source| AssetError::Io {
            action: "read",
            path: file.clone(),
            source,
        })?;
        let name = file.file_name().map(|name| name.display().to_string());
        facts.push(json!({ "name": name, "bytes": size_of(&file), "sha256": sha256 }));
    }
    Ok(Value::Array(facts))
}

fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let wanted = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        path.is_file() && matches!(extension, Some("json" | "jinja" | "safetensors"))
    };
    let all = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut files: Vec<_> = all
        .filter(wanted)
        .filter(|path| !path.ends_with("asset.json"))
        .collect();
    files.sort();
    files
}

/// Bytes of a file, or of a model's files in a folder.
pub(super) fn size_of(path: &Path) -> u64 {
    files(path)
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|file| file.len())
        .sum()
}

/// The same facts for people, one a line.
pub(super) fn describe(info: &Map<String, Value>) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| writeln!(text, "{:<14}{value}", key.replace('_', " "));
    for (key, value) in info {
        match (key.as_str(), value) {
            (_, Value::Null | Value::Bool(_)) => {}
            ("bytes", value) => line(
                "size",
                &value.as_u64().map_or_else(String::new, human_bytes),
            )?,
            ("files", Value::Array(files)) => {
                for file in files {
                    line("file", &file_line(file))?;
                }
            }
            (_, Value::Array(values)) => {
                let values: Vec<String> = values.iter().map(plain).collect();
                line(key, &values.join(", "))?;
            }
            ("model", Value::Object(facts)) => {
                let fact = |(name, value): (&String, &Value)| {
                    format!("{} {}", name.replace('_', " "), plain(value))
                };
                line(key, &facts.iter().map(fact).collect::<Vec<_>>().join(", "))?;
            }
            (_, value) => line(key, &plain(value))?,
        }
    }
    if info.get("cached") == Some(&Value::Bool(false)) {
        line(
            "path",
            "not on this machine; `smartkv models pull` fetches it",
        )?;
    }
    Ok(text)
}

fn file_line(file: &Value) -> String {
    let mut line = plain(&file["name"]);
    if let Some(bytes) = file["bytes"].as_u64() {
        line = format!("{line}  {}", human_bytes(bytes));
    }
    if let Some(sha256) = file["sha256"].as_str() {
        line = format!("{line}  sha256 {sha256}");
    }
    line
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
