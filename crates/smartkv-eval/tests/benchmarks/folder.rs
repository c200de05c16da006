//! A folder as a source of data.

use smartkv_eval::task::{DataFile, DataSource, Haystack};
use smartkv_eval::{EvalError, Result};
use std::path::{Path, PathBuf};

/// Finds files by their exact path, or by their name alone, and members of archives, within a
/// folder given as the root.
pub(crate) struct Folder;

impl DataSource for Folder {
    fn files(&self, root: &str, names: &[&str]) -> Result<Vec<DataFile>> {
        let root = Path::new(root);
        let file = |path: PathBuf| DataFile {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            path,
            member: None,
            sha256: "5eed".into(),
        };
        if root.is_file() {
            return Ok(vec![file(root.to_owned())]);
        }
        for name in names.iter().filter(|name| name.contains('!')) {
            let (archive, member) = name.split_once('!').unwrap();
            let path = root.join(archive);
            if path.is_file() {
                let member = Some(member.to_owned());
                let name = (*name).to_owned();
                return Ok(vec![DataFile {
                    member,
                    name,
                    ..file(path)
                }]);
            }
        }
        for name in names.iter().filter(|name| !name.contains(['!', '*'])) {
            let last = name.rsplit('/').next().unwrap();
            let found = [root.join(name), root.join(last)]
                .into_iter()
                .find(|path| path.is_file());
            if let Some(path) = found {
                return Ok(vec![file(path)]);
            }
        }
        Err(EvalError::Task(format!(
            "{}: none of {}",
            root.display(),
            names.join(", ")
        )))
    }

    fn text(&self, name: &str) -> Result<Haystack> {
        Err(EvalError::Task(format!("no text {name}")))
    }
}

/// A new folder with files of these names and contents.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    dir
}
