//! A plan on a cluster: its missing cells as job arrays of an existing Slurm.
//!
//! The store is the truth. Slurm is asked only what it still has to do, and the store keeps which
//! cell is which task, so that the same command submits what is missing and nothing twice.

mod arrays;
mod error;
mod queue;
mod script;
mod slurm;
mod standing;
mod submissions;
mod submit;
mod wait;

pub use arrays::{ArrayLimits, array_option, arrays, ranges};
pub use error::LaunchError;
pub use queue::{Queue, QueuedTask};
pub use script::quoted;
pub use slurm::JobId;
pub use standing::{Standing, standing};
pub use submissions::{Submissions, SubmittedArray};
pub use submit::{Prepared, PreparedArray, SubmitOptions, Submitted, current, prepare, submit};
pub use wait::{WaitWatch, wait};
