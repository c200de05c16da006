//! `smartkv new`: a crate with a strategy of its own, ready to build.

mod name;
mod source;

use super::output;
use anyhow::Context as _;
use name::Name;
use serde_json::json;
use source::Source;
use std::path::{Path, PathBuf};

/// Write a crate with a strategy of its own: strategy, program, contract test, configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv new my-strategy                     the folder my-strategy, here
  smartkv new my-strategy --dir ~/research/kv --source ~/src/smartkv
  cd my-strategy && cargo test --release && cargo run --release -- eval -s my-strategy.yaml")]
pub(super) struct NewArgs {
    /// Name of the strategy, of its crate and of the program.
    name: String,
    /// Folder to write; it must not exist [default: the name].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The smartkv to build on: a source tree, or the URL of a git repository [default: the tree
    /// that this program was built from, where it still is].
    #[arg(long, value_name = "PATH|URL")]
    source: Option<String>,
}

/// Files of the crate; what they say of `my-strategy` is rewritten for its name.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("new/template/Cargo.toml.in")),
    (".gitignore", include_str!("new/template/gitignore")),
    ("src/lib.rs", include_str!("new/template/lib.rs")),
    ("src/main.rs", include_str!("new/template/main.rs")),
    (
        "tests/contract.rs",
        include_str!("new/template/contract.rs"),
    ),
    (
        "my-strategy.yaml",
        include_str!("new/template/my-strategy.yaml"),
    ),
];

pub(super) fn run(args: &NewArgs, as_json: bool) -> anyhow::Result<()> {
    let name = Name::new(&args.name)?;
    let source = match &args.source {
        Some(given) => Source::given(given)?,
        None => Source::own(),
    };
    let folder = args.dir.clone().unwrap_or_else(|| name.text.into());
    write(&folder, &name, &source)?;
    if as_json {
        let files: Vec<String> = FILES.iter().map(|(file, _)| name.rewrite(file)).collect();
        return output::json(&json!({
            "name": name.text,
            "folder": folder,
            "source": source.to_string(),
            "files": files,
        }));
    }
    let (text, shown) = (name.text, folder.display());
    output::text(&format!(
        "{shown} holds the strategy `{text}` on smartkv from {source}.

  cd {shown}
  cargo test --release                                      its contract test
  cargo run --release -- strategies {text}
  cargo run --release -- eval --strategy {text}.yaml --quick

The strategy is src/lib.rs; the same file works in strategies/ of smartkv's own tree.
"
    ))
}

/// Writes beside the final name and renames: there is a whole crate, or none.
fn write(folder: &Path, name: &Name<'_>, source: &Source) -> anyhow::Result<()> {
    let shown = folder.display();
    // A link that points nowhere is in the way too.
    anyhow::ensure!(
        folder.symlink_metadata().is_err(),
        "{shown} exists already: --dir names another folder"
    );
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    anyhow::ensure!(
        parent.is_dir(),
        "--dir {shown}: the folder {} does not exist",
        parent.display()
    );
    let context = || format!("cannot write {shown}");
    let mut builder = tempfile::Builder::new();
    builder.prefix(".smartkv-new-");
    // As any other new folder: temporary ones are private unless told.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let unfinished = builder.tempdir_in(parent).with_context(context)?;
    let dependencies = source.dependencies();
    for (file, text) in FILES {
        let path = unfinished.path().join(name.rewrite(file));
        let folder = path.parent().unwrap_or(unfinished.path());
        std::fs::create_dir_all(folder).with_context(context)?;
        let text = name.rewrite(text).replace("{dependencies}", &dependencies);
        std::fs::write(&path, text).with_context(context)?;
    }
    // The versions that this smartkv is tested with.
    if let Some(lock) = source.lock() {
        std::fs::copy(lock, unfinished.path().join("Cargo.lock")).with_context(context)?;
    }
    std::fs::rename(unfinished.path(), folder).with_context(context)?;
    // Nothing is left under the temporary name.
    let _ = unfinished.keep();
    Ok(())
}
