//! `smartkv strategies`: what is registered, from the doc comments themselves.

use super::output;
use crate::config::{SHIPPED, StrategySpec, from_yaml};
use serde_json::{Value, json};
use smartkv_core::registry::{self, Entry, Kind};
use std::fmt::Write as _;

/// List the registered strategies and shipped configurations, or explain one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv strategies                  the table
  smartkv strategies smartkv          its method, parameters and defaults
  smartkv strategies ema              trackers and allocators are explained too
  smartkv strategies --json | jq '.strategies[].name'")]
pub(super) struct StrategiesArgs {
    /// A strategy, tracker or allocator to explain.
    name: Option<String>,
}

const KINDS: [Kind; 4] = [Kind::Strategy, Kind::Tracker, Kind::Allocator, Kind::Split];

pub(super) fn run(args: &StrategiesArgs, json: bool) -> anyhow::Result<()> {
    match &args.name {
        Some(name) => explain(name, json),
        None => list(json),
    }
}

fn list(as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let all = |kind| -> anyhow::Result<Vec<Value>> {
            registry::entries(kind).into_iter().map(describe).collect()
        };
        let shipped = SHIPPED
            .iter()
            .map(|(name, _)| {
                let spec = StrategySpec::resolve(name, &[])?;
                Ok(json!({"name": name, "config": spec.config}))
            })
            .collect::<anyhow::Result<Vec<Value>>>()?;
        return output::json(&json!({
            "strategies": all(Kind::Strategy)?,
            "trackers": all(Kind::Tracker)?,
            "allocators": all(Kind::Allocator)?,
            "splits": all(Kind::Split)?,
            "configurations": shipped,
        }));
    }
    let mut text = String::new();
    for kind in KINDS {
        let entries = registry::entries(kind);
        let rows = entries
            .iter()
            .map(|e| {
                vec![
                    e.name.into(),
                    e.summary().into(),
                    e.family.into(),
                    e.crate_name.into(),
                ]
            })
            .collect();
        text += &left(&[kind.word(), "what it does", "family", "crate"], rows);
        text.push('\n');
    }
    let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    writeln!(text, "Shipped configurations: {}", names.join(", "))?;
    writeln!(
        text,
        "`smartkv strategies NAME` explains one; --set FIELD=VALUE changes a field."
    )?;
    output::text(&text)
}

fn explain(name: &str, as_json: bool) -> anyhow::Result<()> {
    let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    let found = KINDS
        .iter()
        .find_map(|kind| registry::find(*kind, name).ok());
    let entry = match (found, shipped) {
        (Some(entry), _) => entry,
        (None, Some((file, text))) => {
            let config: Value = from_yaml(text, file)?;
            let base = config
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            registry::find(Kind::Strategy, base)?
        }
        // The error that knows every name.
        (None, None) => {
            return Err(StrategySpec::resolve(name, &[]).err().map_or_else(
                || anyhow::anyhow!("unknown strategy `{name}`"),
                anyhow::Error::from,
            ));
        }
    };
    let config = match shipped {
        Some(_) => StrategySpec::resolve(name, &[])?.config,
        None => (entry.example)()?,
    };
    if as_json {
        let mut value = describe(entry)?;
        value["name"] = name.into();
        value["config"] = config;
        return output::json(&value);
    }
    let mut text = format!(
        "{name}  ({} {})\n\n{}\n",
        entry.family,
        entry.kind.word(),
        entry.docs
    );
    if let Some(paper) = entry.paper {
        writeln!(text, "\nPaper: {paper}")?;
    }
    if !entry.fields.is_empty() {
        let rows = entry
            .fields
            .iter()
            .map(|field| {
                let value = config
                    .get(field.name)
                    .map_or_else(String::new, Value::to_string);
                vec![field.name.into(), value, field.docs.replace('\n', " ")]
            })
            .collect();
        text.push('\n');
        text += &left(&["field", "value", "meaning"], rows);
    }
    output::text(&text)
}

fn describe(entry: &Entry) -> anyhow::Result<Value> {
    let fields: Vec<Value> = entry
        .fields
        .iter()
        .map(|field| json!({"name": field.name, "docs": field.docs}))
        .collect();
    Ok(json!({
        "name": entry.name,
        "kind": entry.kind.word(),
        "family": entry.family,
        "summary": entry.summary(),
        "docs": entry.docs,
        "paper": entry.paper,
        "crate": entry.crate_name,
        "fields": fields,
        "config": (entry.example)()?,
    }))
}

/// A table of text: wrapped to the terminal, all columns to the left.
fn left(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(output::RULED);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_width(100);
    table.set_header(header.to_vec());
    table.add_rows(rows);
    format!("{table}\n")
}
