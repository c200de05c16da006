//! Allocators: pure functions from damage and prices to places, never over budget.

mod marginal;
mod random;

pub use marginal::Marginal;
pub use random::Random;
