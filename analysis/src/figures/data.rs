//! The data of any kind of figure.

use crate::figure::{
    Ablation, Allocation, Attention, BudgetTrace, Cost, Draw, Entropy, Figure, FigureError, Needle,
    Pareto, Sweep, TokenText,
};
use serde::Serialize;

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Data {
    /// Quality against bytes.
    Pareto(Pareto),
    /// A metric along an axis.
    Sweep(Sweep),
    /// Contributions.
    Ablation(Ablation),
    /// Needles found.
    Needle(Needle),
    /// Bytes and times.
    Cost(Cost),
    /// Maps of attention.
    Attention(Attention),
    /// A number a head.
    Entropy(Entropy),
    /// Bits by token and layer.
    Allocation(Allocation),
    /// A text with its bits.
    Tokens(TokenText),
    /// Bytes over time.
    Budget(BudgetTrace),
}

impl Data {
    /// Ids of the records that the numbers come from.
    #[must_use]
    pub fn cells(&self) -> &[String] {
        match self {
            Self::Pareto(data) => &data.cells,
            Self::Sweep(data) => &data.cells,
            Self::Ablation(data) => &data.cells,
            Self::Needle(data) => &data.cells,
            Self::Cost(data) => &data.cells,
            Self::Attention(data) => &data.cells,
            Self::Entropy(data) => &data.cells,
            Self::Allocation(data) => &data.cells,
            Self::Tokens(data) => &data.cells,
            Self::Budget(data) => &data.cells,
        }
    }

    /// The figure as a page of HTML, which only texts of tokens have.
    ///
    /// # Errors
    /// As [`Draw::draw`].
    pub fn html(&self) -> Result<Option<String>, FigureError> {
        match self {
            Self::Tokens(data) => data.html().map(Some),
            _ => Ok(None),
        }
    }
}

impl Draw for Data {
    fn draw(&self) -> Result<Figure, FigureError> {
        match self {
            Self::Pareto(data) => data.draw(),
            Self::Sweep(data) => data.draw(),
            Self::Ablation(data) => data.draw(),
            Self::Needle(data) => data.draw(),
            Self::Cost(data) => data.draw(),
            Self::Attention(data) => data.draw(),
            Self::Entropy(data) => data.draw(),
            Self::Allocation(data) => data.draw(),
            Self::Tokens(data) => data.draw(),
            Self::Budget(data) => data.draw(),
        }
    }
}
