//! How busy the machine was with other work while something was measured.
//!
//! The load average will not do: it counts the work of the measurement too.

use std::fs;

/// Other work below this is what an idle machine does.
pub(super) const IDLE_PROCESSORS: f64 = 0.1;

/// Time spent so far, in ticks of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    /// All processors together, idle or not.
    total: u64,
    /// Of that, at work or taken away by a hypervisor.
    busy: u64,
    /// This process and the children it has waited for.
    own: u64,
    processors: u32,
}

impl Clock {
    /// `None` where the system does not tell.
    pub(super) fn now() -> Option<Self> {
        let read = |path| fs::read_to_string(path).ok();
        Self::parse(&read("/proc/stat")?, &read("/proc/self/stat")?)
    }

    fn parse(machine: &str, process: &str) -> Option<Self> {
        // user nice system idle iowait irq softirq steal; what follows is part of the first two.
        let ticks = numbers(machine.lines().next()?.strip_prefix("cpu ")?, 0, 8)?;
        let total: u64 = ticks.iter().sum();
        let cpu = |line: &&str| {
            let number = line
                .strip_prefix("cpu")
                .and_then(|rest| rest.chars().next());
            number.is_some_and(|first| first.is_ascii_digit())
        };
        // A program's name may hold anything, so what follows its last parenthesis counts:
        // utime stime cutime cstime are fields 14 to 17, the first of these is field 3.
        let (_, fields) = process.rsplit_once(')')?;
        Some(Self {
            total,
            busy: total - ticks[3] - ticks[4],
            own: numbers(fields, 11, 4)?.iter().sum(),
            processors: u32::try_from(machine.lines().filter(cpu).count()).ok()?,
        })
    }

    /// Processors that were busy with other work on average since `start`.
    #[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^52")]
    pub(super) fn others_since(&self, start: &Self) -> Option<f64> {
        let total = self
            .total
            .checked_sub(start.total)
            .filter(|total| *total > 0)?;
        let busy = self.busy.saturating_sub(start.busy);
        let others = busy.saturating_sub(self.own.saturating_sub(start.own));
        Some(others as f64 / total as f64 * f64::from(self.processors))
    }
}

/// Processors busy with other work on average since `start`, if the system tells.
pub(super) fn since(start: Option<Clock>) -> Option<f64> {
    Clock::now()?.others_since(&start?)
}

fn numbers(text: &str, skip: usize, count: usize) -> Option<Vec<u64>> {
    let numbers = text.split_whitespace().skip(skip).take(count);
    let numbers: Vec<u64> = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
    (numbers.len() == count).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: &str = "7 (a ) b) R 1 2 3 4 5 6 7 8 9 10 100 20 30 40 0 0";

    #[test]
    fn reads_what_the_kernel_writes() {
        let machine = "cpu  100 0 50 800 10 0 5 35 0 0\ncpu0 1 2\ncpu1 1 2\nintr 5\n";
        let clock = Clock::parse(machine, PROCESS).unwrap();
        let expected = Clock {
            total: 1000,
            busy: 190,
            own: 190,
            processors: 2,
        };
        assert_eq!(clock, expected);
        assert_eq!(Clock::parse("", ""), None);
    }

    #[test]
    fn own_work_is_not_the_work_of_others() {
        let clock = |total, busy, own| Clock {
            total,
            busy,
            own,
            processors: 2,
        };
        let start = clock(1000, 100, 50);
        // One processor of two was ours all the time, half of the other was not.
        let others = clock(2000, 850, 550).others_since(&start).unwrap();
        assert!((others - 0.5).abs() < 1e-12);
        assert_eq!(start.others_since(&start), None);
    }
}
