//! Experiment tracking that W&B and servers like it understand.
//!
//! Everything goes into a file first, in the format of W&B's offline runs: [`Run`] hands rows to a
//! thread that writes them. A second thread reads that file and sends it, if there is a key. So a
//! server that is slow or gone costs nothing, a crash leaves a file that `wandb sync` takes, and
//! offline is the same thing without the second thread.
//!
//! Two rules hold throughout. Tracking never fails or slows what is tracked: problems become
//! warnings. And the key is sent to its server and shown to nobody.

mod batch;
mod clock;
mod json;
mod netrc;
mod notices;
mod pace;
mod parse;
pub mod proto;
mod recorder;
mod report;
mod run;
mod serialize;
mod settings;
mod shared;
mod spool;
mod sweep;
mod system;
mod transport;
mod uploader;
mod wire;

pub use json::{Json, Row};
pub use notices::Notices;
pub use pace::Pace;
pub use recorder::Printed;
pub use report::{rows, summary};
pub use run::{Run, RunInfo};
pub use settings::{Flags, Mode, Resume, Settings};
pub use spool::{SpoolReader, SpoolWriter};

use std::hash::{BuildHasher as _, RandomState};

/// What a run says it was made by.
const PROGRAM: &str = "smartkv";

/// Random bits. They name runs and spread retries; no result depends on them.
fn random_bits() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// A number from 0 to 1.
fn random_share() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "any number near will do")]
    let share = random_bits() as f64 / u64::MAX as f64;
    share
}

/// Eight letters and digits, as W&B names runs.
fn random_id() -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut bits = random_bits();
    let mut letter = || {
        let index = usize::try_from(bits % 36).unwrap_or_default();
        bits /= 36;
        char::from(LETTERS[index])
    };
    (0..8).map(|_| letter()).collect()
}

/// The name of this machine; empty if it has none.
fn host() -> String {
    let read = |path| std::fs::read_to_string(path).ok();
    let name = read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname"));
    name.unwrap_or_default().trim().to_owned()
}
