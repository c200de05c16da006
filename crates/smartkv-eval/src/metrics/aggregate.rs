//! From the scores of samples to the number in a benchmark's table.

use super::python::{mean_times, round2};

/// Mean of a `LongBench` task as its table prints it: `round(100 * sum / n, 2)`.
///
/// `None` without scores. Source: `eval.py` of `LongBench`.
#[must_use]
pub fn longbench_percent(scores: &[f64]) -> Option<f64> {
    mean_times(scores, 100.0).map(round2)
}

/// Mean of a RULER task as its table prints it: `round(sum / n * 100, 2)`.
///
/// Not [`longbench_percent`]: the order of the two operations can decide the last digit. `None`
/// without scores. Source: `scripts/eval/synthetic/constants.py` of RULER.
#[must_use]
pub fn ruler_percent(scores: &[f64]) -> Option<f64> {
    mean_times(scores, 1.0).map(|mean| round2(mean * 100.0))
}

/// The best score over several references; 0 without one.
#[must_use]
pub fn best_of<T>(references: &[T], score: impl Fn(&T) -> f64) -> f64 {
    references.iter().map(score).fold(0.0, f64::max)
}

/// The first line that is not empty, which is all that the few-shot tasks of `LongBench` score
/// (trec, triviaqa, samsum, lsht).
#[must_use]
pub fn first_line(prediction: &str) -> &str {
    let text = prediction.trim_start_matches('\n');
    text.split('\n').next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_two_decimals() {
        assert_eq!(longbench_percent(&[1.0, 0.0, 0.0]), Some(33.33));
        assert_eq!(ruler_percent(&[1.0, 1.0, 0.0]), Some(66.67));
        assert_eq!(longbench_percent(&[]), None);
        assert_eq!(ruler_percent(&[]), None);
    }

    #[test]
    fn only_the_first_line_counts() {
        assert_eq!(first_line("\n\n a \nb"), " a ");
        assert_eq!(first_line("\n"), "");
    }
}
