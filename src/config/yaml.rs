//! YAML in one place, so that the library behind it can be exchanged.

use super::ConfigError;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Reads a YAML (or JSON) file.
///
/// # Errors
/// A file that cannot be read or parsed, with line and column.
pub fn read_yaml<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    from_yaml(&text, &path.display().to_string())
}

/// Parses YAML text; `file` names it in errors.
///
/// # Errors
/// Text that is not YAML or not a `T`, with line and column.
pub fn from_yaml<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, ConfigError> {
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location();
        let message = error.without_snippet().to_string();
        ConfigError::Yaml {
            file: file.to_string(),
            line: place.map(|p| p.line()),
            column: place.map(|p| p.column()),
            reason: first_line(&message),
        }
    })
}

/// The message proper: the library appends the place, which is printed already.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let end = line.find(" at line ").unwrap_or(line.len());
    line[..end].trim_start_matches("error: ").to_string()
}

/// Line and column (from 1) of the key at the end of a dotted `path`, found by indentation.
pub(super) fn locate(text: &str, path: &str) -> Option<(u64, u64)> {
    let mut from = 0;
    let mut found = None;
    let mut indent = None;
    for key in path.split('.') {
        let (number, column) = text
            .lines()
            .enumerate()
            .skip(from)
            .find_map(|(number, line)| {
                let column = line.len() - line.trim_start().len();
                let rest = line.trim_start().strip_prefix(key)?;
                let deeper = indent.is_none_or(|outer| column > outer);
                (deeper && rest.trim_start().starts_with(':')).then_some((number, column))
            })?;
        from = number + 1;
        indent = Some(column);
        found = Some((number as u64 + 1, column as u64 + 1));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_they_stand() {
        let text = "type: smartkv\ntracker:\n  type: ema\n  decay: x\nwindow: 3\n";
        assert_eq!(locate(text, "window"), Some((5, 1)));
        assert_eq!(locate(text, "tracker.decay"), Some((4, 3)));
        assert_eq!(locate(text, "nothing"), None);
    }

    #[test]
    fn syntax_errors_carry_line_and_column() {
        let error = from_yaml::<serde_json::Value>("a: 1\nb: [1, 2\n", "x.yaml").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("x.yaml, line "), "{text}");
    }
}
