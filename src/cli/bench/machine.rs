//! What the numbers were measured on.

use super::bandwidth::last_level_cache;
use crate::assets::sha256_file;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// What the numbers were measured with.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Environment {
    /// Version of smartkv.
    pub(super) smartkv: &'static str,
    /// `release` or `debug`: the speeds of a debug build mean nothing.
    pub(super) build: &'static str,
    /// Attention kernels.
    pub(super) kernels: &'static str,
    /// Threads computed with.
    pub(super) threads: usize,
    /// SHA-256 of the model's file, if it is one file.
    pub(super) model_sha256: Option<String>,
    /// What the processor calls itself.
    pub(super) cpu: Option<String>,
    /// Bytes of the largest cache of the first processor.
    pub(super) last_level_cache_bytes: Option<u64>,
}

pub(super) fn environment(model: &Path) -> anyhow::Result<Environment> {
    Ok(Environment {
        smartkv: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
        kernels: smartkv_kernels::best().name(),
        threads: rayon::current_num_threads(),
        model_sha256: model.is_file().then(|| sha256_file(model)).transpose()?,
        cpu: fs::read_to_string("/proc/cpuinfo")
            .ok()
            .as_deref()
            .and_then(cpu),
        last_level_cache_bytes: last_level_cache(),
    })
}

fn cpu(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_the_kernel_writes_them() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\n";
        assert_eq!(cpu(text).as_deref(), Some("AMD EPYC"));
    }
}
