//! What tracking has to say to people; it never fails, so it says it here.

use std::fmt;
use std::sync::Arc;

/// Where warnings and notes go: standard error, unless a caller collects them.
#[derive(Clone)]
pub struct Notices(Arc<dyn Fn(&str) + Send + Sync>);

impl Notices {
    /// Gives every line to `take`.
    #[must_use]
    pub fn to(take: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    pub(super) fn warn(&self, text: &str) {
        (self.0)(&format!("warning: W&B: {text}"));
    }

    pub(super) fn note(&self, text: &str) {
        (self.0)(&format!("note: W&B: {text}"));
    }
}

impl Default for Notices {
    fn default() -> Self {
        Self::to(|line| {
            use std::io::Write as _;
            // Nothing is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "{line}");
        })
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices")
    }
}
