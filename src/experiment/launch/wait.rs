//! Waits until the queue has nothing left of a plan.

use super::error::LaunchError;
use super::standing::{Standing, standing};
use super::submit::current;
use crate::experiment::plan::Plan;
use crate::experiment::store::Store;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The first pause between two looks; it doubles up to [`LONGEST`], since many users ask one
/// controller.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(30);

/// How often in a row Slurm may fail to answer: controllers are restarted.
const PATIENCE: usize = 20;

/// How soon a request to stop is heeded.
const LOOK: Duration = Duration::from_millis(100);

/// Told what is seen.
pub trait WaitWatch {
    /// Where the cells stand now.
    fn seen(&self, standing: &Standing);
    /// Slurm did not answer; it is asked again.
    fn silent(&self, error: &LaunchError);
}

/// Waits until no task of `plan` is queued or running; where its cells stand then. `None` if `stop`
/// was set before.
///
/// # Errors
/// A store that cannot be read, and Slurm that does not answer for minutes: its jobs go on.
pub fn wait(
    plan: &Plan,
    store: &Store,
    stop: &AtomicBool,
    watch: &dyn WaitWatch,
) -> Result<Option<Standing>, LaunchError> {
    let mut pause = SHORTEST;
    let mut silent = 0;
    loop {
        match current(plan, store) {
            Ok((submissions, queue)) => {
                silent = 0;
                let now = standing(plan, store, &submissions, &queue, false)?;
                watch.seen(&now);
                if now.is_over() {
                    return Ok(Some(now));
                }
            }
            Err(error @ (LaunchError::Refused { .. } | LaunchError::Nonsense { .. }))
                if silent < PATIENCE =>
            {
                silent += 1;
                watch.silent(&error);
            }
            Err(error) => return Err(error),
        }
        let mut left = pause;
        while !left.is_zero() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            thread::sleep(LOOK.min(left));
            left = left.saturating_sub(LOOK);
        }
        pause = (pause * 2).min(LONGEST);
    }
}
