//! Short text with raised parts, as exponents need.

use super::font;

/// Size of a raised part over the size of the text.
pub(crate) const RAISED_SIZE: f64 = 0.72;
/// How far a raised part stands above the baseline, over the size of the text.
pub(crate) const RAISE: f64 = 0.36;

/// A piece of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) text: String,
    pub(crate) raised: bool,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) Vec<Span>);

impl Label {
    /// `mantissa × 10^exponent`, the mantissa left out where it is one.
    pub(crate) fn power(mantissa: i64, base: i64, exponent: i32) -> Self {
        let text = if mantissa == 1 {
            base.to_string()
        } else {
            format!("{mantissa}×{base}")
        };
        let exponent = exponent.to_string().replace('-', "−");
        Self(vec![
            Span {
                text,
                raised: false,
            },
            Span {
                text: exponent,
                raised: true,
            },
        ])
    }

    /// The width in points at a size in points.
    pub(crate) fn width(&self, size: f64) -> f64 {
        self.0
            .iter()
            .map(|span| font::width(&span.text, span_size(span, size)))
            .sum()
    }

    /// The text alone.
    #[cfg(test)]
    pub(crate) fn plain(&self) -> String {
        self.0
            .iter()
            .map(|s| {
                if s.raised {
                    format!("^{}", s.text)
                } else {
                    s.text.clone()
                }
            })
            .collect()
    }
}

/// The size of a piece in a label of some size.
pub(crate) fn span_size(span: &Span, size: f64) -> f64 {
    if span.raised {
        size * RAISED_SIZE
    } else {
        size
    }
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        Self(vec![Span {
            text,
            raised: false,
        }])
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}
