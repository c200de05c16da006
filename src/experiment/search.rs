//! Looking for the best combination of a grid.

use serde::Deserialize;

/// How the best combination is looked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Combinations drawn at random; all of the grid if absent.
    pub cells: Option<usize>,
}
