//! `smartkv strategies`: what is registered, from the declarations themselves.

mod list;
pub(super) mod manual;

use super::output;
use crate::config::{SHIPPED, StrategySpec, from_yaml};
use serde_json::{Value, json};
use smartkv_core::registry::{self, Entry, Kind};
use smartkv_core::schema;

/// List the registered strategies and shipped configurations, or explain one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv strategies                  the table
  smartkv strategies smartkv          its method, parameters, defaults and an example
  smartkv strategies ema              trackers and allocators are explained too
  smartkv strategies --json | jq '.strategies[].name'
  smartkv strategies --json-schema > schema.json   what an editor completes YAML with")]
pub(super) struct StrategiesArgs {
    /// A strategy, tracker or allocator to explain.
    name: Option<String>,
    /// Print a JSON schema of configuration files: of NAME, or of all strategies.
    #[arg(long)]
    json_schema: bool,
}

pub(super) fn run(args: &StrategiesArgs, json: bool) -> anyhow::Result<()> {
    let subjects = args.name.as_deref().map(Subject::find).transpose()?;
    match subjects {
        _ if args.json_schema => output::json(&document(subjects.as_deref())?),
        Some(subjects) => manual::print(&subjects, json),
        None => list::print(json),
    }
}

/// What is explained: a plugin, or a shipped configuration of one.
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    pub(super) entry: &'static Entry,
    /// Every field, defaults included.
    pub(super) config: Value,
    /// Whether the values are those of a shipped configuration.
    pub(super) shipped: bool,
}

impl<'a> Subject<'a> {
    /// All that goes by a name: each kind of plugin has names of its own. A strategy, or a shipped
    /// configuration of one, comes first.
    fn find(name: &'a str) -> anyhow::Result<Vec<Self>> {
        let mut subjects = Vec::new();
        if let Some((file, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            let written: Value = from_yaml(text, file)?;
            let base = written.get("type").and_then(Value::as_str);
            subjects.push(Self {
                name,
                entry: registry::find(Kind::Strategy, base.unwrap_or_default())?,
                config: StrategySpec::resolve(name, &[])?.config,
                shipped: true,
            });
        }
        for &kind in Kind::OF_STRATEGIES {
            if kind == Kind::Strategy && !subjects.is_empty() {
                continue;
            }
            if let Ok(entry) = registry::find(kind, name) {
                subjects.push(Self {
                    name,
                    entry,
                    config: entry.configuration()?,
                    shipped: false,
                });
            }
        }
        if subjects.is_empty() {
            // The error that knows every name.
            return Err(StrategySpec::resolve(name, &[]).err().map_or_else(
                || anyhow::anyhow!("unknown strategy `{name}`"),
                anyhow::Error::from,
            ));
        }
        Ok(subjects)
    }
}

/// The schema of any strategy, or of all that goes by one name.
fn document(subjects: Option<&[Subject<'_>]>) -> anyhow::Result<Value> {
    let Some([first, others @ ..]) = subjects else {
        return Ok(schema::document(None)?);
    };
    let mut document = schema::document(Some(first.entry))?;
    if others.is_empty() {
        return Ok(document);
    }
    let mut choices = vec![json!({"$ref": document["$ref"].take()})];
    for other in others {
        let mut other = schema::document(Some(other.entry))?;
        choices.push(json!({"$ref": other["$ref"].take()}));
        if let (Value::Object(all), Value::Object(own)) =
            (&mut document["$defs"], other["$defs"].take())
        {
            all.extend(own);
        }
    }
    if let Value::Object(document) = &mut document {
        document.remove("$ref");
        document.insert("oneOf".to_string(), choices.into());
    }
    Ok(document)
}

/// A table of text: wrapped to the terminal, all columns to the left.
pub(super) fn left(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(output::RULED);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_width(100);
    table.set_header(header.to_vec());
    table.add_rows(rows);
    format!("{table}\n")
}
