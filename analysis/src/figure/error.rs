//! What keeps a figure from being drawn.

use std::path::PathBuf;

/// Why a figure could not be drawn or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FigureError {
    /// There is nothing to show.
    #[error("the {figure} figure has no {what}")]
    Empty {
        /// The kind of figure.
        figure: &'static str,
        /// What is missing, in the plural.
        what: &'static str,
    },
    /// A number is NaN or infinite.
    #[error("{place} is {value}, expected a finite number")]
    NotFinite {
        /// Where the number stands.
        place: String,
        /// The number.
        value: f64,
    },
    /// A logarithmic axis got a number it cannot show.
    #[error("{place} is {value}, expected more than 0 on a logarithmic axis")]
    NotPositive {
        /// Where the number stands.
        place: String,
        /// The number.
        value: f64,
    },
    /// A number lies outside of what it can mean.
    #[error("{place} is {value}, expected {expected}")]
    OutOfRange {
        /// Where the number stands.
        place: String,
        /// The number, as written.
        value: String,
        /// What would have been right.
        expected: String,
    },
    /// Two parts of the data do not have the same length.
    #[error("{place} has {got} entries, expected {expected}: one for each {of}")]
    Shape {
        /// Where the entries stand.
        place: String,
        /// How many there are.
        got: usize,
        /// How many there should be.
        expected: usize,
        /// What they belong to.
        of: &'static str,
    },
    /// The data do not fit on the figure in readable size.
    #[error("{what} do not fit in {available:.0} pt")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The room there is, in points.
        available: f64,
        /// What to do about it.
        hint: &'static str,
    },
    /// Two series have the same name, so a legend could not tell them apart.
    #[error("two {of} are named `{name}`")]
    SameName {
        /// What they are.
        of: &'static str,
        /// Their name.
        name: String,
    },
    /// A part of the output could not be made.
    #[error("could not make the {format}: {reason}")]
    Encode {
        /// The file format.
        format: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// A file could not be written.
    #[error("could not write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
}

impl FigureError {
    /// What to do about it, one line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Empty { .. } => "give it at least one finished record",
            Self::NotFinite { .. } => {
                "leave out what was not measured; a failed cell has no place on an axis"
            }
            Self::NotPositive { .. } => {
                "use a linear axis, or leave the point out and name it in the caption"
            }
            Self::OutOfRange { .. } | Self::Encode { .. } => return Vec::new(),
            Self::Shape { .. } => "a cell without a value is `null`, not left out",
            Self::TooLarge { hint, .. } => hint,
            Self::SameName { .. } => "labels of a grid are unique: name the series by all of them",
            Self::Write { .. } => "check that the folder exists and can be written",
        };
        vec![hint.to_owned()]
    }
}
