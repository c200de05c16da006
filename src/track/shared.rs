//! What the threads of a run tell each other.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server has everything.
    Sent,
    /// It has not; the file has.
    Kept,
}

/// The state, guarded by [`Shared`].
#[derive(Debug, Default)]
pub(super) struct State {
    /// The file, once it is open.
    pub(super) file: Option<PathBuf>,
    /// Bytes of it that are whole records.
    pub(super) committed: u64,
    /// No record follows.
    pub(super) closed: bool,
    /// The exit code, for the case that its record could not be written.
    pub(super) exit_code: i32,
    /// Requests that succeeded.
    pub(super) answers: u64,
    /// Whether the last request failed and is tried again.
    pub(super) outage: bool,
    /// The file that is on its way to where files are stored, which may be another server.
    pub(super) storing: Option<String>,
    /// How sending ended.
    pub(super) outcome: Option<Outcome>,
    /// Where the run can be seen.
    pub(super) page: Option<String>,
    /// Someone pressed Stop.
    pub(super) stopped: bool,
    /// Nobody waits for the server any more.
    pub(super) abandoned: bool,
}

/// State and the news of it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

impl Shared {
    /// A thread that panicked has left a state that is still true.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.news.notify_all();
    }

    /// Waits until `ready`, at most for `longest`; says whether it is.
    pub(super) fn wait(&self, longest: Duration, ready: impl Fn(&State) -> bool) -> bool {
        // Nothing here lasts longer than a day.
        let end = Instant::now() + longest.min(Duration::from_secs(86_400));
        let mut state = self.lock();
        loop {
            if ready(&state) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.news.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
