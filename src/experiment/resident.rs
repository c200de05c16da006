//! The most memory the process held, from Linux's own count.

use std::fs;

/// Starts a new high-water mark at what is resident now. Whether the system can.
///
/// Writing 5 to `clear_refs` resets the mark and nothing else (`man 5 proc_pid_clear_refs`).
pub(crate) fn reset() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Bytes resident now that are pages of files: the program, and what is touched of the model.
pub(crate) fn files() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, "RssFile:")
}

/// Most bytes resident since the last reset, or since the process began.
pub(crate) fn peak() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_mark() {
        let status = "Name:\tsmartkv\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(field(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(field("Name:\tsmartkv\n", "VmHWM:"), None);
    }
}
