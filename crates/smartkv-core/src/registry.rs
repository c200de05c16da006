//! Every plugin linked into this program, by name.

mod check;

pub use check::{check, check_configuration, check_ranges};

use crate::error::{Error, Result};
use crate::guard::guarded;
use crate::parameter::Parameter;
use crate::range::Range;
use crate::schema;
use crate::strategy::Strategy;
use serde_json::Value;
use std::sync::Arc;

/// The kinds of plugins that make up a strategy, each named as its trait in
/// [`strategy`](crate::strategy): this list and [`Kind::Task`] are all there are. The attribute of a
/// kind is a line in `smartkv-macros`.
macro_rules! kinds {
    ($($(#[$docs:meta])* $kind:ident, $word:literal, $plural:literal;)*) => {
        /// What a plugin is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$docs])* $kind,)*
            /// Asks a model something and scores its answers; its trait is in `smartkv-eval`.
            Task,
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)* Self::Task];

            /// The kinds that a strategy and its parts can be.
            pub const OF_STRATEGIES: &'static [Self] = &[$(Self::$kind),*];

            /// Lower-case word for messages.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                    Self::Task => "task",
                }
            }

            /// The word for several of them.
            #[must_use]
            pub fn plural(self) -> &'static str {
                match self {
                    $(Self::$kind => $plural,)*
                    Self::Task => "tasks",
                }
            }
        }

        $(impl Parameter for Box<dyn crate::strategy::$kind> {
            const PLUGIN: Option<Kind> = Some(Kind::$kind);

            fn type_name() -> String {
                $word.to_string()
            }

            fn schema() -> Value {
                schema::reference(Kind::$kind)
            }
        })*
    };
}

kinds! {
    /// Takes over how keys and values are stored.
    Strategy, "strategy", "strategies";
    /// Scores tokens by observed attention.
    Tracker, "tracker", "trackers";
    /// Spends a budget.
    Allocator, "allocator", "allocators";
    /// Shares kept rows among layers and heads.
    Split, "split", "splits";
}

/// How the bytes that a strategy is charged for come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// What is stored is what is counted.
    Packed,
    /// Some of the method is computed on full precision: its bytes are a claim.
    Simulated,
}

impl Storage {
    /// Lower-case word for tables and records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::Simulated => "simulated",
        }
    }
}

/// One parameter: what its declaration says of it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Field name, as in a config.
    pub name: &'static str,
    /// Doc comment.
    pub docs: &'static str,
    /// Its type in words.
    pub type_name: fn() -> String,
    /// JSON schema of its type; the range apart.
    pub schema: fn() -> Value,
    /// The numbers it takes, when not all that its type can hold.
    pub range: Option<Range>,
    /// Whether it may be null.
    pub optional: bool,
    /// The kind of plugin its values are.
    pub plugin: Option<Kind>,
}

/// Documentation that `#[config]` collects from a struct.
pub trait Documented {
    /// Doc comment of the struct; its first line is the summary.
    const DOCS: &'static str;
    /// The fields.
    const FIELDS: &'static [Field];
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
    /// How its bytes come about; for strategies.
    pub storage: Option<Storage>,
    /// Where the method was published.
    pub paper: Option<&'static str>,
    /// Doc comment of its struct.
    pub docs: &'static str,
    /// Its parameters.
    pub fields: &'static [Field],
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

    /// Its default configuration.
    ///
    /// # Errors
    /// A default that panics or does not serialise.
    pub fn configuration(&self) -> Result<Value> {
        guarded(self.kind, self.name, "default", self.example)?.map_err(|error| {
            let what = format!("has a default configuration that does not serialise: {error}");
            Error::plugin(self.kind, self.name, what)
        })
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
/// An unknown name, an unknown or missing field, a value of the wrong type or out of its range.
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
    check_ranges(boxed.as_ref())?;
    boxed
        .tracker()
        .map_or(Ok(()), crate::strategy::Tracker::check)?;
    Ok(Arc::from(boxed))
}
