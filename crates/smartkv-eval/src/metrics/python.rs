//! What Python means by white space, digits and rounding: the reference programs are Python.

use crate::stats::float;

/// Zero of every run of ten decimal digits (category Nd, Unicode 14.0): `\d` of a regular expression.
const ZEROS: &[u32] = &[
    0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66,
    0xDE6, 0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
    0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650,
    0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0, 0x16B50,
    0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
];

/// White space: that of Unicode, and the four ASCII separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `str.split()`: the words between white space.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// `str.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// A character that `\d` matches.
pub(super) fn is_digit(c: char) -> bool {
    let c = u32::from(c);
    let above = ZEROS.partition_point(|&zero| zero <= c);
    above > 0 && c - ZEROS[above - 1] < 10
}

/// Every run of digits in a text: `re.findall(r"\d+", text)`.
pub(super) fn numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_digit(c)).filter(|run| !run.is_empty())
}

/// `round(x, 2)`: the nearest of the decimals, judged on the exact binary value.
pub(super) fn round2(x: f64) -> f64 {
    format!("{x:.2}").parse().unwrap_or(x)
}

/// `sum(scores)`, left to right.
pub(super) fn mean_times(scores: &[f64], factor: f64) -> Option<f64> {
    (!scores.is_empty()).then(|| factor * scores.iter().sum::<f64>() / float(scores.len()))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "decimals as Python prints them")]
mod tests {
    use super::*;

    #[test]
    fn rounds_as_python_does() {
        // Ties of exact binary fractions go to even; the others are decided by the binary value.
        for (x, rounded) in [
            (0.125, 0.12),
            (0.375, 0.38),
            (2.675, 2.67),
            (1.005, 1.0),
            (66.665, 66.67),
            (99.999, 100.0),
        ] {
            assert_eq!(round2(x), rounded, "{x}");
        }
    }

    #[test]
    fn digits_of_every_script_are_digits() {
        for c in ['0', '9', '\u{ff11}', '\u{0665}', '\u{1fbf9}'] {
            assert!(is_digit(c), "{c}");
        }
        for c in ['/', ':', 'a', '\u{b2}', '\u{2167}', '\u{bd}', '\u{ff1a}'] {
            assert!(!is_digit(c), "{c}");
        }
        let found: Vec<&str> = numbers("a12b 007,x3").collect();
        assert_eq!(found, ["12", "007", "3"]);
    }

    #[test]
    fn separators_are_space() {
        let found: Vec<&str> = words(" a\u{1f}b\u{a0}c\u{200b}d ").collect();
        assert_eq!(found, ["a", "b", "c\u{200b}d"]);
        assert_eq!(strip("\u{1c} x \n"), "x");
    }
}
