//! A folder of finished experiments: where everything lies, and reading it.
//!
//! One record that cannot be read is named and costs no other; records of another version are
//! kept aside, not mixed in.

mod digest;
pub mod layout;
mod read;
pub mod records;

pub use digest::{canonical, digest};
pub use layout::Layout;
pub use read::{Found, Plans, Store};
pub use records::{CellRecord, CellSpec, Failure, Plan, PlanCell, RunRecord};
