//! RULER's scores: what of the expected strings an answer contains, case and order ignored.

use crate::stats::float;

/// An answer as it is scored: ends trimmed, control characters turned into line breaks.
fn clean(answer: &str) -> String {
    let text = answer.trim().replace(|c| c < ' ', "\n");
    text.trim().to_lowercase()
}

fn contained<'a>(answer: &str, expected: &'a [String]) -> impl Iterator<Item = bool> + use<'a> {
    let answer = clean(answer);
    let mut expected = expected.iter();
    std::iter::from_fn(move || {
        let text = expected.next()?;
        Some(answer.contains(&text.to_lowercase()))
    })
}

/// `string_match_all`: the share of the expected strings; 0 of none.
pub(in crate::tasks) fn match_all(answer: &str, expected: &[String]) -> f64 {
    let found = contained(answer, expected).filter(|found| *found).count();
    float(found) / float(expected.len().max(1))
}

/// `string_match_part`: 1 if any of the expected strings is there.
pub(super) fn match_part(answer: &str, expected: &[String]) -> f64 {
    f64::from(u8::from(contained(answer, expected).any(|found| found)))
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
            let expected: Vec<String> = expected.iter().map(|&text| text.into()).collect();
            assert!(
                (match_all(answer, &expected) - all).abs() < 1e-12,
                "{answer:?}"
            );
            assert!(
                (match_part(answer, &expected) - part).abs() < 1e-12,
                "{answer:?}"
            );
        }
    }
}
