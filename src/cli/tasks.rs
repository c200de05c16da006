//! `smartkv tasks`: what a model can be asked, from the declarations themselves.

use super::output;
use super::strategies::{Subject, left, manual};
use serde_json::{Value, json};
use smartkv_core::registry::{self, Kind};
use smartkv_core::schema;

/// List the tasks, or explain one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv tasks                    the table
  smartkv tasks ruler              what it asks, how it is scored, its parameters
  smartkv eval --task assoc_recall --strategy smartkv --budget 0.25
  smartkv eval --task ruler --context 4096 --limit 10 --set task.samples=50")]
pub(super) struct TasksArgs {
    /// The task to explain.
    name: Option<String>,
    /// Print a JSON schema of the configuration of NAME.
    #[arg(long, requires = "name")]
    json_schema: bool,
}

pub(super) fn run(args: &TasksArgs, json: bool) -> anyhow::Result<()> {
    let Some(name) = &args.name else {
        return list(json);
    };
    let entry = registry::find(Kind::Task, name)?;
    if args.json_schema {
        return output::json(&schema::document(Some(entry))?);
    }
    let subject = Subject {
        name,
        entry,
        config: entry.configuration()?,
        shipped: false,
    };
    manual::print(&[subject], json)
}

fn list(as_json: bool) -> anyhow::Result<()> {
    let entries = registry::entries(Kind::Task);
    if as_json {
        let tasks = entries.into_iter().map(manual::describe);
        let tasks = tasks.collect::<anyhow::Result<Vec<Value>>>()?;
        return output::json(&json!({ "tasks": tasks }));
    }
    let row = |entry: &&registry::Entry| {
        [entry.name, entry.summary(), entry.family, entry.crate_name]
            .map(str::to_string)
            .to_vec()
    };
    let header = ["task", "what it asks", "family", "crate"];
    let table = left(&header, entries.iter().map(row).collect());
    output::text(&format!(
        "{table}\n`smartkv tasks NAME` explains one; `smartkv eval --task NAME` asks it.\n"
    ))
}
