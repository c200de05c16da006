//! How often what happens, and how long it is tried.

use std::time::Duration;

/// Intervals and limits, those of the W&B client unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Least time between two requests with data; what comes meanwhile goes together.
    pub transmit: Duration,
    /// A server that hears nothing for so long is told that the run lives.
    pub heartbeat: Duration,
    /// Time between two measurements of the machine.
    pub system: Duration,
    /// Wait after the first failure; doubled after each further one.
    pub backoff: Duration,
    /// The longest such wait.
    pub longest_backoff: Duration,
    /// A server that answers nothing useful for so long is given up. The client tries for days;
    /// here the file is kept and can be sent later.
    pub outage: Duration,
    /// The same once the run has ended and only its end is waited for.
    pub goodbye: Duration,
    /// The same where there is no hope: no answer ever came, or none comes when the run ends.
    pub last_attempt: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            transmit: Duration::from_secs(15),
            heartbeat: Duration::from_secs(30),
            system: Duration::from_secs(15),
            backoff: Duration::from_secs(2),
            longest_backoff: Duration::from_secs(60),
            outage: Duration::from_secs(300),
            goodbye: Duration::from_secs(30),
            last_attempt: Duration::from_secs(2),
        }
    }
}
