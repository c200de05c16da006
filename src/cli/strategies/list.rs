//! Everything that is registered, in tables or as one object.

use super::{left, manual};
use crate::cli::output;
use crate::config::{SHIPPED, StrategySpec};
use serde_json::{Map, Value, json};
use smartkv_core::registry::{self, Entry, Kind};
use std::fmt::Write as _;

pub(super) fn print(as_json: bool) -> anyhow::Result<()> {
    if as_json {
        output::json(&object()?)
    } else {
        output::text(&tables()?)
    }
}

fn object() -> anyhow::Result<Value> {
    let mut all = Map::new();
    for &kind in Kind::OF_STRATEGIES {
        let entries = registry::entries(kind).into_iter().map(manual::describe);
        let entries = entries.collect::<anyhow::Result<Vec<Value>>>()?;
        all.insert(kind.plural().to_string(), entries.into());
    }
    let shipped = SHIPPED.iter().map(|(name, _)| {
        let spec = StrategySpec::resolve(name, &[])?;
        Ok(json!({"name": name, "config": spec.config}))
    });
    let shipped = shipped.collect::<anyhow::Result<Vec<Value>>>()?;
    all.insert("configurations".to_string(), shipped.into());
    Ok(all.into())
}

fn tables() -> anyhow::Result<String> {
    let mut text = String::new();
    for &kind in Kind::OF_STRATEGIES {
        let stores = kind == Kind::Strategy;
        let mut header = vec![kind.word(), "what it does", "family", "storage", "crate"];
        if !stores {
            header.retain(|column| *column != "storage");
        }
        let row = |entry: &&Entry| {
            let mut cells = vec![entry.name, entry.summary(), entry.family];
            cells.extend(entry.storage.map(registry::Storage::word));
            cells.push(entry.crate_name);
            cells.into_iter().map(str::to_string).collect()
        };
        text += &left(&header, registry::entries(kind).iter().map(row).collect());
        text.push('\n');
    }
    let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    writeln!(text, "Shipped configurations: {}", names.join(", "))?;
    writeln!(
        text,
        "`smartkv strategies NAME` explains one; --set FIELD=VALUE changes a field."
    )?;
    Ok(text)
}
