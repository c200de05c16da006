//! What to do about each error, apart from what it says.

use super::{AssetError, Tried};
use std::path::Path;

impl AssetError {
    /// What the user can do, one sentence each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let hints: Vec<String> = match self {
            Self::Unknown { kind, nearest, .. } => {
                let meant = nearest.iter().map(|name| format!("did you mean `{name}`?"));
                let also = match *kind {
                    "model" => "a path or a hub repository `owner/name` works too",
                    _ => "a path works too",
                };
                meant.chain([also.to_owned()]).collect()
            }
            Self::NoData(_) => {
                vec!["data is a file, a folder, or a data set of the hub: `owner/name`".to_owned()]
            }
            Self::NoSuchPath(_) => {
                vec!["`smartkv models` lists the models known by name".to_owned()]
            }
            Self::NotAModel { .. } => vec![
                "a model is a `.gguf` file, or a folder with `config.json` and `.safetensors` \
                 files"
                    .to_owned(),
            ],
            Self::NoModelInRepo { repo, gguf, .. } => gguf
                .iter()
                .map(|file| format!("try `{repo}/{file}`"))
                .collect(),
            Self::Unavailable {
                kind,
                name,
                tried,
                cache_dir,
            } => unavailable_hints(kind, name, tried, cache_dir),
            Self::Denied {
                with_token: false, ..
            } => vec![
                "the name may be wrong, or access restricted: set HF_TOKEN to a token that may \
                 read it"
                    .to_owned(),
            ],
            Self::Denied { .. } => vec![
                "the token in use may not read it: accept its terms on the hub, or use another \
                 token"
                    .to_owned(),
            ],
            Self::Interrupted { .. } => vec!["run it again to continue from there".to_owned()],
            Self::Digest { .. } | Self::Length { .. } => vec![
                "run it again; if this stays, the source no longer serves the file it did"
                    .to_owned(),
            ],
            Self::DiskFull { path, .. } => vec![
                format!("free some space on the disk of {}", folder(path).display()),
                "SMARTKV_CACHE chooses another folder".to_owned(),
            ],
            Self::Io {
                action: "write", ..
            } => {
                vec!["SMARTKV_CACHE chooses a folder that can be written".to_owned()]
            }
            Self::NoPip { .. } => {
                vec!["install Python 3 with pip, or put it on PATH".to_owned()]
            }
            _ => Vec::new(),
        };
        hints
    }
}

/// The folder of a file that is being written.
fn folder(path: &Path) -> &Path {
    if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(path)
    }
}

fn unavailable_hints(kind: &str, name: &str, tried: &[Tried], cache_dir: &Path) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    if tried
        .iter()
        .any(|tried| matches!(tried.error, AssetError::Offline))
    {
        hints.push(
            "offline mode comes from `--offline` or HF_HUB_OFFLINE; without it the sources are \
             tried"
                .to_owned(),
        );
    }
    for hint in tried.iter().flat_map(|tried| tried.error.hints()) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints.push(match kind {
        "model" => "`--model PATH` takes a file or folder that is on this machine".to_owned(),
        "data set" => format!(
            "a path works in place of the name, and SMARTKV_DATA may name a folder with its files \
             in `{}`",
            name.rsplit('/').next().unwrap_or(name)
        ),
        _ => "a path works in place of the name".to_owned(),
    });
    if kind == "data set" {
        hints.push(format!(
            "or run the same on a connected machine and copy {} here; SMARTKV_CACHE says where it \
             lies",
            cache_dir.display()
        ));
        return hints;
    }
    hints.push(format!(
        "or run `smartkv models pull {name}` on a connected machine and copy {} here; \
         SMARTKV_CACHE says where it lies",
        cache_dir.display()
    ));
    hints
}
