//! Figures: plain data in, vector graphics at their final size out.
//!
//! Each kind of figure is a struct of numbers and names that [`Draw::draw`] turns into a
//! [`Figure`]: SVG text, and PDF or PNG from the same scene. Nothing is read from the machine
//! (one embedded font, no clock), so the same data gives the same bytes.

// Positions on a page: counts of ticks, cells and pixels are far below 2^52, and pixels are
// clamped before they are narrowed.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod ablation;
mod allocation;
mod attention;
mod budget;
mod color;
mod cost;
mod data;
mod entropy;
mod error;
mod font;
mod frame;
mod heat;
mod label;
mod layout;
mod legend;
mod marker;
mod needle;
mod output;
mod pareto;
mod pdf;
mod png;
mod png_file;
mod scale;
mod scene;
mod style;
mod svg;
mod sweep;
mod ticks;
mod token_html;
mod token_text;

pub use ablation::{Ablation, AblationBar};
pub use allocation::{Allocation, AllocationPanel};
pub use attention::{Attention, AttentionPanel};
pub use budget::{BudgetTrace, Trace};
pub use cost::{Cost, CostRow};
pub use data::{Axis, AxisFormat, AxisScale, Better, Estimate, Width};
pub use entropy::Entropy;
pub use error::FigureError;
pub use needle::{Needle, NeedlePanel};
pub use output::Figure;
pub(crate) use output::write;
pub use pareto::{Pareto, ParetoPoint, ParetoSeries};
pub use sweep::{Sweep, SweepPoint, SweepSeries};
pub use token_text::{TokenBits, TokenText};

/// Data that can be drawn.
pub trait Draw {
    /// Draws the figure.
    ///
    /// # Errors
    /// When there is nothing to draw, a number is not finite, or the parts do not fit together.
    fn draw(&self) -> Result<Figure, FigureError>;
}
