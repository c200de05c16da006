//! From names, files and flags to checked values.

mod error;
mod origin;
mod set;
mod strategy;
mod task;
mod write;
mod yaml;

pub use error::ConfigError;
pub use origin::CalibrationOrigin;
pub use set::Assignment;
pub use strategy::{SHIPPED, StrategySpec, check_shipped};
pub use task::TaskSpec;
pub use write::to_yaml;
pub use yaml::{from_yaml, read_yaml};
