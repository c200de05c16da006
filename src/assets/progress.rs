//! Telling people on standard error how far a transfer is.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How transfers report themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// On standard error: a bar if it is a terminal, else a line at the start and at the end.
    Stderr,
    /// Nothing.
    Silent,
}

impl Progress {
    /// Progress for people, on standard error.
    #[must_use]
    pub fn terminal() -> Self {
        Self::Stderr
    }

    /// Begins a transfer of `total` bytes, if that is known.
    #[must_use]
    pub fn start(self, label: &str, total: Option<u64>) -> Task {
        let bar = (self == Self::Stderr && std::io::stderr().is_terminal()).then(|| bar(label));
        if let (Some(bar), Some(total)) = (&bar, total) {
            bar.set_length(total);
        }
        if bar.is_none() {
            match total {
                Some(total) => self.note(&format!("fetching {label} ({})", human_bytes(total))),
                None => self.note(&format!("fetching {label}")),
            }
        }
        Task {
            progress: self,
            bar,
            label: label.to_owned(),
            bytes: 0,
            began: Instant::now(),
        }
    }

    /// Says one line.
    pub fn note(self, line: &str) {
        if self == Self::Stderr {
            eprintln!("{line}");
        }
    }
}

/// One transfer under way. Dropped without [`finish`](Self::finish), it goes without a word:
/// the error that follows says what happened.
#[derive(Debug)]
pub struct Task {
    progress: Progress,
    bar: Option<ProgressBar>,
    label: String,
    bytes: u64,
    began: Instant,
}

impl Task {
    /// Bytes that are there by now, those of earlier runs included.
    pub fn set(&mut self, bytes: u64) {
        self.bytes = bytes;
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }

    /// Bytes that were there before this run: they do not count for the speed.
    pub fn resume(&mut self, bytes: u64) {
        self.set(bytes);
        if let Some(bar) = &self.bar {
            bar.reset_eta();
        }
    }

    /// The size, once it is known.
    pub fn set_total(&mut self, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
        }
    }

    /// Says that the transfer is complete.
    pub fn finish(mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let seconds = self.began.elapsed().as_secs_f64();
        let size = human_bytes(self.bytes);
        self.progress.note(&format!(
            "fetched {} ({size} in {seconds:.1} s)",
            self.label
        ));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(label: &str) -> ProgressBar {
    // Without a length the bar shows bytes and speed alone.
    let bar = ProgressBar::no_length();
    let template =
        "{msg} [{wide_bar}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A number of bytes for people: `93.81 MiB`.
#[must_use]
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.2} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (98_362_432, "93.81 MiB"),
            (5 << 40, "5.00 TiB"),
            (5 << 50, "5120.00 TiB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
