//! Every strategy, tracker and allocator linked into this program, by name.

use crate::error::{Error, Result};
use crate::strategy::Strategy;
use serde_json::Value;
use std::sync::Arc;

/// What a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Takes over how keys and values are stored.
    Strategy,
    /// Scores tokens by observed attention.
    Tracker,
    /// Spends a budget.
    Allocator,
    /// Shares kept rows among layers and heads.
    Split,
}

impl Kind {
    /// Lower-case word for messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::Tracker => "tracker",
            Self::Allocator => "allocator",
            Self::Split => "split",
        }
    }
}

/// The manual of one parameter, from its doc comment.
#[derive(Debug, Clone, Copy)]
pub struct FieldDoc {
    /// Field name, as in a config.
    pub name: &'static str,
    /// Doc comment.
    pub docs: &'static str,
}

/// Documentation that `#[config]` collects from a struct.
pub trait Documented {
    /// Doc comment of the struct; its first line is the summary.
    const DOCS: &'static str;
    /// Doc comments of the fields.
    const FIELDS: &'static [FieldDoc];
}

/// One registered plugin.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The one name it goes by.
    pub name: &'static str,
    /// `quantizer`, `mixed`, `eviction`, …: how tables group it.
    pub family: &'static str,
    /// Where the method was published.
    pub paper: Option<&'static str>,
    /// Doc comment of its struct.
    pub docs: &'static str,
    /// Its parameters.
    pub fields: &'static [FieldDoc],
    /// Crate that registered it.
    pub crate_name: &'static str,
    /// Its default configuration.
    pub example: fn() -> std::result::Result<Value, serde_json::Error>,
}

inventory::collect!(Entry);

impl Entry {
    /// First line of the documentation.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        self.docs.lines().next().unwrap_or_default()
    }
}

/// All entries of one kind, sorted by name.
#[must_use]
pub fn entries(kind: Kind) -> Vec<&'static Entry> {
    let mut all: Vec<_> = inventory::iter::<Entry>
        .into_iter()
        .filter(|entry| entry.kind == kind)
        .collect();
    all.sort_by_key(|entry| (entry.name, entry.crate_name));
    all
}

/// The entry with this name.
///
/// # Errors
/// [`Error::Unknown`] with the known names and the nearest one.
pub fn find(kind: Kind, name: &str) -> Result<&'static Entry> {
    let all = entries(kind);
    all.iter()
        .copied()
        .find(|entry| entry.name == name)
        .ok_or_else(|| {
            let known: Vec<String> = all.iter().map(|entry| entry.name.to_string()).collect();
            Error::Unknown {
                family: kind.word(),
                name: name.to_string(),
                suggestion: nearest(name, known.iter().map(String::as_str)).map(str::to_string),
                known,
            }
        })
}

/// The known name most like `name`, when one is like it.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LIKE: f64 = 0.75;
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > LIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Builds a strategy from its configuration: an object with its name under `type`.
///
/// # Errors
/// An unknown name, an unknown or missing field, a value of the wrong type or out of its domain.
pub fn strategy(config: &Value) -> Result<Arc<dyn Strategy>> {
    let Some(name) = config.get("type").and_then(Value::as_str) else {
        return Err(Error::parameter(
            "strategy",
            config,
            "expected an object with the strategy's name under `type`",
        ));
    };
    find(Kind::Strategy, name)?;
    let boxed: Box<dyn Strategy> = serde_json::from_value(config.clone())
        .map_err(|e| Error::parameter(format!("strategy `{name}`"), config, e.to_string()))?;
    boxed
        .tracker()
        .map_or(Ok(()), crate::strategy::Tracker::check)?;
    Ok(Arc::from(boxed))
}

/// Checks the rules of the registry; call it once at start.
///
/// # Errors
/// Two plugins with one name: typetag would make both unusable.
pub fn check() -> Result<()> {
    for kind in [Kind::Strategy, Kind::Tracker, Kind::Allocator, Kind::Split] {
        for pair in entries(kind).windows(2) {
            if pair[0].name == pair[1].name {
                return Err(Error::parameter(
                    kind.word(),
                    format!("`{}`", pair[0].name),
                    format!(
                        "registered twice, by `{}` and `{}`: rename one",
                        pair[0].crate_name, pair[1].crate_name
                    ),
                ));
            }
        }
    }
    Ok(())
}
