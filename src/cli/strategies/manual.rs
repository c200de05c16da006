//! One plugin explained: what it does, its parameters, the paper, an example.

use super::{Subject, left};
use crate::cli::output;
use crate::config::to_yaml;
use serde_json::{Value, json};
use smartkv_core::registry::{self, Entry, Field, Kind};
use std::fmt::Write as _;

/// Explains all that goes by one name.
pub(in crate::cli) fn print(subjects: &[Subject<'_>], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        output::json(&object(subjects)?)
    } else {
        let pages = subjects.iter().map(page);
        let pages = pages.collect::<anyhow::Result<Vec<String>>>()?;
        output::text(&pages.join("\n\n"))
    }
}

/// The first subject; further ones stand under `also`, so that a script that knows of one reads
/// what it did.
fn object(subjects: &[Subject<'_>]) -> anyhow::Result<Value> {
    let one = |subject: &Subject<'_>| -> anyhow::Result<Value> {
        let mut value = describe(subject.entry)?;
        value["name"] = subject.name.into();
        value["config"] = subject.config.clone();
        Ok(value)
    };
    let objects = subjects.iter().map(one);
    let mut objects = objects.collect::<anyhow::Result<Vec<Value>>>()?;
    let mut first = objects.remove(0);
    if !objects.is_empty() {
        first["also"] = objects.into();
    }
    Ok(first)
}

/// A plugin as an object; the values of `config` are its defaults.
pub(in crate::cli) fn describe(entry: &Entry) -> anyhow::Result<Value> {
    let config = entry.configuration()?;
    let field = |field: &Field| {
        json!({
            "name": field.name,
            "type": (field.type_name)(),
            "default": config.get(field.name),
            "range": field.range.map(|range| range.to_string()),
            "docs": field.docs,
        })
    };
    Ok(json!({
        "name": entry.name,
        "kind": entry.kind.word(),
        "family": entry.family,
        "storage": entry.storage.map(registry::Storage::word),
        "summary": entry.summary(),
        "docs": entry.docs,
        "paper": entry.paper,
        "crate": entry.crate_name,
        "fields": entry.fields.iter().map(field).collect::<Vec<_>>(),
        "config": config,
    }))
}

fn page(subject: &Subject<'_>) -> anyhow::Result<String> {
    let Subject {
        name,
        entry,
        config,
        shipped,
    } = subject;
    let storage = entry.storage.map_or(String::new(), |storage| {
        format!(", {} storage", storage.word())
    });
    let mut text = format!(
        "{name}  ({} {}{storage}; crate {})\n\n{}\n",
        entry.family,
        entry.kind.word(),
        entry.crate_name,
        entry.docs
    );
    if let Some(paper) = entry.paper {
        writeln!(text, "\nPaper: {paper}")?;
    }
    if !entry.fields.is_empty() {
        let value = if *shipped { "value" } else { "default" };
        let rows = entry.fields.iter().map(|field| row(field, config));
        text.push('\n');
        text += &left(&["parameter", "takes", value, "meaning"], rows.collect());
    }
    let place = match entry.kind {
        Kind::Strategy => "a file for --strategy",
        Kind::Task => "a file for --task",
        _ => "part of a strategy's file",
    };
    writeln!(text, "\nExample, as {place}:\n")?;
    for line in to_yaml(config).lines() {
        writeln!(text, "  {line}")?;
    }
    let set = entry.fields.last().map(|field| field.name);
    let set = |prefix: &str| {
        set.map_or(String::new(), |field| {
            format!(" [--set {prefix}{field}=VALUE]")
        })
    };
    match entry.kind {
        Kind::Strategy => writeln!(text, "\nUse: smartkv eval --strategy {name}{}", set(""))?,
        Kind::Task => writeln!(text, "\nUse: smartkv eval --task {name}{}", set("task."))?,
        _ => {}
    }
    Ok(text)
}

fn row(field: &Field, config: &Value) -> Vec<String> {
    let mut takes = (field.type_name)();
    if let Some(kind) = field.plugin {
        let names: Vec<&str> = registry::entries(kind).iter().map(|e| e.name).collect();
        takes = format!("{takes}: {}", names.join(", "));
    }
    if let Some(range) = field.range {
        takes = format!("{takes}, {range}");
    }
    let value = match config.get(field.name) {
        // A part by its name: its parameters have a page of their own.
        Some(value) => match value.get("type").unwrap_or(value) {
            Value::String(word) => word.clone(),
            other => other.to_string(),
        },
        None => String::new(),
    };
    let mut meaning = field.docs.replace('\n', " ");
    for choice in (field.schema)()["oneOf"].as_array().into_iter().flatten() {
        if let (Some(word), Some(docs)) = (choice["const"].as_str(), choice["description"].as_str())
        {
            meaning = format!("{meaning}\n{word}: {}", docs.replace('\n', " "));
        }
    }
    vec![field.name.to_string(), takes, value, meaning]
}
