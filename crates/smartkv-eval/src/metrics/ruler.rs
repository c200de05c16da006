//! RULER: how many of the expected strings an answer contains.
//!
//! Source: `scripts/eval` of RULER (Hsieh et al. 2024). Case is ignored, order and surrounding
//! text do not matter. [`ruler_percent`](super::aggregate::ruler_percent) makes the reported mean.

use super::python::strip;
use crate::stats::float;
use serde::{Deserialize, Serialize};

/// What becomes of control characters in a prediction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlCharacters {
    /// Each becomes a line break, as in RULER.
    #[default]
    Broken,
    /// Each is removed, as in kvpress: what it divided grows together.
    Removed,
}

/// The prediction as it is scored: control characters (up to 0x1f) replaced, ends trimmed.
#[must_use]
pub fn clean(prediction: &str, control: ControlCharacters) -> String {
    let text = strip(prediction);
    let text = match control {
        ControlCharacters::Broken => text.replace(is_control, "\n"),
        ControlCharacters::Removed => text.replace(is_control, ""),
    };
    strip(&text).to_owned()
}

fn is_control(c: char) -> bool {
    c <= '\u{1f}'
}

/// `string_match_all`: share of the references in the prediction; 0 without references.
#[must_use]
pub fn match_all<S: AsRef<str>>(prediction: &str, references: &[S]) -> f64 {
    if references.is_empty() {
        return 0.0;
    }
    let found = contained(prediction, references).filter(|found| *found);
    float(found.count()) / float(references.len())
}

/// `string_match_part`: 1 if any reference is in the prediction, else 0.
#[must_use]
pub fn match_part<S: AsRef<str>>(prediction: &str, references: &[S]) -> f64 {
    let found = contained(prediction, references).any(|found| found);
    f64::from(u8::from(found))
}

fn contained<S: AsRef<str>>(prediction: &str, references: &[S]) -> impl Iterator<Item = bool> {
    let prediction = prediction.to_lowercase();
    references
        .iter()
        .map(move |reference| prediction.contains(&reference.as_ref().to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answer, expected strings, `string_match_all` and `string_match_part` as RULER's own
    /// functions give them.
    type Golden = (&'static str, &'static [&'static str], f64, f64);

    const GOLDEN: [Golden; 7] = [
        (" 1234567.", &["1234567"], 1.0, 1.0),
        (
            "ABCDE FGHIJ",
            &["ABCDE", "FGHIJ", "KLMNO", "PQRST"],
            0.5,
            1.0,
        ),
        (
            "apple Pear",
            &["Apple", "pear", "fig"],
            0.666_666_666_666_666_6,
            1.0,
        ),
        ("", &["x"], 0.0, 0.0),
        ("1. cat 2. dog", &["cat", "do"], 1.0, 1.0),
        ("123\u{0}4567", &["1234567"], 0.0, 0.0),
        ("\u{1}a\tb\u{1f} ", &["a\nb"], 1.0, 1.0),
    ];

    #[test]
    fn scores_are_those_of_ruler() {
        for (answer, expected, all, part) in GOLDEN {
            let answer = clean(answer, ControlCharacters::Broken);
            assert!(
                (match_all(&answer, expected) - all).abs() < 1e-12,
                "{answer:?}"
            );
            assert!(
                (match_part(&answer, expected) - part).abs() < 1e-12,
                "{answer:?}"
            );
        }
    }

    #[test]
    fn control_characters_divide_or_vanish() {
        let raw = " \u{1}12\t34\n";
        assert_eq!(clean(raw, ControlCharacters::Broken), "12\n34");
        assert_eq!(clean(raw, ControlCharacters::Removed), "1234");
    }
}
