//! What this process and its machine do, from `/proc`; nothing where that is missing.

use super::json::{Json, Row};
use std::fs;
use std::time::Instant;

/// Ticks of processor time a second: what Linux tells programs on every machine.
const TICKS_PER_SECOND: f64 = 100.0;
/// Bytes of a MB, as W&B counts them.
const MB: f64 = (1 << 20) as f64;

/// Measures between two calls.
#[derive(Debug, Default)]
pub(super) struct System {
    last: Option<(Instant, f64)>,
}

impl System {
    /// Names and values, without the `system.` they are shown with. The share of the processors
    /// is over the time since the call before, so the first has none.
    pub(super) fn measure(&mut self) -> Row {
        let read = |path: &str| fs::read_to_string(path).ok();
        let mut row = Row::new();
        let mut push = |name: &str, value: Option<f64>| {
            row.extend(value.map(|value| (name.to_owned(), Json::Float(value))));
        };
        let stat = read("/proc/self/stat");
        let now = Instant::now();
        let used = stat.as_deref().and_then(processor_seconds);
        let share = used.zip(self.last).map(|(used, (then, before))| {
            #[expect(clippy::cast_precision_loss, reason = "a count of processors")]
            let processors = std::thread::available_parallelism().map_or(1, usize::from) as f64;
            let elapsed = now.duration_since(then).as_secs_f64().max(1e-3);
            100.0 * (used - before) / elapsed / processors
        });
        self.last = used.map(|used| (now, used));
        push("cpu", share);

        let memory = read("/proc/meminfo");
        let memory = |name| kilobytes(memory.as_deref()?, name);
        let (total, available) = (memory("MemTotal"), memory("MemAvailable"));
        let share = total.zip(available).map(|(total, free)| 1.0 - free / total);
        push("memory_percent", share.map(|share| 100.0 * share));
        push(
            "proc.memory.availableMB",
            available.map(|kb| kb * 1024.0 / MB),
        );
        let status = read("/proc/self/status");
        let status = |name| kilobytes(status.as_deref()?, name);
        let resident = status("VmRSS");
        push("proc.memory.rssMB", resident.map(|kb| kb * 1024.0 / MB));
        let share = resident
            .zip(total)
            .map(|(resident, total)| resident / total);
        push("proc.memory.percent", share.map(|share| 100.0 * share));
        push("proc.cpu.threads", status("Threads"));
        row
    }
}

/// Seconds of all processors that a process has used, from its `stat`.
fn processor_seconds(stat: &str) -> Option<f64> {
    // The name in parentheses may hold anything; fields are counted from its end, the third on.
    let fields = stat.rsplit_once(')')?.1;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// The number in the line `name: 123 kB`.
fn kilobytes(text: &str, name: &str) -> Option<f64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 4 0 99 0 0";
        assert_eq!(processor_seconds(stat), Some(2.0));
        assert_eq!(processor_seconds("broken"), None);
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t4\n";
        assert_eq!(kilobytes(status, "VmRSS"), Some(2048.0));
        assert_eq!(kilobytes(status, "Threads"), Some(4.0));
        assert_eq!(kilobytes(status, "VmHWM"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn measures_this_process() {
        let mut system = System::default();
        let names = |row: &Row| row.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let first = names(&system.measure());
        let second = system.measure();
        assert_eq!([&["cpu".to_owned()][..], &first].concat(), names(&second));
        assert_eq!(second.len(), 6);
        for (name, value) in second {
            let Json::Float(value) = value else {
                panic!("{name}: {value}")
            };
            assert!(value.is_finite() && value >= 0.0, "{name}: {value}");
        }
    }
}
