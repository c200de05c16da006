//! The machine: processor, memory, GPU.

use super::Check;
use crate::assets::{Policy, find_program, human_bytes};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Memory below which the default model's evaluation may not fit.
const MEMORY_WANTED: u64 = 1 << 30;

pub(super) fn version() -> Check {
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let found = format!(
        "{} ({build}, {}-{})",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS
    );
    if cfg!(debug_assertions) {
        return Check::note(
            "smartkv",
            found,
            "a debug build is slow: `cargo build --release`",
        );
    }
    Check::ok("smartkv", found)
}

pub(super) fn simd() -> Check {
    let best = smartkv_kernels::best().name();
    let features = features();
    let features = if features.is_empty() {
        "none looked for".to_owned()
    } else {
        features.join(" ")
    };
    let all = smartkv_kernels::available().join(", ");
    let found = format!("{features}; kernels {best} (of {all})");
    if best == smartkv_core::Kernels::name(&smartkv_core::Reference) {
        let hint = "kernels without SIMD: results are the same, speeds are not worth reporting";
        return Check::note("simd", found, hint);
    }
    Check::ok("simd", found)
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    macro_rules! detected {
        ($($name:tt),*) => {
            [$(($name, std::arch::is_x86_feature_detected!($name))),*]
        };
    }
    let all = detected!(
        "sse4.2",
        "avx",
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512bw",
        "avx512vl",
        "avx512vnni",
        "avx512vbmi"
    );
    all.into_iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| name)
        .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

pub(super) fn threads() -> Check {
    let machine = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let used = rayon::current_num_threads();
    let found = match machine {
        0 => format!("{used} used"),
        machine => format!("{used} used of {machine}"),
    };
    if machine > 0 && used > machine {
        return Check::note(
            "threads",
            found,
            "more threads than processors slow each other down",
        );
    }
    Check::ok("threads", found)
}

pub(super) fn memory() -> Check {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let (Some(total), Some(free)) = (meminfo(&info, "MemTotal"), meminfo(&info, "MemAvailable"))
    else {
        return Check::ok("memory", "unknown");
    };
    let found = format!("{} available of {}", human_bytes(free), human_bytes(total));
    if free < MEMORY_WANTED {
        return Check::note(
            "memory",
            found,
            "long contexts may not fit: use `--context`",
        );
    }
    Check::ok("memory", found)
}

/// A line of `/proc/meminfo` in bytes.
fn meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

pub(super) fn gpu(policy: &Policy) -> Check {
    let note = "smartkv has no CUDA backend yet: everything runs on the CPU";
    match nvidia_names(policy) {
        Some(names) => Check::note("gpu", names, note),
        None if libcuda().is_some() => Check::note("gpu", "CUDA driver, but no device found", note),
        None => Check::ok("gpu", "none found; not needed, everything runs on the CPU"),
    }
}

/// Names as the driver tells them: by its files, which cost nothing, else by its program.
fn nvidia_names(policy: &Policy) -> Option<String> {
    let devices = fs::read_dir("/proc/driver/nvidia/gpus")
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<String> = devices
        .filter_map(|device| fs::read_to_string(device.path().join("information")).ok())
        .filter_map(|text| {
            text.lines()
                .find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_owned()))
        })
        .collect();
    if names.is_empty() {
        let program = find_program(&policy.search_path, "nvidia-smi")?;
        let output = Command::new(program)
            .args(["--query-gpu=name", "--format=csv,noheader"])
            .stderr(Stdio::null())
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        let output = String::from_utf8(output.stdout).ok()?;
        names.extend(
            output
                .lines()
                .map(str::trim)
                .filter(|l| !l.is_empty())
                .map(str::to_owned),
        );
    }
    names.sort();
    (!names.is_empty()).then(|| names.join(", "))
}

fn libcuda() -> Option<PathBuf> {
    const FOLDERS: [&str; 6] = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/lib/wsl/lib",
        "/usr/local/nvidia/lib64",
    ];
    FOLDERS
        .iter()
        .map(|dir| Path::new(dir).join("libcuda.so.1"))
        .find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_meminfo() {
        let text = "MemTotal:       16 kB\nMemAvailable:    8 kB\n";
        assert_eq!(meminfo(text, "MemTotal"), Some(16384));
        assert_eq!(meminfo(text, "MemAvailable"), Some(8192));
        assert_eq!(meminfo(text, "Mem"), None);
    }
}
