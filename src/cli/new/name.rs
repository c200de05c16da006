//! Names that a strategy, a crate and a program can have.

use crate::config::SHIPPED;
use smartkv_core::registry::{self, Kind};

/// A name that works for all three.
#[derive(Debug)]
pub(super) struct Name<'a> {
    pub(super) text: &'a str,
}

/// What cargo and the compiler keep for themselves as the name of a crate, and the crates that a
/// strategy depends on.
const TAKEN: &str = "abstract alloc as async await become box break build const continue core crate deps do dyn \
    else enum examples extern false final fn for gen if impl in incremental let loop macro match \
    mod move mut override priv proc_macro pub ref return self smartkv smartkv_core \
    smartkv_macros static std struct super test trait true try type typeof unsafe unsized use \
    virtual where while yield";

impl<'a> Name<'a> {
    pub(super) fn new(text: &'a str) -> anyhow::Result<Self> {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        anyhow::ensure!(
            text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(valid),
            "`{text}` cannot name a strategy: expected lower-case ASCII letters, digits, `-` and \
             `_`, a letter first"
        );
        let name = Self { text };
        for &kind in Kind::ALL {
            if let Ok(entry) = registry::find(kind, text) {
                let (word, owner) = (kind.word(), entry.crate_name);
                anyhow::bail!("`{text}` is a {word} of `{owner}` already: choose another name");
            }
        }
        anyhow::ensure!(
            !SHIPPED.iter().any(|(shipped, _)| *shipped == text),
            "`{text}` is a shipped configuration already: choose another name"
        );
        let module = name.module();
        anyhow::ensure!(
            !TAKEN.split_whitespace().any(|word| word == module),
            "`{text}` cannot name a crate: choose another name"
        );
        Ok(name)
    }

    /// The name as Rust code writes it: `my_strategy`.
    fn module(&self) -> String {
        self.text.replace('-', "_")
    }

    /// The name as a type: `MyStrategy`.
    fn type_name(&self) -> String {
        let mut name = String::new();
        for part in self.text.split(['-', '_']).filter(|part| !part.is_empty()) {
            name.push_str(&part[..1].to_ascii_uppercase());
            name.push_str(&part[1..]);
        }
        name
    }

    /// Text about the template's `my-strategy`, about this one instead.
    pub(super) fn rewrite(&self, text: &str) -> String {
        text.replace("my-strategy", self.text)
            .replace("my_strategy", &self.module())
            .replace("MyStrategy", &self.type_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_written_in_three_ways() {
        let name = Name::new("top-k_2bit").unwrap();
        let text = name.rewrite("my-strategy my_strategy MyStrategy");
        assert_eq!(text, "top-k_2bit top_k_2bit TopK2bit");
    }

    #[test]
    fn what_cannot_name_all_three_is_refused() {
        let names = [
            "",
            "4bit",
            "-x",
            "My",
            "a b",
            "a/b",
            "ü",
            "uniform",
            "ema",
            "random",
            "k8v4",
            "fn",
            "while",
            "test",
            "deps",
            "smartkv-core",
        ];
        for name in names {
            assert!(Name::new(name).is_err(), "{name}");
        }
    }
}
