//! Where a new crate finds smartkv.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place that cargo takes smartkv from.
#[derive(Debug)]
pub(super) enum Source {
    /// A source tree.
    Tree(PathBuf),
    /// The URL of a repository.
    Git(String),
}

impl Source {
    /// What the user named.
    pub(super) fn given(text: &str) -> anyhow::Result<Self> {
        if text.contains("://") || text.starts_with("git@") {
            return Ok(Self::Git(text.to_string()));
        }
        let tree = std::path::absolute(text)?;
        anyhow::ensure!(
            is_tree(&tree),
            "--source {text}: no source tree of smartkv: expected a folder with Cargo.toml and \
             crates/smartkv-core, or the URL of a git repository"
        );
        Ok(Self::Tree(tree))
    }

    /// The tree that this program was built from, where it still is, or the repository.
    pub(super) fn own() -> Self {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
        if is_tree(tree) {
            Self::Tree(tree.to_path_buf())
        } else {
            Self::Git(env!("CARGO_PKG_REPOSITORY").to_string())
        }
    }

    /// Lines for `[dependencies]`.
    pub(super) fn dependencies(&self) -> String {
        let (program, core) = match self {
            Self::Tree(tree) => {
                let path = |tree: &Path| format!("path = {}", quoted(&tree.to_string_lossy()));
                (path(tree), path(&tree.join("crates/smartkv-core")))
            }
            Self::Git(url) => {
                let git = format!("git = {}", quoted(url));
                (git.clone(), git)
            }
        };
        format!("smartkv = {{ {program} }}\nsmartkv-core = {{ {core} }}")
    }

    /// Versions of everything below.
    pub(super) fn lock(&self) -> Option<PathBuf> {
        match self {
            Self::Tree(tree) => Some(tree.join("Cargo.lock")).filter(|lock| lock.is_file()),
            Self::Git(_) => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(tree) => write!(f, "{}", tree.display()),
            Self::Git(url) => write!(f, "{url}"),
        }
    }
}

fn is_tree(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file() && folder.join("crates/smartkv-core/Cargo.toml").is_file()
}

/// A string of TOML; those of JSON are such.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_quoted() {
        let here = Source::given(".").unwrap().dependencies();
        let own = Source::own().dependencies();
        assert!(
            here.starts_with("smartkv = { path = \"/") || cfg!(windows),
            "{here}"
        );
        assert!(own.contains("crates/smartkv-core\" }"), "{own}");
        assert!(Source::given("src").is_err());
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
    }

    #[test]
    fn repositories_are_taken_by_their_url() {
        let git = Source::given("https://example.org/x.git").unwrap();
        let expected = "smartkv = { git = \"https://example.org/x.git\" }\nsmartkv-core = { git = \
                        \"https://example.org/x.git\" }";
        assert_eq!(git.dependencies(), expected);
        assert!(git.lock().is_none());
    }
}
