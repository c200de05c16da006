//! `smartkv strategies`: what is registered, from the declarations themselves.

mod list;
pub(super) mod manual;

use super::output;
use crate::config::{SHIPPED, StrategySpec, from_yaml};
use serde_json::Value;
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
    let subject = args.name.as_deref().map(Subject::find).transpose()?;
    match subject {
        _ if args.json_schema => output::json(&schema::document(subject.map(|s| s.entry))?),
        Some(subject) => manual::print(&subject, json),
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
    fn find(name: &'a str) -> anyhow::Result<Self> {
        let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        let found = Kind::OF_STRATEGIES
            .iter()
            .find_map(|kind| registry::find(*kind, name).ok());
        let entry = match (found, shipped) {
            (Some(entry), _) => entry,
            (None, Some((file, text))) => {
                let config: Value = from_yaml(text, file)?;
                let base = config.get("type").and_then(Value::as_str);
                registry::find(Kind::Strategy, base.unwrap_or_default())?
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
            None => entry.configuration()?,
        };
        Ok(Self {
            name,
            entry,
            config,
            shipped: shipped.is_some(),
        })
    }
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
